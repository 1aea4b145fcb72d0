import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import type { DirectAddress } from '../src/direct/address.js'
import type { ItemContent, RecordItem, RecordItemType } from '../src/direct/clinical.js'
import { openKeyring } from '../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { openVault } from '../src/keyring/vault.js'
import type { Blobs } from '../src/ports/blobs.js'
import type { Batch } from '../src/ports/store.js'
import type { ReadDocument } from '../src/record/item.js'
import { openRecord } from '../src/record/record.js'
import { openLevelStore } from '../src/store/level/level.js'

/**
 * What a large record costs, over LevelDB: a document of 60 items into a record of 3,000, the first page of a list after it
 * (of all types and of one), a decision, and the list after that; each the median of several, wall clock and processor.
 * Then the first list of a record of 60,000 results of one kind, the most there may be, and how long the event loop stood
 * still meanwhile. The folder is made below the working directory: a temporary one may be memory.
 * Run: npm run bench -- record [rounds]
 */

const rounds = Number(process.argv[2] ?? 15)
const recordId = 'r'

const random = { bytes: (size: number) => randomBytes(size) }
const master = readMasterKey(createMasterKey(random))
if (master.kind !== 'master-key') throw new Error(master.detail)

const loinc = (code: string) => ({ codings: [{ system: 'http://loinc.org', code }] })
const snomed = (code: string) => ({ codings: [{ system: 'http://snomed.info/sct', code }] })

/** What the n-th item of a record says: three of five are results, as in records of people with a long illness. */
function contentOf(n: number): ItemContent {
  const kinds: readonly (() => ItemContent)[] = [
    () => ({ type: 'problem', problem: snomed(`${1000 + (n % 60)}`) }),
    () => ({
      type: 'medication',
      product: snomed(`${2000 + (n % 80)}`),
      timings: [],
      asNeeded: false,
      indications: [],
    }),
  ]
  const result = (): ItemContent => ({
    ...{ type: 'result', test: loinc(`${n % 90}-1`), interpretations: [], referenceRanges: [] },
    value: { kind: 'quantity', quantity: { value: String(n % 211), unit: 'mg/dL' } },
  })
  return (kinds[n % 5] ?? result)()
}

function itemsFrom(from: number, count: number, document: string, make = contentOf): RecordItem[] {
  return Array.from({ length: count }, (_, at) => {
    const n = from + at
    const day = new Date(Date.UTC(2010, 0, 1) + (n % 5000) * 86_400_000).toISOString().slice(0, 10)
    return {
      id: createHash('sha256').update(`${document} ${n}`).digest('hex'),
      content: make(n),
      when: { value: { text: day, precision: 'day', offsetMinutes: null, source: day } },
      negated: false,
      identifiers: [{ root: '1.2.3', value: `${n % 2000}` }],
      provenance: { document, entry: `/entry[${n}]`, authors: [] },
    }
  })
}

function documentOf(from: number, count: number, make?: typeof contentOf): ReadDocument {
  const bytes = Buffer.from(`document ${from} ${count}`)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const content: ItemContent = {
    type: 'document',
    mediaType: 'text/xml',
    sizeBytes: bytes.length,
    sha256,
    format: 'ccd',
  }
  const provenance = { document: sha256, entry: '', authors: [] }
  const item = { id: `document-${sha256}`, content, negated: false, identifiers: [], provenance }
  return { item, bytes, items: itemsFrom(from, count, sha256, make), diagnostics: [], entries: [] }
}

const noBlobs: Pick<Blobs, 'get'> = { get: async () => undefined }

async function openRoom(folder: string) {
  const clock = { now: () => Date.now() }
  const store = await openLevelStore(folder, clock)
  if (master.kind !== 'master-key') throw new Error(master.detail)
  const vault = openVault({ store, keyring: openKeyring({ current: master.key }, random), random })
  const record = openRecord({
    ...{ store, vault, clock, blobs: noBlobs as Blobs },
    pause: () => new Promise((resolve) => setImmediate(resolve)),
  })
  const address = 'bench@gw.example' as DirectAddress
  async function commit(parts: Batch) {
    const { kind } = await store.commit(parts)
    if (kind !== 'committed') throw new Error(kind)
  }
  async function bring(document: ReadDocument) {
    const from = { sender: address, mailbox: address, messageId: 'm', spoolId: 's' }
    await commit((await record.proposal(recordId, { documents: [document], ...from })).parts)
  }
  async function add(entry: string) {
    const outcome = await record.decide(recordId, [{ kind: 'add', entry }], 'bench')
    if (outcome.kind !== 'decided') throw new Error(outcome.detail)
    await commit(outcome.parts)
  }
  const page = async (type?: RecordItemType) => {
    const found = await record.list(recordId, { ...(type && { type }), state: 'proposed' })
    return found.kind === 'page' ? found.items : []
  }
  return { store, bring, add, page }
}

/** Milliseconds of the wall clock and of all processors. */
async function timed(work: () => Promise<unknown>): Promise<readonly [number, number]> {
  const [from, cpu] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(cpu)
  return [performance.now() - from, (user + system) / 1000]
}

function print(what: string, times: readonly (readonly [number, number])[]): void {
  const column = (at: 0 | 1) => times.map((time) => time[at]).sort((a, b) => a - b)
  const [wall, cpu] = [column(0), column(1)]
  const middle = (all: readonly number[]) => (all[Math.floor(all.length / 2)] ?? 0).toFixed(1)
  console.log(
    `${what}: ${middle(wall)} ms (${middle(cpu)} ms of processors), the longest ${wall.at(-1)?.toFixed(1)} ms`,
  )
}

async function large(folder: string): Promise<void> {
  const { store, bring, add, page } = await openRoom(folder)
  for (let at = 0; at < 10; at++) await bring(documentOf(at * 300, 300))
  const steps: Record<string, (readonly [number, number])[]> = {}
  const step = async (name: string, work: () => Promise<unknown>) => {
    steps[name] = [...(steps[name] ?? []), await timed(work)]
  }
  await step('first page of all types, nothing remembered', () => page())
  for (let round = 0; round < rounds; round++) {
    const document = documentOf(3000 + round * 60, 60)
    await step('a document of 60 items into a record of 3,000', () => bring(document))
    await step('first page of problems after it', () => page('problem'))
    await step('first page of all types after that', () => page())
    const [entry] = await page('problem')
    await step('a decision', () => add(entry?.id ?? ''))
    await step('first page of all types after it', () => page())
    await step('first page again', () => page())
  }
  for (const [name, times] of Object.entries(steps)) print(name, times)
  await store.close()
}

/** The most that a type may have, and the worst of it: all of one test, in one year. */
async function largest(folder: string): Promise<void> {
  const { store, bring, page } = await openRoom(folder)
  const result = (n: number): ItemContent => ({
    ...{ type: 'result', test: loinc('2339-0'), interpretations: [], referenceRanges: [] },
    value: { kind: 'quantity', quantity: { value: String(n % 400), unit: 'mg/dL' } },
  })
  for (let at = 0; at < 3; at++) await bring(documentOf(at * 19_999, 19_999, result))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  print('first page of 60,000 results', [await timed(() => page('result'))])
  console.log(`the event loop stood still for ${(delay.max / 1e6).toFixed(0)} ms at most`)
  delay.reset()
  print('one document more', [await timed(() => bring(documentOf(70_000, 60)))])
  console.log(`the event loop stood still for ${(delay.max / 1e6).toFixed(0)} ms at most`)
  delay.disable()
  await store.close()
}

const root = await mkdtemp('scratch-record-')
try {
  await large(`${root}/large`)
  await largest(`${root}/largest`)
} finally {
  await rm(root, { recursive: true, force: true })
}
