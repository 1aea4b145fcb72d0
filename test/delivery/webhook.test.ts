import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { startWebhooks, type WebhookOptions, webhookLimits } from '../../src/delivery/webhook.js'
import { openWebhookDesk } from '../../src/delivery/webhook-desk.js'
import { messageOf, type WebhookEndpoint } from '../../src/delivery/webhook-endpoint.js'
import { openWebhookLine } from '../../src/delivery/webhook-post.js'
import { changed, readState, webhookQueue } from '../../src/delivery/webhook-state.js'
import type { Store } from '../../src/ports/store.js'
import { openEvents } from '../../src/spool/events.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { audit } from '../spool/room.js'
import { auditOf, endpointOf, happen, openReceiver, type Receiver, until, upTo } from './receiver.js'

const clock = { now: () => Date.now() }
const random = { bytes: (size: number) => new Uint8Array(randomBytes(size)) }
const quick = { lookMs: 5, idleMs: 10, leaseMs: 2_000 }

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A worker that stops with the test. */
function started(store: Store, endpoints: readonly WebhookEndpoint[], more: Partial<WebhookOptions> = {}) {
  const logged: string[] = []
  const note = (event: string, fields?: object) => void logged.push(`${event} ${JSON.stringify(fields ?? {})}`)
  const log = { info: note, warn: note, error: note }
  const metrics = { count: () => undefined, observe: () => undefined, gauge: () => undefined }
  const work = startWebhooks({
    store,
    clock,
    random,
    audit,
    log,
    metrics,
    endpoints,
    retryMs: [5],
    limits: quick,
    ...more,
  })
  closing.push(() => work.stop(1_000))
  return { ...work, logged }
}

async function receiving(...given: Parameters<typeof openReceiver>): Promise<Receiver> {
  const receiver = await openReceiver(...given)
  closing.push(receiver.close)
  return receiver
}

async function newStore(): Promise<Store> {
  const store = await openMemoryStore({ clock })
  closing.push(() => store.close())
  return store
}

/** A store with an endpoint that is told from the first event on. */
async function fromTheStart(store: Store, name = 'ehr'): Promise<void> {
  await store.commit(changed({ name, version: 'absent' }, { cursor: 0 }))
}

const cursorOf = async (store: Store) => (await readState(store, 'ehr'))?.state.cursor

describe('an endpoint', () => {
  it('is told of every event in order, signed, over one connection', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url)])
    await happen(store, 250)
    await until(() => receiver.all.length === 250)
    expect(receiver.taken()).toEqual(upTo(250))
    expect(receiver.all.every(({ genuine }) => genuine)).toBe(true)
    expect(new Set(receiver.all.map(({ id }) => id)).size).toBe(250)
    expect(receiver.connections()).toBe(1)
    await until(async () => (await cursorOf(store)) === 250, 'the cursor')
  })

  it('hears ids and words in the form of Standard Webhooks', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url)])
    await happen(store, 1, 'notice-owed', 'abc')
    await until(() => receiver.all.length === 1)
    const { type, timestamp, data } = JSON.parse(receiver.all[0]?.body ?? '')
    expect(type).toBe('message.notice_owed')
    expect(data).toEqual({
      ...{ sequence: 1, id: receiver.all[0]?.id, at: timestamp, message: 'abc' },
      ...{ step: 'notice-owed', recipient: 'r0@far.example', detail: 'notice-owed 0' },
    })
    expect(receiver.all[0]?.id).toMatch(/^abc-\d{15}-\d{5}-[0-9a-f]{8}$/)
  })

  it('that is new begins at the present end of the log', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await happen(store, 37)
    started(store, [endpointOf(receiver.url)])
    await until(async () => (await cursorOf(store)) === 37, 'its state')
    await happen(store, 2)
    await until(() => receiver.all.length === 2)
    expect(receiver.taken()).toEqual([38, 39])
  })

  it('is told only of the steps it asked for', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url, { steps: ['failed'] })], { limits: { ...quick, passedEvents: 20 } })
    await happen(store, 30, 'attempted')
    await happen(store, 2, 'failed')
    await happen(store, 30, 'attempted')
    await until(() => receiver.all.length === 2)
    expect(receiver.taken()).toEqual([31, 32])
    await until(async () => ((await cursorOf(store)) ?? 0) > 50, 'what was passed over is written down')
  })

  it('that fails is told the same event again, before any later one, however often', async () => {
    const store = await newStore()
    const receiver = await receiving((response, n) => response.writeHead(n % 3 === 0 ? 204 : 500).end('no'))
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url)])
    await happen(store, 10)
    await until(() => receiver.all.length === 30)
    expect(receiver.taken()).toEqual(upTo(10).flatMap((n) => [n, n, n]))
    expect(new Set(receiver.all.map(({ id }) => id)).size).toBe(10)
    await until(async () => (await cursorOf(store)) === 10, 'the cursor')
    expect((await readState(store, 'ehr'))?.state).toEqual({ cursor: 10, deliveredAt: expect.any(Number) })
  })

  it('is told again through a connection that closed while it was idle', async () => {
    const store = await newStore()
    const receiver = await receiving((response) => {
      response.writeHead(204).end()
      response.socket?.destroySoon()
    })
    await fromTheStart(store)
    const worker = started(store, [endpointOf(receiver.url)])
    await happen(store, 5)
    await until(() => receiver.all.length >= 5)
    expect([...new Set(receiver.taken())]).toEqual(upTo(5))
    expect(worker.logged.filter((line) => line.startsWith('webhook.failed')).length).toBeLessThanOrEqual(5)
  })

  it('that answers 410 is paused with an alarm until an operator resumes it', async () => {
    const store = await newStore()
    let gone = true
    const receiver = await receiving((response) => response.writeHead(gone ? 410 : 200).end())
    await fromTheStart(store)
    const endpoints = [endpointOf(receiver.url)]
    const worker = started(store, endpoints)
    await happen(store, 2)
    await until(async () => (await readState(store, 'ehr'))?.state.paused === 'gone')
    expect(await store.jobs(webhookQueue, 10)).toEqual([])
    expect(worker.logged).toContainEqual('alarm {"reason":"webhook-gone","webhook":"ehr"}')
    const told = await auditOf(store)
    expect(told).toMatchObject([{ action: 'alarm', reason: 'webhook-gone', subject: { webhook: 'ehr' } }])
    gone = false
    const desk = openWebhookDesk({ store, clock, random, audit, endpoints })
    expect(await desk.list()).toMatchObject([{ name: 'ehr', state: 'gone', behind: 2 }])
    expect(await desk.resume('ehr', 'operator')).toEqual({ kind: 'done' })
    worker.nudge()
    await until(() => receiver.all.length === 3)
    expect(receiver.taken()).toEqual([1, 1, 2])
  })

  it('that fails for long raises one alarm, and another one only after it was well', async () => {
    const store = await newStore()
    let well = false
    const receiver = await receiving((response) => response.writeHead(well ? 200 : 503).end())
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url)], { limits: { ...quick, alarmMs: 30 } })
    const alarms = async () => (await auditOf(store)).filter(({ reason }) => reason === 'webhook-failing').length
    await happen(store, 1)
    await until(async () => (await alarms()) === 1, 'the alarm')
    const before = receiver.all.length
    await until(() => receiver.all.length > before + 5)
    expect(await alarms()).toBe(1)
    well = true
    await until(async () => (await cursorOf(store)) === 1, 'the cursor')
    well = false
    await happen(store, 1)
    await until(async () => (await alarms()) === 2, 'the second alarm')
  })

  it('is left alone for as long as it asked for', async () => {
    const store = await newStore()
    const receiver = await receiving((response) => response.writeHead(503, { 'retry-after': '900' }).end())
    await fromTheStart(store)
    started(store, [endpointOf(receiver.url)])
    await happen(store, 1)
    await until(async () => (await readState(store, 'ehr'))?.state.failures === 1)
    const { nextAt, lastError } = (await readState(store, 'ehr'))?.state ?? {}
    expect((nextAt ?? 0) - Date.now()).toBeGreaterThan(850_000)
    expect(lastError).toBe('answered 503')
    expect((await store.jobs(webhookQueue, 1))[0]?.dueAt).toBe(nextAt)
  })

  it('that is configured no more loses its job, and goes on where it was when it comes back', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await fromTheStart(store)
    const first = started(store, [endpointOf(receiver.url)])
    await happen(store, 3)
    await until(async () => (await cursorOf(store)) === 3, 'the cursor')
    await first.stop(1_000)
    const second = started(store, [])
    await until(async () => (await store.jobs(webhookQueue, 1)).length === 0, 'the end of the job')
    await happen(store, 3)
    const desk = openWebhookDesk({ store, clock, random, audit, endpoints: [] })
    expect(await desk.list()).toMatchObject([{ name: 'ehr', state: 'removed', cursor: 3, behind: 3 }])
    await second.stop(1_000)
    started(store, [endpointOf(receiver.url)])
    await until(() => receiver.all.length === 6)
    expect(receiver.taken()).toEqual(upTo(6))
  })

  it('that was away for too long is forgotten', async () => {
    const store = await newStore()
    await store.commit(changed({ name: 'ehr', version: 'absent' }, { cursor: 5, removedAt: Date.now() - 10 }))
    await store.commit(changed({ name: 'kept', version: 'absent' }, { cursor: 5 }))
    started(store, [], { limits: { ...quick, removedMs: 5 } })
    await until(async () => (await readState(store, 'ehr')) === undefined)
    expect((await readState(store, 'kept'))?.state.cursor).toBe(5)
  })

  it('does not hold up another one', async () => {
    const [store, well] = [await newStore(), await receiving()]
    const stuck = await receiving(() => undefined)
    for (const name of ['stuck', 'well']) await fromTheStart(store, name)
    started(store, [endpointOf(stuck.url, { name: 'stuck' }), endpointOf(well.url, { name: 'well' })], {
      timeoutMs: 60_000,
    })
    await happen(store, 20)
    await until(() => well.all.length === 20)
    expect(stuck.all).toHaveLength(1)
  })

  it('that is being told when the process ends is told again, and nothing counts as its failure', async () => {
    const store = await newStore()
    let slow = true
    const receiver = await receiving((response, n) => (n > 2 && slow ? undefined : response.writeHead(204).end()))
    await fromTheStart(store)
    const first = started(store, [endpointOf(receiver.url)])
    await happen(store, 4)
    await until(() => receiver.all.length === 3)
    expect(await first.stop(20)).toBe(false)
    expect((await readState(store, 'ehr'))?.state).toEqual({ cursor: 2, deliveredAt: expect.any(Number) })
    slow = false
    started(store, [endpointOf(receiver.url)])
    await until(() => receiver.all.length === 5)
    expect(receiver.taken()).toEqual([1, 2, 3, 3, 4])
  })
})

describe('an operator', () => {
  async function desked() {
    const [store, receiver] = [await newStore(), await receiving()]
    const endpoints = [endpointOf(`${receiver.url}?key=hidden`)]
    await fromTheStart(store)
    const worker = started(store, endpoints)
    const desk = openWebhookDesk({ store, clock, random, audit, endpoints })
    return { store, receiver, worker, desk }
  }

  it('pauses, looks, and resumes; what happened meanwhile is told then', async () => {
    const { store, receiver, desk } = await desked()
    await happen(store, 2)
    await until(async () => (await cursorOf(store)) === 2, 'the cursor')
    await desk.pause('ehr', 'operator')
    await until(async () => (await store.jobs(webhookQueue, 1)).length === 0, 'the end of the job')
    await happen(store, 3)
    const [standing] = await desk.list()
    expect(standing).toMatchObject({ state: 'paused', cursor: 2, behind: 3 })
    expect(standing?.url).not.toContain('hidden')
    await desk.resume('ehr', 'operator')
    await until(() => receiver.all.length === 5)
    expect(receiver.taken()).toEqual(upTo(5))
    expect((await auditOf(store)).map(({ action, actor }) => `${action} ${actor}`)).toEqual([
      'webhook.pause operator',
      'webhook.resume operator',
    ])
  })

  it('replays from an event, and from a moment, under the same ids', async () => {
    const { store, receiver, desk } = await desked()
    await happen(store, 6)
    await until(async () => (await cursorOf(store)) === 6, 'the cursor')
    expect(await desk.replay('ehr', { kind: 'sequence', sequence: 4 }, 'operator')).toEqual({
      kind: 'done',
      from: 4,
      events: 3,
    })
    await until(() => receiver.all.length === 9)
    expect(receiver.taken()).toEqual([1, 2, 3, 4, 5, 6, 4, 5, 6])
    expect(receiver.all[6]?.id).toBe(receiver.all[3]?.id)
    await until(async () => (await cursorOf(store)) === 6, 'the cursor')
    await desk.replay('ehr', { kind: 'time', at: 0 }, 'operator')
    await until(() => receiver.all.length === 15)
    expect(receiver.taken().slice(9)).toEqual(upTo(6))
  })

  it('who replays while an endpoint fails has it tried at once', async () => {
    const store = await newStore()
    let well = false
    const receiver = await receiving((response) => response.writeHead(well ? 204 : 500).end())
    const endpoints = [endpointOf(receiver.url)]
    await fromTheStart(store)
    const worker = started(store, endpoints, { retryMs: [3_600_000] })
    const desk = openWebhookDesk({ store, clock, random, audit, endpoints })
    await happen(store, 2)
    await until(async () => (await desk.list())[0]?.state === 'failing')
    well = true
    await desk.replay('ehr', { kind: 'sequence', sequence: 1 }, 'operator')
    worker.nudge()
    await until(() => receiver.all.length === 3)
    expect(receiver.taken()).toEqual([1, 1, 2])
  })

  it('tests an endpoint with a request that is no event', async () => {
    const { store, receiver, desk } = await desked()
    expect(await desk.test('ehr', 'operator')).toEqual({ kind: 'taken', detail: 'answered 204' })
    expect(receiver.all).toMatchObject([{ genuine: true, id: expect.stringMatching(/^test-[0-9a-f]{32}$/) }])
    expect(await cursorOf(store)).toBe(0)
    expect(await desk.test('nobody', 'operator')).toEqual({ kind: 'unknown' })
    expect(await desk.pause('nobody', 'operator')).toEqual({ kind: 'unknown' })
  })

  it('who changes an endpoint at any moment loses none of its events', async () => {
    const { store, receiver, desk } = await desked()
    const happening = happen(store, 200)
    for (let i = 0; i < 20; i++) {
      await desk.pause('ehr', 'operator')
      await desk.resume('ehr', 'operator')
      await new Promise((resolve) => setTimeout(resolve, i % 4))
    }
    await happening
    await until(async () => (await cursorOf(store)) === 200, 'the cursor')
    expect(firstTimes(receiver)).toEqual(upTo(200))
  })
})

describe('two processes over one store', () => {
  it('tell an endpoint one after the other, never both', async () => {
    const [store, receiver] = [await newStore(), await receiving()]
    await fromTheStart(store)
    const endpoints = [endpointOf(receiver.url)]
    const [one, other] = [started(store, endpoints), started(store, endpoints)]
    await happen(store, 50)
    await until(() => receiver.all.length === 50)
    await Promise.race([one.stop(1_000), other.stop(1_000)])
    await happen(store, 50)
    if ((await Promise.all([one.stop(1_000), other.stop(1_000)])).length === 2) started(store, endpoints)
    await until(async () => (await cursorOf(store)) === 100, 'the cursor')
    expect(receiver.taken()).toEqual(upTo(100))
  })

  it('where one lost its lease without knowing, tell everything all the same, and it gives way', async () => {
    const store = await newStore()
    let [stall, release]: [boolean, () => void] = [true, () => undefined]
    const receiver = await receiving(async (response, n) => {
      if (n === 3 && stall) await new Promise<void>((resolve) => (release = resolve))
      response.writeHead(204).end()
    })
    await fromTheStart(store)
    const endpoints = [endpointOf(receiver.url)]
    const deaf: Store = { ...store, extend: async () => false }
    started(deaf, endpoints, { limits: { ...quick, leaseMs: 100 } })
    await happen(store, 6)
    await until(() => receiver.all.length === 3)
    stall = false
    const other = started(store, endpoints)
    // A new claim is the only word of a lease that has run out.
    const nudging = setInterval(() => other.nudge(), 20)
    await until(async () => (await cursorOf(store)) === 6, 'the cursor')
    clearInterval(nudging)
    release()
    await happen(store, 4)
    await until(async () => (await cursorOf(store)) === 10, 'the cursor')
    expect(firstTimes(receiver)).toEqual(upTo(10))
  })
})

/** The order in which events came for the first time. */
function firstTimes(receiver: Receiver): readonly number[] {
  return [...new Set(receiver.taken())]
}

type Starting = (store: Store, endpoint: WebhookEndpoint) => { stop(graceMs: number): Promise<unknown> }

/** Lets the process die before and after each call of the store, and a sound one go on; tells which events never came. */
async function dyingEverywhere(start: Starting): Promise<readonly string[]> {
  const lost: string[] = []
  for (const when of ['beforeCall', 'afterCall'] as const) {
    for (let k = 1; k <= 24; k++) {
      const disk = createMemoryDisk()
      const quiet = await openMemoryStore({ clock, disk })
      await fromTheStart(quiet)
      await happen(quiet, 5)
      await quiet.close()
      let dead = false
      const dying = (_: string, n: number) => {
        dead ||= n >= k
        if (dead) throw new Error('the process died')
      }
      // What it calls afterwards does not happen either.
      const over = () => {
        if (dead) throw new Error('the process is dead')
      }
      const receiver = await openReceiver()
      const endpoint = endpointOf(receiver.url)
      const first = await openMemoryStore({ clock, disk, beforeCall: over, [when]: dying })
      const doomed = start(first, endpoint)
      await until(() => dead, 'the death')
      await doomed.stop(0)
      await first.close()
      const second = await openMemoryStore({ clock, disk })
      await happen(second, 1)
      const sound = start(second, endpoint)
      await until(async () => (await cursorOf(second)) === 6, 'the cursor')
      await sound.stop(1_000)
      if (firstTimes(receiver).join() !== upTo(6).join()) lost.push(`${when} ${k}: ${receiver.taken()}`)
      await second.close()
      await receiver.close()
    }
  }
  return lost
}

describe('a process that dies at any call of the store', () => {
  it('has told everything in order once another one went on', async () => {
    const metrics = { count: () => undefined, observe: () => undefined, gauge: () => undefined }
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const start: Starting = (store, endpoint) =>
      startWebhooks({
        store,
        clock,
        random,
        audit,
        log,
        metrics,
        endpoints: [endpoint],
        retryMs: [5],
        limits: { ...quick, pageEvents: 2 },
      })
    expect(await dyingEverywhere(start)).toEqual([])
  }, 60_000)

  it('is found out where it writes down its place before the event was taken', async () => {
    const hasty: Starting = (store, endpoint) => {
      let stopping = false
      const line = openWebhookLine(endpoint)
      const work = async () => {
        while (!stopping) {
          const stored = await readState(store, 'ehr')
          const page = stored ? await openEvents({ store }).read(stored.state.cursor, 2) : []
          const last = page.at(-1)
          if (stored && last) await store.commit(changed(stored, { cursor: last.sequence }))
          for (const { sequence, event } of page) if (event) await line.post(messageOf(sequence, event), Date.now())
          if (!last) await new Promise((resolve) => setTimeout(resolve, 2))
        }
      }
      const done = work().catch(() => undefined)
      return {
        stop: async () => {
          stopping = true
          await done
          line.close()
        },
      }
    }
    expect((await dyingEverywhere(hasty)).length).toBeGreaterThan(0)
  }, 60_000)
})

describe('the limits', () => {
  it('are in proportion: who lost an endpoint has noticed long before the alarm', () => {
    expect(webhookLimits.leaseMs).toBeLessThan(webhookLimits.alarmMs)
    expect(webhookLimits.lookMs).toBeLessThan(webhookLimits.leaseMs)
  })
})
