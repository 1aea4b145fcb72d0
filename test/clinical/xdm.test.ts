import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clinicalLimits } from '../../src/clinical/limits.js'
import { readDocument } from '../../src/clinical/read.js'
import { writeZip } from '../../src/clinical/xdm/zip.js'
import { ccd21, ccr, metadata, zip } from '../fixtures/clinical/documents.js'

const formats = async (bytes: Uint8Array, limits = clinicalLimits) => {
  const { documents, diagnostics } = await readDocument(bytes, { name: 'documents.zip' }, limits)
  return {
    documents: documents.map(({ item }) =>
      item.content.type === 'document' ? `${item.content.format} ${item.content.name}` : '',
    ),
    told: diagnostics.map((one) => `${one.code} ${one.where}`),
    parts: documents,
  }
}

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex')

describe('an XDM package', () => {
  it('is a document itself, and one for each that it holds', async () => {
    const bytes = await zip({
      'INDEX.HTM': '<html/>',
      'README.TXT': 'x',
      'IHE_XDM/SUBSET01/METADATA.XML': metadata('DOC01.XML', 'Visit summary', Buffer.byteLength(ccd21), sha1(ccd21)),
      'IHE_XDM/SUBSET01/DOC01.XML': ccd21,
      'IHE_XDM/SUBSET01/SCAN.PDF': '%PDF-1.4 scan',
      'IHE_XDM/SUBSET01/CCD.XSL': '<xsl:stylesheet xmlns:xsl="u"/>',
      'IHE_XDM/SUBSET01/.DS_Store': 'junk',
      '__MACOSX/IHE_XDM/SUBSET01/._DOC01.XML': 'junk',
    })
    const { documents, told, parts } = await formats(bytes)
    expect(documents).toEqual(['xdm documents.zip', 'c-cda DOC01.XML', 'pdf SCAN.PDF'])
    expect(told).toEqual(['unlisted-file IHE_XDM/SUBSET01/SCAN.PDF'])
    expect(parts[0]?.items).toEqual([])
    expect(parts[1]?.items).toEqual((await readDocument(Buffer.from(ccd21))).documents[0]?.items)
  })

  it('may be in lower case, and below a folder', async () => {
    const { documents, told } = await formats(
      await zip({
        'sample/ihe_xdm/subset01/metadata.xml': metadata(
          'document01.xml',
          'A title',
          Buffer.byteLength(ccr),
          sha1(ccr),
        ),
        'sample/ihe_xdm/subset01/document01.xml': ccr,
      }),
    )
    expect(documents).toEqual(['xdm documents.zip', 'ccr document01.xml'])
    expect(told).toEqual([])
  })

  it('takes the title of the metadata where the document has none, and compares size and hash', async () => {
    const text = 'Just a letter'
    const { parts, told } = await formats(
      await zip({
        'IHE_XDM/SUBSET01/METADATA.XML': metadata('LETTER.TXT', 'A letter', 99, 'ff'),
        'IHE_XDM/SUBSET01/LETTER.TXT': text,
      }),
    )
    expect(parts[1]?.item.content).toMatchObject({ format: 'text', title: 'A letter' })
    expect(told).toEqual(['size-mismatch IHE_XDM/SUBSET01/LETTER.TXT', 'hash-mismatch IHE_XDM/SUBSET01/LETTER.TXT'])
  })

  it('says when the metadata lists a file that is not there', async () => {
    const { told } = await formats(await zip({ 'IHE_XDM/SUBSET01/METADATA.XML': metadata('GONE.XML', 'x', 1, 'ff') }))
    expect(told).toEqual(['missing-file IHE_XDM/SUBSET01/GONE.XML', 'not-parsed '])
  })
})

describe('another zip', () => {
  it('with clinical documents is read alike, with a word about it', async () => {
    const { documents, told } = await formats(await zip({ 'a/b/summary.xml': ccr, 'readme.txt': 'x' }))
    expect(documents).toEqual(['zip documents.zip', 'ccr summary.xml'])
    expect(told).toEqual(['wrong-root '])
  })

  it('without any is kept as it is', async () => {
    expect(await formats(await zip({ 'x.txt': 'x' }))).toMatchObject({
      documents: ['zip documents.zip'],
      told: ['not-parsed '],
    })
    expect(await formats(await zip({}))).toMatchObject({ documents: ['zip documents.zip'], told: ['not-parsed '] })
  })

  it('inside a zip is not opened', async () => {
    const inner = await zip({ 'summary.xml': ccr })
    const { documents, told } = await formats(await zip({ 'IHE_XDM/SUBSET01/INNER.ZIP': inner, 'other.zip': inner }))
    expect(documents).toEqual(['xdm documents.zip', 'zip INNER.ZIP'])
    expect(told).toEqual([
      'not-parsed IHE_XDM/SUBSET01/INNER.ZIP',
      'unlisted-file IHE_XDM/SUBSET01/INNER.ZIP',
      'not-parsed other.zip',
    ])
  })
})

describe('a hostile zip', () => {
  it.each(['../x.xml', 'a/../../x.xml', '/etc/x.xml', 'C:/x.xml', 'a\\..\\x.xml', 'a\nb.xml'])(
    'loses the file named %j',
    async (name) => {
      const { documents, told } = await formats(
        writeZip([
          { name, bytes: Buffer.from(ccr) },
          { name: 'good.xml', bytes: Buffer.from(ccr) },
        ]),
      )
      expect(documents).toEqual(['zip documents.zip', 'ccr good.xml'])
      expect(told[0]).toMatch(/^unsafe-entry /)
      expect(told[0]).not.toContain('\n')
    },
  )

  it('does not grow without bound', async () => {
    const bomb = writeZip([{ name: 'bomb.xml', bytes: Buffer.alloc(30_000_000, 0x20) }])
    expect(bomb.length).toBeLessThan(40_000)
    expect((await formats(bomb)).told[0]).toBe('unsafe-entry bomb.xml')
    const three = await zip({ 'a.xml': ccr, 'b.xml': ccr, 'c.xml': ccr })
    expect((await formats(three, { ...clinicalLimits, archiveBytes: 2 * Buffer.byteLength(ccr) + 1 })).told[0]).toBe(
      'limit-exceeded c.xml',
    )
    expect((await formats(three, { ...clinicalLimits, archiveEntries: 2 })).documents).toHaveLength(3)
    expect((await formats(three, { ...clinicalLimits, archiveEntries: 2 })).told[0]).toBe('limit-exceeded ')
  })

  /** The one file of an archive, with a field of its two headers changed. */
  const forged = (change: (bytes: Buffer, local: number, central: number) => void) => {
    const bytes = writeZip([{ name: 'a.xml', bytes: Buffer.from(ccr) }])
    change(bytes, 0, bytes.indexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02])))
    return bytes
  }

  it('is found out when it lies about a size, a checksum or a method', async () => {
    const smaller = forged((b, l, c) => [l + 22, c + 24].map((at) => b.writeUInt32LE(10, at)))
    expect((await formats(smaller)).told[0]).toBe('unsafe-entry a.xml')
    const larger = forged((b, l, c) => [l + 22, c + 24].map((at) => b.writeUInt32LE(1_000_000, at)))
    expect((await formats(larger)).told[0]).toBe('unsafe-entry a.xml')
    const checksum = forged((b, l, c) => [l + 14, c + 16].map((at) => b.writeUInt32LE(1, at)))
    expect((await formats(checksum)).told[0]).toBe('unreadable-archive a.xml')
    const method = forged((b, l, c) => [l + 8, c + 10].map((at) => b.writeUInt16LE(99, at)))
    expect((await formats(method)).told[0]).toBe('unreadable-archive a.xml')
  })

  it('is kept though its files are encrypted, and says so', async () => {
    const locked = forged((b, l, c) => [l + 6, c + 8].map((at) => b.writeUInt16LE(0x801, at)))
    expect(await formats(locked)).toMatchObject({
      documents: ['zip documents.zip'],
      told: ['encrypted-entry a.xml', 'not-parsed '],
    })
  })

  it('is kept though it is damaged anywhere', async () => {
    const good = await zip({ 'IHE_XDM/SUBSET01/A.XML': ccr })
    for (let cut = 4; cut < good.length; cut += 97) {
      const { documents } = await formats(good.subarray(0, cut))
      expect(documents[0]).toMatch(/^(zip|xdm) /)
    }
  })
})
