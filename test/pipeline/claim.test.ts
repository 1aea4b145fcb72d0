import { describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import type { ActivityEntry } from '../../src/consent/consent.js'
import type { RecordAccess } from '../../src/direct/access.js'
import { type ClaimPorts, openClaims } from '../../src/pipeline/claim.js'
import type { AuthoredItem } from '../../src/record/item.js'
import { openRecord } from '../../src/record/record.js'
import {
  answer,
  app,
  findings,
  from,
  holder,
  openWorld,
  uploaded,
  type World,
  words,
} from '../connect/package/world.js'

const record = 'record-1'
const actor = { by: 'person:anna', avenue: 'page', person: 'anna' } as const
const access: RecordAccess = { record, told: record, rules: 'all', custodian: true, actor }

const none = { names: [], races: [], ethnicities: [], languages: [], addresses: [], telecoms: [], identifiers: [] }
const date = (text: string) => ({ text, precision: 'day' as const, offsetMinutes: null, source: text })
const patient = (given: string, birth: string): AuthoredItem => ({
  content: { type: 'demographics', ...none, names: [{ given: [given], family: 'Muster' }], birthDate: date(birth) },
  negated: false,
  identifiers: [],
})
const allergy: AuthoredItem = {
  content: { type: 'allergy', substance: { codings: [], text: 'Peanuts' }, reactions: [] } as never,
  when: { low: date('2020-05-01') },
  negated: false,
  identifiers: [],
}

async function opened(more: Partial<ClaimPorts> = {}, hooks: Parameters<typeof openWorld>[1] = {}) {
  const world = await openWorld({}, hooks)
  const lines: ActivityEntry[] = []
  const records = openRecord(world)
  const ports: ClaimPorts = {
    ...world,
    audit,
    record: records,
    activity: {
      entry: async (_, entry) => {
        lines.push(entry)
        return {}
      },
    },
    items: (sent) => (sent.every((one) => typeof one === 'object') ? (sent as readonly AuthoredItem[]) : undefined),
    nameOf: async () => 'Clinic of the Lake',
    ...more,
  }
  return { world, records, lines, claims: openClaims(ports) }
}

async function ticketFor(world: World, items: readonly unknown[], files: readonly string[] = [], more: object = {}) {
  const named = files.map((upload, index) => ({ upload, name: `file-${index}.txt`, mediaType: 'text/plain' }))
  const content = { kind: 'open' as const, answer, items, files: named }
  const made = await world.packages.create(app, { ...words, content, ...more }, 'test')
  if (made.kind !== 'created') throw new Error(JSON.stringify(made))
  return ticketOf(world, made.code)
}

async function ticketOf(world: World, code: string) {
  const right = await world.requests.answer(code, answer, from)
  if (right.kind !== 'right') throw new Error(right.kind)
  return right.ticket
}

async function current(records: ReturnType<typeof openRecord>, whose = record) {
  const types: string[] = []
  for await (const { item } of records.current(whose)) types.push(item.content.type)
  return types.toSorted()
}

describe('a claim', () => {
  it('shows what is inside, of whom it tells, and uses nothing up', async () => {
    const { world, claims } = await opened()
    const file = await uploaded(world.uploads, Buffer.from('a letter'))
    const ticket = await ticketFor(world, [patient('Anna', '1980-02-03'), allergy], [file])
    for (let i = 0; i < 2; i++) {
      expect(await claims.contents(ticket, holder, access)).toMatchObject({
        kind: 'contents',
        ...{ app, friendlyName: 'Anna' },
        things: [
          { kind: 'item', type: 'demographics' },
          { kind: 'item', type: 'allergy', title: 'Peanuts', day: '2020-05-01' },
          { kind: 'file', title: 'file-0.txt', mediaType: 'text/plain', sizeBytes: 8, items: 0 },
        ],
        about: [{ name: 'Anna Muster', birthDate: '1980-02-03' }],
        match: { kind: 'unknown' },
      })
    }
    expect(await claims.contents(ticket, 'browser:two', access)).toEqual({ kind: 'gone' })
  })

  it('takes all of it into the record, where it counts at once, and only once', async () => {
    const { world, claims, records, lines } = await opened()
    const file = await uploaded(world.uploads, Buffer.from('a letter'))
    const ticket = await ticketFor(world, [patient('Anna', '1980-02-03'), allergy], [file])
    const [one, two] = await Promise.all([
      claims.claim(ticket, holder, access, actor),
      claims.claim(ticket, holder, access, actor),
    ])
    expect([one.kind, two.kind].toSorted()).toEqual(['claimed', 'gone'])
    expect(await current(records)).toEqual(['allergy', 'demographics', 'document', 'document'])
    expect(await claims.contents(ticket, holder)).toEqual({ kind: 'gone' })
    expect(lines.at(-1)).toMatchObject({ action: 'create', about: { app }, outcome: 'success' })
    expect(await world.requests.get(app, { of: 'package', externalId: 'mrn-1' })).toMatchObject({
      state: 'claimed',
      pickups: [{ person: 'anna', record }],
    })
    expect(await findings(world)).toEqual([])
  })

  it('asks before it gives a record what is of somebody else: the sister, or another birth date', async () => {
    const { world, claims, records } = await opened({ held: async () => ({ birthDate: '1980-02-03' }) })
    await claims.claim(await ticketFor(world, [patient('Anna', '1980-02-03')]), holder, access, actor)
    const sister = await ticketFor(world, [patient('Berta', '1982-07-08'), allergy])
    expect(await claims.contents(sister, holder, access)).toMatchObject({ match: { kind: 'mismatch' } })
    expect(await claims.claim(sister, holder, access, actor)).toMatchObject({
      kind: 'mismatch',
      match: { reasons: expect.arrayContaining(['name differs']) },
    })
    expect(await current(records)).not.toContain('allergy')
    const told = await ticketFor(world, [allergy], [], { birthDate: '1982-07-08' })
    expect(await claims.claim(told, holder, access, actor)).toMatchObject({ kind: 'mismatch' })
    const confirmed = { confirmedMismatch: true }
    expect(await claims.claim(sister, holder, access, actor, confirmed)).toMatchObject({ kind: 'claimed' })
    expect(await current(records)).toContain('allergy')
  })

  it('compares with what custodians say where the record knows nobody yet', async () => {
    const { world, claims } = await opened({ held: async () => ({ birthDate: '1980-02-03' }) })
    const ticket = await ticketFor(world, [patient('Berta', '1982-07-08')])
    expect(await claims.claim(ticket, holder, access, actor)).toMatchObject({ kind: 'mismatch' })
  })

  it('refuses what does not read, and the code works on', async () => {
    const { world, claims, records } = await opened()
    const ticket = await ticketFor(world, ['no item'])
    expect(await claims.contents(ticket, holder)).toEqual({ kind: 'malformed', detail: 'items' })
    expect(await claims.claim(ticket, holder, access, actor)).toEqual({ kind: 'malformed', detail: 'items' })
    expect(await world.requests.redeem(ticket, holder)).toMatchObject({ request: { state: 'pending' } })
    expect(await current(records)).toEqual([])
  })

  it('gives nobody more than they may add', async () => {
    const { world, claims } = await opened()
    const ticket = await ticketFor(world, [allergy])
    const rules = [{ name: 'read', reason: { en: 'x' }, permissions: ['read'] as const }]
    expect(await claims.claim(ticket, holder, { ...access, rules }, actor)).toEqual({ kind: 'denied' })
    const allergies = [
      { name: 'add', reason: { en: 'x' }, permissions: ['create'] as const, types: ['allergy'] as const },
    ]
    expect(await claims.claim(ticket, holder, { ...access, rules: allergies }, actor)).toEqual({ kind: 'denied' })
    expect(await claims.claim(ticket, holder, access, actor)).toMatchObject({ kind: 'claimed' })
  })

  it('is whole or not there at all, wherever the process dies', async () => {
    for (let call = 1; call < 200; call++) {
      let left = Number.POSITIVE_INFINITY
      const beforeCall = () => {
        if (--left === 0) throw new Error('killed')
      }
      const { world, claims, records } = await opened({}, { beforeCall })
      const file = await uploaded(world.uploads, Buffer.from('a letter'))
      const ticket = await ticketFor(world, [allergy], [file])
      left = call
      const outcome = await claims.claim(ticket, holder, access, actor).catch(() => undefined)
      left = Number.POSITIVE_INFINITY
      const state = (await world.requests.get(app, { of: 'package', externalId: 'mrn-1' }))?.state
      const has = await current(records)
      expect([state, has]).toEqual(
        has.length === 0 ? ['pending', []] : ['claimed', ['allergy', 'document', 'document']],
      )
      if (has.length === 0) expect(await claims.claim(ticket, holder, access, actor)).toMatchObject({ kind: 'claimed' })
      if (outcome) return
    }
    throw new Error('never came to its end')
  })
})
