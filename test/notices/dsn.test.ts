import { describe, expect, it } from 'vitest'
import { parseAddress, parseDomain } from '../../src/direct/address.js'
import { readMime } from '../../src/mime/part.js'
import { composeDsn, type NewDsn } from '../../src/notices/dsn.js'
import { recogniseNotice } from '../../src/notices/recognise.js'

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value')
  return value
}

const dsn: NewDsn = {
  domain: must(parseDomain('direct.west.test')),
  to: must(parseAddress('mary@direct.west.test')),
  findings: [
    {
      recipient: must(parseAddress('a@x.test')),
      action: 'failed',
      status: '5.7.1',
      reason: 'No certificate of this recipient is trusted',
    },
    { recipient: must(parseAddress('b@x.test')), action: 'failed', status: '5.1.1', reason: '' },
  ],
  originalMessageId: '<1@direct.west.test>',
  messageId: '<failed-1@direct.west.test>',
  at: Date.UTC(2025, 0, 2, 3, 4, 5),
}

function read(bytes: Buffer) {
  const root = readMime(bytes)
  if (root.kind !== 'part') throw new Error(root.detail)
  return root
}

describe('composeDsn', () => {
  it('writes the report letter by letter', () => {
    const root = read(composeDsn(dsn))
    expect(root.children[1]?.body.toString().split('\r\n')).toEqual([
      'Reporting-MTA: dns;direct.west.test',
      'X-Original-Message-ID: <1@direct.west.test>',
      '',
      'Final-Recipient: rfc822;a@x.test',
      'Action: failed',
      'Status: 5.7.1',
      'Diagnostic-Code: x-direct;No certificate of this recipient is trusted',
      '',
      'Final-Recipient: rfc822;b@x.test',
      'Action: failed',
      'Status: 5.1.1',
      '',
    ])
    expect(root.header.get('from')).toBe('postmaster@direct.west.test')
    expect(root.header.get('date')).toBe('Thu, 02 Jan 2025 03:04:05 +0000')
    expect(root.header.get('in-reply-to')).toBe('<1@direct.west.test>')
  })

  it('is recognised with what it says', () => {
    expect(recogniseNotice(read(composeDsn(dsn)))).toMatchObject({
      kind: 'dsn',
      disposition: 'failed',
      originalMessageId: '<1@direct.west.test>',
      recipients: [
        { finalRecipient: 'a@x.test', action: 'failed', status: '5.7.1' },
        { finalRecipient: 'b@x.test', action: 'failed', status: '5.1.1' },
      ],
    })
  })

  it('holds whatever a stranger wrote inside its own line', () => {
    for (const hostile of ['a\r\nBcc: b@y.test', '\0', '\ud800', 'é'.repeat(900), '--=_'])
      expect(
        recogniseNotice(
          read(
            composeDsn({
              ...dsn,
              originalSubject: hostile,
              originalMessageId: hostile,
              findings: dsn.findings.map((finding) => ({ ...finding, reason: hostile })),
            }),
          ),
        ),
      ).toMatchObject({ recipients: [{ status: '5.7.1' }, { status: '5.1.1' }] })
  })

  it('throws for mistakes of our own', () => {
    expect(() => composeDsn({ ...dsn, findings: [] })).toThrow(TypeError)
    expect(() => composeDsn({ ...dsn, messageId: 'x' })).toThrow(TypeError)
    const [finding] = dsn.findings
    if (finding) expect(() => composeDsn({ ...dsn, findings: [{ ...finding, action: 'delayed' }] })).toThrow(TypeError)
  })
})
