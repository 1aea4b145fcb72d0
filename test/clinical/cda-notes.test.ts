import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { attachedText } from '../../src/clinical/cda/attached.js'
import { cd, loinc, of, read, sct, section, t } from './cda-document.js'

const table = `<table><thead><tr><th>Drug</th><th>Reaction</th></tr></thead><tbody>
  <tr ID="a1"><td>Penicillin</td><td>Hives</td></tr><tr ID="a2"><td>Latex</td><td/></tr></tbody></table>`
const finding = (reference: string) => `<observation classCode="OBS" moodCode="EVN">${t('4.67')}
  <code code="54522-8" ${loinc} displayName="Functional status"/><text><reference value="${reference}"/></text>
  <value ${cd('105504002', 'Cane')}/></observation>`

describe('narrative of sections', () => {
  it('is a note, line by line, where no entry made an item', async () => {
    const part = await read(
      section(
        '10164-2',
        `<paragraph>First <content>words</content>.</paragraph><list><item>One</item><item>Two<br/>more</item></list>${table}`,
      ),
    )
    expect(of(part, 'note')).toMatchObject([
      {
        content: {
          kind: { codings: [{ code: '10164-2' }] },
          title: 'Title 10164-2',
          text: 'First words.\nOne\nTwo\nmore\nDrug | Reaction\nPenicillin | Hives\nLatex',
        },
        negated: false,
        provenance: { section: '10164-2' },
      },
    ])
  })

  it('is not doubled where an entry refers to it or nothing in it has an ID', async () => {
    expect(of(await read(section('47420-5', table, [finding('#a1'), finding('#a2')])), 'note')).toEqual([])
    const bare = table.replaceAll(/ ID="\w+"/g, '')
    expect(of(await read(section('47420-5', bare, [finding('#x')])), 'note')).toEqual([])
  })

  it('keeps the rows that no entry refers to', async () => {
    const [note] = of(await read(section('47420-5', table, [finding('#a2')])), 'note')
    expect(note?.content.text).toBe('Penicillin | Hives')
  })

  it('counts a row as told with any of its cells, and one of another section', async () => {
    const cell = table.replace('<td>Penicillin</td>', '<td ID="c1">Penicillin</td>')
    const part = await read(section('47420-5', cell, [finding('c1')]), section('10190-7', '', [finding('#a2')]))
    expect(of(part, 'note')).toEqual([])
  })

  it('is no note where it only says in words that there is no information, and is one where it denies something', async () => {
    const empty = (words: string) => section('11369-6', words).replace('<section>', '<section nullFlavor="NI">')
    for (const words of ['No information', 'No Immunization Information.', 'No data available'])
      expect(of(await read(empty(words)), 'note'), words).toEqual([])
    for (const words of ['No immunizations', 'No information on measles; mumps in 1980'])
      expect(of(await read(empty(words)), 'note'), words).toHaveLength(1)
    expect(of(await read(section('11369-6', 'No information')), 'note')).toHaveLength(1)
  })

  it('keeps why a section is empty', async () => {
    const empty = section('48765-2', 'Not asked').replace('<section>', '<section nullFlavor="NASK">')
    expect(of(await read(empty), 'note')).toMatchObject([{ nullFlavor: 'NASK', content: { text: 'Not asked' } }])
  })

  it('says nothing for a section without words, and reads unknown sections like others', async () => {
    expect(of(await read(section('10164-2', '  ')), 'note')).toEqual([])
    expect(of(await read(section('00000-0', 'Words')), 'note')).toMatchObject([{ content: { text: 'Words' } }])
  })
})

const note = (
  text: string,
) => `<act classCode="ACT" moodCode="EVN">${t('4.202')}<code code="34109-9" ${loinc} displayName="Note">
  <translation code="11488-4" ${loinc}/></code>${text}<statusCode code="completed"/><effectiveTime value="20160908"/></act>`

describe('note activities', () => {
  it('take their words from the narrative, with its lines', async () => {
    const part = await read(
      section(
        '34109-9',
        '<list><item ID="n"><paragraph>Dear you,</paragraph><paragraph>all is well.</paragraph></item></list>',
        [note('<text><reference value="#n"/></text>')],
      ),
    )
    expect(of(part, 'note')).toMatchObject([
      {
        content: { kind: { codings: [{ code: '34109-9' }, { code: '11488-4' }] }, text: 'Dear you,\nall is well.' },
        when: { value: { text: '2016-09-08' } },
      },
    ])
  })

  it.each([
    ['text/plain', 'All is well.'],
    ['text/html', '<html><head><title>x</title></head><p>All is &#119;ell.</p><script>alert(1)</script></html>'],
    [
      'text/rtf',
      '{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}{\\*\\generator X;}All is \\b w\\b0\\u101?ll.\\par}'.replace(
        '\\u101?',
        "\\'65",
      ),
    ],
  ])('unpack %s', async (mediaType, words) => {
    const packed = Buffer.from(words).toString('base64')
    const part = await read(
      section('34109-9', '', [note(`<text mediaType="${mediaType}" representation="B64">${packed}</text>`)]),
    )
    expect(of(part, 'note')[0]?.content.text).toBe('All is well.')
  })

  it('name the form of what is no text', async () => {
    const part = await read(
      section('34109-9', '', [note('<text mediaType="application/pdf" representation="B64">JVBERi0=</text>')]),
    )
    expect(of(part, 'note')[0]?.content.text).toBe('(application/pdf)')
  })

  it('are read inside another statement, beside it', async () => {
    const procedure = `<procedure classCode="PROC" moodCode="EVN">${t('4.14')}<code ${cd('6025007', 'Appendectomy').replace('xsi:type="CD" ', '')}/>
      <entryRelationship typeCode="COMP">${note('<text>It went well.</text>')}</entryRelationship></procedure>`
    const part = await read(section('47519-4', '', [procedure]))
    expect(part.items.map((one) => one.content.type).sort()).toEqual(['demographics', 'note', 'procedure'])
  })

  it('without words are not made up', async () => {
    const part = await read(section('34109-9', '', [note('')]))
    expect(part.entries).toMatchObject([{ kind: 'unmapped', reason: 'a note without words' }])
  })
})

describe('packed texts', () => {
  it('are read in linear time, whatever they are made of', () => {
    for (const one of ['<script', '{\\', '<p', '&#', '<style>', '<!--', '<a>', '</', "\\'"]) {
      const started = performance.now()
      for (const type of ['text/html', 'text/rtf']) attachedText(Buffer.from(one.repeat(100_000)), type)
      expect(performance.now() - started).toBeLessThan(2000)
    }
  })
})

describe('acts of which nobody knows the kind', () => {
  it('are notes with words, procedures with a code, plans when they are meant', async () => {
    const act = (mood: string, text = '') =>
      `<act classCode="ACT" moodCode="${mood}"><code code="311401005" ${sct} displayName="Education"/>${text}</act>`
    const part = await read(section('00000-0', '', [act('EVN', '<text>Taught.</text>'), act('EVN'), act('INT')]))
    expect(part.items.slice(1).map((one) => [one.content.type, one.intent])).toEqual([
      ['note', 'performed'],
      ['procedure', 'performed'],
      ['plan', 'planned'],
    ])
  })
})
