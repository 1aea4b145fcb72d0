import { afterEach, describe, expect, test } from 'vitest'
import { type Attempt, openAttempts } from '../../src/delivery/attempt.js'
import { type DeliveryOptions, type DeliveryOutcome, startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { refused, undecided } from '../../src/direct/refusal.js'
import type { Work } from '../../src/pipeline/work.js'
import { type Store, within } from '../../src/ports/store.js'
import { decodeOutbound, encodeOutbound, type OutboundJob, outboundQueue } from '../../src/spool/outbound.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { type Behaviour, loopback, type ScriptedPeer, type Step, scriptedPeer } from './scripted.js'

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
const uncounted = { count: () => undefined, observe: () => undefined, gauge: () => undefined }
const middle = { bytes: () => Buffer.from('7fffffff', 'hex') }
const wire = Buffer.from('Content-Type: application/pkcs7-mime\r\nMessage-ID: <1@us.example>\r\n\r\nbody\r\n')
const start = 1_800_000_000_000
const day = 24 * 60 * 60 * 1000

/** A clock that only moves when told to. */
let now = start
const clock = { now: () => now }
const workers: Work[] = []
const peers: ScriptedPeer[] = []

afterEach(async () => {
  for (const work of workers.splice(0)) await work.stop(1000)
  for (const peer of peers.splice(0)) peer.close()
  now = start
})

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 2) {
    if (waited > 3000) throw new Error('It did not become true')
    await sleep(2)
  }
}

function owed(id: string, over: Partial<OutboundJob> = {}): OutboundJob {
  const to = ['to@peer.example' as DirectAddress]
  return {
    id,
    trail: `trail-${id}`,
    kind: 'mdn',
    from: null,
    to,
    stage: 'owed',
    body: Buffer.from('notice'),
    owedAt: start,
    tries: 0,
    ...over,
  }
}

async function enqueue(store: Store, ...jobs: OutboundJob[]): Promise<void> {
  await store.commit({
    enqueue: jobs.map((job) => ({ queue: outboundQueue, id: job.id, payload: encodeOutbound(job), dueAt: job.owedAt })),
  })
}

interface Delivering {
  readonly work: Work
  readonly outcomes: { id: string; outcome: DeliveryOutcome }[]
  readonly prepared: string[]
}

function delivering(store: Store, attempt: Attempt, options: Partial<DeliveryOptions> = {}): Delivering {
  const outcomes: Delivering['outcomes'] = []
  const prepared: string[] = []
  const work = startDelivery({
    store,
    clock,
    random: middle,
    log: quiet,
    metrics: uncounted,
    attempt,
    idleMs: 5,
    async prepare(job) {
      prepared.push(job.id)
      return { kind: 'sealed', wire }
    },
    outcomeParts(job, results) {
      for (const { to: _, ...outcome } of results) outcomes.push({ id: job.id, outcome: outcome as DeliveryOutcome })
      return {
        put: [{ key: `told/${job.id}/${outcomes.length}`, value: Buffer.from(results.map(({ kind }) => kind).join()) }],
      }
    },
    ...options,
  })
  workers.push(work)
  return { work, outcomes, prepared }
}

async function through(
  ...scripts: Partial<Record<Step, Behaviour>>[]
): Promise<{ peer: ScriptedPeer; attempt: Attempt }> {
  const peer = await scriptedPeer(...scripts)
  peers.push(peer)
  const limits = { idleMs: 300, lastReplyMs: 300, greetingMs: 300 }
  return { peer, attempt: openAttempts({ hostname: 'us.example', exchanges: loopback, port: peer.port, limits }) }
}

const rows = async (store: Store, prefix: string) =>
  (await store.range({ ...within(prefix), limit: 100 })).map(({ key }) => key)

describe('mail that is owed', () => {
  test('is made, sent, told of and gone', async () => {
    const store = await openMemoryStore({ clock })
    const { peer, attempt } = await through({})
    await enqueue(store, owed('a'))
    const { outcomes } = delivering(store, attempt)
    await until(() => outcomes.length === 1)
    expect(outcomes[0]).toMatchObject({ id: 'a', outcome: { kind: 'delivered', reply: '250 2.0.0 queued as 1' } })
    await until(() => peer.messages.length === 1)
    await sleep(10)
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
    expect(await rows(store, 'delivery/')).toEqual([])
    expect(await rows(store, 'told/')).toEqual(['told/a/1'])
  })

  test('is made once: each try sends the same bytes', async () => {
    const store = await openMemoryStore({ clock })
    const { peer, attempt } = await through({ RCPT: '450 grey' }, { message: { act: 'reset' } }, {})
    await enqueue(store, owed('a'))
    const { outcomes, prepared } = delivering(store, attempt)
    for (const wait of [15_000, 60_000]) {
      const told = outcomes.length
      await until(() => outcomes.length > told)
      expect(outcomes.at(-1)?.outcome).toMatchObject({ kind: 'retry', nextAt: now + wait })
      await sleep(20)
      now += wait
    }
    await until(() => outcomes.length === 3)
    expect(outcomes[2]?.outcome.kind).toBe('delivered')
    expect(prepared).toEqual(['a'])
    expect(peer.messages).toHaveLength(2)
    expect(new Set(peer.messages).size).toBe(1)
  })

  test('that cannot be made is refused, or waits, and dials nobody', async () => {
    const store = await openMemoryStore({ clock })
    const { peer, attempt } = await through({})
    await enqueue(store, owed('no'), owed('later'))
    let answers = 0
    const { outcomes } = delivering(store, attempt, {
      async prepare(job) {
        if (job.id === 'no') return refused('no-key-for-recipient', 'none')
        return ++answers === 1 ? undecided('certificate-discovery-unavailable', 'dns') : { kind: 'sealed', wire }
      },
    })
    await until(() => outcomes.length === 2)
    expect(outcomes.find(({ id }) => id === 'no')?.outcome).toMatchObject({
      kind: 'refused',
      refusal: { reason: 'no-key-for-recipient' },
    })
    expect(outcomes.find(({ id }) => id === 'later')?.outcome).toMatchObject({ kind: 'retry', nextAt: now + 15_000 })
    expect(peer.connections()).toBe(0)
    await sleep(20)
    now += 15_000
    await until(() => outcomes.length === 3)
    expect(outcomes[2]).toMatchObject({ id: 'later', outcome: { kind: 'delivered' } })
  })
})

describe('the end', () => {
  test('a refusal for good fails at once, a domain that takes no mail too', async () => {
    const store = await openMemoryStore({ clock })
    const { attempt } = await through({ RCPT: '550 5.1.1 nobody' })
    await enqueue(store, owed('a'))
    const { outcomes } = delivering(store, attempt)
    await until(() => outcomes.length === 1)
    expect(outcomes[0]?.outcome).toMatchObject({ kind: 'failed', detail: '550 5.1.1 nobody' })
    await sleep(10)
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
  })

  test('a peer that never answers is tried until the lifetime is over, and then no more', async () => {
    const store = await openMemoryStore({ clock })
    const moments: number[] = []
    await enqueue(store, owed('a', { stage: 'sealed', body: wire }))
    const { outcomes } = delivering(store, async () => {
      moments.push(now - start)
      return { kind: 'temporary', detail: 'down' }
    })
    while (outcomes.at(-1)?.outcome.kind !== 'expired') {
      const told = outcomes.length
      await until(() => outcomes.length > told)
      const last = outcomes.at(-1)?.outcome
      await sleep(8)
      if (last?.kind === 'retry') now = last.nextAt
    }
    expect(moments.slice(0, 4)).toEqual([0, 15_000, 75_000, 375_000])
    expect(moments.at(-1)).toBe(day)
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
    expect(await rows(store, 'delivery/')).toEqual([])
  })

  test('mail that arrived is not sent again because telling of it failed', async () => {
    const store = await openMemoryStore({ clock })
    const { peer, attempt } = await through({})
    await enqueue(store, owed('a', { stage: 'sealed', body: wire }))
    delivering(store, attempt, {
      outcomeParts() {
        throw new Error('a bug')
      },
    })
    await until(() => peer.messages.length === 1)
    await sleep(50)
    now += 60_000
    await sleep(50)
    expect(peer.messages).toHaveLength(1)
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
  })

  test('a job that nobody can read is kept', async () => {
    const store = await openMemoryStore({ clock })
    const attempt: Attempt = () => Promise.reject(new Error('not called'))
    await store.commit({ enqueue: [{ queue: outboundQueue, id: 'x', payload: Buffer.from('what?'), dueAt: now }] })
    delivering(store, attempt)
    await sleep(50)
    expect(await store.jobs(outboundQueue, 10)).toMatchObject([{ id: 'x', dueAt: now + day, held: false }])
  })

  test('a conflict is settled with fresh parts', async () => {
    const store = await openMemoryStore({ clock })
    const { attempt } = await through({})
    await enqueue(store, owed('a', { stage: 'sealed', body: wire }))
    let asked = 0
    delivering(store, attempt, {
      outcomeParts: () => ({ require: [{ key: 'k', version: ++asked < 3 ? 1 : ('absent' as const) }] }),
    })
    await until(() => asked === 3)
    await sleep(10)
    expect(await store.jobs(outboundQueue, 10)).toEqual([])
  })
})

describe('a death in the middle', () => {
  test('the time of the next try is durable before anybody is dialled', async () => {
    const disk = createMemoryDisk()
    const store = await openMemoryStore({ clock, disk })
    await enqueue(store, owed('a', { stage: 'sealed', body: wire }))
    let dialled = 0
    // The process dies in the dialogue: nothing after it ever happens.
    delivering(store, () => {
      dialled++
      return new Promise(() => undefined)
    })
    await until(() => dialled === 1)
    const revived = await openMemoryStore({ clock, disk })
    const { peer, attempt } = await through({})
    const { outcomes } = delivering(revived, attempt)
    await until(() => outcomes.length === 1)
    expect(outcomes[0]?.outcome).toEqual({ kind: 'retry', detail: 'try 1 was interrupted', nextAt: start + 15_000 })
    expect(peer.connections()).toBe(0)
    const [job] = await revived.jobs(outboundQueue, 1)
    expect(job && decodeOutbound(job.payload)).toMatchObject({ tries: 1, stage: 'sealed' })
    now += 15_000
    await until(() => outcomes.length === 2)
    expect(outcomes[1]?.outcome.kind).toBe('delivered')
  })

  test('at every call of the store, before it and after: one ending, the same bytes, at most one duplicate', async () => {
    for (const side of ['beforeCall', 'afterCall'] as const) {
      for (let fatal = 1; fatal < 60; fatal++) {
        now = start
        const disk = createMemoryDisk()
        await enqueue(await openMemoryStore({ clock, disk }), owed('a'))
        const sent: string[] = []
        const attempt: Attempt = async (mail) => {
          sent.push(Buffer.from(mail.wire as Uint8Array).toString())
          return { kind: 'delivered', host: 'h', reply: '250 ok' }
        }
        let dead = false
        let steps = 0
        const dies = () => {
          if (dead || ++steps === fatal) {
            dead = true
            throw new Error('the process died')
          }
        }
        const doomed = await openMemoryStore({ clock, disk, [side]: dies })
        const first = delivering(doomed, attempt, { idleMs: 1 })
        const ended = async () => (await (await openMemoryStore({ clock, disk })).jobs(outboundQueue, 1)).length === 0
        for (let turn = 0; turn < 50 && !dead && !(await ended()); turn++) await sleep(1)
        const unharmed = !dead
        dead = true
        await first.work.stop(100)
        now += 15_000
        const revived = await openMemoryStore({ clock, disk })
        const second = delivering(revived, attempt, { idleMs: 1 })
        for (let turn = 0; turn < 100 && (await revived.jobs(outboundQueue, 1)).length > 0; turn++) {
          await sleep(1)
          now += 1000
        }
        await second.work.stop(100)
        expect(await revived.jobs(outboundQueue, 1)).toEqual([])
        expect(await rows(revived, 'delivery/')).toEqual([])
        expect(sent.length, `${side} ${fatal}`).toBeGreaterThan(0)
        expect(sent.length, `${side} ${fatal}`).toBeLessThanOrEqual(2)
        expect(new Set(sent).size).toBe(1)
        if (!unharmed) continue
        expect(fatal).toBeGreaterThan(6) // else the process was never in danger
        break
      }
    }
  })
})

test('one destination has two connections, others do not wait for it', async () => {
  const store = await openMemoryStore({ clock })
  const jobs = Array.from({ length: 8 }, (_, i) => owed(`slow-${i}`, { stage: 'sealed', body: wire }))
  const other = owed('other', { stage: 'sealed', body: wire, to: ['a@other.example' as DirectAddress], owedAt: start })
  await enqueue(store, ...jobs, other)
  let dialling = 0
  let most = 0
  const order: string[] = []
  const { outcomes } = delivering(store, async ({ to: [to = ''] }) => {
    if (to.endsWith('@peer.example')) {
      most = Math.max(most, ++dialling)
      await sleep(30)
      dialling--
    }
    order.push(to)
    return { kind: 'delivered', host: 'h', reply: '250 ok' }
  })
  await until(() => order.includes('a@other.example'))
  expect(order.length).toBeLessThanOrEqual(3)
  for (let turn = 0; turn < 200 && outcomes.length < 9; turn++) {
    await sleep(5)
    now += 100
  }
  expect(outcomes).toHaveLength(9)
  expect(most).toBe(2)
})
