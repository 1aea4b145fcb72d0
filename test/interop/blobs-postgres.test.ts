import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StoreFailed } from '../../src/ports/store.js'
import { openPostgresBlobs, type PostgresBlobs, postgresBlobLimits } from '../../src/store/postgres/blobs.js'
import { blobContract } from '../contract/blobs.js'
import { standingClock } from '../contract/clock.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'

describe.skipIf(!postgresPrograms)('with a PostgreSQL server (skipped where none is installed)', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.destroy())

  blobContract('blobs in PostgreSQL', async () => {
    const url = await cluster.createDatabase()
    const opened: PostgresBlobs[] = []
    return {
      async open(clock) {
        const blobs = await openPostgresBlobs({ urls: [url], clock })
        opened.push(blobs)
        return blobs
      },
      async destroy() {
        await Promise.all(opened.map((blobs) => blobs.close()))
      },
    }
  })

  describe('blobs in PostgreSQL', () => {
    const clock = standingClock(Date.now())
    const bytes = randomBytes(1_000_000)
    let database: string
    let blobs: PostgresBlobs
    const counted = async (table: string) => {
      const [row] = await cluster.sql(`SELECT count(*)::int AS rows FROM direct_gateway.${table}`, database)
      return row?.['rows']
    }

    beforeEach(async () => {
      const url = await cluster.createDatabase()
      database = url.split('/').at(-1) ?? ''
      blobs = await openPostgresBlobs({ urls: [url], clock })
    })
    afterEach(() => blobs.close())

    async function* pausing(at: number, then: () => Promise<void>) {
      yield bytes.subarray(0, at)
      await then()
      yield bytes.subarray(at)
    }

    it('leave no row behind of a source that breaks off, of twins, and of what was deleted', async () => {
      const broken = pausing(600_000, async () => {
        throw new Error('the client vanished')
      })
      await expect(blobs.put(broken)).rejects.toThrow('the client vanished')
      const [name] = await Promise.all(Array.from({ length: 5 }, () => blobs.put([bytes])))
      expect([await counted('blob'), await counted('blob_chunk'), await counted('blob_draft')]).toEqual([1, 8, 0])
      await blobs.delete(name ?? '')
      expect([await counted('blob'), await counted('blob_chunk'), await counted('blob_draft')]).toEqual([0, 0, 0])
    })

    it('write rows of at most 128 KiB', async () => {
      await blobs.put([bytes])
      const [row] = await cluster.sql(
        'SELECT max(octet_length(bytes)) AS most FROM direct_gateway.blob_chunk',
        database,
      )
      expect(row?.['most']).toBe(128 * 1024)
    })

    it('clear the drafts of processes that died, and never one that is being written', async () => {
      const dead = `INSERT INTO direct_gateway.blob_draft VALUES ('dead', ${clock.now() - postgresBlobLimits.draftMs - 1});
        INSERT INTO direct_gateway.blob_chunk VALUES ('dead', 0, 'x'), ('dead', 1, 'y')`
      const name = await blobs.put(
        pausing(600_000, async () => {
          await cluster.sql(dead, database)
          for await (const found of blobs.olderThan(0)) expect(found).toBe('')
          expect([await counted('blob_chunk'), await counted('blob_draft')]).toEqual([4, 1])
        }),
      )
      expect(await blobs.size(name)).toBe(bytes.length)
    })

    it('name nothing that lost a chunk on its way', async () => {
      const robbed = pausing(600_000, async () => {
        await cluster.sql('DELETE FROM direct_gateway.blob_chunk WHERE n = 0', database)
      })
      await expect(blobs.put(robbed)).rejects.toThrow(StoreFailed)
      expect([await counted('blob'), await counted('blob_chunk'), await counted('blob_draft')]).toEqual([0, 0, 0])
    })

    it('are an error and never a short blob where a chunk is gone or cut', async () => {
      const name = await blobs.put([bytes])
      const read = async () => {
        for await (const chunk of (await blobs.get(name)) ?? []) expect(chunk.length).toBeGreaterThan(0)
      }
      await read()
      await cluster.sql("UPDATE direct_gateway.blob_chunk SET bytes = 'short' WHERE n = 7", database)
      await expect(read()).rejects.toThrow(StoreFailed)
      await cluster.sql('DELETE FROM direct_gateway.blob_chunk WHERE n = 1', database)
      await expect(read()).rejects.toThrow(StoreFailed)
    })

    it('fail and come back when the server loses their connections, and keep what was acknowledged', async () => {
      const kept = await blobs.put([bytes])
      const cut = pausing(600_000, async () => {
        await cluster.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`,
          database,
        )
      })
      await expect(blobs.put(cut)).rejects.toThrow(StoreFailed)
      await expect.poll(() => blobs.size(kept).catch(() => undefined), { timeout: 5_000 }).toBe(bytes.length)
      expect(await blobs.size(await blobs.put([bytes.subarray(1)]))).toBe(bytes.length - 1)
    })
  })
})
