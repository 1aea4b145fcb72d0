import type { AccessRule, RecordAccess, RuleSets } from '../direct/access.js'
import type { Membership, People } from '../people/people.js'
import type { Audit } from '../ports/audit.js'
import type { Letter, Letters } from '../ports/letters.js'
import { type Batch, type Entry, type Store, together, within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import { type AppInForce, readApp } from './apps.js'
import type { Activity, ActivityAction, ActivityFrom, Consents, Grant, Pseudonyms } from './consent.js'
import { consentLimits } from './limits.js'
import * as keys from './rows.js'
import { bounded, covers, noRules, permissionsOn, readingOf } from './rules.js'

export interface ConsentPorts {
  readonly store: Store
  readonly vault: Vault
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
  readonly people: Pick<People, 'person'> & { readonly records: Pick<People['records'], 'membership'> }
  readonly activity: Activity
  readonly pseudonyms: Pseudonyms
  /** Without letters nobody is told by mail. `url` is the page of what was granted. */
  readonly letters?: { readonly port: Letters; readonly url: string }
}

interface StandingGrant {
  readonly grant: Grant
  readonly require: NonNullable<Batch['require']>
}

const sets = ['online', 'offline'] as const

export function openConsents(ports: ConsentPorts): Consents {
  const { store, vault, people } = ports

  async function get(id: string): Promise<(Entry & { readonly grant: Grant }) | undefined> {
    if (!keys.isId(id)) return undefined
    const row = await store.get(keys.grantKey(id))
    return row && { ...row, grant: await keys.openOwned<Grant>(vault, row) }
  }

  /** The app where it may ask anybody for anything. */
  async function asking(id: string): Promise<AppInForce | undefined> {
    const found = await readApp(ports, id)
    return found?.app.state === 'active' && found.app.kind !== 'master' ? found : undefined
  }

  /** The person's place in a record that can be given access to. */
  async function placeOf(person: string, record: string): Promise<Membership | undefined> {
    if ((await people.person(person))?.state !== 'active') return undefined
    const membership = await people.records.membership(person, record)
    const state = membership?.record.state
    return state === 'active' || state === 'read-only' ? membership : undefined
  }

  /** The standing grant with what must still be so when it is changed; without a grant, that there is none. */
  async function standing(
    app: string,
    person: string,
    record: string,
  ): Promise<Partial<StandingGrant> & Pick<StandingGrant, 'require'>> {
    const key = keys.standingKey(app, person, record)
    const row = await store.get(key)
    if (!row) return { require: [{ key, version: 'absent' }] }
    const found = await get(Buffer.from(row.value).toString('latin1'))
    const require = [{ key, version: row.version }]
    return found
      ? { grant: found.grant, require: [...require, { key: found.key, version: found.version }] }
      : { require }
  }

  const question: Consents['question'] = async (app, person, record) => {
    const found = await asking(app)
    const place = found && (await placeOf(person, record))
    if (!found || !place) return undefined
    const { grant } = await standing(app, person, record)
    const granted = grant && isOf(grant, place) ? grant : undefined
    const missing = sets.flatMap((set) =>
      found.app.rules[set].filter((rule) => !rule.optional && !(granted && covers(granted.rules[set], rule))),
    )
    const possible = missing.every((rule) => covers(place.rules, rule))
    const action =
      granted && missing.length === 0
        ? 'none'
        : !possible
          ? 'not-possible'
          : granted
            ? 'reauthorization-required'
            : 'authorization-required'
    return { app: found.app, action, rules: givable(found.app.rules, place), ...(granted && { granted }) }
  }

  const authorize: Consents['authorize'] = async ({ app: asked, person, record, via, online, offline }, from) => {
    const found = await asking(asked)
    if (!found) return { kind: 'no-such-app' }
    const place = await placeOf(person, record)
    if (!place) return { kind: 'no-such-record' }
    const { app } = found
    const before = await standing(app.id, person, record)
    // A clinic has no page of its own: what it asks for at one is not granted by a code, and what was is not taken away.
    const byCode = via === 'patient-connect'
    const asks = byCode ? { ...app.rules, online: [] } : app.rules
    const ticked = { online, offline }
    if (sets.some((set) => ticked[set].some((name) => asks[set].every((rule) => rule.name !== name))))
      return { kind: 'unknown-rule' }
    if (sets.some((set) => asks[set].some((rule) => !rule.optional && !covers(place.rules, rule))))
      return { kind: 'not-possible' }
    const now = chosen(givable(asks, place), ticked)
    if (now.online.length + now.offline.length === 0) return { kind: 'nothing-granted' }
    const kept = byCode && before.grant && isOf(before.grant, place) ? before.grant.rules.online : now.online
    const rules = { ...now, online: kept }

    if (!before.grant && (await countOf(person)) >= consentLimits.grantsPerPerson) return { kind: 'too-many' }
    const at = ports.clock.now()
    const grant: Grant = {
      id: before.grant?.id ?? keys.newId(ports.random.bytes(16)),
      ...{ app: app.id, person, record, rules, via },
      grantedAt: before.grant && isOf(before.grant, place) ? before.grant.grantedAt : at,
      changedAt: at,
    }
    const parts = together(
      // Rules that change at the same moment are asked about again.
      { require: [...before.require, ...found.rows] },
      await written(grant, before.grant),
      await told(grant, 'grant', 'grant.authorized', from),
      await letter(grant, 'access-granted', app.name),
    )
    return { kind: 'authorized', grant, parts }
  }

  const narrow: Consents['narrow'] = (id, keep, from) =>
    again(async () => {
      const found = await get(id)
      if (!found || found.grant.revoked) return { kind: 'no-such-grant' as const }
      const { grant: before, key, version } = found
      if (sets.some((set) => keep[set].some((name) => before.rules[set].every((rule) => rule.name !== name))))
        return { kind: 'unknown-rule' as const }
      const rules = chosen(before.rules, keep)
      const same = sets.every((set) => rules[set].length === before.rules[set].length)
      if (same) return { kind: 'narrowed' as const, grant: before }
      const grant = { ...before, rules, changedAt: ports.clock.now() }
      const parts = together(
        { require: [{ key, version }] },
        await written(grant, before),
        await told(grant, 'narrow', 'grant.narrowed', from),
      )
      return { kind: 'narrowed' as const, grant, parts }
    })

  const revoke: Consents['revoke'] = async (id, who, from) => {
    const done = await again(async () => {
      const found = await get(id)
      if (!found || found.grant.revoked) return { kind: 'not-there' as const }
      const at = ports.clock.now()
      const grant = { ...found.grant, changedAt: at, revoked: { at, by: who } }
      const name = (await readApp(ports, grant.app))?.app.name
      const parts = together(
        { require: [{ key: found.key, version: found.version }] },
        await gone(grant, found.grant),
        await told(grant, 'revoke', 'grant.revoked', from),
        name === undefined ? {} : await letter(grant, 'access-removed', name),
      )
      return { kind: 'revoked' as const, parts }
    })
    return done.kind === 'revoked'
  }

  /** Commits what a change makes of the rows as they are, again where somebody else wrote first. */
  async function again<T extends { readonly kind: string }>(
    change: () => Promise<T & { readonly parts?: Batch }>,
  ): Promise<T> {
    for (let round = 0; round < consentLimits.changeRounds; round++) {
      const { parts, ...outcome } = await change()
      if (!parts || (await store.commit(parts)).kind === 'committed') return outcome as unknown as T
    }
    throw new Error('A grant changes all the time')
  }

  async function written(grant: Grant, before: Grant | undefined): Promise<Batch> {
    const { id, app, person, record } = grant
    const key = keys.grantKey(id)
    return {
      put: [
        { key, value: await keys.sealOwned(vault, keys.recordOwner(record), key, grant) },
        { key: keys.standingKey(app, person, record), value: Buffer.from(id) },
        { key: keys.recordKey(record, id), value: none },
        { key: keys.changedKey(app, grant.changedAt, id), value: none },
        { key: keys.toldKey(app, ports.pseudonyms.record(app, record), id), value: none },
      ],
      del: before && before.changedAt !== grant.changedAt ? [keys.changedKey(app, before.changedAt, id)] : [],
    }
  }

  /** A grant that ended is kept under its id, and in no list. */
  async function gone(grant: Grant, before: Grant): Promise<Batch> {
    const { id, app, person, record } = grant
    const key = keys.grantKey(id)
    return {
      put: [{ key, value: await keys.sealOwned(vault, keys.recordOwner(record), key, grant) }],
      del: [
        keys.standingKey(app, person, record),
        keys.recordKey(record, id),
        keys.changedKey(app, before.changedAt, id),
        keys.toldKey(app, ports.pseudonyms.record(app, record), id),
      ],
    }
  }

  async function told(grant: Grant, action: ActivityAction, word: string, from: ActivityFrom): Promise<Batch> {
    const { id, app, person, record, changedAt: at } = grant
    const subject = { grant: id, app, person, record }
    const entry = ports.audit.entry({ at, action: word, actor: from.by, subject, outcome: 'success' })
    const line = { at, action, from, about: { app }, outcome: 'success' } as const
    return together({ append: [entry] }, await ports.activity.entry(record, line))
  }

  async function letter(grant: Grant, kind: Extract<Letter['kind'], `access-${string}`>, app: string): Promise<Batch> {
    const person = ports.letters && (await people.person(grant.person))
    if (!ports.letters || !person) return {}
    const { port, url } = ports.letters
    return port.letter(person, { kind, app, url }, `grant-${grant.id}-${kind}-${grant.changedAt}`)
  }

  async function countOf(person: string): Promise<number> {
    return (await store.range({ ...within(keys.standingPrefix(person)), limit: consentLimits.grantsPerPerson })).length
  }

  const grants = async (ids: readonly string[]) => {
    const found = await Promise.all(ids.map(get))
    return found.flatMap((row) => (row && !row.grant.revoked ? [row.grant] : []))
  }

  /** What a grant gives in its record now, for both avenues. */
  async function now(id: string) {
    const grant = (await get(id))?.grant
    if (!grant || grant.revoked) return undefined
    const found = await asking(grant.app)
    const place = found && (await placeOf(grant.person, grant.record))
    if (!found || !place || !isOf(grant, place)) return undefined
    const rulesOf = (set: (typeof sets)[number]) => {
      const rules = bounded(bounded(grant.rules[set], found.app.rules[set]), place.rules)
      return place.record.state === 'read-only' ? readingOf(rules) : rules
    }
    return { grant, app: found.app, rulesOf }
  }

  async function access(id: string, avenue: (typeof sets)[number]): Promise<RecordAccess | undefined> {
    const found = await now(id)
    if (!found) return undefined
    const { grant, app, rulesOf } = found
    return {
      record: grant.record,
      told: ports.pseudonyms.record(app.id, grant.record),
      rules: rulesOf(avenue),
      custodian: false,
      actor: {
        ...{ by: `app:${app.id}`, avenue, person: grant.person, app: app.id },
        ...(app.master !== undefined && { masterApp: app.master }),
      },
    }
  }

  /** All grants of a record that stand for an app alone, as one access. */
  async function alone(app: string, told: string): Promise<RecordAccess | undefined> {
    if (!keys.isId(app) || !keys.isId(told)) return undefined
    const prefix = keys.toldPrefix(app, told)
    const rows = await store.range({ ...within(prefix), limit: consentLimits.grantsPerRecord })
    const found = await Promise.all(
      rows.map(({ key }) => access(decodeURIComponent(key.slice(prefix.length)), 'offline')),
    )
    const [first, ...others] = found.filter((one) => one !== undefined)
    if (!first || others.length === 0) return first
    const { person: _, ...actor } = first.actor
    return { ...first, rules: [first, ...others].reduce(joined, []), actor }
  }

  return {
    question,
    authorize,
    narrow,
    revoke,
    access,
    alone,
    pseudonyms: ports.pseudonyms,
    get: async (id) => (await get(id))?.grant,
    find: async (app, person, record) => (await standing(app, person, record)).grant,
    async ofPerson(person) {
      const rows = await store.range({ ...within(keys.standingPrefix(person)), limit: consentLimits.grantsPerPerson })
      return grants(rows.map(({ value }) => Buffer.from(value).toString('latin1')))
    },
    async ofRecord(record) {
      const prefix = keys.recordPrefix(record)
      const rows = await walked(store, prefix)
      return grants(rows.map(({ key }) => decodeURIComponent(key.slice(prefix.length))))
    },
    async ofApp(app, { since, after, limit }) {
      const prefix = keys.changedPrefix(app)
      const { gte, lt } = within(prefix)
      const place = after === undefined ? undefined : Buffer.from(after, 'base64url').toString('latin1')
      const from = [
        gte,
        since === undefined ? gte : prefix + keys.timeText(since),
        place === undefined ? gte : `${prefix}${place}\0`,
      ]
      const size = Math.min(Math.max(1, Math.trunc(limit)), consentLimits.page)
      const rows = await store.range({
        gte: from.reduce((one, other) => (one > other ? one : other)),
        lt,
        limit: size + 1,
      })
      const page = rows.slice(0, size)
      const last = rows.length > size ? page.at(-1) : undefined
      return {
        grants: await grants(page.map(({ key }) => decodeURIComponent(key.slice(key.lastIndexOf('/') + 1)))),
        ...(last && { next: Buffer.from(last.key.slice(prefix.length)).toString('base64url') }),
      }
    },
    async permissions(id, types) {
      const found = await now(id)
      if (!found) return undefined
      const [online, offline] = [found.rulesOf('online'), found.rulesOf('offline')]
      return [...new Set(types)]
        .map((type) => ({ type, online: permissionsOn(online, type), offline: permissionsOn(offline, type) }))
        .filter((one) => one.online.length + one.offline.length > 0)
    },
  }
}

const none = new Uint8Array()

function joined(rules: RecordAccess['rules'], other: RecordAccess): RecordAccess['rules'] {
  return rules === 'all' || other.rules === 'all' ? 'all' : [...rules, ...other.rules]
}

/** Whether a grant was given from this membership: one that ended and began again did not give it. */
function isOf({ changedAt }: Grant, { since }: Membership): boolean {
  return since <= changedAt + consentLimits.clockSkewMs
}

/** The rules of an app as far as somebody may give them: a person can give no more than they have. */
function givable(rules: RuleSets, { rules: own }: Membership): RuleSets {
  return { online: bounded(rules.online, own), offline: bounded(rules.offline, own) }
}

/** What is required, and of the optional rules those that are named. */
function chosen(
  rules: RuleSets,
  names: { readonly online: readonly string[]; readonly offline: readonly string[] },
): RuleSets {
  const of = (set: (typeof sets)[number]): readonly AccessRule[] =>
    rules[set].filter(({ optional, name }) => !optional || names[set].includes(name))
  return { ...noRules, online: of('online'), offline: of('offline') }
}

async function walked(store: Pick<Store, 'range'>, prefix: string): Promise<readonly Entry[]> {
  const { gte, lt } = within(prefix)
  const all: Entry[] = []
  for (let from = gte; ; ) {
    const page = await store.range({ gte: from, lt, limit: consentLimits.rowsPerRead })
    all.push(...page)
    if (page.length < consentLimits.rowsPerRead) return all
    from = `${page.at(-1)?.key}\0`
  }
}
