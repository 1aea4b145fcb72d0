import { afterAll, beforeAll, describe } from 'vitest'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { storeContract } from '../contract/store.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'

describe.skipIf(!postgresPrograms)('with a PostgreSQL server (skipped where none is installed)', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ settings: ['synchronous_commit = on'] })
  })
  afterAll(() => cluster?.destroy())

  storeContract('the PostgreSQL store', async () => {
    const url = await cluster.createDatabase()
    return {
      open: (clock) => openPostgresStore({ urls: [url], clock }),
      destroy: async () => {},
    }
  })
})
