import { beforeEach, describe, expect, it } from 'vitest'
import { decodeEntry } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { encodeOutbound, type OutboundJob, outboundQueue } from '../../src/spool/outbound.js'
import { inboundQueue } from '../../src/spool/spool.js'
import { openGateway } from './gateway.js'

let gateway: Awaited<ReturnType<typeof openGateway>>
let headers: Record<string, string>
const nudged: unknown[] = []

beforeEach(async () => {
  nudged.length = 0
  gateway = await openGateway({}, {}, (...what: unknown[]) => void nudged.push(...what))
  headers = (await gateway.token('*', ['operator'])).headers
})

const far = 'dr@far.example' as DirectAddress
const notice = (id: string, over: Partial<OutboundJob> = {}): OutboundJob => ({
  ...{ id, trail: 'a'.repeat(26), kind: 'mdn', from: null, to: [far], stage: 'sealed', owedAt: 1, tries: 2 },
  ...{ body: Buffer.from('what it says'), ...over },
})

async function put(...jobs: OutboundJob[]) {
  const dueAt = gateway.clock.now() + 60_000
  await gateway.store.commit({
    enqueue: jobs.map((job) => ({ queue: outboundQueue, id: job.id, payload: encodeOutbound(job), dueAt })),
  })
}

async function ask(method: 'GET' | 'POST', path: string, payload?: object) {
  const { app } = gateway
  const response = await app.inject({ method, url: `/api/v1/queue${path}`, headers, ...(payload && { payload }) })
  return { status: response.statusCode, headers: response.headers, body: JSON.parse(response.body), raw: response.body }
}

describe('the queue over the API', () => {
  it('lists what waits, page by page, with a filter, and nothing of what it says', async () => {
    await put(notice('one'), notice('two'), notice('other', { to: ['x@other.example' as DirectAddress] }))
    const first = await ask('GET', '?queue=outbound&domain=far.example&limit=1')
    expect(first.body.mail).toEqual([
      {
        ...{ queue: 'outbound', id: 'one', kind: 'notice', state: 'waiting', spoolId: 'a'.repeat(26) },
        ...{ from: '', recipients: [far], owedAt: '1970-01-01T00:00:00.001Z', tries: 2 },
        dueAt: new Date(gateway.clock.now() + 60_000).toISOString(),
      },
    ])
    expect(first.raw).not.toContain('what it says')
    const second = await ask('GET', `?queue=outbound&domain=far.example&limit=1&cursor=${first.body.next}`)
    expect(second.body.mail.map(({ id }: { id: string }) => id)).toEqual(['two'])
    const all = await ask('GET', '?queue=outbound')
    expect(all.body.mail).toHaveLength(3)
    expect((await ask('GET', '?state=on-hold')).body).toEqual({ mail: [] })
  })

  it.each([
    ['?queue=nowhere', 'invalid-request'],
    ['?state=lost', 'invalid-request'],
    ['?limit=1000', 'invalid-request'],
    ['?what=1', 'invalid-request'],
    ['?cursor=x', 'invalid-cursor'],
  ])('refuses %s', async (query, code) => {
    expect(await ask('GET', query)).toMatchObject({ status: 400, body: { code } })
  })

  it('shows one with its steps, and knows nothing of others', async () => {
    await put(notice('one'))
    const shown = await ask('GET', '/outbound/one')
    expect(shown.body.id).toBe('one')
    expect(shown.body.steps.map(({ step }: { step: string }) => step)).toEqual(['accepted', 'delivered', 'delivered'])
    for (const path of ['/outbound/two', '/inbound/one', '/nowhere/one'])
      expect(await ask('GET', path)).toMatchObject({ status: 404, body: { code: 'not-found' } })
  })

  it('holds, releases, retries and cancels, each audited under the token and with its reason', async () => {
    await put(notice('one'))
    const { clock, store } = gateway
    expect(await ask('POST', '/outbound/one/hold', { reason: 'moving' })).toMatchObject({
      status: 202,
      body: { action: 'hold', was: { id: 'one', state: 'waiting' } },
    })
    expect((await ask('GET', '/outbound/one')).body).toMatchObject({ state: 'on-hold' })
    expect((await ask('GET', '/outbound/one')).body).not.toHaveProperty('dueAt')
    expect(await ask('POST', '/outbound/one/release', {})).toMatchObject({ status: 202 })
    expect((await store.job(outboundQueue, 'one'))?.dueAt).toBe(clock.now())
    expect(await ask('POST', '/outbound/one/retry', {})).toMatchObject({ status: 202 })
    expect(nudged).toEqual([outboundQueue, outboundQueue, outboundQueue])
    expect(await ask('POST', '/outbound/one/cancel', { reason: 'sent in error' })).toMatchObject({ status: 202 })
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
    const entries = (await store.log('audit', 1, 10_000)).flatMap(({ value }) => decodeEntry(value) ?? [])
    const done = entries.filter(({ action }) => action.startsWith('queue.'))
    expect(done.map(({ action }) => action)).toEqual(['queue.hold', 'queue.release', 'queue.retry', 'queue.cancel'])
    expect(done.every(({ actor }) => actor.startsWith('token:'))).toBe(true)
    expect(done.map(({ reason }) => reason)).toEqual(['moving', undefined, undefined, 'sent in error'])
    expect((await gateway.ports.trail.read('a'.repeat(26))).map(({ step }) => step)).toContain('cancelled')
  })

  it('refuses in problem details what a worker has, what does not fit, and a cancel without a reason', async () => {
    await put(notice('one'))
    expect(await ask('POST', '/outbound/one/release', {})).toMatchObject({
      status: 409,
      body: { code: 'not-possible', errors: [{ where: 'params.id', detail: 'it is not on hold' }] },
    })
    const held = await gateway.store.claimJob(outboundQueue, 'one', 60_000)
    expect(held).toMatchObject({ id: 'one' })
    const busy = await ask('POST', '/outbound/one/retry', {})
    expect(busy).toMatchObject({ status: 409, body: { code: 'being-worked-on' } })
    expect(busy.headers['retry-after']).toBe('1')
    for (const payload of [{}, { reason: '' }, { reason: 'x'.repeat(201) }, { reason: 'x', more: 1 }])
      expect(await ask('POST', '/outbound/one/cancel', payload)).toMatchObject({ status: 400 })
    const dueAt = gateway.clock.now()
    await gateway.store.commit({ enqueue: [{ queue: inboundQueue, id: 'new', payload: Buffer.from('x'), dueAt }] })
    const kept = await ask('POST', '/inbound/new/cancel', { reason: 'x' })
    expect(kept).toMatchObject({ status: 409, body: { code: 'not-possible' } })
    expect(kept.body.errors[0].detail).toMatch(/quarantine/)
    expect(await ask('POST', '/outbound/two/retry', {})).toMatchObject({ status: 404 })
    expect(nudged).toEqual([])
  })
})
