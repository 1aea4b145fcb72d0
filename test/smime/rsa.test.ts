import { constants, createPrivateKey, privateDecrypt, publicEncrypt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import {
  algorithmIdentifier,
  context,
  contextPrimitive,
  nullValue,
  octetString,
  sequenceOf,
} from '../../src/asn1/writer.js'
import type { Digest } from '../../src/direct/signer.js'
import { privateKeyFrom } from '../../src/smime/key.js'
import { oaepParameters, unpadOaep, unpadPkcs1, unwrapRsa } from '../../src/smime/rsa.js'
import { makeKey } from '../fixtures/pki.js'

const vectors = '../shared/corpus/pki/wycheproof'
const hex = (text: string) => Buffer.from(text, 'hex')

interface Group {
  readonly keySize: number
  readonly sha?: string
  readonly mgfSha?: string
  readonly privateKeyPkcs8?: string
  readonly privateKey?: { readonly privateKeyPkcs8?: string }
  readonly tests: readonly {
    readonly tcId: number
    readonly msg: string
    readonly ct: string
    readonly label?: string
    readonly result: 'valid' | 'invalid' | 'acceptable'
  }[]
}

function groupsOf(file: string): readonly Group[] {
  return (JSON.parse(readFileSync(`${vectors}/${file}`, 'utf8')) as { testGroups: readonly Group[] }).testGroups
}

const absent = !existsSync(vectors)
const title = (name: string) => `${name}${absent ? ' (skipped: no Wycheproof vectors here)' : ''}`

/** Gives the padded block, or undefined for a ciphertext that everyone can see is none. */
function blocksOf(group: Group): (ciphertext: string) => Uint8Array | undefined {
  const key = createPrivateKey({
    key: hex(group.privateKeyPkcs8 ?? group.privateKey?.privateKeyPkcs8 ?? ''),
    format: 'der',
    type: 'pkcs8',
  })
  return (ciphertext) => {
    try {
      return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, hex(ciphertext))
    } catch {
      return undefined
    }
  }
}

describe.skipIf(absent)(title('RSAES-PKCS1-v1_5 over the Wycheproof vectors'), () => {
  it.each(['rsa_pkcs1_2048_test.json', 'rsa_pkcs1_3072_test.json', 'rsa_pkcs1_4096_test.json'])('%s', (file) => {
    let count = 0
    for (const group of groupsOf(file)) {
      const blockOf = blocksOf(group)
      for (const test of group.tests) {
        const message = hex(test.msg)
        const instead = Buffer.alloc(message.length, 0xe5)
        const block = blockOf(test.ct)
        const found = block ? unpadPkcs1(block, instead) : instead
        expect({ id: test.tcId, found: Buffer.from(found).toString('hex') }).toEqual({
          id: test.tcId,
          found: (test.result === 'valid' ? message : instead).toString('hex'),
        })
        count++
      }
    }
    expect(count).toBe(67)
  })
})

describe.skipIf(absent)(title('RSAES-OAEP over the Wycheproof vectors'), () => {
  it('rsa_oaep_misc_test.json', () => {
    const digest = (name = '') => name.toLowerCase().replace('-', '') as Digest
    let count = 0
    for (const group of groupsOf('rsa_oaep_misc_test.json')) {
      // SHA-512/256 and its kin have no name in CMS mail; RSA of 8192 bits takes 100 ms each.
      if (group.sha?.includes('/') || group.keySize > 4096) continue
      const blockOf = blocksOf(group)
      for (const test of group.tests) {
        const message = hex(test.msg)
        const oaep = { digest: digest(group.sha), mgfDigest: digest(group.mgfSha), label: hex(test.label ?? '') }
        const block = blockOf(test.ct)
        const found = block && unpadOaep(block, Buffer.alloc(message.length, 0xe5), oaep)
        if (test.result === 'valid') expect(Buffer.from(found ?? [])).toEqual(message)
        count++
      }
    }
    expect(count).toBeGreaterThan(250)
  })
})

const rsa = makeKey('rsa2048')
const key = privateKeyFrom(rsa.export({ format: 'der', type: 'pkcs8' }))
if ('kind' in key) throw new Error('fixture')
const contentKey = Buffer.alloc(32, 7)

describe('implicit rejection', () => {
  const good = publicEncrypt({ key: rsa, padding: constants.RSA_PKCS1_PADDING }, contentKey)
  it('gives the key for a good padding', () => {
    expect(Buffer.from(unwrapRsa(key, 256, good, 32) ?? [])).toEqual(contentKey)
  })
  it('gives the same wrong key each time for a bad padding, and another for another ciphertext', () => {
    const bad = Buffer.from(good)
    bad[100] = (bad[100] as number) ^ 1
    const worse = Buffer.from(good)
    worse[101] = (worse[101] as number) ^ 1
    const [once, again, other] = [bad, bad, worse].map((one) => Buffer.from(unwrapRsa(key, 256, one, 32) ?? []))
    expect(once).toHaveLength(32)
    expect(once).not.toEqual(contentKey)
    expect(again).toEqual(once)
    expect(other).not.toEqual(once)
  })
  it('gives a wrong key for a key of another length, of either padding', () => {
    const oaep = { digest: 'sha1', mgfDigest: 'sha1', label: new Uint8Array(0) } as const
    const short = publicEncrypt({ key: rsa, oaepHash: 'sha1' }, contentKey.subarray(0, 16))
    for (const found of [unwrapRsa(key, 256, good, 16), unwrapRsa(key, 256, short, 32, oaep)])
      expect(Buffer.from(found ?? []).includes(Buffer.alloc(8, 7))).toBe(false)
    expect(Buffer.from(unwrapRsa(key, 256, short, 16, oaep) ?? [])).toEqual(contentKey.subarray(0, 16))
  })
  it('takes a ciphertext without its leading zeros, and none beyond the modulus', () => {
    let cut = good
    while (cut[0] !== 0) cut = publicEncrypt({ key: rsa, padding: constants.RSA_PKCS1_PADDING }, contentKey)
    expect(Buffer.from(unwrapRsa(key, 256, cut.subarray(1), 32) ?? [])).toEqual(contentKey)
    expect(unwrapRsa(key, 256, Buffer.alloc(257), 32)).toBeUndefined()
    expect(unwrapRsa(key, 256, Buffer.alloc(256, 0xff), 32)).toBeUndefined()
  })
})

describe('OAEP parameters', () => {
  const sha1 = { digest: 'sha1', mgfDigest: 'sha1', label: new Uint8Array(0) }
  it('are SHA-1 throughout when absent, NULL or empty', () => {
    for (const parameters of [undefined, nullValue, sequenceOf()]) expect(oaepParameters(parameters)).toEqual(sha1)
  })
  it('may differ and may name a label', () => {
    const parameters = sequenceOf(
      context(0, algorithmIdentifier(oids.sha384)),
      context(1, algorithmIdentifier(oids.mgf1, algorithmIdentifier(oids.sha1, nullValue))),
      context(2, algorithmIdentifier(oids.pSpecified, octetString(hex('0102')))),
    )
    expect(oaepParameters(parameters)).toEqual({ digest: 'sha384', mgfDigest: 'sha1', label: hex('0102') })
  })
  it('with MD5, with another mask or another label source are unknown', () => {
    for (const field of [
      context(0, algorithmIdentifier(oids.md5)),
      context(0, algorithmIdentifier('1.2.3')),
      context(1, algorithmIdentifier('1.2.3', algorithmIdentifier(oids.sha1))),
      context(2, algorithmIdentifier('1.2.3', octetString(hex('')))),
    ])
      expect(oaepParameters(sequenceOf(field))).toHaveProperty('unknown')
    expect(() => oaepParameters(sequenceOf(contextPrimitive(3, hex('00'))))).toThrow()
  })
})
