import { type DirectAddress, domainOf } from '../direct/address.js'
import type { Refused, Undecided } from '../direct/refusal.js'
import { startWork, type Work } from '../pipeline/work.js'
import type { Blobs } from '../ports/blobs.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Batch, type ClaimedJob, type Store, together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import {
  begunKey,
  decodeOutbound,
  encodeOutbound,
  type OutboundJob,
  outboundQueue,
  releaseHold,
} from '../spool/outbound.js'
import type { Attempt, AttemptOutcome } from './attempt.js'
import type { Wire } from './dialogue.js'
import { openLanes } from './lanes.js'
import { defaultSchedule, endOf, nextAttemptAt, type Schedule } from './schedule.js'

/** What became of one try, or of the mail, for one recipient or several. Only `retry` is not the end. */
export type DeliveryOutcome =
  | { readonly kind: 'delivered'; readonly host: string; readonly reply: string }
  /** A host refused it for good, or its domain takes no mail. */
  | { readonly kind: 'failed'; readonly host?: string; readonly detail: string }
  /** It could not be made: the refusal says why. */
  | { readonly kind: 'refused'; readonly refusal: Refused }
  /** Its lifetime is over; `detail` is the last trouble. */
  | { readonly kind: 'expired'; readonly host?: string; readonly detail: string }
  | { readonly kind: 'retry'; readonly host?: string; readonly detail: string; readonly nextAt: number }

/** An outcome with those it came to; several recipients of one message may fare differently. */
export type DeliveryResult = DeliveryOutcome & { readonly to: readonly DirectAddress[] }

export interface DeliveryOptions {
  readonly store: Store
  /** Where large messages lie. */
  readonly blobs?: Pick<Blobs, 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly attempt: Attempt
  /** Makes the wire form of mail that is owed; none is, where everything in the queue lies in a mailbox. */
  readonly prepare?: (
    job: OutboundJob,
  ) => Promise<{ readonly kind: 'sealed'; readonly wire: Uint8Array } | Refused | Undecided>
  /** The wire form of mail that lies in a mailbox, the same bytes each time; undefined where it is gone. */
  readonly stored?: (job: OutboundJob) => Promise<Wire | undefined>
  /** Told after each try that ended somehow: it may have put mail into other queues. */
  readonly onConcluded?: () => void
  /**
   * What else becomes true with the results of one try, which name each recipient once: steps in the trail, audit entries,
   * notices to the sender. Called anew when its batch conflicted. It must not end the job.
   */
  readonly outcomeParts: (job: OutboundJob, results: readonly DeliveryResult[]) => Batch | Promise<Batch>
  readonly schedule?: Schedule
  readonly queue?: string
  /** Messages in hand at once. */
  readonly concurrency?: number
  /** Connections to one destination. */
  readonly perDomain?: number
  readonly leaseMs?: number
  readonly idleMs?: number
}

export const workerLimits = {
  /** Connections to all destinations together. */
  concurrency: 10,
  /** Postfix opens 20 to one destination; ours are few and small, and we are a polite peer. */
  perDomain: 2,
  /** Longer than a claim takes to be lengthened once, short enough for another node to take over soon. */
  leaseMs: 60_000,
  /** A job whose destination is busy comes back after so long for each one that waits before it … */
  busyMs: 500,
  /** … but no later than this. */
  busyMaxMs: 60_000,
  /** A job that nobody can read is kept for people, and looked at again daily. */
  unreadableMs: 24 * 60 * 60 * 1000,
  /** A conflict means that somebody else wrote the same trail; more rounds than this is a bug. */
  rounds: 8,
}

/** A try that was begun: how many there were with it, and when the next one would be due if nothing more is heard. */
interface Begun {
  readonly tries: number
  readonly nextAt: number
}

/**
 * Sends what is in an outgoing queue. Mail that is owed is made first and its bytes stored, so that every try sends
 * the same bytes under the same Message-ID. Before a socket opens, the number of the try and the time of the next one
 * are durable in the row `begunKey`, beside the lease, which may die with the process: whoever claims the
 * job after a crash finds the row and waits until then, so that a peer that kills us is not dialled in a loop.
 *
 * The one window for a duplicate: the far side answered 250, and we died before that was durable. Then the same bytes
 * go out once more at the next time, under the same Message-ID.
 */
export function startDelivery(options: DeliveryOptions): Work {
  const { store, clock, log, metrics } = options
  const schedule = options.schedule ?? defaultSchedule
  const perDomain = options.perDomain ?? workerLimits.perDomain
  const lanes = openLanes(perDomain)

  /** Ends the claim, one way or another, with what else its outcome makes true. */
  async function settle(parts: () => Batch | Promise<Batch>): Promise<void> {
    for (let round = 0; round < workerLimits.rounds; round++) {
      const result = await store.commit(await parts())
      if (result.kind !== 'conflict') return // a lost lease: another worker comes to its own end
    }
    throw new Error(`Settling an outbound job conflicted ${workerLimits.rounds} times`)
  }

  /** Makes what a try came to true, with the end of the job or its next try at `nextAt` for those who still wait. */
  async function conclude(
    job: ClaimedJob,
    mail: OutboundJob,
    results: readonly DeliveryResult[],
    nextAt?: number,
  ): Promise<void> {
    const ended = nextAt === undefined
    const waiting = { ...mail, to: results.flatMap(({ kind, to }) => (kind === 'retry' ? to : [])) }
    const ending: Batch = ended
      ? together({ ack: [{ job }], del: [begunKey(mail)] }, releaseHold(mail))
      : { release: [{ job, dueAt: nextAt, payload: encodeOutbound(waiting) }], del: [begunKey(mail)] }
    await settle(async () => {
      try {
        return together(ending, await options.outcomeParts(mail, results))
      } catch (error) {
        if (!ended) throw error
        // What is at an end stays at an end: mail that arrived is not sent again because its paperwork failed.
        log.error('delivery.outcome-not-told', { id: mail.id, outcome: words(results), cause: String(error) })
        return ending
      }
    })
    options.onConcluded?.()
    for (const { kind } of results) metrics.count('delivery_outcomes', { outcome: kind, kind: mail.kind })
    const told = { id: mail.id, trail: mail.trail }
    if (ended) log.info('delivery.ended', { ...told, outcome: words(results) })
    else log.info('delivery.retry', { ...told, tries: mail.tries, waitMs: nextAt - clock.now() })
  }

  /**
   * Ends a try that left somebody waiting: the job comes back for them, or their time is over. `mail.tries` counts the try;
   * `others` are those of its recipients who wait no more.
   */
  function retry(
    job: ClaimedJob,
    mail: OutboundJob,
    trouble: { readonly host?: string; readonly detail: string },
    { planned, others = [], apart = [] }: Retry = {},
  ): Promise<void> {
    const nextAt = planned ?? nextAttemptAt(mail, clock.now(), schedule, options.random)
    const over = nextAt === undefined || clock.now() >= endOf(mail, schedule)
    const named = new Set([...others, ...apart].flatMap(({ to }) => to))
    const all = mail.to.filter((recipient) => !named.has(recipient))
    const groups = [...(all.length > 0 ? [{ ...trouble, to: all }] : []), ...apart]
    const ends = groups.map(
      (group): DeliveryResult => (over ? { ...group, kind: 'expired' } : { ...group, kind: 'retry', nextAt }),
    )
    return over ? conclude(job, mail, [...others, ...ends]) : conclude(job, mail, [...others, ...ends], nextAt)
  }

  async function make(job: ClaimedJob, mail: OutboundJob): Promise<void> {
    if (!options.prepare) throw new TypeError('nothing is made for this queue')
    const made = await options.prepare(mail)
    switch (made.kind) {
      case 'refused':
        return conclude(job, mail, [{ kind: 'refused', refusal: made, to: mail.to }])
      case 'undecided':
        return retry(job, { ...mail, tries: mail.tries + 1 }, { detail: `${made.cause}: ${made.detail}` })
      case 'sealed': {
        const sealed: OutboundJob = { ...mail, stage: 'sealed', body: made.wire, tries: 0 }
        await settle(() => ({ release: [{ job, dueAt: job.dueAt, payload: encodeOutbound(sealed) }] }))
      }
    }
  }

  /** Comes back when those before it in the same direction had their turn. */
  async function park(job: ClaimedJob, before: number): Promise<void> {
    const waitMs = Math.min(workerLimits.busyMaxMs, workerLimits.busyMs * Math.ceil(before / perDomain))
    await settle(() => ({ release: [{ job, dueAt: clock.now() + waitMs }] }))
  }

  /** Tries once, over the connection that is ours now; answers what makes the outcome true, which needs no connection. */
  async function send(job: ClaimedJob, mail: OutboundJob): Promise<() => Promise<void>> {
    const before = await begunBefore(mail)
    if (before) {
      // The process died in that try. If it got further than we know, the bytes are the same.
      const detail = `try ${before.tries} was interrupted`
      const planned = Math.max(before.nextAt, clock.now())
      return () => retry(job, { ...mail, tries: before.tries }, { detail }, { planned })
    }
    const wire = await wireOf(mail)
    if (!wire) {
      log.error('delivery.message-lost', { id: mail.id, trail: mail.trail })
      return () => conclude(job, mail, [{ kind: 'failed', detail: 'the stored message is gone', to: mail.to }])
    }
    const tried: OutboundJob = { ...mail, tries: mail.tries + 1 }
    const nextAt = nextAttemptAt(tried, clock.now(), schedule, options.random) ?? clock.now()
    const begun: Begun = { tries: tried.tries, nextAt }
    await store.commit({ put: [{ key: begunKey(mail), value: Buffer.from(JSON.stringify(begun)) }] })
    const startedAt = performance.now()
    const { from, to, system } = mail
    const outcome = await options.attempt({ from, to, wire, ...(system !== undefined && { system }) })
    metrics.observe('delivery_attempt_seconds', (performance.now() - startedAt) / 1000, { outcome: outcome.kind })
    const { ended, waiting, trouble } = sorted(tried, outcome)
    if (waiting.length === 0 && !trouble) return () => conclude(job, tried, ended)
    return () => retry(job, tried, trouble ?? { detail: '' }, { others: ended, apart: waiting })
  }

  /** The bytes to send; undefined where their blob is gone. */
  async function wireOf(mail: OutboundJob): Promise<Wire | undefined> {
    const { stage, body, blob } = mail
    if (stage === 'stored') return options.stored?.(mail)
    if (!blob) return body
    const { blobs } = options
    if (!(await blobs?.get(blob.name))) return undefined
    return {
      sizeBytes: blob.sizeBytes,
      async *chunks() {
        const chunks = await blobs?.get(blob.name)
        if (chunks) yield* chunks
      },
    }
  }

  async function begunBefore(mail: OutboundJob): Promise<Begun | undefined> {
    const row = await store.get(begunKey(mail))
    return row && (JSON.parse(Buffer.from(row.value).toString('utf8')) as Begun)
  }

  async function handle(job: ClaimedJob): Promise<void> {
    const mail = decodeOutbound(job.payload)
    if (!mail) {
      log.error('delivery.unreadable-job', { id: job.id })
      metrics.count('delivery_unreadable')
      return settle(() => ({ release: [{ job, dueAt: clock.now() + workerLimits.unreadableMs }] }))
    }
    if (mail.stage === 'owed') return make(job, mail)

    const lane = await lanes.enter(mail.system ?? domainOf(mail.to[0] as DirectAddress), job.id)
    if (lane.kind === 'busy') return park(job, lane.before)
    const settleIt = await send(job, mail).finally(lane.leave)
    await settleIt()
  }

  return startWork({
    store,
    queue: options.queue ?? outboundQueue,
    concurrency: options.concurrency ?? workerLimits.concurrency,
    leaseMs: options.leaseMs ?? workerLimits.leaseMs,
    clock,
    ...(options.idleMs !== undefined && { idleMs: options.idleMs }),
    handle,
    onError(error, job) {
      log.error('delivery.error', { cause: String(error), ...(job && { id: job.id }) })
      metrics.count('delivery_errors')
    },
  })
}

/** What a retry may be told beyond its trouble. */
interface Retry {
  /** When the next try was planned before this one began. */
  readonly planned?: number
  /** Recipients at their end. */
  readonly others?: readonly DeliveryResult[]
  /** Recipients who wait for reasons of their own. */
  readonly apart?: readonly Trouble[]
}

/** Recipients who wait, and why. */
interface Trouble {
  readonly to: readonly DirectAddress[]
  readonly host?: string
  readonly detail: string
}

/** One try's outcome, recipient by recipient: those at their end, those who wait for a reply of their own, and why the rest wait. */
function sorted({ to }: OutboundJob, { apart = [], ...outcome }: AttemptOutcome) {
  const host = outcome.host === undefined ? {} : { host: outcome.host }
  const rest = to.filter((recipient) => !apart.some((one) => one.recipient === recipient))
  const ended: DeliveryResult[] = []
  const waiting: Trouble[] = []
  if (outcome.kind === 'delivered' && rest.length > 0)
    ended.push({ kind: 'delivered', host: outcome.host, reply: outcome.reply, to: rest })
  if (outcome.kind === 'permanent' && rest.length > 0)
    ended.push({ kind: 'failed', ...host, detail: outcome.detail, to: rest })
  for (const { recipient, kind, detail } of apart) {
    if (kind === 'permanent') ended.push({ kind: 'failed', ...host, detail, to: [recipient] })
    else waiting.push({ ...host, detail, to: [recipient] })
  }
  const trouble = outcome.kind === 'temporary' && rest.length > 0 ? { ...host, detail: outcome.detail } : undefined
  return { ended, waiting, trouble }
}

function words(results: readonly DeliveryResult[]): string {
  return [...new Set(results.map(({ kind }) => kind))].join(' ')
}
