import { createHash, timingSafeEqual } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { der, setOf } from '../asn1/writer.js'
import type { Digest, Signer } from '../direct/signer.js'
import { algorithmOf, type Certificate, publicKeyOf } from '../x509/certificate.js'
import { digestOf, oidName } from './algorithms.js'
import { type OpenPolicy, smimeLimits } from './policy.js'
import { curveOf, namedBy } from './recipient.js'
import { type Scheme, schemeOf, signatureHolds } from './signature.js'

/** The signed content: its type and its digests, each computed once however many signers share it. */
export interface SignedContent {
  readonly contentType: string
  readonly bytes: Uint8Array
  digest(name: Digest): Uint8Array
}

const chunkBytes = 64 * 1024

/** Content to be judged against SignerInfos. */
export function signedContent(bytes: Uint8Array, contentType: string): SignedContent {
  const known = new Map<Digest, Uint8Array>()
  return {
    contentType,
    bytes,
    digest(name) {
      let found = known.get(name)
      if (!found) {
        const hash = createHash(name)
        for (let at = 0; at < bytes.length; at += chunkBytes) hash.update(bytes.subarray(at, at + chunkBytes))
        found = hash.digest()
        known.set(name, found)
      }
      return found
    },
  }
}

type Unverified = Extract<Signer, { kind: 'unverified' }>

function unverified(reason: Unverified['reason'], detail: string, certificate?: Certificate): Unverified {
  return { kind: 'unverified', reason, detail, ...(certificate && { certificate: certificate.der }) }
}

/** A SignerInfo (RFC 5652 §5.3) taken apart. */
interface SignerInfo {
  readonly sid: asn1.Element
  readonly digestOid: string
  readonly attributes: asn1.Element | undefined
  readonly algorithm: { readonly oid: string; readonly parameters: Uint8Array | undefined }
  readonly signature: Uint8Array
}

/**
 * Judges one SignerInfo by its arithmetic alone (RFC 5652 §5.6); whether its certificate deserves trust is decided
 * elsewhere. One verified signer for each certificate of the bag that it names and whose key fits: a renewed certificate
 * may share its key identifier with the one before. Otherwise one unverified signer with the first reason found.
 */
export function judgeSigner(
  found: asn1.Element,
  content: SignedContent,
  bag: readonly Certificate[],
  policy: OpenPolicy,
): readonly Signer[] {
  try {
    const info = readSignerInfo(found)
    const candidates = bag.filter(namedBy(info.sid)).slice(0, smimeLimits.matches)
    const [named] = candidates
    const fail = (reason: Unverified['reason'], detail: string) => [unverified(reason, detail, named)]
    const digest = digestOf(info.digestOid)
    if (!digest) return fail('unsupported-algorithm', `digest ${oidName(info.digestOid)}`)
    if (digest === 'md5' || !policy.digests.includes(digest)) return fail('weak-digest', digest)
    const scheme = schemeOf(info.algorithm.oid, info.algorithm.parameters, digest)
    if (scheme.kind !== 'scheme')
      return fail(scheme.kind === 'unsupported' ? 'unsupported-algorithm' : 'malformed-signature', scheme.detail)
    if (!named)
      return fail('signer-certificate-missing', 'no certificate of the message has the name and number it gives')
    // A curve with parameters of its own could be made to fit any public key.
    if (candidates.every((one) => one.publicKeyAlgorithm === oids.ecPublicKey && !curveOf(one)))
      return fail('unsupported-algorithm', 'a key on a curve that is not used here')
    const attributes = info.attributes && readAttributes(info.attributes)
    const fault = attributes ? attributeFault(attributes, info, content, digest) : bareFault(content)
    if (fault) return fail(...fault)
    return verifiedBy(candidates, info, attributes, scheme, content)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return [unverified('malformed-signature', error.message)]
    throw error
  }
}

function readSignerInfo(found: asn1.Element): SignerInfo {
  const [, sid, digestAlgorithm, ...rest] = asn1.sequence(found)
  const attributes = rest[0]?.tag === 0xa0 ? rest.shift() : undefined
  const [algorithm, signature] = rest
  if (!sid || !signature || (signature.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('SignerInfo')
  return {
    sid,
    digestOid: algorithmOf(digestAlgorithm).oid,
    attributes,
    algorithm: algorithmOf(algorithm),
    signature: asn1.octets(signature),
  }
}

/** What signedAttrs say, by type: each type once, each with one value (RFC 5652 §5.3, §11). */
type Attributes = ReadonlyMap<string, asn1.Element>

function readAttributes(found: asn1.Element): Attributes {
  const attributes = new Map<string, asn1.Element>()
  for (const attribute of asn1.children(found, smimeLimits.attributes)) {
    const [type, values] = asn1.sequence(attribute)
    const oid = asn1.oid(type)
    const [value, more] = asn1.children(asn1.expect(values, asn1.tags.set), smimeLimits.attributes)
    if (attributes.has(oid)) throw new asn1.Asn1Error(`attribute ${oidName(oid)} twice`)
    if (value && (!more || !single.has(oid))) attributes.set(oid, value)
    else if (single.has(oid)) throw new asn1.Asn1Error(`attribute ${oidName(oid)} without one value`)
  }
  return attributes
}

const single: ReadonlySet<string> = new Set([
  oids.contentType,
  oids.messageDigest,
  oids.signingTime,
  oids.cmsAlgorithmProtection,
  oids.signingCertificateV2,
])

/** RFC 5652 §5.4 and §11.1, §11.2; RFC 6211 §2 where that attribute is there. */
function attributeFault(
  attributes: Attributes,
  info: SignerInfo,
  content: SignedContent,
  digest: Digest,
): [Unverified['reason'], string] | undefined {
  const type = attributes.get(oids.contentType)
  const claimed = attributes.get(oids.messageDigest)
  if (!type || !claimed) return ['malformed-signature', 'signed attributes without content type or digest']
  if (asn1.oid(type) !== content.contentType) return ['malformed-signature', 'content type is not what was signed']
  const said = asn1.octets(asn1.expect(claimed, asn1.tags.octetString))
  const computed = content.digest(digest)
  if (said.length !== computed.length || !timingSafeEqual(said, computed))
    return ['signature-invalid', 'the content is not what was signed']
  const protection = attributes.get(oids.cmsAlgorithmProtection)
  if (!protection) return undefined
  const [digestAlgorithm, ...rest] = asn1.sequence(protection)
  const signatureAlgorithm = rest.find((field) => field.tag === 0xa1)
  const same =
    algorithmOf(digestAlgorithm).oid === info.digestOid &&
    signatureAlgorithm !== undefined &&
    asn1.oid(asn1.children(signatureAlgorithm)[0]) === info.algorithm.oid
  return same ? undefined : ['signature-invalid', 'the algorithms are not those that were signed']
}

/** Without signedAttrs the signature is over the content itself: allowed for plain data only (RFC 5652 §5.3). */
function bareFault(content: SignedContent): [Unverified['reason'], string] | undefined {
  if (content.contentType !== oids.data)
    return ['malformed-signature', 'signed attributes are required for this content type']
  // The signed attributes of another signature, shown as content, would verify.
  return content.bytes[0] === asn1.tags.set && isOneElement(content.bytes)
    ? ['malformed-signature', 'the content is a set of signed attributes']
    : undefined
}

function isOneElement(bytes: Uint8Array): boolean {
  try {
    asn1.onlyElement(bytes)
    return true
  } catch {
    return false
  }
}

function verifiedBy(
  candidates: readonly Certificate[],
  info: SignerInfo,
  attributes: Attributes | undefined,
  scheme: Scheme,
  content: SignedContent,
): readonly Signer[] {
  const encodings = info.attributes ? attributeEncodings(info.attributes) : [() => content.bytes]
  const verified: Signer[] = []
  for (const certificate of candidates) {
    const key = publicKeyOf(certificate)
    if (!key || (key.asymmetricKeyType === 'ec' && !curveOf(certificate))) continue
    if (!encodings.some((encoded) => signatureHolds(scheme, key, encoded(), info.signature))) continue
    if (attributes && !isMeant(certificate, attributes)) continue
    const signingTime = attributes && signingTimeOf(attributes)
    verified.push({
      kind: 'verified',
      certificate: certificate.der,
      digest: scheme.digest,
      signature: scheme.signature,
      ...(signingTime !== undefined && { signingTime }),
    })
  }
  if (verified.length > 0) return verified
  return [unverified('signature-invalid', 'the signature is not by the key of the certificate', candidates[0])]
}

/**
 * What the signature is over: the SET OF, not the [0] it stands under (RFC 5652 §5.4), in DER. Some senders sign the
 * attributes in the order they send them, others send them in another order than they signed: both encodings are tried.
 */
function attributeEncodings(attributes: asn1.Element): readonly (() => Uint8Array)[] {
  return [
    () => der(asn1.tags.set, asn1.content(attributes)),
    () => setOf(...asn1.children(attributes, smimeLimits.attributes).map(asn1.whole)),
  ]
}

/** RFC 5035 §3: where the signature names the hash of its certificate, no other certificate of the same key may stand in. */
function isMeant(certificate: Certificate, attributes: Attributes): boolean {
  const named = attributes.get(oids.signingCertificateV2)
  if (!named) return true
  const [hashOrAlgorithm, second] = asn1.sequence(asn1.sequence(asn1.sequence(named)[0])[0])
  const stated = hashOrAlgorithm?.tag === asn1.tags.sequence
  const digest = stated ? digestOf(algorithmOf(hashOrAlgorithm).oid) : 'sha256'
  const hash = asn1.content(asn1.expect(stated ? second : hashOrAlgorithm, asn1.tags.octetString))
  return digest !== undefined && Buffer.compare(createHash(digest).update(certificate.der).digest(), hash) === 0
}

/** The signer's word only; an unreadable one says nothing. */
function signingTimeOf(attributes: Attributes): number | undefined {
  try {
    return asn1.time(attributes.get(oids.signingTime))
  } catch {
    return undefined
  }
}
