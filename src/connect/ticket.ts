import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import type { Random } from '../ports/world.js'

/** 256 random bits, so that a plain digest is as good as a slow one. */
export interface NewTicket {
  readonly text: string
  readonly digest: string
}

const ticketForm = /^[A-Za-z0-9_-]{43}$/
const [nonceBytes, tagBytes] = [12, 16]

export function newTicket(random: Random): NewTicket {
  const text = Buffer.from(random.bytes(32)).toString('base64url')
  return { text, digest: digestOf(text) }
}

/** The digest under which a ticket is kept; undefined for what cannot be one. */
export function readTicket(text: string): string | undefined {
  return ticketForm.test(text) ? digestOf(text) : undefined
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function keyOf(ticket: string): Buffer {
  return Buffer.from(hkdfSync('sha256', ticket, '', 'direct-gateway pickup ticket', 32))
}

/** Seals what only the holder of the ticket may have meanwhile, under the ticket itself: the store alone does not open it. */
export function sealUnder({ text, digest }: NewTicket, secret: Uint8Array, random: Random): string {
  const nonce = random.bytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', keyOf(text), nonce).setAAD(Buffer.from(digest))
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** Opens what `sealUnder` made. Throws where the row was changed. */
export function openUnder(text: string, sealed: string): Uint8Array {
  const bytes = Buffer.from(sealed, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', keyOf(text), bytes.subarray(0, nonceBytes))
  decipher.setAAD(Buffer.from(digestOf(text))).setAuthTag(bytes.subarray(-tagBytes))
  return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()])
}
