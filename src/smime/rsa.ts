import { createHmac, hash } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import type { Digest } from '../direct/signer.js'
import { KeyUnavailable, type PrivateKey } from '../ports/keys.js'
import { digestBytes, digestOf } from './algorithms.js'

/** RSAES-OAEP-params (RFC 8017 §A.2.1). The two digests may differ: Java and .NET senders do that. */
export interface OaepParameters {
  readonly digest: Digest
  readonly mgfDigest: Digest
  readonly label: Uint8Array
}

/**
 * The content key out of one KeyTransRecipientInfo, always `length` octets, at most 32. A padding that does not fit gives a key
 * derived from the ciphertext and a secret of ours instead (implicit rejection), chosen without a branch, so that a
 * sender learns nothing from how the message fails later: RFC 3218 §2.3.2. Undefined only for what everyone can see: a
 * ciphertext longer than the modulus or not below it. Throws KeyUnavailable where the key does.
 */
export function unwrapRsa(
  key: PrivateKey,
  modulusBytes: number,
  encrypted: Uint8Array,
  length: number,
  oaep?: OaepParameters,
): Uint8Array | undefined {
  if (encrypted.length > modulusBytes) return undefined
  // Some senders drop leading zero octets, which RFC 8017 §7 keeps.
  const padded = encrypted.length === modulusBytes ? encrypted : Buffer.alloc(modulusBytes)
  if (padded !== encrypted) padded.set(encrypted, modulusBytes - encrypted.length)
  let block: Uint8Array
  try {
    block = key.rsaRaw(padded)
  } catch (error) {
    if (error instanceof KeyUnavailable) throw error
    return undefined
  }
  const instead = createHmac('sha256', key.rejectionSecret).update(padded).digest().subarray(0, length)
  return oaep ? unpadOaep(block, instead, oaep) : unpadPkcs1(block, instead)
}

/** All ones for zero, zero for anything else, of a small non-negative integer. */
const maskOfZero = (value: number) => ((value | -value) >> 31) ^ -1

/** `0 | 2 | eight or more non-zero octets | 0 | key` (RFC 8017 §7.2.2), where the length of the key is known beforehand. */
export function unpadPkcs1(block: Uint8Array, instead: Uint8Array): Uint8Array {
  const zero = block.length - instead.length - 1
  if (zero < 10) return instead // a modulus too short for this key is no secret
  let bad = (block[0] as number) | ((block[1] as number) ^ 2) | (block[zero] as number)
  for (let i = 2; i < zero; i++) bad |= maskOfZero(block[i] as number) & 1
  return choose(block, zero + 1, instead, maskOfZero(bad))
}

/** EME-OAEP decoding (RFC 8017 §7.1.2, step 3) for a message whose length is known beforehand. */
export function unpadOaep(block: Uint8Array, instead: Uint8Array, { digest, mgfDigest, label }: OaepParameters) {
  const hashBytes = digestBytes[digest]
  const one = block.length - instead.length - 1
  if (one < 1 + 2 * hashBytes) return instead
  const opened = Uint8Array.from(block)
  const seed = opened.subarray(1, 1 + hashBytes)
  const data = opened.subarray(1 + hashBytes)
  unmask(seed, data, mgfDigest)
  unmask(data, seed, mgfDigest)
  const labelHash = hash(digest, label, 'buffer')
  let bad = (opened[0] as number) | ((opened[one] as number) ^ 1)
  for (let i = 0; i < hashBytes; i++) bad |= (data[i] as number) ^ (labelHash[i] as number)
  for (let i = 1 + 2 * hashBytes; i < one; i++) bad |= opened[i] as number
  return choose(opened, one + 1, instead, maskOfZero(bad))
}

/** Exclusive-ors MGF1 of `seed` (RFC 8017 §B.2.1) into `target`. */
function unmask(target: Uint8Array, seed: Uint8Array, digest: Digest): void {
  const input = Buffer.alloc(seed.length + 4)
  input.set(seed)
  for (let at = 0, n = 0; at < target.length; n++) {
    input.writeUInt32BE(n, seed.length)
    const mask = hash(digest, input, 'buffer')
    for (let i = 0; i < mask.length && at < target.length; i++, at++)
      target[at] = (target[at] as number) ^ (mask[i] as number)
  }
}

function choose(block: Uint8Array, from: number, instead: Uint8Array, goodMask: number): Uint8Array {
  const key = new Uint8Array(instead.length)
  for (let i = 0; i < key.length; i++)
    key[i] = ((block[from + i] as number) & goodMask) | ((instead[i] as number) & ~goodMask)
  return key
}

/**
 * Reads RSAES-OAEP-params. Absent, or an empty SEQUENCE, means SHA-1 and MGF1 with SHA-1 (RFC 4055 §4.1). Answers the
 * name of what it does not know.
 */
export function oaepParameters(parameters: Uint8Array | undefined): OaepParameters | { readonly unknown: string } {
  const found = { digest: 'sha1' as Digest, mgfDigest: 'sha1' as Digest, label: new Uint8Array(0) as Uint8Array }
  if (!parameters || parameters[0] === asn1.tags.null) return found
  for (const field of asn1.sequence(asn1.element(parameters))) {
    const [value] = asn1.children(field)
    const [id, inner] = asn1.sequence(value)
    const name = asn1.oid(id)
    if (field.tag === 0xa0 || field.tag === 0xa1) {
      if (field.tag === 0xa1 && name !== oids.mgf1) return { unknown: `mask generation ${name}` }
      const hash = field.tag === 0xa0 ? name : asn1.oid(asn1.sequence(inner)[0])
      const digest = digestOf(hash)
      if (!digest || digest === 'md5') return { unknown: `OAEP digest ${hash}` }
      found[field.tag === 0xa0 ? 'digest' : 'mgfDigest'] = digest
    } else if (field.tag === 0xa2) {
      if (name !== oids.pSpecified) return { unknown: `OAEP label source ${name}` }
      found.label = inner ? asn1.octets(asn1.expect(inner, asn1.tags.octetString)) : found.label
    } else throw new asn1.Asn1Error('field in OAEP parameters')
  }
  return found
}
