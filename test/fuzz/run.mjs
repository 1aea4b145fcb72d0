/**
 * Fuzzes what reads a stranger's bytes, each target in a process of its own, from the built gateway:
 *
 *   npm run fuzz -- --seconds 60 --target crl --target ocsp     both for a minute (default: all, ten seconds)
 *   npm run fuzz -- --seed 7 --inputs 50000                     the same inputs as any run with this seed
 *   npm run fuzz -- --target crl --file crl-crash-….bin         one input that was kept
 *   npm run fuzz -- --target crl --bug throws                   with a bug planted, which must be found
 *   npm run fuzz -- --first                                     each target until its first finding
 *
 * Says every finding and keeps its input in a file. Ends with 0 only where there was none.
 */
import { spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { fuzzLimits } from './limits.mjs'
import { planted, targets } from './targets.mjs'

const say = (text) => process.stdout.write(`${text}\n`)
const child = fileURLToPath(new URL('child.mjs', import.meta.url))

/** How many times a target is started anew after it broke down, so that one bug does not hide the others. */
const mostParts = 4

/** Runs one target until its time is over, in as many processes as it takes. */
async function fuzz(name, terms) {
  const untilMs = Date.now() + terms.seconds * 1000
  const done = { name, inputs: 0, kept: 0, characters: 0, findings: [] }
  for (let part = 0; part < mostParts && (part === 0 || Date.now() < untilMs); part++) {
    const broken = await runPart(name, { ...terms, untilMs, part, mostInputs: terms.inputs - done.inputs }, done)
    if (!broken) break
    done.findings.push(broken)
    if (terms.first || terms.file !== undefined) break
  }
  return done
}

/** Answers a finding where the child broke down or stood still. */
async function runPart(name, { seed, untilMs, part, mostInputs, bug, file, folder, first }, done) {
  const own = mkdtempSync(join(folder, `${name}-`))
  const task = { name, seed, part, untilMs, mostInputs, bug, file, first, folder: own }
  const running = spawn(
    process.execPath,
    ['--expose-gc', `--max-old-space-size=${fuzzLimits.heapMib}`, child, JSON.stringify(task)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let out = ''
  let err = ''
  running.stdout.on('data', (chunk) => {
    out += chunk
  })
  running.stderr.on('data', (chunk) => {
    err = `${err}${chunk}`.slice(-4000)
  })
  const stuck = watch(running, own)
  const [code, signal] = await new Promise((end) => running.on('close', (...how) => end(how)))
  stuck.stop()
  let ended = false
  for (const line of out.split('\n').filter(Boolean)) {
    const { kind, ...told } = JSON.parse(line)
    if (kind === 'end') {
      ended = true
      done.inputs += told.inputs
      done.kept += told.kept
      done.characters = Math.max(done.characters, told.characters)
    } else done.findings.push({ kind, ...told })
  }
  if (ended) {
    rmSync(join(own, 'current'), { force: true })
    if (out.split('\n').filter(Boolean).length === 1) rmdirSync(own)
    return undefined
  }
  const last = currentOf(own)
  if (last.input === 0) throw new Error(`${name} does not start: ${err || code || signal}`)
  done.inputs += last.input
  const kind = stuck.happened() ? 'slow' : /heap out of memory|allocation failed/i.test(err) ? 'memory' : 'crash'
  const kept = join(own, `${name}-${kind}-${last.input}.bin`)
  writeFileSync(kept, last.bytes)
  const detail = kind === 'slow' ? `stands still for ${fuzzLimits.stuckMs} ms` : `the process ended: ${signal ?? code}`
  return { kind, detail, file: kept, input: last.input }
}

function currentOf(folder) {
  try {
    const bytes = readFileSync(join(folder, 'current'))
    return { input: bytes.readUInt32BE(0), bytes: bytes.subarray(8, 8 + bytes.readUInt32BE(4)) }
  } catch {
    return { input: 0, bytes: Buffer.alloc(0) }
  }
}

/** Ends a child whose input stays the same for too long. */
function watch(running, folder) {
  let last = 0
  let since = Date.now()
  let happened = false
  const head = Buffer.alloc(4)
  const timer = setInterval(() => {
    try {
      const file = openSync(join(folder, 'current'), 'r')
      readSync(file, head, 0, 4, 0)
      closeSync(file)
    } catch {
      return
    }
    const input = head.readUInt32BE(0)
    if (input !== last || input === 0) {
      last = input
      since = Date.now()
    } else if (Date.now() - since > fuzzLimits.stuckMs) {
      happened = true
      running.kill('SIGKILL')
    }
  }, 200)
  return { stop: () => clearInterval(timer), happened: () => happened }
}

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true, default: Object.keys(targets) },
    seconds: { type: 'string', default: '10' },
    inputs: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    file: { type: 'string' },
    bug: { type: 'string' },
    first: { type: 'boolean', default: false },
    out: { type: 'string', default: join(tmpdir(), 'direct-gateway-fuzz') },
  },
})
const wrong =
  values.target.find((name) => !(name in targets)) ??
  (values.bug !== undefined && !(values.bug in planted) ? values.bug : undefined)
const terms = {
  seconds: Number(values.seconds),
  inputs: Number(values.inputs),
  seed: values.seed,
  bug: values.bug,
  first: values.first,
  ...(values.file !== undefined && { file: resolve(values.file) }),
  folder: resolve(values.out),
}
if (wrong !== undefined || !(terms.seconds > 0) || !(terms.inputs > 0)) {
  process.stderr.write(
    `fuzz: targets are ${Object.keys(targets).join(', ')}; bugs are ${Object.keys(planted).join(', ')}\n`,
  )
  process.exit(2)
}
mkdirSync(terms.folder, { recursive: true })

const waiting = [...values.target]
const results = []
async function work() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const done = await fuzz(name, terms)
    results.push(done)
    say(
      `${name}: ${done.inputs} inputs, ${done.kept} kept for new code, ${done.findings.length} findings, seed ${terms.seed}`,
    )
    for (const { kind, detail, file, input } of done.findings)
      say(`  ${kind} at input ${input}: ${detail}\n    ${file}`)
  }
}
await Promise.all(Array.from({ length: fuzzLimits.children }, work))
const sum = (of) => results.reduce((total, done) => total + of(done), 0)
const findings = sum((done) => done.findings.length)
say(`fuzz: ${results.length} targets, ${sum((done) => done.inputs)} inputs, ${findings} findings`)
process.exit(findings > 0 ? 1 : 0)
