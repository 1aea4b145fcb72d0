import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import process from 'node:process'
import type { RecordAccess } from '../src/direct/access.js'
import { openKeyring } from '../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { openVault } from '../src/keyring/vault.js'
import type { Blobs } from '../src/ports/blobs.js'
import type { AuthoredItem } from '../src/record/item.js'
import { openRecord } from '../src/record/record.js'
import { openLevelStore } from '../src/store/level/level.js'

/**
 * Written items over LevelDB with fsync: puts, updates, reads and lists per second, one after the other and 16 at once, each of
 * the 16 in a record of its own; then the same in one record that has 3,000 items of the type already. The folder is made below
 * the working directory: a temporary one may be memory. Run: npm run bench -- items [seconds for each]
 */

const seconds = Number(process.argv[2] ?? 3)
const random = { bytes: (size: number) => randomBytes(size) }
const master = readMasterKey(createMasterKey(random))
if (master.kind !== 'master-key') throw new Error(master.detail)

function weight(n: number): AuthoredItem {
  const day = new Date(Date.UTC(2010, 0, 1) + (n % 5000) * 86_400_000).toISOString().slice(0, 10)
  return {
    content: {
      ...{ type: 'vital-sign', test: { codings: [{ system: 'http://loinc.org', code: '29463-7' }] } },
      ...{ interpretations: [], referenceRanges: [] },
      value: { kind: 'quantity', quantity: { value: String(n), unit: 'kg' } },
    },
    when: { value: { text: day, precision: 'day', offsetMinutes: null, source: day } },
    negated: false,
    identifiers: [],
  }
}

const folder = await mkdtemp('bench-items-')
try {
  const clock = { now: () => Date.now() }
  const store = await openLevelStore(folder, clock)
  const vault = openVault({ store, keyring: openKeyring({ current: master.key }, random), random })
  const noBlobs: Pick<Blobs, 'get'> = { get: async () => undefined }
  const pause = () => new Promise<void>((resolve) => setImmediate(resolve))
  const record = openRecord({ store, vault, clock, blobs: noBlobs as Blobs, pause })
  let count = 0

  const whose = (id: string): RecordAccess => ({
    ...{ record: id, told: id, rules: 'all', custodian: false },
    actor: { by: 'app:bench', avenue: 'offline', app: 'bench' },
  })

  async function put(access: RecordAccess, many = 1) {
    const changes = Array.from({ length: many }, () => ({ kind: 'create' as const, item: weight(count++) }))
    const outcome = await record.put(access.record, changes, { access })
    if (outcome.kind !== 'put') throw new Error(outcome.detail)
    if ((await store.commit(outcome.parts)).kind !== 'committed') throw new Error('conflict')
    return outcome.items[0] ?? { id: '', version: '' }
  }

  async function update(access: RecordAccess, item: { id: string; version: string }) {
    const change = { kind: 'update' as const, entry: item.id, version: item.version, item: weight(count++) }
    const outcome = await record.put(access.record, [change], { access })
    if (outcome.kind !== 'put') throw new Error(outcome.detail)
    await store.commit(outcome.parts)
    item.version = outcome.items[0]?.version ?? ''
  }

  /** How often a second, by this many at once. */
  async function rate(name: string, workers: number, work: (worker: number) => Promise<unknown>) {
    const end = performance.now() + seconds * 1000
    const started = performance.now()
    let done = 0
    const one = async (worker: number) => {
      for (; performance.now() < end; done++) await work(worker)
    }
    await Promise.all(Array.from({ length: workers }, (_, worker) => one(worker)))
    console.log(`${name}, ${workers} at once: ${(done / ((performance.now() - started) / 1000)).toFixed(0)} per second`)
  }

  for (const workers of [1, 16]) {
    const kept = await Promise.all(Array.from({ length: workers }, (_, n) => put(whose(`kept-${workers}-${n}`))))
    const access = (n: number) => whose(`kept-${workers}-${n}`)
    await rate('create', workers, (n) => put(whose(`new-${workers}-${n}`)))
    await rate('update', workers, (n) => update(access(n), kept[n] as { id: string; version: string }))
    await rate('get', workers, (n) => record.get(access(n), kept[n]?.id ?? ''))
    await rate('page of 50', workers, (n) => record.list(whose(`new-${workers}-${n}`), {}))
  }
  const large = whose('large')
  for (let n = 0; n < 30; n++) await put(large, 100)
  const item = await put(large)
  await rate('create in a record of 3,000', 1, () => put(large))
  await rate('update in a record of 3,000', 1, () => update(large, item))
  await rate('page of 50 in a record of 3,000, nothing written between', 1, () => record.list(large, {}))
  await rate('create and page of 50 in a record of 3,000', 1, async () => {
    await put(large)
    await record.list(large, {})
  })
  await store.close()
} finally {
  await rm(folder, { recursive: true, force: true })
}
