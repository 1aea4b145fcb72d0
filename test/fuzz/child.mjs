// One target in a process of its own: `node --expose-gc child.mjs <json>`. Tells lines of JSON; started by run.mjs.
import { hash } from 'node:crypto'
import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { startCoverage } from './coverage.mjs'
import { dice } from './dice.mjs'
import { fuzzLimits } from './limits.mjs'
import { targets, withBug } from './targets.mjs'

const { name, seed, part, untilMs, mostInputs, bug, folder, file, first } = JSON.parse(process.argv[2])
const target = bug ? withBug(targets[name], bug) : targets[name]
const tell = (message) => writeSync(1, `${JSON.stringify(message)}\n`)

/** What is read right now, for whoever finds us dead or standing still: counter, length, bytes. */
const current = openSync(join(folder, 'current'), 'w')
let inputs = 0
function note(bytes) {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(inputs, 0)
  head.writeUInt32BE(bytes.length, 4)
  writeSync(current, Buffer.concat([head, bytes]), 0, bytes.length + 8, 0)
}

const found = new Set()
function finding(kind, bytes, detail, key = detail) {
  if (found.has(`${kind} ${key}`)) return
  found.add(`${kind} ${key}`)
  const kept = join(folder, `${name}-${kind}-${hash('sha256', bytes, 'hex').slice(0, 12)}.bin`)
  writeFileSync(kept, bytes)
  tell({ kind, detail, file: kept, input: inputs })
  if (first) end()
}

function end() {
  tell({ kind: 'end', inputs, kept: corpus.length - target.seeds.length, characters: coverage.characters() })
  process.exit(0)
}

const rss = () => process.memoryUsage.rss()
const mib = (bytes) => Math.round(bytes / 1024 / 1024)

/** Where an error was thrown in our own code: one bug is told once. */
const placeOf = (error) => /\n\s+at (.*\/dist\/.*)/.exec(error?.stack ?? '')?.[1] ?? ''

async function read(bytes) {
  inputs++
  note(bytes)
  const begun = performance.now()
  try {
    await target.read(bytes)
  } catch (error) {
    finding(
      'crash',
      bytes,
      `${error?.name}: ${error?.message} at ${placeOf(error)}`,
      `${error?.name} ${placeOf(error)}`,
    )
  }
  const tookMs = performance.now() - begun
  if (tookMs > fuzzLimits.inputMs) await timeAgain(bytes)
  // Asking costs more than most inputs; nobody takes so much memory without taking time, or else many times.
  if ((tookMs > fuzzLimits.weighMs || inputs % fuzzLimits.batch === 0) && rss() > ceiling) await weighAgain(bytes)
}

/** The machine may have been busy: what counts is the time of our own. */
async function timeAgain(bytes) {
  const before = process.cpuUsage()
  await Promise.resolve(target.read(Buffer.from(bytes))).catch(() => {})
  const { user, system } = process.cpuUsage(before)
  if (user + system > fuzzLimits.inputMs * 1000)
    finding('slow', bytes, `${Math.round((user + system) / 1000)} ms`, 'slow')
}

/** What lies about and can be given back is no finding; what stays, or one input takes alone, is. */
async function weighAgain(bytes) {
  // Buffers are freed by another thread, a little later.
  globalThis.gc()
  await setTimeout(100)
  globalThis.gc()
  const kept = rss()
  if (kept > ceiling) {
    finding('memory', bytes, `${mib(kept - baseline)} MiB more than at first are not given back`, 'kept')
    ceiling = kept + fuzzLimits.memoryBytes
    return
  }
  await Promise.resolve(target.read(Buffer.from(bytes))).catch(() => {})
  const taken = rss()
  if (taken - kept > fuzzLimits.memoryBytes) finding('memory', bytes, `${mib(taken - kept)} MiB for one input`, 'taken')
  globalThis.gc()
}

let baseline = 0
let ceiling = Number.POSITIVE_INFINITY

const coverage = startCoverage()
const corpus = [...target.seeds]
const chance = dice(seed, name, part)
for (const one of corpus) await read(target.bytesOf(one))
coverage.fresh()
globalThis.gc()
baseline = rss()
ceiling = baseline + fuzzLimits.memoryBytes
if (file !== undefined) {
  await read(readFileSync(file))
  end()
}

/**
 * Which of a batch made new code run is seen when copies are read again, one by one. What the readers themselves remember
 * does not run again: then any one is kept.
 */
async function keepNew(batch) {
  const before = corpus.length
  for (const { seed: one, bytes } of batch) {
    await read(Buffer.from(bytes))
    if (coverage.fresh() > 0 && bytes.length <= fuzzLimits.keptBytes) corpus.push(one)
  }
  coverage.settle()
  const small = batch.filter(({ bytes }) => bytes.length <= fuzzLimits.keptBytes)
  if (corpus.length === before && small.length > 0) corpus.push(chance.pick(small).seed)
}

while (Date.now() < untilMs && inputs < (mostInputs ?? Number.POSITIVE_INFINITY)) {
  const batch = []
  for (let i = 0; i < fuzzLimits.batch; i++) {
    // Half of the time from what was kept last: it stands where others did not get to.
    const from = chance.below(2) === 0 ? corpus[Math.max(0, corpus.length - 1 - chance.below(32))] : chance.pick(corpus)
    const next = target.mutate(from, corpus, chance)
    if (next.bytes.length <= fuzzLimits.inputBytes) batch.push(next)
  }
  for (const { bytes } of batch) await read(bytes)
  if (coverage.look()) await keepNew(batch)
}
end()
