import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../src/direct/address.js'
import { readMime } from '../../src/mime/part.js'
import { composeMdn, type MdnDisposition, type NewMdn } from '../../src/notices/mdn.js'
import { recogniseNotice } from '../../src/notices/recognise.js'

function address(text: string) {
  const parsed = parseAddress(text)
  if (!parsed) throw new Error(text)
  return parsed
}

const plain: NewMdn = {
  disposition: 'processed',
  finalRecipient: address('mary@direct.west.test'),
  to: address('dr.jones@direct.east.test'),
  originalMessageId: '<abc.123@direct.east.test>',
  messageId: '<processed-1@direct.west.test>',
  at: Date.UTC(2025, 0, 2, 3, 4, 5),
}

function parts(mdn: NewMdn) {
  const root = readMime(composeMdn(mdn))
  if (root.kind !== 'part') throw new Error(root.detail)
  const [text, report] = root.children
  if (!text || !report || root.children.length !== 2) throw new Error('two parts')
  return { root, text: text.body.toString(), report: report.body.toString() }
}

describe('composeMdn', () => {
  it('writes a processed notice letter by letter', () => {
    const text = composeMdn(plain).toString()
    const boundary = /boundary="(=_[0-9a-f]{32})"/.exec(text)?.[1] ?? 'none'
    expect(text.replaceAll(boundary, 'B').split('\r\n')).toEqual([
      'From: mary@direct.west.test',
      'To: dr.jones@direct.east.test',
      'Subject: Processed: your message',
      'Date: Thu, 02 Jan 2025 03:04:05 +0000',
      'Message-ID: <processed-1@direct.west.test>',
      'In-Reply-To: <abc.123@direct.east.test>',
      'References: <abc.123@direct.east.test>',
      'Auto-Submitted: auto-replied',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=disposition-notification;',
      ' boundary="B"',
      '',
      '--B',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Your message was successfully processed.',
      '',
      '--B',
      'Content-Type: message/disposition-notification',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Reporting-UA: direct.west.test; direct-gateway',
      'Original-Recipient: rfc822;mary@direct.west.test',
      'Final-Recipient: rfc822;mary@direct.west.test',
      'Original-Message-ID: <abc.123@direct.east.test>',
      'Disposition: automatic-action/MDN-sent-automatically;processed',
      '',
      '--B--',
      '',
    ])
  })

  it('confirms final delivery on dispatched and on nothing else', () => {
    expect(parts({ ...plain, disposition: 'dispatched' }).report).toMatch(
      /;dispatched\r\nX-DIRECT-FINAL-DESTINATION-DELIVERY:\r\n/,
    )
    for (const disposition of ['processed', 'failed'] as const)
      expect(composeMdn({ ...plain, disposition }).toString()).not.toMatch(/FINAL-DESTINATION/i)
  })

  it('says failed, and never error alone', () => {
    const { report, text } = parts({ ...plain, disposition: 'failed', failure: 'No such mailbox' })
    expect(report).toContain(
      'Disposition: automatic-action/MDN-sent-automatically;failed\r\nFailure: No such mailbox\r\n',
    )
    expect(report).not.toMatch(/error/i)
    expect(text).toContain('No such mailbox')
  })

  it('composes the same bytes for the same input', () => {
    expect(composeMdn(plain).equals(composeMdn({ ...plain }))).toBe(true)
  })

  it('leaves out a message id that cannot stand in a header, rather than one that correlates with nothing', () => {
    for (const originalMessageId of [
      '',
      '<a\0b@x.test>',
      '<a@x.test>\r\nBcc: b@y.test',
      '<a b@x.test>',
      '<é@x.test>',
      `<${'a'.repeat(5_000)}@x.test>`,
    ]) {
      const text = composeMdn({ ...plain, originalMessageId }).toString()
      expect(text).not.toMatch(/^(Original-Message-ID|In-Reply-To|References|Bcc):/m)
    }
    const bare = composeMdn({ ...plain, originalMessageId: 'no-brackets@x.test' }).toString()
    expect(bare).toMatch(/^Original-Message-ID: no-brackets@x\.test\r$/m)
    expect(bare).not.toMatch(/^In-Reply-To:/m)
  })

  it('throws for a message id of our own that is none', () => {
    expect(() => composeMdn({ ...plain, messageId: 'x' })).toThrow(TypeError)
    expect(() => composeMdn({ ...plain, messageId: '<a@b>\r\nX: y' })).toThrow(TypeError)
  })

  it('stays the same notice whatever a stranger put into subject, message id or reason', () => {
    const hostile = fc
      .array(
        fc.constantFrom(
          '\r\n',
          '\n',
          '\r',
          '\0',
          'Bcc: b@y.test',
          '--',
          '=_',
          'é',
          '\u202e',
          '\u2028',
          ' ',
          '"',
          '=?utf-8?q?x?=',
          '<',
          '>',
          '@',
          'x'.repeat(300),
          '\ud800',
        ),
        { maxLength: 12 },
      )
      .map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(
        hostile,
        hostile,
        hostile,
        fc.constantFrom<MdnDisposition>('processed', 'dispatched', 'failed'),
        (originalSubject, originalMessageId, failure, disposition) => {
          const bytes = composeMdn({ ...plain, originalSubject, originalMessageId, failure, disposition })
          const root = readMime(bytes)
          if (root.kind !== 'part') throw new Error(root.detail)
          expect(root.header.all('bcc')).toEqual([])
          expect(root.header.all('from')).toEqual(['mary@direct.west.test'])
          expect(bytes.toString('latin1')).toMatch(/^[\t\r\n -~]*$/)
          expect(recogniseNotice(root)).toMatchObject({
            kind: 'mdn',
            disposition,
            finalRecipient: 'mary@direct.west.test',
          })
          for (const line of bytes.toString('latin1').split('\r\n')) expect(line.length).toBeLessThanOrEqual(998)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
