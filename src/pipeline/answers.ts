import { type DirectAddress, domainOf, spellings } from '../direct/address.js'
import { refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { AuditEntry } from '../ports/audit.js'
import { type Batch, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { heard } from '../spool/silence.js'
import {
  moved,
  type RecipientState,
  type StoredSubmission,
  type Submission,
  type Submissions,
} from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import { type FailedRecipient, type ReportPorts, reports } from './report.js'
import type { MailNotice, NoticeFinding } from './steps.js'

export interface AnswerPorts extends ReportPorts {
  readonly store: Pick<Store, 'get'>
  readonly submissions: Pick<Submissions, 'answering' | 'change'>
  readonly trail: Pick<Trail, 'steps'>
  readonly audit: { entry(entry: AuditEntry): NonNullable<Batch['append']>[number] }
  readonly clock: Clock
}

/** A trusted notice, as it came to one of our mailboxes. */
export interface Answering {
  readonly notice: Exclude<MailNotice, { kind: 'none' }>
  /** Who signed it, bound to From. */
  readonly from: DirectAddress
  /** Names its trail. */
  readonly spoolId: string
  /** The address and the mailbox it came to. */
  readonly address: DirectAddress
  readonly mailbox: string
}

/** What a notice came to. */
export interface Answer {
  /** It goes on into the mailbox, as any mail; otherwise it is swallowed. */
  readonly shown: boolean
  /** Every change it makes, fenced; an empty batch where it makes none. */
  readonly parts: Batch
  /** For its own trail. */
  readonly steps: readonly TrailStep[]
  readonly audit: readonly AuditEntry[]
  /** It ended the silence of a domain. */
  readonly endsSilence: boolean
  /** For counting: what became of each of its findings. */
  readonly outcomes: readonly AnswerOutcome[]
}

export type AnswerOutcome = 'confirmed' | 'failed' | 'late' | 'unmatched' | 'foreign' | 'meaningless'

/**
 * Finds what a trusted notice answers, and moves the recipients it speaks of (Delivery Notification IG §1.2, §1.3). The
 * sender is told once: `processed` only where he asked for that alone, `dispatched` only where he asked for it and the notice
 * carries the extension field, a failure always and by a notice of ours. All else is swallowed, save what people send
 * (`displayed`, `deleted`) and failures of messages that are none of ours. Changes nothing by itself.
 */
export async function answer(answering: Answering, ports: AnswerPorts): Promise<Answer> {
  const { notice, mailbox } = answering
  const at = ports.clock.now()
  const found =
    notice.originalMessageId === undefined ? [] : await ports.submissions.answering(mailbox, notice.originalMessageId)
  const submissions = new Map(found.map((stored) => [stored.submission.id, stored.submission]))
  const notes: Note[] = []
  for (const finding of notice.findings ?? []) {
    const word = wordOf(notice.kind, finding)
    const about = aboutWhom(finding, answering.from, [...submissions.values()])
    if (about.kind !== 'found') {
      notes.push({
        word,
        finding,
        outcome: word === 'nothing' ? 'meaningless' : about.kind,
        shown: isMail(word, finding),
      })
      continue
    }
    for (const { id, recipient } of about.places) {
      const submission = submissions.get(id) as Submission
      const note = noted(submission, recipient, word, finding, at)
      submissions.set(id, note.submission)
      notes.push({ ...note, word, finding, shown: note.shown || isPersonal(finding), about: { id, recipient } })
    }
  }
  if (notes.length === 0)
    notes.push({ word: 'nothing', finding: { disposition: '' }, outcome: 'meaningless', shown: false })
  const { parts, endsSilence } = await partsOf(answering, found, submissions, notes, at, ports)
  return {
    endsSilence,
    shown: notes.some(({ shown }) => shown),
    parts,
    steps: notes.map((note) => stepOf(note, answering, at)),
    audit: notes.flatMap((note) => auditOf(note, answering, at)),
    outcomes: notes.map(({ outcome }) => outcome),
  }
}

/** What a finding says of a message, in our words. */
type Word = 'processed' | 'dispatched' | 'failed' | 'nothing'

/** What became of one finding, for one recipient. */
interface Note {
  readonly word: Word
  readonly finding: NoticeFinding
  readonly outcome: AnswerOutcome
  readonly shown: boolean
  readonly about?: { readonly id: string; readonly recipient: DirectAddress }
}

/** `dispatched` ends a message only with the extension field (Delivery Notification IG §1.3); whoever saw it, got it. */
function wordOf(kind: 'mdn' | 'dsn', { disposition, finalDelivery }: NoticeFinding): Word {
  switch (disposition) {
    case 'failed':
      return 'failed'
    case 'denied':
      return kind === 'mdn' ? 'failed' : 'nothing'
    case 'dispatched':
      return finalDelivery && kind === 'mdn' ? 'dispatched' : kind === 'mdn' ? 'processed' : 'nothing'
    case 'processed':
    case 'displayed':
    case 'deleted':
      return kind === 'mdn' ? 'processed' : 'nothing'
    case 'delivered':
      return kind === 'dsn' ? 'processed' : 'nothing'
    default:
      return 'nothing'
  }
}

/** Words of a person to a person: never ours to swallow. */
function isPersonal({ disposition }: NoticeFinding): boolean {
  return disposition === 'displayed' || disposition === 'deleted'
}

/** Of a message that is none of ours, who reads the mailbox may know better. */
function isMail(word: Word, finding: NoticeFinding): boolean {
  return word === 'failed' || isPersonal(finding)
}

type About =
  | { readonly kind: 'found'; readonly places: readonly Place[] }
  /** Nobody, or several under one name. */
  | { readonly kind: 'unmatched' }
  /** The signer speaks for a recipient of another gateway. */
  | { readonly kind: 'foreign' }

interface Place {
  readonly id: string
  readonly recipient: DirectAddress
}

/**
 * Whom a finding speaks of: Final-Recipient, else Original-Recipient (RFC 8098 §3.2.3: the address that we used), else, where
 * neither stands there, the one who signed. First as written, then without a tag behind a plus sign.
 *
 * Who signs need not be the recipient: gateways answer from addresses of their own. But the sender, and the other recipients
 * of the message, who alone know its Message-ID, speak for nobody outside their own domain.
 */
function aboutWhom(
  { finalRecipient, originalRecipient }: NoticeFinding,
  from: DirectAddress,
  submissions: readonly Submission[],
): About {
  const sent = submissions.flatMap(({ id, recipients }) =>
    recipients.filter(({ state }) => state !== 'waiting').map(({ recipient }) => ({ id, recipient })),
  )
  const named = [finalRecipient, originalRecipient].flatMap((one) => one ?? [])
  const names = named.length > 0 ? named : [from]
  const places =
    names.map((name) => sent.filter(({ recipient }) => recipient === name)).find((some) => some.length > 0) ??
    names.map((name) => sent.filter(({ recipient }) => bare(recipient) === bare(name))).find(isOne)
  if (!places) return { kind: 'unmatched' }
  const [{ recipient }] = places as [Place]
  const speaks = domainOf(from)
  if (speaks === domainOf(recipient)) return { kind: 'found', places }
  const parties = submissions.flatMap((one) => [one.from, ...one.recipients.map((other) => other.recipient)])
  return parties.some((one) => domainOf(one) === speaks) ? { kind: 'foreign' } : { kind: 'found', places }
}

const bare = (address: DirectAddress) => spellings(address).at(-1)

function isOne(places: readonly Place[]): boolean {
  return new Set(places.map(({ recipient }) => recipient)).size === 1
}

/** How far the recipient is with it; nobody moves back, and nobody leaves an end. */
function noted(
  submission: Submission,
  recipient: DirectAddress,
  word: Word,
  { status }: NoticeFinding,
  at: number,
): { readonly submission: Submission; readonly outcome: AnswerOutcome; readonly shown: boolean } {
  const { asks, recipients } = submission
  const before = recipients.find((one) => one.recipient === recipient) as RecipientState
  const to = (after: RecipientState): Submission => ({
    ...submission,
    recipients: recipients.map((one) => (one === before ? after : one)),
  })
  if (word === 'nothing') return { submission, outcome: 'meaningless', shown: false }
  if (before.state === 'failed' || before.state === 'dispatched') return { submission, outcome: 'late', shown: false }
  if (word === 'failed') {
    const told = { reason: 'reported-failed', status: status?.startsWith('5.') ? status : '5.0.0' } as const
    return { submission: to(moved(before, 'failed', at, told)), outcome: 'failed', shown: false }
  }
  const state = word === 'dispatched' && asks === 'dispatched' ? 'dispatched' : 'processed'
  if (before.state === state) return { submission, outcome: 'late', shown: false }
  return { submission: to(moved(before, state, at)), outcome: 'confirmed', shown: asks === state }
}

/** The changed submissions, their trails, a notice of ours for each who failed, and that his domain spoke. */
async function partsOf(
  { from, spoolId }: Answering,
  found: readonly StoredSubmission[],
  submissions: ReadonlyMap<string, Submission>,
  notes: readonly Note[],
  at: number,
  ports: AnswerPorts,
): Promise<Pick<Answer, 'parts' | 'endsSilence'>> {
  const parts: Batch[] = []
  let endsSilence = false
  for (const stored of found) {
    const { id } = stored.submission
    const changed = submissions.get(id) as Submission
    const mine = notes.flatMap((note) => (note.about?.id === id ? [{ ...note, about: note.about }] : []))
    if (changed !== stored.submission) {
      const failed = changed.recipients.filter(
        (one, i): one is FailedRecipient => one !== stored.submission.recipients[i] && one.state === 'failed',
      )
      parts.push(await ports.submissions.change(stored, changed), await reports(stored.submission, failed, at, ports))
    }
    const told = mine.flatMap(({ about: { recipient }, word, outcome, finding, shown }): TrailStep[] => {
      const by = `${[finding.disposition, finding.status].filter(Boolean).join(' ')} by ${from}, in ${spoolId}`
      if (outcome === 'confirmed') {
        const { state } = changed.recipients.find((one) => one.recipient === recipient) as RecipientState
        const step = state === 'dispatched' ? 'dispatched' : 'processed'
        return [{ at, step, recipient, detail: shown ? `${by}; told to the sender` : by }]
      }
      if (outcome === 'failed')
        return [
          { at, step: 'failed', recipient, detail: by, refusal: refused('reported-failed', by) },
          { at, step: 'reported', recipient, detail: 'to the sender' },
        ]
      return [{ at, step: 'swallowed', recipient, detail: `${outcome} ${word}: ${by}` }]
    })
    parts.push(ports.trail.steps(id, told))
  }
  const domains = new Set(notes.flatMap(({ about }) => (about ? [domainOf(about.recipient)] : [])))
  for (const domain of domains) {
    const change = await heard(ports.store, domain, at)
    if (!change) continue
    endsSilence = true
    const entry = { at, action: 'domain.heard', actor: 'system', subject: { domain, spool: spoolId } }
    parts.push(change.parts, { append: [ports.audit.entry({ ...entry, outcome: 'success' })] })
  }
  return { parts: together(...parts), endsSilence }
}

function stepOf({ word, outcome, about, shown, finding }: Note, { address }: Answering, at: number): TrailStep {
  const of = about ? ` of ${about.recipient} in ${about.id}` : ''
  const detail = `${finding.disposition || 'no disposition'}${of}: ${outcome}, as ${word}`
  return { at, step: shown ? 'verified' : 'swallowed', recipient: address, detail }
}

function auditOf({ outcome, about, shown }: Note, { spoolId, address }: Answering, at: number): AuditEntry[] {
  const subject = { spool: spoolId, recipient: address, ...(about && { submission: about.id, about: about.recipient }) }
  const entry = { at, actor: 'system', subject }
  if (outcome === 'confirmed') return [{ ...entry, action: 'message.confirm', outcome: 'success' }]
  if (outcome === 'failed') return [{ ...entry, action: 'message.track', outcome: 'failed', reason: 'reported-failed' }]
  return shown ? [] : [{ ...entry, action: 'notice.swallowed', outcome: 'success', reason: outcome }]
}
