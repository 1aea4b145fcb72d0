/** One page of ListObjectsV2, as far as a sweep needs it. */
export interface Listing {
  readonly objects: readonly { readonly key: string; readonly modifiedAt: number }[]
  /** Where the next page begins; undefined on the last one. */
  readonly next: string | undefined
}

export const listingLimits = {
  /** Bytes of one page: 1,000 objects of some 500 bytes each, with room for owners and checksums. */
  pageBytes: 4 * 1024 * 1024,
  /** The answer has three levels, four with owners. */
  depth: 8,
} as const

/**
 * Reads the XML of a ListObjectsV2 answer; undefined for anything that is not one. Takes elements, attributes (which it
 * ignores), text and the predefined references; a document type, CDATA, comments and processing instructions, which no
 * such answer needs, make it no listing.
 */
export function readListing(text: string): Listing | undefined {
  const objects: { key: string; modifiedAt: number }[] = []
  const top = new Map<string, string>()
  let object = new Map<string, string>()
  const wellFormed = eachElement(text, (path, content) => {
    if (path[0] !== 'ListBucketResult') return
    if (path.length === 2 && path[1] !== 'Contents') top.set(path[1] ?? '', content)
    if (path.length === 3 && path[1] === 'Contents') object.set(path[2] ?? '', content)
    if (path.length !== 2 || path[1] !== 'Contents') return
    objects.push({ key: object.get('Key') ?? '', modifiedAt: Date.parse(object.get('LastModified') ?? '') })
    object = new Map()
  })
  const truncated = top.get('IsTruncated')
  const next = top.get('NextContinuationToken')
  if (!wellFormed || (truncated !== 'true' && truncated !== 'false')) return undefined
  if (truncated === 'true' && !next) return undefined
  if (objects.some(({ key, modifiedAt }) => key === '' || Number.isNaN(modifiedAt))) return undefined
  return { objects, next: truncated === 'true' ? next : undefined }
}

const declaration = /^\uFEFF?(?:<\?xml [^<>?]*\?>)?\s*/
const tag = /<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[A-Za-z_][\w.:-]*="[^"<]*")*)\s*(\/?)>/y

/** Calls `ended` at the end of each element, with its path and its own text; false where the text is not well-formed. */
function eachElement(text: string, ended: (path: readonly string[], content: string) => void): boolean {
  const path: string[] = []
  const contents: string[] = []
  let at = declaration.exec(text)?.[0].length ?? 0
  while (at < text.length) {
    tag.lastIndex = at
    const found = tag.exec(text)
    if (!found) return false
    const [whole, closing, name = '', attributes, empty] = found
    at += whole.length
    if (closing) {
      if (attributes || empty || path.at(-1) !== name) return false
      ended(path, contents.at(-1) ?? '')
      path.pop()
      contents.pop()
    } else {
      path.push(name)
      contents.push('')
      if (path.length > listingLimits.depth) return false
      if (empty) {
        ended(path, '')
        path.pop()
        contents.pop()
      }
    }
    if (path.length === 0) return text.slice(at).trim() === ''
    const end = text.indexOf('<', at)
    if (end < 0) return false
    const content = unescaped(text.slice(at, end))
    if (content === undefined) return false
    contents.push((contents.pop() ?? '') + content)
    at = end
  }
  return false
}

const predefined: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Text with its references resolved (XML 1.0 §4.6, §4.1); undefined where one is none of ours. */
function unescaped(text: string): string | undefined {
  if (!text.includes('&')) return text
  let known = true
  const plain = text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,8}));|&/g, (_, decimal, hex, name) => {
    const code = decimal ? Number(decimal) : hex ? Number.parseInt(hex, 16) : undefined
    const character =
      code === undefined ? predefined[name ?? ''] : code <= 0x10ffff ? String.fromCodePoint(code) : undefined
    known &&= character !== undefined
    return character ?? ''
  })
  return known ? plain : undefined
}
