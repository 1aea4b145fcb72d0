import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { ccd21, ccr } from '../fixtures/clinical/documents.js'
import { meaning } from './brief.js'
import { dressed } from './dressed.js'

const read = async (bytes: Uint8Array) => {
  const { documents } = await readDocument(bytes)
  return {
    items: documents[0]?.items.map(meaning),
    told: documents[0]?.diagnostics.map((one) => `${one.code} ${one.where}`),
  }
}

const prefixed = (text: string) =>
  text
    .replace(/<(\/?)(?=[A-Za-z])(?!sdtc:)/g, '<$1h:')
    .replace('xmlns="urn:hl7-org:v3"', 'xmlns:h="urn:hl7-org:v3"')
    .replace('xmlns="urn:astm-org:CCR"', 'xmlns:h="urn:astm-org:CCR"')
    .replace(/xsi:type="/g, 'xsi:type="h:')

const reversedAttributes = (text: string) =>
  text.replace(/<([A-Za-z:]+)((?: [\w:]+="[^"]*")+)(\/?)>/g, (_, name, attributes: string, end) => {
    const list = attributes.match(/ [\w:]+="[^"]*"/g) ?? []
    return `<${name}${list.reverse().join('')}${end}>`
  })

/** New lines between elements, but not inside mixed content, where white space is words. */
const indented = (text: string) => text.replace(/>\s*<(?!\/?(?:content|td|th|tr))/g, '>\r\n\t\t<')

const latin = (text: string) => Buffer.from(text.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"'), 'latin1')

describe.each([
  ['a C-CDA', ccd21],
  ['a CCR', ccr],
])('%s says the same', (_, text) => {
  it.each([
    ['with a prefix on every name', Buffer.from(prefixed(text))],
    ['in UTF-16', Buffer.from(`\ufeff${text.replace('encoding="UTF-8"', 'encoding="UTF-16"')}`, 'utf16le')],
    [
      'in UTF-16, the other way round',
      Buffer.from(`\ufeff${text.replace('encoding="UTF-8"', 'encoding="UTF-16"')}`, 'utf16le').swap16(),
    ],
    ['in ISO-8859-1', latin(text)],
    ['with a byte order mark', Buffer.from(`\ufeff${text}`)],
    ['indented otherwise', Buffer.from(indented(text))],
    ['on one line', Buffer.from(text.replace(/>\s+</g, '> <'))],
    ['with its attributes in reverse', Buffer.from(reversedAttributes(text))],
    ['with comments strewn in', Buffer.from(text.replace(/<\/(code|id|Code|Text)>/g, '</$1><!-- <entry/> -->'))],
  ])('%s', async (_, bytes) => {
    expect(await read(bytes)).toEqual(await read(Buffer.from(text)))
  })
})

describe.each([
  ['a C-CDA', ccd21],
  ['a CCR', ccr],
])('%s in every dress that the public documents wear', (_, text) => {
  it.each(dressed(text))('%s', async (_, bytes) => {
    expect((await read(bytes)).items).toEqual((await read(Buffer.from(text))).items)
  })
})

describe('what is added changes nothing else', () => {
  it('an unknown section and an unknown template', async () => {
    const more = ccd21
      .replace(
        '</structuredBody>',
        '<component><section><code code="00000-0"/><title>Weather</title><text>Sun</text></section></component></structuredBody>',
      )
      .replaceAll(
        '<templateId root="2.16.840.1.113883.10.20.22.4.4"/>',
        '<templateId root="1.2.3"/><templateId root="2.16.840.1.113883.10.20.22.4.4"/>',
      )
    const items = (await read(Buffer.from(more))).items ?? []
    // The words of a section that nobody knows become a note, and nothing else changes.
    expect(items.filter((one) => !JSON.stringify(one).includes('"Weather"'))).toEqual(
      (await read(Buffer.from(ccd21))).items,
    )
  })

  it('template versions of years to come', async () => {
    const later = ccd21.replaceAll('extension="2015-08-01"', 'extension="2031-05-01"')
    expect((await read(Buffer.from(later))).items).toEqual((await read(Buffer.from(ccd21))).items)
  })

  it('the loss of the namespace, which is reported', async () => {
    const bare = await read(Buffer.from(ccd21.replace(' xmlns="urn:hl7-org:v3"', '')))
    const whole = await read(Buffer.from(ccd21))
    expect(bare.items).toEqual(whole.items)
    expect(bare.told).toEqual(['wrong-root ', ...(whole.told ?? [])])
  })
})
