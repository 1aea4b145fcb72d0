import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { describe, expect, it } from 'vitest'
import { documentBytes, element, type Markup, textElement } from '../../src/xml/write.js'

const written = (root: Markup): string =>
  Buffer.from(documentBytes(root)).toString().split('\n').slice(1).join('\n').trimEnd()

/** What another parser finds in it: the attribute and the text of the root element. */
function readBack(root: Markup): {
  readonly attribute: string | undefined
  readonly text: string
  readonly tags: number
} {
  const parser = new SaxesParser()
  let attribute: string | undefined
  let text = ''
  let tags = 0
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ attributes }) => {
    tags++
    attribute ??= attributes['a']
  })
  parser.on('text', (one) => {
    if (tags > 0) text += one
  })
  parser.write(Buffer.from(documentBytes(root)).toString()).close()
  return { attribute, text: text.replace(/\n$/, ''), tags }
}

describe('XML that we write', () => {
  it('has elements, attributes and texts in their order', () => {
    const root = element('a', { b: '1', c: undefined, d: '' }, 'x', element('e', {}), ['y', [element('f', {}, 'z')]])
    expect(written(root)).toBe('<a b="1" d="">x<e/>y<f>z</f></a>')
  })

  it('writes what is true as a value, and leaves out what has no text', () => {
    expect(written(element('a', { negationInd: 'true' }, textElement('b', ''), textElement('c', 'true')))).toBe(
      '<a negationInd="true"><c>true</c></a>',
    )
  })

  it('keeps blanks around texts', () => {
    expect(written(element('a', {}, ' x ', element('b', {}, '  '), '\n'))).toBe('<a> x <b>  </b>\n</a>')
  })

  it('turns what XML does not have into the replacement character', () => {
    expect(readBack(element('r', { a: 'x\u0000\ud800y' }, '\u0007\uffff'))).toEqual({
      attribute: 'x\ufffd\ufffdy',
      text: '\ufffd\ufffd',
      tags: 1,
    })
  })

  it('says nothing but the text, whatever the text is', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 40 })
    const nasty = fc.constantFrom('<b/>', ']]>', '<!--', '&amp;', '&#60;', '"\'>', '\r\n', '\t', '<?x?>', '#text', ':@')
    const words = fc.array(fc.oneof(text, nasty), { maxLength: 5 }).map((parts) => parts.join(''))
    const clean = (value: string) => value.replace(/(?![\t\n\r])[\p{Cc}\p{Cs}\ufffe\uffff]/gu, '\ufffd')
    fc.assert(
      fc.property(words, words, (attribute, content) => {
        const back = readBack(element('r', { a: attribute }, content))
        expect(back).toEqual({ attribute: clean(attribute), text: clean(content), tags: 1 })
      }),
      { numRuns: 2000 },
    )
  })
})
