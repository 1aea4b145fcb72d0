import type { Buffer } from 'node:buffer'

/** The words of a text that came packed, without its markup: plain text, HTML or RTF. Undefined for anything else. */
export function attachedText(bytes: Buffer, mediaType: string): string | undefined {
  if (bytes.includes(0)) return undefined
  const text = bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
  if (/rtf/.test(mediaType) || text.startsWith('{\\rtf')) return rtfText(text)
  if (/html/.test(mediaType)) return htmlText(text)
  return /^text\//.test(mediaType) ? text : undefined
}

function isUtf8(bytes: Buffer): boolean {
  return !bytes.toString('utf8').includes('\ufffd')
}

const entities: Readonly<Record<string, string>> = Object.assign(Object.create(null) as Record<string, string>, {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
})

/** Elements whose content is no text of the page. */
const unread = new Set(['script', 'style', 'head'])

const blocks = new Set('p div br li tr h1 h2 h3 h4 h5 h6 table ul ol dl dt dd hr pre blockquote section'.split(' '))

/** HTML as lines of words: scripts and styles dropped, a line for each block. It is never shown as markup; one pass, no backtracking. */
function htmlText(html: string): string {
  const lower = html.toLowerCase()
  let text = ''
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    text += html.slice(at, open < 0 ? undefined : open)
    if (open < 0) break
    const name = /^<\/?([a-z][a-z0-9]{0,15})|^<!/.exec(lower.slice(open, open + 20))
    const comment = lower.startsWith('<!--', open)
    const close = comment ? html.indexOf('-->', open) : html.indexOf('>', open)
    if (name === null) text += '<'
    if (name !== null && close < 0) break
    at = name === null ? open + 1 : close + (comment ? 3 : 1)
    const tag = name?.[1] ?? ''
    if (blocks.has(tag)) text += '\n'
    if (!unread.has(tag) || lower[open + 1] === '/') continue
    const end = lower.indexOf(`</${tag}`, at)
    if (end < 0) break
    at = end
  }
  return text
    .replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi, character)
    .split('\n')
    .map((line) => line.replace(/[\s\u00a0]+/g, ' ').trim())
    .filter((line) => line !== '')
    .join('\n')
}

function character(whole: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return entities[name.toLowerCase()] ?? whole
  const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
  return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : ''
}

/** Destinations of RTF that hold no words of the text. */
const silent = new Set(['fonttbl', 'colortbl', 'stylesheet', 'info', 'pict', 'object', 'header', 'footer', 'generator'])

/** One token of RTF 1.9: a group mark, a hexadecimal character, a control word with its number, a control symbol, or text. */
const token = /([{}])|\\'([0-9a-fA-F]{2})|\\([a-z]{1,32})(-?\d{1,10})? ?|\\([^a-z])|([^\\{}]+)/g

/** The words of an RTF text: formatting dropped, `\par`, `\line` and `\row` as line breaks. */
function rtfText(rtf: string): string {
  let text = ''
  let quiet = 0
  let depth = 0
  for (const [, brace, hex, word, number, symbol, plain] of rtf.matchAll(token)) {
    if (brace === '{') depth++
    else if (brace === '}') {
      if (quiet === depth) quiet = 0
      depth--
    } else if (quiet > 0) continue
    else if (symbol === '*' || (word !== undefined && silent.has(word))) quiet = depth
    else if (hex !== undefined) text += String.fromCharCode(Number.parseInt(hex, 16))
    else if (word === 'u' && number !== undefined) text += String.fromCharCode(Number(number) & 0xffff)
    else if (word === 'par' || word === 'line' || word === 'row') text += '\n'
    else if (word === 'tab' || word === 'cell') text += '\t'
    else if (symbol === '\\' || symbol === '{' || symbol === '}') text += symbol
    else if (symbol === '~') text += ' '
    else if (plain !== undefined) text += plain.replace(/[\r\n]+/g, '')
  }
  return text.trim()
}
