import { createHash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, type Refused, refused, type UndecidedCause } from '../direct/refusal.js'
import type { Audit } from '../ports/audit.js'
import { type BodyPorts, keepBody, readBody } from '../ports/body.js'
import { type Batch, type ClaimedJob, type Entry, together, within } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { contentId, json, timeKey, utf8 } from './payload.js'
import type { TrailWriter } from './trail.js'

/** The queue of messages that somebody here wrote and whose recipients were not all looked up yet. */
export const submissionQueue = 'submission'

/** The queue of deadlines: one job for each submission, until each of its recipients has come to an end. */
export const trackingQueue = 'tracking'

export const submissionLimits = {
  /** Sealed and in base64 it is 1.37 times as large, which stays below the 60 MiB that gateways take. */
  messageBytes: 42 * 1024 * 1024,
  /** As many as one message from outside may have: RFC 5321 §4.5.3.1.8. */
  recipients: 100,
  /** Page size when none is asked for, and at most. */
  pageDefault: 50,
  pageMax: 200,
  /** A reply or a reason is a line for people. */
  detailChars: 500,
  /** RFC 5322 §2.1.1. */
  subjectChars: 998,
  /** Submissions under one Message-ID: a message for many goes in with 100 recipients at a time; more than this is a loop. */
  answering: 50,
} as const

/**
 * How far one recipient has come, in this order. `waiting`: no certificate was chosen yet. `queued`: sealed, on its way.
 * `sent`: his gateway took it. `processed`: it says that it trusts and took over the message. `dispatched`: it says that the
 * message reached its destination. `failed`: he does not get it, or nobody says that he did; the sender was told.
 */
export const recipientStates = ['waiting', 'queued', 'sent', 'processed', 'dispatched', 'failed'] as const

export interface RecipientState {
  readonly recipient: DirectAddress
  readonly state: (typeof recipientStates)[number]
  /** Since when, Unix milliseconds. */
  readonly since: number
  /** When he came to each state before this one. */
  readonly moments?: Partial<Record<(typeof recipientStates)[number], number>>
  /** He stands in neither To nor Cc. */
  readonly blind?: true
  /** Why he failed, or what is waited for. */
  readonly reason?: RefusalReason | UndecidedCause
  readonly detail?: string
  /** RFC 3463, as the notice to the sender says it. */
  readonly status?: string
  /** The job that carries it, while it is queued. */
  readonly job?: string
}

/** What the sender of a message asks to be told: that it was taken over, or that it reached its destination. */
export const confirmations = ['processed', 'dispatched'] as const
export type Confirmation = (typeof confirmations)[number]

/** Whether the recipient may still move by himself: for who asked for less, `processed` is enough. */
export function isOpen({ asks }: Pick<Submission, 'asks'>, { state }: Pick<RecipientState, 'state'>): boolean {
  return state === 'processed' ? asks === 'dispatched' : state !== 'dispatched' && state !== 'failed'
}

/** A recipient one state further; when he came to the one before stays with him, what was said of it does not. */
export function moved(
  before: RecipientState,
  state: RecipientState['state'],
  since: number,
  told: Pick<RecipientState, 'reason' | 'detail' | 'status' | 'job'> = {},
): RecipientState {
  const { recipient, blind } = before
  const detail = told.detail?.slice(0, submissionLimits.detailChars)
  return {
    ...{ recipient, state, since, moments: { ...before.moments, [before.state]: before.since } },
    ...(blind && { blind }),
    ...told,
    ...(detail !== undefined && { detail }),
  }
}

/** A message that somebody here sent, as its sender's outbox keeps it beside the message itself. */
export interface Submission {
  /** Also names the trail. Derived from sender, recipients and Message-ID, so that submitting again is recognised. */
  readonly id: string
  /** Id of the sender's mailbox. */
  readonly mailbox: string
  readonly from: DirectAddress
  /** With its angle brackets. */
  readonly messageId: string
  readonly subject: string
  /** Unix milliseconds. */
  readonly submittedAt: number
  readonly sizeBytes: number
  /** What tells one message from another under the same Message-ID, lower-case hex. */
  readonly fingerprint: string
  readonly recipients: readonly RecipientState[]
  /** What its sender asked to be told of each recipient; absent: of failures only. */
  readonly asks?: Confirmation
  /** It has a job of `trackingQueue` while somebody is before his end. Former versions had no deadlines. */
  readonly tracked?: true
  /** It is itself a notice: nothing is told of it, and nobody waits for answers to it (RFC 8098 §3). */
  readonly untracked?: true
  /** Further mailboxes that answers to it come to, beside the one it is sent from. */
  readonly answersTo?: readonly string[]
  /** How often sealing it ended without an answer. */
  readonly sealFailures?: number
}

/** A submission with the version that `change` takes as its precondition. */
export interface StoredSubmission {
  readonly submission: Submission
  readonly version: number
}

export interface NewSubmission extends Omit<Submission, 'id' | 'submittedAt' | 'sizeBytes' | 'recipients' | 'tracked'> {
  readonly recipients: readonly { readonly recipient: DirectAddress; readonly blind: boolean }[]
  /** The whole message, CRLF lines. */
  readonly message: Uint8Array
  /** Who asked for it: a token id, `system`. */
  readonly by: string
  /** When its deadlines are looked at first, from now; absent for what is not tracked. */
  readonly trackAfterMs?: number
  /** What becomes true with it; nothing of it where the message was submitted before. */
  readonly also?: Batch
}

export type SubmissionPage =
  | { readonly kind: 'page'; readonly submissions: readonly Submission[]; readonly next?: string }
  | { readonly kind: 'bad-cursor' }

/** What people here have sent: every message with what became of it for each recipient, newest first per mailbox. */
export interface Submissions {
  /**
   * Makes a message durable, sealed, and owed to its recipients; after this the gateway owns it. The same message again
   * answers the same id; another one under the same sender, recipients and Message-ID is refused `message-id-reused`.
   */
  submit(
    message: NewSubmission,
  ): Promise<{ readonly kind: 'submitted'; readonly id: string; readonly duplicate: boolean } | Refused>
  /** Which submission a job of `submissionQueue` or `trackingQueue` is about; undefined where only damage explains its payload. */
  read(job: ClaimedJob): { readonly id: string; readonly mailbox: string } | undefined
  get(mailbox: string, id: string): Promise<StoredSubmission | undefined>
  /** The submissions under this Message-ID whose answers come to this mailbox: one message may be submitted in pieces. */
  answering(mailbox: string, messageId: string): Promise<readonly StoredSubmission[]>
  /** The message as it was submitted, opened frame by frame; undefined where it is gone. */
  message(mailbox: string, id: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Parts that put another state in the place of the stored one; a conflict where somebody else did. */
  change(stored: StoredSubmission, changed: Submission): Promise<Batch>
  list(
    mailbox: string,
    query: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
  ): Promise<SubmissionPage>
}

export interface SubmissionPorts extends BodyPorts {
  readonly clock: Clock
  readonly audit: Audit
  readonly trail: TrailWriter
}

export function openSubmissions(ports: SubmissionPorts): Submissions {
  const { store, vault } = ports
  const open = async (mailbox: string, row: Entry): Promise<StoredSubmission> => {
    const plain = await vault.open(ownerOf(mailbox), row.key, row.value)
    return { submission: JSON.parse(utf8(plain)) as Submission, version: row.version }
  }
  const get: Submissions['get'] = async (mailbox, id) => {
    const row = isSubmissionId(id) ? await store.get(stateKey(mailbox, id)) : undefined
    return row && open(mailbox, row)
  }
  return {
    submit: (message) => submit(ports, get, message),
    read: readJob,
    get,
    async answering(mailbox, messageId) {
      const prefix = answerKey(mailbox, messageId, '')
      const rows = await store.range({ ...within(prefix), limit: submissionLimits.answering })
      const found = await Promise.all(rows.map(({ key, value }) => get(utf8(value), key.slice(prefix.length))))
      return found.flatMap((one) => one ?? [])
    },
    async message(mailbox, id) {
      return isSubmissionId(id) ? readBody(ports, ownerOf(mailbox), bodyKey(mailbox, id)) : undefined
    },
    async change({ submission: { mailbox, id }, version }, changed) {
      const key = stateKey(mailbox, id)
      return { require: [{ key, version }], put: [{ key, value: await sealed(ports, changed) }] }
    },
    async list(mailbox, { limit = submissionLimits.pageDefault, cursor }) {
      const position = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
      if (position !== undefined && !/^\d{15}\/[a-z2-7]{26}$/.test(position)) return { kind: 'bad-cursor' }
      const prefix = `submission/${mailbox}/time/`
      const size = Math.min(Math.max(1, Math.trunc(limit)), submissionLimits.pageMax)
      const lt = position === undefined ? within(prefix).lt : prefix + position
      const rows = await store.range({ gte: prefix, lt, limit: size + 1, reverse: true })
      const page = rows.slice(0, size)
      const found = await Promise.all(page.map(({ key }) => get(mailbox, key.slice(key.lastIndexOf('/') + 1))))
      const last = rows.length > size ? page.at(-1) : undefined
      return {
        kind: 'page',
        submissions: found.flatMap((one) => one?.submission ?? []),
        ...(last && { next: Buffer.from(last.key.slice(prefix.length)).toString('base64url') }),
      }
    },
  }
}

/** Where the state of a submission stands. */
export function stateKey(mailbox: string, id: string): string {
  return `submission/${mailbox}/state/${id}`
}

export function bodyKey(mailbox: string, id: string): string {
  return `submission/${mailbox}/body/${id}`
}

export function timeRowKey({ mailbox, submittedAt, id }: Pick<Submission, 'mailbox' | 'submittedAt' | 'id'>): string {
  return `submission/${mailbox}/time/${timeKey(submittedAt)}/${id}`
}

/** Where a submission is found by what answers to it name; the value is the mailbox it was sent from. */
export function answerKey(mailbox: string, messageId: string, id: string): string {
  return `submission/${mailbox}/message-id/${createHash('sha256').update(messageId).digest('hex')}/${id}`
}

/** Owner of the data key for what a mailbox has sent. */
export function ownerOf(mailbox: string): string {
  return `submission/${mailbox}`
}

export function isSubmissionId(text: string): boolean {
  return /^[a-z2-7]{26}$/.test(text)
}

async function sealed({ vault }: SubmissionPorts, submission: Submission): Promise<Uint8Array> {
  const { mailbox, id } = submission
  return vault.seal(ownerOf(mailbox), stateKey(mailbox, id), json(submission))
}

/** One synced commit: the message, its state, the job, the trail and the audit. */
async function submit(
  ports: Required<SubmissionPorts>,
  get: Submissions['get'],
  { message, by, recipients, answersTo = [], trackAfterMs, also = {}, ...told }: NewSubmission,
): ReturnType<Submissions['submit']> {
  const { store, clock, audit, trail } = ports
  const { mailbox, from, messageId } = told
  const id = contentId('submission', from, messageId, ...recipients.map(({ recipient }) => recipient).sort())
  const known = await get(mailbox, id)
  if (known) return again(known.submission, told.fingerprint)

  const at = clock.now()
  const submission: Submission = {
    ...told,
    id,
    subject: told.subject.slice(0, submissionLimits.subjectChars),
    submittedAt: at,
    sizeBytes: message.length,
    ...(trackAfterMs !== undefined && { tracked: true }),
    ...(answersTo.length > 0 && { answersTo }),
    recipients: recipients.map(({ recipient, blind }) => ({
      ...{ recipient, state: 'waiting', since: at },
      ...(blind && { blind }),
    })),
  }
  const key = stateKey(mailbox, id)
  const payload = json({ v: 1, id, mailbox })
  const detail = `submitted by ${by}: ${message.length} bytes for ${recipients.length} recipients`
  const subject = { spool: id, from, recipients: String(recipients.length) }
  const outcome = await store.commit(
    together(
      await keepBody(ports, ownerOf(mailbox), bodyKey(mailbox, id), message),
      {
        require: [{ key, version: 'absent' }],
        put: [
          { key, value: await sealed(ports, submission) },
          { key: timeRowKey(submission), value: new Uint8Array() },
          ...[...new Set([mailbox, ...answersTo])].map((to) => ({
            key: answerKey(to, messageId, id),
            value: Buffer.from(mailbox),
          })),
        ],
        enqueue: [
          { queue: submissionQueue, id, payload, dueAt: at },
          ...(trackAfterMs === undefined ? [] : [{ queue: trackingQueue, id, payload, dueAt: at + trackAfterMs }]),
        ],
        append: [audit.entry({ at, action: 'message.submit', actor: by, subject, outcome: 'success' })],
      },
      trail.steps(id, [{ at, step: 'accepted', detail }]),
      trail.names(id, { messageId }),
      also,
    ),
  )
  if (outcome.kind === 'committed') return { kind: 'submitted', id, duplicate: false }
  // A twin was faster.
  const twin = await get(mailbox, id)
  if (!twin) throw new Error(`Submitting ${id} conflicted with nothing`)
  return again(twin.submission, told.fingerprint)
}

function again({ id, fingerprint }: Submission, asked: string): Awaited<ReturnType<Submissions['submit']>> {
  if (fingerprint === asked) return { kind: 'submitted', id, duplicate: true }
  return refused('message-id-reused', `the other one is ${id}`)
}

function readJob({ payload }: Pick<ClaimedJob, 'payload'>): ReturnType<Submissions['read']> {
  try {
    const { v, id, mailbox } = JSON.parse(utf8(payload)) as { v: unknown; id: unknown; mailbox: unknown }
    if (v !== 1 || typeof id !== 'string' || !isSubmissionId(id) || typeof mailbox !== 'string') return undefined
    return { id, mailbox }
  } catch {
    return undefined
  }
}
