import { Buffer } from 'node:buffer'
import { attribute, elements, textOf, type XmlNode } from '../../xml/node.js'
import { type Html, picture } from './html.js'

export const viewLimits = {
  /** Characters of one page; the largest real document seen makes 9 million. A browser gives up at a few hundred. */
  pageChars: 40 * 1024 * 1024,
  /** Bytes of one picture. A page of a scan at 200 dpi has 2 MB. */
  pictureBytes: 4 * 1024 * 1024,
  /** Columns or rows that one cell may span; HTML itself stops at 1,000. */
  span: 1_000,
  /** Entries in the table of contents. */
  contents: 500,
}
export type ViewLimits = typeof viewLimits

/** One page being written: what it may still grow by, which ids it has, where its pictures are. */
export interface Sheet {
  readonly limits: ViewLimits
  readonly ids: Set<string>
  readonly pictures: ReadonlyMap<string, XmlNode>
  /** Pictures shown already, with their ids, which are empty where one cannot be shown: each is looked at once. */
  readonly shown: Map<XmlNode, string>
  charsLeft: number
  /** Something was left out for the page would have grown too large. */
  cut: boolean
}

export function openSheet(root: XmlNode | undefined, limits: ViewLimits): Sheet {
  return {
    limits,
    ids: new Set(),
    pictures: root ? picturesIn(root) : new Map(),
    shown: new Map(),
    charsLeft: limits.pageChars,
    cut: false,
  }
}

/** Takes room for so many characters; false, and the page is cut, where there is none. */
export function room(sheet: Sheet, chars: number): boolean {
  if (chars > sheet.charsLeft) sheet.cut = true
  else sheet.charsLeft -= chars
  return !sheet.cut
}

/** An id of the page for one of the document; undefined where the page has it already. Ours never begin like it. */
export function ownId(sheet: Sheet, id: string | undefined): string | undefined {
  if (id === undefined || id === '') return undefined
  const own = pageId(id)
  if (sheet.ids.has(own) || !room(sheet, own.length)) return undefined
  sheet.ids.add(own)
  return own
}

/** The page's id for an id of the document. */
export function pageId(id: string): string {
  return `n-${id
    .trim()
    .slice(0, 200)
    .replace(/[^A-Za-z0-9_.-]/g, (mark) => `_${mark.charCodeAt(0).toString(16)}_`)}`
}

/** Pictures by the ID that `renderMultiMedia` names: observationMedia, alone or in a region of interest (CDA R2 §4.3.5.6). */
function picturesIn(root: XmlNode): Map<string, XmlNode> {
  const found = new Map<string, XmlNode>()
  const visit = (node: XmlNode, outer: string | undefined): void => {
    const id = attribute(node, 'ID')?.trim()
    if (node.local === 'observationMedia') {
      const value = elements(node).find((one) => one.local === 'value')
      for (const key of [id, outer]) if (value && key && !found.has(key)) found.set(key, value)
    }
    const region = node.local === 'regionOfInterest' ? id : outer
    for (const inner of elements(node)) visit(inner, region)
  }
  visit(root, undefined)
  return found
}

const magics = [
  ['image/png', /^89504e470d0a1a0a/],
  ['image/jpeg', /^ffd8ff/],
  ['image/gif', /^474946383[79]61/],
] as const

/** Bytes as a picture, where they are PNG, JPEG or GIF whatever they are called, and within limits. */
export function pictureOf(bytes: Uint8Array, words: string, sheet: Sheet): Html | undefined {
  const start = Buffer.from(bytes.subarray(0, 8)).toString('hex')
  const type = magics.find(([, magic]) => magic.test(start))?.[0]
  if (type === undefined || bytes.length > sheet.limits.pictureBytes) return undefined
  return room(sheet, Math.ceil(bytes.length * 1.4)) ? picture(type, bytes, words) : undefined
}

/** The bytes of an ED, where they are in the document itself (HL7 v3 ED, representation B64). */
export function embeddedBytes(node: XmlNode): Uint8Array | undefined {
  if (attribute(node, 'representation')?.trim() !== 'B64' || attribute(node, 'compression') !== undefined)
    return undefined
  const bytes = Buffer.from(textOf(node), 'base64')
  return bytes.length === 0 ? undefined : bytes
}
