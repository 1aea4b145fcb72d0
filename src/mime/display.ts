import { readMailboxes } from './addresses.js'
import { bodiesOf } from './bodies.js'
import { readDate } from './date.js'
import { decodeBody } from './decode.js'
import type { Header } from './header.js'
import { type MimeLimits, mimeLimits } from './limits.js'
import { decodeCharset, dispositionOf } from './parameters.js'
import { type Part, pathOf } from './part.js'
import { decodeWords } from './words.js'

export interface ShownMailbox {
  /** As written; empty where the field could not be read, then `display` has all of it. */
  readonly address: string
  /** Decoded display name: the sender's own words, no proof of anything. */
  readonly display: string
}

export interface ShownAttachment {
  /** For leafAt: `2.1`. */
  readonly path: string
  /** A plain file name without path, control or direction characters; undefined where none was given. */
  readonly name: string | undefined
  readonly mediaType: string
  readonly disposition: 'attachment' | 'inline'
  /** Without angle brackets. */
  readonly contentId: string | undefined
  /** Decoded size, reckoned from the encoded one. */
  readonly sizeBytes: number
}

/** A message as a person is shown it. Only for messages whose signature was verified and whose sender is trusted. */
export interface ShownMessage {
  readonly subject: string
  readonly from: readonly ShownMailbox[]
  readonly to: readonly ShownMailbox[]
  readonly cc: readonly ShownMailbox[]
  /** Unix milliseconds; undefined where the field is missing or unreadable. */
  readonly date: number | undefined
  /** With angle brackets, as in inReplyTo and references. */
  readonly messageId: string | undefined
  readonly inReplyTo: string | undefined
  readonly references: readonly string[]
  readonly text: string | undefined
  /** As the sender wrote it. Not sanitised: it can hold scripts, forms and remote pictures, and must not reach a browser as it is. */
  readonly unsafeHtml: string | undefined
  /** A body was longer than is shown; the rest is in the message. */
  readonly cut: boolean
  readonly attachments: readonly ShownAttachment[]
}

/**
 * Reads a message for people. Never throws and never fetches: what cannot be read is shown as it stands or not at all.
 * mailparser turns the text leaves into text, for its character sets and format=flowed; only they pass through it, in
 * bounded size, and with everything off by which it would add links, pictures or text of its own. Fields, names and
 * attachments come from our own reading, because mailparser makes addresses out of encoded words.
 */
export async function showMessage(message: Part, limits: Partial<MimeLimits> = {}): Promise<ShownMessage> {
  const { header } = message
  const max = { ...mimeLimits, ...limits }
  const bodies = bodiesOf(message)
  const shown = await showBodies(bodies, max)
  const attachments = [...bodies.attachments, ...shown.left].sort(byPath)
  return {
    subject: line(header.get('subject'), max),
    from: mailboxes(header, 'from', max),
    to: mailboxes(header, 'to', max),
    cc: mailboxes(header, 'cc', max),
    date: readDate(header.get('date') ?? ''),
    messageId: messageIds(header.get('message-id'))[0],
    inReplyTo: messageIds(header.get('in-reply-to'))[0],
    references: messageIds(header.get('references')).slice(-max.references),
    text: shown.text,
    unsafeHtml: shown.html,
    cut: shown.cut,
    attachments: attachments.map((part) => showAttachment(part, max)),
  }
}

interface ShownBodies {
  readonly text: string | undefined
  readonly html: string | undefined
  readonly cut: boolean
  /** Body leaves that are not shown: too many, or in an encoding nobody knows. */
  readonly left: readonly Part[]
}

async function showBodies(bodies: ReturnType<typeof bodiesOf>, max: MimeLimits): Promise<ShownBodies> {
  const leaves = [...new Set([...bodies.text, ...bodies.html])]
  const texts = new Map<Part, string>()
  const left: Part[] = []
  let room = max.shownTextBytes
  let cut = false
  for (const leaf of leaves) {
    const decoded = texts.size < max.shownTextParts ? decodeBody(leaf, max) : undefined
    if (decoded?.kind !== 'decoded') {
      left.push(leaf)
      continue
    }
    const bytes = decoded.bytes.subarray(0, room)
    room -= bytes.length
    const isCut = bytes.length < decoded.bytes.length
    cut ||= isCut
    const text = await readText(leaf, bytes)
    texts.set(leaf, isCut ? text.replace(/\ufffd+$/, '') : text)
  }
  const isHtml = (leaf: Part) => leaf.contentType.value === 'text/html'
  const plain = bodies.text.filter((leaf) => texts.has(leaf) && !isHtml(leaf))
  const html = bodies.html.filter((leaf) => texts.has(leaf))
  return {
    text: plain.length > 0 ? plain.map((leaf) => texts.get(leaf) ?? '').join('\n') : undefined,
    html: html.some(isHtml)
      ? html.map((leaf) => (isHtml(leaf) ? (texts.get(leaf) ?? '') : asHtml(texts.get(leaf) ?? ''))).join('\n')
      : undefined,
    cut,
    left,
  }
}

function asHtml(text: string): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<pre>${escaped}</pre>`
}

/** The text of one leaf: its decoded bytes go in as a message of their own, under the parameters that say how to read them. */
async function readText(leaf: Part, bytes: Buffer): Promise<string> {
  const { value, params } = leaf.contentType
  const charset = /^[A-Za-z0-9_.:+-]{1,40}$/.exec(params.get('charset')?.trim() ?? '')?.[0] ?? 'utf-8'
  const flowed = params.get('format')?.toLowerCase() === 'flowed' ? '; format=flowed' : ''
  const delsp = flowed !== '' && params.get('delsp')?.toLowerCase() === 'yes' ? '; delsp=yes' : ''
  const head = `Content-Type: ${value}; charset="${charset}"${flowed}${delsp}\r\nContent-Transfer-Encoding: binary\r\n\r\n`
  // Loaded with the first text: it takes 20 MB and a tenth of a second, and most threads never show one.
  const { simpleParser } = await import('mailparser')
  try {
    const read = await simpleParser(Buffer.concat([Buffer.from(head), bytes]), {
      skipHtmlToText: true,
      skipTextToHtml: true,
      skipTextLinks: true,
      skipImageLinks: true,
    })
    const text = value === 'text/html' ? read.html : read.text
    return withoutControls(text || '')
  } catch {
    return withoutControls(decodeCharset(bytes, charset))
  }
}

/** Line breaks become LF; tab and LF are the only control characters that text needs. */
function withoutControls(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/[^\P{Cc}\t\n]/gu, '')
}

/** One decoded line without control and direction characters, which can hide or reorder what stands around it. */
function line(value: string | undefined, max: MimeLimits): string {
  return withoutFormat(decodeWords(value ?? '').slice(0, max.shownLineCharacters))
}

function withoutFormat(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g, '')
    .replace(/\p{Cs}/gu, '\ufffd')
    .trim()
}

function mailboxes(header: Header, name: string, max: MimeLimits): ShownMailbox[] {
  return header.all(name).flatMap((value) => {
    const read = readMailboxes(value, max)
    return read.kind === 'mailboxes'
      ? read.mailboxes.map(({ text, display }) => ({ address: withoutFormat(text), display: line(display, max) }))
      : [{ address: '', display: line(value, max) }]
  })
}

function messageIds(value: string | undefined): string[] {
  return value?.match(/<[^<>\s]{1,900}>/g) ?? []
}

function showAttachment(part: Part, max: MimeLimits): ShownAttachment {
  const disposition = dispositionOf(part.header)
  const name = disposition?.params.get('filename') ?? part.contentType.params.get('name')
  const contentId = withoutFormat(part.header.get('content-id') ?? '').replace(/^<|>$/g, '')
  return {
    path: pathOf(part),
    name: name === undefined ? undefined : fileName(decodeWords(name), max.fileNameCharacters),
    mediaType: part.contentType.value,
    disposition: disposition?.value === 'inline' ? 'inline' : 'attachment',
    contentId: contentId === '' ? undefined : contentId.slice(0, max.shownLineCharacters),
    sizeBytes: sizeOf(part),
  }
}

/** RFC 2183 §2.3: the path is not ours to follow. What some file system reads as more than a name is replaced. */
function fileName(text: string, maxCharacters: number): string | undefined {
  const last = text.split(/[/\\]/).findLast((piece) => piece.trim() !== '') ?? ''
  const name = withoutFormat(last)
    .replace(/[<>:"|?*]/g, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '')
  if (name === '') return undefined
  const characters = [...name]
  if (characters.length <= maxCharacters) return name
  const extension = /\.[A-Za-z0-9]{1,10}$/.exec(name)?.[0] ?? ''
  return characters.slice(0, maxCharacters - extension.length).join('') + extension
}

function sizeOf({ body, transferEncoding }: Part): number {
  if (transferEncoding !== 'base64') return body.length
  const lineBytes = body.indexOf(10) + 1
  const breaks = lineBytes > 2 ? Math.floor(body.length / lineBytes) * 2 : 0
  return Math.floor(((body.length - breaks) * 3) / 4)
}

function byPath(a: Part, b: Part): number {
  for (let i = 0; i < Math.max(a.path.length, b.path.length); i += 1) {
    const order = (a.path[i] ?? 0) - (b.path[i] ?? 0)
    if (order !== 0) return order
  }
  return 0
}
