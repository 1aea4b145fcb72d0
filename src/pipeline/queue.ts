import { type DirectAddress, domainOf } from '../direct/address.js'
import { refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Audit } from '../ports/audit.js'
import { type Batch, type ClaimedJob, type StandingJob, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import {
  begunKey,
  decodeOutbound,
  edgeQueue,
  encodeOutbound,
  type OutboundJob,
  outboundQueue,
  releaseHold,
} from '../spool/outbound.js'
import { type Submissions, submissionQueue } from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import { eachOf } from './each.js'
import type { NoticeOutcome } from './notices.js'
import { mailQueues, mayNot, type QueueAction, queueNames } from './queue-rules.js'
import { describeJob, type QueuedMail, type QueueState, stateOf } from './queued.js'

export const queueLimits = {
  /** Longer than one commit takes; whoever dies in between holds the job no longer than this. */
  leaseMs: 30_000,
  /** A worker lets go of most jobs within this: asked so often, so far apart. */
  busyTries: 5,
  busyWaitMs: 300,
  /** Jobs read at once: each may bring a message of 192 KiB along. */
  pageJobs: 50,
  /** Jobs looked at for one page of a list, whatever its filter leaves of them. */
  lookedAt: 5_000,
  /** One page of a list. */
  listed: 200,
  /** Jobs that one command for a domain changes. */
  together: 10_000,
  /** Of these at a time: they share their commits. */
  atOnce: 16,
  /** A conflict means that somebody else wrote the same state; more rounds than this is a bug. */
  rounds: 8,
  /** A reason is a line for people. */
  reasonChars: 200,
} as const

/**
 * When a job on hold is due: beyond reach, and yet a moment like any other, so that it survives restarts, backups and
 * moving. What is due then or later is on hold.
 */
export const onHoldAt = Date.UTC(9999, 0, 1)

export interface QueueFilter {
  /** One queue, whatever it is of. */
  readonly queue?: string | undefined
  /** Deadlines and upkeep too; without it, and without a queue, messages on their way only. */
  readonly all?: boolean | undefined
  /** Some recipient is of this domain, or is this address. */
  readonly domain?: string | undefined
  readonly recipient?: string | undefined
  readonly state?: QueueState | undefined
}

/** Who acts, and why. */
export interface QueueActor {
  readonly by: string
  /** For the audit log and the trail: a line without anything about patients. */
  readonly reason?: string | undefined
}

export type QueueOutcome =
  /** What it was before. */
  | { readonly kind: 'done'; readonly mail: QueuedMail }
  | { readonly kind: 'not-found' }
  /** A worker has it now. */
  | { readonly kind: 'busy' }
  /** This cannot be done to it; what can, in words. */
  | { readonly kind: 'not-so'; readonly detail: string }

export type QueuePage =
  | { readonly kind: 'page'; readonly mail: readonly QueuedMail[]; readonly next?: string }
  | { readonly kind: 'bad-cursor' }

/** What waits in every queue, for operators: what it is, and what may be done to it. */
export interface Queues {
  /** Queue by queue, each in order of due time; a page may be short and still have a next one. */
  list(
    filter: QueueFilter,
    page?: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
  ): Promise<QueuePage>
  show(
    queue: string,
    id: string,
  ): Promise<{ readonly mail: QueuedMail; readonly steps: readonly TrailStep[] } | undefined>
  /**
   * `hold`: nothing is tried until it is released. `release`: due now, where it was on hold. `retry`: due now. `cancel`: never
   * tried again; the sender of a message is told, as he is of any other failure, and who asked whether it arrived at its
   * destination. Never done to a job that a worker has: it is waited for, and then `busy`. Audited, with the change.
   */
  act(action: QueueAction, queue: string, id: string, actor: QueueActor): Promise<QueueOutcome>
  /** The same for everything in a queue that goes to a domain, as far as it may be done. */
  actOnAll(
    action: QueueAction,
    filter: QueueFilter & { readonly queue: string; readonly domain: string },
    actor: QueueActor,
  ): Promise<{
    readonly done: readonly QueuedMail[]
    readonly busy: number
    readonly not: number
    readonly more: boolean
  }>
}

/** What else becomes true with the end of a job of one of the outgoing queues, as delivery asks for it. */
export type EndParts = (
  job: OutboundJob,
  results: readonly (NoticeOutcome & { readonly to: readonly DirectAddress[] })[],
) => Batch | Promise<Batch>

export interface QueuePorts {
  readonly store: Store
  readonly submissions: Pick<Submissions, 'get'>
  readonly trail: Pick<Trail, 'steps' | 'read'>
  readonly audit: Audit
  readonly clock: Clock
  /** What the end of mail makes true, by the queue it waits in: `cancelWaiting`, `outcomesOf`, `edgeOutcomesOf`. */
  readonly ends: {
    readonly [submissionQueue]: (job: ClaimedJob, why: string) => Promise<Batch>
    readonly [outboundQueue]: EndParts
    readonly [edgeQueue]: EndParts
  }
  /** Tells the worker of a queue to look now. */
  nudge(queue: string): void
  /** Resolves after so long. */
  pause(ms: number): Promise<void>
}

export function openQueues(
  ports: QueuePorts,
  limits: { readonly [name in keyof typeof queueLimits]: number } = queueLimits,
): Queues {
  const { store } = ports
  const describe = (queue: string, job: StandingJob) => describeJob(queue, job, onHoldAt, ports)

  /** Jobs of some queues from a place on, in order, at most `lookedAt`. */
  async function* walk(
    queues: readonly string[],
    state?: QueueState,
    from?: Place,
  ): AsyncGenerator<{ queue: string; job: StandingJob }> {
    let looked = 0
    for (const queue of queues) {
      // What is on hold stands behind all the rest.
      const start = state === 'on-hold' ? { dueAt: onHoldAt - 1, id: lastId } : undefined
      let after: Pick<StandingJob, 'dueAt' | 'id'> | undefined = queue === from?.queue ? from : start
      for (;;) {
        const page = await store.jobs(queue, limits.pageJobs, after)
        for (const job of page) {
          yield { queue, job }
          if (++looked >= limits.lookedAt) return
        }
        after = page.at(-1)
        if (page.length < limits.pageJobs) break
      }
    }
  }

  async function list(
    filter: QueueFilter,
    { limit = limits.listed, cursor }: { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<QueuePage> {
    const from = cursor === undefined ? undefined : readCursor(cursor)
    if (cursor !== undefined && !from) return { kind: 'bad-cursor' }
    const asked = filter.all ? queueNames : mailQueues
    const named = filter.queue === undefined ? asked : queueNames.filter((name) => name === filter.queue)
    if (from && !named.includes(from.queue)) return { kind: 'bad-cursor' }
    const queues = from ? named.slice(named.indexOf(from.queue)) : named
    const mail: QueuedMail[] = []
    let looked = 0
    for await (const { queue, job } of walk(queues, filter.state, from)) {
      looked++
      const place = { queue, dueAt: job.dueAt, id: job.id }
      // By its time alone most are passed over unread.
      if (filter.state === undefined || stateOf(job, onHoldAt) === filter.state) {
        const one = await describe(queue, job)
        if (matches(one, filter)) mail.push(await troubled(one, ports))
      }
      if (mail.length >= Math.min(limit, limits.listed) || looked >= limits.lookedAt)
        return { kind: 'page', mail, next: writeCursor(place) }
    }
    return { kind: 'page', mail }
  }

  return {
    list,
    async show(queue, id) {
      const job = queueNames.includes(queue) && isJobId(id) ? await store.job(queue, id) : undefined
      if (!job) return undefined
      const mail = await describe(queue, job)
      return {
        mail: await troubled(mail, ports),
        steps: mail.trail === undefined ? [] : await ports.trail.read(mail.trail),
      }
    },
    act: (action, queue, id, actor) => act(ports, limits, action, queue, id, actor),
    async actOnAll(action, filter, actor) {
      const found: QueuedMail[] = []
      let more = false
      let from: Place | undefined
      // All of them first: what is changed stands elsewhere in the queue afterwards.
      do {
        let looked = 0
        let last: Place | undefined
        for await (const { queue, job } of walk([filter.queue], filter.state, from)) {
          looked++
          last = { queue, dueAt: job.dueAt, id: job.id }
          const one = await describe(queue, job)
          if (matches(one, filter)) found.push(one)
        }
        from = looked >= limits.lookedAt ? last : undefined
        more = found.length > limits.together
      } while (from && !more)
      const outcomes = await eachOf(found.slice(0, limits.together), limits.atOnce, ({ id }) =>
        act(ports, limits, action, filter.queue, id, actor),
      )
      return {
        done: outcomes.flatMap((one) => (one.kind === 'done' ? [one.mail] : [])),
        busy: outcomes.filter(({ kind }) => kind === 'busy').length,
        not: outcomes.filter(({ kind }) => kind === 'not-so').length,
        more,
      }
    },
  }
}

async function act(
  ports: QueuePorts,
  limits: { readonly [name in keyof typeof queueLimits]: number },
  action: QueueAction,
  queue: string,
  id: string,
  { by, reason }: QueueActor,
): Promise<QueueOutcome> {
  const { store, pause } = ports
  if (!queueNames.includes(queue) || !isJobId(id)) return { kind: 'not-found' }
  const why =
    reason
      ?.replace(/\p{C}+/gu, ' ')
      .slice(0, limits.reasonChars)
      .trim() ?? ''
  for (let triesLeft = limits.busyTries; triesLeft > 0; triesLeft--) {
    const seen = await store.job(queue, id)
    if (!seen) return { kind: 'not-found' }
    const fault = mayNot(action, queue, stateOf(seen, onHoldAt))
    if (fault !== undefined) return { kind: 'not-so', detail: fault }
    const job = await store.claimJob(queue, id, limits.leaseMs)
    if (job === undefined) return { kind: 'not-found' }
    if (job !== 'held') {
      const outcome = await change(ports, limits.rounds, action, job, { by, why })
      if (outcome.kind === 'done') ports.nudge(queue)
      return outcome
    }
    if (triesLeft > 1) await pause(limits.busyWaitMs)
  }
  return { kind: 'busy' }
}

/** What an operator does to a job that is his for now, all in one commit. */
async function change(
  ports: QueuePorts,
  rounds: number,
  action: QueueAction,
  job: ClaimedJob,
  actor: { readonly by: string; readonly why: string },
): Promise<QueueOutcome> {
  const { store } = ports
  const { queue } = job
  const before = await describeJob(queue, { ...job, attempt: job.attempt - 1, held: false }, onHoldAt, ports)
  // Between the look and the claim a worker may have changed it.
  const fault =
    mayNot(action, queue, stateOf({ ...job, held: false }, onHoldAt)) ??
    (before.kind === 'unreadable' && action === 'cancel'
      ? 'it cannot be read, so that nobody could be told: run verify'
      : undefined)
  if (fault !== undefined) {
    await store.commit({ release: [{ job, dueAt: job.dueAt }] })
    return { kind: 'not-so', detail: fault }
  }
  for (let round = 0; round < rounds; round++) {
    const parts = action === 'cancel' ? await cancelled(ports, job, actor) : await setBack(ports, action, job)
    const { kind } = await store.commit(together(parts, told(ports, action, before, actor)))
    if (kind === 'committed') return { kind: 'done', mail: before }
    // The lease ran out: whoever has it now goes on with it.
    if (kind === 'lease-lost') return { kind: 'busy' }
  }
  throw new Error(`Changing a job of ${queue} conflicted ${rounds} times`)
}

/** Parts that give the job back with another time. */
async function setBack({ store, clock }: QueuePorts, action: QueueAction, job: ClaimedJob): Promise<Batch> {
  const dueAt = action === 'hold' ? onHoldAt : clock.now()
  const mail = isOutgoing(job.queue) ? decodeOutbound(job.payload) : undefined
  const begun = mail && action !== 'hold' ? await store.get(begunKey(mail)) : undefined
  if (!mail || !begun) return { release: [{ job, dueAt }] }
  // A try that the process did not survive. It counts; its wait is what the operator cuts short.
  const { tries } = JSON.parse(Buffer.from(begun.value).toString('utf8')) as { readonly tries: number }
  return { release: [{ job, dueAt, payload: encodeOutbound({ ...mail, tries }) }], del: [begun.key] }
}

/** Parts that end a message on its way out as one that never arrives. */
async function cancelled(ports: QueuePorts, job: ClaimedJob, { why }: { readonly why: string }): Promise<Batch> {
  if (job.queue === submissionQueue) return together({ ack: [{ job }] }, await ports.ends[submissionQueue](job, why))
  const mail = decodeOutbound(job.payload)
  if (!mail) throw new Error(`the job ${job.id} cannot be read`)
  const ending = together({ ack: [{ job }], del: [begunKey(mail)] }, releaseHold(mail))
  // Of a notice its sender is told by nobody: the far side takes its own message for lost in its own time.
  if (mail.kind === 'mdn') return ending
  const end = ports.ends[job.queue === edgeQueue ? edgeQueue : outboundQueue]
  return together(ending, await end(mail, [{ kind: 'refused', refusal: refused('cancelled', why), to: mail.to }]))
}

const words = {
  hold: { step: 'on-hold', done: 'put on hold' },
  release: { step: 'released', done: 'released' },
  retry: { step: 'retried', done: 'to be tried at once' },
  cancel: { step: 'cancelled', done: 'cancelled' },
} as const satisfies Record<QueueAction, { readonly step: TrailStep['step']; readonly done: string }>

/** The audit entry of what was done, and a step for each recipient of mail that has a trail. */
function told(
  { trail, audit, clock }: QueuePorts,
  action: QueueAction,
  { queue, id, trail: of, to }: QueuedMail,
  { by, why }: { readonly by: string; readonly why: string },
): Batch {
  const at = clock.now()
  const subject = { queue, job: id, ...(of !== undefined && { spool: of }) }
  const entry = {
    at,
    action: `queue.${action}`,
    actor: by,
    subject,
    outcome: 'success',
    ...(why && { reason: why }),
  } as const
  const detail = `${words[action].done} by ${by}${why && `: ${why}`}`
  const steps = to.map((recipient): TrailStep => ({ at, step: words[action].step, recipient, detail }))
  return together({ append: [audit.entry(entry)] }, of === undefined ? {} : trail.steps(of, steps))
}

function matches({ to, state }: QueuedMail, filter: QueueFilter): boolean {
  const { domain, recipient } = filter
  return (
    (filter.state === undefined || state === filter.state) &&
    (domain === undefined || to.some((one) => domainOf(one) === domain.toLowerCase())) &&
    (recipient === undefined || to.some((one) => one === recipient.toLowerCase()))
  )
}

const troubles: readonly TrailStep['step'][] = ['undecided', 'attempted', 'notice-attempted', 'edge-attempted']

/** With the last trouble that its trail tells of. */
async function troubled(mail: QueuedMail, { trail }: QueuePorts): Promise<QueuedMail> {
  if (mail.trail === undefined) return mail
  const steps = (await trail.read(mail.trail)).filter(
    ({ step, recipient }) => troubles.includes(step) && (recipient === undefined || mail.to.includes(recipient)),
  )
  const last = steps.at(-1)
  return last ? { ...mail, trouble: last.detail } : mail
}

const isOutgoing = (queue: string) => queue === outboundQueue || queue === edgeQueue
/** Behind every id of one moment. */
const lastId = '\u{10ffff}'
const isJobId = (id: string) => id.length > 0 && id.length <= 200 && !/\p{C}/u.test(id)

interface Place extends Pick<StandingJob, 'dueAt' | 'id'> {
  readonly queue: string
}

function writeCursor({ queue, dueAt, id }: Place): string {
  return Buffer.from(`${queue} ${dueAt} ${id}`).toString('base64url')
}

function readCursor(cursor: string): Place | undefined {
  const read = /^([a-z]+) (\d{1,16}) (.+)$/s.exec(Buffer.from(cursor, 'base64url').toString('utf8'))
  const [, queue = '', dueAt = '', id = ''] = read ?? []
  return read && queueNames.includes(queue) && isJobId(id) ? { queue, dueAt: Number(dueAt), id } : undefined
}
