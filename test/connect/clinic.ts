import { generateKeyPairSync } from 'node:crypto'
import { openAppEvents, readWaiting } from '../../src/connect/app-events.js'
import { connectRules } from '../../src/connect/authorized.js'
import { openPatientConnect } from '../../src/connect/patient-connect.js'
import type { KindRules, RequestKind } from '../../src/connect/request.js'
import { openRequests } from '../../src/connect/requests.js'
import type { ActivityFrom, AppRequest } from '../../src/consent/consent.js'
import { openWorld as openConsentWorld, rule } from '../consent/world.js'
import { from, quickHash } from './world.js'

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one' }] }
export const clinic: AppRequest = {
  jwks,
  kind: 'clinic',
  name: 'Elm Street clinic',
  may: ['connect'],
  webhookUrl: 'https://elm.example/hook',
  successMessage: 'Thank you, see you soon',
  rules: {
    online: [],
    offline: [rule('results', { permissions: ['create', 'read'] }), rule('plan', { optional: true })],
  },
}
export const asked = { friendlyName: 'Anna', question: 'Which bird?', answer: 'Parakeet', externalId: 'MRN 1' }
export const mother: ActivityFrom = { by: 'person:mother', avenue: 'page', person: 'mother', address: '192.0.2.1' }
export const none = () => ({})

export async function openClinic(given: Partial<AppRequest> = {}) {
  const world = await openConsentWorld()
  const app = await world.register({ ...clinic, ...given })
  const slowHash = quickHash()
  const { consents, apps } = world
  const letters: string[] = []
  const rules: { [kind in RequestKind]?: KindRules } = {}
  const requests = openRequests({ ...world, slowHash, indexKey: Buffer.alloc(32, 7) }, { rules })
  rules.connect = connectRules({ ...world, pseudonyms: consents.pseudonyms, events: openAppEvents({ apps }) })
  const records = {
    of: async (who: string) => all().filter(({ person }) => person === who),
    membership: world.ports.records.membership,
  }
  const all = () => [...world.memberships.values()]
  const connect = openPatientConnect(
    {
      ...{ ...world, requests, records },
      letters: {
        letter: (to, letter) => {
          letters.push(JSON.stringify({ to, letter }))
          return {}
        },
      },
    },
    { pickupUrl: 'https://gw.example/pickup' },
  )
  async function made(more: Partial<typeof asked> & { email?: string; birthDate?: string } = {}) {
    const outcome = await connect.create(app.id, { ...asked, ...more }, none)
    if (outcome.kind !== 'created') throw new Error(outcome.problem)
    return outcome
  }
  async function ticket(code: string) {
    const right = await connect.answer(code, 'parakeet', from)
    if (right.kind !== 'right') throw new Error(right.kind)
    return right.ticket
  }
  const accept = (
    ticket: string,
    record = 'child',
    more: { offline?: string[]; confirmed?: boolean } = {},
    person = 'mother',
  ) => connect.accept(ticket, from.holder, person, { record, offline: [], ...more }, { ...mother, person }, none)
  const events = async () => (await world.store.jobs('app-events', 100)).map(({ payload }) => readWaiting(payload))
  const poll = async (query: { since?: number; after?: string; limit?: number } = {}, by = app.id) => {
    const page = await connect.authorized(by, { limit: 50, ...query })
    if ('kind' in page) throw new Error(page.kind)
    return page
  }
  return {
    ...world,
    app,
    requests,
    rules,
    records,
    connect,
    made,
    ticket,
    accept,
    events,
    poll,
    sent: letters,
    slowHash,
  }
}
