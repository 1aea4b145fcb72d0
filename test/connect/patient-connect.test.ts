import { describe, expect, it } from 'vitest'
import { openAppEvents } from '../../src/connect/app-events.js'
import { connectRules } from '../../src/connect/authorized.js'
import { matchRecord } from '../../src/connect/match.js'
import { openPatientConnect } from '../../src/connect/patient-connect.js'
import { openRequests } from '../../src/connect/requests.js'
import { openActivity } from '../../src/consent/activity.js'
import { openApps } from '../../src/consent/apps.js'
import { openConsents } from '../../src/consent/consents.js'
import type { Store } from '../../src/ports/store.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { rule } from '../consent/world.js'
import { asked, jwks, mother, none, openClinic } from './clinic.js'
import { day, from } from './world.js'

describe('Patient Connect', () => {
  it('goes from the question to a standing grant that the clinic finds by polling and is told of', async () => {
    const { connect, made, ticket, accept, app, consents, poll, events, sent, clock } = await openClinic()
    const { code, url, request } = await made({ email: 'mother@mail.example' })
    expect(url).toBe(`https://gw.example/pickup?code=${code}`)
    expect(sent).toHaveLength(1)
    expect(sent[0]).toContain(code)
    for (const secret of ['bird', 'arakeet', 'Anna', 'MRN']) expect(sent[0]).not.toContain(secret)
    expect(await connect.open(code, from)).toMatchObject({
      question: 'Which bird?',
      app: { name: 'Elm Street clinic' },
    })
    const held = await ticket(code)
    const review = await connect.review(held, from.holder, 'mother')
    expect(review).toMatchObject({ friendlyName: 'Anna', records: [{ membership: { record: { id: 'child' } } }] })
    const question = await connect.question(held, from.holder, 'mother', 'child')
    expect(question?.rules.offline.map(({ name }) => name)).toEqual(['results', 'plan'])
    expect(await accept(held, 'child', { offline: ['plan'] })).toMatchObject({
      kind: 'authorized',
      app: { successMessage: 'Thank you, see you soon' },
    })
    const grant = await consents.find(app.id, 'mother', 'child')
    expect(grant).toMatchObject({ via: 'patient-connect' })
    expect(grant?.rules.offline.map(({ name }) => name)).toEqual(['results', 'plan'])
    const ids = {
      person: consents.pseudonyms.person(app.id, 'mother'),
      record: consents.pseudonyms.record(app.id, 'child'),
    }
    const row = { app: app.id, request: request.id, externalId: 'MRN 1', authorizedAt: clock.at, stands: true, ...ids }
    expect((await poll()).rows).toEqual([row])
    expect(await events()).toEqual([
      { app: app.id, type: 'connect.authorized', at: clock.at, data: { request: request.id, ...ids } },
    ])
    expect(await accept(held)).toEqual({ kind: 'nothing' })
  })

  it('gives a second row for a second record, and the same ids again after the grant was taken back', async () => {
    const { made, ticket, accept, poll, hold, consents, app, clock } = await openClinic()
    hold('mother', 'brother')
    const { code } = await made()
    await accept(await ticket(code), 'child', { confirmed: true })
    clock.at += day
    await accept(await ticket(code), 'brother', { confirmed: true })
    const [first, second] = (await poll()).rows
    expect([first?.externalId, second?.externalId]).toEqual(['MRN 1', 'MRN 1'])
    expect(second?.record).not.toBe(first?.record)
    const grant = await consents.find(app.id, 'mother', 'child')
    await consents.revoke(grant?.id ?? '', 'person', mother)
    expect((await poll()).rows[0]).toMatchObject({ stands: false })
    clock.at += day
    await accept(await ticket(code), 'child', { confirmed: true })
    const rows = (await poll()).rows
    expect(rows).toHaveLength(2)
    expect(rows[1]).toEqual({ ...first, authorizedAt: clock.at, stands: true })
  })

  it('polls since a moment, which what came before is not in, page by page', async () => {
    const { connect, ticket, accept, poll, clock, app } = await openClinic()
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      clock.at += 1000
      const made = await connect.create(app.id, { ...asked, externalId: `MRN ${i}` }, none)
      if (made.kind !== 'created') throw new Error(made.problem)
      expect((await accept(await ticket(made.code))).kind).toBe('authorized')
      times.push(clock.at)
    }
    const ids = (page: Awaited<ReturnType<typeof poll>>) => page.rows.map(({ externalId }) => externalId)
    expect(ids(await poll({ since: times[2] ?? 0 }))).toEqual(['MRN 2', 'MRN 3', 'MRN 4'])
    expect(ids(await poll({ since: (times[2] ?? 0) + 1 }))).toEqual(['MRN 3', 'MRN 4'])
    const seen: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await poll({ limit: 2, ...(after !== undefined && { after }) })
      seen.push(...ids(page))
      after = page.next
      if (after === undefined) break
    }
    expect(seen).toEqual(['MRN 0', 'MRN 1', 'MRN 2', 'MRN 3', 'MRN 4'])
    expect(await connect.authorized(app.id, { limit: 1, after: 'nonsense' })).toEqual({ kind: 'bad-cursor' })
    expect((await poll()).pollFrom).toBe(clock.at - 60_000)
  })

  it("shows a master the rows of its children, and a child nobody else's", async () => {
    const { connect, ticket, accept, poll, register, app } = await openClinic()
    const master = await register({
      ...{ kind: 'master', name: 'Clinic software', jwks, may: ['connect', 'register'] },
      rules: { online: [], offline: [rule('results', { permissions: ['create', 'read'] })] },
    })
    const child = await register({
      ...{ kind: 'clinic', name: 'Oak clinic', jwks, master: master.id, may: ['connect'] },
      rules: { online: [], offline: [rule('results')] },
    })
    for (const owner of [child.id, app.id]) {
      const made = await connect.create(owner, asked, none)
      if (made.kind !== 'created') throw new Error(made.problem)
      expect((await accept(await ticket(made.code))).kind).toBe('authorized')
    }
    expect((await poll({}, master.id)).rows.map((row) => row.app)).toEqual([child.id])
    expect((await poll({}, child.id)).rows).toHaveLength(1)
    expect((await poll({}, app.id)).rows.map((row) => row.app)).toEqual([app.id])
  })

  it('warns of the wrong sibling, and takes it once the person confirms', async () => {
    const { made, ticket, accept, memberships, hold } = await openClinic()
    hold('mother', 'brother')
    const brother = memberships.get('mother brother')
    if (brother) memberships.set('mother brother', { ...brother, record: { ...brother.record, name: 'Ben' } })
    const { code } = await made()
    const held = await ticket(code)
    expect(await accept(held, 'brother')).toMatchObject({ kind: 'mismatch' })
    expect(await accept(held, 'brother', { confirmed: true })).toMatchObject({ kind: 'authorized' })
  })

  it("lets nobody into a record that is not theirs, nor with another's ticket, nor with rules that are not asked", async () => {
    const { made, ticket, accept, connect } = await openClinic()
    const { code } = await made()
    const held = await ticket(code)
    expect(await accept(held, 'nowhere')).toEqual({ kind: 'no-such-record' })
    expect(await accept(held, 'child', {}, 'stranger')).toEqual({ kind: 'no-such-record' })
    expect(await accept(held, 'child', { offline: ['everything'] })).toEqual({ kind: 'unknown-rule' })
    expect(await connect.review(held, 'session:2', 'mother')).toBeUndefined()
    expect((await accept(held)).kind).toBe('authorized')
  })

  it('shows the clinic a rejection, after which the code works on, and a lock', async () => {
    const { made, ticket, connect, events, accept } = await openClinic()
    const { code, request } = await made()
    expect(await connect.reject(await ticket(code), from.holder, false, none)).toEqual({ kind: 'rejected' })
    expect((await events()).at(-1)).toMatchObject({
      type: 'connect.rejected',
      data: { request: request.id, final: false },
    })
    expect((await accept(await ticket(code))).kind).toBe('authorized')
    const other = await made({ externalId: 'MRN 2' })
    for (let i = 0; i < 3; i++) await connect.answer(other.code, 'wrong bird', from)
    expect((await events()).filter(({ type }) => type === 'connect.locked')).toHaveLength(1)
  })

  it('opens nothing for an application that was disabled', async () => {
    const { made, connect, apps, app, ticket, accept } = await openClinic()
    const { code } = await made()
    const held = await ticket(code)
    await apps.setState(app.id, 'disabled', 'operator')
    expect(await connect.open(code, from)).toEqual({ kind: 'nothing' })
    expect(await accept(held)).toEqual({ kind: 'nothing' })
  })

  it('is whole or not at all where the process dies at any moment of a yes', async () => {
    const ends = { whole: 0, nothing: 0 }
    for (const when of ['beforeCall', 'afterCall'] as const) {
      for (let deadly = 1; deadly < 60; deadly++) {
        const world = await openClinic()
        const { code } = await world.made()
        const held = await world.ticket(code)
        let calls = 0
        const dies = () => {
          if (++calls === deadly) throw new Error('the process died')
        }
        const store = await openMemoryStore({ clock: world.clock, disk: world.disk, [when]: dies })
        const again = reopened(world, store)
        const outcome = await again(held).catch(() => undefined)
        const grant = await world.consents.find(world.app.id, 'mother', 'child')
        const request = await world.connect.get(world.app.id, { of: 'connect', externalId: 'MRN 1' })
        const [rows, events] = [(await world.poll()).rows, await world.events()]
        const history = await openActivity(world).list('child', { limit: 10 })
        const yes = grant !== undefined
        expect([request?.state === 'authorized', rows.length === 1, events.length === 1]).toEqual([yes, yes, yes])
        expect(history?.entries.filter(({ action }) => action === 'grant')).toHaveLength(yes ? 1 : 0)
        ends[yes ? 'whole' : 'nothing']++
        if (outcome) expect(calls).toBeLessThan(deadly)
        else if (!yes) expect((await world.accept(held)).kind).toBe('authorized')
        if (outcome) break
      }
    }
    expect(ends.whole).toBeGreaterThan(2) // both lived, and one that died after its commit
    expect(ends.nothing).toBeGreaterThan(10)
  })
})

/** The same rooms over another store on the same disk. */
function reopened(world: Awaited<ReturnType<typeof openClinic>>, store: Store) {
  const { letters: _, ...rest } = world
  const ports = { ...rest, store }
  const apps = openApps(ports)
  const { pseudonyms } = world.consents
  const consents = openConsents({ ...ports, activity: openActivity(ports), people: world.ports, pseudonyms })
  const rules = { connect: connectRules({ ...ports, apps, pseudonyms, events: openAppEvents({ apps }) }) }
  const requests = openRequests({ ...ports, indexKey: Buffer.alloc(32, 7) }, { rules })
  const records = {
    of: async () => [...world.memberships.values()].filter(({ person }) => person === 'mother'),
    membership: world.ports.records.membership,
  }
  const connect = openPatientConnect(
    { ...ports, apps, consents, requests, records },
    { pickupUrl: 'https://gw.example/pickup' },
  )
  return (held: string) => connect.accept(held, from.holder, 'mother', { record: 'child', offline: [] }, mother, none)
}

describe('whether a record is the right one', () => {
  const anna = { name: 'Anna Roe', birthDate: '2019-05-01' }
  const ben = { name: 'Ben Roe', birthDate: '2021-02-03' }
  it.each([
    ['match', { friendlyName: 'Anna', birthDate: '2019-05-01' }, anna, [ben]],
    ['unknown', { friendlyName: 'Anna' }, anna, [ben]],
    ['mismatch', { friendlyName: 'Anna' }, ben, [anna]],
    ['mismatch', { friendlyName: 'Anna Roe' }, ben, [anna]],
    ['mismatch', { friendlyName: 'Ben', birthDate: '2019-05-01' }, ben, [anna]],
    ['unknown', { friendlyName: 'Zoë' }, { name: 'Our youngest' }, [anna]],
    ['match', { friendlyName: 'Zoë', birthDate: '2024-01-01' }, { name: 'ZOE', birthDate: '2024-01-01' }, [anna]],
    ['unknown', { friendlyName: 'Roe', birthDate: '2019-05-01' }, { name: 'Mine', birthDate: '2019-05-01' }, []],
  ] as const)('is a %s for %o in %o', (kind, told, record, others) => {
    expect(matchRecord(told, record, others).kind).toBe(kind)
  })
})
