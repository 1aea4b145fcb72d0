/**
 * The same document in other clothes. The facts are those of the document as it came: what the reader makes of a variant is
 * judged by the original, for no path changes.
 */
import { sdtc, v3 } from './tree.mjs'

const sectionCodes =
  /(<(?:\w+:)?section\b[^>]*>(?:\s|<!--[\s\S]*?-->|<(?:\w+:)?(?:templateId|id|realmCode|typeId)\b[^>]*?(?:\/>|>\s*<\/(?:\w+:)?(?:templateId|id)>))*<(?:\w+:)?code\b[^>]*?)\bcode="[^"]*"/g

const escaped = (text) =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')

/** The tree written again: every name prefixed, attributes the other way round, text as one run, UTF-16. */
function respell({ root }) {
  const prefixes = new Map([
    [v3, 'h'],
    [sdtc, 's'],
    ['urn:astm-org:CCR', 'c'],
  ])
  const prefixOf = (ns) => {
    if (!prefixes.has(ns)) prefixes.set(ns, `n${prefixes.size}`)
    return prefixes.get(ns)
  }
  const name = (node) => (node.ns === '' ? node.local : `${prefixOf(node.ns)}:${node.local}`)
  const typeOf = (value) => (/^[A-Z][A-Z_]*$/.test(value) ? `h:${value}` : value)
  const write = (node) => {
    const attrs = [...node.attrs]
      .reverse()
      .map(([key, value]) => ` ${key}="${escaped(key === 'xsi:type' ? typeOf(value) : value)}"`)
    const inner = node.kids.map((kid) => (typeof kid === 'string' ? escaped(kid) : write(kid))).join('')
    return inner === ''
      ? `<${name(node)}${attrs.join('')}/>`
      : `<${name(node)}${attrs.join('')}>${inner}</${name(node)}>`
  }
  const body = write(root)
  const spaces = [...prefixes].filter(([ns]) => ns !== '').map(([ns, prefix]) => ` xmlns:${prefix}="${ns}"`)
  const text = body.replace(
    /^<[^\s/>]+/,
    (start) => `${start} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"${spaces.join('')}`,
  )
  return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')])
}

/** Name to what it makes of a document's text and tree; bytes. */
export const variants = {
  /** No statement says by template what it is: section codes and shapes have to do. */
  'no-templates': (text) => {
    const at = text.search(/<(\w+:)?structuredBody/)
    if (at < 0) return Buffer.from(text)
    return Buffer.from(
      text.slice(0, at) + text.slice(at).replace(/<(\w+:)?templateId\b[^>]*?(\/>|>\s*<\/(\w+:)?templateId>)/g, ''),
    )
  },
  /** No section has a code that anybody knows: templates and titles have to do. */
  'no-sections': (text) => Buffer.from(text.replace(sectionCodes, '$1nullFlavor="NI"')),
  /** Templates of a release to come. */
  'new-templates': (text) =>
    Buffer.from(text.replace(/(<(?:\w+:)?templateId\b[^>]*?extension=")\d{4}-\d\d-\d\d"/g, '$12031-05-01"')),
  respelled: (_, tree) => respell(tree),
}
