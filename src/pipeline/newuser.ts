import { matchRecord } from '../connect/match.js'
import type { Redeemed, Requests } from '../connect/request.js'
import type { Activity, ActivityFrom } from '../consent/consent.js'
import type { DirectAddress } from '../direct/address.js'
import type { Demographics } from '../direct/clinical.js'
import type { RefusalReason } from '../direct/refusal.js'
import { refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Address, Addresses } from '../directory/directory.js'
import type { Held, HeldMail, StoredHeld } from '../mailbox/held.js'
import type { Mailbox } from '../mailbox/mailbox.js'
import { type HeldRecord, hasWhole, type People } from '../people/people.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { Letters } from '../ports/letters.js'
import { type Batch, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { matchPatient } from '../record/match.js'
import type { PatientRecord } from '../record/record.js'
import type { SpooledJob } from '../spool/spooled.js'
import type { Trail } from '../spool/trail.js'
import { arrive, originOf } from './deliver.js'
import { handOver } from './edge.js'
import type { Verdict } from './judge.js'
import { birthDateOf, nameOf, patientsOf } from './newuser-patient.js'
import { type NewcomerSubject, readNewcomerSubject, signedSubject } from './newuser-subject.js'
import { type NoticeFacts, type Notices, noticeFacts } from './notices.js'
import { patience, readWithin, TryAgain } from './patience.js'
import type { ReadMail, Steps } from './steps.js'

/** Rounds of trying again what somebody else changed meanwhile. */
const rounds = 8

/** The owner of codes for held mail (see connect/request.ts). */
export const newcomerOwner = 'direct'

export interface NewcomerPorts {
  readonly requests: Pick<Requests, 'create' | 'redeem' | 'finish' | 'reject'>
  readonly held: Held<NoticeFacts>
  readonly notices: Pick<Notices, 'owed' | 'owe' | 'keep'>
  readonly letters: Pick<Letters, 'letter'>
  /** Page where a code is entered; the code is put behind it. */
  readonly pickupUrl: string
  /** Of letters to people of whom nothing is known yet: BCP 47. */
  readonly language?: string
  readonly addresses: Pick<Addresses, 'ofRecord' | 'standing' | 'get'>
  readonly mailbox: Mailbox
  readonly record: PatientRecord
  readonly people: { readonly records: Pick<People['records'], 'membership' | 'of'> }
  readonly activity?: Pick<Activity, 'entry'>
  readonly steps: Pick<Steps, 'read'>
  readonly trail: Pick<Trail, 'steps' | 'names'>
  readonly audit: Audit
  readonly store: Store
  readonly clock: Clock
}

/** What holding a message makes true, and what is told of it. */
export interface HeldParts {
  readonly parts: Batch
  readonly steps: readonly TrailStep[]
  readonly audit: readonly AuditEntry[]
}

export interface Claim {
  readonly ticket: string
  /** What the ticket is bound to (see connect/request.ts). */
  readonly holder: string
  readonly person: string
  readonly record: string
  /** Which address of the record it goes to; its first live one where absent. */
  readonly address?: DirectAddress
  /** The person saw that it seems to be for somebody else, and says that it is not. */
  readonly confirmed?: boolean
  readonly from: ActivityFrom
}

export type ClaimOutcome =
  | {
      readonly kind: 'claimed'
      readonly address: DirectAddress
      /** The mailbox's id of the message. */
      readonly message: string
      readonly documents: number
    }
  /** The ticket is over, or what it was for: one answer for all causes. */
  | { readonly kind: 'nothing' }
  /** The person has no such record, or is not its custodian. */
  | { readonly kind: 'no-such-record' }
  /** The record has no live address: one must be activated first. */
  | { readonly kind: 'address-needed' }
  | { readonly kind: 'other-patient'; readonly reasons: readonly string[] }

/** Mail for people who have no address here yet (`newuser@`), from its arrival to its end. */
export interface Newcomers {
  /**
   * Holds a trusted message for whom its signed Subject names, owes `processed` to its sender, and writes to the person: a
   * link and a code, nothing of the question, the answer, the sender or what it is about. What cannot be held owes `failed`.
   */
  hold(
    spooled: Pick<SpooledJob, 'id' | 'envelope'>,
    verdict: Extract<Verdict, { kind: 'trusted' }>,
    at: number,
  ): Promise<HeldParts>
  /**
   * Puts a held message into the mailbox of an address of the person's record, and its documents into that record, as if it
   * came now; owes `dispatched` where that was asked for. One commit with the end of the code.
   */
  claim(claim: Claim): Promise<ClaimOutcome>
  /** The person does not want it: the code ends, and the sender is told `failed`. False where the ticket is over. */
  decline(ticket: string, holder: string, by: string): Promise<boolean>
}

/** Opens the holding of mail for newcomers over the machine of codes, whose rules for `message` are `newcomerRules`. */
export function openNewcomers(ports: NewcomerPorts): Newcomers {
  return {
    hold: (spooled, verdict, at) => hold(ports, spooled, verdict, at),
    claim: (claim) => claimed(ports, claim),
    decline: (ticket, holder, by) => decline(ports, ticket, holder, by),
  }
}

type Trusted = Extract<Verdict, { kind: 'trusted' }>

async function hold(
  ports: NewcomerPorts,
  spooled: Pick<SpooledJob, 'id' | 'envelope'>,
  verdict: Trusted,
  at: number,
): Promise<HeldParts> {
  const { recipient, candidates, warnings } = verdict
  const { opened, read } = verdict.mail
  const trusted: TrailStep = { at, step: 'trusted', recipient, detail: warnings.join(', '), candidates }
  const facts = noticeFacts(verdict)
  // A notice about mail that nobody sent: for nobody.
  if (!facts) return { parts: {}, steps: [trusted, step('swallowed', 'a notice to newcomers')], audit: [] }
  const id = ports.held.idOf(recipient, opened.message)
  const known = await ports.held.get(id)
  if (known) return { parts: {}, steps: [trusted, step('duplicate', `${known.state} already as ${id}`)], audit: [] }

  const subject = opened.wrapped ? readSubject(opened.message) : unwrapped
  if (subject.kind === 'unreadable') return failing('newcomer-subject', subject.detail)
  const { email, question, answer } = subject
  const patients = patientsOf(read)
  const birthDate = birthDateOf(patients)
  // Without a question the person proves to be meant by the birth date that the message has.
  if (question === undefined && birthDate === undefined)
    return failing('newcomer-unprovable', 'no question, and no document that names one birth date')
  if (await ports.held.isFull(email)) return failing('newcomer-limit', 'for this e-mail address')

  const created = await ports.requests.create({
    kind: 'message',
    owner: newcomerOwner,
    friendlyName: nameOf(patients) ?? `a message from ${facts.to}`.slice(0, 100),
    ...(question !== undefined && answer !== undefined && { question, answer }),
    ...(birthDate !== undefined && { birthDate }),
    email,
    payload: { held: id },
  })
  if (created.kind === 'refused') return failing('newcomer-subject', created.problem)
  const { notice: _, ...origin } = originOf(spooled, verdict)
  const mail: HeldMail<NoticeFacts> = {
    ...{ ...origin, recipient, subject: subject.subject, facts },
    asked: opened.request.finalDelivery,
  }
  // `dispatched` is owed once somebody came for it.
  const owed = await ports.notices.owed({ spooled: spooled as SpooledJob, verdict, messageId: id, onwards: true })
  const { code } = created
  const to = { email, language: ports.language ?? 'en' }
  const letter = { kind: 'held-message', url: `${ports.pickupUrl}?code=${code}`, code } as const
  return {
    parts: together(
      created.parts,
      await ports.held.hold({ ...mail, id, email, message: opened.message }),
      owed.parts,
      ports.letters.letter(to, letter, `held ${id}`),
      ports.trail.names(spooled.id, opened.messageId === undefined ? {} : { messageId: opened.messageId }),
    ),
    steps: [trusted, step('held', `${id}, request ${created.request.id}`), step('notice-owed', owed.detail ?? '')],
    audit: [
      {
        ...{ at, action: 'message.hold', actor: 'system', outcome: 'success' },
        subject: { spool: spooled.id, recipient, held: id, request: created.request.id },
      },
    ],
  }

  function step(name: TrailStep['step'], detail: string): TrailStep {
    return { at, step: name, recipient, detail }
  }

  /** Its sender is trusted, so he is told that it goes nowhere. */
  async function failing(reason: RefusalReason, detail: string): Promise<HeldParts> {
    const failure = failures[reason as keyof typeof failures] ?? failures['newcomer-subject']
    const about = { trail: spooled.id, messageId: id, failure }
    const owed = facts ? await ports.notices.owe('failed', facts, about) : {}
    return {
      parts: owed,
      steps: [
        trusted,
        { ...step('refused', detail), refusal: refused(reason, detail) },
        step('notice-owed', `failed, to ${facts?.to}`),
      ],
      audit: [
        {
          ...{ at, action: 'message.hold', actor: 'system', outcome: 'refused', reason },
          subject: { spool: spooled.id, recipient },
        },
      ],
    }
  }
}

/** What a trusted sender reads of why his message goes nowhere. */
const failures = {
  'newcomer-subject':
    'The Subject of the signed message must be: e-mail address; question; answer; subject. The answer needs 6 characters or more, and the message must be wrapped (RFC 8551 3.1).',
  'newcomer-unprovable':
    'Without a question and an answer the message must bring documents that name the birth date of one patient.',
  'newcomer-limit': 'Too many messages wait for this person already.',
} as const

const unwrapped: NewcomerSubject = {
  kind: 'unreadable',
  detail: 'the message is not wrapped, so nobody signed its Subject',
}

function readSubject(message: Uint8Array): NewcomerSubject {
  const text = signedSubject(message)
  return text === undefined
    ? { kind: 'unreadable', detail: 'there is not exactly one Subject' }
    : readNewcomerSubject(text)
}

async function claimed(ports: NewcomerPorts, claim: Claim): Promise<ClaimOutcome> {
  let read: ReadMail | undefined
  for (let round = 0; round < rounds; round++) {
    const redeemed = await ports.requests.redeem(claim.ticket, claim.holder)
    const held = redeemed && (await heldBehind(ports, redeemed))
    const message = held && (await ports.held.message(held.id))
    if (!redeemed || !held || !message) return { kind: 'nothing' }
    const member = await ports.people.records.membership(claim.person, claim.record)
    if (!member || !hasWhole(member) || member.record.state !== 'active') return { kind: 'no-such-record' }
    const address = await addressOf(ports, claim)
    if (!address) return { kind: 'address-needed' }

    read ??= await readPatiently(ports.steps, message)
    if (!claim.confirmed) {
      const reasons = await differences(ports, claim, redeemed, member.record, read)
      if (reasons.length > 0) return { kind: 'other-patient', reasons }
    }
    const made = await claiming(ports, claim, { redeemed, held, message, address, read })
    if (made.kind !== 'parts') return made.outcome
    if ((await ports.store.commit(made.parts)).kind === 'committed') return made.outcome
  }
  throw new Error(`Claiming conflicted ${rounds} times`)
}

type StillHeld = Extract<StoredHeld<NoticeFacts>, { state: 'held' }>

async function heldBehind({ held }: NewcomerPorts, { request }: Redeemed): Promise<StillHeld | undefined> {
  if (request.kind !== 'message') return undefined
  const found = await held.get(request.payload['held'] ?? '')
  return found?.state === 'held' ? found : undefined
}

/** The address that the person named, where it is one of the record and live, or else the first that is. */
async function addressOf({ addresses }: NewcomerPorts, { record, address }: Claim): Promise<Address | undefined> {
  for (const one of await addresses.ofRecord(record)) {
    if (address !== undefined && one.address !== address) continue
    if ((await addresses.standing(one.address)) === 'live') return one
  }
  return undefined
}

async function claiming(
  ports: NewcomerPorts,
  { person, record, from }: Claim,
  {
    redeemed,
    held,
    message,
    address,
    read,
  }: {
    readonly redeemed: Redeemed
    readonly held: StillHeld
    readonly message: Uint8Array
    readonly address: Address
    readonly read: ReadMail
  },
): Promise<
  | { readonly kind: 'parts'; readonly parts: Batch; readonly outcome: ClaimOutcome }
  | { readonly kind: 'none'; readonly outcome: ClaimOutcome }
> {
  const at = ports.clock.now()
  const { recipient, facts, asked, ...origin } = held.mail
  const finished = await ports.requests.finish(redeemed, { person, record })
  if (finished.kind === 'too-many') return { kind: 'none', outcome: { kind: 'nothing' } }
  const arrived = await arrive({ ...origin, read, original: message }, address, ports)
  const { id } = arrived
  const documents = arrived.kind === 'arrival' ? arrived.documents : 0
  const about = { trail: origin.spoolId, messageId: held.id }
  const onwards = address.edge !== undefined && arrived.kind === 'arrival'
  const handed = onwards
    ? await handOver(address, { id, trail: origin.spoolId, from: origin.from, ...(facts && { facts, asked }) }, ports)
    : undefined
  const dispatched = asked && facts && !onwards
  const { address: to } = address
  const steps: TrailStep[] = [
    { at, step: 'delivered', recipient: to, detail: `${id}, claimed from ${held.id}`, mailboxMessageId: id },
    ...(dispatched ? [{ at, step: 'notice-owed', recipient, detail: `dispatched, to ${facts.to}` } as const] : []),
    ...(handed ? [{ at, step: 'edge-queued', recipient: to, detail: handed.detail } as const] : []),
  ]
  const subject = { spool: origin.spoolId, held: held.id, recipient: to, message: id, record }
  const parts = together(
    finished.parts,
    await ports.held.end(held, 'claimed'),
    arrived.kind === 'arrival' ? arrived.parts : {},
    handed?.parts ?? {},
    dispatched ? await ports.notices.owe('dispatched', facts, about) : {},
    ports.trail.steps(origin.spoolId, steps),
    ports.trail.names(origin.spoolId, { mailboxMessageId: id }),
    (await ports.activity?.entry(record, { at, action: 'pick-up', from, count: documents, outcome: 'success' })) ?? {},
    { append: [ports.audit.entry({ at, action: 'message.claim', actor: from.by, subject, outcome: 'success' })] },
  )
  return { kind: 'parts', parts, outcome: { kind: 'claimed', address: to, message: id, documents } }
}

/** What speaks against this record being of whom the message is for; the record itself holds such documents as well. */
async function differences(
  { people, record }: NewcomerPorts,
  claim: Claim,
  { request }: Redeemed,
  chosen: HeldRecord,
  read: ReadMail,
): Promise<readonly string[]> {
  const others = (await people.records.of(claim.person)).map((one) => one.record).filter(({ id }) => id !== chosen.id)
  const match = matchRecord(request, chosen, others)
  if (match.kind === 'mismatch') return match.reasons
  const known = await patientOf(record, claim.record)
  for (const patient of patientsOf(read)) {
    const compared = matchPatient(patient, known)
    if (compared.kind === 'mismatch') return compared.reasons.filter((reason) => reason.endsWith('differs'))
  }
  return []
}

async function patientOf(record: PatientRecord, recordId: string): Promise<Demographics | undefined> {
  for await (const { item } of record.current(recordId, { types: ['demographics'] }))
    if (item.content.type === 'demographics') return item.content
  return undefined
}

/** Reads what was trusted when it came; what cannot be read is delivered with its attachments as they are, or unread. */
async function readPatiently(steps: Pick<Steps, 'read'>, message: Uint8Array): Promise<ReadMail> {
  for (const failures of [0, patience.readDocuments]) {
    try {
      return await readWithin({ stepFailures: { read: failures } }, steps, message)
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error
    }
  }
  return readWithin({ stepFailures: { read: patience.read } }, steps, message)
}

async function decline(ports: NewcomerPorts, ticket: string, holder: string, by: string): Promise<boolean> {
  for (let round = 0; round < rounds; round++) {
    const redeemed = await ports.requests.redeem(ticket, holder)
    if (!redeemed || !(await heldBehind(ports, redeemed))) return false
    const { parts } = await ports.requests.reject(redeemed, true)
    const subject = { request: redeemed.request.id, held: redeemed.request.payload['held'] ?? '' }
    const told = ports.audit.entry({
      ...{ at: ports.clock.now(), action: 'message.decline', actor: by, subject, outcome: 'success' },
    })
    if ((await ports.store.commit(together(parts, { append: [told] }))).kind === 'committed') return true
  }
  throw new Error(`Declining conflicted ${rounds} times`)
}
