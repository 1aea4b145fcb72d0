import { expect, test } from 'vitest'
import { connectionGate } from '../../src/smtp/gate.js'
import { smtpLimits } from '../../src/smtp/limits.js'

const roomy = { ...smtpLimits, newPerAddressPerSecond: 1000 }

test('counts an address out as often as it counted it in', () => {
  const gate = connectionGate({ ...roomy, connectionsPerAddress: 2 })
  const leave = gate.enter('192.0.2.1', 0)
  expect(gate.enter('::ffff:192.0.2.1', 0)).toBeDefined()
  expect(gate.enter('192.0.2.1', 0)).toBeUndefined()
  expect(gate.enter('192.0.2.2', 0)).toBeDefined()
  leave?.()
  expect(gate.open()).toBe(2)
  expect(gate.enter('192.0.2.1', 0)).toBeDefined()
})

test('takes a /64 of IPv6 for one client, however it is written', () => {
  const gate = connectionGate({ ...roomy, connectionsPerAddress: 1 })
  expect(gate.enter('2001:db8::1', 0)).toBeDefined()
  expect(gate.enter('2001:db8:0:0:ffff::2', 0)).toBeUndefined()
  expect(gate.enter('2001:DB8:0:0:1:2:3:4', 0)).toBeUndefined()
  expect(gate.enter('2001:db8:0:1::1', 0)).toBeDefined()
  expect(gate.enter('::2', 0)).toBeDefined()
  expect(gate.enter('::3', 0)).toBeUndefined()
})

test('begins to count anew each second, refused attempts included', () => {
  const gate = connectionGate({ ...smtpLimits, newPerAddressPerSecond: 2 })
  expect([0, 500, 900, 999].map((at) => gate.enter('192.0.2.1', at) !== undefined)).toEqual([true, true, false, false])
  expect(gate.enter('192.0.2.1', 1000)).toBeDefined()
})

test('loopback counts in total, and by itself only where it is told to', () => {
  const gate = connectionGate({ ...smtpLimits, connections: 30 })
  for (let i = 0; i < 30; i++) expect(gate.enter(i % 2 ? '127.0.0.1' : '::1', 0)).toBeDefined()
  expect(gate.enter('127.0.0.1', 0)).toBeUndefined()
})
