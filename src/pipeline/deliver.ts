import type { Address } from '../directory/directory.js'
import type { MessageAttachment, MessageProtection } from '../mailbox/message.js'
import { type Batch, together } from '../ports/store.js'
import type { SpooledJob } from '../spool/spooled.js'
import { readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { handOver } from './edge.js'
import type { InboundPorts } from './inbound.js'
import type { TrustedVerdict, Verdict } from './judge.js'
import { noticeFacts } from './notices.js'
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

/**
 * What must be committed to deliver a trusted message to one address: the message in its mailbox, the documents and
 * items as proposals in the patient's record, the owed `processed` notice, and where the address has an edge, the job that
 * hands the message over there. A message that is itself a notice proposes
 * nothing: anchors for outgoing mail suffice for it, and they are not asked for clinical facts. Large bodies are durable
 * when this answers.
 */
export async function delivery(
  spooled: SpooledJob,
  verdict: Extract<Verdict, { kind: 'trusted' }>,
  address: Address,
  ports: InboundPorts,
): Promise<Delivery> {
  const { opened, read, from } = verdict.mail
  const { mailbox, record, trail, notices } = ports
  const { notice } = opened
  const recordId = notice.kind === 'none' ? address.record : undefined
  const documents = read.attachments.flatMap((attachment) => attachment.documents)

  const { id, parts } = await mailbox.delivery({
    mailbox: address.mailbox,
    spoolId: spooled.id,
    receivedAt: spooled.envelope.receivedAt,
    from,
    to: read.to,
    cc: read.cc,
    subject: read.subject,
    ...(read.date !== undefined && { date: read.date }),
    ...(opened.messageId !== undefined && { messageId: opened.messageId }),
    ...(read.inReplyTo !== undefined && { inReplyTo: read.inReplyTo }),
    references: read.references,
    preview: read.preview,
    ...(read.context && { context: read.context }),
    ...(opened.outerFields && { outerFields: opened.outerFields }),
    attachments: read.attachments.map((attachment, index) => attachmentOf(attachment, index, recordId !== undefined)),
    protection: protectionOf(verdict, opened),
    ...(notice.kind !== 'none' && { notice }),
    diagnostics: read.diagnostics,
    original: opened.message,
  })
  if (await mailbox.has(address.mailbox, id)) return { kind: 'duplicate', id }

  const proposed =
    recordId !== undefined && documents.length > 0
      ? await record.proposal(recordId, {
          documents,
          sender: from,
          mailbox: address.address,
          messageId: id,
          spoolId: spooled.id,
        })
      : undefined
  const onwards = address.edge !== undefined
  const owed = await notices.owed({ spooled, verdict, messageId: id, onwards })
  const facts = noticeFacts(verdict)
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
      parts,
      proposed?.parts ?? {},
      owed.parts,
      handed?.parts ?? {},
      trail.names(spooled.id, {
        mailboxMessageId: id,
        ...(opened.messageId !== undefined && { messageId: opened.messageId }),
      }),
    ),
    itemCount: proposed?.addedIds.length ?? 0,
    ...(owed.detail !== undefined && { notice: owed.detail }),
    ...(handed && { handed: handed.detail }),
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
