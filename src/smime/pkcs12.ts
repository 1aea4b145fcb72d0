import { createHmac, createPrivateKey, createPublicKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import type { Digest } from '../direct/signer.js'
import { algorithmOf, type Certificate, publicKeyOf, readCertificate } from '../x509/certificate.js'
import { sameName } from '../x509/name.js'
import { digestBytes, digestOf, oidName } from './algorithms.js'
import {
  bmpForms,
  derivedKey,
  type PassphraseProblem,
  passphraseDecrypt,
  pkcs12Key,
  problem,
  spend,
  type WorkBudget,
} from './passphrase.js'

export const pkcs12Limits = {
  /** Real files are under 20 KiB. */
  fileBytes: 1024 * 1024,
  /** Iterations of all key derivations together; the most cautious programs use 600,000 for each of three. Some seconds. */
  iterations: 4_000_000,
  /** Keys and certificates, nested ones included. */
  bags: 200,
  depth: 4,
  chain: 8,
}

/** A private key of the file with its certificate. */
export interface Pkcs12Entry {
  /** Unencrypted PKCS #8. */
  readonly pkcs8: Uint8Array
  /** DER. */
  readonly certificate: Uint8Array
  /** What issued it, as far as the file goes, without self-signed certificates; DER. */
  readonly chain: readonly Uint8Array[]
}

export interface Pkcs12 {
  readonly kind: 'pkcs12'
  readonly entries: readonly Pkcs12Entry[]
}

const dataOid = oids.data
const encryptedData = '1.2.840.113549.1.7.6'
const bagTypes = {
  key: '1.2.840.113549.1.12.10.1.1',
  shroudedKey: '1.2.840.113549.1.12.10.1.2',
  certificate: '1.2.840.113549.1.12.10.1.3',
  safeContents: '1.2.840.113549.1.12.10.1.6',
}
const x509Bag = '1.2.840.113549.1.9.22.1'

/**
 * Reads a PKCS #12 file (RFC 7292): every private key that has its certificate in the file, matched by the public key.
 * BER and DER, PBES2 and the old schemes, RC2 included. Answers a named problem for a wrong passphrase, for damage, and
 * for a file whose iteration counts would take too long; they are read before any work is done.
 */
export function readPkcs12(file: Uint8Array, passphrase: string): Pkcs12 | PassphraseProblem {
  if (file.length > pkcs12Limits.fileBytes) return problem('malformed', 'the file is too large')
  try {
    return read(file, passphrase)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return problem('malformed', error.message)
    throw error
  }
}

interface Bags {
  readonly keys: Uint8Array[]
  readonly certificates: Certificate[]
  left: number
  readonly budget: WorkBudget
  readonly passphrase: string
}

function read(file: Uint8Array, passphrase: string): Pkcs12 | PassphraseProblem {
  const [, authSafe, mac] = asn1.sequence(asn1.element(file))
  const [type, wrapped] = asn1.sequence(authSafe)
  if (asn1.oid(type) !== dataOid) return problem('unsupported', `integrity by ${oidName(asn1.oid(type))}`)
  const content = explicitOctets(wrapped)
  const bags: Bags = {
    keys: [],
    certificates: [],
    left: pkcs12Limits.bags,
    budget: { iterations: pkcs12Limits.iterations },
    passphrase,
  }
  const wrong = mac && macProblem(mac, content, passphrase, bags.budget)
  if (wrong) return wrong
  for (const safe of asn1.sequence(asn1.onlyElement(content), pkcs12Limits.bags)) {
    const found = readSafe(safe, bags)
    if (found) return found
  }
  return entriesOf(bags)
}

/** `[0]` around an octet string, in whatever pieces. */
function explicitOctets(found: asn1.Element | undefined): Uint8Array {
  const [inner] = asn1.children(asn1.expect(found, 0xa0))
  if (!inner || (inner.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('no octet string')
  return asn1.octets(inner)
}

/** MacData (RFC 7292 §4), with PBMAC1 (RFC 9579) beside the old key derivation. */
function macProblem(
  mac: asn1.Element,
  content: Uint8Array,
  passphrase: string,
  budget: WorkBudget,
): PassphraseProblem | undefined {
  const [info, saltField, count] = asn1.sequence(mac)
  const [algorithm, digestField] = asn1.sequence(info)
  const { oid, parameters } = algorithmOf(algorithm)
  const said = asn1.octets(asn1.expect(digestField, asn1.tags.octetString))
  if (oid === '1.2.840.113549.1.5.14') return pbmac1Problem(parameters, said, content, passphrase, budget)
  const digest = digestOf(oid)
  if (!digest) return problem('unsupported', `MAC with ${oidName(oid)}`)
  const salt = asn1.content(asn1.expect(saltField, asn1.tags.octetString))
  const iterations = count ? asn1.smallInteger(count) : 1
  for (const form of bmpForms(passphrase)) {
    const costly = spend(budget, iterations)
    if (costly) return costly
    const key = pkcs12Key(digest, form, salt, 3, iterations, digestBytes[digest])
    if (sameMac(digest, key, content, said)) return undefined
  }
  return problem('wrong-passphrase', 'the passphrase does not fit, or the file was changed')
}

function pbmac1Problem(
  parameters: Uint8Array | undefined,
  said: Uint8Array,
  content: Uint8Array,
  passphrase: string,
  budget: WorkBudget,
): PassphraseProblem | undefined {
  if (!parameters) return problem('malformed', 'PBMAC1 without parameters')
  const [derivation, scheme] = asn1.sequence(asn1.onlyElement(parameters))
  const digest = hmacs.get(algorithmOf(scheme).oid)
  if (!digest) return problem('unsupported', 'the MAC of PBMAC1')
  const key = derivedKey(derivation, passphrase, digestBytes[digest], budget)
  if ('kind' in key) return key
  return sameMac(digest, key, content, said)
    ? undefined
    : problem('wrong-passphrase', 'the passphrase does not fit, or the file was changed')
}

const hmacs: ReadonlyMap<string, Digest> = new Map([
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
])

function sameMac(digest: Digest, key: Uint8Array, content: Uint8Array, said: Uint8Array): boolean {
  const computed = createHmac(digest, key).update(content).digest()
  return said.length === computed.length && timingSafeEqual(said, computed)
}

/** One ContentInfo of the AuthenticatedSafe: plain, or encrypted as a whole. */
function readSafe(safe: asn1.Element, bags: Bags): PassphraseProblem | undefined {
  const [type, wrapped] = asn1.sequence(safe)
  const oid = asn1.oid(type)
  if (oid === dataOid) return readBags(asn1.onlyElement(explicitOctets(wrapped)), bags, 0)
  if (oid !== encryptedData) return problem('unsupported', `contents protected by ${oidName(oid)}`)
  const [, info] = asn1.sequence(asn1.children(asn1.expect(wrapped, 0xa0))[0])
  const [, algorithm, content] = asn1.sequence(info)
  if (!content) return undefined
  const plain = passphraseDecrypt(algorithm, asn1.octets(content), bags.passphrase, bags.budget)
  return 'kind' in plain ? plain : readBags(asn1.onlyElement(plain), bags, 0)
}

/** SafeContents (RFC 7292 §4.2). Bags of other kinds hold nothing of use here and are passed over. */
function readBags(contents: asn1.Element, bags: Bags, depth: number): PassphraseProblem | undefined {
  if (depth > pkcs12Limits.depth) throw new asn1.Asn1Error('safes nested too deeply')
  for (const bag of asn1.sequence(contents, pkcs12Limits.bags)) {
    if (--bags.left < 0) throw new asn1.Asn1Error('too many bags')
    const [type, wrapped] = asn1.sequence(bag)
    const [value] = asn1.children(asn1.expect(wrapped, 0xa0))
    if (!value) throw new asn1.Asn1Error('bag without a value')
    const oid = asn1.oid(type)
    if (oid === bagTypes.key) bags.keys.push(asn1.whole(value))
    else if (oid === bagTypes.certificate) readCertificateBag(value, bags)
    else if (oid === bagTypes.safeContents) {
      const found = readBags(value, bags, depth + 1)
      if (found) return found
    } else if (oid === bagTypes.shroudedKey) {
      const [algorithm, encrypted] = asn1.sequence(value)
      if (!encrypted) throw new asn1.Asn1Error('shrouded key')
      const plain = passphraseDecrypt(algorithm, asn1.octets(encrypted), bags.passphrase, bags.budget)
      if ('kind' in plain) return plain
      bags.keys.push(plain)
    }
  }
  return undefined
}

function readCertificateBag(value: asn1.Element, bags: Bags): void {
  const [type, wrapped] = asn1.sequence(value)
  if (asn1.oid(type) !== x509Bag) return
  const certificate = readCertificate(explicitOctets(wrapped))
  if (certificate.kind === 'certificate') bags.certificates.push(certificate)
}

function entriesOf({ keys, certificates }: Bags): Pkcs12 | PassphraseProblem {
  const entries: Pkcs12Entry[] = []
  const seen = new Set<string>()
  for (const pkcs8 of keys) {
    const name = publicName(publicKeyFor(pkcs8))
    if (!name) return problem('malformed', 'a private key in it cannot be read')
    if (seen.has(name)) continue
    seen.add(name)
    for (const certificate of certificates)
      if (publicName(publicKeyOf(certificate)) === name)
        entries.push({
          pkcs8: Uint8Array.from(pkcs8),
          certificate: certificate.der,
          chain: chainOf(certificate, certificates),
        })
  }
  return entries.length > 0
    ? { kind: 'pkcs12', entries }
    : problem('no-key', 'no private key with its certificate in it')
}

function publicKeyFor(pkcs8: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey(createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }))
  } catch {
    return undefined
  }
}

/** The same for the same key. Comparing KeyObjects throws when they are of different types. */
function publicName(key: KeyObject | undefined): string | undefined {
  return key?.export({ format: 'der', type: 'spki' }).toString('base64')
}

/** Issuers by name, upwards; only a help for senders, since who verifies builds the path anew. */
function chainOf(leaf: Certificate, certificates: readonly Certificate[]): Uint8Array[] {
  const chain: Certificate[] = []
  for (let below = leaf; chain.length < pkcs12Limits.chain; ) {
    const issuer = certificates.find(
      (one) =>
        sameName(one.subject, below.issuer) &&
        !sameName(one.subject, one.issuer) &&
        one !== leaf &&
        !chain.includes(one),
    )
    if (!issuer) break
    chain.push(issuer)
    below = issuer
  }
  return chain.map(({ der }) => der)
}
