import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { runSharedCheck, sharedChecks, sharedStoreContract } from '../contract/shared-store.js'
import { storeContract } from '../contract/store.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { buildPostgresStore } from '../fixtures/postgres-build.js'

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
