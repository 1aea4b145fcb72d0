import { Buffer } from 'node:buffer'
import { XMLBuilder } from 'fast-xml-parser'

/** An element that is finished. Only `element` makes one, so that a text of a stranger cannot become markup. */
export interface Markup {
  /** As the builder takes it: children in order under the element's name, attributes beside them. */
  readonly node: Readonly<Record<string, unknown>>
  /** Characters that it takes when written, without the document around it. */
  readonly chars: number
}

/** What stands in an element: markup, text to be escaped, or nothing. */
export type Content = Markup | string | undefined | readonly Content[]

/** Attributes by their names; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, string | undefined>>

/** Everything that is not a Char of XML 1.0 §2.2, and the control characters that HTML does not have either. */
const notXml = /(?![\t\n\r])[\p{Cc}\p{Cs}\ufffe\uffff]/gu
const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}
const reference = (one: string): string => references[one] ?? one

/**
 * Text as it stands in XML or HTML, in an element or in quotes. Characters that XML does not have become U+FFFD; a carriage
 * return stays one (XML 1.0 §2.11 would make it a line end).
 */
export function escaped(text: string): string {
  return text.replace(notXml, '\ufffd').replace(/[&<>"'\r]/g, reference)
}

/** Tabs and line ends as references too: a parser turns bare ones in an attribute into blanks (XML 1.0 §3.3.3). */
function escapedAttribute(text: string): string {
  return text.replace(notXml, '\ufffd').replace(/[&<>"'\t\n\r]/g, reference)
}

/** Escapes nothing by itself and trims nothing: texts come escaped, and what XML cannot have is gone. */
const builder = new XMLBuilder({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  processEntities: false,
  suppressEmptyNode: true,
  suppressBooleanAttributes: false,
  format: false,
})

/** Adds what stands in an element to its children, neighbouring texts as one; answers the characters. */
function gather(content: Content, into: Record<string, unknown>[]): number {
  if (content === undefined || content === '') return 0
  if (typeof content === 'string') {
    const text = escaped(content)
    into.push({ '#text': text })
    return text.length
  }
  if ('node' in content) {
    into.push(content.node)
    return content.chars
  }
  let chars = 0
  for (const one of content) chars += gather(one, into)
  return chars
}

/**
 * One element. Names of elements and attributes are the writer's own; values and texts are anybody's: characters that XML
 * does not have become U+FFFD, the rest is escaped (XML 1.0 §2.4).
 */
export function element(name: string, attributes: Attributes, ...content: readonly Content[]): Markup {
  const children: Record<string, unknown>[] = []
  const inside = gather(content, children)
  const given: Record<string, string> = {}
  let chars = name.length + 3 + inside
  if (inside > 0) chars += name.length + 2
  for (const key in attributes) {
    const value = attributes[key]
    if (value === undefined) continue
    const text = escapedAttribute(value)
    given[key] = text
    chars += key.length + text.length + 4
  }
  return { node: { [name]: children, ':@': given }, chars }
}

/** An element with text, or nothing where there is no text. */
export function textElement(name: string, text: string | undefined): Markup | undefined {
  return text === undefined || text === '' ? undefined : element(name, {}, text)
}

/** The bytes of a document with this root element, in UTF-8. */
export function documentBytes(root: Markup): Uint8Array {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${builder.build([root.node])}\n`)
}
