import { expect, it } from 'vitest'
import { openSlowHash, slowHashLimits } from '../../src/keyring/slow-hash.js'
import { SlowHashBusy } from '../../src/ports/slow-hash.js'

const quick = { ...slowHashLimits, memoryKiB: 1024, passes: 2, lanes: 1 }

it('knows a text by its hash, and no other', async () => {
  const slow = openSlowHash(quick)
  const hash = await slow.hash('a long answer')
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=1024,p=1,t=2\$/)
  expect([await slow.verify(hash, 'a long answer'), await slow.verify(hash, 'a long Answer')]).toEqual([true, false])
  expect([await slow.verify(undefined, ''), await slow.verify(undefined, 'x')]).toEqual([false, false])
})

it('derives the same bytes from the same text and salt', async () => {
  const slow = openSlowHash(quick)
  const salt = new Uint8Array(16).fill(7)
  const [one, same, other] = await Promise.all([
    slow.derive('rex', salt),
    slow.derive('rex', salt),
    slow.derive('rex', new Uint8Array(16)),
  ])
  expect(Buffer.from(one).equals(same)).toBe(true)
  expect([one.length, Buffer.from(one).equals(other)]).toEqual([32, false])
})

it('works out a few at once, lets some wait, and refuses the rest', async () => {
  const slow = openSlowHash({ ...quick, atOnce: 1, waiting: 2 })
  const all = await Promise.allSettled(Array.from({ length: 5 }, () => slow.hash('x')))
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
  expect(all.at(-1)).toMatchObject({ reason: expect.any(SlowHashBusy) })
  await slow.hash('later')
})
