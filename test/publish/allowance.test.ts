import { describe, expect, test } from 'vitest'
import { networkOf, openAllowance } from '../../src/publish/allowance.js'
import { nameServerLimits } from '../../src/publish/limits.js'

const limits = { ...nameServerLimits, clients: 1000, missesPerSecond: 1, missesBurst: 5 }

describe('openAllowance', () => {
  test('gives a burst, then so much a second, to each network', () => {
    const allowance = openAllowance(10, 20, { ...limits, missesBurst: 1000, missesPerSecond: 1000 })
    const taken = (at: number) => {
      let count = 0
      while (allowance.take('a', at)) count++
      return count
    }
    expect(taken(0)).toBe(20)
    expect(taken(500)).toBe(5)
    expect(taken(100)).toBe(0)
    expect(taken(1_000_000)).toBe(20)
    expect(allowance.take('b', 0)).toBe(true)
  })

  test('what is there costs no miss; what is not there is soon not answered, however many ask at once', () => {
    const allowance = openAllowance(1000, 1000, limits)
    for (let i = 0; i < 100; i++) {
      expect(allowance.take('a', 0)).toBe(true)
      allowance.found('a', 0)
    }
    const guesses = Array.from({ length: 20 }, () => allowance.take('b', 0))
    expect(guesses.filter(Boolean)).toHaveLength(5)
  })

  test('10,000 networks take no more memory than there is room for', () => {
    const allowance = openAllowance(10, 20, limits)
    for (let i = 0; i < 10_000; i++) allowance.take(networkOf(`10.${i >> 8}.${i & 255}.1`) ?? '', i)
    expect(allowance.size()).toBe(1000)
  })

  test('a full table of the real limits stays below 16 MB', () => {
    const gc = (globalThis as { gc?: () => void }).gc
    const before = process.memoryUsage().heapUsed
    const allowance = openAllowance(10, 20, nameServerLimits)
    for (let i = 0; i < 2 * nameServerLimits.clients; i++) allowance.take(`192.${i}`, i)
    gc?.()
    const grown = process.memoryUsage().heapUsed - before
    expect(allowance.size()).toBe(nameServerLimits.clients)
    expect(grown).toBeLessThan(16 * 1024 * 1024)
  })
})

test.each([
  ['192.0.2.77', '192.0.2'],
  ['::ffff:192.0.2.77', '192.0.2'],
  ['127.0.0.1', undefined],
  ['::ffff:127.0.0.1', undefined],
  ['::1', undefined],
  ['2001:db8:1:ff42::1', '2001:0db8:0001:ff'],
  ['2001:db8:1:ff99:1:2:3:4', '2001:0db8:0001:ff'],
  ['2001:db8:1:42::', '2001:0db8:0001:00'],
  ['2001:db8::1', '2001:0db8:0000:00'],
  ['fe80::1%eth0', 'fe80:0000:0000:00'],
])('%s is of the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})
