import { describe, expect, it } from 'vitest'
import { peopleLimits } from '../../src/people/limits.js'
import { judgePassword } from '../../src/people/password.js'
import { totpStep } from '../../src/people/totp.js'
import { newAuthenticator } from './authenticator.js'
import { codeAt, elsewhere, goodPassword, home, kindOf, openWorld, origin } from './world.js'

const email = 'ada@mail.example'

describe('codes of an authenticator app', () => {
  it('are those of RFC 6238 Appendix B, one step about now, and each step once', () => {
    const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' // its ASCII secret 12345678901234567890; last six of eight digits
    for (const [seconds, code] of [
      [59, '287082'],
      [1111111109, '081804'],
      [1234567890, '005924'],
      [20000000000, '353130'],
    ] as const) {
      const at = seconds * 1000
      const step = Math.floor(seconds / 30)
      expect(totpStep(secret, code, at, 0)).toBe(step)
      expect(totpStep(secret, code, at + 30_000, 0)).toBe(step)
      expect(totpStep(secret, code, at + 60_000, 0)).toBeUndefined()
      expect(totpStep(secret, code, at, step)).toBeUndefined()
    }
  })
})

describe('a password', () => {
  const who = { email, name: 'Ada Marmotte' }
  it.each([
    ['short', 'too-short'],
    ['passwordpassword', 'too-common'],
    ['Password123456!', 'too-common'],
    ['qwertyuiopasdf', 'too-common'],
    ['1q2w3e4r5t6y', 'too-common'],
    ['123456789012', 'too-common'],
    ['aaaaaaaaaaaaaa', 'too-common'],
    ['iloveyouforever', 'too-common'],
    ['P@ssw0rdP@ssw0rd', 'too-common'],
    ['abcabcabcabc', 'too-common'],
    ['ada@mail.example9', 'tells-of-you'],
    ['marmotte-1984', 'tells-of-you'],
    ['x'.repeat(100) + 'yz'.repeat(100), 'too-long'],
    [goodPassword, undefined],
    ['ⅻ correct juniper', undefined],
  ])('%s is %s', (text, problem) => {
    expect(judgePassword(text, who, peopleLimits)).toBe(problem)
  })
})

describe('a passkey', () => {
  async function withPasskey() {
    const world = await openWorld()
    await world.people.signUp({ email, name: 'Ada', language: 'en' }, home)
    const code = await world.link(email, 'confirm-email')
    const begun = await world.people.firstPasskeyOptions(code)
    const authenticator = newAuthenticator(origin, 'gw.example')
    const response = authenticator.create(begun?.options.challenge ?? '')
    const factor = { kind: 'passkey', ticket: begun?.ticket ?? '', response, label: 'Phone' } as const
    const opened = await world.people.confirmSignUp(code, factor, home)
    if (opened.kind !== 'signed-in') throw new Error(opened.problem)
    const signIn = async () => {
      const { ticket, options } = await world.people.passkeySignInOptions()
      return { ticket, response: authenticator.get(options.challenge, opened.session.person) }
    }
    return { world, authenticator, opened, signIn }
  }

  it('opens an account and signs in on two factors', async () => {
    const { world, opened, signIn } = await withPasskey()
    expect(opened.session).toMatchObject({ level: 'two-factors' })
    expect(await world.people.passkeySignIn(await signIn(), elsewhere)).toMatchObject({
      session: { level: 'two-factors' },
    })
  })

  it('is refused twice, without its user verified, from another origin, and from a clone', async () => {
    const { world, authenticator, signIn } = await withPasskey()
    const once = await signIn()
    expect(kindOf(await world.people.passkeySignIn(once, home))).toBe('signed-in')
    expect(kindOf(await world.people.passkeySignIn(once, home))).toBe('wrong-proof')
    authenticator.state.userVerified = false
    expect(kindOf(await world.people.passkeySignIn(await signIn(), home))).toBe('wrong-proof')
    authenticator.state.userVerified = true
    authenticator.state.origin = 'https://evil.example'
    expect(kindOf(await world.people.passkeySignIn(await signIn(), home))).toBe('wrong-proof')
    authenticator.state.origin = origin
    authenticator.state.counter = 0
    expect(kindOf(await world.people.passkeySignIn(await signIn(), home))).toBe('wrong-proof')
  })
})

describe('a session', () => {
  it('go on for whoever works, however short the idle time is', async () => {
    const world = await openWorld({ limits: { idleMs: 3000 } })
    const { secret } = await world.signUp('ida@mail.example')
    for (let turn = 0; turn < 5; turn++) {
      world.clock.at += 2000
      expect(await world.people.sessions.current(secret)).toBeDefined()
    }
    world.clock.at += 3000
    expect(await world.people.sessions.current(secret)).toBeUndefined()
  })

  it('ends when it is idle, when it is old, and with another password', async () => {
    const world = await openWorld()
    const { secret, session } = await world.withTotp(email)
    world.clock.at += world.limits.idleMs - 120_000
    expect(await world.people.sessions.current(secret)).toBeDefined()
    world.clock.at += world.limits.idleMs - 1
    expect(await world.people.sessions.current(secret)).toBeDefined()
    world.clock.at += world.limits.idleMs
    expect(await world.people.sessions.current(secret)).toBeUndefined()

    const { secret: other, session: live } = await world.signUp('ben@mail.example')
    const changed = await world.people.changePassword(live, 'another marmot 17 lantern', home)
    expect(kindOf(changed)).toBe('signed-in')
    expect(await world.people.sessions.current(other)).toBeUndefined()
    expect(await world.people.sessions.isLive(session.id)).toBe(false)

    if (changed.kind !== 'signed-in') throw new Error('refused')
    for (let waited = 0; waited < world.limits.absoluteMs; waited += 600_000) {
      expect(await world.people.sessions.current(changed.secret)).toBeDefined()
      world.clock.at += 600_000
    }
    expect(await world.people.sessions.current(changed.secret)).toBeUndefined()
    await world.work()
    expect(await world.store.get(`people/session/${changed.session.id}`)).toBeUndefined()
  })

  it('keeps no secret, no address and no name in the clear', async () => {
    const world = await openWorld()
    const { secret, totp, codes } = await world.withTotp(email, 'Ada Lovelace-Example')
    const all = [...world.disk.contents]
      .map(([key, value]) => `${key} ${Buffer.from(value).toString('latin1')}`)
      .join('\n')
    for (const hidden of [secret, totp, email, 'Lovelace', ...codes]) expect(all).not.toContain(hidden)
  })
})

describe('a stolen mailbox', () => {
  it('opens nothing by itself, and no sooner than 72 hours; whoever is signed in stops it', async () => {
    const world = await openWorld()
    const { session } = await world.withTotp(email)
    await world.people.beginRecovery(email, elsewhere)
    const link = await world.link(email, 'recovery')
    const password = 'the thief 99 wants in'
    expect(kindOf(await world.people.finishRecovery(link, { password }, elsewhere))).toBe('wrong-proof')
    expect(kindOf(await world.people.waitForRecovery(link, elsewhere))).toBe('waiting')
    world.clock.at += world.limits.recoveryWaitMs - 1000
    await world.work()
    expect((await world.people.factorsOf(session.person))?.recovery).toBeDefined()
    expect(kindOf(await world.people.stopRecovery(session.person, home))).toBe('done')
    world.clock.at += 1000
    const before = (await world.sent(email)).length
    await world.work()
    expect((await world.sent(email)).length).toBe(before)
  })

  it('after the wait resets every factor, and ends every session', async () => {
    const world = await openWorld()
    const { session, totp } = await world.withTotp(email)
    await world.people.beginRecovery(email, home)
    await world.people.waitForRecovery(await world.link(email, 'recovery'), home)
    world.clock.at += world.limits.recoveryWaitMs
    await world.work()
    const ready = await world.link(email, 'recovery')
    const back = await world.people.finishRecovery(ready, { password: 'back again 44 marmot' }, home)
    expect(back).toMatchObject({ kind: 'signed-in', session: { limited: true } })
    expect(await world.people.factorsOf(session.person)).toMatchObject({ totp: undefined, recoveryCodesLeft: 0 })
    expect(await world.people.sessions.isLive(session.id)).toBe(false)
    expect(codeAt(totp, world.clock.at)).toMatch(/^\d{6}$/)
  })

  it('does not keep an address that its holder wants back', async () => {
    const world = await openWorld()
    const { session } = await world.withTotp(email)
    await world.people.changeEmail(session.person, 'thief@mail.example', elsewhere)
    const link = await world.link('thief@mail.example', 'confirm-change')
    expect(kindOf(await world.people.confirmEmail(link, elsewhere))).toBe('done')
    await world.people.signUp({ email, name: 'Eve', language: 'en' }, elsewhere)
    const taken = await world.people.confirmSignUp(
      await world.link(email, 'confirm-email'),
      { kind: 'password', password: goodPassword },
      elsewhere,
    )
    expect(kindOf(taken)).toBe('no-such-link')
    expect(kindOf(await world.people.undoEmail(await world.link(email, 'account-changed'), home))).toBe('done')
    expect((await world.people.person(session.person))?.email).toBe(email)
    expect(await world.people.sessions.isLive(session.id)).toBe(false)
  })

  it('ends with the mailbox that its links went to, when the account leaves that', async () => {
    const world = await openWorld()
    const { session } = await world.signUp(email)
    await world.people.beginRecovery(email, elsewhere)
    await world.people.waitForRecovery(await world.link(email, 'recovery'), elsewhere)
    await world.people.beginRecovery(email, elsewhere)
    const fresh = await world.link(email, 'recovery')
    world.clock.at += world.limits.recoveryWaitMs
    await world.people.beginRecovery(email, elsewhere)
    const later = await world.link(email, 'recovery')
    await world.work()
    const ready = await world.link(email, 'recovery')
    expect(await world.people.awaitedRecovery(ready)).toMatchObject({ ready: true })
    await world.people.changeEmail(session.person, 'safe@mail.example', home)
    await world.people.confirmEmail(await world.link('safe@mail.example', 'confirm-change'), home)
    for (const link of [ready, later, fresh]) expect(await world.people.awaitedRecovery(link)).toBeUndefined()
    expect((await world.people.factorsOf(session.person))?.recovery).toBeUndefined()
  })
})
