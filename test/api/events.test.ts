import { describe, expect, it } from 'vitest'
import { buildApi } from '../../src/api/api.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openTrail } from '../../src/spool/trail.js'
import { openGateway } from './gateway.js'

async function feed() {
  const gateway = await openGateway()
  const { app } = gateway
  const trail = openTrail({ store: gateway.store, events: true })
  for (let i = 1; i <= 250; i++) {
    const step = i % 50 === 0 ? ('failed' as const) : ('sent' as const)
    await gateway.store.commit(
      trail.steps('m', [{ at: i, step, recipient: 'r@far.example' as DirectAddress, detail: `${i}` }]),
    )
  }
  const { headers } = await gateway.token('*', ['operator'])
  const get = async (query: string, given: Record<string, string> = headers) => {
    const response = await app.inject({ method: 'GET', url: `/api/v1/events${query}`, headers: given })
    return { status: response.statusCode, json: response.json() }
  }
  return { ...gateway, get }
}

describe('GET /api/v1/events', () => {
  it('tells the events page by page, to its end and from there on', async () => {
    const { get } = await feed()
    const seen: number[] = []
    for (let after = 0, pages = 0; pages < 5; pages++) {
      const { status, json } = await get(`?after=${after}`)
      expect(status).toBe(200)
      seen.push(...json.events.map(({ sequence }: { sequence: number }) => sequence))
      after = json.next
    }
    expect(seen).toEqual(Array.from({ length: 250 }, (_, i) => i + 1))
    const { json } = await get('?after=249')
    expect(json).toEqual({
      events: [
        {
          ...{ sequence: 250, id: expect.stringMatching(/^m-/), at: '1970-01-01T00:00:00.250Z', message: 'm' },
          ...{ step: 'failed', recipient: 'r@far.example', detail: '250' },
        },
      ],
      next: 250,
    })
    expect((await get('?after=9000')).json).toEqual({ events: [], next: 9000 })
  })

  it('tells one step only, and how far it looked for it', async () => {
    const { get } = await feed()
    const first = await get('?step=failed&limit=3')
    expect(first.json.events.map(({ sequence }: { sequence: number }) => sequence)).toEqual([50, 100, 150])
    const second = await get(`?step=failed&limit=3&after=${first.json.next}`)
    expect(second.json.events.map(({ sequence }: { sequence: number }) => sequence)).toEqual([200, 250])
    expect(await get('?step=no-such-step')).toEqual({ status: 200, json: { events: [], next: 250 } })
  })

  it('refuses what is no place, other scopes, and gateways that keep none', async () => {
    const { get, token, ports } = await feed()
    for (const query of ['?after=-1', '?after=x', '?limit=0', '?limit=1001', '?step=', '?other=1'])
      expect((await get(query)).status, query).toBe(400)
    expect((await get('', {})).status).toBe(401)
    const reader = await token('alice@gw.example', ['messages:read'])
    expect((await get('', reader.headers)).status).toBe(403)
    const operator = await token('*', ['operator'])
    const { events: _, ...without } = ports
    const app = await buildApi(without)
    expect((await app.inject({ method: 'GET', url: '/api/v1/events', headers: operator.headers })).statusCode).toBe(503)
  })
})
