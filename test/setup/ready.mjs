/**
 * Makes a fresh clone ready, and costs a few milliseconds when it already is. Plain Node, no packages: it runs before
 * there are any.
 *
 *   node test/setup/ready.mjs            installs the packages of package-lock.json, when those here are others
 *   node test/setup/ready.mjs --build    and compiles src/ to dist/, when sources changed
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = process.env.READY_ROOT ?? fileURLToPath(new URL('../..', import.meta.url))
const at = (...parts) => join(root, ...parts)
const say = (text) => process.stderr.write(`ready: ${text}\n`)

/** Says what is wrong and what to do, and ends with code 1. */
function stop(text) {
  say(text)
  process.exit(1)
}

function checkNode() {
  const { engines } = JSON.parse(readFileSync(at('package.json'), 'utf8'))
  const [major, minor] = engines.node.match(/\d+/g).map(Number)
  const [ours, oursMinor] = process.versions.node.split('.').map(Number)
  if (ours > major || (ours === major && oursMinor >= minor)) return
  stop(
    `Node ${engines.node} is needed, this is ${process.versions.node}. Install a newer one from https://nodejs.org/.`,
  )
}

/** Runs a program with our own stdout kept clean. Answers its exit code, undefined when it could not be started. */
function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2], ...options })
  return error ? undefined : status
}

const hash = (text) => createHash('sha256').update(text).digest('hex')
const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

/** True where node_modules holds exactly the versions of the lockfile, whoever installed them. */
function sameAsLockfile() {
  const here = read(at('node_modules/.package-lock.json'))
  if (!here) return false
  const installed = JSON.parse(here).packages
  const { '': _, ...wanted } = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages
  const agrees = ([path, { version, integrity, optional }]) => {
    const found = installed[path]
    return found ? found.version === version && found.integrity === integrity : optional === true
  }
  return Object.entries(wanted).every(agrees) && Object.keys(installed).every((path) => path in wanted)
}

function installPackages() {
  const stamp = at('node_modules/.ready')
  const wanted = hash(readFileSync(at('package-lock.json')))
  if (read(stamp) === wanted) return
  if (!sameAsLockfile()) {
    say('installing the packages of package-lock.json (npm ci)')
    const npm = process.env.npm_execpath
    const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
    const code = npm ? run(process.execPath, [npm, ...args]) : run('npm', args)
    if (code === undefined) stop('npm was not found beside Node; install it, or run `npm ci` by other means.')
    if (code !== 0)
      stop(`npm ci failed with code ${code}. Its words stand above; a registry out of reach is the usual cause.`)
  }
  writeFileSync(stamp, wanted)
}

/** Every file below src/ and what else decides the output, with size and time of change. */
function sourceList() {
  const files = readdirSync(at('src'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  return [...files, at('tsconfig.json'), at('package-lock.json')].sort().map((file) => {
    const { size, mtimeMs } = statSync(file)
    return `${relative(root, file)} ${size} ${mtimeMs}`
  })
}

/** Removes what an earlier build left of sources that are gone: a stale module must not be found by anybody. */
function removeOrphans() {
  for (const entry of readdirSync(at('dist'), { withFileTypes: true, recursive: true })) {
    const file = join(entry.parentPath ?? entry.path, entry.name)
    const source = at('src', relative(at('dist'), file).replace(/\.js(\.map)?$/, '.ts'))
    if (/\.js(\.map)?$/.test(entry.name) && !existsSync(source)) rmSync(file)
  }
}

function build() {
  const stamp = at('dist/.built')
  const wanted = hash(sourceList().join('\n'))
  if (read(stamp) === wanted) return
  say('compiling src/ to dist/')
  rmSync(stamp, { force: true })
  const code = run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', 'src'])
  if (code !== 0) stop('src/ does not compile; the errors stand above.')
  removeOrphans()
  if (existsSync(at('dist/main.js'))) chmodSync(at('dist/main.js'), 0o755)
  writeFileSync(stamp, wanted)
}

/** One at a time: two that start together must not install over one another. A lock whose owner died is taken over. */
function alone(work) {
  const lock = at('scratch/ready.lock')
  const owner = join(lock, 'pid')
  mkdirSync(at('scratch'), { recursive: true })
  for (let triesLeft = 3000; ; triesLeft -= 1) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const pid = Number(read(owner) ?? Number.NaN)
    const ageMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (Number.isNaN(pid) ? ageMs > 2000 : !alive(pid)) rmSync(lock, { recursive: true, force: true })
    else if (triesLeft <= 0) stop(`another run still holds ${relative(root, lock)}; remove it when that is not so.`)
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  writeFileSync(owner, String(process.pid))
  const release = () => {
    rmSync(owner, { force: true })
    if (existsSync(lock)) rmdirSync(lock)
  }
  process.on('exit', release)
  work()
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

const wants = (name) => process.argv.includes(name)

checkNode()
alone(() => {
  installPackages()
  if (wants('--build')) build()
})
