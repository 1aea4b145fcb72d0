import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectFamilies } from '../../src/connect/families.js'
import { connectLimits } from '../../src/connect/limits.js'
import type { RequestEnd } from '../../src/connect/request.js'
import { openRequests } from '../../src/connect/requests.js'
import { SlowHashBusy } from '../../src/ports/slow-hash.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { auditOf } from '../spool/room.js'
import { day, from, openWorld, quickHash } from './world.js'

const nothing = { kind: 'nothing' }
const elsewhere = (i: number) => ({ ...from, network: `198.51.100.${i}` })

describe('the holder of a code', () => {
  it('sees the question, and after the right answer a ticket and the name', async () => {
    const { requests, made, answered } = await openWorld()
    const { code, request } = await made()
    expect(await requests.open(code.toLowerCase(), from)).toEqual({
      ...{ kind: 'question', id: request.id, of: 'connect', owner: 'clinic-1', payload: {} },
      question: 'Which bird did you have?',
    })
    expect(await requests.answer(code, 'a wrong one', from)).toEqual({ kind: 'wrong', left: 2 })
    const right = await requests.answer(code, ' Parakeet  JOE', from)
    expect(right).toMatchObject({ kind: 'right', of: 'connect', friendlyName: 'Anna at the Elm Street clinic' })
    const { held } = await answered(code)
    expect(held.request.attemptsLeft).toBe(2)
  })

  it('has three wrong answers for ever, whatever right ones come between; then the right one opens nothing', async () => {
    const { requests, made, store, clock } = await openWorld()
    const { code, request } = await made()
    for (const left of [2, 1]) {
      expect(await requests.answer(code, 'a wrong one', from)).toEqual({ kind: 'wrong', left })
      expect(await requests.answer(code, 'parakeet joe', from)).toMatchObject({ kind: 'right' })
      clock.at += day
    }
    expect(await requests.answer(code, 'a wrong one', from)).toEqual({ kind: 'wrong', left: 0 })
    expect(await requests.answer(code, 'parakeet joe', from)).toEqual(nothing)
    expect(await requests.open(code, elsewhere(1))).toEqual(nothing)
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({ state: 'locked', attemptsLeft: 0 })
    const reasons = (await auditOf(store)).map(({ reason }) => reason)
    expect(reasons.filter(Boolean)).toEqual(['wrong-answer', 'wrong-answer', 'last-wrong-answer'])
  })

  it('gets one answer for codes that are unknown, mistyped, locked, expired, withdrawn and claimed', async () => {
    const world = await openWorld()
    const { requests, made, clock, done, answered, newCode } = world
    const [locked, expired, withdrawn, claimed] = [
      await made({ externalId: 'a' }),
      await made({ externalId: 'b', expiresInMs: 1000 }),
      await made({ externalId: 'c' }),
      await made({ externalId: 'd', kind: 'package' }),
    ]
    for (let i = 0; i < 3; i++) await requests.answer(locked.code, 'wrong answer', from)
    await done(await requests.withdraw('clinic-1', { id: withdrawn.request.id }))
    const { held } = await answered(claimed.code)
    await done(await requests.finish(held, { person: 'p', record: 'r' }))
    clock.at += 1000
    const codes = [locked.code, expired.code, withdrawn.code, claimed.code, newCode(), 'JKYZ-0', '']
    for (const [i, code] of codes.entries()) {
      world.slowHash.asked = 0
      expect(await requests.open(code, elsewhere(i))).toEqual(nothing)
      expect(await requests.answer(code, 'parakeet joe', elsewhere(i))).toEqual(nothing)
      expect(world.slowHash.asked).toBe(1) // as long as for one that is there
    }
    const states = await Promise.all(
      [locked, expired, withdrawn, claimed].map(({ request: { id } }) => requests.get('clinic-1', { id })),
    )
    expect(states.map((one) => one?.state)).toEqual(['locked', 'expired', 'withdrawn', 'claimed'])
  })

  it('never gets a fourth try, however many guess at once', async () => {
    const { requests, made, slowHash } = await openWorld()
    const { code, request } = await made()
    slowHash.asked = 0
    const guesses = await Promise.all(
      Array.from({ length: 50 }, (_, i) => requests.answer(code, `guess number ${i}`, elsewhere(i))),
    )
    const wrong = guesses.filter(({ kind }) => kind === 'wrong')
    expect(wrong.map((guess) => 'left' in guess && guess.left).toSorted()).toEqual([0, 1, 2])
    expect(slowHash.asked).toBe(3)
    expect(await requests.answer(code, 'parakeet joe', elsewhere(60))).toEqual(nothing)
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({ state: 'locked' })
  })

  it('is let in at most three times at once where the right answer is among fifty guesses', async () => {
    const { requests, made } = await openWorld()
    const { code } = await made()
    const guesses = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        requests.answer(code, i % 2 ? 'parakeet joe' : `guess number ${i}`, elsewhere(i)),
      ),
    )
    expect(guesses.filter(({ kind }) => kind === 'wrong').length).toBeLessThanOrEqual(3)
  })

  it('gets no attempt back where a process dies at any moment of an answer', async () => {
    for (let deadly = 1; deadly <= 14; deadly++) {
      const world = await openWorld()
      const { code } = await world.made()
      let [right, asked] = [0, 0]
      const slowHash = quickHash()
      for (let life = 0; life < 8; life++) {
        let calls = 0
        const dies = () => {
          if (++calls === deadly) throw new Error('the process died')
        }
        const beforeCall = life % 2 === 0 ? { beforeCall: dies } : { afterCall: dies }
        const store = await openMemoryStore({ clock: world.clock, disk: world.disk, ...beforeCall })
        const requests = openRequests({ ...world, store, slowHash })
        slowHash.asked = 0
        const guess = await requests.answer(code, `guess number ${life}`, elsewhere(life)).catch(() => undefined)
        if (guess?.kind !== 'nothing') asked += slowHash.asked
        if (guess?.kind === 'right') right++
      }
      expect(asked).toBeLessThanOrEqual(3)
      expect(right).toBe(0)
    }
  })

  it('has no attempt taken where too many wait, and hears that', async () => {
    const world = await openWorld()
    const { code, request } = await world.made()
    const busy = { ...quickHash(), verify: () => Promise.reject(new SlowHashBusy('Too many wait')) }
    const requests = openRequests({ ...world, slowHash: busy })
    await expect(requests.answer(code, 'parakeet joe', from)).rejects.toThrow(SlowHashBusy)
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({ attemptsLeft: 3 })
  })

  it('waits after ten codes that are not there, and with its own code never for the misses of others', async () => {
    const { requests, made, newCode, clock } = await openWorld()
    const { code } = await made()
    for (let i = 0; i < 10; i++) expect(await requests.open(newCode(), elsewhere(1))).toEqual(nothing)
    const wait = await requests.open(newCode(), elsewhere(1))
    expect(wait).toMatchObject({ kind: 'wait', waitMs: 180_000 })
    expect(await requests.open(code, elsewhere(1))).toMatchObject({ kind: 'wait' })
    for (let i = 2; i < 40; i++) for (let j = 0; j < 5; j++) await requests.open(newCode(), elsewhere(i))
    expect(await requests.open(code, elsewhere(200))).toMatchObject({ kind: 'question' })
    expect(await requests.open(newCode(), elsewhere(39))).toMatchObject({ kind: 'wait' })
    clock.at += 180_000
    expect(await requests.open(code, elsewhere(1))).toMatchObject({ kind: 'question' })
    for (let i = 0; i < 100; i++) expect(await requests.open(code, elsewhere(201))).toMatchObject({ kind: 'question' })
  })
})

describe('a ticket', () => {
  it('opens in the hands it was given to, for half an hour, once', async () => {
    const { requests, made, answered, done, clock } = await openWorld()
    const { code } = await made()
    const { ticket, held } = await answered(code)
    expect(await requests.redeem(ticket, 'session:2')).toBeUndefined()
    expect(await requests.redeem(`${ticket.slice(1)}A`, from.holder)).toBeUndefined()
    expect(await requests.redeem('../ticket', from.holder)).toBeUndefined()
    expect(await done(await requests.finish(held, { person: 'p', record: 'r' }))).toBe('committed')
    expect(await done(await requests.finish(held, { person: 'p', record: 'r' }))).toBe('conflict')
    expect(await requests.redeem(ticket, from.holder)).toBeUndefined()
    const again = await answered(code)
    clock.at += connectLimits.ticketMs
    expect(await requests.redeem(again.ticket, from.holder)).toBeUndefined()
  })

  it.each(['withdraw', 'reissue'] as const)('is dead with a %s, also between looking and doing', async (deed) => {
    const { requests, made, answered, done } = await openWorld()
    const { code, request } = await made()
    const { ticket, held } = await answered(code)
    await done(await requests[deed]('clinic-1', { id: request.id }))
    expect(await requests.redeem(ticket, from.holder)).toBeUndefined()
    expect(await done(await requests.finish(held, { person: 'p', record: 'r' }))).toBe('conflict')
    expect(await requests.open(code, from)).toEqual(nothing)
  })

  it('brings back what its kind gave it, which the store alone does not tell', async () => {
    const secret = Buffer.from('the key of a package')
    const verify = async (_: unknown, answer: string) =>
      answer === 'parakeet joe' ? ({ kind: 'right', secret } as const) : ({ kind: 'wrong' } as const)
    const world = await openWorld({}, { rules: { package: { verify } } })
    const { answer: _, ...rest } = { ...(await import('./world.js')).request, kind: 'package' as const }
    const outcome = await world.requests.create(rest)
    if (outcome.kind !== 'created') throw new Error(outcome.problem)
    await world.done(outcome)
    expect(await world.requests.answer(outcome.code, 'a wrong one', from)).toEqual({ kind: 'wrong', left: 2 })
    const { held } = await world.answered(outcome.code)
    expect(Buffer.from(held.secret ?? []).equals(secret)).toBe(true)
    for (const value of world.disk.contents.values()) expect(Buffer.from(value).includes(secret)).toBe(false)
  })

  it('is given out for damaged content to nobody, and no attempt is taken', async () => {
    const verify = async () => ({ kind: 'damaged' }) as const
    const world = await openWorld({}, { rules: { package: { verify } } })
    const outcome = await world.requests.create({ kind: 'package', owner: 'clinic-1', friendlyName: 'Anna' })
    if (outcome.kind !== 'created') throw new Error(outcome.problem)
    await world.done(outcome)
    expect(await world.requests.answer(outcome.code, 'parakeet joe', from)).toEqual(nothing)
    expect(await world.requests.get('clinic-1', { id: outcome.request.id })).toMatchObject({ attemptsLeft: 3 })
  })

  it('is one of five at most for one code; the oldest goes', async () => {
    const { requests, made, answered, disk } = await openWorld()
    const { code } = await made()
    const tickets = []
    for (let i = 0; i < 7; i++) tickets.push((await answered(code)).ticket)
    const living = await Promise.all(tickets.map((ticket) => requests.redeem(ticket, from.holder)))
    expect(living.map(Boolean)).toEqual([false, false, true, true, true, true, true])
    expect([...disk.contents.keys()].filter((key) => key.includes('connect/ticket/'))).toHaveLength(5)
  })
})

describe('the owner of a request', () => {
  it.each([
    [{ question: '   ' }, 'bad-question', 72],
    [{ question: 'x'.repeat(256) }, 'bad-question', 72],
    [{ answer: 'Rex' }, 'bad-answer', 73],
    [{ answer: '  abc  ' }, 'bad-answer', 73],
    [{ friendlyName: ' ' }, 'bad-friendly-name', undefined],
    [{ externalId: '' }, 'bad-external-id', undefined],
    [{ birthDate: '2026-02-30' }, 'bad-birth-date', undefined],
    [{ email: 'a@b' }, 'bad-email', 45],
    [{ email: 'a@b.example\r\nBcc: c@d.example' }, 'bad-email', 45],
    [{ expiresInMs: 93 * day }, 'bad-expiry', undefined],
    [{ expiresInMs: Number.NaN }, 'bad-expiry', undefined],
  ] as const)('is refused %o', async (more, problem, number) => {
    const { requests } = await openWorld()
    const { request, requestProblems } = {
      ...(await import('./world.js')),
      ...(await import('../../src/connect/request.js')),
    }
    expect(await requests.create({ ...request, ...more })).toEqual({ kind: 'refused', problem })
    expect(requestProblems[problem]).toBe(number)
  })

  it('has one Patient Connect request for an external id, also where two are made at once; others have several', async () => {
    const { requests, made, store } = await openWorld()
    const { request } = await import('./world.js')
    const both = await Promise.all([requests.create(request), requests.create(request)])
    const commits = []
    for (const one of both) if (one.kind === 'created') commits.push((await store.commit(one.parts)).kind)
    expect(commits).toEqual(['committed', 'conflict'])
    expect(await requests.create(request)).toEqual({ kind: 'refused', problem: 'duplicate' })
    await made({ owner: 'clinic-2' })
    await made({ kind: 'package' })
    await made({ kind: 'package' })
    const { requests: packages } = await requests.list('clinic-1', { of: 'package', externalId: 'MRN 1', limit: 10 })
    expect(packages).toHaveLength(2)
  })

  it('sees its own requests only, page by page', async () => {
    const { requests, made, clock } = await openWorld()
    const ids = []
    for (let i = 0; i < 5; i++) {
      clock.at += 1
      ids.push((await made({ externalId: `MRN ${i}` })).request.id)
    }
    await made({ owner: 'clinic-2' })
    const seen: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await requests.list('clinic-1', { of: 'connect', limit: 2, ...(after !== undefined && { after }) })
      seen.push(...page.requests.map(({ id }) => id))
      after = page.next
      if (after === undefined) break
    }
    expect(seen).toEqual(ids)
    expect(await requests.get('clinic-2', { id: ids[0] ?? '' })).toBeUndefined()
    expect(await requests.withdraw('clinic-2', { id: ids[0] ?? '' })).toEqual({ kind: 'unknown' })
    expect(await requests.reissue('clinic-2', { id: ids[0] ?? '' })).toEqual({ kind: 'unknown' })
  })

  it('allocates a code first: nothing opens until it is filled, and it is filled once', async () => {
    const { requests, store, made } = await openWorld()
    const allocated = await requests.allocate('package', 'clinic-1')
    if ('kind' in allocated) throw new Error('refused')
    await store.commit(allocated.parts)
    expect(await requests.open(allocated.code, from)).toEqual(nothing)
    expect(await requests.get('clinic-1', { id: allocated.id })).toMatchObject({ state: 'allocated' })
    const { readCode } = await import('../../src/connect/code.js')
    const letters = readCode(allocated.code)
    if (!letters) throw new Error('no code')
    const { request } = await import('./world.js')
    const wrong = [{ owner: 'clinic-2', kind: 'package' as const }, { kind: 'connect' as const }]
    for (const more of wrong)
      expect(await requests.create({ ...request, ...more, allocated: letters })).toMatchObject({
        problem: 'no-such-code',
      })
    const filled = await made({ kind: 'package', allocated: letters })
    expect(filled.code).toBe(allocated.code)
    expect(await requests.open(allocated.code, from)).toMatchObject({ kind: 'question' })
    expect(await requests.create({ ...request, kind: 'package', allocated: letters })).toMatchObject({
      problem: 'exists',
    })
  })

  it('reissues what is pending, locked, expired or rejected, with all attempts; not what is authorized or refused', async () => {
    const { requests, made, answered, done, clock } = await openWorld()
    const { code, request } = await made()
    for (let i = 0; i < 3; i++) await requests.answer(code, 'a wrong one', from)
    const again = await requests.reissue('clinic-1', { of: 'connect', externalId: 'MRN 1' })
    if (again.kind !== 'changed') throw new Error(again.kind)
    await done(again)
    expect(again.request).toMatchObject({ id: request.id, state: 'pending', attemptsLeft: 3 })
    expect(await requests.open(code, from)).toEqual(nothing)
    clock.at += 28 * day
    const third = await requests.reissue('clinic-1', { id: request.id })
    if (third.kind !== 'changed') throw new Error(third.kind)
    await done(third)
    const { held } = await answered(third.code)
    await done(await requests.finish(held, { person: 'p', record: 'r' }))
    expect(await requests.reissue('clinic-1', { id: request.id })).toEqual({ kind: 'authorized' })
    expect(await requests.withdraw('clinic-1', { id: request.id })).toEqual({ kind: 'authorized' })
  })

  it('changes an external id by code or by the old id, of both kinds, never onto another', async () => {
    const { requests, made, store } = await openWorld()
    const one = await made()
    await made({ kind: 'package' })
    await made({ externalId: 'MRN 2' })
    const { readCode } = await import('../../src/connect/code.js')
    const code = readCode(one.code)
    if (!code) throw new Error('no code')
    expect(await requests.changeExternalId('clinic-1', { code }, 'MRN 2')).toMatchObject({ problem: 'duplicate' })
    expect(await requests.changeExternalId('clinic-2', { code }, 'MRN 3')).toEqual({ kind: 'unknown' })
    const both = await requests.changeExternalId('clinic-1', { externalId: 'MRN 1' }, 'MRN 3')
    if (both.kind !== 'changed') throw new Error(both.kind)
    expect(both.count).toBe(2)
    await store.commit(both.parts)
    expect(await requests.get('clinic-1', { of: 'connect', externalId: 'MRN 1' })).toBeUndefined()
    expect(await requests.get('clinic-1', { of: 'connect', externalId: 'MRN 3' })).toMatchObject({ id: one.request.id })
    await made() // the old id is free
  })
})

describe('time', () => {
  it('ends a code after four weeks, tells so once, and forgets it after 90 days more', async () => {
    const ends: RequestEnd[] = []
    const ended = async (_: unknown, end: RequestEnd) => {
      ends.push(end)
      return {}
    }
    const world = await openWorld({}, { rules: { connect: { ended } } })
    const { requests, made, clock, disk } = world
    const { code } = await made()
    clock.at += 28 * day - 1
    expect(await requests.open(code, from)).toMatchObject({ kind: 'question' })
    expect(await requests.sweep()).toBe(0)
    clock.at += 1
    expect(await requests.open(code, from)).toEqual(nothing)
    expect(await requests.sweep()).toBe(1)
    expect(await requests.sweep()).toBe(0)
    clock.at += 90 * day
    await requests.sweep()
    expect(ends).toEqual(['expired', 'purged'])
    expect([...disk.contents.keys()].filter((key) => key.includes('connect'))).toEqual([])
  })

  it('forgets what was authorized 90 days after the last pickup', async () => {
    const { requests, made, answered, done, clock, disk } = await openWorld()
    const { code, request } = await made()
    await done(await requests.finish((await answered(code)).held, { person: 'p', record: 'r' }))
    clock.at += 89 * day
    await requests.sweep()
    const second = await answered(code)
    await done(await requests.finish(second.held, { person: 'p', record: 'other' }))
    clock.at += 89 * day
    await requests.sweep()
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({
      pickups: [{ record: 'r' }, { record: 'other' }],
    })
    clock.at += day
    expect(await requests.open(code, from)).toEqual(nothing)
    await requests.sweep()
    expect([...disk.contents.keys()].filter((key) => key.includes('connect'))).toEqual([])
  })

  it('is over for a ticket whose job was swept, and for a request that a person refused for good', async () => {
    const { requests, made, answered, done, clock, disk } = await openWorld()
    const { code, request } = await made()
    await answered(code)
    clock.at += connectLimits.ticketMs
    await requests.sweep()
    expect([...disk.contents.keys()].filter((key) => key.includes('connect/ticket/'))).toEqual([])
    await done(await requests.reject((await answered(code)).held, false))
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({ state: 'pending', rejectedAt: clock.at })
    await done(await requests.reject((await answered(code)).held, true))
    expect(await requests.get('clinic-1', { id: request.id })).toMatchObject({ state: 'refused' })
    expect(await requests.answer(code, 'parakeet joe', from)).toEqual(nothing)
    expect(await requests.reissue('clinic-1', { id: request.id })).toEqual({ kind: 'refused' })
  })
})

it('keeps no code, no answer and no word of a person where the store alone could be read', async () => {
  const { made, answered, disk, requests, done } = await openWorld()
  const { code } = await made({ email: 'mother@mail.example', birthDate: '2019-05-01' })
  await done(await requests.finish((await answered(code)).held, { person: 'person-7', record: 'record-7' }))
  const all = Buffer.concat([...disk.contents].flatMap(([key, value]) => [Buffer.from(key), value])).toString('latin1')
  const secrets = [
    code,
    code.replaceAll('-', ''),
    'Parakeet',
    'parakeet',
    'Which bird',
    'Anna',
    'MRN',
    'mother',
    '2019-05-01',
    'person-7',
  ]
  expect(secrets.filter((secret) => all.includes(secret))).toEqual([])
  expect(all).toContain('clinic-1')
})

it('leaves rows that every family knows and finds whole', async () => {
  const { made, answered, requests, done, store, vault, blobs } = await openWorld()
  const { code } = await made()
  await made({ kind: 'package' })
  await made({ kind: 'message', owner: 'direct' })
  await answered(code)
  await done(await requests.withdraw('clinic-1', { id: (await made({ externalId: 'other' })).request.id }))
  const unwrap = () => new Uint8Array()
  let rows = 0
  for await (const row of store.snapshot()) {
    const name = row.kind === 'entry' ? row.key : row.kind === 'job' ? row.queue : row.log
    if (!name.startsWith('connect')) continue
    const family = connectFamilies.find(({ kind, form }) => kind === row.kind && form.test(name))
    const needs = await family?.check(row as never, { vault, blobs, unwrap })
    expect(needs).toBeDefined()
    for (const need of needs ?? []) {
      if (need.kind === 'entry') expect(await store.get(need.key)).toBeDefined()
      if (need.kind === 'job') expect(await store.job(need.queue, need.id)).toBeDefined()
    }
    rows++
  }
  expect(rows).toBeGreaterThan(15)
})

it('does as its model does, whatever owners, holders and time do', async () => {
  const deed = fc.oneof(
    fc.record({ kind: fc.constantFrom('right', 'wrong', 'finish', 'reject', 'never', 'reissue', 'withdraw', 'sweep') }),
    fc.record({ kind: fc.constant('wait'), days: fc.constantFrom(1, 14, 28, 60, 90) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 14 }), async (deeds) => {
      const { requests, made, done, clock } = await openWorld()
      const { code: first, request } = await made()
      const name = { id: request.id }
      let code = first
      const model = { state: 'pending', wrong: 0, endsAt: clock.at + 28 * day, gone: false }
      let ticket: string | undefined
      const open = () => ['pending', 'authorized'].includes(model.state) && model.wrong < 3 && clock.at < model.endsAt
      for (const { kind, ...more } of deeds) {
        if (model.gone) break
        switch (kind) {
          case 'right': {
            const expected = open()
            const answer = await requests.answer(code, 'parakeet joe', { ...from, network: String(clock.at) })
            expect(answer.kind).toBe(expected ? 'right' : 'nothing')
            if (answer.kind === 'right') ticket = answer.ticket
            break
          }
          case 'wrong': {
            const expected = open()
            const answer = await requests.answer(code, 'a wrong one', { ...from, network: String(clock.at) })
            expect(answer.kind).toBe(expected ? 'wrong' : 'nothing')
            if (expected && ++model.wrong === 3 && model.state === 'pending') model.state = 'locked'
            if (model.wrong === 3) ticket = undefined
            break
          }
          case 'finish':
          case 'reject':
          case 'never': {
            const held = ticket === undefined ? undefined : await requests.redeem(ticket, from.holder)
            expect(held !== undefined).toBe(ticket !== undefined && open())
            ticket = undefined
            if (!held) break
            if (kind === 'finish') {
              expect(await done(await requests.finish(held, { person: 'p', record: 'r' }))).toBe('committed')
              Object.assign(model, { state: 'authorized', endsAt: clock.at + 90 * day })
            } else {
              expect(await done(await requests.reject(held, kind === 'never'))).toBe('committed')
              if (kind === 'never' && model.state === 'pending') model.state = 'refused'
            }
            break
          }
          case 'reissue': {
            const again = await requests.reissue('clinic-1', name)
            const may = ['pending', 'locked', 'expired'].includes(model.state)
            expect(again.kind === 'changed').toBe(may)
            if (again.kind !== 'changed') break
            await done(again)
            code = again.code
            ticket = undefined
            Object.assign(model, { state: 'pending', wrong: 0, endsAt: clock.at + 28 * day })
            break
          }
          case 'withdraw': {
            const gone = await requests.withdraw('clinic-1', name)
            expect(gone.kind === 'changed').toBe(!['authorized', 'withdrawn'].includes(model.state))
            if (gone.kind !== 'changed') break
            await done(gone)
            ticket = undefined
            model.state = 'withdrawn'
            break
          }
          case 'sweep':
            await requests.sweep()
            break
          case 'wait':
            clock.at += ('days' in more ? more.days : 0) * day
            ticket = undefined
            break
        }
        const seen = await requests.get('clinic-1', name)
        if (!seen) {
          model.gone = true
          expect(kind).toBe('sweep')
          break
        }
        const ended = model.state === 'pending' && clock.at >= model.endsAt
        if (ended) model.state = 'expired'
        expect(seen.state).toBe(model.state)
        expect(seen.attemptsLeft).toBe(3 - model.wrong)
      }
    }),
    { numRuns: 400 },
  )
})
