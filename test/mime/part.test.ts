import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leafAt, leavesOf, type Part, pathOf, readMime } from '../../src/mime/part.js'

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'latin1')

function tree(text: string | Buffer): Part {
  const read = readMime(typeof text === 'string' ? crlf(text) : text)
  if (read.kind !== 'part') throw new Error(read.detail)
  return read
}

function fault(text: string | Buffer, options = {}) {
  const read = readMime(typeof text === 'string' ? crlf(text) : text, options)
  return read.kind === 'unreadable' ? read.fault : read.kind
}

const bodies = (part: Part) => [...leavesOf(part)].map((leaf) => leaf.body.toString('latin1'))
const multipart = (boundary: string, ...parts: string[]) =>
  `Content-Type: multipart/mixed; boundary="${boundary}"\n\n${parts.map((part) => `--${boundary}\n${part}\n`).join('')}--${boundary}--\n`

describe('readMime', () => {
  it('reads nested multiparts, with exact views of preamble, epilogue, entities and bodies', () => {
    const source = crlf(
      `Content-Type: multipart/mixed; boundary=out\n\npre\n--out\nA: 1\n\nfirst\n\n--out\n${multipart('in', '\nx', '\ny')}\n--out--\nepi`,
    )
    const root = tree(source)
    expect(root.multipart?.preamble.toString()).toBe('pre')
    expect(root.multipart?.epilogue.toString()).toBe('epi')
    expect(root.children.map((child) => child.path)).toEqual([[1], [2]])
    expect(root.children[1]?.children.map((child) => child.path)).toEqual([
      [2, 1],
      [2, 2],
    ])
    expect(root.children[0]?.entity.toString()).toBe('A: 1\r\n\r\nfirst\r\n')
    expect(bodies(root)).toEqual(['first\r\n', 'x', 'y'])
    for (const leaf of leavesOf(root)) expect(leaf.body.buffer).toBe(source.buffer)
  })

  it('does not take a boundary that begins another one for that one', () => {
    const inner = multipart('abcdef', '\none', '\ntwo')
    expect(bodies(tree(multipart('abc', inner, '\nthree')))).toEqual(['one', 'two', 'three'])
    expect(bodies(tree(multipart('abc', '\n--abcx\n--abc--x\ntext')))).toEqual(['--abcx\r\n--abc--x\r\ntext'])
  })

  it('takes transport padding, and a delimiter at the very end', () => {
    expect(bodies(tree('Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\nx\n--b--  '))).toEqual(['x'])
    expect(bodies(tree('Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b'))).toEqual(['x', ''])
  })

  it('does not take a boundary inside a line, or after a bare LF, for a delimiter', () => {
    expect(bodies(tree(multipart('b', '\nx --b\n')))).toEqual(['x --b\r\n'])
    const bare = Buffer.from('Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\n--b\r\n\r\ny\r\n--b--')
    expect(bodies(tree(bare))).toEqual(['x\n--b\r\n\r\ny'])
  })

  it('reads stored data with bare LF only when asked', () => {
    const stored = Buffer.from(multipart('b', '\nx', '\ny'))
    expect(fault(stored)).toBe('bare-lf')
    const read = readMime(stored, { lineBreaks: 'any' })
    expect(read.kind === 'part' && bodies(read)).toEqual(['x', 'y'])
  })

  it('tells a missing end boundary without losing the last part', () => {
    const root = tree('Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n\ny')
    expect(root.multipart?.closed).toBe(false)
    expect(bodies(root)).toEqual(['x', 'y'])
    expect(tree(multipart('b', '\nx')).multipart?.closed).toBe(true)
  })

  it('lets the outer boundary end an inner multipart that was not closed', () => {
    const root = tree(multipart('out', 'Content-Type: multipart/mixed; boundary=in\n\n--in\n\nx', '\ny'))
    expect(root.children[0]?.multipart?.closed).toBe(false)
    expect(bodies(root)).toEqual(['x', 'y'])
  })

  it('reads empty parts, with and without their own line break', () => {
    expect(bodies(tree('Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b--'))).toEqual(['', ''])
  })

  it('leaves message/rfc822 closed, and makes it the default of a digest', () => {
    const inner = multipart('in', '\nx')
    const root = tree(multipart('out', `Content-Type: message/rfc822\n\n${inner}`))
    expect(root.children[0]?.children).toEqual([])
    const digest = tree('Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: 1\n\nx\n--b--')
    expect(digest.children[0]?.contentType.value).toBe('message/rfc822')
  })

  it.each([
    ['boundary-absent', 'Content-Type: multipart/mixed\n\n--b\n\nx\n--b--'],
    ['boundary-absent', 'Content-Type: multipart/mixed; boundary=""\n\n--\n\nx\n----'],
    ['boundary-length', multipart('b'.repeat(71), '\nx')],
    ['boundary-characters', multipart('b\x07', '\nx')],
    ['duplicate-parameter', 'Content-Type: multipart/mixed; boundary=a; boundary=b\n\n--b\n\nx\n--b--'],
    ['duplicate-field', 'Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n\n--b\n\nx\n--b--'],
    ['duplicate-field', 'Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\nx'],
    ['no-start-boundary', 'Content-Type: multipart/mixed; boundary=b\n\nnothing'],
    ['no-start-boundary', 'Content-Type: multipart/mixed; boundary=b\n\n--b--'],
    ['no-start-boundary', multipart('b', multipart('b', '\nx'))],
    ['not-a-field', multipart('b', 'no header and no empty line')],
    ['part', multipart('b'.repeat(70), '\nx')],
    ['part', multipart('b', ...Array.from({ length: 499 }, () => '\nx'))],
    ['parts', multipart('b', ...Array.from({ length: 500 }, () => '\nx'))],
    ['parts', multipart('b', ...Array.from({ length: 10_000 }, () => '\nx'))],
  ])('answers %s', (expected, text) => {
    expect(fault(text)).toBe(expected)
  })

  it('names leaves so that they are found again', () => {
    const root = tree(multipart('out', '\nx', multipart('in', '\ny', '\nz')))
    for (const leaf of leavesOf(root)) expect(leafAt(root, pathOf(leaf))).toBe(leaf)
    expect([...leavesOf(root)].map(pathOf)).toEqual(['1', '2.1', '2.2'])
    const alone = tree('\nx')
    expect(leafAt(alone, '1')).toBe(alone)
    for (const path of ['', '2', '2.3', '2.1.1', '__proto__']) expect(leafAt(root, path)).toBeUndefined()
  })

  it('counts parts of all levels together', () => {
    const many = (boundary: string) => multipart(boundary, ...Array.from({ length: 250 }, () => '\nx'))
    expect(fault(multipart('out', many('a'), many('b')))).toBe('parts')
  })

  it('reads 20 nested multiparts and refuses 21', () => {
    const nested = (levels: number) => {
      let text = '\nx'
      for (let level = 0; level < levels; level += 1) text = multipart(`b${level}-`, text)
      return text
    }
    expect(bodies(tree(nested(20)))).toEqual(['x'])
    expect(fault(nested(21))).toBe('depth')
    expect(fault(nested(300))).toBe('depth')
  })

  it('refuses more bytes than its limit', () => {
    expect(fault('\n0123456789', { limits: { decodedBytes: 11 } })).toBe('too-many-bytes')
  })

  it('takes linear time for bodies made of boundaries that are none', () => {
    const head = 'Content-Type: multipart/mixed; boundary="-"\n\n'
    const started = performance.now()
    for (const filler of ['-', '---', '---x\n', '\n---', '---- ', '--- '])
      fault(head + filler.repeat(2_000_000 / filler.length))
    expect(performance.now() - started).toBeLessThan(4_000)
  })

  it('finds exactly the parts that were put together', () => {
    const word = fc.stringMatching(/^[a-z -]{0,12}$/)
    const body = fc.array(word, { maxLength: 5 }).map((lines) => lines.join('\n'))
    fc.assert(
      fc.property(fc.array(body, { minLength: 1, maxLength: 8 }), (parts) => {
        expect(bodies(tree(multipart('=_B', ...parts.map((part) => `\n${part}`))))).toEqual(
          parts.map((part) => part.replace(/\n/g, '\r\n')),
        )
      }),
    )
  })

  it('never throws and keeps every view inside the source, whatever happened to the bytes', () => {
    const seed = crlf(
      multipart(
        'out',
        '\nx',
        multipart('in', 'Content-Type: text/html\n\n<p>', '\ny'),
        'Content-Type: message/rfc822\n\nA: 1\n\nz',
      ),
    )
    const change = fc.record({
      at: fc.nat(seed.length - 1),
      byte: fc.constantFrom(0, 9, 10, 13, 32, 34, 40, 45, 58, 59, 61, 98, 255),
      cut: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let bytes = Buffer.from(seed)
        for (const { at, byte, cut } of changes) {
          if (cut) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
          else bytes[Math.min(at, bytes.length - 1)] = byte
        }
        const read = readMime(bytes)
        if (read.kind !== 'part') return
        for (const leaf of leavesOf(read)) {
          expect(leaf.entity.length).toBe(leaf.header.bodyStart + leaf.body.length)
          expect(leaf.body.byteOffset + leaf.body.length).toBeLessThanOrEqual(bytes.byteOffset + bytes.length)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})
