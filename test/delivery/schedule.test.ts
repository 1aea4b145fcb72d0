import { expect, test } from 'vitest'
import { defaultSchedule, nextAttemptAt } from '../../src/delivery/schedule.js'

const middle = { bytes: () => Buffer.from('7fffffff', 'hex') }
const day = 24 * 60 * 60 * 1000

/** Moments of all attempts, in seconds after the mail was owed, where each fails at once. */
function attempts(kind: 'message' | 'mdn', random = middle): number[] {
  const moments: number[] = []
  for (let now: number | undefined = 0, tries = 1; now !== undefined; tries++) {
    moments.push(Math.round(now / 1000))
    now = nextAttemptAt({ kind, owedAt: 0, tries }, now, defaultSchedule, random)
  }
  return moments
}

test('tries soon at first, then every two hours, and once more at the very end', () => {
  const message = attempts('message')
  expect(message.slice(0, 8)).toEqual([0, 15, 75, 375, 1275, 3075, 6675, 13_875])
  expect(message.at(-1)).toBe((4 * day) / 1000)
  expect(attempts('mdn').at(-1)).toBe(day / 1000)
})

test('waits vary by a tenth', () => {
  const at = (hex: string) =>
    nextAttemptAt({ kind: 'mdn', owedAt: 0, tries: 2 }, 0, defaultSchedule, { bytes: () => Buffer.from(hex, 'hex') })
  expect([at('00000000'), at('ffffffff')]).toEqual([54_000, 66_000])
})

test('a clock that jumps back does not end the mail, one that jumps ahead ends it', () => {
  const mail = { kind: 'mdn', owedAt: 10 * day, tries: 3 } as const
  expect(nextAttemptAt(mail, 0, defaultSchedule, middle)).toBe(300_000)
  expect(nextAttemptAt(mail, 20 * day, defaultSchedule, middle)).toBeUndefined()
})
