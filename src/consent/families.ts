import { type Family, isMoment, type RowFamily, type RowReader, sound } from '../ports/rows.js'
import { appKinds, type Grant } from './consent.js'
import * as keys from './rows.js'

type Row = { readonly key: string; readonly value: Uint8Array }

/** The parts of a key behind `consent/<kind>/`, as ids. */
function partsOf(key: string): readonly string[] {
  return key.split('/').slice(2).map(decodeURIComponent)
}

async function objectOf(row: Row, { vault }: RowReader): Promise<Readonly<Record<string, unknown>>> {
  const read = await keys.openOwned<unknown>(vault, row)
  sound(typeof read === 'object' && read !== null, 'it is no object')
  return read as Readonly<Record<string, unknown>>
}

const app: Family<'entry'> = {
  kind: 'entry',
  name: 'application',
  form: /^consent\/app\/[^/]+$/,
  async check(row, reader) {
    const { id, request, state, createdAt } = await objectOf(row, reader)
    const { kind, name, master } = (request ?? {}) as Readonly<Record<string, unknown>>
    const known: readonly unknown[] = appKinds
    sound(id === partsOf(row.key)[0] && isMoment(createdAt), 'the application is another one, or has no time')
    sound(known.includes(kind) && typeof name === 'string', 'the application has no kind or no name')
    sound(state === 'active' || state === 'disabled', 'the application is in no state')
    if (typeof master !== 'string') return []
    return [keys.appKey(master), keys.childKey(master, String(id))].map((key) => ({ kind: 'entry', key }))
  },
}

const child: Family<'entry'> = {
  kind: 'entry',
  name: 'child of an application',
  form: /^consent\/child\/(?<owner>[^/]+)\/[^/]+$/,
  check({ key, value }) {
    sound(value.length === 0, 'the value is not empty')
    return [{ kind: 'entry', key: keys.appKey(partsOf(key)[1] ?? '') }]
  },
}

const grant: Family<'entry'> = {
  kind: 'entry',
  name: 'grant',
  form: /^consent\/grant\/[^/]+$/,
  async check(row, reader) {
    const read = (await objectOf(row, reader)) as unknown as Grant
    const { id, app: of, person, record, grantedAt, changedAt, revoked } = read
    sound(id === partsOf(row.key)[0], 'the grant is another one')
    sound(isMoment(grantedAt) && isMoment(changedAt), 'the grant has no time')
    const holder = { kind: 'entry', key: keys.appKey(of) } as const
    if (revoked) return [holder]
    const lists = [keys.standingKey(of, person, record), keys.recordKey(record, id), keys.changedKey(of, changedAt, id)]
    return [holder, ...lists.map((key) => ({ kind: 'entry' as const, key }))]
  },
}

const standing: Family<'entry'> = {
  kind: 'entry',
  name: 'standing grant',
  form: /^consent\/standing\/(?<owner>[^/]+)\/[^/]+\/[^/]+$/,
  check: ({ value }) => [{ kind: 'entry', key: keys.grantKey(Buffer.from(value).toString('latin1')) }],
}

const lists: Family<'entry'> = {
  kind: 'entry',
  name: 'place of a grant in a list',
  form: /^consent\/(record\/(?<owner>[^/]+)|changed\/[^/]+\/\d{15}|told\/[^/]+\/[^/]+)\/[^/]+$/,
  check({ key, value }) {
    sound(value.length === 0, 'the value is not empty')
    return [{ kind: 'entry', key: keys.grantKey(partsOf(key).at(-1) ?? '') }]
  },
}

const activity: Family<'entry'> = {
  kind: 'entry',
  name: 'line of a history',
  form: /^consent\/activity\/(?<owner>[^/]+)\/\d{15}-[0-9a-f]{16}$/,
  async check({ key, value }, { vault }) {
    const plain = await vault.open(keys.recordOwner(partsOf(key)[0] ?? ''), key, value)
    const { at, action, outcome } = JSON.parse(Buffer.from(plain).toString('utf8'))
    sound(isMoment(at) && typeof action === 'string' && typeof outcome === 'string', 'it is no line of a history')
    return []
  },
}

/** Every row that this room writes. */
export const consentFamilies: readonly RowFamily[] = [app, child, grant, standing, lists, activity]
