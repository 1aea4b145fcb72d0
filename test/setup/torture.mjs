/**
 * Makes what the torture tests need of this machine: compiles test/torture/powercut.c to scratch/, and prints its path.
 * Where there is no C compiler it is installed by apt-get as root; where that may not be, the exit code is 3 and the
 * harnesses that need it are skipped by name.
 *
 *   node test/setup/torture.mjs
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = join(root, 'test/torture/powercut.c')
const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
const target = join(root, 'scratch/torture', `powercut-${digest}.so`)
const say = (text) => process.stderr.write(`torture: ${text}\n`)
const runs = (program, ...args) => spawnSync(program, args, { stdio: ['ignore', 2, 2] }).status === 0
const silent = (program, ...args) => spawnSync(program, args, { stdio: 'ignore' }).status === 0

function installCompiler() {
  if (silent('gcc', '--version')) return true
  if (process.getuid?.() !== 0 || !silent('apt-get', '--version')) return false
  say('installing gcc by apt-get: it compiles the shim that stands for a power cut')
  process.env.DEBIAN_FRONTEND = 'noninteractive'
  runs('apt-get', 'update', '-qq')
  runs('apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'gcc', 'libc6-dev')
  return silent('gcc', '--version')
}

function compile() {
  mkdirSync(join(root, 'scratch/torture'), { recursive: true })
  const draft = `${target}.${process.pid}`
  const args = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-o', draft, source, '-ldl', '-lpthread']
  if (!runs('gcc', ...args)) return false
  renameSync(draft, target) // whole or not at all: several runs may start together
  return true
}

if (process.platform !== 'linux') {
  say('the shim that stands for a power cut needs Linux')
  process.exitCode = 3
} else if (!existsSync(target) && !(installCompiler() && compile())) {
  say('no C compiler: the harnesses of power cuts and failing syncs are skipped by name')
  process.exitCode = 3
} else process.stdout.write(`${target}\n`)
