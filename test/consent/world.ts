import { randomBytes } from 'node:crypto'
import { openActivity } from '../../src/consent/activity.js'
import { openApps } from '../../src/consent/apps.js'
import type { ActivityFrom, App, AppRequest } from '../../src/consent/consent.js'
import { openConsents } from '../../src/consent/consents.js'
import { openPseudonyms } from '../../src/consent/pseudonyms.js'
import type { AccessRule, RuleSets } from '../../src/direct/access.js'
import type { HeldRecord, Membership, Person } from '../../src/people/people.js'
import type { CallHook } from '../../src/store/memory.js'
import { openRoom } from '../spool/room.js'

export const rule = (name: string, more: Partial<AccessRule> = {}): AccessRule => ({
  name,
  reason: { en: `Because of ${name}` },
  permissions: ['read'],
  types: ['problem'],
  ...more,
})

export const from: ActivityFrom = { by: 'person:mother', avenue: 'page', person: 'mother', address: '192.0.2.1' }

export const web: AppRequest = {
  kind: 'web',
  name: 'Well',
  redirectUris: ['https://well.example/cb'],
  rules: {
    online: [rule('see'), rule('vitals', { types: ['vital-sign'], optional: true })],
    offline: [rule('sync', { optional: true })],
  },
}

/** Who holds which record, as a test says it. */
export function heldBy() {
  const people = new Map<string, Person>()
  const memberships = new Map<string, Membership>()
  const state = { record: 'active' as HeldRecord['state'] }
  const person = (id: string) =>
    people.set(id, { id, name: id, email: `${id}@mail.example`, language: 'en', state: 'active' })
  return {
    people,
    memberships,
    state,
    hold(who: string, record: string, rules: Membership['rules'] = 'all', since = 0) {
      person(who)
      const held = { id: record, name: 'Anna', state: state.record, createdAt: 0 }
      memberships.set(`${who} ${record}`, {
        ...{ person: who, record: held, custodian: rules === 'all', relationship: 'parent', rules, since },
      })
    },
    ports: {
      person: async (id: string) => people.get(id),
      records: {
        membership: async (who: string, record: string) => {
          const found = memberships.get(`${who} ${record}`)
          return found && { ...found, record: { ...found.record, state: state.record } }
        },
        get: async (record: string) => [...memberships.values()].find((one) => one.record.id === record)?.record,
        of: async (who: string) => [...memberships.values()].filter((one) => one.person === who),
        holders: async (record: string) => [...memberships.values()].filter((one) => one.record.id === record),
        create: async () => ({ kind: 'too-many' as const }),
      },
      sessions: { current: async () => undefined, isLive: async () => true, end: async () => undefined },
    },
  }
}

/** The room over a store in memory, a mother and a father of one child, and letters in a list. */
export async function openWorld(hooks: { readonly beforeCall?: CallHook } = {}) {
  const room = await openRoom(hooks)
  const held = heldBy()
  held.hold('mother', 'child')
  held.hold('father', 'child')
  const letters: string[] = []
  const activity = openActivity(room)
  const apps = openApps(room)
  const consents = openConsents({
    ...room,
    activity,
    people: held.ports,
    pseudonyms: openPseudonyms(randomBytes(32)),
    letters: {
      url: 'https://gw.example/account/apps',
      port: {
        letter: (to, letter, once) => {
          letters.push(JSON.stringify({ to, letter, once }))
          return {}
        },
      },
    },
  })

  async function register(request: AppRequest): Promise<App> {
    const made = await apps.register(request, 'operator')
    if (made.kind !== 'registered') throw new Error(JSON.stringify(made))
    return made.app
  }

  /** Grants everything that is named, and commits it. */
  async function grant(app: string, names: { online?: string[]; offline?: string[] } = {}, person = 'mother') {
    const { online = [], offline = [] } = names
    const request = { app, person, record: 'child', via: 'web', online, offline } as const
    const made = await consents.authorize(request, { ...from, by: `person:${person}`, person })
    if (made.kind !== 'authorized') throw new Error(made.kind)
    if ((await room.store.commit(made.parts)).kind !== 'committed') throw new Error('not committed')
    return made.grant
  }

  const setRules = async (app: string, rules: RuleSets) => {
    const done = await apps.change(app, { rules }, 'operator')
    if (done.kind !== 'changed') throw new Error(JSON.stringify(done))
  }

  return { ...room, ...held, letters, activity, apps, consents, register, grant, setRules }
}
