// Makes everything ready and runs the harnesses: `npm run torture -- --rounds 50 --only kill,power-cut --seed 7`.
import { spawnSync } from 'node:child_process'
import { register } from 'node:module'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { ready as readyProgram } from '../setup/programs.mjs'

const ready = fileURLToPath(new URL('../setup/ready.mjs', import.meta.url))
const { status } = spawnSync(process.execPath, [ready, '--build'], { stdio: ['ignore', 2, 2] })
if (status !== 0) process.exit(status ?? 1)
for (const name of ['openssl', 'gcc', 'postgres']) readyProgram(name)
register('./typescript.mjs', import.meta.url)
const { main } = await import('./torture.ts')
process.exit(await main(process.argv.slice(2)))
