import type { Credentials, OpenSsl } from './openssl.js'

/** What the far side sends, and what a gateway that works makes of it. */
export interface Scene {
  readonly title: string
  readonly wire: Uint8Array
  /** Undefined: must be delivered. Otherwise the reason the gateway must give. */
  readonly refusal?: string
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

/** The seven messages of the demo, each made by OpenSSL. */
export async function scenes(openssl: OpenSsl, cast: Cast, documents: DemoDocuments): Promise<Scene[]> {
  const sealed = async (
    title: string,
    id: string,
    message: string,
    signer: Credentials,
    refusal?: string,
    tamper = (signed: Buffer) => signed,
  ): Promise<Scene> => {
    const entity = tamper(await openssl.sign(message, signer))
    const envelope = await openssl.encrypt(entity, cast.gateway)
    const outer = `From: <${sender}>\r\nTo: <${patient}>\r\nMessage-ID: <${id}@direct.hospital.example>\r\nDate: ${new Date().toUTCString()}\r\n`
    return { title, wire: Buffer.concat([Buffer.from(outer), envelope]), ...(refusal !== undefined && { refusal }) }
  }
  const text = (id: string, subject: string) =>
    message(id, subject, 'Please find our note below.\r\nWe look forward to seeing you again.\r\n')

  return [
    await sealed(
      'C-CDA (continuity of care document)',
      'ccda',
      withAttachment('ccda', 'Your visit summary', 'summary.xml', 'text/xml', documents.ccda),
      cast.provider,
    ),
    await sealed(
      'CCR',
      'ccr',
      withAttachment('ccr', 'Your health record', 'record.xml', 'application/xml', documents.ccr),
      cast.provider,
    ),
    await sealed(
      'XDM package',
      'xdm',
      withAttachment('xdm', 'XDM/1.0/DDM Your documents', 'documents.zip', 'application/zip', documents.xdm),
      cast.provider,
    ),
    await sealed('plain text', 'text', text('text', 'A note'), cast.provider),
    await sealed('signer nobody here trusts', 'untrusted', text('untrusted', 'A note'), cast.stranger, 'no-anchor'),
    await sealed(
      'changed after signing',
      'tampered',
      text('tampered', 'A note'),
      cast.provider,
      'signature-invalid',
      changed,
    ),
    await sealed(
      'signer whose certificate expired',
      'expired',
      text('expired', 'A note'),
      cast.expired,
      'certificate-expired',
    ),
  ]
}

/** The signed text with one word exchanged for another. */
function changed(signed: Buffer): Buffer {
  return Buffer.from(signed.toString('latin1').replace('look forward', 'look backward'), 'latin1')
}

function header(id: string, subject: string): string {
  return [
    `From: "Dr. Rivera" <${sender}>`,
    `To: <${patient}>`,
    `Subject: ${subject}`,
    `Message-ID: <${id}@direct.hospital.example>`,
    `Date: ${new Date().toUTCString()}`,
    `Disposition-Notification-To: <${sender}>`,
    'MIME-Version: 1.0',
    '',
  ].join('\r\n')
}

function message(id: string, subject: string, body: string): string {
  return `${header(id, subject)}Content-Type: text/plain; charset=utf-8\r\n\r\n${body}`
}

function withAttachment(id: string, subject: string, name: string, type: string, bytes: Uint8Array): string {
  const boundary = `part-of-${id}`
  return [
    `${header(id, subject)}Content-Type: multipart/mixed; boundary="${boundary}"`,
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
