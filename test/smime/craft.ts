import { createHash, randomBytes } from 'node:crypto'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import {
  algorithmIdentifier,
  context,
  der,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
} from '../../src/asn1/writer.js'
import { envelop } from '../../src/smime/envelop.js'
import type { SigningKey } from '../../src/smime/key.js'
import { type SealPolicy, usualSealing } from '../../src/smime/policy.js'
import { readCertificate } from '../../src/x509/certificate.js'
import type { Identity } from '../fixtures/pki.js'
import { envelopeOf } from './identities.js'

/** CMS by hand, so that it can also be wrong on purpose. */

export type Attribute = readonly [type: string, ...values: Uint8Array[]]

export const attribute = {
  contentType: (type: string = oids.data): Attribute => [oids.contentType, objectIdentifier(type)],
  digest: (content: Uint8Array, name = 'sha256'): Attribute => [
    oids.messageDigest,
    octetString(createHash(name).update(content).digest()),
  ],
}

export interface CraftedSigner {
  /** signedAttrs; `false` leaves them out and signs the content itself. */
  readonly attributes?: readonly Attribute[] | false
  /** The order of the attributes when they are sent, and when they are signed; sorted, as in DER, unless told otherwise. */
  readonly order?: { readonly sent: 'sorted' | 'reversed'; readonly signed: 'sorted' | 'reversed' }
  /** Names another certificate than the key's. */
  readonly sid?: Uint8Array
  readonly digest?: 'sha256' | 'sha384' | 'sha512'
  /** AlgorithmIdentifiers, DER. */
  readonly digestAlgorithm?: Uint8Array
  readonly signatureAlgorithm?: Uint8Array
  /** Changes the signature. */
  readonly signature?: (signature: Uint8Array) => Uint8Array
}

export function issuerAndSerial({ certificate }: SigningKey): Uint8Array {
  return sequenceOf(certificate.issuer, der(0x02, certificate.serial))
}

/** A SignerInfo over `content`. */
export function signerInfo(content: Uint8Array, signer: SigningKey, options: CraftedSigner = {}): Uint8Array {
  const digest = options.digest ?? 'sha256'
  const attributes = options.attributes ?? [attribute.contentType(), attribute.digest(content, digest)]
  const set = attributes ? attributeSet(attributes, options.order?.signed) : undefined
  const sent = attributes ? attributeSet(attributes, options.order?.sent) : undefined
  const scheme = signer.key.type === 'ec' ? 'ecdsa' : 'rsa'
  const usual =
    scheme === 'rsa' ? algorithmIdentifier(oids.rsaEncryption, nullValue) : algorithmIdentifier(oids.ecdsaWithSha256)
  const signature = signer.key.sign(digest, set || content, scheme)
  return sequenceOf(
    integer(1),
    options.sid ?? issuerAndSerial(signer),
    options.digestAlgorithm ?? algorithmIdentifier(oids[digest]),
    ...(sent ? [Buffer.concat([Uint8Array.of(0xa0), sent.subarray(1)])] : []),
    options.signatureAlgorithm ?? usual,
    octetString(options.signature?.(signature) ?? signature),
  )
}

/** Attributes as the SET that is signed. */
export function attributeSet(attributes: readonly Attribute[], order: 'sorted' | 'reversed' = 'sorted'): Uint8Array {
  const sorted = attributes
    .map(([type, ...values]) => sequenceOf(objectIdentifier(type), setOf(...values)))
    .sort(Buffer.compare)
  return der(asn1.tags.set, ...(order === 'sorted' ? sorted : sorted.reverse()))
}

/** SignedData with these SignerInfos; detached unless it has a content. */
export function signedData(
  signers: readonly Uint8Array[],
  certificates: readonly Uint8Array[],
  { content, type = oids.data }: { readonly content?: Uint8Array; readonly type?: string } = {},
): Uint8Array {
  return sequenceOf(
    objectIdentifier(oids.signedData),
    context(
      0,
      sequenceOf(
        integer(1),
        setOf(algorithmIdentifier(oids.sha256)),
        sequenceOf(objectIdentifier(type), ...(content ? [context(0, octetString(content))] : [])),
        ...(certificates.length > 0 ? [context(0, ...certificates)] : []),
        der(asn1.tags.set, ...signers), // in the order given
      ),
    ),
  )
}

/** multipart/signed around a content and its signature. */
export function multipart(content: Uint8Array, signature: Uint8Array, { after = '', before = '' } = {}): Buffer {
  const base64 = Buffer.from(signature).toString('base64').replace(/.{76}/g, '$&\r\n')
  return Buffer.concat([
    Buffer.from(
      `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b\r\n\r\n${before}--b\r\n`,
    ),
    content,
    Buffer.from(
      `\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n--b--\r\n${after}`,
    ),
  ])
}

/** application/pkcs7-mime around SignedData with content. */
export function opaque(cms: Uint8Array): Buffer {
  return envelopeOf(cms)
}

/** EnvelopedData around any entity, signed or not. */
export function envelopedCms(
  entity: Uint8Array,
  recipients: readonly Identity[],
  policy: Partial<SealPolicy> = {},
): Buffer {
  const { rsaTransport, ...chosen } = { ...usualSealing, ...policy }
  const to = recipients.map(({ certificate: der }) => {
    const certificate = readCertificate(der)
    if (certificate.kind === 'malformed') throw new Error(certificate.detail)
    return { certificate, rsaTransport }
  })
  const envelope = envelop(entity.length, to, chosen)
  if (envelope.kind === 'refused') throw new Error(envelope.reason)
  return Buffer.concat([envelope.head, envelope.encrypt(entity), envelope.end()])
}

/** The same as a message. */
export function enveloped(
  entity: Uint8Array,
  recipients: readonly Identity[],
  policy: Partial<SealPolicy> = {},
): Buffer {
  return envelopeOf(envelopedCms(entity, recipients, policy))
}

/** Rebuilds an enveloped CMS structure with other RecipientInfos. */
export function withRecipients(
  cms: Uint8Array,
  change: (recipients: Uint8Array[]) => readonly Uint8Array[],
): Uint8Array {
  const [type, wrapped] = asn1.sequence(asn1.onlyElement(cms))
  const [version, recipients, ...rest] = asn1.sequence(asn1.children(wrapped as asn1.Element)[0])
  const infos = change(asn1.children(recipients as asn1.Element).map((one) => Uint8Array.from(asn1.whole(one))))
  return sequenceOf(
    asn1.whole(type as asn1.Element),
    context(0, sequenceOf(asn1.whole(version as asn1.Element), der(asn1.tags.set, ...infos), ...rest.map(asn1.whole))),
  )
}

/** The same bytes with the last octet of an element changed: of a RecipientInfo, its encrypted key. */
export function damaged(element: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(element)
  copy[copy.length - 1] = (copy[copy.length - 1] as number) ^ 0x55
  return copy
}

export const noise = (size: number): Buffer => randomBytes(size)
