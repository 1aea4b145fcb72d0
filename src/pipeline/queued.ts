import type { DirectAddress } from '../direct/address.js'
import type { StandingJob } from '../ports/store.js'
import { decodeOutbound, edgeQueue, outboundQueue } from '../spool/outbound.js'
import { decodeSpooled } from '../spool/payload.js'
import { inboundQueue } from '../spool/spool.js'
import { type Submissions, submissionQueue, trackingQueue } from '../spool/submission.js'

/** `held`: a worker has it now. `on-hold`: an operator said so. `waiting`: for its time, or for a worker. */
export const queueStates = ['waiting', 'held', 'on-hold'] as const
export type QueueState = (typeof queueStates)[number]

/** A job as people see it: ids and addresses, nothing of what a message says. */
export interface QueuedMail {
  readonly queue: string
  readonly id: string
  /** `accepted`: mail to be judged. `submitted`: to be sealed. `deadline`: of a submission. `work`: not about one message. */
  readonly kind: 'accepted' | 'submitted' | 'message' | 'notice' | 'edge' | 'deadline' | 'work' | 'unreadable'
  readonly state: QueueState
  /** What `trace` takes. */
  readonly trail?: string
  /** Null: the reverse-path of notices. */
  readonly from?: DirectAddress | null
  /** Who still waits for it. */
  readonly to: readonly DirectAddress[]
  /** The system of ours that it goes to. */
  readonly system?: string
  /** Since when it waits, Unix milliseconds. */
  readonly since?: number
  /** When it is due, Unix milliseconds; on hold it never is. */
  readonly dueAt: number
  /** How often it was tried: dialogues begun, or claims where there are none. */
  readonly tries: number
  /** What stood in its way the last time. */
  readonly trouble?: string
}

export function stateOf({ held, dueAt }: Pick<StandingJob, 'held' | 'dueAt'>, onHoldAt: number): QueueState {
  if (held) return 'held'
  return dueAt >= onHoldAt ? 'on-hold' : 'waiting'
}

/** Reads a job of any queue for people; `unreadable` where only damage or a newer version explains it. */
export async function describeJob(
  queue: string,
  job: StandingJob,
  onHoldAt: number,
  { submissions }: { readonly submissions: Pick<Submissions, 'get'> },
): Promise<QueuedMail> {
  const { id, dueAt, attempt } = job
  const base = { queue, id, state: stateOf(job, onHoldAt), dueAt, tries: attempt }
  const unreadable = { ...base, kind: 'unreadable', to: [] } as const
  switch (queue) {
    case outboundQueue:
    case edgeQueue: {
      const mail = decodeOutbound(job.payload)
      if (!mail) return unreadable
      const { kind, trail, from, to, system, tries, owedAt } = mail
      const told = { trail, from, to, ...(system !== undefined && { system }), since: owedAt, tries }
      return { ...base, kind: kind === 'mdn' ? 'notice' : kind, ...told }
    }
    case inboundQueue: {
      const spooled = decodeSpooled(job.payload)
      if (!spooled) return unreadable
      const { envelope, pending, firstAcceptedAt } = spooled
      return {
        ...base,
        kind: 'accepted',
        trail: spooled.id,
        from: envelope.mailFrom,
        to: pending,
        since: firstAcceptedAt,
      }
    }
    case submissionQueue:
    case trackingQueue: {
      const named = nameOf(job.payload)
      const stored = named && (await submissions.get(named.mailbox, named.id))
      if (!stored) return unreadable
      const { submission } = stored
      const open = submission.recipients.filter(({ state }) =>
        queue === submissionQueue ? state === 'waiting' : state !== 'failed' && state !== 'dispatched',
      )
      return {
        ...base,
        kind: queue === submissionQueue ? 'submitted' : 'deadline',
        trail: submission.id,
        from: submission.from,
        to: open.map(({ recipient }) => recipient),
        since: submission.submittedAt,
      }
    }
    default:
      return { ...base, kind: 'work', to: [] }
  }
}

function nameOf(payload: Uint8Array): { readonly id: string; readonly mailbox: string } | undefined {
  try {
    const { id, mailbox } = JSON.parse(Buffer.from(payload).toString('utf8')) as Record<string, unknown>
    return typeof id === 'string' && typeof mailbox === 'string' ? { id, mailbox } : undefined
  } catch {
    return undefined
  }
}
