import { describe, expect, it } from 'vitest'
import { permits } from '../../src/direct/access.js'
import { kindOf, openWorld, type World } from './world.js'

const ada = 'ada@mail.example'
const ben = 'ben@mail.example'
const read = [{ name: 'read', reason: { en: 'x' }, permissions: ['read'] }] as const
const reader = { email: ben, relationship: 'aunt', custodian: false, rules: read }
const custodian = { email: ben, relationship: 'father', custodian: true, rules: [] }

async function two(birthDate?: string, relationship = 'parent') {
  const world = await openWorld()
  const [one, other] = [(await world.signUp(ada)).session.person, (await world.signUp(ben, 'Ben')).session.person]
  const record = await world.record(one, 'Anna', relationship, birthDate)
  return { world, one, other, record }
}

async function share(
  world: World,
  from: string,
  to: string,
  record: string,
  wanted: Parameters<World['people']['invite']>[2],
) {
  await world.people.invite(from, record, wanted)
  return world.people.acceptInvitation(to, { secret: await world.link(wanted.email, 'invitation') })
}

describe('an invitation', () => {
  it('shares what it says, once, and ends at once when a custodian ends it', async () => {
    const { world, one, other, record } = await two()
    expect(kindOf(await share(world, one, other, record, reader))).toBe('accepted')
    const member = await world.people.records.membership(other, record)
    expect(member).toMatchObject({ custodian: false, rules: read })
    const secret = await world.link(ben, 'invitation')
    expect(kindOf(await world.people.acceptInvitation(other, { secret }))).toBe('no-such-invitation')
    expect(kindOf(await world.people.invite(other, record, reader))).toBe('not-custodian')
    expect(kindOf(await world.people.removeMember(one, record, other))).toBe('done')
    expect(await world.people.records.membership(other, record)).toBeUndefined()
    expect(await world.people.records.of(other)).toEqual([])
  })

  it('of somebody whose time was over begins anew, so that old grants stay over', async () => {
    const { world, one, other, record } = await two()
    await share(world, one, other, record, { ...reader, until: world.clock.at + 1000 })
    const first = (await world.people.records.membership(other, record))?.since ?? 0
    world.clock.at += 3_600_000
    expect(await world.people.records.membership(other, record)).toBeUndefined()
    await share(world, one, other, record, reader)
    expect((await world.people.records.membership(other, record))?.since).toBeGreaterThan(first)
  })

  it('leaves a custodian no end, whoever the record turns out to be about', async () => {
    const { world, one, other, record } = await two()
    await share(world, one, other, record, custodian)
    const until = world.clock.at + 1000
    await share(world, one, other, record, { ...reader, until, subject: true })
    expect(await world.people.records.membership(other, record)).toMatchObject({ custodian: true })
    expect(await world.people.records.membership(other, record)).not.toHaveProperty('until')
  })

  it('is not sent on and on: to one address, and by one person, so many in a day', async () => {
    const { world, one, record } = await two()
    const { lettersOfAddress, invitationsOfPerson } = world.limits
    const again = async (email: string) => {
      const made = await world.people.invite(one, record, { ...reader, email })
      if (made.kind === 'invited') await world.people.withdrawInvitation(one, record, made.id)
      return made.kind
    }
    const same: string[] = []
    for (let i = 0; i < lettersOfAddress + 5; i++) same.push(await again('victim@mail.example'))
    expect(same.filter((kind) => kind === 'invited')).toHaveLength(lettersOfAddress)
    const others: string[] = []
    for (let i = 0; i < invitationsOfPerson; i++) others.push(await again(`victim${i}@mail.example`))
    expect(others.filter((kind) => kind === 'invited')).toHaveLength(invitationsOfPerson - lettersOfAddress)
  })

  it('with a PIN gives three tries for ever, however many come at once', async () => {
    const { world, one, other, record } = await two()
    await world.people.invite(one, record, { ...reader, pin: '2468' })
    const secret = await world.link(ben, 'invitation')
    const guesses = Array.from({ length: 50 }, () => world.people.acceptInvitation(other, { secret }, '1111'))
    const answers = (await Promise.all(guesses)).map(kindOf)
    expect(answers.filter((one) => one === 'pin-mismatch').length).toBe(2)
    expect(answers.filter((one) => one === 'pin-attempts').length).toBe(48)
    expect(kindOf(await world.people.acceptInvitation(other, { secret }, '2468'))).toBe('pin-attempts')
  })

  it('takes the right PIN on the third try, and one of many who accept at once', async () => {
    const { world, one, other, record } = await two()
    await world.people.invite(one, record, { ...reader, pin: '2468' })
    const secret = await world.link(ben, 'invitation')
    for (let i = 0; i < 2; i++) await world.people.acceptInvitation(other, { secret }, '1111')
    expect(kindOf(await world.people.acceptInvitation(other, { secret }, ' 2468 '))).toBe('accepted')
    await world.people.invite(one, record, { ...reader, email: ada })
    const again = await world.link(ada, 'invitation')
    const both = await Promise.all([1, 2, 3].map(() => world.people.declineInvitation(other, { secret: again })))
    expect(both.map(kindOf).filter((one) => one === 'done').length).toBe(1)
  })

  it('ends after its week, when it is withdrawn, and when its sender is no custodian any more', async () => {
    const { world, one, other, record } = await two()
    await world.people.invite(one, record, reader)
    const old = await world.link(ben, 'invitation')
    world.clock.at += world.limits.invitationMs
    expect(kindOf(await world.people.acceptInvitation(other, { secret: old }))).toBe('no-such-invitation')
    const made = await world.people.invite(one, record, reader)
    if (made.kind !== 'invited') throw new Error(made.problem)
    await world.people.withdrawInvitation(one, record, made.id)
    expect(kindOf(await world.people.acceptInvitation(other, { secret: await world.link(ben, 'invitation') }))).toBe(
      'no-such-invitation',
    )
    await share(world, one, other, record, custodian)
    await world.people.invite(one, record, { ...reader, email: 'cleo@mail.example' })
    await world.people.removeMember(other, record, one)
    const cleo = (await world.signUp('cleo@mail.example')).session.person
    const late = { secret: await world.link('cleo@mail.example', 'invitation') }
    expect(kindOf(await world.people.acceptInvitation(cleo, late))).toBe('no-such-invitation')
  })

  it('ends with the day that it names', async () => {
    const { world, one, other, record } = await two()
    await share(world, one, other, record, { ...reader, until: world.clock.at + 1000 })
    expect(await world.people.records.membership(other, record)).toBeDefined()
    world.clock.at += 1000
    expect(await world.people.records.membership(other, record)).toBeUndefined()
  })
})

describe('a record', () => {
  it('keeps its last custodian, even where two leave at once', async () => {
    const { world, one, other, record } = await two()
    expect(kindOf(await world.people.removeMember(one, record, one))).toBe('last-custodian')
    await share(world, one, other, record, custodian)
    const both = [one, other].map((who) => world.people.removeMember(who, record, who))
    expect((await Promise.all(both)).map(kindOf).toSorted()).toEqual(['done', 'last-custodian'])
  })

  it('is deleted for everybody, brought back by a custodian, and erased after its time', async () => {
    const { world, one, other, record } = await two()
    await share(world, one, other, record, reader)
    expect(kindOf(await world.people.deleteRecord(other, record))).toBe('not-custodian')
    await world.people.deleteRecord(one, record)
    for (const who of [one, other]) expect(await world.people.records.membership(who, record)).toBeUndefined()
    expect(kindOf(await world.people.restoreRecord(one, record))).toBe('done')
    expect(await world.people.records.membership(other, record)).toBeDefined()
    await world.people.deleteRecord(one, record)
    world.clock.at += world.limits.deletedMs
    await world.work()
    expect(await world.people.records.get(record)).toBeUndefined()
    expect(kindOf(await world.people.restoreRecord(one, record))).toBe('no-such-record')
  })

  it('is only read where the operator says so', async () => {
    const { world, one, record } = await two()
    await world.people.setRecordState(record, 'read-only', 'operator')
    const rules = (await world.people.records.membership(one, record))?.rules ?? []
    expect([permits(rules, 'read', 'allergy'), permits(rules, 'create', 'allergy')]).toEqual([true, false])
    await world.people.setRecordState(record, 'suspended', 'operator')
    expect(await world.people.records.membership(one, record)).toBeUndefined()
  })

  it('keeps from parents what an adolescent says, and parents cannot undo it', async () => {
    const { world, one, other, record } = await two('2012-06-01') // 13 years
    await share(world, one, other, record, { ...custodian, relationship: 'self', subject: true })
    const hidden = { personal: true, types: ['vital-sign'] as const }
    expect(kindOf(await world.people.setPrivacy(other, record, hidden))).toBe('done')
    const parent = await world.people.records.membership(one, record)
    expect(parent).toMatchObject({ custodian: true, confidential: true })
    expect([
      permits(parent?.rules ?? [], 'read', 'vital-sign'),
      permits(parent?.rules ?? [], 'read', 'allergy'),
    ]).toEqual([false, true])
    expect((await world.people.records.membership(other, record))?.rules).toBe('all')
    expect(kindOf(await world.people.setPrivacy(one, record, { personal: false, types: [] }))).toBe('not-for-you')
    expect(kindOf(await world.people.describeRecord(one, record, { birthDate: '2018-06-01' }))).toBe('not-for-you')
  })

  it('passes to whom it is about when they come of age', async () => {
    const { world, one, other, record } = await two('2008-02-01') // 18 soon
    await share(world, one, other, record, { ...custodian, relationship: 'self', subject: true })
    world.clock.at = Date.UTC(2026, 1, 1)
    await world.work()
    expect(
      (await world.sent(ada)).some(({ letter }) => letter.kind === 'account-changed' && letter.what.includes('adult')),
    ).toBe(true)
    expect(await world.people.records.membership(one, record)).toMatchObject({ custodian: true })
    world.clock.at += world.limits.ofAgeMs
    const after = await world.people.records.membership(one, record)
    expect(after).toMatchObject({ custodian: false })
    expect(permits(after?.rules ?? [], 'update', 'allergy')).toBe(false)
    expect(kindOf(await world.people.confirmCustodian(other, record, one))).toBe('done')
    expect(await world.people.records.membership(one, record)).toMatchObject({ custodian: true, rules: 'all' })
  })

  it('of an adult without an account is read-only after a time, until a guardian is declared', async () => {
    const { world, one, record } = await two('2008-02-01')
    world.clock.at = Date.UTC(2026, 1, 1)
    await world.work()
    world.clock.at += world.limits.ofAgeMs
    expect((await world.people.records.membership(one, record))?.record.state).toBe('read-only')
    expect(kindOf(await world.people.declareGuardian(one, record))).toBe('done')
    expect((await world.people.records.membership(one, record))?.record.state).toBe('active')
  })
})
