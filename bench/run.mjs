// Compiles the benches beside the product and runs those named, or all: `npm run bench -- smime whole`. A name may end in
// a part of its bench, as `smime:seal` does.
import { spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const all = [
  'smime',
  'trust',
  'dns',
  'store',
  'smtp',
  'submission',
  'drain',
  'clinical',
  'record',
  'items',
  'connect',
  'oauth',
  'whole',
]

function run(command, ...args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const named = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const unknown = named.filter((name) => !all.includes(name.split(':')[0]))
if (unknown.length > 0) {
  console.error(`No bench is called ${unknown.join(', ')}. There are: ${all.join(', ')}.`)
  process.exit(2)
}
run(process.execPath, 'test/setup/ready.mjs')
run(process.execPath, 'test/setup/programs.mjs', 'openssl', 'postgres', 'postfix', 'bind')
run(process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'bench')
// Plain JavaScript that a bench imports stays where it is for the compiler.
cpSync(`${root}test/setup`, `${root}scratch/bench/test/setup`, { recursive: true })
for (const name of named.length > 0 ? named : all) {
  console.log(`\n== ${name}`)
  const [bench, ...part] = name.split(':')
  run(process.execPath, `scratch/bench/bench/${bench}.js`, ...part)
}
