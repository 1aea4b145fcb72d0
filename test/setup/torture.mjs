/**
 * Makes what the torture tests need of this machine: compiles test/torture/powercut.c to scratch/, and prints its path.
 * Where there is no C compiler and none may be installed, the exit code is 3 and the harnesses that need it are skipped by
 * name.
 *
 *   node test/setup/torture.mjs
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { ready } from './programs.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = join(root, 'test/torture/powercut.c')
const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
const target = join(root, 'scratch/torture', `powercut-${digest}.so`)
const say = (text) => process.stderr.write(`torture: ${text}\n`)

function compile() {
  mkdirSync(join(root, 'scratch/torture'), { recursive: true })
  const draft = `${target}.${process.pid}`
  const args = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-o', draft, source, '-ldl', '-lpthread']
  if (spawnSync('gcc', args, { stdio: ['ignore', 2, 2] }).status !== 0) return false
  renameSync(draft, target) // whole or not at all: several runs may start together
  return true
}

if (process.platform !== 'linux') {
  say('the shim that stands for a power cut needs Linux')
  process.exitCode = 3
} else if (!existsSync(target) && !(ready('gcc') && compile())) {
  say('no C compiler: the harnesses of power cuts and failing syncs are skipped by name')
  process.exitCode = 3
} else process.stdout.write(`${target}\n`)
