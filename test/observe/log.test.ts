import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLog, printable, tellable } from '../../src/observe/log.js'

type Fields = Readonly<Record<string, string | number | boolean>>

function logged(write: (log: ReturnType<typeof openLog>) => void): string {
  const lines: string[] = []
  write(openLog({ level: 'info', write: (line) => void lines.push(line) }))
  return lines.join('')
}

const line = (fields: Fields, event = 'tested') => logged((log) => log.info(event, fields))

describe('the log', () => {
  it('writes one JSON line with time, level, event and fields', () => {
    expect(JSON.parse(line({ spool: 'abc', count: 3, tls: true }))).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: 'info',
      event: 'tested',
      spool: 'abc',
      count: 3,
      tls: true,
    })
  })

  it('keeps to its level', () => {
    const lines: string[] = []
    const log = openLog({ level: 'warn', write: (text) => void lines.push(text) })
    log.info('a')
    log.warn('b')
    log.error('c')
    expect(lines.map((text) => JSON.parse(text).event)).toEqual(['b', 'c'])
  })

  const canary = 'canary-7f3a'
  const secrets: readonly [string, string][] = [
    ['password', canary],
    ['smtpPassword', canary],
    ['passphrase', canary],
    ['clientSecret', canary],
    ['authorization', canary],
    ['Cookie', canary],
    ['token', canary],
    ['apiKey', canary],
    ['masterKey', canary],
    ['pkcs8', canary],
    ['subject', canary],
    ['body', canary],
    ['patient', canary],
    ['patientName', canary],
    ['birthDate', canary],
    ['fileName', canary],
    ['cause', `dgt_${canary}abcdefghijklmnop`],
    ['cause', `-----BEGIN PRIVATE KEY-----\n${canary}`],
    ['cause', `Authorization: Bearer ${canary}xyz`],
    ['cause', `key ${Buffer.from(`${canary}${'x'.repeat(21)}`).toString('base64')} refused`],
    ['bad name', canary],
    [`${'n'.repeat(65)}`, canary],
    ['time', canary],
  ]
  it.each(secrets)('does not tell what stands under %s', (name, value) => {
    expect(line({ [name]: value })).not.toContain(canary)
    expect(line({ [name]: value })).not.toContain(Buffer.from(canary).toString('base64').slice(0, 10))
  })

  it('still tells ids of secrets, fingerprints and reasons', () => {
    const fields = { tokenId: 'ab12', fingerprint: 'a'.repeat(64), reason: 'no-key-for-recipient', keyCount: 2 }
    expect(JSON.parse(line(fields))).toMatchObject(fields)
  })

  it('drops what is no scalar', () => {
    const fields = { a: { deep: canary }, b: [canary], c: () => canary, d: Symbol(canary), e: null, f: 1n, g: 1 }
    expect(tellable(fields)).toEqual({ g: 1 })
  })

  it('cannot be made to write a second line or to drive a terminal', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.integer())),
        fc.string({ unit: 'binary' }),
        (fields, event) => {
          const text = line(fields, event)
          expect(text.endsWith('\n')).toBe(true)
          expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/u)
          expect(JSON.parse(text).level).toBe('info')
        },
      ),
      { numRuns: 2_000 },
    )
    expect(printable('a\r\n{"level":"info"}\u001b[2J\u009b\u202e')).toBe(
      'a\\u000d\\u000a{"level":"info"}\\u001b[2J\\u009b\\u202e',
    )
  })

  it('cuts long values', () => {
    expect(line({ cause: 'x y '.repeat(5_000) }).length).toBeLessThan(1_200)
  })
})
