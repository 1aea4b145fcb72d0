import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Store } from '../../src/ports/store.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { migrations } from '../../src/store/postgres/schema.js'
import { standingClock } from '../contract/clock.js'
import { runSharedCheck, sharedChecks, sharedStoreContract } from '../contract/shared-store.js'
import { storeContract } from '../contract/store.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { buildPostgresStore } from '../fixtures/postgres-build.js'

interface Change {
  readonly require: readonly { readonly key: string; readonly wants: string }[]
  readonly put: readonly string[]
  readonly del: readonly string[]
  readonly append: readonly string[]
  readonly enqueue: readonly string[]
  readonly ack: readonly number[]
  readonly release: readonly number[]
}

/** Commits batches that wait together; answers what became of each and who held what before. */
async function commitTogether(store: Store, changes: readonly Change[]) {
  const versions = new Map<string, number | 'absent'>()
  for (const key of ['a', 'b', 'c']) versions.set(key, (await store.get(key))?.version ?? 'absent')
  const held = await store.claim('q', 3, 1000)
  const at = (places: readonly number[]) => places.flatMap((place) => (held[place] ? [{ job: held[place] }] : []))
  const results = await Promise.all(
    changes.map(({ require, put, del, append, enqueue, ack, release }, n) => {
      const bytes = (what: string) => Buffer.from(`${what} ${n}`)
      return store.commit({
        require: require.map(({ key, wants }) => ({
          key,
          version: wants === 'absent' ? 'absent' : wants === 'stale' ? 2 ** 50 : (versions.get(key) ?? 'absent'),
        })),
        put: put.map((key) => ({ key, value: bytes(key) })),
        del,
        append: append.map((log) => ({ log, value: bytes(log) })),
        enqueue: enqueue.map((id) => ({ queue: 'q', id, payload: bytes(id), dueAt: n })),
        ack: at(ack),
        release: at(release).map(({ job }) => ({ job, dueAt: n, payload: bytes('back') })),
      })
    }),
  )
  return { results, held: held.map(({ id, attempt, dueAt }) => [id, attempt, dueAt]) }
}

/** Every row but its version, which each store gives in its own way. */
async function everythingOf(store: Store) {
  const rows: unknown[] = []
  for await (const row of store.snapshot()) {
    const value = Buffer.from(row.kind === 'job' ? row.payload : row.value).toString()
    if (row.kind === 'entry') rows.push([row.key, value])
    else if (row.kind === 'job') rows.push([row.id, row.dueAt, row.attempt, value])
    else rows.push([row.log, row.sequence, value, Buffer.from(row.link).toString('hex')])
  }
  return rows
}

describe.skipIf(!postgresPrograms)('with a PostgreSQL server (skipped where none is installed)', () => {
  let cluster: Cluster
  let root: string
  beforeAll(async () => {
    cluster = await startCluster()
    root = await mkdtemp(join(tmpdir(), 'gateway-postgres-build-'))
  })
  afterAll(async () => {
    await cluster?.destroy()
    await rm(root, { recursive: true, force: true })
  })

  async function createHome(open: typeof openPostgresStore = openPostgresStore) {
    const url = await cluster.createDatabase()
    return {
      open: (clock: { now(): number }) => open({ urls: [url], clock }),
      destroy: async () => {},
    }
  }

  it('answers and keeps what the memory store does, whatever waits together', async () => {
    const url = await cluster.createDatabase()
    const clock = standingClock()
    let runs = 0
    const key = fc.constantFrom('a', 'b', 'c')
    const change = fc.record({
      require: fc.array(fc.record({ key, wants: fc.constantFrom('absent', 'current', 'stale') }), { maxLength: 2 }),
      put: fc.array(key, { maxLength: 2 }),
      del: fc.array(key, { maxLength: 1 }),
      append: fc.array(fc.constantFrom('l', 'm'), { maxLength: 2 }),
      enqueue: fc.array(fc.constantFrom('x', 'y', 'z'), { maxLength: 2 }),
      ack: fc.array(fc.nat(2), { maxLength: 1 }),
      release: fc.array(fc.nat(2), { maxLength: 1 }),
    })
    const rounds = fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(rounds, async (rounds) => {
        const schema = `run_${++runs}`
        const stores = [await openPostgresStore({ urls: [url], clock, schema }), await openMemoryStore({ clock })]
        for (const groups of rounds) {
          const seen = await Promise.all(stores.map((store) => commitTogether(store, groups)))
          expect(seen[0]).toEqual(seen[1])
          clock.advance(1000)
        }
        const told = await Promise.all(stores.map(everythingOf))
        expect(told[0]).toEqual(told[1])
        await Promise.all(stores.map((store) => store.close()))
      }),
      { numRuns: 40 },
    )
  })

  it('goes back step by step as its schema says, and forward again', async () => {
    const url = await cluster.createDatabase()
    const name = url.slice(url.lastIndexOf('/') + 1)
    for (let round = 0; round < 2; round++) {
      const store = await openPostgresStore({ urls: [url] })
      expect(await store.commit({ append: [{ log: 'l', value: Buffer.from('x') }] })).toEqual({ kind: 'committed' })
      await store.close()
      for (const { number, down } of [...migrations].reverse())
        await cluster.sql(
          `SET search_path = direct_gateway; ${down}; UPDATE meta SET value = '${number - 1}' WHERE name = 'format'`,
          name,
        )
    }
  })

  storeContract('the PostgreSQL store', createHome)
  sharedStoreContract('the PostgreSQL store', createHome)

  describe('the contract of shared stores catches a store that', () => {
    const bugs = [
      {
        name: 'takes jobs without locking them',
        file: 'statements.ts',
        plant: (text: string) => text.replace(' FOR UPDATE SKIP LOCKED', ''),
        caughtBy: 'gives no job to two of 32 workers in two stores',
      },
      {
        name: 'takes jobs by their ids without locking them',
        file: 'statements.ts',
        plant: (text: string) => text.replace(' FOR UPDATE OF job SKIP LOCKED', ''),
        caughtBy: 'gives a job to one of those who claim it in turn and by its id in two stores',
      },
      {
        name: 'ends jobs without the fence',
        file: 'statements.ts',
        plant: (text: string) => text.replace(/ AND job\.token = held\.token AND job\.held_until > \$\{now\}/, ''),
        caughtBy: 'refuses the end of a job that the other store has taken over',
      },
      {
        name: 'guards no absent key',
        file: 'group.ts',
        plant: (text: string) =>
          text.replace(
            "if (version !== 'absent')",
            "if (version === 'absent' && !changed.has(key)) continue\nif (version !== 'absent')",
          ),
        caughtBy: 'lets one of two win that each require absent what the other puts',
      },
      {
        name: 'guards no version',
        file: 'statements.ts',
        plant: (text: string) => text.replace('count(*) FILTER (WHERE found)', '$3::int8'),
        caughtBy: 'loses no update of 32 workers that compare and set through two stores',
      },
    ]
    for (const { name, file, plant, caughtBy } of bugs)
      it(`${name} (seeded bug)`, async () => {
        const open = await buildPostgresStore(await mkdtemp(join(root, 'bug-')), (path, text) => {
          if (!path.endsWith(`postgres/${file}`)) return text
          const planted = plant(text)
          expect(planted).not.toBe(text)
          return planted
        })
        const one = sharedChecks.find(({ name }) => name === caughtBy)
        if (!one) throw new Error(`No check is called: ${caughtBy}`)
        // A race need not be lost each time.
        let caught = false
        for (let roundsLeft = 20; roundsLeft > 0 && !caught; roundsLeft--)
          caught = await runSharedCheck(one, await createHome(open)).then(
            () => false,
            () => true,
          )
        expect(caught).toBe(true)
      })
  })
})
