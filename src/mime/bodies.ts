import { dispositionOf } from './parameters.js'
import type { Part } from './part.js'

/** Which leaves a person reads as the message, and which are attached to it. */
export interface Bodies {
  /** For readers without HTML, in order; text/html where there is nothing else. */
  readonly text: readonly Part[]
  /** For readers with HTML, in order; text/plain where there is nothing else. */
  readonly html: readonly Part[]
  readonly attachments: readonly Part[]
}

/**
 * Sorts the leaves of a message into bodies and attachments by the algorithm of RFC 8621 §4.1.4, but for pictures, sound
 * and video, which are always attachments here: a message never shows more than text by itself.
 */
export function bodiesOf(root: Part): Bodies {
  const found: Found = { text: [], html: [], attachments: [] }
  sort([root], 'mixed', false, found, found.text, found.html)
  return found
}

interface Found {
  readonly text: Part[]
  readonly html: Part[]
  readonly attachments: Part[]
}

/** `text` and `html` are undefined where an alternative has settled that only the other one is meant. */
function sort(
  parts: readonly Part[],
  multipart: string,
  inAlternative: boolean,
  found: Found,
  text: Part[] | undefined,
  html: Part[] | undefined,
): void {
  const textBefore = text?.length ?? -1
  const htmlBefore = html?.length ?? -1
  let intoText = text
  let intoHtml = html
  for (const [i, part] of parts.entries()) {
    const { type, subtype, value } = part.contentType
    if (type === 'multipart') {
      sort(part.children, subtype, inAlternative || subtype === 'alternative', found, intoText, intoHtml)
    } else if (!isBody(part, i, multipart)) {
      found.attachments.push(part)
    } else if (multipart === 'alternative') {
      const into = value === 'text/plain' ? intoText : intoHtml
      into?.push(part)
    } else {
      if (inAlternative && value === 'text/plain') intoHtml = undefined
      if (inAlternative && value === 'text/html') intoText = undefined
      intoText?.push(part)
      intoHtml?.push(part)
    }
  }
  if (multipart !== 'alternative' || !text || !html) return
  if (text.length === textBefore) text.push(...html.slice(htmlBefore))
  else if (html.length === htmlBefore) html.push(...text.slice(textBefore))
}

function isBody(part: Part, position: number, multipart: string): boolean {
  const { value, params } = part.contentType
  if (value !== 'text/plain' && value !== 'text/html') return false
  const disposition = dispositionOf(part.header)
  if (disposition && disposition.value !== 'inline' && disposition.value !== '') return false // RFC 2183 §2.8
  const named = disposition?.params.has('filename') || params.has('name')
  return position === 0 || (multipart !== 'related' && !named)
}
