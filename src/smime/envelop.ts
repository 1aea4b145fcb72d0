import {
  type CipherGCM,
  constants,
  createCipheriv,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import {
  algorithmIdentifier,
  bitString,
  context,
  der,
  header,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
} from '../asn1/writer.js'
import type { RsaTransport } from '../direct/encryption.js'
import { type Refused, refused } from '../direct/refusal.js'
import { type Certificate, publicKeyOf } from '../x509/certificate.js'
import { aes256WrapAlgorithm, type Curve, keyEncryptionKey, wrapKey } from './agreement.js'
import { type CipherShape, contentCiphers, oidName } from './algorithms.js'
import type { SealPolicy } from './policy.js'
import { curveOf } from './recipient.js'

/** An encrypted CMS structure in the making: what stands before the ciphertext, the ciphertext by chunks, what stands after. */
export interface Envelope {
  readonly kind: 'envelope'
  /** Octets of the whole structure. */
  readonly sizeBytes: number
  readonly head: Buffer
  encrypt(chunk: Uint8Array): Buffer
  /** The last of the ciphertext and what follows it. */
  end(): Buffer
}

/** Who can open it: each gets the content key in the way that is his (RFC 5652 §6.2). */
export interface EnvelopeRecipient {
  readonly certificate: Certificate
  readonly rsaTransport: RsaTransport
}

const gcmTagBytes = 16
const gcmNonceBytes = 12 // RFC 5084 §3.2 recommends it

/**
 * EnvelopedData, or AuthEnvelopedData for GCM, of `plainBytes` octets to every recipient (RFC 5652 §6.1, RFC 5083 §2.1).
 * Refuses a recipient whose key is too small or of a kind that nothing can be encrypted to.
 */
export function envelop(
  plainBytes: number,
  recipients: readonly EnvelopeRecipient[],
  policy: Pick<SealPolicy, 'contentCipher' | 'rsaBits'>,
): Envelope | Refused {
  const cipher = contentCiphers[policy.contentCipher]
  const contentKey = randomBytes(cipher.keyBytes)
  const infos: Uint8Array[] = []
  for (const recipient of recipients) {
    const info = recipientInfo(recipient, contentKey, policy.rsaBits)
    if ('kind' in info) return info
    infos.push(info)
  }
  return cipher.mode === 'gcm'
    ? authenticated(plainBytes, cipher, contentKey, infos)
    : chained(plainBytes, cipher, contentKey, infos)
}

function chained(
  plainBytes: number,
  cipher: CipherShape,
  contentKey: Uint8Array,
  infos: readonly Uint8Array[],
): Envelope {
  const iv = randomBytes(cipher.blockBytes)
  const encryptor = createCipheriv(cipher.name, contentKey, iv)
  const cipherBytes = plainBytes + cipher.blockBytes - (plainBytes % cipher.blockBytes)
  // RFC 5652 §6.1: 2 as soon as a recipient agrees on a key rather than being sent one.
  const version = integer(infos.some((info) => info[0] === 0xa1) ? 2 : 0)
  const before = [version, setOf(...infos)]
  const head = headOf(oids.envelopedData, before, algorithmIdentifier(cipher.oid, octetString(iv)), cipherBytes, 0)
  return {
    kind: 'envelope',
    sizeBytes: head.length + cipherBytes,
    head,
    encrypt: (chunk) => encryptor.update(chunk),
    end: () => encryptor.final(),
  }
}

function authenticated(
  plainBytes: number,
  cipher: CipherShape,
  contentKey: Uint8Array,
  infos: readonly Uint8Array[],
): Envelope {
  const nonce = randomBytes(gcmNonceBytes)
  const encryptor = createCipheriv(cipher.name as 'aes-256-gcm', contentKey, nonce, {
    authTagLength: gcmTagBytes,
  }) as CipherGCM
  const parameters = sequenceOf(octetString(nonce), integer(gcmTagBytes))
  const tagBytes = 2 + gcmTagBytes
  const before = [integer(0), setOf(...infos)]
  const head = headOf(oids.authEnvelopedData, before, algorithmIdentifier(cipher.oid, parameters), plainBytes, tagBytes)
  return {
    kind: 'envelope',
    sizeBytes: head.length + plainBytes + tagBytes,
    head,
    encrypt: (chunk) => encryptor.update(chunk),
    end: () => {
      const last = encryptor.final()
      return Buffer.concat([last, octetString(encryptor.getAuthTag())])
    },
  }
}

/** Everything up to the ciphertext, with lengths that count it and the `afterBytes` behind it. */
function headOf(
  contentType: string,
  before: readonly Uint8Array[],
  algorithm: Uint8Array,
  cipherBytes: number,
  afterBytes: number,
): Buffer {
  const around = (tag: number, inner: Uint8Array, beyond: number): Buffer =>
    Buffer.concat([header(tag, inner.length + beyond), inner])
  const content = header(0x80, cipherBytes)
  const info = around(0x30, Buffer.concat([objectIdentifier(oids.data), algorithm, content]), cipherBytes)
  const behind = cipherBytes + afterBytes
  const body = around(0x30, Buffer.concat([...before, info]), behind)
  const explicit = around(0xa0, body, behind)
  return around(0x30, Buffer.concat([objectIdentifier(contentType), explicit]), behind)
}

function recipientInfo(
  { certificate, rsaTransport }: EnvelopeRecipient,
  contentKey: Uint8Array,
  rsaBits: number,
): Uint8Array | Refused {
  const known = reachedBy(certificate)
  if (known.kind === 'rsa') {
    const { key, bits } = known
    if (bits < rsaBits) return refused('weak-key', `recipient ${certificate.fingerprint} has RSA of ${bits} bits`)
    const { padding } = transports[rsaTransport]
    const encrypted = publicEncrypt({ key, ...padding }, contentKey)
    return Buffer.concat([transportHead(known, rsaTransport, encrypted.length), encrypted])
  }
  if (known.kind === 'ec') return agreementInfo(known.key, known.curve, known.rid, contentKey)
  return refused(
    'unsupported-algorithm',
    `recipient ${certificate.fingerprint} has a key of ${oidName(certificate.publicKeyAlgorithm)} that is not used here`,
  )
}

/** How a certificate is encrypted to. `heads` are the RecipientInfos up to the encrypted key, by transport. */
type Reached =
  | {
      readonly kind: 'rsa'
      readonly key: KeyObject
      readonly bits: number
      readonly rid: Uint8Array
      readonly heads: Map<RsaTransport, Buffer>
    }
  | { readonly kind: 'ec'; readonly key: KeyObject; readonly curve: Curve; readonly rid: Uint8Array }
  | { readonly kind: 'not-used-here' }

/** For as long as the parsed certificate is remembered (see certificateLimits.cached). */
const reached = new WeakMap<Certificate, Reached>()

function reachedBy(certificate: Certificate): Reached {
  const known = reached.get(certificate)
  if (known) return known
  const key = publicKeyOf(certificate)
  const bits = key?.asymmetricKeyDetails?.modulusLength
  const curve = curveOf(certificate)
  // Issuer and serial rather than a key identifier: some validators know no other.
  const rid = sequenceOf(certificate.issuer, der(0x02, certificate.serial))
  const found: Reached =
    key?.asymmetricKeyType === 'rsa' && bits !== undefined
      ? { kind: 'rsa', key, bits, rid, heads: new Map() }
      : key && curve
        ? { kind: 'ec', key, curve, rid }
        : { kind: 'not-used-here' }
  reached.set(certificate, found)
  return found
}

/** KeyTransRecipientInfo (RFC 5652 §6.2.1) without the octets of the encrypted key, which are as many as the modulus has. */
function transportHead(
  { rid, heads }: Reached & { kind: 'rsa' },
  rsaTransport: RsaTransport,
  keyBytes: number,
): Buffer {
  const known = heads.get(rsaTransport)
  if (known) return known
  const inner = Buffer.concat([integer(0), rid, transports[rsaTransport].algorithm, header(0x04, keyBytes)])
  const made = Buffer.concat([header(0x30, inner.length + keyBytes), inner])
  heads.set(rsaTransport, made)
  return made
}

const sha256Algorithm = algorithmIdentifier(oids.sha256, nullValue)

/** RFC 8017 §A.2.1; for SHA-1 every field is a default and so left out. */
const transports: Readonly<Record<RsaTransport, { algorithm: Uint8Array; padding: object }>> = {
  'oaep-sha256': {
    algorithm: algorithmIdentifier(
      oids.rsaesOaep,
      sequenceOf(context(0, sha256Algorithm), context(1, algorithmIdentifier(oids.mgf1, sha256Algorithm))),
    ),
    padding: { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
  },
  'oaep-sha1': {
    algorithm: algorithmIdentifier(oids.rsaesOaep, sequenceOf()),
    padding: { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
  },
  'pkcs1-v1.5': {
    algorithm: algorithmIdentifier(oids.rsaEncryption, nullValue),
    padding: { padding: constants.RSA_PKCS1_PADDING },
  },
}

/** KeyAgreeRecipientInfo with a key pair made for this recipient alone (RFC 5753 §3.1.1). */
function agreementInfo(theirs: KeyObject, curve: Curve, rid: Uint8Array, contentKey: Uint8Array): Uint8Array {
  const ephemeral = generateKeyPairSync('ec', { namedCurve: curve.openssl })
  const spki = ephemeral.publicKey.export({ format: 'der', type: 'spki' })
  const ours = asn1.bitOctets(asn1.sequence(asn1.onlyElement(spki))[1])
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: theirs })
  const kek = keyEncryptionKey(secret, curve.digest, aes256WrapAlgorithm, 32)
  return der(
    0xa1,
    integer(3),
    context(0, context(1, algorithmIdentifier(oids.ecPublicKey), bitString(ours))),
    algorithmIdentifier(curve.kdfOid, aes256WrapAlgorithm),
    sequenceOf(sequenceOf(rid, octetString(wrapKey(kek, contentKey)))),
  )
}
