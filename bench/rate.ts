import { open } from 'node:fs/promises'
import { join } from 'node:path'

/** Calls a second, and how long half of them and all but a hundredth waited, in milliseconds. */
export interface Rate {
  readonly perSecond: number
  readonly p50?: number
  readonly p99?: number
}

/** Calls `work` in `workers` loops for the given time. */
export async function rate(
  workers: number,
  seconds: number,
  work: (worker: number, n: number) => Promise<unknown>,
): Promise<Rate> {
  const waits: number[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  async function loop(worker: number) {
    for (let n = 0; performance.now() < end; n++) {
      const from = performance.now()
      await work(worker, n)
      waits.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)))
  const perSecond = waits.length / ((performance.now() - start) / 1000)
  waits.sort((a, b) => a - b)
  const at = (share: number) => waits[Math.floor(waits.length * share)] ?? 0
  return { perSecond, p50: at(0.5), p99: at(0.99) }
}

/** What the same disk syncs in the same run: write these bytes, fdatasync, one after the other. */
export async function fdatasyncControl(root: string, value: Uint8Array, seconds: number): Promise<Rate> {
  const file = await open(join(root, 'control'), 'w')
  const found = await rate(1, seconds, async () => {
    await file.write(value)
    await file.datasync()
  })
  await file.close()
  return found
}

/** Results by name, in the order of their first round; `print` gives a line each: the median round and the range. */
export function openResults() {
  const found = new Map<string, Rate[]>()
  const whole = (rate: Rate | undefined) => rate?.perSecond.toFixed(0) ?? ''

  function print() {
    for (const [name, rounds] of found) {
      const sorted = [...rounds].sort((a, b) => a.perSecond - b.perSecond)
      const middle = sorted[Math.floor(sorted.length / 2)]
      const waits =
        middle?.p50 === undefined ? '' : `  p50 ${middle.p50.toFixed(2)} ms  p99 ${middle.p99?.toFixed(1)} ms`
      const range = rounds.length > 1 ? ` (${whole(sorted[0])}-${whole(sorted.at(-1))})` : ''
      console.log(`${name.padEnd(46)} ${whole(middle).padStart(7)}/s${range}${waits}`)
    }
  }
  return {
    note: (name: string, result: Rate) => void found.set(name, [...(found.get(name) ?? []), result]),
    print,
  }
}
