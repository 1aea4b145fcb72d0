import { beforeEach, describe, expect, it } from 'vitest'
import type { ApiPorts } from '../../src/api/ports.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openActivation } from '../../src/pipeline/activation.js'
import type { Transmissions, Transmit, TransmitOutcome } from '../../src/pipeline/transmit.js'
import { openGateway } from './gateway.js'

const doctor = 'dr@far.example'

/** A gateway whose domain is open, with people signed in by a secret of their own. */
async function open(more: Partial<ApiPorts> = {}) {
  const people: Record<string, string> = {}
  const records = {
    membership: async (person: string, record: string) =>
      people[person] === record
        ? { person, custodian: true, record: { id: record, name: 'Nora' }, rules: 'all' }
        : undefined,
    of: async (person: string) => [{ person, custodian: true, record: { id: people[person] ?? '', name: 'Nora' } }],
    get: async () => ({ name: 'Nora' }),
  }
  const gateway = await openGateway()
  const activation = openActivation({
    ...gateway,
    directory: gateway.directory,
    registrations: { list: async () => [], begin: async () => ({ kind: 'refused', detail: 'no authority' }) as never },
    clock: gateway.clock,
    random: { bytes: (size) => crypto.getRandomValues(new Uint8Array(size)) },
  })
  await gateway.directory.domains.setPolicy('gw.example' as never, { activation: 'open' }, 'test')
  Object.assign(gateway.ports, { people: { records }, activation, ...more })
  people['nora'] = gateway.patients.alice.recordId
  const { authenticate } = gateway.ports
  Object.assign(gateway.ports, {
    authenticate: async (secret: string) =>
      secret in people
        ? {
            by: `person:${secret}`,
            scopes: ['record:read', 'record:write', 'messages:read', 'messages:write', 'messages:send'],
            reach: { kind: 'person', person: secret, session: 's', csrf: 'c' },
          }
        : authenticate(secret),
  })
  const call = async (method: 'GET' | 'POST' | 'PATCH', url: string, payload?: object, who = 'nora') => {
    const response = await gateway.app.inject({
      ...{ method, url, headers: { authorization: `Bearer ${who}` } },
      ...(payload && { payload }),
    })
    return { status: response.statusCode, body: response.json() as Record<string, unknown> }
  }
  return { gateway, call, base: `/api/v1/records/${gateway.patients.alice.recordId}` }
}

let world: Awaited<ReturnType<typeof open>>
beforeEach(async () => {
  world = await open()
})

describe('direct addresses of a record', () => {
  it('are suggested, taken, listed, switched off and never anybody else’s', async () => {
    const { call, base, gateway } = world
    const suggested = await call('GET', `${base}/direct-addresses/suggestions?name=Nora%20Example`)
    expect(suggested.body['suggestions']).toContain('nora.example@gw.example')
    const taken = await call('POST', `${base}/direct-addresses`, { address: 'nora.example@gw.example' })
    expect(taken).toMatchObject({ status: 201, body: { address: 'nora.example@gw.example', standing: 'live' } })
    const off = await call('PATCH', `${base}/direct-addresses/nora.example%40gw.example`, { disabled: true })
    expect(off).toMatchObject({ status: 200, body: { standing: 'disabled' } })
    const listed = await call('GET', `${base}/direct-addresses`)
    expect(listed.body).toMatchObject({ addresses: [{}, { standing: 'disabled' }], domains: ['gw.example'] })
    const other = `/api/v1/records/${gateway.patients.bob.recordId}/direct-addresses`
    const { headers } = await gateway.token('*', ['record:write'])
    const again = await gateway.app.inject({
      ...{ method: 'POST', url: other, headers, payload: { address: 'nora.example@gw.example' } },
    })
    expect([again.statusCode, again.json().healthvaultStatus]).toEqual([409, 168])
  })

  it.each([
    ['taken', 'bob@gw.example', 409, 168],
    ['reserved', 'postmaster@gw.example', 409, 168],
    ['no name', 'a b@gw.example', 400, 169],
    ['of a domain that is not ours', 'nora@elsewhere.example', 400, 169],
  ])('that is %s is refused with its number', async (_, address, status, number) => {
    const { call, base } = world
    const refused = await call('POST', `${base}/direct-addresses`, { address })
    expect([refused.status, refused.body['healthvaultStatus']]).toEqual([status, number])
  })

  it('beyond the cap is refused (170), an address of another record is not found (171)', async () => {
    const { call, base } = world
    for (const name of ['one', 'two'])
      await call('POST', `${base}/direct-addresses`, { address: `nora.${name}@gw.example` })
    const more = await call('POST', `${base}/direct-addresses`, { address: 'nora.three@gw.example' })
    expect([more.status, more.body['healthvaultStatus']]).toEqual([409, 170])
    const other = await call('PATCH', `${base}/direct-addresses/bob%40gw.example`, { disabled: true })
    expect([other.status, other.body['healthvaultStatus']]).toEqual([404, 171])
  })

  it('takes nothing but what a request may say', async () => {
    const { call, base } = world
    const sly = { address: 'nora.example@gw.example', record: 'other', kind: 'provider', disabled: false }
    expect((await call('POST', `${base}/direct-addresses`, sly)).status).toBe(400)
  })

  it('are no more to be found in another’s record than in one that does not exist', async () => {
    const { call, gateway } = world
    for (const record of [gateway.patients.bob.recordId, '00000000-0000-4000-8000-000000000000'])
      expect((await call('GET', `/api/v1/records/${record}/direct-addresses`)).status).toBe(404)
  })
})

describe('a person who signed in', () => {
  it('reads the mailboxes of their records, and nobody else’s', async () => {
    const { call } = world
    expect((await call('GET', '/api/v1/mailboxes')).body).toMatchObject({
      mailboxes: [{ address: 'alice@gw.example' }],
    })
    expect((await call('GET', '/api/v1/mailboxes/alice%40gw.example/messages')).status).toBe(200)
    for (const other of ['bob@gw.example', 'nobody@gw.example'])
      expect((await call('GET', `/api/v1/mailboxes/${encodeURIComponent(other)}/messages`)).status).toBe(404)
  })

  it('is refused a reply to an untrusted provider before it is queued, with why', async () => {
    const refuse: Partial<Transmissions> = {
      check: async () => ({ kind: 'refused', reason: 'no-anchor', detail: 'x' }),
    }
    const { call, gateway } = await open({ transmissions: refuse as Transmissions })
    const before = (await gateway.store.jobs('submission', 100)).length
    const sent = await call('POST', '/api/v1/mailboxes/alice%40gw.example/messages', {
      ...{ to: [doctor], subject: 'Re: x', text: 'y' },
    })
    expect(sent).toMatchObject({ status: 422, body: { code: 'not-sendable' } })
    expect(JSON.stringify(sent.body)).toContain('no-anchor')
    expect((await gateway.store.jobs('submission', 100)).length).toBe(before)
  })
})

describe('sending out of a record', () => {
  const asked: Transmit[] = []
  const answers = (outcome: TransmitOutcome): Partial<Transmissions> => ({
    async transmit(request) {
      asked.push(request)
      return outcome
    },
  })

  it('hands on what the patient chose, and nothing that was not said', async () => {
    const transmissions = answers({ kind: 'transmitted', id: 'x', items: 3 }) as Transmissions
    const { call, base } = await open({ transmissions })
    const body = { to: doctor, format: 'xdm', types: ['allergy'], fromDate: '2020', note: 'see this' }
    expect(await call('POST', `${base}/transmissions`, body)).toEqual({ status: 202, body: { id: 'x', items: 3 } })
    expect(asked.at(-1)).toMatchObject({
      ...{ to: { kind: 'direct', address: doctor as DirectAddress }, patient: 'Nora', note: 'see this' },
      chosen: { format: 'xdm', types: ['allergy'], from: '2020' },
    })
  })

  it.each([
    [{ format: 'ccd' }],
    [{ format: 'ccd', to: doctor, email: 'me@mail.example', unprotectedAcknowledged: true }],
    [{ format: 'ccd', to: 'no address' }],
    [{ format: 'ccd', email: 'me@mail.example' }],
    [{ format: 'ccd', email: 'me@mail.example', unprotectedAcknowledged: false }],
    [{ format: 'ccd', email: 'me@mail.example\r\nBcc: x@y.example', unprotectedAcknowledged: true }],
    [{ format: 'ccd', to: doctor, record: 'another' }],
  ])('%j is no request', async (body) => {
    const transmissions = answers({ kind: 'transmitted', id: 'x', items: 3 }) as Transmissions
    const { call, base } = await open({ transmissions })
    const before = asked.length
    expect((await call('POST', `${base}/transmissions`, body)).status).toBe(400)
    expect(asked.length).toBe(before)
  })

  it.each([
    [{ kind: 'refused', reason: 'no-anchor', detail: '' }, 422, 'not-sendable'],
    [{ kind: 'undecided', cause: 'revocation-unavailable', detail: '' }, 503, 'unavailable'],
    [{ kind: 'no-address' }, 409, 'not-possible'],
    [{ kind: 'no-relay' }, 409, 'not-possible'],
    [{ kind: 'nothing' }, 409, 'not-possible'],
  ] as const)('%j is told by name', async (outcome, status, code) => {
    const { call, base } = await open({ transmissions: answers(outcome) as Transmissions })
    const said = await call('POST', `${base}/transmissions`, { to: doctor, format: 'ccd' })
    expect([said.status, said.body['code']]).toEqual([status, code])
  })
})
