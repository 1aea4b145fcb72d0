import { startWork, type Work } from '../pipeline/work.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Batch, type ClaimedJob, type Store, together } from '../ports/store.js'
import type { PostOutcome } from '../ports/webhooks.js'
import type { Clock, Random } from '../ports/world.js'
import { openEvents } from '../spool/events.js'
import { waitAfter } from './schedule.js'
import { messageOf, type WebhookEndpoint } from './webhook-endpoint.js'
import { openWebhookLine, type WebhookLine, webhookPostLimits } from './webhook-post.js'
import { changed, readState, type StoredState, stateKey, webhookJob, webhookQueue, wellAgain } from './webhook-state.js'

export interface WebhookOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly log: Log
  readonly metrics: Metrics
  readonly endpoints: readonly WebhookEndpoint[]
  /** Waits between tries; the last one repeats. */
  readonly retryMs?: readonly number[]
  readonly limits?: Partial<typeof webhookLimits>
  readonly timeoutMs?: number
}

export const webhookLimits = {
  /** Events read and told before their end is written down: so many come again after a crash. */
  pageEvents: 100,
  /** Events in a row that are not for an endpoint before its place in the log is written down. */
  passedEvents: 1000,
  /** How long a new event, or an operator's change, may lie unseen. Two reads of the store. */
  lookMs: 500,
  /** How long a job that an operator put back, or one that another process lost, may lie unseen. */
  idleMs: 1000,
  /** A process that is silent for so long loses its endpoints to another one. */
  leaseMs: 30_000,
  /** An endpoint that fails for so long needs a person. */
  alarmMs: 60 * 60_000,
  /** What an endpoint may ask for in Retry-After. */
  retryAfterMs: 60 * 60_000,
  /** Share by which a wait is lengthened or shortened at random. */
  jitter: 0.1,
  /** The place of an endpoint that nobody has configured any more is kept so long, so that it may come back. */
  removedMs: 30 * 24 * 60 * 60_000,
  /** How often endpoints are looked after: another process, with another configuration, may have let them go. */
  tendMs: 60_000,
  /** Rounds of reading a state again after somebody else changed it. */
  rounds: 8,
}

const retryMs = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000]

/**
 * Tells every endpoint of the events that are for it, in their order, each until it was taken: at least once, under the same
 * id. An endpoint is told by one process at a time, which holds its job for as long as there is no trouble. An endpoint
 * that is new is told of what happens from now on.
 */
export function startWebhooks(options: WebhookOptions): Work {
  const { store, clock, log } = options
  const limits = { ...webhookLimits, ...options.limits }
  const endpoints = new Map(options.endpoints.map((endpoint) => [endpoint.name, endpoint]))
  const postLimits = { ...webhookPostLimits, ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }) }
  const lines = new Map<string, WebhookLine>()
  const cut = new AbortController()
  const wakes = new Set<() => void>()
  let stopping = false

  /** Waits for the next look, or until something may have happened. */
  function rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        wakes.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, limits.lookMs)
      wakes.add(wake)
    })
  }
  function wakeAll(): void {
    for (const wake of wakes) wake()
  }

  function lineOf(endpoint: WebhookEndpoint): WebhookLine {
    const line = lines.get(endpoint.name) ?? openWebhookLine(endpoint, postLimits)
    lines.set(endpoint.name, line)
    return line
  }

  async function handle(job: ClaimedJob): Promise<void> {
    const endpoint = endpoints.get(job.id)
    if (!endpoint) return letGo(options, job)
    const turn: Turn = { ...options, limits, endpoint, job, line: lineOf(endpoint), signal: cut.signal }
    await tell(turn, () => stopping, rest)
  }

  const work = startWork({
    ...{ store, clock, handle },
    queue: webhookQueue,
    // One more, to see jobs of endpoints that are configured no more.
    concurrency: endpoints.size + 1,
    leaseMs: limits.leaseMs,
    idleMs: limits.idleMs,
    onError: (error, job) => log.error('webhook.error', { cause: String(error), ...(job && { endpoint: job.id }) }),
  })
  const tending = () =>
    tend(options, limits, [...endpoints.keys()]).then(
      () => work.nudge(),
      (error: unknown) => log.error('webhook.error', { cause: String(error) }),
    )
  const timer = setInterval(() => void tending(), limits.tendMs)
  const tended = tending()
  return {
    nudge() {
      work.nudge()
      wakeAll()
    },
    running: () => work.running(),
    async stop(graceMs) {
      stopping = true
      clearInterval(timer)
      wakeAll()
      const late = setTimeout(() => cut.abort(), graceMs)
      await tended
      const inTime = await work.stop(graceMs + cutMs)
      clearTimeout(late)
      for (const line of lines.values()) line.close()
      return inTime && !cut.signal.aborted
    },
  }
}

/** For a delivery that was cut off to give its job back. */
const cutMs = 1000

/** One process telling one endpoint. */
interface Turn extends WebhookOptions {
  readonly limits: typeof webhookLimits
  readonly endpoint: WebhookEndpoint
  readonly job: ClaimedJob
  readonly line: WebhookLine
  /** Cuts off the delivery under way. */
  readonly signal: AbortSignal
}

/** Tells an endpoint until it fails, is paused, or the process ends; gives the job back with what it came to. */
async function tell(turn: Turn, stopping: () => boolean, rest: () => Promise<void>): Promise<void> {
  const { store, clock, job, endpoint, limits } = turn
  const events = openEvents(turn)
  let stored = await readState(store, endpoint.name)
  /** How far it has come in this process, ahead of what is written down; `some` of it was told, not only passed over. */
  let [reached, some] = [stored?.state.cursor ?? 0, false]
  while (stored) {
    if (stored.state.paused) {
      const ended = await store.commit(
        together(changed(stored, { ...stored.state, cursor: reached }), { ack: [{ job }] }),
      )
      if (ended.kind !== 'conflict') return
    } else {
      const page = stopping() ? [] : await events.read(reached, limits.pageEvents)
      const told = await tellPage(turn, page, stopping)
      reached = Math.max(reached, told.reached)
      some ||= told.taken > 0
      const passed = reached - stored.state.cursor
      const telling = some || passed >= limits.passedEvents || (stopping() && passed > 0)
      const after = telling ? { ...stored, state: advanced(stored, reached, some, clock.now()) } : stored
      if (told.trouble) {
        const { parts, settled } = failed(turn, after, told.trouble)
        const ended = await store.commit(parts)
        if (ended.kind === 'committed') settled()
        if (ended.kind !== 'conflict') return
      } else if (telling) {
        if ((await store.commit(changed(after, after.state))).kind === 'committed') {
          if (stored.state.failures) turn.log.info('webhook.well-again', { endpoint: endpoint.name })
          stored = after
          some = false
        }
      } else if (stopping()) {
        await store.commit({ release: [{ job, dueAt: clock.now() }] })
        return
      } else if (page.length === 0) await rest()
    }
    const now = await readState(store, endpoint.name)
    if (now?.version !== stored.version) {
      // Somebody wrote: this process itself a moment ago, an operator, or a process that took the job over.
      if (!(await store.extend(job, limits.leaseMs))) return
      if (now?.state.cursor !== stored.state.cursor) [reached, some] = [now?.state.cursor ?? 0, false]
      stored = now
    }
  }
  await store.commit({ ack: [{ job }] })
}

function advanced({ state }: StoredState, cursor: number, some: boolean, at: number): StoredState['state'] {
  return some ? { cursor, deliveredAt: at } : { ...state, cursor }
}

/** Tells the events of a page one after the other; stops at the first that is not taken. */
async function tellPage(
  { endpoint, line, signal, clock, log, metrics }: Turn,
  page: Awaited<ReturnType<ReturnType<typeof openEvents>['read']>>,
  stopping: () => boolean,
): Promise<{ readonly reached: number; readonly taken: number; readonly trouble?: Exclude<PostOutcome, Taken> }> {
  const { name } = endpoint
  let [reached, count] = [0, 0]
  for (const { sequence, event } of page) {
    if (stopping()) break
    if (!event) log.error('webhook.unreadable-event', { sequence })
    if (event && (endpoint.steps?.has(event.step) ?? true)) {
      const startedAt = performance.now()
      const outcome = await line.post(messageOf(sequence, event), clock.now(), signal)
      if (signal.aborted && outcome.kind !== 'taken') break // ours, not the endpoint's doing
      metrics.count('webhook_deliveries_total', { endpoint: name, outcome: outcome.kind })
      metrics.observe('webhook_delivery_seconds', (performance.now() - startedAt) / 1000, { outcome: outcome.kind })
      if (outcome.kind !== 'taken') {
        metrics.gauge('webhook_behind_seconds', Math.max(0, clock.now() - event.at) / 1000, { endpoint: name })
        return { reached, taken: count, trouble: outcome }
      }
      count++
    }
    reached = sequence
  }
  if (page.length === 0) metrics.gauge('webhook_behind_seconds', 0, { endpoint: name })
  return { reached, taken: count }
}

type Taken = { readonly kind: 'taken' }

/** What a failed delivery makes true: the next try, or the end of all tries; and who is told of it afterwards. */
function failed(turn: Turn, stored: StoredState, trouble: Exclude<PostOutcome, Taken>) {
  const { clock, random, audit, log, endpoint, job, limits } = turn
  const { name } = endpoint
  const now = clock.now()
  const failures = (stored.state.failures ?? 0) + 1
  const failingSince = stored.state.failingSince ?? now
  const gone = trouble.kind === 'gone'
  const raise = gone || (now - failingSince >= limits.alarmMs && !stored.state.alarmed)
  const reason = gone ? 'webhook-gone' : 'webhook-failing'
  const asked = trouble.kind === 'failed' ? Math.min(trouble.waitMs ?? 0, limits.retryAfterMs) : 0
  const schedule = { retryMs: turn.retryMs ?? retryMs, jitter: limits.jitter }
  const nextAt = now + Math.round(Math.max(asked, waitAfter(failures, schedule, random)))
  const { alarmed } = stored.state
  const state = {
    ...wellAgain(stored.state),
    ...{ failures, failingSince, lastError: trouble.detail },
    ...(gone ? { paused: 'gone' as const } : { nextAt }),
    ...((raise || alarmed) && { alarmed: true as const }),
  }
  const entry: AuditEntry = {
    ...{ at: now, action: 'alarm', actor: 'system', outcome: 'failed', reason },
    subject: { webhook: name },
  }
  const parts: Batch = together(
    changed(stored, state),
    gone ? { ack: [{ job }] } : { release: [{ job, dueAt: nextAt }] },
    raise ? { append: [audit.entry(entry)] } : {},
  )
  return {
    parts,
    settled() {
      log.warn('webhook.failed', { endpoint: name, failures, waitMs: gone ? -1 : nextAt - now })
      if (raise) log.error('alarm', { reason, webhook: name })
    },
  }
}

function unchanged({ name, version }: StoredState): Batch {
  return { require: [{ key: stateKey(name), version }] }
}

/** Ends the job of an endpoint that is configured no more; its place is kept, should it come back. */
async function letGo(options: WebhookOptions, job: ClaimedJob): Promise<void> {
  const { store, clock, log } = options
  const stored = await readState(store, job.id)
  const removed = stored ? changed(stored, { ...stored.state, removedAt: clock.now() }) : {}
  const outcome = await store.commit(together(removed, { ack: [{ job }] }))
  if (outcome.kind === 'conflict') return letGo(options, job)
  log.warn('webhook.removed', { endpoint: job.id })
}

/** Sees to it that each endpoint has a state and, unless it is paused, a job; forgets those that nobody has had for long. */
async function tend(options: WebhookOptions, limits: typeof webhookLimits, names: readonly string[]): Promise<void> {
  const { store, clock } = options
  for (const name of names) {
    for (let round = 0; round < limits.rounds; round++) {
      const outcome = await store.commit(await beginning(store, name, clock.now()))
      if (outcome.kind === 'committed') break
    }
  }
  const rows = await store.range({ gte: stateKey(''), lt: `${stateKey('')}~`, limit: 1000 })
  for (const { key } of rows) {
    const stored = await readState(store, key.slice(stateKey('').length))
    const { removedAt } = stored?.state ?? {}
    if (!stored || removedAt === undefined || clock.now() - removedAt < limits.removedMs) continue
    await store.commit(together(unchanged(stored), { del: [key] }))
  }
}

/** Parts with which an endpoint that has no job begins: at the end of the log where it is new, else where it was. */
export async function beginning(store: Pick<Store, 'get' | 'log'>, name: string, now: number): Promise<Batch> {
  const stored = await readState(store, name)
  const enqueue = [webhookJob(name, now)]
  if (!stored)
    return together(changed({ name, version: 'absent' }, { cursor: await openEvents({ store }).last() }), { enqueue })
  const { removedAt, ...state } = stored.state
  if (removedAt === undefined) return state.paused ? {} : together(unchanged(stored), { enqueue })
  return together(changed(stored, state), state.paused ? {} : { enqueue })
}
