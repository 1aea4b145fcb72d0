import { Buffer } from 'node:buffer'
import { XMLBuilder } from 'fast-xml-parser'

/** Finished XML. Only `element` makes it, so that a text of a stranger cannot become markup. */
export interface Markup {
  readonly markup: string
}

/** What stands in an element: markup, text to be escaped, or nothing. */
export type Content = Markup | string | undefined | readonly Content[]

/** Attributes by their names; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, string | undefined>>

/** Everything that is not a Char of XML 1.0 §2.2: control characters, lone surrogates, U+FFFE and U+FFFF. */
const notXml = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu
/** A look without code points, which is faster: surrogates, sound pairs too, are left to the other. */
const doubtful = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/
const special = /[&<>"\r]/
const specialInAttributes = /[&<>"\r\n\t]/
const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

function charsOf(text: string): string {
  return doubtful.test(text) ? text.replace(notXml, '\ufffd') : text
}

/** Text as it stands in XML or HTML, in an element or in double quotes. */
export function escaped(text: string): string {
  const safe = charsOf(text)
  return special.test(safe) ? safe.replace(/[&<>"\r]/g, (one) => references[one] ?? one) : safe
}

/** Line breaks as references too: a parser turns bare ones in an attribute into blanks (XML 1.0 §3.3.3). */
function escapedAttribute(text: string): string {
  const safe = charsOf(text)
  return specialInAttributes.test(safe) ? safe.replace(/[&<>"\r\n\t]/g, (one) => references[one] ?? one) : safe
}

function written(content: Content): string {
  if (content === undefined) return ''
  if (typeof content === 'string') return escaped(content)
  if ('markup' in content) return content.markup
  let all = ''
  for (const one of content) all += written(one)
  return all
}

/**
 * Writes one element at a time, what stands in it being written already: a tree of the whole would take ten times its
 * text. Escapes nothing by itself, since a text comes escaped, and says `true` in full.
 */
const builder = new XMLBuilder({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  processEntities: false,
  suppressEmptyNode: true,
  suppressBooleanAttributes: false,
  format: false,
})

/**
 * One element. Names of elements and attributes are the writer's own; values and texts are anybody's: characters that XML
 * does not have become U+FFFD, the rest is escaped (XML 1.0 §2.4).
 */
export function element(name: string, attributes: Attributes, ...content: readonly Content[]): Markup {
  const given: Record<string, string> = {}
  for (const key in attributes) {
    const value = attributes[key]
    if (value !== undefined) given[key] = escapedAttribute(value)
  }
  const inside = written(content)
  return { markup: builder.build([{ [name]: inside === '' ? [] : [{ '#text': inside }], ':@': given }]) }
}

/** An element with text, or nothing where there is no text. */
export function textElement(name: string, text: string | undefined): Markup | undefined {
  return text === undefined || text === '' ? undefined : element(name, {}, text)
}

/** The bytes of a document with this root element, in UTF-8. */
export function documentBytes(root: Markup): Uint8Array {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${root.markup}\n`)
}
