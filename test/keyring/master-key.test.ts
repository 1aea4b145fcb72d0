import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createMasterKey, readMasterKey, sameSecret, unguarded } from '../../src/keyring/master-key.js'
import { random } from './worlds.js'

const secret = randomBytes(32)
const read = (source: Uint8Array | string) => {
  const outcome = readMasterKey(source)
  return outcome.kind === 'master-key' ? Buffer.from(outcome.key.secret).toString('hex') : outcome.kind
}

describe('the master key', () => {
  it('reads raw bytes, hex, base64 and base64url as the same key', () => {
    const hex = secret.toString('hex')
    for (const source of [
      secret,
      hex,
      hex.toUpperCase(),
      Buffer.from(`${hex}\n`),
      secret.toString('base64'),
      ` ${secret.toString('base64')}\r\n`,
      secret.toString('base64url'),
      Buffer.from(secret.toString('base64')),
    ])
      expect(read(source)).toBe(hex)
  })

  it('refuses other lengths, other alphabets and placeholders', () => {
    for (const source of [
      '',
      'changeme',
      secret.subarray(1),
      Buffer.concat([secret, secret]),
      secret.toString('hex').slice(2),
      `${secret.toString('hex')}00`,
      secret.toString('base64').replace(/^./, '!'),
      new Uint8Array(32),
      'aa'.repeat(32),
    ])
      expect(read(source)).toBe('refused')
  })

  it('is made anew each time, and has an id that is not part of it', () => {
    const text = createMasterKey(random)
    expect(createMasterKey(random)).not.toBe(text)
    const outcome = readMasterKey(text)
    if (outcome.kind !== 'master-key') throw new Error(outcome.detail)
    expect(outcome.key.id).toHaveLength(8)
    expect(Buffer.from(outcome.key.secret).includes(Buffer.from(outcome.key.id))).toBe(false)
  })

  it('wants its file guarded', () => {
    const of = (mode: number, uid: number, gid = 3) => unguarded({ mode: 0o100000 | mode, uid, gid }, 7, [3])
    expect(of(0o600, 7)).toBeUndefined()
    expect(of(0o400, 0)).toBeUndefined()
    expect(of(0o640, 7)).toMatch(/chmod 600/)
    expect(of(0o604, 7)).toMatch(/0604/)
    expect(of(0o600, 8)).toMatch(/user 8/)
    // As Kubernetes mounts a secret.
    expect(of(0o440, 0)).toBeUndefined()
    expect(of(0o440, 0, 4)).toMatch(/0440/)
    expect(of(0o460, 0)).toMatch(/0460/)
    expect(of(0o444, 0)).toMatch(/0444/)
  })

  it('compares secrets of any length', () => {
    expect(sameSecret(secret, Uint8Array.from(secret))).toBe(true)
    expect(sameSecret(secret, secret.subarray(1))).toBe(false)
    expect(sameSecret(secret, randomBytes(32))).toBe(false)
  })
})
