import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readMime } from '../../src/mime/part.js'
import { recogniseNotice } from '../../src/notices/recognise.js'

function recognise(text: string) {
  const read = readMime(Buffer.from(text.replace(/\r?\n/g, '\r\n')))
  if (read.kind !== 'part') throw new Error(read.detail)
  return recogniseNotice(read)
}

const report = (
  fields: string,
  {
    type = 'report-type=disposition-notification; ',
    text = '--b\nContent-Type: text/plain\n\nDone.\n',
    head = '',
  } = {},
) =>
  `From: a@x.test\n${head}Content-Type: multipart/report; ${type}boundary=b\n\n${text}--b\nContent-Type: message/disposition-notification\n\n${fields}\n--b--\n`

const fields = `Reporting-UA: direct.x.test; Security Agent
Final-Recipient: rfc822; mary@x.test
Original-Message-ID: <1@y.test>
Disposition: automatic-action/MDN-sent-automatically;processed
`
const expected = {
  kind: 'mdn',
  disposition: 'processed',
  originalMessageId: '<1@y.test>',
  finalRecipient: 'mary@x.test',
}

describe('recogniseNotice for an MDN', () => {
  it('reads the form of the reference implementations', () => {
    expect(recognise(report(fields))).toMatchObject({
      ...expected,
      reportingUa: 'direct.x.test; Security Agent',
      modifiers: [],
    })
  })

  it.each([
    ['a space after the semicolon', fields.replace(';processed', '; processed')],
    [
      'spaces everywhere',
      fields.replace(
        'automatic-action/MDN-sent-automatically;processed',
        '  automatic-action / MDN-sent-automatically  ;  processed  ',
      ),
    ],
    ['a folded disposition', fields.replace(';processed', ';\n\tprocessed')],
    ['a disposition that goes on without a fold', fields.replace('Disposition: ', 'Disposition:\n')],
    ['empty lines between the fields', fields.replaceAll('\n', '\n\n')],
    ['empty lines before the fields', `\n\n${fields}`],
    ['no Reporting-UA', fields.replace(/^Reporting-UA.*\n/m, '')],
    [
      'a final delivery field, which other systems put on processed too',
      `${fields}X-DIRECT-FINAL-DESTINATION-DELIVERY:\n`,
    ],
    ['no angle brackets', fields.replace('<1@y.test>', '1@y.test')],
    ['no space after rfc822', fields.replace('rfc822; ', 'rfc822;')],
    [
      'other letter case',
      fields
        .replace('rfc822; mary@x.test', 'RFC822;MARY@X.TEST')
        .replace('Disposition:', 'DISPOSITION:')
        .replace('processed', 'Processed'),
    ],
    ['an address in angle brackets', fields.replace('mary@x.test', '<mary@x.test>')],
    ['no address type', fields.replace('rfc822; ', '')],
    ['space before a colon', fields.replace('Disposition:', 'Disposition :')],
    ['the same disposition twice', `${fields}Disposition: manual-action/MDN-sent-manually; processed\n`],
  ])('reads one with %s', (_name, text) => {
    expect(recognise(report(text))).toMatchObject(expected)
  })

  it('reads one without a text part, without report-type, base64-encoded, or as the message itself', () => {
    expect(recognise(report(fields, { text: '' }))).toMatchObject(expected)
    expect(recognise(report(fields, { type: '' }))).toMatchObject(expected)
    const encoded = Buffer.from(fields).toString('base64')
    expect(
      recognise(
        report(fields)
          .replace('notification\n\n', 'notification\nContent-Transfer-Encoding: base64\n\n')
          .replace(fields, encoded),
      ),
    ).toMatchObject(expected)
    expect(recognise(`Content-Type: message/disposition-notification\n\n${fields}`)).toMatchObject(expected)
  })

  it('tells dispatched and failed, modifiers, and extension fields', () => {
    const dispatched = recognise(
      report(`${fields.replace('processed', 'dispatched')}X-DIRECT-FINAL-DESTINATION-DELIVERY: \n`),
    )
    expect(dispatched).toMatchObject({ disposition: 'dispatched' })
    expect(dispatched.kind === 'mdn' && [...dispatched.extensions]).toEqual([
      ['x-direct-final-destination-delivery', ''],
    ])
    for (const word of ['failed', 'failure', ' failed', 'Failed/Error, x-more'])
      expect(recognise(report(fields.replace('processed', word)))).toMatchObject({ disposition: 'failed' })
    expect(recognise(report(fields.replace('processed', 'processed/error,warning')))).toMatchObject({
      disposition: 'processed',
      modifiers: ['error', 'warning'],
    })
  })

  it.each([
    ['no disposition', fields.replace(/^Disposition.*\n/m, '')],
    ['an unreadable disposition', fields.replace('automatic-action/MDN-sent-automatically;processed', 'processed')],
    ['two dispositions that contradict', `${fields}Disposition: automatic-action/MDN-sent-automatically;failed\n`],
    [
      'two contradicting dispositions behind an empty line',
      `${fields}\nDisposition: automatic-action/MDN-sent-automatically;failed\n`,
    ],
    ['nothing', ''],
  ])('is still a notice with %s, and confirms nothing', (_name, text) => {
    expect(recognise(report(text))).toMatchObject({ kind: 'mdn', disposition: '' })
  })

  it('is still a notice where the report part is missing', () => {
    expect(
      recognise(
        'Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nDone.\n--b--',
      ),
    ).toMatchObject({ kind: 'mdn', disposition: '' })
  })

  it('falls back to In-Reply-To for the message it is about', () => {
    expect(
      recognise(report(fields.replace(/^Original.*\n/m, ''), { head: 'In-Reply-To: <1@y.test>\n' })),
    ).toMatchObject(expected)
  })

  it('does not take a forwarded notice, or a text about one, for a notice', () => {
    expect(recognise(`Content-Type: multipart/mixed; boundary=o\n\n--o\n${report(fields)}\n--o--`)).toEqual({
      kind: 'none',
    })
    expect(recognise(`Content-Type: message/rfc822\n\n${report(fields)}`)).toEqual({ kind: 'none' })
    expect(recognise(`Content-Type: text/plain\n\n${fields}`)).toEqual({ kind: 'none' })
    expect(recognise('Content-Type: multipart/report; report-type=x; boundary=b\n\n--b\n\nx\n--b--')).toEqual({
      kind: 'none',
    })
  })
})

describe('recogniseNotice for a DSN', () => {
  const dsn = (status: string, more = '') =>
    `In-Reply-To: <fallback@y.test>\nContent-Type: multipart/report; report-type="delivery-status"; boundary=b\n\n--b\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n${status}\n${more}--b--\n`
  const perMessage = 'Reporting-MTA: dns; mx.x.test\nX-Original-Message-ID: <1@y.test>\n'
  const one = 'Final-Recipient: rfc822; a@x.test\nAction: Failed\nStatus: 5.1.1 (no such user)\n'

  it('reads recipients, actions and the message it is about', () => {
    expect(
      recognise(dsn(`${perMessage}\n${one}\n${one.replace('a@x', 'b@x').replace('Failed', 'delayed')}`)),
    ).toMatchObject({
      kind: 'dsn',
      disposition: '',
      originalMessageId: '<1@y.test>',
      recipients: [
        { finalRecipient: 'a@x.test', action: 'failed', status: '5.1.1' },
        { finalRecipient: 'b@x.test', action: 'delayed', status: '5.1.1' },
      ],
    })
    expect(recognise(dsn(`${perMessage}\n\n${one}`))).toMatchObject({
      disposition: 'failed',
      finalRecipient: 'a@x.test',
    })
  })

  it('reads one without fields about the message, and finds the message id in what was returned', () => {
    const returned = '\n--b\nContent-Type: text/rfc822-headers\n\nSubject: x\nMessage-ID: <1@y.test>\n\n'
    expect(recognise(dsn(one, returned))).toMatchObject({
      originalMessageId: '<1@y.test>',
      recipients: [{ action: 'failed' }],
    })
    expect(recognise(dsn(one))).toMatchObject({ originalMessageId: '<fallback@y.test>' })
  })

  it('is still a notice where the report is missing', () => {
    expect(
      recognise('Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nx\n--b--'),
    ).toMatchObject({ kind: 'dsn', recipients: [], disposition: '' })
  })
})

describe('recogniseNotice for hostile bytes', () => {
  it('never throws', () => {
    const seed = Buffer.from(report(fields).replace(/\n/g, '\r\n'))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const bytes = Buffer.from(seed)
          for (const [at, byte] of changes) bytes[at] = byte
          const read = readMime(bytes)
          if (read.kind === 'part') recogniseNotice(read)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('takes linear time for huge reports', () => {
    const started = performance.now()
    for (const filler of [
      'x\n',
      'a: b\n',
      'a:b\n\n',
      ' \n',
      'Disposition: ;\n',
      '<'.repeat(50),
      '<a',
      ' ;',
      'Final-Recipient: rfc822;                 <\n',
    ])
      recognise(report(`Original-Message-ID: ${filler.repeat(1_000_000 / filler.length)}`))
    expect(performance.now() - started).toBeLessThan(3_000)
  })
})
