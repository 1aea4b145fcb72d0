import { hash as argon2, argon2id, verify } from 'argon2'
import { type SlowHash, SlowHashBusy } from '../ports/slow-hash.js'

export const slowHashLimits = {
  /** RFC 9106 §4, second recommended option: 64 MiB, three passes. */
  memoryKiB: 65_536,
  passes: 3,
  lanes: 4,
  /** At once: 256 MiB, and the four threads that Node has for such work. */
  atOnce: 4,
  /** Waiting: some four seconds of work; who comes later is told so. */
  waiting: 100,
}

/** Opens slow hashing. Holds nothing but a queue. */
export function openSlowHash(limits = slowHashLimits): SlowHash {
  const { memoryKiB: memoryCost, passes: timeCost, lanes: parallelism } = limits
  const cost = { type: argon2id, memoryCost, timeCost, parallelism } as const
  let running = 0
  const waiting: (() => void)[] = []

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running >= limits.atOnce) {
      if (waiting.length >= limits.waiting) throw new SlowHashBusy('Too many wait')
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }

  /** Made once, so that whoever has no hash costs as much as whoever has one. */
  let nobody: Promise<string> | undefined

  return {
    cost: `m=${memoryCost},t=${timeCost},p=${parallelism}`,
    hash: (text) => inTurn(() => argon2(text, cost)),
    async verify(known, text) {
      nobody ??= inTurn(() => argon2('', cost))
      const hash = known ?? (await nobody)
      const same = await inTurn(() => verify(hash, text))
      return same && known !== undefined
    },
    derive: (text, salt) => inTurn(() => argon2(text, { ...cost, salt: Buffer.from(salt), hashLength: 32, raw: true })),
  }
}
