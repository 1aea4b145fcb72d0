import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import Rijndael from 'rijndael-js'
import { describe, expect, it } from 'vitest'
import { envelopeFault, type LegacyEnvelope, legacyKey, openEnvelope } from '../../../src/connect/package/legacy.js'
import { answer, envelopeOf, salt } from './envelope.js'

const things = '<thing><type-id>40750a6a-89b2-455c-bd8d-b420a4cb500b</type-id><data-xml><height/></data-xml></thing>'

describe('the envelope of HealthVault', () => {
  it('has the key and the vector that were published', async () => {
    const { key, iv } = await legacyKey(answer, salt, 20_000)
    expect(key.toString('hex')).toBe('e13d9233080ba7d42a1d991267160fb2924f65d43cf1641691a7b771ad126e20')
    expect(iv.toString('hex')).toBe('0dfdc050b0404f88eefca7d7b8ea9df5f7e1e3a8dde2866397e5ca7c96c9c378')
  })

  it('opens with the answer, in either case', async () => {
    const envelope = await envelopeOf(things)
    expect(Buffer.from((await openEnvelope(envelope, 'seeds the PARAKEET')) ?? []).toString()).toBe(things)
  })

  it('is in the cipher whose vector Gladman published for blocks of 256 bits', () => {
    const key = Buffer.from('2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe', 'hex')
    const plain = Buffer.from('3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c8', 'hex')
    const sealed = (bytes: number) =>
      Buffer.from(new Rijndael(key.subarray(0, bytes), 'ecb').encrypt(plain, 256, Buffer.alloc(32))).toString('hex')
    expect(sealed(16)).toBe('7d15479076b69a46ffb3b3beae97ad8313f622f67fedb487de9f06b9ed9c8f19')
    expect(sealed(32)).toBe('a49406115dfb30a40418aafa4869b7c6a886ff31602a7dd19c889dc64f7e4e7a')
  })

  it('opens in slices, letting others have their turn in between', async () => {
    let pauses = 0
    const long = things.repeat(200)
    const pause = async () => void pauses++
    const opened = await openEnvelope(await envelopeOf(long, answer, 10_000), answer, pause)
    expect(Buffer.from(opened ?? []).toString()).toBe(long)
    expect(pauses).toBeGreaterThan(3)
  })

  it('opens with no other answer', async () => {
    const envelope = await envelopeOf(things, answer, 10_000)
    for (const wrong of ['seeds the parrot', '', ' seeds the parakeet'])
      expect(await openEnvelope(envelope, wrong)).toBeUndefined()
  })

  it.each([0, 31, 32, 63, 64])('is not opened with a bit of byte %i changed', async (at) => {
    const envelope = await envelopeOf(things, answer, 10_000)
    const ciphertext = Buffer.from(envelope.ciphertext)
    ciphertext[at] = (ciphertext[at] ?? 0) ^ 1
    expect(await openEnvelope({ ...envelope, ciphertext }, answer)).toBeUndefined()
  })

  it('has its parameters looked at before anything is worked out', async () => {
    const envelope = await envelopeOf(things, answer, 10_000)
    const faults: readonly [Partial<LegacyEnvelope>, string][] = [
      [{ algorithm: 'hmac-sha1-3des' }, 'its algorithm is not hmac-sha256-aes256'],
      [{ algorithm: 'none' }, 'its algorithm is not hmac-sha256-aes256'],
      [{ keyLength: 168 }, 'its key is not of 256 bits'],
      [{ salt: 'short' }, 'its salt has another length'],
      [{ iterations: 1 }, 'its iterations are too few or too many'],
      [{ iterations: 1e9 }, 'its iterations are too few or too many'],
      [{ ciphertext: Buffer.alloc(0) }, 'it is not of whole blocks'],
      [{ ciphertext: Buffer.alloc(65) }, 'it is not of whole blocks'],
      [{ ciphertext: Buffer.alloc(4 * 1024 * 1024) }, 'it is too large'],
    ]
    for (const [change, fault] of faults) expect(envelopeFault({ ...envelope, ...change })).toBe(fault)
    expect(envelopeFault(envelope)).toBeUndefined()
  })

  it('is never opened by chance, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 8 }), async (blocks) => {
        const ciphertext = randomBytes(blocks * 32)
        const guess = { algorithm: 'hmac-sha256-aes256', salt, iterations: 10_000, keyLength: 256, ciphertext }
        expect(await openEnvelope(guess, 'anything')).toBeUndefined()
      }),
      { numRuns: 30 },
    )
  })
})
