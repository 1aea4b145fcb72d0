import { describe, expect, test } from 'vitest'
import { smtpLimits } from '../../src/smtp/limits.js'
import { type Reception, receiveMessage } from '../../src/smtp/message.js'
import { type WireGuard, wireGuard } from '../../src/smtp/wire.js'
import { header } from './peer.js'

const limits = { ...smtpLimits, messageBytes: 1000 }

async function* source(sizeBytes: number): AsyncGenerator<Uint8Array> {
  const message = Buffer.from(`${header}${'x'.repeat(sizeBytes - header.length - 2)}\r\n`)
  for (let at = 0; at < message.length; at += 64) yield message.subarray(at, at + 64)
}

/** Sends a message of this size past the guard; whether the reader saw its end, and what would be answered. */
async function send(sizeBytes: number, guard: WireGuard): Promise<{ sawTheEnd: boolean; outcome: Reception['kind'] }> {
  let sawTheEnd = false
  const outcome = await receiveMessage({
    source: source(sizeBytes),
    guard,
    async accept(data) {
      for await (const _ of data);
      sawTheEnd = true
      return { kind: 'accepted', id: 'a' }
    },
    onEnd: () => undefined,
    onExcess: () => undefined,
  })
  return { sawTheEnd, outcome: outcome.kind }
}

describe('a message over the limit', () => {
  test('is never handed over as complete, whichever byte goes over', async () => {
    for (let sizeBytes = 990; sizeBytes <= 1000; sizeBytes++) {
      expect(await send(sizeBytes, wireGuard(limits))).toEqual({ sawTheEnd: true, outcome: 'accepted' })
    }
    for (let sizeBytes = 1001; sizeBytes <= 1150; sizeBytes++) {
      expect(await send(sizeBytes, wireGuard(limits))).toEqual({ sawTheEnd: false, outcome: 'refused' })
    }
  })

  test('the check catches a guard that looks at the size too late', async () => {
    const guard = wireGuard({ ...limits, messageBytes: Number.POSITIVE_INFINITY })
    const late: WireGuard = { ...guard, take: (chunk) => guard.take(chunk) }
    expect(await send(1001, late)).toEqual({ sawTheEnd: true, outcome: 'accepted' })
  })
})

test('a reader that goes on after its answer gets nothing more, and cannot make the message complete', async () => {
  let late: Promise<unknown> = Promise.resolve()
  const outcome = await receiveMessage({
    source: source(900),
    guard: wireGuard(limits),
    async accept(data) {
      const reader = data[Symbol.asyncIterator]()
      await reader.next()
      late = (async () => {
        while (!(await reader.next()).done);
      })().catch((error) => String(error))
      return { kind: 'accepted', id: 'early' }
    },
    onEnd: () => undefined,
    onExcess: () => undefined,
  })
  expect(outcome.kind).toBe('failed')
  expect(await late).toBe('MessageAborted: The message was answered already')
})
