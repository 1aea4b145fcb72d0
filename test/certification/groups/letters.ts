import { randomBytes } from 'node:crypto'
import { cases } from '../cases.js'
import { type Cipher, encrypted, type SignOptions, signed, type Transport } from '../world/cms.js'
import type { OpenSsl } from '../world/openssl.js'
import type { Party } from '../world/pki.js'

/** What a case sends, and what must come of it. */
export interface Letter {
  readonly caseId: string
  /** What this one of several of the case is about. */
  readonly about: string
  readonly messageId: string
  /** An address that only this letter has, so that whatever comes back is known to answer it. */
  readonly from: string
  readonly to: string
  readonly expect: Expectation
  /** The message as its author wrote it: what must be delivered, byte for byte. */
  readonly original: Buffer
  readonly attachments: readonly Buffer[]
  /** Who can read the notices. */
  readonly reader: Party
  readonly wire: Buffer
}

export type Expectation = 'processed' | 'dispatched' | 'nothing'

export interface Draft {
  readonly about?: string
  readonly expect: Expectation
  readonly to?: string
  /** Of the sender. */
  readonly domain?: string
  readonly signers: readonly Party[]
  readonly sign?: SignOptions
  readonly cipher?: Cipher
  readonly transport?: Transport
  /** Further header lines. */
  readonly header?: readonly string[]
  readonly content?: Content
  /** Who can read the notices, where it is not the first signer. */
  readonly reader?: Party
  /** Changes the signed entity before it is encrypted. */
  readonly tamper?: (entity: string) => string
  /** Signs in another way. */
  readonly signBy?: (entity: string) => Promise<Buffer>
}

export interface Content {
  /** MIME header and body, CRLF throughout. */
  readonly mime: string
  readonly attachments: readonly Buffer[]
}

export const ourDomain = 'patients.test'
export const ourAddress = `pat.sample@${ourDomain}`
export const theirDomain = 'clinic.test'

/** The address a letter comes from, and what makes its Message-ID. */
export function nameOf(caseId: string, about = ''): string {
  return `${caseId}${about === '' ? '' : `-${about}`}`.toLowerCase().replace(/[^a-z0-9]+/g, '-')
}

export function senderOf(caseId: string, about = '', domain = theirDomain): string {
  return `${nameOf(caseId, about)}@${domain}`
}

/** Writes, signs and encrypts one letter by OpenSSL. Throws for a case that is none. */
export async function compose(openssl: OpenSsl, gateway: Party, caseId: string, draft: Draft): Promise<Letter> {
  if (!cases.some(({ id }) => id === caseId)) throw new Error(`${caseId} is no case`)
  const { about = '', to = ourAddress, signers, content = text(), header = [] } = draft
  const from = senderOf(caseId, about, draft.domain)
  const messageId = `<${nameOf(caseId, about)}@${theirDomain}>`
  const fields = [
    `From: <${from}>`,
    `To: <${to}>`,
    'Subject: A note',
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    ...header,
    'MIME-Version: 1.0',
  ]
  const original = `${fields.join('\r\n')}\r\n${content.mime}`
  const entity = `Content-Type: message/rfc822\r\n\r\n${original}`
  const [signer] = signers
  if (!signer) throw new Error(`${caseId} has no signer`)
  const multipart = await (draft.signBy?.(entity) ?? signed(openssl, entity, signers, draft.sign))
  const final = draft.tamper ? Buffer.from(draft.tamper(multipart.toString('latin1')), 'latin1') : multipart
  const sealed = await encrypted(openssl, final, [gateway], {
    ...(draft.cipher && { cipher: draft.cipher }),
    ...(draft.transport && { transport: draft.transport }),
  })
  const wire = Buffer.concat([Buffer.from(`${fields.slice(0, 5).join('\r\n')}\r\n`), sealed])
  const { expect, reader = signer } = draft
  const { attachments } = content
  return { caseId, about, messageId, from, to, expect, original: Buffer.from(original), attachments, reader, wire }
}

export function text(body = 'All is well. Grüße!'): Content {
  return {
    mime: `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}\r\n`,
    attachments: [],
  }
}

export interface Attached {
  readonly name: string
  readonly type: string
  readonly bytes: Buffer
}

/** One attachment and nothing else, as the whole body. */
export function only(one: Attached): Content {
  return { mime: attachedPart(one), attachments: [one.bytes] }
}

/** A text with attachments. */
export function mixed(...many: readonly Attached[]): Content {
  const boundary = `parts-${randomBytes(8).toString('hex')}`
  const parts = [text('See the attachments.').mime, ...many.map(attachedPart)]
  const body = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')
  const mime = `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n${body}--${boundary}--\r\n`
  return { mime, attachments: many.map(({ bytes }) => bytes) }
}

function attachedPart({ name, type, bytes }: Attached): string {
  return [
    `Content-Type: ${type}; name="${name}"`,
    'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename="${name}"`,
    '',
    bytes.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n'),
    '',
  ].join('\r\n')
}

/** A small C-CDA with line ends of both kinds and letters beyond ASCII: bytes that a careless reader would change. */
export const cda: Attached = {
  name: 'ccda.xml',
  type: 'application/xml',
  bytes: Buffer.from(
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<ClinicalDocument xmlns="urn:hl7-org:v3">\r',
      '  <realmCode code="US"/>',
      '  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>',
      '  <templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>',
      '  <id root="1.2.3.4" extension="certification"/>',
      '  <code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>',
      '  <title>Überweisung für Frau Muster</title>\r',
      '  <effectiveTime value="20260101"/>',
      '</ClinicalDocument>',
      '',
    ].join('\n'),
  ),
}

/** Every byte there is, under the mark of a PNG. */
export const image: Attached = {
  name: 'scan.png',
  type: 'image/png',
  bytes: Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    Buffer.from(Array.from({ length: 4096 }, (_, n) => (n * 7) & 0xff)),
  ]),
}

export const pdf: Attached = {
  name: 'letter.pdf',
  type: 'application/pdf',
  bytes: Buffer.concat([
    Buffer.from('%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\r\n', 'latin1'),
    Buffer.from(Array.from({ length: 2048 }, (_, n) => (n * 13) & 0xff)),
    Buffer.from('\n%%EOF\n'),
  ]),
}
