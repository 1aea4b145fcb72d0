import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { verifyChain } from '../../src/audit/audit.js'
import type { Blobs } from '../../src/ports/blobs.js'
import { type Store, within } from '../../src/ports/store.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { openLevelStore } from '../../src/store/level/level.js'
import { type Dice, dice } from './dice.js'
import { type CutReport, type CuttableDisk, cuttableDisk, type SyncFault, shim } from './power.js'
import { copyProduct, type Plant, plants } from './product.js'
import type { Harness, Measure } from './verdict.js'

/** The bare store and blobs under SIGKILL and power cuts: many rounds a minute, where a whole gateway takes a second each. */

const program = fileURLToPath(new URL('./store-writer.mjs', import.meta.url))
const clock = { now: () => Date.now() }
/** After so many rounds a new folder: looking at everything ever written would be the slowest part. */
const roundsOfFolder = 10

interface Manner {
  readonly name: string
  readonly words: 'honest' | 'reply-first'
  readonly plants: readonly Plant[]
  readonly power: boolean
}

interface Tally {
  rounds: number
  acknowledged: number
  lost: number
  duplicated: number
  readonly trouble: string[]
  readonly cuts: CutReport[]
}

const none = (): Tally => ({ rounds: 0, acknowledged: 0, lost: 0, duplicated: 0, trouble: [], cuts: [] })

export interface WriterEnd {
  readonly acknowledged: readonly string[]
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly words: string
}

/** Runs the writer; kills it so many milliseconds after its first word, where it should be killed. */
export function runWriter(
  dist: string,
  folder: string,
  from: number,
  options: {
    readonly words?: Manner['words']
    readonly count?: number
    readonly killAfterMs?: number
    readonly env?: Readonly<Record<string, string>>
  },
): Promise<WriterEnd> {
  const args = [program, dist, folder, String(from), options.words ?? 'honest', String(options.count ?? Infinity)]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  let [said, words] = ['', '']
  const deadline = setTimeout(() => child.kill('SIGKILL'), 20_000)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (said === '' && options.killAfterMs !== undefined)
      setTimeout(() => child.kill('SIGKILL'), options.killAfterMs).unref()
    said += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text
  })
  return new Promise((resolve) =>
    child.once('close', (code, signal) => {
      clearTimeout(deadline)
      // The last line may have been cut off by the kill; then nobody heard it.
      const acknowledged = said
        .slice(0, Math.max(0, said.lastIndexOf('\n')))
        .split('\n')
        .filter(Boolean)
      resolve({ acknowledged, code, signal, words })
    }),
  )
}

/** What lasts of a data folder: ids by key, by log entry and by job, and which blobs are missing or not whole. */
export async function look(folder: string): Promise<{
  readonly keys: readonly string[]
  readonly logged: readonly string[]
  readonly queued: readonly string[]
  readonly chain: string
  readonly spoilt: readonly string[]
}> {
  const store = await openLevelStore(join(folder, 'store'), clock)
  try {
    const blobs = await openFileBlobs(join(folder, 'blobs'), clock)
    const { keys, spoilt } = await keysOf(store, blobs)
    const chain = await verifyChain(store, { log: 'written' })
    return { keys, spoilt, logged: await logOf(store), queued: await queueOf(store), chain: chain.kind }
  } finally {
    await store.close()
  }
}

async function keysOf(store: Store, blobs: Blobs) {
  const keys: string[] = []
  const spoilt: string[] = []
  const { lt, gte: first } = within('written/')
  for (let gte = first; ; ) {
    const page = await store.range({ gte, lt, limit: 1000 })
    for (const { key, value } of page) {
      const id = key.slice('written/'.length)
      keys.push(id)
      if (value.length === 64 && !(await whole(blobs, Buffer.from(value).toString()))) spoilt.push(id)
    }
    const last = page.at(-1)
    if (!last) return { keys: keys.sort(), spoilt }
    gte = `${last.key}\0`
  }
}

async function whole(blobs: Blobs, name: string): Promise<boolean> {
  const chunks = await blobs.get(name)
  if (!chunks) return false
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex') === name
}

async function logOf(store: Store): Promise<string[]> {
  const ids: string[] = []
  for (;;) {
    const page = await store.log('written', ids.length + 1, 1000)
    if (page.length === 0) return ids.sort()
    ids.push(...page.map(({ value }) => Buffer.from(value).toString()))
  }
}

async function queueOf(store: Store): Promise<string[]> {
  const ids: string[] = []
  for (;;) {
    const page = await store.claim('written', 1000, 60_000)
    if (page.length === 0) return ids.sort()
    ids.push(...page.map(({ id }) => id))
  }
}

/** Compares what lasts with what was acknowledged, and says in `tally` what does not agree. */
export async function judge(folder: string, acknowledged: ReadonlySet<string>, tally: Omit<Tally, 'cuts'>, at: string) {
  try {
    const { keys, logged, queued, chain, spoilt } = await look(folder)
    const there = new Set(keys)
    const gone = [...acknowledged].filter((id) => !there.has(id))
    const broken = spoilt.filter((id) => acknowledged.has(id))
    tally.lost += gone.length + broken.length
    tally.duplicated += logged.length - new Set(logged).size
    // What was committed together is there together, in a log without gaps.
    if (chain !== 'whole') tally.trouble.push(`${at}: the log is ${chain}`)
    if (keys.join() !== logged.join() || keys.join() !== queued.join())
      tally.trouble.push(`${at}: ${keys.length} keys, ${logged.length} entries, ${queued.length} jobs: not the same`)
  } catch (error) {
    tally.trouble.push(`${at}: the store does not open: ${String(error)}`)
    tally.lost += acknowledged.size
  }
}

/** Rounds of writing, killing, cutting where asked, and looking. Ends early once something is lost where `untilCaught`. */
async function rounds(measure: Measure, manner: Manner, count: number, untilCaught = false): Promise<Tally> {
  const tally = none()
  const home = join(measure.home, manner.name)
  const dist = copyProduct(home, 'product', manner.plants)
  let acknowledged = new Set<string>()
  let disk: CuttableDisk | undefined
  let folder = ''
  for (let round = 0; round < count; round++) {
    const chance = dice(measure.seed, manner.name, round)
    if (round % roundsOfFolder === 0) {
      if (folder !== '') rmSync(join(folder, '..'), { recursive: true, force: true })
      folder = join(home, `disk-${round}`, 'data')
      mkdirSync(folder, { recursive: true })
      disk = manner.power ? cuttableDisk(folder, join(folder, '..')) : undefined
      acknowledged = new Set()
    }
    const end = await runWriter(dist, folder, round * 1_000_000, {
      words: manner.words,
      killAfterMs: chance.between(0, 150),
      ...(disk && { env: disk.powered() }),
    })
    if (end.signal !== 'SIGKILL' || end.acknowledged.length === 0)
      tally.trouble.push(`round ${round}: the writer ended with ${end.code ?? end.signal}: ${end.words.slice(0, 200)}`)
    for (const id of end.acknowledged) acknowledged.add(id)
    tally.acknowledged += end.acknowledged.length
    if (disk) cutPower(disk, chance, tally)
    tally.rounds++
    const before = tally.lost
    await judge(folder, acknowledged, tally, `round ${round}`)
    if (tally.lost > before) measure.tell(`${manner.name} round ${round}: ${tally.lost - before} lost`)
    if (tally.lost > before || tally.trouble.length > 5) {
      if (untilCaught || tally.trouble.length > 5) break
      acknowledged = new Set() // told once
    }
  }
  rmSync(home, { recursive: true, force: true })
  return tally
}

function cutPower(disk: CuttableDisk, chance: Dice, tally: Tally) {
  const report = disk.cut(chance)
  tally.cuts.push(report)
  if (report.overwrites > 0)
    tally.trouble.push(`${report.overwrites} writes in place: more than the model can take back`)
}

const honest = { words: 'honest', plants: [] } as const

/** SIGKILL of the bare store. Seeded bug: a writer that replies first. */
export const killStore: Harness = async (measure) => {
  const { rounds: done, ...tally } = await rounds(
    measure,
    { ...honest, name: 'kill-store', power: false },
    measure.rounds,
  )
  const bug = { ...honest, name: 'kill-store-reply-first', words: 'reply-first', power: false } as const
  const caught = await rounds(measure, bug, 5, true)
  return {
    ...tally,
    rounds: done,
    caught: caught.lost > 0,
    notes: [`reply-first lost ${caught.lost} in ${caught.rounds}`],
  }
}

/** Power cuts of the bare store and blobs. Seeded bugs: no sync of the store, none of blobs, and a reply before the write. */
export const powerCutStore: Harness = async (measure) => {
  if (shim() === undefined) return { skipped: 'no C compiler for the shim' }
  const { cuts, ...tally } = await rounds(measure, { ...honest, name: 'power-cut-store', power: true }, measure.rounds)
  const bugs: readonly Omit<Manner, 'power'>[] = [
    { ...honest, name: 'unsynced', plants: plants.unsynced },
    { ...honest, name: 'unsynced-blob', plants: plants.unsyncedBlob },
    { ...honest, name: 'reply-first', words: 'reply-first' },
  ]
  const seen: Tally[] = []
  for (const bug of bugs) seen.push(await rounds(measure, { ...bug, power: true }, 5, true))
  return {
    ...tally,
    caught: seen.every(({ lost }) => lost > 0),
    notes: [told(cuts), `caught after ${bugs.map(({ name }, at) => `${name} ${seen[at]?.rounds}`).join(', ')} rounds`],
  }
}

/** What the cuts took, in words: a cut that takes nothing proves nothing. */
export function told(cuts: readonly CutReport[]): string {
  const sum = (of: (cut: CutReport) => number) => cuts.reduce((all, cut) => all + of(cut), 0)
  return `${Math.round(sum(({ bytes }) => bytes) / 1024)} KiB in ${sum(({ files }) => files)} files and ${sum(({ undone }) => undone)} of ${sum(({ unsyncedNames }) => unsyncedNames)} unsynced names taken away`
}

/** For the harness of failing syncs. */
export type { SyncFault }
