import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { parseAddress } from '../../direct/address.js'
import { openMail } from '../mail.js'
import { sender } from '../story.js'
import { eventually, must } from './steps.js'
import type { World } from './world.js'

/** The doctor's side of Direct: letters signed and encrypted by OpenSSL, notices opened and verified by it. */

export interface Sealed {
  readonly to: string
  /** File with the certificate of whom it is for. */
  readonly certificatePath: string
  /** In angle brackets. */
  readonly messageId: string
  readonly subject: string
  readonly attachment?: { readonly name: string; readonly type: string; readonly bytes: Uint8Array }
  /** A whole entity instead of words, with its Content-Type. */
  readonly entity?: string
  /** Of the envelope, which anybody can read; harmless words where absent. */
  readonly outerSubject?: string
}

/** Signs, encrypts, and hands over; answers the reply to the end of DATA. */
export async function send(world: World, sealed: Sealed): Promise<string> {
  const { openssl, provider, smtpPort } = world
  const { to, messageId, subject, outerSubject, certificatePath } = sealed
  const fields = [
    `From: "Dr. Rivera" <${sender}>`,
    `To: <${to}>`,
    `Subject: ${subject}`,
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString()}`,
    'MIME-Version: 1.0',
  ]
  const signed = await openssl.sign(`${fields.join('\r\n')}\r\n${sealed.entity ?? bodyOf(sealed)}`, provider)
  const envelope = await openssl.encrypt(signed, { certificatePath })
  const outer = [
    ...[`From: <${sender}>`, `To: <${to}>`, `Message-ID: ${messageId}`, `Date: ${new Date().toUTCString()}`],
    ...(outerSubject === undefined ? [] : [`Subject: ${outerSubject}`]),
  ]
  const session = await openMail(smtpPort)
  try {
    return await session.send(sender, [to], Buffer.concat([Buffer.from(`${outer.join('\r\n')}\r\n`), envelope]))
  } finally {
    session.close()
  }
}

function bodyOf({ attachment }: Sealed): string {
  const words = 'Content-Type: text/plain; charset=utf-8\r\n\r\nPlease find our summary attached.\r\n'
  if (!attachment) return words
  const { name, type, bytes } = attachment
  return [
    'Content-Type: multipart/mixed; boundary="part"',
    '',
    '--part',
    words,
    '--part',
    `Content-Type: ${type}; name="${name}"`,
    'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename="${name}"`,
    '',
    Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n'),
    '--part--',
    '',
  ].join('\r\n')
}

/** A notice that a message was processed (RFC 8098), as the entity of a message. */
export function processedNotice(about: string): string {
  return [
    'Content-Type: multipart/report; report-type=disposition-notification; boundary="report"',
    '',
    '--report',
    'Content-Type: text/plain',
    '',
    'The message was processed.',
    '--report',
    'Content-Type: message/disposition-notification',
    '',
    'Reporting-UA: direct.hospital.example; far side of the demo',
    `Final-Recipient: rfc822; ${sender}`,
    `Original-Message-ID: ${about}`,
    'Disposition: automatic-action/MDN-sent-automatically; processed',
    '',
    '--report--',
    '',
  ].join('\r\n')
}

/** Waits for the next message to the doctor, opens it with his key, and verifies that our authority vouches for who signed it. */
export async function receive({ letters, openssl, provider, authorityPath }: World): Promise<string> {
  const wire = await letters.nextMessage(sender)
  return openssl.openNotice(wire, provider, { certificatePath: authorityPath })
}

/** A field of what was received, unfolded; empty where it has none. */
export function fieldOf(text: string, name: string): string {
  const found = new RegExp(`^${name}: *((?:.*(?:\\r?\\n[ \\t].*)*))`, 'im').exec(text)?.[1] ?? ''
  return found.replace(/\r?\n[ \t]+/g, ' ').trim()
}

/** Writes down the certificate of an address, as DNS or LDAP would tell it; waits until there is one. */
export async function certificateOf({ published }: World, address: string): Promise<string> {
  const parsed = parseAddress(address)
  must(parsed !== undefined, `${address} is no address`)
  return eventually(`the certificate of ${address}`, () => published(parsed))
}

/** Names of whom a certificate is for, as OpenSSL reads them. */
export async function namesIn(certificatePath: string): Promise<string> {
  const { stdout } = await promisify(execFile)('openssl', [
    'x509',
    '-in',
    certificatePath,
    '-noout',
    '-ext',
    'subjectAltName',
  ])
  return stdout.replace(/\s+/g, ' ').trim()
}
