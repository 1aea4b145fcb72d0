import { Buffer } from 'node:buffer'

/** The same document in other clothes: what means the same to XML must be read the same. */

const token = /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<(?:[^<>"']|"[^"]*"|'[^']*')*>|[^<]+/g
const attribute = /\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*')/g

const isTag = (text: string): boolean => /^<\/?[A-Za-z_]/.test(text)

/** Each token of a document changed by itself, every character of the rest kept. */
function each(text: string, change: (one: string) => string): string {
  return (text.match(token) ?? []).map(change).join('')
}

const declared = (text: string, encoding: string): string =>
  `<?xml version="1.0" encoding="${encoding}"?>${text.replace(/^\ufeff/, '').replace(/^\s*<\?xml\s[^>]*\?>/, '')}`

/** With a prefix on every name; undefined where parts of the document have default namespaces of their own. */
function prefixed(text: string): string | undefined {
  const defaults = new Set([...text.matchAll(/\sxmlns\s*=\s*["']([^"']*)["']/g)].map((one) => one[1]))
  if (defaults.size !== 1 || /xmlns:h7=/.test(text)) return undefined
  const root = text.match(token)?.find((one) => isTag(one))
  if (root === undefined || !/\sxmlns\s*=/.test(root)) return undefined
  return each(text, (one) =>
    isTag(one)
      ? one
          .replace(/^(<\/?)([A-Za-z_][\w.-]*)(?=[\s/>])/, '$1h7:$2')
          .replace(/(\s)xmlns(\s*=)/, '$1xmlns:h7$2')
          .replace(/(\sxsi:type\s*=\s*["'])(?=[\w.]+["'])/, '$1h7:')
      : one,
  )
}

const reversed = (text: string): string =>
  each(text, (one) => {
    const all = isTag(one) ? (one.match(attribute) ?? []) : []
    if (all.length < 2) return one
    return one.replace(attribute, '').replace(/^<[\w:.-]+/, (name) => `${name}${[...all].reverse().join('')}`)
  })

const respaced = (text: string): string => each(text, (one) => (isTag(one) || !/^\s+$/.test(one) ? one : '\r\n \t '))

const oneLine = (text: string): string => each(text, (one) => (/^\s+$/.test(one) ? ' ' : one))

/** A comment and an instruction after every end tag, an entry inside the comment. */
const commented = (text: string): string => {
  const parts = text.match(token) ?? []
  const last = parts.findLastIndex((one) => one.startsWith('</'))
  return parts
    .map((one, i) => (one.startsWith('</') && i < last ? `${one}<!-- <entry/> --><?strange value="1"?>` : one))
    .join('')
}

/** Further templates, of which nobody knows anything, before those that are there. */
const strangeTemplates = (text: string): string =>
  text.replace(/<templateId\s/g, '<templateId root="2.999.424242" extension="2031-01-01"/><templateId ')

/** A section that nobody knows, with words and an entry, behind all others. */
const strangeSection = (text: string): string | undefined => {
  const at = text.lastIndexOf('</structuredBody>')
  if (at < 0) return undefined
  const section =
    '<component><section><code code="00000-0" codeSystem="2.999.1"/><title>Weather</title><text/></section></component>'
  return text.slice(0, at) + section + text.slice(at)
}

/** The bytes of a document dressed in each way that suits it. */
export function dressed(text: string): readonly (readonly [how: string, bytes: Uint8Array])[] {
  const plain = text.replace(/^\ufeff/, '')
  // Between them ISO-8859-1 and windows-1252 disagree.
  const isLatin = !/[\u0080-\u009f\u0100-\uffff]/.test(plain)
  const changed: readonly (readonly [string, string | undefined])[] = [
    ['prefixed', prefixed(plain)],
    ['attributes reversed', reversed(plain)],
    ['white space', respaced(plain)],
    ['one line', oneLine(plain)],
    ['comments', commented(plain)],
    ['unknown templates', strangeTemplates(plain)],
    ['unknown section', strangeSection(plain)],
  ]
  const wide = Buffer.from(`\ufeff${declared(plain, 'UTF-16')}`, 'utf16le')
  return [
    ...changed.flatMap(([how, one]) =>
      one === undefined ? [] : [[how, Buffer.from(declared(one, 'UTF-8'))] as const],
    ),
    ['byte order mark', Buffer.from(`\ufeff${declared(plain, 'UTF-8')}`)],
    ['UTF-16 little-endian', wide],
    ['UTF-16 big-endian', Buffer.from(wide).swap16()],
    ...(isLatin
      ? (['ISO-8859-1', 'windows-1252'] as const).map(
          (encoding) => [encoding, Buffer.from(declared(plain, encoding), 'latin1')] as const,
        )
      : []),
  ]
}
