import { describe, expect, it } from 'vitest'
import { watchEventLoop } from '../../src/observe/event-loop.js'
import { openHealth } from '../../src/observe/health.js'
import { watchQueues } from '../../src/observe/queues.js'

describe('health', () => {
  it('asks every check and names each answer', async () => {
    const health = openHealth()
    health.add('store', () => true)
    health.add('disk', async () => ({ ok: false, detail: '2% free' }))
    expect(await health.ready()).toEqual([
      { name: 'store', ok: true },
      { name: 'disk', ok: false, detail: '2% free' },
    ])
  })

  it('takes a check that throws or hangs for one that fails', async () => {
    const health = openHealth(20)
    health.add('throws', () => {
      throw new Error('disk gone')
    })
    health.add('hangs', () => new Promise<boolean>(() => undefined))
    expect(await health.ready()).toEqual([
      { name: 'throws', ok: false, detail: 'disk gone' },
      { name: 'hangs', ok: false, detail: 'no answer within 20 ms' },
    ])
  })

  it('is not ready while draining, and not live once failed', async () => {
    const health = openHealth()
    health.drain()
    expect((await health.ready()).map(({ name, ok }) => ({ name, ok }))).toEqual([{ name: 'draining', ok: false }])
    expect(health.live()).toBe(true)
    health.failed()
    expect(health.live()).toBe(false)
  })
})

describe('the watch over the event loop', () => {
  it('tells of a stall', async () => {
    const gauges = new Map<string, number>()
    const warnings: unknown[] = []
    const stop = watchEventLoop(
      {
        log: {
          info: () => undefined,
          error: () => undefined,
          warn: (event, fields) => void warnings.push([event, fields]),
        },
        metrics: {
          count: () => undefined,
          observe: () => undefined,
          gauge: (name, value, labels) =>
            void gauges.set(
              `${name} ${labels?.['quantile']}`,
              Math.max(value, gauges.get(`${name} ${labels?.['quantile']}`) ?? 0),
            ),
        },
      },
      { intervalMs: 150, warnMs: 50 },
    )
    await new Promise((resolve) => setTimeout(resolve, 40))
    const until = Date.now() + 90
    while (Date.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 200))
    stop()
    expect(gauges.get('event_loop_delay_seconds 1')).toBeGreaterThan(0.04)
    expect(warnings[0]).toEqual(['event-loop.stalled', { stalledMs: expect.any(Number) }])
  })
})

describe('the watch over the queues', () => {
  it('tells how long the oldest job waits, and warns of one that is stuck', async () => {
    const told: unknown[] = []
    const stop = watchQueues(
      {
        store: { nextDue: async (queue) => ({ inbound: 400_000, outbound: 2_000_000 })[queue] },
        clock: { now: () => 1_000_000 },
        log: {
          info: () => undefined,
          error: () => undefined,
          warn: (event, fields) => void told.push([event, fields]),
        },
        metrics: {
          count: () => undefined,
          observe: () => undefined,
          gauge: (name, value, labels) => void told.push([name, value, labels?.['queue']]),
        },
      },
      ['inbound', 'outbound', 'empty'],
      { intervalMs: 10, warnSeconds: 300 },
    )
    await new Promise((resolve) => setTimeout(resolve, 15))
    stop()
    expect(told.slice(0, 4)).toEqual([
      ['queue_oldest_seconds', 600, 'inbound'],
      ['queue.stuck', { queue: 'inbound', seconds: 600 }],
      ['queue_oldest_seconds', 0, 'outbound'],
      ['queue_oldest_seconds', 0, 'empty'],
    ])
  })
})
