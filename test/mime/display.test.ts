import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDate } from '../../src/mime/date.js'
import { type ShownMessage, showMessage } from '../../src/mime/display.js'
import type { HeaderOptions } from '../../src/mime/header.js'
import { readMime } from '../../src/mime/part.js'

function tree(text: string | Buffer, options: HeaderOptions = {}) {
  const read = readMime(
    typeof text === 'string' ? Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'latin1') : text,
    options,
  )
  if (read.kind !== 'part') throw new Error(read.detail)
  return read
}

const show = (text: string | Buffer, limits = {}): Promise<ShownMessage> => showMessage(tree(text), limits)
const multipart = (subtype: string, boundary: string, ...parts: string[]) =>
  `Content-Type: multipart/${subtype}; boundary=${boundary}\n\n${parts.map((part) => `--${boundary}\n${part}\n`).join('')}--${boundary}--\n`

describe('showMessage', () => {
  it('reads fields for people', async () => {
    const shown = await show(`From: =?utf-8?Q?Dr=2E_Gr=C3=BCn?= <gruen@x.test>
To: "B, Person" <b@y.test>, team: c@z.test;
Cc: plain@z.test
Subject: =?iso-8859-1?Q?Gr=FC=DFe?=
 =?utf-8?B?IOKCrA==?=
Date: Thu, 2 Jan 2025 03:04:05 -0500 (EST)
Message-ID: <1@x.test>
In-Reply-To: <0@x.test>
References: <a@x.test>
 <0@x.test> junk

Hello
`)
    expect(shown).toEqual({
      subject: 'Grüße €',
      from: [{ address: 'gruen@x.test', display: 'Dr. Grün' }],
      to: [
        { address: 'b@y.test', display: 'B, Person' },
        { address: 'c@z.test', display: '' },
      ],
      cc: [{ address: 'plain@z.test', display: '' }],
      date: Date.UTC(2025, 0, 2, 8, 4, 5),
      messageId: '<1@x.test>',
      inReplyTo: '<0@x.test>',
      references: ['<a@x.test>', '<0@x.test>'],
      text: 'Hello\n',
      unsafeHtml: undefined,
      cut: false,
      attachments: [],
    })
  })

  it('never makes an address of an encoded word, and shows what it cannot read as it stands', async () => {
    const shown = await show(
      'From: =?utf-8?B?PGJvc3NAeS50ZXN0Pg==?= <a@x.test>\nTo: =?utf-8?B?PGJvc3NAeS50ZXN0Pg==?=\n\nx',
    )
    expect(shown.from).toEqual([{ address: 'a@x.test', display: '<boss@y.test>' }])
    expect(shown.to).toEqual([{ address: '', display: '<boss@y.test>' }])
  })

  it('shows both forms of an alternative, and attaches the rest', async () => {
    const shown = await show(
      multipart(
        'mixed',
        'out',
        multipart(
          'related',
          'rel',
          multipart('alternative', 'alt', '\nplain', 'Content-Type: text/html\n\n<p>html</p><script>x</script>'),
          'Content-Type: image/png\nContent-ID: <pic@x.test>\nContent-Disposition: inline\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=',
        ),
        'Content-Type: application/xml; name="ccd.xml"\nContent-Disposition: attachment; filename="CCD.xml"\n\n<x/>',
        'Content-Type: text/plain\nContent-Disposition: attachment; filename=note.txt\n\nattached',
      ),
    )
    expect(shown.text).toBe('plain')
    expect(shown.unsafeHtml).toBe('<p>html</p><script>x</script>')
    expect(shown.attachments).toEqual([
      {
        path: '1.2',
        name: undefined,
        mediaType: 'image/png',
        disposition: 'inline',
        contentId: 'pic@x.test',
        sizeBytes: 9,
      },
      {
        path: '2',
        name: 'CCD.xml',
        mediaType: 'application/xml',
        disposition: 'attachment',
        contentId: undefined,
        sizeBytes: 4,
      },
      {
        path: '3',
        name: 'note.txt',
        mediaType: 'text/plain',
        disposition: 'attachment',
        contentId: undefined,
        sizeBytes: 8,
      },
    ])
  })

  it('puts text around HTML into the HTML, escaped', async () => {
    const shown = await show(multipart('mixed', 'b', 'Content-Type: text/html\n\n<p>one</p>', '\n<two> & three'))
    expect(shown.unsafeHtml).toBe('<p>one</p>\n<pre>&lt;two&gt; &amp; three</pre>')
    expect(shown.text).toBe('<two> & three')
  })

  it.each([
    ['iso-8859-1', '8bit', '\xe9', 'é'],
    ['windows-1252', '8bit', '\x80', '€'],
    ['utf-8', 'quoted-printable', '=E2=82=AC', '€'],
    ['us-ascii', '8bit', '\xc3\xa9', 'é'],
    ['iso-2022-jp', '7bit', '\x1b$B$"\x1b(B', 'あ'],
    ['gb18030', 'base64', 'xOM=', '你'],
    ['x-unknown', '8bit', 'abc', 'abc'],
    ['"a;b"', '8bit', 'abc', 'abc'],
  ])('reads %s in %s', async (charset, encoding, body, expected) => {
    const shown = await show(
      `Content-Type: text/plain; charset=${charset}\nContent-Transfer-Encoding: ${encoding}\n\n${body}`,
    )
    expect(shown.text).toBe(expected)
  })

  it('joins flowed lines', async () => {
    const shown = await show('Content-Type: text/plain; format=flowed; delsp=yes\n\none \ntwo\nthree\n')
    expect(shown.text).toBe('onetwo\nthree')
  })

  it('adds no links and drops control characters', async () => {
    const shown = await show('Content-Type: text/plain\n\nsee https://x.test/ \x00\x1b[31m and @someone\n')
    expect(shown.text).toBe('see https://x.test/ [31m and @someone\n')
    expect(shown.unsafeHtml).toBeUndefined()
  })

  it('makes plain file names of hostile ones', async () => {
    const name = async (parameter: string) =>
      (await show(`Content-Type: application/pdf\nContent-Disposition: attachment; ${parameter}\n\nx`)).attachments[0]
        ?.name
    expect(await name('filename="../../etc/passwd"')).toBe('passwd')
    expect(await name('filename="C:\\\\dir\\\\a.pdf"')).toBe('a.pdf')
    expect(await name("filename*=utf-8''a%00b%0D%0Ac%E2%80%AEfdp.exe")).toBe('a b cfdp.exe')
    expect(await name('filename="=?utf-8?Q?=C3=9Cber=2Fblick.pdf?="')).toBe('blick.pdf')
    expect(await name('filename=".."')).toBeUndefined()
    expect(await name('filename=""')).toBeUndefined()
    expect(await name('filename="a<b>:c|d?.pdf"')).toBe('a_b__c_d_.pdf')
    expect(await name(`filename="${'x'.repeat(500)}.pdf"`)).toMatch(/^x{116}\.pdf$/)
  })

  it('reckons sizes within a few bytes', async () => {
    for (const size of [0, 1, 56, 57, 58, 1_000, 100_000]) {
      const body = Buffer.alloc(size, 'x')
        .toString('base64')
        .replace(/.{1,76}/g, '$&\n')
      const shown = await show(`Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n${body}`)
      expect(Math.abs((shown.attachments[0]?.sizeBytes ?? -10) - size)).toBeLessThanOrEqual(3)
    }
  })

  it('cuts long bodies and lists further text as attachments', async () => {
    const long = await show('Content-Type: text/plain; charset=utf-8\n\n\xc3\xa9\xc3\xa9', { shownTextBytes: 3 })
    expect(long).toMatchObject({ text: 'é', cut: true })
    const many = await show(multipart('mixed', 'b', '\none', '\ntwo', '\nthree'), { shownTextParts: 2 })
    expect(many).toMatchObject({ text: 'one\ntwo', attachments: [{ path: '3', mediaType: 'text/plain' }] })
    const unknown = await show('Content-Transfer-Encoding: x-own\n\nx')
    expect(unknown).toMatchObject({ text: undefined, attachments: [{ path: '1' }] })
  })

  it('never passes an attachment through the mail library, however large', async () => {
    const body = `${'A'.repeat(76)}\r\n`.repeat(100_000)
    const message = tree(
      Buffer.from(`Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}`),
    )
    await showMessage(message)
    const started = performance.now()
    const shown = await showMessage(message)
    expect(performance.now() - started).toBeLessThan(50)
    expect(shown.attachments[0]?.sizeBytes).toBe(5_700_000)
  })

  it('never throws for hostile bytes', async () => {
    const seed = Buffer.from(
      `From: "x" <a@x.test>\nSubject: =?utf-8?Q?a?=\nDate: Thu, 2 Jan 2025 03:04:05 +0000\n${multipart('alternative', 'b', 'Content-Type: text/plain; charset=utf-8; format=flowed\nContent-Transfer-Encoding: quoted-printable\n\na=E9=\nb', 'Content-Type: text/html; charset=iso-2022-jp\nContent-Disposition: inline; filename="a.html"\n\n<p>x')}`.replace(
        /\n/g,
        '\r\n',
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        async (changes) => {
          const bytes = Buffer.from(seed)
          for (const [at, byte] of changes) bytes[at] = byte
          const read = readMime(bytes)
          if (read.kind === 'part') await showMessage(read)
        },
      ),
      { numRuns: 800 },
    )
  })
})

describe('readDate', () => {
  it.each([
    ['Thu, 02 Jan 2025 03:04:05 +0000', Date.UTC(2025, 0, 2, 3, 4, 5)],
    ['2 Jan 2025 03:04 +0130', Date.UTC(2025, 0, 2, 1, 34)],
    ['Thu,  2 Jan 2025 03:04:05 GMT', Date.UTC(2025, 0, 2, 3, 4, 5)],
    ['Thu, 2 Jan 25 03:04:05 EST', Date.UTC(2025, 0, 2, 8, 4, 5)],
    ['2 Jan 99 03:04:05 -0000 (comment)', Date.UTC(1999, 0, 2, 3, 4, 5)],
    ['31 Dec 2024 23:59:60 +0000', Date.UTC(2025, 0, 1)],
  ])('reads %j', (text, expected) => {
    expect(readDate(text)).toBe(expected)
  })

  it.each([
    '',
    'now',
    '2025-01-02',
    '31 Feb 2025 00:00:00 +0000',
    '0 Jan 2025 00:00 +0000',
    '1 Jan 2025 24:00 +0000',
    '1 Foo 2025 00:00 +0000',
    '1 Jan 2025 00:60 +0000',
  ])('does not guess at %j', (text) => {
    expect(readDate(text)).toBeUndefined()
  })
})
