import { Buffer } from 'node:buffer'
import type { DocumentFormat } from '../direct/clinical.js'
import { attribute, childrenOf, elements, type XmlNode } from '../xml/node.js'
import { parseXml, type XmlOutcome } from '../xml/parse.js'
import { ccrNamespace } from './ccr/scope.js'
import { sdtc, v3, xsi } from './cda/scope.js'
import type { ClinicalLimits } from './limits.js'
import { type Place, placesIn, rootPlace } from './place.js'

/** What an attachment calls itself; never believed where its bytes say otherwise. */
export interface Hints {
  readonly name?: string
  readonly mediaType?: string
}

/** What the bytes are. */
export interface Recognised {
  readonly format: DocumentFormat
  readonly mediaType: string
  /** Version of C-CDA: `1.1`, `2.0`, `2.1`, `3.0` … */
  readonly version?: string
  /** The parse of anything that looks like XML, so that it is done once. */
  readonly xml?: XmlOutcome
}

/**
 * Recognises an attachment by its content: magic numbers, else the root element and its templates. Names and media types
 * only tell kinds of plain text apart. An archive is `zip` here; whether it is XDM shows when it is opened.
 */
export function recognise(bytes: Uint8Array, hints: Hints, limits: ClinicalLimits): Recognised {
  const magic = byMagic(bytes)
  if (magic !== undefined) return magic
  const head = headOf(bytes)
  if (/^\s*\{\\rtf/.test(head)) return { format: 'rtf', mediaType: 'application/rtf' }
  if (html.test(head)) return { format: 'html', mediaType: 'text/html' }
  if (/^\s*<(?:\?xml|!--|!DOCTYPE|[A-Za-z_][\w.:-]*[\s/>])/.test(head)) {
    const xml = parseXml(bytes, limits.xml, { xsi, sdtc })
    return { ...byRoot(xml), xml }
  }
  const claimed = claimedType(hints)
  if (bytes.length > 0 && isText(bytes)) {
    return { format: 'text', mediaType: claimed?.startsWith('text/') ? claimed : 'text/plain' }
  }
  return { format: 'other', mediaType: claimed ?? 'application/octet-stream' }
}

const html = /^\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--(?:(?!-->)[\s\S])*-->\s*)*<(?:!doctype\s+html\b|html[\s>])/i

/** The first characters, whatever their width, without byte order marks. */
function headOf(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 4096)).toString('latin1')
  return head.replaceAll('\0', '').replace(/^(?:\u00ef\u00bb\u00bf|\u00ff\u00fe|\u00fe\u00ff)+/, '')
}

/** Magic numbers as hex digits at an offset; `.` stands for any digit. */
const magics: readonly (readonly [DocumentFormat, string, number, RegExp])[] = [
  ['image', 'image/png', 0, /^89504e470d0a1a0a/],
  ['image', 'image/jpeg', 0, /^ffd8ff/],
  ['image', 'image/gif', 0, /^474946383[79]61/],
  ['image', 'image/tiff', 0, /^(?:49492[ab]00|4d4d002[ab])/],
  ['image', 'image/bmp', 0, /^424d.{8}00000000/],
  ['image', 'image/webp', 0, /^52494646.{8}57454250/],
  ['image', 'image/jp2', 0, /^0000000c6a502020/],
  ['zip', 'application/zip', 0, /^504b(?:0304|0506)/],
  ['other', 'application/dicom', 128, /^4449434d/],
]

function byMagic(bytes: Uint8Array): Recognised | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 1024))
  for (const [format, mediaType, offset, pattern] of magics) {
    if (pattern.test(start.toString('hex', offset, offset + 16))) return { format, mediaType }
  }
  // Readers accept a PDF header anywhere in the first kilobyte (ISO 32000-1 annex H), but markup that mentions one is not PDF.
  if (/%PDF-\d/.test(start.toString('latin1')) && !/^\s*[<{]/.test(headOf(bytes)))
    return { format: 'pdf', mediaType: 'application/pdf' }
  return undefined
}

/** Plain text has no control characters but tabs, line ends and form feeds. */
function isText(bytes: Uint8Array): boolean {
  const end = Math.min(bytes.length, 4096)
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  for (let i = 0; i < end; i++) {
    const byte = bytes[i] as number
    if (byte < 32 && !(byte >= 9 && byte <= 13) && byte !== 27 && !(wide && byte === 0)) return false
  }
  return true
}

function claimedType(hints: Hints): string | undefined {
  const type = hints.mediaType?.split(';', 1)[0]?.trim().toLowerCase()
  return type !== undefined && /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/.test(type) ? type : undefined
}

function byRoot(xml: XmlOutcome): Omit<Recognised, 'xml'> {
  if (xml.kind !== 'tree') return { format: 'xml', mediaType: 'application/xml' }
  const { root } = xml
  if (isClinicalDocument(root)) return { ...cdaFormat(root), mediaType: 'text/xml' }
  if (careRecords(rootPlace(root)).length > 0) return { format: 'ccr', mediaType: 'text/xml' }
  if (root.local === 'html') return { format: 'html', mediaType: 'text/html' }
  return { format: 'xml', mediaType: 'application/xml' }
}

/** Whether a root element is a CDA document; one without any namespace is forgiven (samples lose it). */
export function isClinicalDocument(root: XmlNode): boolean {
  return root.local === 'ClinicalDocument' && (root.ns === v3 || root.ns === '')
}

/** The ContinuityOfCareRecord elements of a document: the root, or inside an Atom feed or entry. */
export function careRecords(root: Place): Place[] {
  if (isCareRecord(root.node)) return [root]
  if (root.node.local !== 'feed' && root.node.local !== 'entry') return []
  const found: Place[] = []
  const search = (place: Place, depth: number): void => {
    for (const inner of allPlaces(place)) {
      if (isCareRecord(inner.node)) found.push(inner)
      else if (depth > 0) search(inner, depth - 1)
    }
  }
  search(root, 3)
  return found
}

function isCareRecord(node: XmlNode): boolean {
  return node.local === 'ContinuityOfCareRecord' && (node.ns === ccrNamespace || node.ns === '')
}

/** Child elements of any namespace; a wrapper and what it wraps have different ones. */
function allPlaces(parent: Place): Place[] {
  const namespaces = new Set(elements(parent.node).map((node) => node.ns))
  return [...namespaces].flatMap((ns) => placesIn({ ...parent, node: { ...parent.node, ns } }))
}

const ccda = '2.16.840.1.113883.10.20.22.1'

/** Release dates of C-CDA template versions: the extension of a document template names the version (C-CDA R2.1 §1.8.2). */
const releases: readonly (readonly [string, string])[] = [
  ['2026', '5.0'],
  ['2025', '4.0'],
  ['2024', '3.0'],
  ['2015', '2.1'],
  ['2014', '2.0'],
]

function cdaFormat(root: XmlNode): { format: DocumentFormat; version?: string } {
  const templates = childrenOf(root, 'templateId').map((one) => ({
    root: attribute(one, 'root')?.trim() ?? '',
    extension: attribute(one, 'extension')?.trim() ?? '',
  }))
  const consolidated = templates.filter((one) => one.root.startsWith(`${ccda}.`))
  if (consolidated.length > 0) {
    const latest =
      consolidated
        .map((one) => one.extension)
        .sort()
        .at(-1) ?? ''
    return { format: 'c-cda', version: releases.find(([year]) => latest.startsWith(year))?.[1] ?? '1.1' }
  }
  if (templates.some((one) => one.root.startsWith('2.16.840.1.113883.3.88.11.'))) return { format: 'c32' }
  if (templates.some((one) => one.root === '2.16.840.1.113883.10.20.1')) return { format: 'ccd' }
  return { format: 'cda' }
}
