import { isAscii } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { type RsaTransport, rsaTransports } from '../direct/encryption.js'
import { type Refused, refused } from '../direct/refusal.js'
import { viewOf } from '../mime/limits.js'
import { toCanonicalLines } from '../mime/signed.js'
import { publicKeyOf, readCertificate } from '../x509/certificate.js'
import { base64BlockBytes, base64LineBytes, writeBase64Lines } from './base64.js'
import { type Envelope, type EnvelopeRecipient, envelop } from './envelop.js'
import type { SigningKey } from './key.js'
import { type SealPolicy, smimeLimits, usualSealing } from './policy.js'
import { signDetached } from './sign.js'

export interface Sealed {
  readonly kind: 'sealed'
  /** The whole message for the wire. */
  readonly wire: Uint8Array
}

/** A certificate to encrypt to, and how its owner wants the content key; by default as the policy has it. */
export interface SealRecipient {
  /** DER. */
  readonly certificate: Uint8Array
  readonly rsaTransport?: RsaTransport
}

export interface SealInput {
  /** Every one signs. */
  readonly signers: readonly SigningKey[]
  /** Certificates to encrypt to, DER; one that stands twice counts once, with the transport that more systems read. */
  readonly recipients: readonly (Uint8Array | SealRecipient)[]
  /** Header fields of the envelope, for everyone to see: From, To, Date, Message-ID. Never MIME-Version or Content-*. */
  readonly outerHeaders: readonly { readonly name: string; readonly value: string }[]
  /** Signing time, Unix milliseconds. */
  readonly at: number
  readonly policy?: Partial<SealPolicy>
}

const crlf = '\r\n'
const chunkBytes = 64 * 1024

/**
 * Wraps a whole message as message/rfc822, signs it as multipart/signed and encrypts that to every recipient
 * (RFC 8551 §3.1, §3.5.3, §3.3; Applicability Statement for Secure Health Transport §2). Line breaks become CRLF first.
 * Refuses unreadable certificates, weak or unusable keys, and header fields that would break out of their line.
 */
export function sealMessage(message: Uint8Array, input: SealInput): Sealed | Refused {
  const policy = { ...usualSealing, ...input.policy }
  const recipients = recipientsOf(input.recipients, policy)
  if ('kind' in recipients) return recipients
  const fault = signerFault(input.signers, policy)
  if (fault) return fault
  const lines = headerLines(input.outerHeaders)
  if (typeof lines !== 'string') return lines
  const parts = multipartSigned(wrapped(message), input, policy)
  const plainBytes = parts.reduce((sum, part) => sum + part.length, 0)
  const envelope = envelop(plainBytes, recipients, policy)
  if (envelope.kind === 'refused') return envelope
  const type = policy.contentCipher.endsWith('gcm') ? 'authEnveloped-data' : 'enveloped-data'
  return { kind: 'sealed', wire: written(Buffer.from(lines + envelopeHeader(type), 'utf8'), envelope, parts) }
}

/** The names and forms that validators ask for, quoted as they ask. */
function envelopeHeader(smimeType: string): string {
  return [
    'MIME-Version: 1.0',
    `Content-Type: application/pkcs7-mime; smime-type=${smimeType}; name="smime.p7m"`,
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="smime.p7m"',
    'Content-Description: S/MIME Encrypted Message',
    crlf,
  ].join(crlf)
}

function recipientsOf(asked: SealInput['recipients'], policy: SealPolicy): readonly EnvelopeRecipient[] | Refused {
  if (asked.length === 0) return refused('no-key-for-recipient', 'no certificate to encrypt to')
  if (asked.length > smimeLimits.sealRecipients) return refused('too-many-recipients')
  const found = new Map<string, EnvelopeRecipient>()
  for (const one of asked) {
    const { certificate: der, rsaTransport = policy.rsaTransport } =
      one instanceof Uint8Array ? { certificate: one } : one
    const certificate = readCertificate(der)
    if (certificate.kind === 'malformed') return refused('malformed-certificate', certificate.detail)
    const other = found.get(certificate.fingerprint)?.rsaTransport ?? rsaTransport
    found.set(certificate.fingerprint, { certificate, rsaTransport: olderOf(rsaTransport, other) })
  }
  return [...found.values()]
}

/** The one that stands later in the list: more systems read it. */
function olderOf(one: RsaTransport, other: RsaTransport): RsaTransport {
  return rsaTransports.indexOf(one) > rsaTransports.indexOf(other) ? one : other
}

function signerFault(signers: readonly SigningKey[], policy: SealPolicy): Refused | undefined {
  if (signers.length === 0) return refused('not-signed', 'no key to sign with')
  for (const { certificate } of signers) {
    const bits = publicKeyOf(certificate)?.asymmetricKeyDetails?.modulusLength
    if (bits !== undefined && bits < policy.rsaBits)
      return refused('weak-key', `signer ${certificate.fingerprint} has RSA of ${bits} bits`)
  }
  return undefined
}

const fieldName = /^[A-Za-z0-9][A-Za-z0-9-]{0,75}$/
const ownField = /^(?:content-.*|mime-version|bcc)$/i
const control = /\p{Cc}/u
/** RFC 5322 §2.1.1. */
const lineLimit = 998

/** Fields as lines, folded at spaces (RFC 5322 §2.2.3). A control character or a field of ours is refused: it would let a value become a header. */
function headerLines(fields: SealInput['outerHeaders']): string | Refused {
  let lines = ''
  for (const { name, value } of fields) {
    if (!fieldName.test(name) || ownField.test(name) || control.test(value))
      return refused('malformed-message', `header field ${fieldName.test(name) ? name : '(unreadable name)'}`)
    const line = folded(`${name}: ${value.trim()}`)
    if (line.split(crlf).some((one) => Buffer.byteLength(one) > lineLimit))
      return refused('malformed-message', `header field ${name} has a line over ${lineLimit} bytes`)
    lines += line + crlf
  }
  return lines
}

/** Breaks before a space as soon as a line would pass 78 characters; a longer word stays whole. */
function folded(line: string): string {
  let out = ''
  let width = 0
  for (const word of line.split(/(?<=\S)(?= )/)) {
    if (width > 0 && width + word.length > 78 && out.includes(':') && !/:$/.test(out)) {
      out += crlf
      width = 0
    }
    out += word
    width += word.length
  }
  return out
}

/** Part one: the message inside message/rfc822, so that its header is signed and encrypted too (RFC 8551 §3.1). */
function wrapped(message: Uint8Array): Buffer[] {
  const lines = toCanonicalLines(message)
  const encoding = isAscii(lines) ? '' : `Content-Transfer-Encoding: 8bit${crlf}`
  return [Buffer.from(`Content-Type: message/rfc822${crlf}${encoding}${crlf}`), lines]
}

/** multipart/signed (RFC 8551 §3.5.3.2) in pieces, so that the message is not copied again. */
function multipartSigned(entity: readonly Buffer[], input: SealInput, policy: SealPolicy): Buffer[] {
  const signature = viewOf(signDetached(entity, input.signers, input.at, policy))
  const boundary = `----=_${randomBytes(18).toString('hex')}`
  const micalg = { sha256: 'sha-256', sha384: 'sha-384', sha512: 'sha-512' }[policy.digest]
  const lines = Buffer.allocUnsafe(base64LineBytes(signature.length))
  return [
    Buffer.from(
      `Content-Type: multipart/signed; protocol="application/pkcs7-signature";${crlf} micalg=${micalg}; boundary="${boundary}"${crlf}${crlf}--${boundary}${crlf}`,
    ),
    ...entity,
    Buffer.from(
      [
        '',
        `--${boundary}`,
        'Content-Type: application/pkcs7-signature; name="smime.p7s"; smime-type=signed-data',
        'Content-Transfer-Encoding: base64',
        'Content-Disposition: attachment; filename="smime.p7s"',
        'Content-Description: S/MIME Cryptographic Signature',
        crlf,
      ].join(crlf),
    ),
    lines.subarray(0, writeBase64Lines(signature, lines, 0)),
    Buffer.from(`--${boundary}--${crlf}`),
  ]
}

/** Encrypts the parts chunk by chunk and writes the base64 of the structure behind the header, into memory of the exact size. */
function written(head: Buffer, envelope: Envelope, parts: readonly Buffer[]): Buffer {
  const wire = Buffer.allocUnsafeSlow(head.length + base64LineBytes(envelope.sizeBytes))
  let at = head.copy(wire)
  const block = Buffer.allocUnsafe(base64BlockBytes)
  let filled = 0
  const put = (octets: Buffer) => {
    for (let from = 0; from < octets.length; ) {
      const taken = octets.copy(block, filled, from)
      from += taken
      filled += taken
      if (filled < block.length) return
      at = writeBase64Lines(block, wire, at)
      filled = 0
    }
  }
  put(envelope.head)
  for (const part of parts)
    for (let from = 0; from < part.length; from += chunkBytes)
      put(envelope.encrypt(part.subarray(from, from + chunkBytes)))
  put(envelope.end())
  at = writeBase64Lines(block.subarray(0, filled), wire, at)
  return wire.subarray(0, at)
}
