import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mailboxesOf, readMailboxes, soleMailboxOf } from '../../src/mime/addresses.js'
import { readHeader } from '../../src/mime/header.js'

function read(value: string) {
  const result = readMailboxes(value)
  return result.kind === 'mailboxes' ? result.mailboxes.map(({ address, display }) => [address, display]) : result.fault
}

function header(text: string) {
  const result = readHeader(Buffer.from(text.replace(/\n/g, '\r\n')))
  if (result.kind !== 'header') throw new Error(result.detail)
  return result
}

describe('readMailboxes', () => {
  it.each([
    ['a@x.test', [['a@x.test', '']]],
    ['  A.B+c@X.Test  ', [['a.b+c@x.test', '']]],
    ['<a@x.test>', [['a@x.test', '']]],
    ['Ann Example <a@x.test>', [['a@x.test', 'Ann Example']]],
    ['Dr. A. Example<a@x.test>', [['a@x.test', 'Dr. A. Example']]],
    ['"b@y.test" <a@x.test>', [['a@x.test', 'b@y.test']]],
    ['"Quote \\" <b@y.test>, " <a@x.test>', [['a@x.test', 'Quote " <b@y.test>, ']]],
    ['(b@y.test) a@x.test (<c@z.test>, (nested) \\) still)', [['a@x.test', '']]],
    ['=?utf-8?Q?b=40y.test?= <a@x.test>', [['a@x.test', '=?utf-8?Q?b=40y.test?=']]],
    ['=?utf-8?B?PGJAeS50ZXN0Pg==?= <a@x.test>', [['a@x.test', '=?utf-8?B?PGJAeS50ZXN0Pg==?=']]],
    ['Änne <a@x.test>', [['a@x.test', 'Änne']]],
    [
      'a@x.test, B <b@y.test> ,c@z.test',
      [
        ['a@x.test', ''],
        ['b@y.test', 'B'],
        ['c@z.test', ''],
      ],
    ],
    ['undisclosed-recipients:;', []],
    [
      'Team A: a@x.test, "B" <b@y.test>; , c@z.test',
      [
        ['a@x.test', ''],
        ['b@y.test', 'B'],
        ['c@z.test', ''],
      ],
    ],
    ['one:;, two: (nobody) ;', []],
    ['"a b"@x.test', [[undefined, '']]],
    ['a@[192.0.2.1]', [[undefined, '']]],
    ['ä@x.test', [[undefined, '']]],
    [`${'a'.repeat(65)}@x.test`, [[undefined, '']]],
    ['', []],
    ['(nobody)', []],
  ])('reads %j', (value, expected) => {
    expect(read(value)).toEqual(expected)
  })

  it.each([
    ['a@x.test\0', 'control-character'],
    ['a\0@x.test', 'control-character'],
    ['"a\0b" <a@x.test>', 'control-character'],
    ['a@x.test\r\nBcc: b@y.test', 'control-character'],
    ['a@x.test (open', 'unclosed-comment'],
    ['a@x.test (a (b)', 'unclosed-comment'],
    ['"open <a@x.test>', 'unclosed-quote'],
    ['team: a@x.test', 'unclosed-group'],
    ['team:', 'unclosed-group'],
    ['a@x.test,', 'empty-entry'],
    [',a@x.test', 'empty-entry'],
    ['a@x.test,,b@y.test', 'empty-entry'],
    ['team: ,a@x.test;', 'empty-entry'],
    ['a', 'not-an-address'],
    ['<>', 'not-an-address'],
    ['a@', 'not-an-address'],
    ['@x.test', 'not-an-address'],
    ['<a@x.test', 'not-an-address'],
    ['a@b@x.test', 'text-after-address'],
    ['a..b@x.test', 'not-an-address'],
    ['.a@x.test', 'not-an-address'],
    ['a@x.test.', 'not-an-address'],
    ['a\\@b@x.test', 'not-an-address'],
    [':a@x.test;', 'not-an-address'],
    ['one: two: a@x.test;;', 'not-an-address'],
    ['<@r.test:a@x.test>', 'obsolete-form'],
    ['<@r.test,@s.test:a@x.test>', 'obsolete-form'],
    ['a @x.test', 'obsolete-form'],
    ['a@ x.test', 'obsolete-form'],
    ['a(c)@x.test', 'obsolete-form'],
    ['a@(c)x.test', 'obsolete-form'],
    ['b@y.test <a@x.test>', 'address-in-display-name'],
    ['Ann b@y.test', 'address-in-display-name'],
    ['Ann b@y.test <a@x.test>', 'address-in-display-name'],
    ['=?utf-8?Q?a?=@x.test', 'encoded-word-in-address'],
    ['<=?utf-8?Q?a=40y.test?=@x.test>', 'encoded-word-in-address'],
    ['<a@x.test> b', 'text-after-address'],
    ['<a@x.test> <b@y.test>', 'text-after-address'],
    ['a@x.test; b@y.test', 'text-after-address'],
    ['team: a@x.test; b@y.test', 'text-after-address'],
    ['a@x.test b', 'address-in-display-name'],
  ])('refuses %j as %s', (value, fault) => {
    expect(read(value)).toBe(fault)
  })

  it('stops at its limit', () => {
    const list = Array.from({ length: 2_001 }, (_, i) => `a${i}@x.test`)
    expect(read(list.join(','))).toBe('too-many')
    expect(read(list.slice(1).join(','))).toHaveLength(2_000)
  })

  it('takes linear time for hostile text', () => {
    const started = performance.now()
    for (const piece of ['(', '"', '<', '\\', ',', 'a:', '[', 'a ', '@', '()', '""', '"\\"', ':;,'])
      readMailboxes(piece.repeat(100_000 / piece.length))
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('only ever gives addresses that stand in the text outside quotes and comments', () => {
    const piece = fc.constantFrom(
      'a@x.test',
      'b@y.test',
      '"',
      '<',
      '>',
      '(',
      ')',
      ',',
      ':',
      ';',
      '@',
      ' ',
      '\\',
      'word',
      '=?utf-8?Q?b=40y.test?=',
      '[',
      ']',
      '\0',
      '.',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const value = pieces.join('')
        const result = readMailboxes(value)
        if (result.kind !== 'mailboxes') return
        const bare = value.replace(/\\./g, '').replace(/"[^"]*"/g, '')
        for (const { address } of result.mailboxes) if (address) expect(bare).toContain(address)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('soleMailboxOf', () => {
  it.each([
    ['From: Ann <a@x.test>\n\n', { kind: 'mailbox', address: 'a@x.test', display: 'Ann' }],
    ['To: a@x.test\n\n', { kind: 'absent' }],
    ['From:\n\n', { kind: 'absent' }],
    ['From: nobody:;\n\n', { kind: 'absent' }],
    ['From: a@x.test\nFrom: a@x.test\n\n', { kind: 'several' }],
    ['From: a@x.test\nfrom : b@y.test\n\n', { kind: 'several' }],
    ['From: a@x.test, b@y.test\n\n', { kind: 'several' }],
    ['From: a@x.test,\n "b c"@y.test\n\n', { kind: 'several' }],
    ['From: "a b"@x.test\n\n', { kind: 'bad-addresses', fault: 'not-an-address' }],
    ['From: a@x.test <b@y.test>\n\n', { kind: 'bad-addresses', fault: 'address-in-display-name' }],
  ])('reads %j', (text, expected) => {
    expect(soleMailboxOf(header(text), 'from')).toMatchObject(expected)
  })
})

describe('mailboxesOf', () => {
  it('collects every field of the name', () => {
    const read = mailboxesOf(header('To: a@x.test\nCc: c@z.test\nTo: b@y.test\n\n'), 'to')
    expect(read.kind === 'mailboxes' && read.mailboxes.map((mailbox) => mailbox.address)).toEqual([
      'a@x.test',
      'b@y.test',
    ])
    expect(mailboxesOf(header('To: a@x.test\nTo: b\n\n'), 'to').kind).toBe('bad-addresses')
    expect(mailboxesOf(header('A: b\n\n'), 'to')).toEqual({ kind: 'mailboxes', mailboxes: [] })
  })
})
