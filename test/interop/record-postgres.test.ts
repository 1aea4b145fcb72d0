import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { recordContract, recordKey, recordNode } from '../contract/record.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'

const clock = { now: () => Date.now() }

describe.skipIf(!postgresPrograms)('with a PostgreSQL server (skipped where none is installed)', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.destroy())

  recordContract('PostgreSQL, two nodes', async () => {
    const url = await cluster.createDatabase()
    return { open: () => openPostgresStore({ urls: [url], clock }), nodes: 2, destroy: async () => {} }
  })

  it('loses nothing that was said to be kept, and doubles nothing, when the server crashes amid imports', async () => {
    const url = await cluster.createDatabase()
    const key = recordKey()
    const store = await openPostgresStore({ urls: [url], clock })
    const node = recordNode(store, key)
    const kept: string[] = []
    const writers = [0, 1, 2].map(async (writer) => {
      for (let n = 0; n < 40; n++) {
        await node.bring(`${writer}-${n}`)
        kept.push(`item-${writer}-${n}`)
      }
    })
    const ends = Promise.allSettled(writers)
    while (kept.length < 8) await sleep(5)
    await cluster.stop('immediate')
    await Promise.race([ends, sleep(10_000)])
    await store.close().catch(() => {})
    await cluster.start()

    const again = await openPostgresStore({ urls: [url], clock })
    const after = recordNode(again, key)
    const [entry] = await after.told()
    expect(entry?.from).toEqual(expect.arrayContaining(kept))
    // Whoever heard nothing sends again: all are there, each once.
    for (const writer of [0, 1, 2]) for (let n = 0; n < 10; n++) await after.bring(`${writer}-${n}`)
    const [whole, ...more] = await after.told()
    expect(more).toEqual([])
    expect(new Set(whole?.from).size).toBe(whole?.from.length)
    for (const writer of [0, 1, 2]) for (let n = 0; n < 10; n++) expect(whole?.from).toContain(`item-${writer}-${n}`)
    await again.close()
  })
})
