import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { bundleQueue } from '../../src/directory/bundle-rows.js'
import { openDirectory } from '../../src/directory/open.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { openBundles, startBundleRefresh } from '../../src/pipeline/bundles.js'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { standingClock } from '../contract/clock.js'
import { decided, made, masterKey, random, serving } from '../directory/worlds.js'
import { keeper, p7b } from '../fixtures/bundles.js'
import { makeAuthority, makeKey } from '../fixtures/pki.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'

describe.skipIf(!postgresPrograms)('bundles of several nodes over PostgreSQL (skipped where none is installed)', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.destroy())

  it('are loaded by one of them, and change for all of them at once', async () => {
    const url = await cluster.createDatabase()
    const clock = standingClock(Date.now())
    const key = { privateKey: makeKey() }
    const anchors = Array.from({ length: 1_500 }, () => makeAuthority({ key }))
    const source = keeper(p7b(anchors))
    const keyring = openKeyring({ current: masterKey() }, random)
    const node = async () => {
      const store = await openPostgresStore({ urls: [url], clock })
      const directory = await openDirectory({ store, keyring, audit, clock, random })
      const revocation = { status: async () => ({ kind: 'not-published' as const }) }
      const issuers = { of: async () => [] }
      return { revocation, issuers, store, directory, fetch: source.fetch, audit, clock, random }
    }
    const nodes = await Promise.all([node(), node(), node()])
    const [first, second] = nodes
    if (!first || !second) throw new Error('there are three')
    try {
      const domain = 'clinic.test' as DirectDomain
      await serving(first.directory, domain)
      const uses = [{ domain, direction: 'both' as const }]
      made(await openBundles(first).add({ name: 'pilots', url: 'https://community.test/b', uses }, 'operator'))
      const seen = async ({ directory }: typeof first) => {
        await directory.refresh()
        return decided(await directory.anchors.of(`a@${domain}` as DirectAddress, 'in')).length
      }
      expect(await Promise.all(nodes.map(seen))).toEqual([1_500, 1_500, 1_500])

      source.has(p7b(anchors.slice(0, 3)))
      clock.set((await first.store.nextDue(bundleQueue)) ?? 0)
      const works = nodes.map(startBundleRefresh)
      // While it changes nobody sees some of the old ones with some of the new ones.
      const counts = new Set<number>()
      for (let i = 0; i < 400 && !counts.has(3); i++) {
        counts.add(await seen(second))
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      for (const work of works) expect(await work.stop(10_000)).toBe(true)
      expect([...counts].sort((a, b) => a - b)).toEqual([3, 1_500])
      expect(await Promise.all(nodes.map(seen))).toEqual([3, 3, 3])
      expect(source.asked).toHaveLength(2)
    } finally {
      await Promise.all(nodes.map(({ store }) => store.close()))
    }
  })
})
