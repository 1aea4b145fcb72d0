import { createHash } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { algorithmIdentifier } from '../asn1/writer.js'
import { type Refused, refused } from '../direct/refusal.js'
import { KeyUnavailable } from '../ports/keys.js'
import { algorithmOf, type Certificate, publicKeyOf } from '../x509/certificate.js'
import { sameName } from '../x509/name.js'
import { agreements, type Curve, curves, keyEncryptionKey, keyWraps, uncompressed, unwrapKey } from './agreement.js'
import { oidName } from './algorithms.js'
import type { DecryptionKey } from './key.js'
import { type OpenPolicy, smimeLimits } from './policy.js'
import { oaepParameters, unwrapRsa } from './rsa.js'

export type KeyTransport = 'rsa-pkcs1-v1.5' | 'rsa-oaep' | 'ecdh'

/** A RecipientInfo that names one of our keys. */
export interface Match {
  readonly key: DecryptionKey
  /** The content key of `length` octets; for RSA a wrong one where the padding is wrong. */
  unwrap(length: number, policy: OpenPolicy): Unwrapped | Refused
}

export interface Unwrapped {
  readonly kind: 'unwrapped'
  readonly contentKey: Uint8Array
  readonly transport: KeyTransport
}

/**
 * The RecipientInfos that name one of `keys`, in the order of the message, at most `smimeLimits.attempts`: issuer and
 * serial or key identifier are compared as bytes before any arithmetic. Kinds without a certificate (RFC 5652 §6.2.3 to
 * §6.2.5) name nobody here.
 */
export function matchesOf(recipients: readonly asn1.Element[], keys: readonly DecryptionKey[]): Match[] {
  const found: Match[] = []
  let looked = 0
  for (const recipient of recipients) {
    if (recipient.tag === asn1.tags.sequence) {
      const [, rid, algorithm, encrypted] = asn1.sequence(recipient)
      const names = namedBy(rid)
      for (const key of keys)
        if (names(key.certificate))
          found.push({ key, unwrap: (length, policy) => transported(key, algorithm, encrypted, length, policy) })
    } else if (recipient.tag === 0xa1) {
      const agreement = readAgreement(recipient)
      looked += agreement.encryptedKeys.length
      if (looked > smimeLimits.recipients) throw new asn1.Asn1Error('too many encrypted keys')
      for (const { rid, encrypted } of agreement.encryptedKeys) {
        const names = namedBy(rid)
        for (const key of keys)
          if (names(key.certificate)) found.push({ key, unwrap: (length) => agreed(key, agreement, encrypted, length) })
      }
    }
    if (found.length >= smimeLimits.attempts) return found.slice(0, smimeLimits.attempts)
  }
  return found
}

/**
 * Tells which certificates a RecipientIdentifier, SignerIdentifier or KeyAgreeRecipientIdentifier means: by issuer and
 * serial, or by `[0]` with a subject key identifier (RFC 5652 §5.3, §6.2.1, §6.2.2).
 */
export function namedBy(id: asn1.Element | undefined): (certificate: Certificate) => boolean {
  if (id?.tag === asn1.tags.sequence) {
    const [issuerField, serialField] = asn1.sequence(id)
    const issuer = asn1.whole(asn1.expect(issuerField, asn1.tags.sequence))
    const serial = asn1.content(asn1.expect(serialField, asn1.tags.integer))
    return (certificate) => Buffer.compare(serial, certificate.serial) === 0 && sameName(issuer, certificate.issuer)
  }
  // RecipientKeyIdentifier is a SEQUENCE that begins with the identifier.
  const identifier = id?.tag === 0xa0 ? asn1.children(id)[0] : id?.tag === 0x80 ? id : undefined
  if (!identifier) return () => false
  const octets = asn1.content(identifier)
  return (certificate) => Buffer.compare(octets, keyIdentifier(certificate)) === 0
}

/** The extension, or what it would most likely be: SHA-1 of the public key (RFC 5280 §4.2.1.2, method 1). */
function keyIdentifier(certificate: Certificate): Uint8Array {
  return certificate.subjectKeyIdentifier ?? createHash('sha1').update(publicBits(certificate)).digest()
}

function publicBits(certificate: Certificate): Uint8Array {
  return asn1.bitOctets(asn1.sequence(asn1.onlyElement(certificate.spki))[1])
}

/** KeyTransRecipientInfo (RFC 5652 §6.2.1): RSA with either padding. */
function transported(
  { key, certificate }: DecryptionKey,
  algorithm: asn1.Element | undefined,
  encrypted: asn1.Element | undefined,
  length: number,
  policy: OpenPolicy,
): Unwrapped | Refused {
  const { oid, parameters } = algorithmOf(algorithm)
  if (!encrypted || (encrypted.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('encrypted key')
  if (oid !== oids.rsaEncryption && oid !== oids.rsaesOaep)
    return refused('unsupported-algorithm', `key transport ${oidName(oid)}`)
  const bits = publicKeyOf(certificate)?.asymmetricKeyDetails?.modulusLength
  if (key.type !== 'rsa' || bits === undefined)
    return refused('unsupported-algorithm', 'key transport to a key without RSA')
  if (bits < policy.rsaBits) return refused('weak-algorithm', `encrypted to an RSA key of ${bits} bits`)
  const oaep = oid === oids.rsaesOaep ? oaepParameters(parameters) : undefined
  if (oaep && 'unknown' in oaep) return refused('unsupported-algorithm', oaep.unknown)
  const contentKey = unwrapRsa(key, Math.ceil(bits / 8), asn1.octets(encrypted), length, oaep)
  if (!contentKey) return refused('decrypt-failed')
  return { kind: 'unwrapped', contentKey, transport: oaep ? 'rsa-oaep' : 'rsa-pkcs1-v1.5' }
}

interface Agreement {
  readonly originator: asn1.Element | undefined
  readonly ukm: Uint8Array | undefined
  readonly algorithm: asn1.Element | undefined
  readonly encryptedKeys: readonly { readonly rid: asn1.Element | undefined; readonly encrypted: Uint8Array }[]
}

/** KeyAgreeRecipientInfo (RFC 5652 §6.2.2). */
function readAgreement(recipient: asn1.Element): Agreement {
  const fields = asn1.children(recipient)
  const originator = asn1.children(asn1.expect(fields[1], 0xa0))[0]
  const ukm = fields[2]?.tag === 0xa1 ? asn1.octets(asn1.children(fields[2])[0] as asn1.Element) : undefined
  const [algorithm, keys] = fields.slice(ukm ? 3 : 2)
  const encryptedKeys = asn1.sequence(keys, smimeLimits.recipients).map((one) => {
    const [rid, encrypted] = asn1.sequence(one)
    if (!encrypted || (encrypted.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('encrypted key')
    return { rid, encrypted: asn1.octets(encrypted) }
  })
  return { originator, ukm, algorithm, encryptedKeys }
}

/** Ephemeral-static ECDH (RFC 5753 §3.1). */
function agreed(
  { key, certificate }: DecryptionKey,
  { originator, ukm, algorithm }: Agreement,
  encrypted: Uint8Array,
  length: number,
): Unwrapped | Refused {
  const [scheme, wrap] = asn1.sequence(algorithm)
  const digest = agreements.get(asn1.oid(scheme))
  if (!digest) return refused('unsupported-algorithm', `key agreement ${oidName(asn1.oid(scheme))}`)
  const wrapOid = asn1.oid(asn1.sequence(wrap)[0])
  const kekBytes = keyWraps.get(wrapOid)
  if (!wrap || !kekBytes) return refused('unsupported-algorithm', `key wrap ${oidName(wrapOid)}`)
  if (originator?.tag !== 0xa1) return refused('unsupported-algorithm', 'key agreement without an ephemeral key')
  const curve = curveOf(certificate)
  if (key.type !== 'ec' || !curve)
    return refused('unsupported-algorithm', 'key agreement on a curve that is not used here')
  const point = uncompressed(asn1.bitOctets(asn1.children(originator)[1]), curve)
  let secret: Uint8Array
  try {
    if (!point) return refused('decrypt-failed')
    secret = key.agree(point)
  } catch (error) {
    if (error instanceof KeyUnavailable) throw error
    return refused('decrypt-failed') // a point off the curve
  }
  // Some senders transmit NULL parameters and derive without them; the wrap tells which was meant.
  for (const keyInfo of [asn1.whole(wrap), algorithmIdentifier(wrapOid)]) {
    const contentKey = unwrapKey(keyEncryptionKey(secret, digest, keyInfo, kekBytes, ukm), encrypted)
    if (contentKey?.length === length) return { kind: 'unwrapped', contentKey, transport: 'ecdh' }
  }
  return refused('decrypt-failed')
}

/** The curve of an EC certificate, where it is one of ours. */
export function curveOf(certificate: Certificate): Curve | undefined {
  if (certificate.publicKeyAlgorithm !== oids.ecPublicKey) return undefined
  const named = publicKeyOf(certificate)?.asymmetricKeyDetails?.namedCurve
  return curves.find(({ openssl }) => openssl === named)
}
