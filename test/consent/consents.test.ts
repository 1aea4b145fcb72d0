import { describe, expect, it } from 'vitest'
import { consentFamilies } from '../../src/consent/families.js'
import { consentLimits } from '../../src/consent/limits.js'
import { permits } from '../../src/direct/access.js'
import { auditOf } from '../spool/room.js'
import { from, openWorld, rule, web } from './world.js'

const ask = { person: 'mother', record: 'child', via: 'web', online: [], offline: [] } as const

describe('what stands between an app and a record', () => {
  it('asks for authorization first, and for nothing once all that is required was granted', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(web)
    expect(await consents.question(id, 'mother', 'child')).toMatchObject({
      action: 'authorization-required',
      rules: web.rules,
    })
    await grant(id)
    const asked = await consents.question(id, 'mother', 'child')
    expect(asked).toMatchObject({ action: 'none', granted: { rules: { online: [{ name: 'see' }], offline: [] } } })
  })

  it('asks again when required rules grow, and what was granted holds meanwhile', async () => {
    const { consents, register, grant, setRules } = await openWorld()
    const { id } = await register(web)
    const granted = await grant(id)
    await setRules(id, { online: [rule('see', { types: ['problem', 'allergy'] })], offline: [] })
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('reauthorization-required')
    const access = await consents.access(granted.id, 'online')
    expect(permits(access?.rules ?? [], 'read', 'problem')).toBe(true)
    expect(permits(access?.rules ?? [], 'read', 'allergy')).toBe(false)
    const again = await grant(id)
    expect(again.id).toBe(granted.id)
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('none')
    expect(permits((await consents.access(again.id, 'online'))?.rules ?? [], 'read', 'allergy')).toBe(true)
  })

  it('asks nothing when rules shrink, and access shrinks at once', async () => {
    const { consents, register, grant, setRules } = await openWorld()
    const { id } = await register({
      ...web,
      rules: { online: [rule('see', { types: ['problem', 'allergy'] })], offline: [] },
    })
    const granted = await grant(id)
    await setRules(id, { online: [rule('renamed', { types: ['allergy'] })], offline: [] })
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('none')
    const rules = (await consents.access(granted.id, 'online'))?.rules ?? []
    expect(permits(rules, 'read', 'problem')).toBe(false)
    expect(permits(rules, 'read', 'allergy')).toBe(true)
  })

  it('asks nothing when optional rules come, and grants them only when they are ticked', async () => {
    const { consents, register, grant, setRules } = await openWorld()
    const { id } = await register(web)
    const granted = await grant(id)
    await setRules(id, { online: [rule('see'), rule('more', { types: ['allergy'], optional: true })], offline: [] })
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('none')
    expect(permits((await consents.access(granted.id, 'online'))?.rules ?? [], 'read', 'allergy')).toBe(false)
    await grant(id, { online: ['more'] })
    expect(permits((await consents.access(granted.id, 'online'))?.rules ?? [], 'read', 'allergy')).toBe(true)
  })

  it('is not possible for a person who has not what is required, before and after', async () => {
    const { consents, register, grant, setRules, hold } = await openWorld()
    const { id } = await register(web)
    hold('friend', 'child', [rule('friend', { types: ['allergy'] })])
    expect((await consents.question(id, 'friend', 'child'))?.action).toBe('not-possible')
    expect(await consents.authorize({ ...ask, app: id, person: 'friend' }, from)).toEqual({ kind: 'not-possible' })
    await setRules(id, { online: [rule('see', { types: ['allergy'] })], offline: [] })
    await grant(id, {}, 'friend')
    await setRules(id, { online: [rule('see', { types: ['allergy'], permissions: ['read', 'delete'] })], offline: [] })
    expect((await consents.question(id, 'friend', 'child'))?.action).toBe('not-possible')
  })

  it('offers and grants no more of an optional rule than the person has', async () => {
    const { consents, register, grant, hold } = await openWorld()
    hold('friend', 'child', [rule('part', { types: ['problem', 'allergy'] })])
    const wide = rule('wide', { types: ['allergy', 'medication'], permissions: ['read', 'update'], optional: true })
    const { id } = await register({ ...web, rules: { online: [rule('see'), wide], offline: [] } })
    const asked = await consents.question(id, 'friend', 'child')
    expect(asked?.rules.online[1]).toMatchObject({ types: ['allergy'], permissions: ['read'] })
    const granted = await grant(id, { online: ['wide'] }, 'friend')
    hold('friend', 'child', 'all')
    const rules = (await consents.access(granted.id, 'online'))?.rules ?? []
    expect(permits(rules, 'update', 'allergy')).toBe(false)
    expect(permits(rules, 'read', 'medication')).toBe(false)
  })

  it.each([
    ['an unknown app', 'nothing', 'mother', 'child', 'no-such-app'],
    ['an unknown person', undefined, 'nobody', 'child', 'no-such-record'],
    ['a record of others', undefined, 'mother', 'neighbour', 'no-such-record'],
  ])('grants nothing to or for %s', async (_, app, person, record, kind) => {
    const { consents, register, hold } = await openWorld()
    const { id } = await register(web)
    hold('stranger', 'neighbour')
    expect(await consents.question(app ?? id, person, record)).toBeUndefined()
    expect(await consents.authorize({ ...ask, app: app ?? id, person, record }, from)).toEqual({ kind })
  })

  it('grants no rule that the app does not have, and no grant without a rule', async () => {
    const { consents, register } = await openWorld()
    const { id } = await register(web)
    expect(await consents.authorize({ ...ask, app: id, online: ['sync'] }, from)).toEqual({ kind: 'unknown-rule' })
    const { id: optional } = await register({
      ...web,
      rules: { online: [], offline: [rule('one', { optional: true })] },
    })
    expect(await consents.authorize({ ...ask, app: optional }, from)).toEqual({ kind: 'nothing-granted' })
    const { id: empty } = await register({ kind: 'web', name: 'New' })
    expect(await consents.authorize({ ...ask, app: empty }, from)).toEqual({ kind: 'nothing-granted' })
    const { id: master } = await register({ kind: 'master', name: 'Maker', ...(web.rules && { rules: web.rules }) })
    expect(await consents.authorize({ ...ask, app: master }, from)).toEqual({ kind: 'no-such-app' })
  })
})

describe('a grant', () => {
  it('gives by a code what a clinic may do by itself, and takes nothing of what was given at a page', async () => {
    const { consents, register, store } = await openWorld()
    const rules = { online: [rule('see')], offline: [rule('keep', { types: ['allergy'] })] }
    const { id } = await register({ ...web, rules })
    const by = async (via: 'web' | 'patient-connect') => {
      const made = await consents.authorize({ ...ask, app: id, via }, from)
      if (made.kind !== 'authorized') throw new Error(made.kind)
      await store.commit(made.parts)
      return [made.grant.rules.online.length, made.grant.rules.offline.length]
    }
    expect(await by('patient-connect')).toEqual([0, 1])
    expect(await by('web')).toEqual([1, 1])
    expect(await by('patient-connect')).toEqual([1, 1])
  })

  it('gives the online rules online and the offline rules offline', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register({
      ...web,
      rules: { online: [rule('see')], offline: [rule('sync', { types: ['allergy'] })] },
    })
    const { id: granted } = await grant(id)
    const [online, offline] = [await consents.access(granted, 'online'), await consents.access(granted, 'offline')]
    expect(online).toMatchObject({ rules: [{ name: 'see' }], custodian: false, record: 'child' })
    expect(offline).toMatchObject({
      rules: [{ name: 'sync' }],
      actor: { by: `app:${id}`, avenue: 'offline', person: 'mother' },
    })
    expect(await consents.permissions(granted, ['problem', 'allergy', 'medication'])).toEqual([
      { type: 'problem', online: ['read'], offline: [] },
      { type: 'allergy', online: [], offline: ['read'] },
    ])
  })

  it.each(['person', 'app', 'operator'] as const)('ends at once when revoked by the %s', async (who) => {
    const { consents, register, grant, store, letters, activity } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id)
    expect(await consents.revoke(granted, who, from)).toBe(true)
    expect(await consents.revoke(granted, who, from)).toBe(false)
    expect(await consents.access(granted, 'online')).toBeUndefined()
    expect(await consents.permissions(granted, ['problem'])).toBeUndefined()
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('authorization-required')
    expect([await consents.ofPerson('mother'), await consents.ofRecord('child')]).toEqual([[], []])
    expect((await consents.ofApp(id, { limit: 10 })).grants).toEqual([])
    expect(await consents.get(granted)).toMatchObject({ revoked: { by: who } })
    expect((await auditOf(store)).map(({ action }) => action)).toEqual([
      'app.registered',
      'grant.authorized',
      'grant.revoked',
    ])
    expect(letters.map((letter) => JSON.parse(letter).letter.kind)).toEqual(['access-granted', 'access-removed'])
    const history = await activity.list('child', { limit: 10 })
    expect(history?.entries.map(({ action, about }) => [action, about?.app])).toEqual([
      ['revoke', id],
      ['grant', id],
    ])
  })

  it('is a new one after it was revoked, under the same pseudonyms', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(web)
    const first = await grant(id)
    const told = (await consents.access(first.id, 'online'))?.told
    await consents.revoke(first.id, 'person', from)
    const second = await grant(id)
    expect(second.id).not.toBe(first.id)
    expect(await consents.access(first.id, 'online')).toBeUndefined()
    expect((await consents.access(second.id, 'online'))?.told).toBe(told)
  })

  it('ends with the app, the membership, the person and the record', async () => {
    const { consents, register, grant, apps, people, memberships, hold, state } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id)
    const isThere = async () => (await consents.access(granted, 'offline')) !== undefined
    expect(await isThere()).toBe(true)
    await apps.setState(id, 'disabled', 'operator')
    expect(await isThere()).toBe(false)
    await apps.setState(id, 'active', 'operator')
    expect(await isThere()).toBe(true)
    for (const gone of ['suspended', 'deleted'] as const) {
      state.record = gone
      expect(await isThere()).toBe(false)
    }
    state.record = 'active'
    const mother = people.get('mother')
    if (mother) people.set('mother', { ...mother, state: 'closed' })
    expect(await isThere()).toBe(false)
    hold('mother', 'child')
    expect(await isThere()).toBe(true)
    memberships.delete('mother child')
    expect(await isThere()).toBe(false)
  })

  it('does not come back with a membership that ended and began again', async () => {
    const { consents, register, grant, hold, clock } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id)
    clock.at += consentLimits.clockSkewMs + 1
    hold('mother', 'child', 'all', clock.at)
    expect(await consents.access(granted, 'online')).toBeUndefined()
    expect((await consents.question(id, 'mother', 'child'))?.action).toBe('authorization-required')
    await grant(id)
    expect(await consents.access(granted, 'online')).toBeDefined()
  })

  it('only reads in a record that is read-only', async () => {
    const { consents, register, grant, state } = await openWorld()
    const { id } = await register({
      ...web,
      rules: { online: [rule('all', { permissions: ['create', 'read', 'update', 'delete'] })], offline: [] },
    })
    const { id: granted } = await grant(id)
    state.record = 'read-only'
    expect((await consents.access(granted, 'online'))?.rules).toMatchObject([{ permissions: ['read'] }])
  })

  it('is narrowed by optional rules, and what is required stays', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id, { online: ['vitals'], offline: ['sync'] })
    const narrowed = await consents.narrow(granted, { online: [], offline: ['sync'] }, from)
    expect(narrowed).toMatchObject({
      kind: 'narrowed',
      grant: { rules: { online: [{ name: 'see' }], offline: [{ name: 'sync' }] } },
    })
    const none = { online: [], offline: [] }
    expect(await consents.narrow(granted, { ...none, online: ['vitals'] }, from)).toEqual({ kind: 'unknown-rule' })
    expect(await consents.narrow('nothing', none, from)).toEqual({ kind: 'no-such-grant' })
    expect(permits((await consents.access(granted, 'online'))?.rules ?? [], 'read', 'vital-sign')).toBe(false)
    expect(permits((await consents.access(granted, 'online'))?.rules ?? [], 'read', 'problem')).toBe(true)
  })

  it('is of one parent: the other one is asked too, under the same record', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(web)
    const mothers = await grant(id)
    expect((await consents.question(id, 'father', 'child'))?.action).toBe('authorization-required')
    const fathers = await grant(id, {}, 'father')
    const [one, other] = [await consents.access(mothers.id, 'online'), await consents.access(fathers.id, 'online')]
    expect(one?.told).toBe(other?.told)
    expect(one?.told).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const { pseudonyms } = consents
    expect(pseudonyms.person(id, 'mother')).not.toBe(pseudonyms.person(id, 'father'))
    expect(pseudonyms.record('another', 'child')).not.toBe(one?.told)
    expect((await consents.ofRecord('child')).map(({ person }) => person).toSorted()).toEqual(['father', 'mother'])
    await consents.revoke(mothers.id, 'person', from)
    expect(await consents.access(fathers.id, 'online')).toBeDefined()
  })

  it('pages grants of an app by their last change, and leaves none out', async () => {
    const { consents, register, grant, hold, clock } = await openWorld()
    const { id } = await register(web)
    for (let i = 0; i < 5; i++) {
      hold(`person-${i}`, 'child')
      await grant(id, {}, `person-${i}`)
      clock.at += 1000
    }
    const first = await consents.ofApp(id, { limit: 2 })
    expect(first.grants.map(({ person }) => person)).toEqual(['person-0', 'person-1'])
    await grant(id, { online: ['vitals'] }, 'person-0')
    const seen = []
    for (let next = first.next; next !== undefined; ) {
      const page = await consents.ofApp(id, { limit: 2, after: next })
      seen.push(...page.grants.map(({ person }) => person))
      next = page.next
    }
    expect(seen).toEqual(['person-2', 'person-3', 'person-4', 'person-0'])
    const since = first.grants[1]?.changedAt ?? 0
    expect((await consents.ofApp(id, { limit: 9, since })).grants).toHaveLength(5)
    expect((await consents.ofApp(id, { limit: 9, since: since + 1 })).grants).toHaveLength(4)
  })
})

describe('races', () => {
  it('gives one grant to two that authorize at once', async () => {
    const { consents, register, store } = await openWorld()
    const { id } = await register(web)
    const made = await Promise.all([1, 2, 3].map(() => consents.authorize({ ...ask, app: id }, from)))
    const results = []
    for (const one of made) if (one.kind === 'authorized') results.push((await store.commit(one.parts)).kind)
    expect(results.toSorted()).toEqual(['committed', 'conflict', 'conflict'])
    expect(await consents.ofPerson('mother')).toHaveLength(1)
  })

  it('authorizes nothing under rules that changed, or a master that was disabled, meanwhile', async () => {
    const { consents, register, store, setRules, apps } = await openWorld()
    const rules = { online: [rule('see')], offline: [] }
    const { id: master } = await register({ kind: 'master', name: 'Maker', rules })
    const { id } = await register({ kind: 'native', name: 'Phone', master })
    const made = await consents.authorize({ ...ask, app: id }, from)
    await setRules(master, { online: [], offline: [] })
    expect(made.kind === 'authorized' && (await store.commit(made.parts)).kind).toBe('conflict')
    await setRules(master, rules)
    const again = await consents.authorize({ ...ask, app: id }, from)
    await apps.setState(master, 'disabled', 'operator')
    expect(again.kind === 'authorized' && (await store.commit(again.parts)).kind).toBe('conflict')
  })

  it('does not bring back what was revoked while it was being changed', async () => {
    const { consents, register, grant, store } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id, { online: ['vitals'] })
    const change = await consents.authorize({ ...ask, app: id }, from)
    expect(await consents.revoke(granted, 'person', from)).toBe(true)
    expect(change.kind === 'authorized' && (await store.commit(change.parts)).kind).toBe('conflict')
    expect(await consents.access(granted, 'online')).toBeUndefined()
  })

  it('ends once, whoever revokes and narrows at the same moment', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(web)
    const { id: granted } = await grant(id, { online: ['vitals'] })
    const ends = await Promise.all([
      consents.revoke(granted, 'person', from),
      consents.revoke(granted, 'app', from),
      consents.narrow(granted, { online: [], offline: [] }, from),
      consents.revoke(granted, 'operator', from),
    ])
    expect(ends.filter((end) => end === true)).toHaveLength(1)
    expect((await consents.get(granted))?.revoked).toBeDefined()
    expect(await consents.ofPerson('mother')).toEqual([])
  })
})

it('keeps rows that verify, and nothing of what a person said in their keys', async () => {
  const { consents, register, grant, store, vault, blobs } = await openWorld()
  const { id: master } = await register({ kind: 'master', name: 'Maker' })
  await register({ kind: 'clinic', name: 'Clinic', master })
  const { id } = await register(web)
  const { id: first } = await grant(id)
  await grant(id, { online: ['vitals'] }, 'father')
  await consents.revoke(first, 'person', from)
  const unwrap = () => new Uint8Array()
  const met = new Set<string>()
  for await (const row of store.snapshot()) {
    if (row.kind !== 'entry' || !row.key.startsWith('consent/')) continue
    const family = consentFamilies.find(({ form }) => form.test(row.key))
    if (family?.kind !== 'entry') throw new Error(`${row.key} is of no family`)
    met.add(family.name)
    for (const need of await family.check(row, { vault, blobs, unwrap }))
      expect(need.kind === 'entry' && (await store.get(need.key))).toBeTruthy()
    expect(Buffer.from(row.value).toString('latin1')).not.toContain('Because')
  }
  expect(met.size).toBe(consentFamilies.length)
})

describe('an app that comes alone', () => {
  const clinic = {
    kind: 'clinic' as const,
    name: 'Clinic',
    rules: {
      online: [rule('see')],
      offline: [rule('sync'), rule('doses', { types: ['medication'], optional: true })],
    },
  }

  it('reaches a record by the name it was told, as its person granted it, until that ends', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(clinic)
    const other = await register({ ...clinic, name: 'Other' })
    const told = consents.pseudonyms.record(id, 'child')
    expect(await consents.alone(id, told)).toBeUndefined()
    const granted = await grant(id)
    expect(await consents.alone(id, told)).toMatchObject({
      ...{ record: 'child', told, custodian: false, rules: [{ name: 'sync' }] },
      actor: { by: `app:${id}`, avenue: 'offline', person: 'mother', app: id },
    })
    for (const name of ['child', consents.pseudonyms.record(other.id, 'child'), '', '/', 'é'])
      expect(await consents.alone(id, name)).toBeUndefined()
    expect(await consents.alone(other.id, told)).toBeUndefined()
    await consents.revoke(granted.id, 'person', from)
    expect(await consents.alone(id, told)).toBeUndefined()
  })

  it('does what any grant that stands allows, and for nobody in particular where several stand', async () => {
    const { consents, register, grant } = await openWorld()
    const { id } = await register(clinic)
    const told = consents.pseudonyms.record(id, 'child')
    const hers = await grant(id)
    const his = await grant(id, { offline: ['doses'] }, 'father')
    const both = await consents.alone(id, told)
    expect(permits(both?.rules ?? [], 'read', 'medication')).toBe(true)
    expect(both?.actor).not.toHaveProperty('person')
    await consents.revoke(his.id, 'person', from)
    const left = await consents.alone(id, told)
    expect(permits(left?.rules ?? [], 'read', 'medication')).toBe(false)
    expect(left?.actor.person).toBe('mother')
    await consents.revoke(hers.id, 'app', from)
    expect(await consents.alone(id, told)).toBeUndefined()
  })
})
