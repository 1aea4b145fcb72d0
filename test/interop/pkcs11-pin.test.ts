import { chmodSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ckr } from '../../src/pkcs11/codes.js'
import { type Cryptoki, CryptokiFailed, loadCryptoki } from '../../src/pkcs11/cryptoki.js'
import { newShared } from '../../src/pkcs11/shared.js'
import { openTokens } from '../../src/pkcs11/tokens.js'
import { KeyUnavailable } from '../../src/ports/keys.js'
import { tokensOf } from '../../src/workers/tokens.js'
import { makeToken, module, pin, uriOf } from './pkcs11-token.js'

/** In a process of its own: a token is logged in for all of a process. */
const title = module ? 'the PIN of SoftHSM' : 'the PIN of SoftHSM: SKIPPED, softhsm2 or koffi is not installed'

describe.skipIf(!module)(title, () => {
  const path = module ?? ''
  let token: ReturnType<typeof makeToken>
  beforeAll(() => {
    token = makeToken(path)
  })
  afterAll(() => token?.remove())

  function wordsOf(work: () => unknown): string {
    try {
      work()
    } catch (error) {
      if (error instanceof KeyUnavailable) return error.message
      throw error
    }
    return 'no failure'
  }

  it('is tried once while it is wrong, by whatever thread, and the right one once it is there', () => {
    const shared = newShared()
    let logins = 0
    let now = '000000'
    const load = (where: string): Cryptoki => {
      const cryptoki = loadCryptoki(where)
      const login: Cryptoki['login'] = (...args) => {
        logins++
        cryptoki.login(...args)
      }
      return { ...cryptoki, login }
    }
    const ports = { module: path, shared, load, readPin: () => ({ kind: 'pin' as const, pin: now }) }
    const threads = [openTokens(ports), openTokens(ports)]
    const words = Array.from({ length: 10 }, (_, i) => wordsOf(() => threads[i % 2]?.traits(uriOf('01'))))
    expect(words[0]).toContain('CKR_PIN_INCORRECT')
    for (const later of words.slice(1)) expect(later).toContain('is not tried again')
    expect(words.join()).not.toContain(now)
    expect(logins).toBe(1)
    now = pin
    expect(threads[0]?.traits(uriOf('01'))).toEqual({ signs: true, opens: true, extractable: false })
    expect(logins).toBe(2)
  })

  it('would be tried by each thread that knew nothing of the others', () => {
    let logins = 0
    const load = (where: string): Cryptoki => ({
      ...loadCryptoki(where),
      login() {
        logins++
        throw new CryptokiFailed('C_Login', ckr.pinIncorrect)
      },
    })
    const alone = () =>
      openTokens({ module: path, shared: newShared(), load, readPin: () => ({ kind: 'pin', pin: '000000' }) })
    for (const thread of [alone(), alone()]) wordsOf(() => thread.traits(uriOf('01')))
    expect(logins).toBe(2)
  })

  it('is read from a file that nobody else can read, and from no other', () => {
    const settings = { module: path, pinFile: token.pinFile }
    const asked = () => wordsOf(() => tokensOf({ ...settings, shared: newShared() }).traits(uriOf('01')))
    expect(asked()).toBe('no failure')
    chmodSync(token.pinFile, 0o644)
    expect(asked()).toContain('readable by others')
    chmodSync(token.pinFile, 0o600)
    writeFileSync(token.pinFile, '\n')
    expect(asked()).toContain('is empty')
    settings.pinFile = `${token.pinFile}.none`
    expect(asked()).toContain('ENOENT')
  })
})
