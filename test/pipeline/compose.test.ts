import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { readContext } from '../../src/mime/context.js'
import { decodeBody } from '../../src/mime/decode.js'
import { readHeader } from '../../src/mime/header.js'
import { leavesOf, readMime } from '../../src/mime/part.js'
import { noticeRequestOf } from '../../src/notices/request.js'
import { composeLetter, type NewLetter } from '../../src/pipeline/compose.js'
import { isXdmPackage, withXdmSubject, xdmLimits } from '../../src/pipeline/xdm-subject.js'

const from = 'ann@clinic.example' as DirectAddress
const to = ['ben@lab.example' as DirectAddress]

function composed(letter: Partial<NewLetter> = {}) {
  const outcome = composeLetter({
    ...{ from, to, cc: [], subject: 'Results', text: 'See below.', attachments: [], at: Date.UTC(2026, 2, 2) },
    ...letter,
  })
  if (outcome.kind === 'refused') throw new Error(outcome.detail)
  const tree = readMime(outcome.message)
  if (tree.kind === 'unreadable') throw new Error(tree.detail)
  return { message: outcome.message, tree }
}

/** A stored zip of empty files with these names: local headers, directory, end. */
function zipOf(names: readonly string[], { comment = '' } = {}): Buffer {
  const locals: Buffer[] = []
  const entries: Buffer[] = []
  let offset = 0
  for (const name of names) {
    const local = Buffer.alloc(30 + name.length)
    local.write('PK\x03\x04', 'latin1')
    local.writeUInt16LE(name.length, 26)
    local.write(name, 30, 'latin1')
    const entry = Buffer.alloc(46 + name.length)
    entry.write('PK\x01\x02', 'latin1')
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(offset, 42)
    entry.write(name, 46, 'latin1')
    locals.push(local)
    entries.push(entry)
    offset += local.length
  }
  const directory = Buffer.concat(entries)
  const end = Buffer.alloc(22 + comment.length)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  end.write(comment, 22, 'latin1')
  return Buffer.concat([...locals, directory, end])
}

const xdmNames = ['README.TXT', 'INDEX.HTM', 'IHE_XDM/SUBSET01/METADATA.XML', 'IHE_XDM/SUBSET01/DOC1.XML']
const xdm = zipOf(xdmNames)

describe('a letter', () => {
  it.each([
    ['processed', { notifyTo: from, finalDelivery: false }],
    ['dispatched', { notifyTo: from, finalDelivery: true }],
    [undefined, { finalDelivery: false }],
  ] as const)('asks to be told of %s as receivers read it', (confirmDelivery, asked) => {
    const { tree } = composed(confirmDelivery ? { confirmDelivery } : {})
    expect(noticeRequestOf(tree.header)).toEqual(asked)
  })

  it('brings its context, under an id of its own', () => {
    const context = {
      type: { category: 'laboratory', action: 'result' },
      patient: { givenName: 'Änne', surname: 'Testcase; née Sample' },
    } as const
    const { tree } = composed({ context })
    expect(readContext(tree)).toEqual({
      context: {
        version: '1.1',
        id: expect.stringMatching(/^<[0-9a-f]{32}@clinic\.example>$/),
        patientIds: [],
        others: [],
        ...context,
      },
      faults: [],
    })
    expect(tree.children.map((part) => part.contentType.value)).toEqual(['text/plain', 'text/plain'])
    const ids = [composed({ context }), composed({ context, at: 1 })].map((one) => readContext(one.tree)?.context?.id)
    expect(ids[0]).not.toBe(ids[1])
  })

  it('refuses a context that breaks out of its line', () => {
    const letter = { from, to, cc: [], subject: '', text: '', attachments: [], at: 0 }
    expect(composeLetter({ ...letter, context: { purpose: 'a\nid: b' } })).toMatchObject({
      kind: 'refused',
      reason: 'malformed-message',
    })
  })

  it('says in its subject that it brings an XDM package, once', () => {
    const attachments = [{ name: 'papers.zip', mediaType: 'application/zip', bytes: xdm }]
    expect(composed({ attachments }).tree.header.get('subject')).toBe('Results XDM/1.0/DDM')
    expect(composed({ attachments, subject: '' }).tree.header.get('subject')).toBe('XDM/1.0/DDM')
    expect(composed({ attachments, subject: 'XDM/1.0/DDM+papers' }).tree.header.get('subject')).toBe(
      'XDM/1.0/DDM+papers',
    )
    const other = [{ name: 'papers.zip', mediaType: 'application/zip', bytes: zipOf(['A.TXT']) }]
    expect(composed({ attachments: other }).tree.header.get('subject')).toBe('Results')
  })
})

describe('an XDM package', () => {
  it.each([
    ['by its type', 'application/zip', undefined, xdm, true],
    ['by its name', 'application/octet-stream', 'A.ZIP', xdm, true],
    ['by neither', 'application/octet-stream', 'a.bin', xdm, false],
    ['with a comment', 'application/zip', undefined, zipOf(xdmNames, { comment: 'made by a test' }), true],
    ['in small letters', 'application/zip', undefined, zipOf(['ihe_xdm/subset01/metadata.xml']), true],
    ['with backslashes', 'application/zip', undefined, zipOf(['IHE_XDM\\SUBSET01\\METADATA.XML']), true],
    ['not deeper down', 'application/zip', undefined, zipOf(['papers/IHE_XDM/METADATA.XML']), false],
    ['not by its words', 'application/zip', undefined, Buffer.concat([Buffer.from('IHE_XDM/'), zipOf(['a'])]), false],
    ['not without an end', 'application/zip', undefined, xdm.subarray(0, -22), false],
    ['not empty', 'application/zip', undefined, Buffer.alloc(0), false],
  ] as const)('is known %s', (_, mediaType, name, bytes, known) => {
    expect(isXdmPackage(mediaType, name, bytes)).toBe(known)
  })

  it('is looked for in the last bytes alone', () => {
    const long = zipOf([...xdmNames, ...Array.from({ length: 6_000 }, (_, i) => `F${String(i).padStart(40, '0')}`)])
    expect(long.length).toBeGreaterThan(2 * xdmLimits.tailBytes)
    expect(isXdmPackage('application/zip', undefined, long)).toBe(false)
    expect(isXdmPackage('application/zip', undefined, Buffer.concat([Buffer.alloc(1 << 20), xdm]))).toBe(true)
  })

  it('ends the looking wherever bytes are damaged', () => {
    for (let at = 0; at < xdm.length; at++)
      for (const byte of [0, 255]) {
        const damaged = Buffer.from(xdm)
        damaged[at] = byte
        isXdmPackage('application/zip', undefined, damaged)
      }
  })
})

describe('a message that is handed in whole', () => {
  const lines = (text: string) => text.replace(/\r?\n/g, '\r\n')
  const mail = (subject: string, part: string, bytes = xdm) =>
    Buffer.from(
      lines(
        `From: <${from}>\n${subject}To: <${to[0]}>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nHello\n--b\n${part}\n\n${bytes.toString('base64').replace(/.{76}/g, '$&\n')}\n--b--\n`,
      ),
    )
  const zip = 'Content-Type: application/zip\nContent-Transfer-Encoding: base64'

  it.each([
    ['a subject', 'Subject: Results\n', 'Results XDM/1.0/DDM'],
    ['none', '', 'XDM/1.0/DDM'],
    ['an empty one', 'Subject:\n', 'XDM/1.0/DDM'],
    ['a folded one', 'Subject: Results\n of today\n', 'Results of today XDM/1.0/DDM'],
    ['an encoded one', 'Subject: =?utf-8?q?R=C3=A9sum=C3=A9?=\n', '=?utf-8?q?R=C3=A9sum=C3=A9?= XDM/1.0/DDM'],
    ['one that says it', 'Subject: XDM/1.0/DDM\n', 'XDM/1.0/DDM'],
  ])('says that it brings a package, with %s', (_, subject, expected) => {
    const before = mail(subject, zip)
    const after = withXdmSubject(before)
    const header = readHeader(after)
    expect(header.kind === 'header' && header.get('subject')).toBe(expected)
    const tree = readMime(after)
    if (tree.kind === 'unreadable') throw new Error(tree.detail)
    const leaf = [...leavesOf(tree)].at(-1)
    const decoded = leaf && decodeBody(leaf)
    expect(decoded?.kind === 'decoded' && decoded.bytes.equals(xdm)).toBe(true)
    expect(withXdmSubject(after)).toBe(after)
  })

  it('is found by its name alone, at the end of a large part, and in a message that is nothing else', () => {
    const named =
      'Content-Type: application/octet-stream; name="=?utf-8?q?a=2Ezip?="\nContent-Transfer-Encoding: base64'
    expect(withXdmSubject(mail('', named)).toString()).toContain('Subject: XDM/1.0/DDM\r\n')
    for (const before of [1 << 20, (1 << 20) + 1, (1 << 20) + 2])
      expect(withXdmSubject(mail('', zip, Buffer.concat([Buffer.alloc(before), xdm]))).toString()).toContain('DDM\r\n')
    const sole = Buffer.from(lines(`From: <${from}>\n${zip}\n\n${xdm.toString('base64')}\n`))
    expect(withXdmSubject(sole).toString()).toContain('Subject: XDM/1.0/DDM\r\n')
  })

  it.each([
    ['no package', mail('Subject: a\n', zip, zipOf(['a']))],
    ['a part of another type', mail('Subject: a\n', zip.replace('zip', 'pdf'))],
    ['two subjects', mail('Subject: a\nSubject: b\n', zip)],
    ['an unknown encoding', mail('Subject: a\n', zip.replace('base64', 'rot13'))],
    ['no header', Buffer.from('nothing')],
    ['no boundary', Buffer.from('Content-Type: multipart/mixed\r\n\r\n')],
  ])('stays as it is with %s', (_, message) => {
    expect(withXdmSubject(message)).toBe(message)
  })
})
