import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RefusalReason } from '../../src/direct/refusal.js'
import { smtpLimits } from '../../src/smtp/limits.js'
import { wireGuard } from '../../src/smtp/wire.js'
import { header } from './peer.js'

/** What the guard says of a whole message that comes in these pieces. */
function judge(pieces: readonly string[], limits: Partial<typeof smtpLimits> = {}): RefusalReason | undefined {
  const guard = wireGuard({ ...smtpLimits, ...limits })
  for (const piece of pieces) {
    const refusal = guard.take(Buffer.from(piece, 'latin1'))
    if (refusal) return refusal
  }
  return guard.end()
}

/** The text cut in two at every place, and into single bytes. */
function cuts(text: string): string[][] {
  return [[...text], ...Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)])]
}

describe('line endings', () => {
  test.each(['a\nb', 'a\rb', 'a\r\rb', 'a\r\r\nb', '\n', 'a\0b', '\r\n\0.\r\n', '\n.\r\n', '\r.\r', 'a\r'])(
    '%j is refused however it is cut',
    (bad) => {
      for (const pieces of cuts(`${header}${bad}`)) expect(judge(pieces)).toBe('bad-line-ending')
    },
  )

  test('any text is refused exactly when it has something else than CRLF', () => {
    const alphabet = fc.constantFrom('\r\n', '\r\n', '\r', '\n', '\0', '.', 'a', '\r\n.\r\n')
    const property = fc.property(fc.array(alphabet), fc.array(fc.nat({ max: 30 })), (parts, places) => {
      const body = parts.join('')
      const pieces = [header]
      let rest = body
      for (const place of places) {
        pieces.push(rest.slice(0, place))
        rest = rest.slice(place)
      }
      const bad = /\0|\r(?!\n)|(?<!\r)\n/.test(body)
      expect(judge([...pieces, rest])).toBe(bad ? 'bad-line-ending' : undefined)
    })
    fc.assert(property, { numRuns: 3000 })
  })
})

describe('limits', () => {
  test('a line may be as long as the limit, CRLF excluded, and no longer', () => {
    const line = (length: number) => `${header}${'x'.repeat(length)}\r\ny\r\n`
    for (const pieces of cuts(line(80))) expect(judge(pieces, { lineBytes: 80 })).toBeUndefined()
    for (const pieces of cuts(line(81))) expect(judge(pieces, { lineBytes: 80 })).toBe('line-too-long')
  })

  test('a header block may be as long as the limit, its empty line included', () => {
    for (const pieces of cuts(header)) expect(judge(pieces, { headerBytes: header.length })).toBeUndefined()
    expect(judge([header], { headerBytes: header.length - 1 })).toBe('header-too-large')
    expect(judge(['A: b\r\n'.repeat(100)], { headerBytes: 500 })).toBe('header-too-large')
  })

  test('a message may be as large as the limit', () => {
    const message = `${header}body\r\n`
    expect(judge([message], { messageBytes: message.length })).toBeUndefined()
    for (const pieces of cuts(message)) {
      expect(judge(pieces, { messageBytes: message.length - 1 })).toBe('message-too-large')
    }
  })

  test('the longest line is known, also the last one', () => {
    const guard = wireGuard(smtpLimits)
    guard.take(Buffer.from(`${header}${'x'.repeat(1200)}`))
    expect(guard.longestLineBytes()).toBe(1200)
    guard.take(Buffer.from('\r\nabc\r\n'))
    expect(guard.longestLineBytes()).toBe(1200)
  })
})

describe('the announcement of encryption', () => {
  test.each([
    'Content-Type: application/pkcs7-mime',
    'content-type:application/pkcs7-mime;smime-type=enveloped-data',
    'CONTENT-TYPE : Application/X-PKCS7-MIME; name="smime.p7m"; SMIME-Type="Enveloped-Data"',
    'Content-Type: application/pkcs7-mime;\r\n\tsmime-type=authEnveloped-data;\r\n name=smime.p7m',
    'Content-Type:\r\n application/pkcs7-mime (a (nested) comment; smime-type=signed-data)',
    'Content-Type: application/pkcs7-mime; name="a; smime-type=signed-data"',
  ])('%j is accepted', (field) => {
    for (const pieces of cuts(`Subject: s\r\n${field}\r\nX: y\r\n\r\nbody\r\n`)) expect(judge(pieces)).toBeUndefined()
  })

  test.each([
    'Content-Type: text/plain',
    'Content-Type: application/pkcs7-mime; smime-type=signed-data',
    'Content-Type: application/pkcs7-mime; smime-type=certs-only',
    'Content-Type: application/pkcs7-mime; smime-type=compressed-data',
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; smime-type=signed-data',
    'Content-Type: application/pkcs7-mime\r\nContent-Type: application/pkcs7-mime',
    'Content-Type: application/pkcs7-mimex',
    'Content-Type: application/pkcs7-signature',
    'Content-Type: multipart/signed; protocol="application/pkcs7-mime"',
    'X-Content-Type: application/pkcs7-mime',
    'Subject: x\r\n Content-Type: application/pkcs7-mime',
    'Content-Type: ',
    'Subject: no type',
  ])('%j is refused', (field) => {
    for (const pieces of cuts(`${field}\r\n\r\nbody\r\n`)) expect(judge(pieces)).toBe('not-encrypted')
  })

  test('a type in the body announces nothing', () => {
    expect(judge(['\r\nContent-Type: application/pkcs7-mime\r\n\r\n'])).toBe('not-encrypted')
  })
})
