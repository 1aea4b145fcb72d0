import { describe, expect, it } from 'vitest'
import { codeAt, elsewhere, goodPassword, home, kindOf, openWorld } from './world.js'

const email = 'ada@mail.example'

describe('signing up', () => {
  it('opens an account by the link of a letter, once', async () => {
    const world = await openWorld()
    await world.people.signUp({ email: ' Ada@MAIL.example ', name: 'Ada', language: 'en' }, home)
    const code = await world.link('Ada@mail.example', 'confirm-email')
    const factor = { kind: 'password', password: goodPassword } as const
    const opened = await world.people.confirmSignUp(code, factor, home)
    expect(opened).toMatchObject({ kind: 'signed-in', session: { level: 'one-factor', limited: true } })
    expect(kindOf(await world.people.confirmSignUp(code, factor, home))).toBe('no-such-link')
  })

  it('answers the same for an address that somebody has, and tells only its holder', async () => {
    const world = await openWorld()
    await world.signUp(email)
    const known = await world.people.signUp({ email: 'ADA@mail.example', name: 'Eve', language: 'en' }, elsewhere)
    const unknown = await world.people.signUp({ email: 'new@mail.example', name: 'Eve', language: 'en' }, elsewhere)
    expect(known).toEqual(unknown)
    expect((await world.sent(email)).at(-1)?.letter.kind).toBe('account-exists')
  })

  it('ends a link after its day', async () => {
    const world = await openWorld()
    await world.people.signUp({ email, name: 'Ada', language: 'en' }, home)
    const code = await world.link(email, 'confirm-email')
    world.clock.at += world.limits.confirmMs
    const factor = { kind: 'password', password: goodPassword } as const
    expect(kindOf(await world.people.confirmSignUp(code, factor, home))).toBe('no-such-link')
  })

  it('opens one account where two links of one address are followed at once', async () => {
    const world = await openWorld()
    await world.people.signUp({ email, name: 'Ada', language: 'en' }, home)
    const one = await world.link(email, 'confirm-email')
    await world.people.signUp({ email, name: 'Ada', language: 'en' }, home)
    const two = await world.link(email, 'confirm-email')
    const factor = { kind: 'password', password: goodPassword } as const
    const both = await Promise.all([one, two].map((code) => world.people.confirmSignUp(code, factor, home)))
    expect(both.map(kindOf).toSorted()).toEqual(['no-such-link', 'signed-in'])
  })

  it('writes a stranger no more than a few letters a day', async () => {
    const world = await openWorld()
    for (let i = 0; i < 20; i++) await world.people.signUp({ email, name: 'Ada', language: 'en' }, home)
    expect((await world.sent(email)).length).toBeLessThanOrEqual(world.limits.lettersOfNetwork + 1)
  })
})

describe('signing in', () => {
  it('takes a password and a code, and each code once', async () => {
    const world = await openWorld()
    const { totp } = await world.withTotp(email)
    const first = await world.people.signIn({ email, password: goodPassword }, home)
    if (first.kind !== 'second-factor') throw new Error(first.kind)
    const code = codeAt(totp, world.clock.at)
    const proof = { kind: 'totp', code } as const
    expect(await world.people.secondFactor(first.ticket, proof, home)).toMatchObject({
      kind: 'signed-in',
      session: { level: 'two-factors' },
    })
    const again = await world.people.signIn({ email, password: goodPassword }, home)
    if (again.kind !== 'second-factor') throw new Error(again.kind)
    expect(kindOf(await world.people.secondFactor(again.ticket, proof, home))).toBe('wrong-code')
  })

  it('answers an unknown address and a wrong password alike', async () => {
    const world = await openWorld()
    await world.signUp(email)
    const wrong = await world.people.signIn({ email, password: 'not the password' }, home)
    const unknown = await world.people.signIn({ email: 'nobody@mail.example', password: goodPassword }, home)
    const none = await world.people.signIn({ email: 'no address', password: goodPassword }, home)
    expect([wrong, unknown]).toEqual([unknown, none])
  })

  it('makes a stranger wait and lets the holder in from elsewhere, and from the same network by a known browser', async () => {
    const world = await openWorld()
    const { device } = await world.signUp(email)
    const guess = () => world.people.signIn({ email, password: 'a wrong guess here' }, elsewhere)
    const guesses = await Promise.all(Array.from({ length: 50 }, guess))
    expect(guesses.filter(({ kind }) => kind === 'refused').length).toBe(world.limits.freeFailures)
    const right = { email, password: goodPassword }
    expect((await world.people.signIn(right, elsewhere)).kind).toBe('wait')
    expect((await world.people.signIn(right, home)).kind).toBe('signed-in')
    expect((await world.people.signIn(right, { ...elsewhere, device })).kind).toBe('signed-in')
    expect((await world.people.signIn(right, { ...elsewhere, device: `${device.slice(0, -1)}x` })).kind).toBe('wait')
  })

  it('doubles the wait, to a quarter of an hour', async () => {
    const world = await openWorld()
    await world.signUp(email)
    const waits: number[] = []
    for (let i = 0; i < 30; i++) {
      const answer = await world.people.signIn({ email, password: 'a wrong guess here' }, elsewhere)
      if (answer.kind !== 'wait') continue
      waits.push(answer.waitMs)
      world.clock.at += answer.waitMs
    }
    expect(waits.slice(0, 4)).toEqual([1000, 2000, 4000, 8000])
    expect(Math.max(...waits)).toBe(world.limits.longestWaitMs)
  })

  it('ends a ticket after five wrong codes', async () => {
    const world = await openWorld({ limits: { freeFailures: 100 } })
    const { totp } = await world.withTotp(email)
    const first = await world.people.signIn({ email, password: goodPassword }, home)
    if (first.kind !== 'second-factor') throw new Error(first.kind)
    const right = codeAt(totp, world.clock.at)
    const wrong = right === '000000' ? '111111' : '000000'
    const guesses = Array.from({ length: 50 }, () =>
      world.people.secondFactor(first.ticket, { kind: 'totp', code: wrong }, home),
    )
    const answers = (await Promise.all(guesses)).map(kindOf)
    expect(answers.filter((one) => one === 'wrong-code').length).toBe(world.limits.proofs)
    expect(kindOf(await world.people.secondFactor(first.ticket, { kind: 'totp', code: right }, home))).toBe(
      'no-such-link',
    )
  })

  it('takes a recovery code once, whatever its spaces and case', async () => {
    const world = await openWorld()
    const { codes } = await world.withTotp(email)
    expect(codes.length).toBe(10)
    const code = ` ${codes[3]?.toLowerCase().replaceAll('-', ' ')}`
    for (const expected of ['signed-in', 'wrong-code']) {
      const first = await world.people.signIn({ email, password: goodPassword }, home)
      if (first.kind !== 'second-factor') throw new Error(first.kind)
      expect(kindOf(await world.people.secondFactor(first.ticket, { kind: 'recovery-code', code }, home))).toBe(
        expected,
      )
    }
  })
})
