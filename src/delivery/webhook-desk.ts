import type { Audit } from '../ports/audit.js'
import { type Batch, type Store, together, within } from '../ports/store.js'
import type { UnknownEndpoint, WebhookDesk, WebhookStanding } from '../ports/webhooks.js'
import type { Clock, Random } from '../ports/world.js'
import { openEvents } from '../spool/events.js'
import type { WebhookEndpoint } from './webhook-endpoint.js'
import { openWebhookLine } from './webhook-post.js'
import {
  changed,
  type EndpointState,
  readState,
  type StoredState,
  stateKey,
  webhookJob,
  webhookQueue,
  wellAgain,
} from './webhook-state.js'

export interface DeskPorts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly endpoints: readonly WebhookEndpoint[]
  /** There may be something to tell: the worker of this process, where it has one, looks now. */
  readonly nudge?: () => void
}

/** A conflict means that the endpoint was told something meanwhile; more rounds than this is a bug. */
const rounds = 16

/** For a job to be made due: shorter than an operator waits. */
const claimMs = 5_000

export function openWebhookDesk(ports: DeskPorts): WebhookDesk {
  const { store, clock, random, audit, endpoints } = ports
  const events = openEvents(ports)
  const configured = (name: string) => endpoints.find((endpoint) => endpoint.name === name)

  /** Parts that have a worker look at the endpoint now: one that holds its job looks by itself. */
  async function due(name: string): Promise<Batch> {
    const job = await store.claimJob(webhookQueue, name, claimMs)
    if (job === 'held') return {}
    const now = clock.now()
    return job ? { release: [{ job, dueAt: now }] } : { enqueue: [webhookJob(name, now)] }
  }

  /** Changes the state of an endpoint that is configured, with its audit entry. */
  async function change(
    name: string,
    action: string,
    by: string,
    make: (before: EndpointState, stored: StoredState) => EndpointState,
    subject: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly kind: 'done' } | UnknownEndpoint> {
    if (!configured(name)) return { kind: 'unknown' }
    let looking: Batch | undefined
    for (let round = 0; round < rounds; round++) {
      const stored = (await readState(store, name)) ?? {
        ...{ name, version: 'absent' as const, state: { cursor: await events.last() } },
      }
      const { removedAt: _, ...before } = stored.state
      const state = make(before, stored)
      // Once: what was claimed is held until it is given back.
      looking ??= state.paused ? {} : await due(name)
      const entry = { at: clock.now(), action, actor: by, subject: { webhook: name, ...subject } }
      const outcome = await store.commit(
        together(changed(stored, state), looking, {
          append: [audit.entry({ ...entry, outcome: 'success' })],
        }),
      )
      if (outcome.kind !== 'committed') continue
      ports.nudge?.()
      return { kind: 'done' }
    }
    throw new Error(`The state of the webhook ${name} changed ${rounds} times meanwhile`)
  }

  return {
    async list() {
      const rows = await store.range({ ...within(stateKey('')), limit: 1000 })
      const kept = rows.map(({ key }) => key.slice(stateKey('').length))
      const names = [...new Set([...endpoints.map(({ name }) => name), ...kept])].sort()
      return Promise.all(
        names.map(async (name) => {
          const stored = await readState(store, name)
          const behind = stored && (await events.last(stored.state.cursor)) - stored.state.cursor
          return standing(name, configured(name), stored?.state, behind)
        }),
      )
    },
    pause: (name, by) =>
      change(name, 'webhook.pause', by, (before) => ({ ...before, paused: before.paused ?? 'operator' })),
    resume: (name, by) => change(name, 'webhook.resume', by, wellAgain),
    async replay(name, from, by) {
      const last = await events.last()
      const before = from.kind === 'sequence' ? from.sequence - 1 : await events.before(from.at)
      const cursor = Math.min(Math.max(0, before), last)
      const restart = (state: EndpointState): EndpointState => ({
        ...wellAgain(state),
        cursor,
        ...(state.paused && { paused: state.paused }),
      })
      const outcome = await change(name, 'webhook.replay', by, restart, { from: String(cursor + 1) })
      return outcome.kind === 'done' ? { kind: 'done', from: cursor + 1, events: last - cursor } : outcome
    },
    async test(name, by) {
      const endpoint = configured(name)
      if (!endpoint) return { kind: 'unknown' }
      const line = openWebhookLine(endpoint)
      const now = clock.now()
      const timestamp = new Date(now).toISOString()
      const id = `test-${Buffer.from(random.bytes(16)).toString('hex')}`
      const body = Buffer.from(JSON.stringify({ type: 'test', timestamp, data: { id, at: timestamp } }))
      try {
        const outcome = await line.post({ id, body }, now)
        const entry = { at: now, action: 'webhook.test', actor: by, subject: { webhook: name, id } }
        const success = outcome.kind === 'taken' ? ('success' as const) : ('failed' as const)
        await store.commit({ append: [audit.entry({ ...entry, outcome: success })] })
        return outcome
      } finally {
        line.close()
      }
    },
  }
}

function standing(
  name: string,
  endpoint: WebhookEndpoint | undefined,
  state: EndpointState | undefined,
  behind: number | undefined,
): WebhookStanding {
  const { removedAt: _, alarmed: __, paused, ...told } = state ?? {}
  return {
    name,
    ...(endpoint && { url: endpoint.url.origin + endpoint.url.pathname }),
    ...(endpoint?.steps && { steps: [...endpoint.steps] }),
    state: wordOf(endpoint, state),
    ...told,
    ...(behind !== undefined && { behind }),
  }
}

function wordOf(endpoint: WebhookEndpoint | undefined, state: EndpointState | undefined): WebhookStanding['state'] {
  if (!endpoint) return 'removed'
  if (!state) return 'new'
  if (state.paused) return state.paused === 'gone' ? 'gone' : 'paused'
  return state.failures ? 'failing' : 'telling'
}
