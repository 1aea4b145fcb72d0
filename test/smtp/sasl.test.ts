import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { beginExchange, type Turn } from '../../src/smtp/sasl.js'

const base64 = (text: string) => Buffer.from(text).toString('base64')

/** The end of an exchange in which the client says these lines. */
function end(first: string, ...lines: readonly string[]): Turn {
  let turn = beginExchange(first)
  for (const line of lines) if (turn.kind === 'ask') turn = turn.answer(line)
  return turn
}

describe('an exchange', () => {
  test('gives what the client said, in PLAIN and in LOGIN, however it is split', () => {
    // Neither has a NUL in PLAIN, where it parts them (RFC 4616 §2).
    const words = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', ''))
    fc.assert(
      fc.property(words, words, (name, secret) => {
        const credentials = { name, secret }
        const token = base64(`\0${name}\0${secret}`)
        const all = [
          end(` PLAIN ${token}`),
          end(' PLAIN', token),
          end(' LOGIN', base64(name), base64(secret)),
          end(` LOGIN ${base64(name) || '='}`, base64(secret)),
        ]
        for (const turn of all) expect(turn).toEqual({ kind: 'credentials', credentials })
      }),
      { numRuns: 300 },
    )
  })

  test('with any words at all asks, refuses or has credentials, and never throws', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('*', '=', '', 'PLAIN', 'LOGIN', 'AAAA', base64('\0a\0b'), base64('\0\0\0')),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
    )
    fc.assert(
      fc.property(fc.constantFrom(' PLAIN ', ' LOGIN ', ' ', ''), fc.array(line, { maxLength: 4 }), (verb, lines) => {
        const [first = '', ...more] = lines
        const turn = end(verb + first, ...more)
        if (turn.kind === 'refused') expect(turn.reply.code).toBeGreaterThanOrEqual(500)
        if (turn.kind === 'ask') expect(Buffer.from(turn.challenge, 'base64').toString('base64')).toBe(turn.challenge)
      }),
      { numRuns: 2000 },
    )
  })

  test('takes nothing but base64 as it is written', () => {
    for (const text of ['AGEAYg', 'AGEAYg=', 'AGEA Yg==', 'AGEA\tYg==', 'AGEAYg==\0', 'AGEA-_==', '====', 'A==='])
      expect([text, end(' PLAIN', text).kind]).toEqual([text, 'refused'])
    expect(end(' PLAIN', 'AGEAYg==')).toEqual({ kind: 'credentials', credentials: { name: 'a', secret: 'b' } })
  })
})
