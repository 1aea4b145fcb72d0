import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { der } from '../asn1/writer.js'
import { type Refused, refused } from '../direct/refusal.js'
import { brokenCiphers, type CipherShape, contentCipherOf, oidName } from './algorithms.js'
import { type OpenPolicy, smimeLimits } from './policy.js'

/** EnvelopedData (RFC 5652 §6.1) or AuthEnvelopedData (RFC 5083 §2.1) taken apart; nothing is copied. */
export interface Enveloped {
  readonly kind: 'enveloped'
  readonly recipients: readonly asn1.Element[]
  readonly cipher: CipherShape
  /** Initialisation vector or nonce. */
  readonly iv: Uint8Array
  /** The octet string that holds the ciphertext. */
  readonly content: asn1.Element
  /** AuthEnvelopedData only: the tag and what else it covers. */
  readonly authentication?: { readonly tag: Uint8Array; readonly associated: Uint8Array | undefined }
}

/**
 * Takes an encrypted ContentInfo apart. Refuses other content types (`not-encrypted`), ciphers that are broken or
 * unknown, and more recipients than the limit; throws Asn1Error for damage.
 */
export function readEnveloped(cms: Uint8Array, policy: OpenPolicy): Enveloped | Refused {
  const [type, wrapped] = asn1.sequence(asn1.element(cms))
  const contentType = asn1.oid(type)
  const authenticated = contentType === oids.authEnvelopedData
  if (contentType !== oids.envelopedData && !authenticated)
    return refused('not-encrypted', `the CMS content is ${oidName(contentType)}`)
  const fields = asn1.sequence(asn1.children(asn1.expect(wrapped, 0xa0))[0])
  const [recipientSet, info, ...rest] = fields.slice(fields[1]?.tag === 0xa0 ? 2 : 1) // originatorInfo holds nothing we use
  const set = asn1.expect(recipientSet, asn1.tags.set)
  if (set.to - set.from > smimeLimits.recipientBytes) throw new asn1.Asn1Error('recipients too large')
  const recipients = asn1.children(set, smimeLimits.recipients)
  const [, algorithm, content] = asn1.sequence(info)
  if (!content || (content.tag | 0x20) !== 0xa0) throw new asn1.Asn1Error('no encrypted content')
  const [id, parameters] = asn1.sequence(algorithm)
  const cipher = acceptedCipher(asn1.oid(id), authenticated, policy)
  if ('kind' in cipher) return cipher
  if (!parameters) throw new asn1.Asn1Error('cipher without parameters')
  if (!authenticated) {
    const iv = asn1.content(asn1.expect(parameters, asn1.tags.octetString))
    if (iv.length !== cipher.blockBytes) throw new asn1.Asn1Error('initialisation vector')
    return { kind: 'enveloped', recipients, cipher, iv, content }
  }
  return { kind: 'enveloped', recipients, cipher, content, ...gcm(parameters, rest) }
}

function acceptedCipher(oid: string, authenticated: boolean, policy: OpenPolicy): CipherShape | Refused {
  const broken = brokenCiphers.get(oid)
  if (broken) return refused('weak-algorithm', `content encrypted with ${broken}`)
  const cipher = contentCipherOf(oid)
  // GCM without the tag of AuthEnvelopedData would be a stream cipher that anyone can bend.
  if (!cipher || (cipher.mode === 'gcm') !== authenticated)
    return refused('unsupported-algorithm', `content cipher ${oidName(oid)}`)
  if (cipher.name === 'des-ede3-cbc' && !policy.tripleDes)
    return refused('weak-algorithm', 'content encrypted with Triple DES')
  return cipher
}

/** GCMParameters (RFC 5084 §3.2), the tag, and authAttrs: covered in DER under the SET OF tag (RFC 5083 §2.2). */
function gcm(parameters: asn1.Element, rest: readonly asn1.Element[]) {
  const [nonce, size] = asn1.sequence(parameters)
  const iv = asn1.content(asn1.expect(nonce, asn1.tags.octetString))
  const tagBytes = size ? asn1.smallInteger(size) : 12
  const attributes = rest[0]?.tag === 0xa1 ? rest[0] : undefined
  const tag = asn1.octets(asn1.expect(rest[attributes ? 1 : 0], asn1.tags.octetString))
  if (tagBytes < 12 || tagBytes > 16 || tag.length !== tagBytes) throw new asn1.Asn1Error('authentication tag')
  if (iv.length < 1 || iv.length > 64) throw new asn1.Asn1Error('nonce')
  const associated = attributes && der(asn1.tags.set, asn1.content(attributes))
  return { iv, authentication: { tag, associated } }
}
