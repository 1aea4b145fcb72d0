import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attachmentDisposition, safeMediaType } from '../../src/api/download.js'
import { rateLimiter } from '../../src/api/rate.js'
import { networkOf } from '../../src/direct/network.js'

describe('a bucket', () => {
  it('passes the burst, then the rate, whatever the times of the calls', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 200 })
    fc.assert(
      fc.property(gaps, (waits) => {
        const clock = { at: 0, now: () => clock.at }
        const limiter = rateLimiter(clock, { perSecond: 2, burst: 5 })
        let passed = 0
        for (const waitMs of waits) {
          clock.at += waitMs
          if (limiter.take('a') === 0) passed += 1
        }
        expect(passed).toBeLessThanOrEqual(5 + Math.ceil((clock.at / 1000) * 2))
      }),
    )
  })

  it('keeps callers apart and forgets the quietest', () => {
    const limiter = rateLimiter({ now: () => 0 }, { perSecond: 1, burst: 1 })
    expect([limiter.take('a'), limiter.take('b'), limiter.take('a')]).toEqual([0, 0, 1])
    for (let n = 0; n < 20_001; n++) limiter.take(`caller ${n}`)
    expect(limiter.take('a')).toBe(0)
  })

  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::5', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
  ])('counts %s as %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})

describe('a download', () => {
  it('names no path, no control character and no second header, whatever the sender wrote', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const value = attachmentDisposition(name, 'fallback')
        expect(value).toMatch(/^attachment; filename="[^"\\\r\n/]+"(; filename\*=UTF-8''[\w!#$&+.^`|~%-]+)?$/)
        expect(value).toMatch(/^[\x20-\x7e]*$/)
      }),
      { numRuns: 5000 },
    )
  })

  it.each([
    [undefined, 'attachment; filename="fallback"'],
    ['...', 'attachment; filename="fallback"'],
    ['report.pdf', 'attachment; filename="report.pdf"'],
    ['../../etc/passwd', 'attachment; filename="_.._etc_passwd"'],
    ['a b.pdf', 'attachment; filename="a b.pdf"'],
    ['100%.txt', `attachment; filename="100_.txt"; filename*=UTF-8''100%25.txt`],
  ])('is called by %s', (name, expected) => {
    expect(attachmentDisposition(name, 'fallback')).toBe(expected)
  })

  it.each([
    ['Text/XML; charset=utf-8', 'text/xml'],
    ['application/vnd.x+json', 'application/vnd.x+json'],
    ['text', 'application/octet-stream'],
    ['text/html\r\nX: y', 'application/octet-stream'],
    ['', 'application/octet-stream'],
  ])('of type %j is sent as %s', (mediaType, sent) => {
    expect(safeMediaType(mediaType)).toBe(sent)
  })
})
