import type { RefusalReason } from '../direct/refusal.js'
import type { Credentials, OpenSsl } from './openssl.js'

/** What the far side sends, and what a gateway that works makes of it. */
export interface Scene {
  readonly title: string
  readonly subject: string
  /** In angle brackets. */
  readonly messageId: string
  readonly wire: Uint8Array
  /** Undefined: must be delivered. Otherwise the reason the gateway must give. */
  readonly refusal?: RefusalReason
}

export const sender = 'dr.rivera@direct.hospital.example'
export const patient = 'sam.sample@patients.example'
export const gatewayDomain = 'patients.example'

export interface Cast {
  /** Signs for `sender`; its authority is trusted. */
  readonly provider: Credentials
  /** Signs for `sender` as well, but nobody here trusts its authority. */
  readonly stranger: Credentials
  /** Signs for `sender` under the trusted authority, until yesterday. */
  readonly expired: Credentials
  /** The gateway's certificate, which everyone encrypts to. */
  readonly gateway: Credentials
}

export interface DemoDocuments {
  readonly ccda: Uint8Array
  readonly ccr: Uint8Array
  readonly xdm: Uint8Array
}

interface Plot extends Pick<Scene, 'title' | 'subject' | 'refusal'> {
  readonly id: string
  readonly signer: Credentials
  readonly attachment?: { readonly name: string; readonly type: string; readonly bytes: Uint8Array }
  readonly tamper?: (signed: Buffer) => Buffer
}

/** What happens: four messages that are to arrive, three that are not. */
function plots({ provider, stranger, expired }: Cast, { ccda, ccr, xdm }: DemoDocuments): Plot[] {
  return [
    {
      id: 'ccda',
      title: 'a C-CDA (continuity of care document)',
      subject: 'Your visit summary',
      signer: provider,
      attachment: { name: 'summary.xml', type: 'text/xml', bytes: ccda },
    },
    {
      id: 'ccr',
      title: 'a CCR',
      subject: 'Your health record',
      signer: provider,
      attachment: { name: 'record.xml', type: 'application/xml', bytes: ccr },
    },
    {
      id: 'xdm',
      title: 'an XDM package',
      subject: 'XDM/1.0/DDM Your documents',
      signer: provider,
      attachment: { name: 'documents.zip', type: 'application/zip', bytes: xdm },
    },
    { id: 'text', title: 'a plain text', subject: 'A note', signer: provider },
    {
      id: 'untrusted',
      title: 'a note signed by a stranger',
      subject: 'From a stranger',
      signer: stranger,
      refusal: 'no-anchor',
    },
    {
      id: 'tampered',
      title: 'a note changed after it was signed',
      subject: 'Changed on the way',
      signer: provider,
      refusal: 'signature-invalid',
      tamper: changed,
    },
    {
      id: 'expired',
      title: 'a note signed under an expired certificate',
      subject: 'Too late',
      signer: expired,
      refusal: 'certificate-expired',
    },
  ]
}

/** The messages of the demo, each signed and encrypted by OpenSSL. */
export function scenes(openssl: OpenSsl, cast: Cast, documents: DemoDocuments): Promise<Scene[]> {
  return Promise.all(
    plots(cast, documents).map(async ({ id, title, subject, refusal, signer, attachment, tamper }) => {
      const messageId = `<${id}@direct.hospital.example>`
      const fields = header(messageId, subject)
      const letter = attachment ? withAttachment(fields, id, attachment) : `${fields}${note}`
      const signed = await openssl.sign(letter, signer)
      const envelope = await openssl.encrypt(tamper ? tamper(signed) : signed, cast.gateway)
      const outer = `From: <${sender}>\r\nTo: <${patient}>\r\nMessage-ID: ${messageId}\r\nDate: ${new Date().toUTCString()}\r\n`
      const wire = Buffer.concat([Buffer.from(outer), envelope])
      return { title, subject, messageId, wire, ...(refusal !== undefined && { refusal }) }
    }),
  )
}

const note =
  'Content-Type: text/plain; charset=utf-8\r\n\r\nPlease find our note below.\r\nWe look forward to seeing you again.\r\n'

/** The signed text with one word exchanged for another. */
function changed(signed: Buffer): Buffer {
  return Buffer.from(signed.toString('latin1').replace('look forward', 'look backward'), 'latin1')
}

function header(messageId: string, subject: string): string {
  return [
    `From: "Dr. Rivera" <${sender}>`,
    `To: <${patient}>`,
    `Subject: ${subject}`,
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString()}`,
    `Disposition-Notification-To: <${sender}>`,
    'MIME-Version: 1.0',
    '',
  ].join('\r\n')
}

function withAttachment(fields: string, id: string, { name, type, bytes }: NonNullable<Plot['attachment']>): string {
  const boundary = `part-of-${id}`
  return [
    `${fields}Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    '',
    'The document you asked for is attached.',
    `--${boundary}`,
    `Content-Type: ${type}; name="${name}"`,
    'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename="${name}"`,
    '',
    Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n'),
    `--${boundary}--`,
    '',
  ].join('\r\n')
}
