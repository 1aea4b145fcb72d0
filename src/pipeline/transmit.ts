import type { Activity, ActivityFrom } from '../consent/consent.js'
import { type DirectAddress, domainOf } from '../direct/address.js'
import { type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { Audit } from '../ports/audit.js'
import type { PlainMail } from '../ports/plain-mail.js'
import { type Batch, type Store, together, within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Random } from '../ports/world.js'
import type { RecipientState, Submissions } from '../spool/submission.js'
import { composeLetter } from './compose.js'
import type { ExportOutcome, ExportRequest, Exports } from './export.js'
import { keysToSign } from './keys.js'
import { certificatesOf, type RecipientPorts } from './recipients.js'
import { writeRequestFile } from './request-file.js'
import type { SubmitOutcome, SubmitRequest } from './submit.js'

export const transmitLimits = {
  /** A word to the recipient beside the document. */
  noteCharacters: 4000,
  /** One line of the message. */
  nameCharacters: 200,
  /**
   * Transmissions of a record in a day beyond which none goes by ordinary mail: anybody may open an account, write words of
   * their own, and have them carried to any address.
   */
  mailsADay: 20,
  pageDefault: 50,
  pageMax: 200,
}

export interface TransmitPorts extends RecipientPorts {
  readonly exports: Exports
  readonly submit: (request: SubmitRequest) => Promise<SubmitOutcome>
  readonly submissions: Pick<Submissions, 'answering'>
  readonly activity?: Pick<Activity, 'entry'>
  /** Ordinary e-mail; without it nothing leaves that way. */
  readonly plainMail?: PlainMail
  /** The organization that operates the gateway, as its documents name it. */
  readonly custodian: string
  readonly store: Store
  readonly vault: Vault
  readonly random: Random
  readonly audit: Audit
}

export interface Transmit {
  readonly record: string
  /** What of it, and in which form. */
  readonly chosen: ExportRequest
  /** An address of the record; its first live one where absent. */
  readonly from?: DirectAddress
  readonly to:
    | { readonly kind: 'direct'; readonly address: DirectAddress }
    /** The person was told that nothing protects it on its way. */
    | { readonly kind: 'e-mail'; readonly address: string; readonly unprotected: true }
  /** What the patient is called. */
  readonly patient: string
  readonly note?: string
  readonly acting: ActivityFrom
}

export type TransmitOutcome =
  | { readonly kind: 'transmitted'; readonly id: string; readonly items: number }
  /** By name why the recipient does not get it; nothing was queued. */
  | Refused
  | Undecided
  /** The record has no address that could send. */
  | { readonly kind: 'no-address' }
  /** There is no way out for ordinary e-mail. */
  | { readonly kind: 'no-relay' }
  /** As much was sent of the record today as goes by ordinary e-mail in a day. */
  | { readonly kind: 'too-often' }
  | Exclude<ExportOutcome, { readonly kind: 'document' }>

/** A transmission as its record keeps it, with what became of it. */
export interface Transmission {
  readonly id: string
  /** Unix milliseconds. */
  readonly at: number
  readonly from?: DirectAddress
  readonly to: string
  readonly way: 'direct' | 'e-mail'
  readonly format: ExportRequest['format']
  readonly items: number
  /** Of Direct mail, while its sent message is kept. */
  readonly state?: RecipientState['state']
  readonly reason?: RecipientState['reason']
}

/** Health information that a patient sends out of the record. */
export interface Transmissions {
  /**
   * Makes a document of what the patient chose and sends it, with the conventions of Blue Button+. The sender's keys and the
   * recipient's trust are settled before anything is queued. The message and its line in the activity history are one commit.
   */
  transmit(request: Transmit): Promise<TransmitOutcome>
  /** Whether the sender may send, and trusts a certificate of each of these: nothing is queued where not. */
  check(from: DirectAddress, to: readonly DirectAddress[]): Promise<Refused | Undecided | undefined>
  /** Newest first; `before` is `next` of the page before. Undefined for a place that no list gave out. */
  list(
    record: string,
    query: { readonly before?: string; readonly limit?: number },
  ): Promise<{ readonly transmissions: readonly Transmission[]; readonly next?: string } | undefined>
}

type Row = Omit<Transmission, 'id' | 'state' | 'reason'> & { readonly mailbox?: string; readonly messageId?: string }

export const transmissionPrefix = (record: string) => `transmission/${record}/`
export const transmissionOwner = (record: string) => `record/${record}`

export function openTransmissions(ports: TransmitPorts, limits = transmitLimits): Transmissions {
  return {
    transmit: (request) => transmit(ports, request, limits),
    check: (from, to) => check(ports, from, to),
    list: (record, query) => list(ports, record, query, limits),
  }
}

async function transmit(
  ports: TransmitPorts,
  request: Transmit,
  limits: typeof transmitLimits,
): Promise<TransmitOutcome> {
  const { record, to, chosen, acting, note = '' } = request
  const { clock, custodian, random } = ports
  const sender = to.kind === 'direct' ? await senderOf(ports, request) : undefined
  if (to.kind === 'direct') {
    if (!sender) return { kind: 'no-address' }
    const obstacle = await check(ports, sender.address, [to.address])
    if (obstacle) return obstacle
  } else if (!ports.plainMail) return { kind: 'no-relay' }
  else if (await isMuch(ports, record, limits)) return { kind: 'too-often' }

  const document = await ports.exports.export(record, chosen)
  if (document.kind !== 'document') return document
  const { name, mediaType, bytes, items } = document
  const id = Buffer.from(random.bytes(16)).toString('hex')
  const at = clock.now()
  const patient = request.patient
    .replace(/[\p{Cc}\u2028\u2029\s]+/gu, ' ')
    .trim()
    .slice(0, limits.nameCharacters)
  const facts = { destination: to.address, patient, dataHolder: custodian, recurring: false }
  const message = {
    subject: 'Health information',
    text: `This message was sent by ${custodian} at the request of ${patient}.\n\n${note.slice(0, limits.noteCharacters)}`.trim(),
    attachments: [
      { name, mediaType, bytes },
      // What a record says comes from many: its documents, its people, their devices.
      {
        ...{ name: 'request.txt', mediaType: 'text/plain' },
        bytes: writeRequestFile({ ...facts, documents: [{ name, source: 'MIXED' }] }),
      },
    ],
  }
  const { types } = chosen
  const messageId = sender && `<${id}@${domainOf(sender.address)}>`
  const also = together(
    await rowParts(ports, record, id, {
      ...{ at, to: to.address, way: to.kind, format: chosen.format, items },
      ...(sender && { from: sender.address, mailbox: sender.mailbox }),
      ...(messageId !== undefined && { messageId }),
    }),
    (await ports.activity?.entry(record, {
      ...{ at, action: 'transmit', from: acting, count: items, addressee: to.address, outcome: 'success' },
      ...(types && { types }),
    })) ?? {},
    audited(ports, at, acting.by, { record, transmission: id, way: to.kind, items: String(items) }),
  )
  if (to.kind === 'e-mail') {
    const mail = (await ports.plainMail?.mail(to.address, message, `transmission ${id}`)) ?? {}
    await ports.store.commit(together(mail, also))
    return { kind: 'transmitted', id, items }
  }
  if (!sender || messageId === undefined) return { kind: 'no-address' }
  const composed = composeLetter({ ...message, at, from: sender.address, to: [to.address], cc: [] })
  if (composed.kind === 'refused') return composed
  const sent = { from: sender.address, to: [to.address], message: composed.message, messageId, by: acting.by, also }
  const outcome = await ports.submit(sent)
  return outcome.kind === 'refused' ? outcome : { kind: 'transmitted', id, items }
}

function audited({ audit }: TransmitPorts, at: number, by: string, subject: Readonly<Record<string, string>>): Batch {
  return { append: [audit.entry({ at, action: 'record.transmit', actor: by, subject, outcome: 'success' })] }
}

async function isMuch({ store, clock }: TransmitPorts, record: string, { mailsADay }: typeof transmitLimits) {
  const prefix = transmissionPrefix(record)
  const since = prefix + String(Math.max(0, clock.now() - 86_400_000)).padStart(15, '0')
  return (await store.range({ gte: since, lt: within(prefix).lt, limit: mailsADay })).length >= mailsADay
}

/** The address that the patient named, where it is one of the record and live, or else the first that is. */
async function senderOf({ directory: { addresses } }: TransmitPorts, { record, from }: Transmit) {
  for (const one of await addresses.ofRecord(record)) {
    if (from !== undefined && one.address !== from) continue
    if (await addresses.isServed(one.address)) return one
  }
  return undefined
}

/** In the order of sending: the sender, then his keys, then each recipient. */
async function check(
  ports: TransmitPorts,
  from: DirectAddress,
  to: readonly DirectAddress[],
): Promise<Refused | Undecided | undefined> {
  const { directory, clock } = ports
  if (!(await directory.addresses.isServed(from))) return refused('unknown-sender', from)
  const keys = await keysToSign(from, clock.now(), directory)
  if ('kind' in keys) return keys
  for (const recipient of to) {
    const found = await certificatesOf(recipient, from, ports)
    if (found.kind === 'refused') return refused(found.reason, found.detail)
    if (found.kind === 'undecided') return { kind: 'undecided', cause: found.cause, detail: found.detail }
  }
  return undefined
}

async function rowParts({ vault }: TransmitPorts, record: string, id: string, row: Row): Promise<Batch> {
  const key = `${transmissionPrefix(record)}${String(row.at).padStart(15, '0')}/${id}`
  return { put: [{ key, value: await vault.seal(transmissionOwner(record), key, Buffer.from(JSON.stringify(row))) }] }
}

async function list(
  ports: TransmitPorts,
  record: string,
  { before, limit = transmitLimits.pageDefault }: { readonly before?: string; readonly limit?: number },
  limits: typeof transmitLimits,
): ReturnType<Transmissions['list']> {
  const prefix = transmissionPrefix(record)
  const place = before === undefined ? undefined : Buffer.from(before, 'base64url').toString('latin1')
  if (place !== undefined && !/^\d{15}\/[0-9a-f]{32}$/.test(place)) return undefined
  const size = Math.min(Math.max(1, Math.trunc(limit) || 1), limits.pageMax)
  const lt = place === undefined ? within(prefix).lt : prefix + place
  const rows = await ports.store.range({ gte: prefix, lt, limit: size + 1, reverse: true })
  const page = rows.slice(0, size)
  const transmissions = await Promise.all(
    page.map(async ({ key, value }) => {
      const plain = await ports.vault.open(transmissionOwner(record), key, value)
      return stated(ports, key.slice(key.lastIndexOf('/') + 1), JSON.parse(Buffer.from(plain).toString()) as Row)
    }),
  )
  const last = rows.length > size ? page.at(-1) : undefined
  return {
    transmissions,
    ...(last && { next: Buffer.from(last.key.slice(prefix.length)).toString('base64url') }),
  }
}

/** With what became of it; a sent message that is gone says nothing any more. */
async function stated(
  { submissions }: TransmitPorts,
  id: string,
  { mailbox, messageId, ...told }: Row,
): Promise<Transmission> {
  if (mailbox === undefined || messageId === undefined) return { id, ...told }
  const [sent] = await submissions.answering(mailbox, messageId)
  const recipient = sent?.submission.recipients[0]
  if (!recipient) return { id, ...told }
  const { state, reason } = recipient
  return { id, ...told, state, ...(reason !== undefined && { reason }) }
}
