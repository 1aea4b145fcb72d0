/**
 * An XML tree of the score's own, over saxes: nothing here is shared with the reader that is judged. Paths are written as
 * the record writes them, element names with 1-based positions among siblings of the same namespace and name.
 */
import { SaxesParser } from 'saxes'

export const v3 = 'urn:hl7-org:v3'
export const sdtc = 'urn:hl7-org:sdtc'
const xsi = 'http://www.w3.org/2001/XMLSchema-instance'

/** Text of bytes: by byte order mark, else by the XML declaration, else UTF-8, else windows-1252. */
export function decode(bytes) {
  const [a, b, c] = bytes
  if (a === 0xfe && b === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  if (a === 0xff && b === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (a === 0xef && b === 0xbb && c === 0xbf) return new TextDecoder('utf-8').decode(bytes)
  const named = /^\s*<\?xml[^>]*encoding=["']([\w.-]+)["']/.exec(Buffer.from(bytes.subarray(0, 200)).toString('latin1'))
  try {
    return new TextDecoder(named?.[1] && !/^utf-?16/i.test(named[1]) ? named[1] : 'utf-8', { fatal: true }).decode(
      bytes,
    )
  } catch {
    return new TextDecoder('windows-1252').decode(bytes)
  }
}

/** The root element of a document and every element by its path; undefined where the text is not well-formed. */
export function parse(text) {
  const parser = new SaxesParser({ xmlns: true, position: false })
  const byPath = new Map()
  const byId = new Map()
  let at
  let root
  const add = (node) => {
    const key = `${node.ns} ${node.local}`
    const position = at ? (at.counts.get(key) ?? 0) + 1 : 1
    at?.counts.set(key, position)
    node.path = `${at ? `${at.path}/` : ''}${node.local}[${position}]`
    at?.kids.push(node)
    root ??= node
    byPath.set(node.path, node)
    const id = node.attrs.get('ID')
    if (id !== undefined && !byId.has(id)) byId.set(id, node)
    at = node
  }
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', (tag) => {
    const attrs = new Map()
    for (const one of Object.values(tag.attributes)) {
      if (one.uri === '') attrs.set(one.local, one.value)
      else if (one.uri === xsi && one.local === 'type') attrs.set('xsi:type', one.value.replace(/^.*:/, ''))
    }
    add({ ns: tag.uri, local: tag.local, attrs, kids: [], parent: at, counts: new Map(), path: '' })
  })
  parser.on('closetag', () => {
    at = at?.parent
  })
  for (const event of ['text', 'cdata']) parser.on(event, (words) => at?.kids.push(words))
  try {
    parser.write(text.replace(/^\uFEFF/, '')).close()
  } catch {
    return undefined
  }
  return root && { root, byPath, byId }
}

/** An attribute without the blanks around it; undefined where it is absent or empty. */
export const attr = (node, name) => node?.attrs.get(name)?.trim() || undefined
export const elements = (node) => (node ? node.kids.filter((kid) => typeof kid !== 'string') : [])

/** Child elements of these names in the namespace of their parent. */
export function kids(node, ...names) {
  return elements(node).filter((kid) => kid.ns === node.ns && (names.length === 0 || names.includes(kid.local)))
}

export const kid = (node, name) => kids(node, name)[0]

/** First child of each name in turn. */
export function down(node, ...names) {
  let at = node
  for (const name of names) at = at && kid(at, name)
  return at
}

/** Every descendant along the names, all branches. */
export function every(node, ...names) {
  let found = node ? [node] : []
  for (const name of names) found = found.flatMap((one) => kids(one, name))
  return found
}

/** A child of the SDTC extension namespace. */
export const extra = (node, name) => elements(node).find((one) => one.ns === sdtc && one.local === name)

export function* walk(node) {
  yield node
  for (const one of elements(node)) yield* walk(one)
}

/** Words of an element and all below it, blanks folded. */
export function words(node) {
  if (node === undefined) return ''
  const parts = []
  const visit = (one) => {
    for (const item of one.kids) {
      if (typeof item === 'string') parts.push(item)
      else {
        parts.push(' ')
        visit(item)
        parts.push(' ')
      }
    }
  }
  visit(node)
  return parts.join('').replace(/\s+/g, ' ').trim()
}

/** Roots of all templateIds, whatever their extension. */
export const templatesOf = (node) => kids(node, 'templateId').map((one) => attr(one, 'root') ?? '')
