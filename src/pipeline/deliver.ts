import type { Address } from '../directory/directory.js'
import type { MessageAttachment, MessageProtection, NewMessage } from '../mailbox/message.js'
import { type Batch, together } from '../ports/store.js'
import type { SpooledJob } from '../spool/spooled.js'
import { readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { handOver } from './edge.js'
import type { InboundPorts } from './inbound.js'
import type { TrustedVerdict, Verdict } from './judge.js'
import { lettersOf } from './mail-letters.js'
import { noticeFacts } from './notices.js'
import { statedFacts } from './stated.js'
import type { OpenedMail, ReadMail } from './steps.js'

export type Delivery =
  | {
      readonly kind: 'delivery'
      /** The mailbox's id of the message. */
      readonly id: string
      readonly parts: Batch
      readonly itemCount: number
      /** What is said of the owed notice; absent where none is owed. */
      readonly notice?: string
      /** What is said of the way to the edge of the address; absent where it has none. */
      readonly handed?: string
    }
  | { readonly kind: 'duplicate'; readonly id: string }

/** A trusted message on its way into a mailbox, whenever it came. */
export interface Arrival
  extends Pick<NewMessage, 'spoolId' | 'receivedAt' | 'from' | 'messageId' | 'outerFields' | 'protection' | 'notice'> {
  readonly read: ReadMail
  /** Where it is not that of the message. */
  readonly subject?: string
  /** The verified message itself. */
  readonly original: Uint8Array
}

export type Arrived =
  | {
      readonly kind: 'arrival'
      readonly id: string
      readonly parts: Batch
      readonly documents: number
      /** Items that the record did not have. */
      readonly itemCount: number
    }
  | { readonly kind: 'duplicate'; readonly id: string }

/**
 * What must be committed to put a message into the mailbox of an address, and its documents and items as proposals into the
 * patient's record. A message that is itself a notice proposes nothing: anchors for outgoing mail suffice for it, and they are
 * not asked for clinical facts. Large bodies are durable when this answers.
 */
export async function arrive(
  { read, subject, original, ...told }: Arrival,
  address: Pick<Address, 'address' | 'mailbox' | 'record'>,
  { mailbox, record }: Pick<InboundPorts, 'mailbox' | 'record'>,
): Promise<Arrived> {
  const recordId = told.notice === undefined ? address.record : undefined
  const documents = read.attachments.flatMap((attachment) => attachment.documents)
  const { id, parts } = await mailbox.delivery({
    ...told,
    mailbox: address.mailbox,
    to: read.to,
    cc: read.cc,
    subject: subject ?? read.subject,
    ...(read.date !== undefined && { date: read.date }),
    ...(read.inReplyTo !== undefined && { inReplyTo: read.inReplyTo }),
    references: read.references,
    preview: read.preview,
    ...(read.context && { context: read.context }),
    attachments: read.attachments.map((attachment, index) => attachmentOf(attachment, index, recordId !== undefined)),
    diagnostics: read.diagnostics,
    original,
  })
  if (await mailbox.has(address.mailbox, id)) return { kind: 'duplicate', id }
  if (recordId === undefined || documents.length === 0)
    return { kind: 'arrival', id, parts, documents: 0, itemCount: 0 }
  const stated = statedFacts(original)
  const proposed = await record.proposal(recordId, {
    documents,
    sender: told.from,
    mailbox: address.address,
    messageId: id,
    spoolId: told.spoolId,
    ...(stated && { stated }),
  })
  return {
    kind: 'arrival',
    id,
    parts: together(parts, proposed.parts),
    documents: documents.length,
    itemCount: proposed.addedIds.length,
  }
}

/**
 * What must be committed to deliver a trusted message to one address: its arrival, the letters that tell its people of it, the
 * owed `processed` notice, and where the address has an edge, the job that hands the message over there.
 */
export async function delivery(
  spooled: SpooledJob,
  verdict: Extract<Verdict, { kind: 'trusted' }>,
  address: Address,
  ports: InboundPorts,
): Promise<Delivery> {
  const { opened, read, from } = verdict.mail
  const { trail, notices } = ports
  const arrived = await arrive({ ...originOf(spooled, verdict), read, original: opened.message }, address, ports)
  if (arrived.kind === 'duplicate') return arrived
  const { id } = arrived

  const onwards = address.edge !== undefined
  const owed = await notices.owed({ spooled, verdict, messageId: id, onwards })
  const facts = noticeFacts(verdict)
  const letters = facts && (await lettersOf({ address, from, messageId: id, documents: arrived.documents }, ports))
  const handed = await handOver(
    address,
    {
      ...{ id, trail: spooled.id, from: facts ? from : null },
      ...(facts && { facts, asked: opened.request.finalDelivery }),
    },
    ports,
  )
  return {
    kind: 'delivery',
    id,
    parts: together(
      arrived.parts,
      owed.parts,
      letters ?? {},
      handed?.parts ?? {},
      trail.names(spooled.id, {
        mailboxMessageId: id,
        ...(opened.messageId !== undefined && { messageId: opened.messageId }),
      }),
    ),
    itemCount: arrived.itemCount,
    ...(owed.detail !== undefined && { notice: owed.detail }),
    ...(handed && { handed: handed.detail }),
  }
}

/** What is told of a trusted message beside what it says itself. */
export function originOf(
  spooled: Pick<SpooledJob, 'id' | 'envelope'>,
  verdict: Extract<Verdict, { kind: 'trusted' }>,
): Omit<Arrival, 'read' | 'original'> {
  const { opened, from } = verdict.mail
  return {
    spoolId: spooled.id,
    receivedAt: spooled.envelope.receivedAt,
    from,
    ...(opened.messageId !== undefined && { messageId: opened.messageId }),
    ...(opened.outerFields && { outerFields: opened.outerFields }),
    protection: protectionOf(verdict, opened),
    ...(opened.notice.kind !== 'none' && { notice: opened.notice }),
  }
}

function attachmentOf(
  { path, name, mediaType, sizeBytes, sha256, documents }: ReadMail['attachments'][number],
  index: number,
  proposed: boolean,
): MessageAttachment {
  return {
    index,
    path,
    ...(name !== undefined && { name }),
    mediaType,
    sizeBytes,
    sha256,
    documentItemIds: proposed ? documents.map((document) => document.item.id) : [],
  }
}

function protectionOf(verdict: TrustedVerdict, { wrapped, signers }: OpenedMail): MessageProtection {
  const certificate = readCertificate(verdict.signer)
  const fingerprint = certificate.kind === 'certificate' ? certificate.fingerprint : ''
  const path =
    verdict.candidates.find((one) => one.outcome === 'trusted' && one.fingerprint === fingerprint)?.path ?? []
  const signer = signers.find(
    (candidate) => candidate.kind === 'verified' && Buffer.compare(candidate.certificate, verdict.signer) === 0,
  )
  return {
    signerFingerprint: fingerprint,
    signerSubject: certificate.kind === 'certificate' ? nameText(certificate.subject) : '',
    anchorFingerprint: path.at(-1) ?? '',
    path,
    digest: signer?.kind === 'verified' ? signer.digest : '',
    wrapped,
    warnings: verdict.warnings,
  }
}
