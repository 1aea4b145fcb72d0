import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { clock } from './clock.js'
import { diskFull } from './disk-full.js'
import { kill, powerCut } from './gateway.js'
import { nodes, postgres } from './postgres.js'
import { slowPeers } from './slow-peers.js'
import { gracefulStop } from './stop.js'
import { killStore, powerCutStore } from './store.js'
import { failingSync, failingSyncStore } from './sync-faults.js'
import { type Harness, holds, lineOf, type Verdict } from './verdict.js'

/** Every harness by name, in the order in which they run. */
const harnesses: Readonly<Record<string, Harness>> = {
  kill,
  'power-cut': powerCut,
  'failing-sync': failingSync,
  'disk-full': diskFull,
  clock,
  'graceful-stop': gracefulStop,
  'slow-peers': slowPeers,
  postgres,
  nodes,
  'kill-store': killStore,
  'power-cut-store': powerCutStore,
  'failing-sync-store': failingSyncStore,
}

const usage = `npm run torture -- [--rounds N] [--only NAME,...] [--seed WORD] [--seconds N] [--quiet]
  --rounds  how often each harness runs (default 10); a harness says in its line how often it did
  --only    names, or the words they begin with: ${Object.keys(harnesses).join(', ')}
  --seconds after so many, no further harness begins, and the run has not proved what it should
  --seed    draws what an earlier run drew; by default the time of day
`

/** A harness that threw proved nothing. */
function broken(error: unknown): Omit<Verdict, 'name' | 'seconds'> {
  const words =
    error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join(' ') : String(error)
  const nothing = { rounds: 0, acknowledged: 0, lost: 0, duplicated: 0, caught: undefined }
  return { ...nothing, trouble: [`the harness broke: ${words}`], notes: [] }
}

/** Runs the harnesses that the words ask for, one line each on stdout; answers the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      rounds: { type: 'string', default: '10' },
      only: { type: 'string' },
      seed: { type: 'string', default: String(Date.now()) },
      seconds: { type: 'string', default: 'Infinity' },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  const wanted = values.only?.split(',')
  const chosen = Object.entries(harnesses).filter(
    ([name]) => !wanted || wanted.some((word) => name === word || name.startsWith(`${word}-`)),
  )
  if (values.help || !Number.isInteger(rounds) || rounds < 1 || chosen.length === 0) {
    process.stderr.write(usage)
    return values.help ? 0 : 2
  }
  const home = mkdtempSync(join(tmpdir(), 'gateway-torture-'))
  process.once('exit', () => rmSync(home, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  process.stdout.write(`seed ${values.seed}\n`)
  const tell = (line: string) => void (values.quiet || process.stderr.write(`${line}\n`))
  const started = performance.now()
  let good = true
  for (const [name, harness] of chosen) {
    const began = performance.now()
    const place = join(home, name)
    mkdirSync(place)
    if (performance.now() - started > Number(values.seconds) * 1000) {
      process.stdout.write(`${name.padEnd(20)}  NOT RUN: the time is up\n`)
      good = false
      continue
    }
    const found = await harness({ rounds, seed: values.seed, home: place, tell }).catch(broken)
    rmSync(place, { recursive: true, force: true })
    if ('skipped' in found) {
      process.stdout.write(`${name.padEnd(20)}  SKIPPED: ${found.skipped}\n`)
      continue
    }
    const verdict: Verdict = { ...found, name, seconds: (performance.now() - began) / 1000 }
    good &&= holds(verdict)
    process.stdout.write(`${lineOf(verdict)}\n`)
  }
  return good ? 0 : 1
}
