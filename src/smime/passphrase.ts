import { createDecipheriv, createHash, pbkdf2Sync, scryptSync } from 'node:crypto'
import forge from 'node-forge'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import type { Digest } from '../direct/signer.js'
import { algorithmOf } from '../x509/certificate.js'
import { digestBytes, oidName } from './algorithms.js'

/** Why a passphrase opened nothing. */
export interface PassphraseProblem {
  readonly kind: 'problem'
  readonly problem: 'malformed' | 'wrong-passphrase' | 'unsupported' | 'too-costly' | 'no-key'
  readonly detail: string
}

export function problem(name: PassphraseProblem['problem'], detail: string): PassphraseProblem {
  return { kind: 'problem', problem: name, detail }
}

/** Work that a file may still cost. Whoever made the file chose its iteration counts. */
export interface WorkBudget {
  iterations: number
}

/** Takes the iterations from the budget; a problem where the file asks for more than is left, before any are done. */
export function spend(budget: WorkBudget, iterations: number): PassphraseProblem | undefined {
  if (iterations < 1) return problem('malformed', 'an iteration count below one')
  budget.iterations -= iterations
  return budget.iterations < 0 ? problem('too-costly', `${iterations} iterations of key derivation`) : undefined
}

/**
 * The forms of a passphrase in PKCS #12 key derivation (RFC 7292 §B.1): UTF-16 with a terminator. For an empty one,
 * programs disagree whether the terminator is there.
 */
export function bmpForms(passphrase: string): readonly Buffer[] {
  const terminated = Buffer.from(`${passphrase}\0`, 'utf16le').swap16()
  return passphrase === '' ? [terminated, Buffer.alloc(0)] : [terminated]
}

/** RFC 7292 §B.2. `purpose`: 1 key, 2 initialisation vector, 3 MAC key. */
export function pkcs12Key(
  digest: Digest,
  passphrase: Buffer,
  salt: Uint8Array,
  purpose: 1 | 2 | 3,
  iterations: number,
  length: number,
): Buffer {
  const block = digest === 'sha384' || digest === 'sha512' ? 128 : 64
  const input = Buffer.concat([filled(salt, block), filled(passphrase, block)])
  const made: Buffer[] = []
  for (let octets = 0; octets < length; octets += digestBytes[digest]) {
    let hash = createHash(digest).update(Buffer.alloc(block, purpose)).update(input).digest()
    for (let i = 1; i < iterations; i++) hash = createHash(digest).update(hash).digest()
    made.push(hash)
    addToBlocks(input, filled(hash, block).subarray(0, block))
  }
  return Buffer.concat(made).subarray(0, length)
}

/** Repeated until whole blocks are full; nothing stays nothing. */
function filled(octets: Uint8Array, block: number): Buffer {
  return octets.length === 0 ? Buffer.alloc(0) : Buffer.alloc(Math.ceil(octets.length / block) * block, octets)
}

/** Each block becomes (block + addend + 1) modulo 2 to the power of its bits. */
function addToBlocks(input: Buffer, addend: Buffer): void {
  for (let start = 0; start < input.length; start += addend.length) {
    let carry = 1
    for (let i = addend.length - 1; i >= 0; i--) {
      carry += (input[start + i] as number) + (addend[i] as number)
      input[start + i] = carry & 255
      carry >>= 8
    }
  }
}

/** PKCS #12 encryption (RFC 7292 Appendix C): cipher, and octets of its key. */
const pkcs12Ciphers: ReadonlyMap<string, { cipher: 'des-ede3-cbc' | 'rc2'; keyBytes: number }> = new Map([
  ['1.2.840.113549.1.12.1.3', { cipher: 'des-ede3-cbc', keyBytes: 24 }],
  ['1.2.840.113549.1.12.1.4', { cipher: 'des-ede3-cbc', keyBytes: 16 }],
  ['1.2.840.113549.1.12.1.5', { cipher: 'rc2', keyBytes: 16 }],
  ['1.2.840.113549.1.12.1.6', { cipher: 'rc2', keyBytes: 5 }],
])

const pbes2 = '1.2.840.113549.1.5.13'

/** Decrypts what a passphrase protects, by its AlgorithmIdentifier: PKCS #12 schemes or PBES2 (RFC 8018 §6.2). */
export function passphraseDecrypt(
  algorithm: asn1.Element | undefined,
  encrypted: Uint8Array,
  passphrase: string,
  budget: WorkBudget,
): Buffer | PassphraseProblem {
  const { oid, parameters } = algorithmOf(algorithm)
  if (!parameters) return problem('malformed', 'encryption without parameters')
  if (oid === pbes2) return pbes2Decrypt(asn1.onlyElement(parameters), encrypted, passphrase, budget)
  const scheme = pkcs12Ciphers.get(oid)
  if (!scheme) return problem('unsupported', `encryption ${oidName(oid)}`)
  const [saltField, count] = asn1.sequence(asn1.onlyElement(parameters))
  const salt = asn1.content(asn1.expect(saltField, asn1.tags.octetString))
  const iterations = asn1.smallInteger(count)
  for (const form of bmpForms(passphrase)) {
    const costly = spend(budget, 2 * iterations)
    if (costly) return costly
    let key = pkcs12Key('sha1', form, salt, 1, iterations, scheme.keyBytes)
    const iv = pkcs12Key('sha1', form, salt, 2, iterations, 8)
    if (scheme.keyBytes === 16 && scheme.cipher !== 'rc2') key = Buffer.concat([key, key.subarray(0, 8)])
    const plain =
      scheme.cipher === 'rc2' ? rc2Decrypt(key, iv, encrypted) : nodeDecrypt(scheme.cipher, key, iv, encrypted)
    if (plain) return plain
  }
  return problem('wrong-passphrase', 'the passphrase does not decrypt the file')
}

function nodeDecrypt(cipher: string, key: Buffer, iv: Uint8Array, encrypted: Uint8Array): Buffer | undefined {
  try {
    const decipher = createDecipheriv(cipher, key, iv)
    return readable(Buffer.concat([decipher.update(encrypted), decipher.final()]))
  } catch {
    return undefined
  }
}

/** RC2, which OpenSSL 3 no longer has: old exports still protect their certificates with 40 bits of it. */
function rc2Decrypt(key: Buffer, iv: Buffer, encrypted: Uint8Array): Buffer | undefined {
  if (encrypted.length === 0 || encrypted.length % 8 !== 0) return undefined
  const decipher = forge.rc2.createDecryptionCipher(key.toString('latin1'), key.length * 8)
  decipher.start(iv.toString('latin1'))
  decipher.update(forge.util.createBuffer(Buffer.from(encrypted).toString('latin1')))
  return decipher.finish() ? readable(Buffer.from(decipher.output.getBytes(), 'latin1')) : undefined
}

/** Nothing where the plaintext is not one SEQUENCE: one wrong passphrase in 256 leaves a padding that looks right. */
function readable(plain: Buffer): Buffer | undefined {
  try {
    return asn1.onlyElement(plain).tag === asn1.tags.sequence ? plain : undefined
  } catch {
    return undefined
  }
}

const prfs: ReadonlyMap<string, Digest> = new Map([
  ['1.2.840.113549.2.7', 'sha1'],
  ['1.2.840.113549.2.8', 'sha224'],
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
])

/** Encryption schemes of PBES2 by OID: RFC 8018 §B.2. */
const pbes2Ciphers: ReadonlyMap<string, { name: string; keyBytes: number }> = new Map([
  [oids.aes128Cbc, { name: 'aes-128-cbc', keyBytes: 16 }],
  [oids.aes192Cbc, { name: 'aes-192-cbc', keyBytes: 24 }],
  [oids.aes256Cbc, { name: 'aes-256-cbc', keyBytes: 32 }],
  [oids.desEde3Cbc, { name: 'des-ede3-cbc', keyBytes: 24 }],
])

function pbes2Decrypt(
  parameters: asn1.Element,
  encrypted: Uint8Array,
  passphrase: string,
  budget: WorkBudget,
): Buffer | PassphraseProblem {
  const [derivation, scheme] = asn1.sequence(parameters)
  const [schemeId, ivField] = asn1.sequence(scheme)
  const cipher = pbes2Ciphers.get(asn1.oid(schemeId))
  if (!cipher) return problem('unsupported', `encryption ${oidName(asn1.oid(schemeId))}`)
  const iv = asn1.content(asn1.expect(ivField, asn1.tags.octetString))
  const key = derivedKey(derivation, passphrase, cipher.keyBytes, budget)
  if ('kind' in key) return key
  return (
    nodeDecrypt(cipher.name, key, iv, encrypted) ??
    problem('wrong-passphrase', 'the passphrase does not decrypt the file')
  )
}

/** PBKDF2 (RFC 8018 §5.2) or scrypt (RFC 7914 §7) by its AlgorithmIdentifier, within the budget. */
export function derivedKey(
  derivation: asn1.Element | undefined,
  passphrase: string,
  keyBytes: number,
  budget: WorkBudget,
): Buffer | PassphraseProblem {
  const { oid, parameters } = algorithmOf(derivation)
  if (!parameters) return problem('malformed', 'key derivation without parameters')
  const [saltField, ...rest] = asn1.sequence(asn1.onlyElement(parameters))
  const salt = asn1.content(asn1.expect(saltField, asn1.tags.octetString))
  const secret = Buffer.from(passphrase, 'utf8')
  if (oid === '1.2.840.113549.1.5.12') {
    const iterations = asn1.smallInteger(rest[0])
    const named = rest.find((field) => field.tag === asn1.tags.sequence)
    const prf = named ? prfs.get(algorithmOf(named).oid) : 'sha1'
    if (!prf) return problem('unsupported', 'the pseudo-random function of PBKDF2')
    return spend(budget, iterations) ?? pbkdf2Sync(secret, salt, iterations, keyBytes, prf)
  }
  if (oid !== '1.3.6.1.4.1.11591.4.11') return problem('unsupported', `key derivation ${oidName(oid)}`)
  const [cost, blockSize, parallel] = rest.map(asn1.smallInteger)
  if (!cost || !blockSize || !parallel) return problem('malformed', 'scrypt parameters')
  const work = cost * blockSize * parallel
  const costly = work > scryptWork ? problem('too-costly', 'scrypt parameters') : spend(budget, work)
  if (costly) return costly
  try {
    return scryptSync(secret, salt, keyBytes, { N: cost, r: blockSize, p: parallel, maxmem: 512 * 1024 * 1024 })
  } catch {
    return problem('malformed', 'scrypt parameters')
  }
}

/** N·r·p; memory is 128 octets of each N·r. Programs use 2^17. */
const scryptWork = 2 ** 21
