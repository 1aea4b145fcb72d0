import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { domainOf, parseAddress } from '../../src/direct/address.js'
import { composeDsn } from '../../src/notices/dsn.js'
import { composeMdn, type NewMdn } from '../../src/notices/mdn.js'

const python = spawnSync('python3', ['-c', 'import email.policy']).status === 0

const script = `
import email, email.policy, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def walk(p):
    yield p
    for c in (p.get_payload() if p.is_multipart() else []):
        yield from walk(c)
report = m.get_payload()[1]
inner = report.get_payload()
groups = [[[k, str(v)] for k, v in g.items()] for g in inner] if isinstance(inner, list) else []
fields = inner[0] if isinstance(inner, list) else email.message_from_string(report.get_content() if isinstance(inner, str) else '')
print(json.dumps({
  'type': m.get_content_type(),
  'reportType': m.get_param('report-type'),
  'headers': [[k, str(v)] for k, v in m.items()],
  'types': [p.get_content_type() for p in m.get_payload()],
  'text': m.get_payload()[0].get_content(),
  'fields': [[k, str(v)] for k, v in fields.items()],
  'groups': groups,
  'defects': [type(d).__name__ for p in walk(m) for d in p.defects] + [type(d).__name__ for v in m.values() for d in v.defects],
}))
`

const judge = (mdn: NewMdn) => judgeBytes(composeMdn(mdn))

function judgeBytes(input: Uint8Array) {
  const run = spawnSync('python3', ['-c', script], { input })
  if (run.status !== 0) throw new Error(run.stderr.toString())
  return JSON.parse(run.stdout.toString()) as {
    readonly type: string
    readonly reportType: string
    readonly headers: readonly [string, string][]
    readonly types: readonly string[]
    readonly text: string
    readonly fields: readonly [string, string][]
    readonly groups: readonly (readonly [string, string][])[]
    readonly defects: readonly string[]
  }
}

function address(text: string) {
  const parsed = parseAddress(text)
  if (!parsed) throw new Error(text)
  return parsed
}

describe.skipIf(!python)('an MDN as the email package of Python reads it (skipped without python3)', () => {
  const mdn: NewMdn = {
    disposition: 'dispatched',
    finalRecipient: address('mary@direct.west.test'),
    to: address('dr.jones@direct.east.test'),
    originalMessageId: `<${'long'.repeat(30)}@direct.east.test>`,
    originalSubject: `Grüße ${'aus einem langen Betreff '.repeat(6)}`,
    messageId: '<processed-1@direct.west.test>',
    at: Date.UTC(2025, 0, 2, 3, 4, 5),
  }

  it('is a report of two parts without defects', () => {
    const read = judge(mdn)
    expect(read.type).toBe('multipart/report')
    expect(read.reportType).toBe('disposition-notification')
    expect(read.types).toEqual(['text/plain', 'message/disposition-notification'])
    expect(read.defects).toEqual([])
    expect(read.text).toContain('successfully dispatched')
  })

  it('has the header that validators ask for', () => {
    const headers = new Map(judge(mdn).headers)
    expect(headers.get('From')).toBe('mary@direct.west.test')
    expect(headers.get('To')).toBe('dr.jones@direct.east.test')
    expect(headers.get('Subject')).toBe(`Dispatched: Grüße ${'aus einem langen Betreff '.repeat(6)}`.trim())
    expect(headers.get('Message-ID')).toBe('<processed-1@direct.west.test>')
    expect(headers.get('Date')).toBe('Thu, 02 Jan 2025 03:04:05 +0000')
    expect(headers.get('In-Reply-To')).toBe(mdn.originalMessageId)
    expect(headers.has('Disposition-Notification-To')).toBe(false)
  })

  it('has the fields of the report', () => {
    expect(judge(mdn).fields).toEqual([
      ['Reporting-UA', 'direct.west.test; direct-gateway'],
      ['Original-Recipient', 'rfc822;mary@direct.west.test'],
      ['Final-Recipient', 'rfc822;mary@direct.west.test'],
      ['Original-Message-ID', mdn.originalMessageId],
      ['Disposition', 'automatic-action/MDN-sent-automatically;dispatched'],
      ['X-DIRECT-FINAL-DESTINATION-DELIVERY', ''],
    ])
  })

  it('stays without defects whatever a stranger wrote', () => {
    for (const hostile of ['a\r\nBcc: b@y.test', '\0', '=?utf-8?q?x?=', '--=_', '"', '\ud800', 'é'.repeat(500)]) {
      const read = judge({ ...mdn, originalSubject: hostile, originalMessageId: hostile })
      expect(read.defects).toEqual([])
      expect(read.headers.map(([name]) => name)).not.toContain('Bcc')
      expect(read.types).toHaveLength(2)
    }
  })
})

describe.skipIf(!python)('a DSN as the email package of Python reads it (skipped without python3)', () => {
  it('has a group for the message and one for each recipient, without defects', () => {
    const to = address('mary@direct.west.test')
    const finding = { action: 'failed', status: '5.7.1', reason: 'Grüße: no certificate' } as const
    const read = judgeBytes(
      composeDsn({
        domain: domainOf(to),
        to,
        findings: [
          { ...finding, recipient: address('a@x.test') },
          { ...finding, recipient: address('b@x.test') },
        ],
        originalMessageId: '<1@direct.west.test>',
        messageId: '<failed-1@direct.west.test>',
        at: 0,
      }),
    )
    expect(read.defects).toEqual([])
    expect(read.types).toEqual(['text/plain', 'message/delivery-status'])
    expect(read.groups.map((group) => group.map(([name]) => name))).toEqual([
      ['Reporting-MTA', 'X-Original-Message-ID'],
      ['Final-Recipient', 'Action', 'Status', 'Diagnostic-Code'],
      ['Final-Recipient', 'Action', 'Status', 'Diagnostic-Code'],
    ])
    expect(read.text).toContain('Grüße: no certificate')
  })
})
