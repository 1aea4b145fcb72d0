import { describe, expect, test } from 'vitest'
import { openFailures } from '../../src/smtp/failures.js'
import { submissionListenerLimits } from '../../src/smtp/limits.js'
import { clientOf, networkOf } from '../../src/smtp/network.js'

const limits = { ...submissionListenerLimits, failuresPerAccount: 3, failuresPerNetwork: 5, failureWindowMs: 1000 }

/** How many of so many tries are let through. */
function through(failures: ReturnType<typeof openFailures>, name: string, address: string, tries: number, at = 0) {
  return Array.from({ length: tries }, () => failures.begin(name, address, at)).filter((one) => one !== undefined)
    .length
}

describe('wrong credentials', () => {
  test('end the tries under a name from a network, and of a network under all names', () => {
    const failures = openFailures(limits)
    expect(through(failures, 'ehr', '192.0.2.1', 10)).toBe(3)
    expect(through(failures, 'ehr', '192.0.2.200', 10)).toBe(0)
    expect(through(failures, 'other', '192.0.2.1', 10)).toBe(2)
    expect(through(failures, 'third', '192.0.2.1', 10)).toBe(0)
  })

  test('never lock an account for another network', () => {
    const failures = openFailures(limits)
    for (let i = 0; i < 200; i++) through(failures, 'ehr', `198.51.${i}.1`, 10)
    expect(through(failures, 'ehr', '192.0.2.1', 1)).toBe(1)
    through(failures, 'ehr', '2001:db8:0:1::1', 10)
    expect(through(failures, 'ehr', '2001:db8:0:1:ffff::2', 1)).toBe(0)
    expect(through(failures, 'ehr', '2001:db8:0:2::1', 1)).toBe(1)
  })

  test('are forgotten after their window, which begins with the first', () => {
    const failures = openFailures(limits)
    expect(through(failures, 'ehr', '192.0.2.1', 3, 0)).toBe(3)
    expect(through(failures, 'ehr', '192.0.2.1', 1, 999)).toBe(0)
    expect(through(failures, 'ehr', '192.0.2.1', 10, 1000)).toBe(3)
  })

  test('count from the beginning of a try, and no longer once it succeeds or says nothing', () => {
    const failures = openFailures(limits)
    for (let i = 0; i < 50; i++) failures.begin('ehr', '192.0.2.1', 0)?.succeeded()
    for (let i = 0; i < 50; i++) failures.begin('ehr', '192.0.2.1', 0)?.undecided()
    through(failures, 'ehr', '192.0.2.1', 2)
    failures.begin('ehr', '192.0.2.1', 0)?.succeeded()
    expect(through(failures, 'ehr', '192.0.2.1', 10)).toBe(3)
  })

  test('take no more memory than they may, whatever is tried', () => {
    const failures = openFailures({ ...limits, rememberedFailures: 100 })
    for (let i = 0; i < 5000; i++) failures.begin('x'.repeat(i), `2001:db8:${(i % 60_000).toString(16)}::1`, i)
    expect(failures.size()).toBeLessThanOrEqual(100)
  })
})

test('networks are a /24 or a /64, and clients an address or a /64', () => {
  for (const [address, client, network] of [
    ['192.0.2.7', '192.0.2.7', '192.0.2'],
    ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2'],
    ['2001:db8::1', '2001:db8:0:0', '2001:db8:0:0'],
    ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2', '2001:db8:1:2'],
    ['fe80::1%eth0', 'fe80:0:0:0', 'fe80:0:0:0'],
    ['', '', ''],
  ] as const)
    expect([address, clientOf(address), networkOf(address)]).toEqual([address, client, network])
})
