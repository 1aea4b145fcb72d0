import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { openAppEvents } from '../../src/connect/app-events.js'
import { startAppWebhooks } from '../../src/delivery/app-webhook.js'
import { openMetrics } from '../../src/observe/metrics.js'
import type { AppEvents } from '../../src/ports/app-events.js'
import { outward } from '../../src/resolve/fetch.js'
import { auditOf, openRoom } from '../spool/room.js'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
const event: Parameters<AppEvents['event']>[1] = { type: 'connect.authorized', at: 0, data: { request: 'r1' } }

/** An endpoint that answers as it is told, and a worker that tells it. */
async function openEndpoint(answers: readonly number[], allowPrivate = true, host = '127.0.0.1') {
  const room = await openRoom()
  const got: { readonly headers: Record<string, unknown>; readonly body: string }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(answers[got.length - 1] ?? 200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  const url = `http://${host}:${(server.address() as AddressInfo).port}/hook`
  const webhook = async (app: string) => (app === 'app-1' ? { url, secret } : undefined)
  const events = openAppEvents({ apps: { webhook } })
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const work = startAppWebhooks({
    ...room,
    webhook,
    log: quiet,
    metrics: openMetrics({ process: false }),
    outward: outward({ allowPrivate }),
  })
  closers.push(() => work.stop(100))
  const told = async (app: string, once: string) => {
    const at = room.clock.now()
    await room.store.commit(await events.event(app, { ...event, at }, once))
    work.nudge()
  }
  const until = async (holds: () => Promise<boolean> | boolean) => {
    for (let i = 0; i < 200 && !(await holds()); i++) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(await holds()).toBe(true)
  }
  const waiting = async () => (await room.store.jobs('app-events', 10)).length
  return { ...room, got, told, until, waiting, work }
}

describe('an application', () => {
  it('is told once, with a signature of Standard Webhooks, and nothing but ids', async () => {
    const { got, told, until, waiting } = await openEndpoint([])
    await told('app-1', 'one')
    await until(async () => got.length === 1 && (await waiting()) === 0)
    const { headers, body } = got[0] ?? { headers: {}, body: '' }
    const id = String(headers['webhook-id'])
    const signed = `${id}.${headers['webhook-timestamp']}.${body}`
    const expected = createHmac('sha256', Buffer.alloc(32, 5)).update(signed).digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${expected}`)
    expect(JSON.parse(body)).toMatchObject({ type: 'connect.authorized', data: { id, request: 'r1' } })
  })

  it('is told again under the same id where it did not answer well, and no more after 410', async () => {
    const { got, told, until, waiting, clock, work, store } = await openEndpoint([500, 200, 410])
    await told('app-1', 'one')
    await until(() => got.length === 1)
    await until(async () => (await store.jobs('app-events', 10)).every(({ held }) => !held))
    clock.at += 10_000
    work.nudge()
    await until(async () => got.length === 2 && (await waiting()) === 0)
    expect(got[1]?.headers['webhook-id']).toBe(got[0]?.headers['webhook-id'])
    await told('app-1', 'two')
    await until(async () => got.length === 3 && (await waiting()) === 0)
    expect((await auditOf(store)).map(({ reason }) => reason)).toEqual(['webhook-gone'])
  })

  it.each(['127.0.0.1', 'localhost'])('is not told at %s, inside our own network', async (host) => {
    const { got, told, until, store } = await openEndpoint([], false, host)
    await told('app-1', 'one')
    await until(async () => (await store.jobs('app-events', 10)).some(({ attempt, held }) => attempt > 0 && !held))
    expect(got).toEqual([])
  })

  it('has nothing waiting for it where it has no webhook', async () => {
    const { told, waiting } = await openEndpoint([])
    await told('app-2', 'one')
    expect(await waiting()).toBe(0)
  })
})
