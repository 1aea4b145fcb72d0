import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RowChange, StoredRow } from '../../src/ports/store.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { openLevelStore } from '../../src/store/level/level.js'
import { openPostgresBlobs } from '../../src/store/postgres/blobs.js'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { backup } from '../../src/upkeep/backup.js'
import { createFile, readFileOf } from '../../src/upkeep/files.js'
import { move } from '../../src/upkeep/migrate.js'
import { restore } from '../../src/upkeep/restore.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { tell } from '../fixtures/process.js'
import { busyGateway, checkHome, contentsOf, keyringOf } from '../upkeep/world.js'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dg-homes-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const openFolder = async (name: string, clock: { now(): number }) => ({
  store: await openLevelStore(join(folder, name, 'store'), clock),
  blobs: await openFileBlobs(join(folder, name, 'blobs'), clock),
})

describe.skipIf(!postgresPrograms)(
  'from folders to PostgreSQL and back (skipped where no PostgreSQL is installed)',
  () => {
    let cluster: Cluster
    beforeAll(async () => {
      cluster = await startCluster()
    })
    afterAll(() => cluster.destroy())

    it('every row, job, link and blob arrives, and comes back the same', async () => {
      const busy = await busyGateway()
      const before = await contentsOf(busy.gateway.store)
      const { clock } = busy.disk
      const options = { urls: [await cluster.createDatabase()] }
      const openDatabase = async () => ({
        store: await openPostgresStore(options),
        blobs: await openPostgresBlobs(options),
      })

      const first = await openDatabase()
      const ports = { clock, targetName: 'there' }
      expect(await move({ ...ports, source: busy.gateway, target: first })).toMatchObject({ kind: 'moved' })
      await Promise.all([first.store.close(), first.blobs.close()])
      const database = await openDatabase()
      expect(await contentsOf(database.store)).toEqual(before)
      expect((await checkHome(busy.disk, database).findings()).findings).toEqual([])

      const target = await openFolder('back', clock)
      expect(await move({ ...ports, source: database, target })).toMatchObject({ kind: 'moved' })
      await Promise.all([database.store.close(), database.blobs.close(), target.store.close()])
      const back = await openFolder('back', clock)
      expect(await contentsOf(back.store)).toEqual(before)
      await back.store.close()
    })
  },
)

describe('twenty thousand rows on disk', () => {
  it('are backed up, restored and verified at a rate worth telling', async () => {
    const busy = await busyGateway()
    const { clock } = busy.disk
    const source = await openFolder('many', clock)
    const keyring = keyringOf(busy.disk)
    await source.store.load(many(busy.gateway.store.snapshot()))
    await source.store.close()
    const { store, blobs } = await openFolder('many', clock)
    for await (const name of busy.gateway.blobs.olderThan(-1e12)) {
      const chunks = await busy.gateway.blobs.get(name)
      if (chunks) await blobs.put(chunks)
    }
    const timed = async <T>(
      what: string,
      work: () => Promise<T>,
      size: (done: T) => { rows: number; bytes: number },
    ) => {
      const began = performance.now()
      const done = await work()
      const seconds = (performance.now() - began) / 1000
      const { rows, bytes } = size(done)
      tell(
        `${what}: ${rows} rows, ${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(2)} s: ${Math.round(rows / seconds)} rows/s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`,
      )
      return done
    }
    const path = join(folder, 'many.backup')
    const made = await timed(
      'backup',
      async () => backup({ store, blobs, clock, keyring }, await createFile(path)),
      (one) => one,
    )
    const home = await openFolder('many-restored', clock)
    await timed(
      'restore',
      () => restore({ ...home, clock, keyring }, () => readFileOf(path)),
      () => made,
    )
    await Promise.all([store.close(), home.store.close()])
    const restored = await openFolder('many-restored', clock)
    const check = checkHome(busy.disk, restored)
    const { verified, findings } = await timed(
      'verify',
      () => check.findings(),
      ({ verified }) => verified,
    )
    expect(findings).toEqual([])
    expect(verified.rows).toBeGreaterThan(20_000)
    await restored.store.close()
  })
})

/** All rows of an installation, and twenty thousand steps of trails beside them. */
async function* many(rows: AsyncIterable<StoredRow>): AsyncGenerator<RowChange> {
  let trail: Extract<StoredRow, { kind: 'entry' }> | undefined
  for await (const row of rows) {
    if (row.kind === 'entry' && row.key.startsWith('trail/')) trail = row
    yield { kind: 'put', row }
  }
  if (!trail) throw new Error('there is a trail')
  const [, , step = ''] = trail.key.split('/')
  for (let i = 0; i < 20_000; i++)
    yield { kind: 'put', row: { ...trail, key: `trail/made-${String(i).padStart(6, '0')}/${step}` } }
}
