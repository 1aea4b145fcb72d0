import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readCookie, writeCookie } from '../../src/people/cookies.js'
import { foldedEmail, readEmail } from '../../src/people/email.js'
import { peopleLimits } from '../../src/people/limits.js'
import { judgePassword } from '../../src/people/password.js'
import { isBirthDate, readName } from '../../src/people/sign-up.js'
import { auditOf } from '../spool/room.js'
import { newAuthenticator } from './authenticator.js'
import { elsewhere, home, kindOf, openWorld, origin } from './world.js'

const any = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 300 }))

it('reads any text as an address, a name, a day, a cookie or a password, and never fails', () => {
  fc.assert(
    fc.property(any, (text) => {
      const email = readEmail(text)
      if (email !== undefined) {
        expect(readEmail(email)).toBe(email)
        expect(foldedEmail(email)).not.toMatch(/[\s,;<>"]/)
      }
      const name = readName(text)
      if (name !== undefined) expect(readName(name)).toBe(name)
      isBirthDate(text, 0)
      readCookie(text, 'session', origin)
      judgePassword(text, { email: 'a@b.example', name: text }, peopleLimits)
    }),
    { numRuns: 3000 },
  )
})

it('reads back the cookie that it wrote, among any others', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100 }), fc.stringMatching(/^[\w-]{1,60}$/), (other, value) => {
      const [pair] = writeCookie('device', value, origin).split(';')
      const noise = other.replace(/[;=]/g, '')
      expect(readCookie(`${noise}=x; ${pair}`, 'device', origin)).toBe(value)
    }),
  )
})

it.each([
  ['a@b', undefined],
  ['"a b"@mail.example', undefined],
  ['a@[192.0.2.1]', undefined],
  ['a..b@mail.example', undefined],
  ['a@mail.example\r\nBcc: x@y.example', undefined],
  ['Jörg@BÜCHER.example', 'Jörg@xn--bcher-kva.example'],
  [' Ada@MAIL.Example ', 'Ada@mail.example'],
])('%j is written to as %s', (text, email) => {
  expect(readEmail(text)).toBe(email)
})

it('refuses any answer of a passkey that was changed, and never fails', async () => {
  const world = await openWorld()
  const { session } = await world.signUp('ada@mail.example')
  const authenticator = newAuthenticator(origin, 'gw.example')
  const made = await world.people.passkeyOptions(session.person)
  const good = authenticator.create(made?.options.challenge ?? '')
  const { ticket } = made ?? { ticket: '' }
  const bytes = Buffer.from(good.response.attestationObject, 'base64url')
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes)
    // The key and the id of a new passkey are what they are; all before them is bound to us.
    if (at >= 37 + 30) break
    changed[at] = (changed[at] ?? 0) ^ 0xff
    const response = { ...good, response: { ...good.response, attestationObject: changed.toString('base64url') } }
    const begun = await world.people.passkeyOptions(session.person)
    const tried = await world.people.addPasskey(session, { ticket: begun?.ticket ?? '', response, label: 'x' }, home)
    expect(kindOf(tried)).toBe('wrong-proof')
  }
  for (const response of [
    null,
    1,
    'x',
    {},
    { id: 1 },
    { id: 'a', response: null },
    { id: 'a', response: { clientDataJSON: 1 } },
  ]) {
    expect(kindOf(await world.people.passkeySignIn({ ticket, response }, home))).toBe('wrong-proof')
  }
  expect(kindOf(await world.people.addPasskey(session, { ticket, response: good, label: 'x' }, home))).toBe('set-up')
})

it('writes to so many addresses a day for one network, and leaves no row for the others', async () => {
  const world = await openWorld()
  const { lettersOfNetworkInAll: most } = world.limits
  for (let i = 0; i < most + 20; i++)
    await world.people.signUp({ email: `victim${i}@mail.example`, name: 'Eve', language: 'en' }, home)
  expect(await world.sent()).toHaveLength(most)
  const tickets = await world.store.range({ gte: 'people/ticket/', lt: 'people/ticket0', limit: 1000 })
  expect(tickets).toHaveLength(most)
})

it('counts guesses at one account together, in whatever letters its address is written', async () => {
  const world = await openWorld()
  await world.signUp('ada@mail.example')
  const kinds: string[] = []
  for (const email of ['ada@mail.example', '\uff41da@mail.example', 'a\uff44a@mail.example', 'ADA@mail.example'])
    for (let i = 0; i < 3; i++) kinds.push(kindOf(await world.people.signIn({ email, password: 'wrong' }, home)))
  expect(kinds.filter((kind) => kind === 'wrong-proof')).toHaveLength(world.limits.freeFailures)
})

it('hashes little for one link, however often it is asked to at once', async () => {
  let hashed = 0
  const slowHash = {
    cost: 'none',
    hash: async () => `hash ${++hashed}`,
    verify: async () => false,
    derive: async () => Buffer.alloc(32),
  }
  const world = await openWorld({}, { slowHash })
  await world.people.signUp({ email: 'eve@mail.example', name: 'Eve', language: 'en' }, home)
  const code = await world.link('eve@mail.example', 'confirm-email')
  const factor = { kind: 'password', password: 'juniper lantern 92 marmot' } as const
  const all = Array.from({ length: 40 }, () => world.people.confirmSignUp(code, factor, home).catch(() => undefined))
  await Promise.all(all)
  expect(hashed).toBeLessThanOrEqual(world.limits.hashings)
  expect(hashed).toBeGreaterThan(0)
})

it('fills neither the store nor the audit log for a stranger who asks on and on', async () => {
  const world = await openWorld()
  await world.signUp('ada@mail.example')
  const before = (await auditOf(world.store)).length
  const response = { id: 'nobody', response: {} }
  for (let i = 0; i < 100; i++) {
    await world.people.signIn({ email: 'ada@mail.example', password: 'wrong' }, elsewhere)
    await world.people.passkeySignIn({ ticket: 'x'.repeat(43), response }, elsewhere)
    await world.people.beginRecovery('ada@mail.example', elsewhere)
    await world.people.signUp({ email: 'ada@mail.example', name: 'Eve', language: 'en' }, elsewhere)
  }
  const { freeFailures, freeFailuresOfNetwork, lettersOfNetwork } = world.limits
  const after = (await auditOf(world.store)).length - before
  expect(after).toBeLessThanOrEqual(freeFailures + freeFailuresOfNetwork + lettersOfNetwork)
})
