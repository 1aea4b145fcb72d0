import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { subjectWords } from '../../src/clinical/view/items.js'
import { summaryPage } from '../../src/clinical/view/summary.js'
import { ccd21, ccr } from '../fixtures/clinical/documents.js'
import { parseHtml } from './parsed-html.js'

const itemsOf = async (xml: string) => (await readDocument(Buffer.from(xml))).documents.flatMap(({ items }) => items)

describe('a summary of record items', () => {
  it.each([
    ['C-CDA', ccd21],
    ['CCR', ccr],
  ])('of a %s runs nothing, and names every item', async (_, xml) => {
    const items = await itemsOf(xml)
    const { errors, active, text, headings } = parseHtml(summaryPage(items, { at: 0 }))
    expect({ errors, active }).toEqual({ errors: [], active: [] })
    for (const item of items) expect(text.replace(/\s+/g, ' ')).toContain(subjectWords(item).replace(/\s+/g, ' '))
    expect(headings[0]).toBe('1 Health summary')
    expect(text).toContain('1970-01-01 00:00 UTC')
  })

  it('says what is denied and what is planned before its words', async () => {
    const [first] = (await itemsOf(ccd21)).filter(({ content }) => content.type === 'problem')
    if (!first) throw new Error('no problem')
    expect(summaryPage([{ ...first, negated: true }], { at: 0 })).toContain('<strong>NO: </strong>')
    const [done] = (await itemsOf(ccd21)).filter(({ content }) => content.type === 'procedure')
    if (!done) throw new Error('no procedure')
    expect(summaryPage([{ ...done, negated: false, intent: 'planned' }], { at: 0 })).toContain(
      '<strong>PLANNED: </strong>',
    )
    expect(summaryPage([{ ...done, negated: true }], { at: 0 })).toContain('<strong>NOT DONE: ')
  })

  it('is cut where it would grow beyond its limit, and may be empty', async () => {
    const items = await itemsOf(ccd21)
    const small = { pageChars: 1_000, pictureBytes: 0, span: 1, contents: 1 }
    expect(summaryPage(items, { at: 0 }, small)).toContain('too long to be shown whole')
    expect(summaryPage([], { at: 0 })).toContain('Nothing is selected.')
  })
})
