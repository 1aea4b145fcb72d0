import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { TokenUri } from '../../src/direct/token-uri.js'
import { cka, ckf, ckr } from '../../src/pkcs11/codes.js'
import { type Cryptoki, CryptokiFailed } from '../../src/pkcs11/cryptoki.js'
import { lend, newShared, restartAlone, sharedLimits } from '../../src/pkcs11/shared.js'
import { openTokens } from '../../src/pkcs11/tokens.js'

/** A device that fails as it is told, where SoftHSM never would. */
function device({ flags = ckf.loginRequired, keys = 1 }: { flags?: number; keys?: number } = {}) {
  const seen = { logins: 0, opened: 0, closed: 0, restarts: 0 }
  const failing: CryptokiFailed[] = []
  const fail = () => {
    const failure = failing.shift()
    if (failure) throw failure
  }
  const cryptoki: Cryptoki = {
    ulong: (value) => Buffer.of(value),
    structure: () => ({ bytes: Buffer.alloc(0), held: [] }),
    restart: () => void seen.restarts++,
    slots: () => [7],
    mechanisms: () => [],
    tokenInfo: () => ({ label: 'mail', manufacturer: 'made up', model: 'x', serial: '1', flags }),
    openSession: () => ++seen.opened,
    closeSession: () => void seen.closed++,
    login: () => void seen.logins++,
    find: () => Array.from({ length: keys }, (_, i) => i + 1),
    attribute: (_, __, type) => (type === cka.alwaysAuthenticate ? Uint8Array.of(0) : undefined),
    sign: () => {
      fail()
      return new Uint8Array(256)
    },
    decrypt: () => {
      fail()
      return new Uint8Array(255)
    },
    derive: () => 1,
    destroy: () => undefined,
  }
  return { cryptoki, seen, failing }
}

const uri = 'pkcs11:token=mail;id=%01' as TokenUri
const publicKey = createPublicKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)

function keyOver(made: ReturnType<typeof device>) {
  const shared = newShared()
  const readPin = () => ({ kind: 'pin' as const, pin: '271828' })
  return openTokens({ module: 'x', readPin, shared, load: () => made.cryptoki }).key(uri, publicKey)
}
const failed = (code: number) => new CryptokiFailed('C_Sign', code)
const sign = (key: ReturnType<typeof keyOver>) => key.sign('sha256', Buffer.from('x'), 'rsa')

describe('a key in a token', () => {
  it('keeps one session for one operation after another', () => {
    const made = device()
    const key = keyOver(made)
    for (let i = 0; i < 10; i++) sign(key)
    expect(made.seen).toEqual({ logins: 1, opened: 1, closed: 0, restarts: 0 })
  })

  it('is used with a new session where the first was lost, and then with the module started anew', () => {
    const made = device()
    const key = keyOver(made)
    made.failing.push(failed(0xb3))
    expect(sign(key)).toHaveLength(256)
    expect(made.seen).toMatchObject({ opened: 2, closed: 1, restarts: 0 })
    made.failing.push(failed(0x32), failed(0x32))
    expect(sign(key)).toHaveLength(256)
    expect(made.seen.restarts).toBe(1)
  })

  it('is unavailable where that does not help, and starts the module no second time so soon', () => {
    const made = device()
    const key = keyOver(made)
    made.failing.push(...Array.from({ length: 6 }, () => failed(0x30)))
    expect(() => sign(key)).toThrow('CKR_DEVICE_ERROR')
    expect(() => sign(key)).toThrow('CKR_DEVICE_ERROR')
    expect(made.seen.restarts).toBe(1)
  })

  it('fails on bytes that the token cannot work with, and is not lost for it', () => {
    const made = device()
    const key = keyOver(made)
    made.failing.push(failed(ckr.encryptedDataInvalid))
    expect(() => key.rsaRaw(new Uint8Array(256))).toThrow(RangeError)
    // Octets that the token left out in front are put back.
    expect(key.rsaRaw(new Uint8Array(256))).toHaveLength(256)
    expect(made.seen.restarts).toBe(0)
  })

  it.each([
    ['is about to lock itself', { flags: ckf.loginRequired | ckf.userPinFinalTry }, 'one more PIN'],
    ['is locked', { flags: ckf.loginRequired | ckf.userPinLocked }, 'is locked'],
    ['has two of that name', { keys: 2 }, 'several private keys'],
    ['has none', { keys: 0 }, 'no private key'],
  ])('is not asked for where the token %s', (_, options, words) => {
    const made = device(options)
    expect(() => sign(keyOver(made))).toThrow(words)
    expect(made.seen.logins).toBe('flags' in options ? 0 : 1)
  })

  it('needs no PIN where the token asks for none', () => {
    const made = device({ flags: 0 })
    sign(keyOver(made))
    expect(made.seen.logins).toBe(0)
  })
})

describe('sessions of all threads', () => {
  it('are lent to one at a time, up to the room there is, and closed beyond it', () => {
    const shared = newShared()
    let opened = 0
    const closed: number[] = []
    const take = () =>
      lend(
        shared,
        1,
        () => ++opened,
        (session) => closed.push(session),
      )
    const all = Array.from({ length: sharedLimits.sessions + 1 }, take)
    expect(new Set(all.map(({ session }) => session)).size).toBe(sharedLimits.sessions + 1)
    for (const one of all) one.giveBack()
    expect(closed).toEqual([sharedLimits.sessions + 1])
    expect(take().session).toBeLessThanOrEqual(sharedLimits.sessions)
    expect(opened).toBe(sharedLimits.sessions + 1)
  })

  it('keep the module from starting anew while one is lent', () => {
    const shared = newShared()
    const lent = lend(
      shared,
      1,
      () => 1,
      () => undefined,
    )
    const restarted: number[] = []
    const restart = () => restartAlone(shared, 0, 1_000_000, () => restarted.push(1))
    expect(restart()).toBe(false)
    lent.giveBack()
    expect(restart()).toBe(true)
    expect(restarted).toHaveLength(1)
    // Another thread that saw the same failure finds it done.
    expect(restart()).toBe(true)
    expect(restarted).toHaveLength(1)
    expect(
      lend(
        shared,
        1,
        () => 2,
        () => undefined,
      ).session,
    ).toBe(2)
  })
})
