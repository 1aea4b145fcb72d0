import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
const idleMs = 5_000

/** Prints how long the built gateway takes from its command to a green /readyz, and what it holds when idle. */
export async function printStart(root: string): Promise<void> {
  const config = join(root, 'start.yaml')
  writeFileSync(config, `dataDir: start\nsmtp: { port: 0 }\nhttp: { port: 0 }\n`)
  spawnSync(process.execPath, [program, 'init', '--domain', 'bench.example', '--config', config], { stdio: 'ignore' })
  const times: number[] = []
  let residentMiB = 0
  for (let round = 0; round < 3; round++) {
    const start = performance.now()
    const child = spawn(process.execPath, [program, 'serve', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const url = await new Promise<string>((resolve, reject) => {
      let said = ''
      child.once('exit', () => reject(new Error(`The gateway did not start: ${said}`)))
      child.stderr.on('data', (text) => {
        said += text
        const found = /"httpUrl":"([^"]+)"/.exec(said)
        if (found?.[1]) resolve(found[1])
      })
    })
    while (!(await fetch(`${url}/readyz`).catch(() => undefined))?.ok) await sleep(5)
    times.push(performance.now() - start)
    if (round === 2) {
      await sleep(idleMs)
      const [, kibibytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
      residentMiB = Number(kibibytes) / 1024
    }
    child.kill('SIGTERM')
    await ended
  }
  const [fastest = 0, median = 0] = times.sort((a, b) => a - b)
  const ready = `ready after ${median.toFixed(0)} ms (fastest ${fastest.toFixed(0)} ms)`
  console.log(`${'cold start'.padEnd(46)} ${ready}  idle RSS ${((residentMiB * 2 ** 20) / 1e6).toFixed(0)} MB`)
}
