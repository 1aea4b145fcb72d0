import { cutAtBoundary } from './boundary.js'
import { type Header, type HeaderOptions, readHeader } from './header.js'
import { type MimeLimits, mimeLimits, type Unreadable, unreadable, viewOf } from './limits.js'
import { type ContentType, contentTypeOf, transferEncodingOf } from './parameters.js'

/** One entity of a MIME tree. Every Buffer is a view of the bytes that were read: nothing is copied or decoded. */
export interface Part {
  readonly kind: 'part'
  /** Where it stands: empty for the root, then 1-based positions (RFC 9051 §6.4.5). */
  readonly path: readonly number[]
  readonly header: Header
  readonly contentType: ContentType
  /** Lower-case; `7bit` where none is given. */
  readonly transferEncoding: string
  /** Header, empty line and body. */
  readonly entity: Buffer
  /** As transferred: see decodeBody. */
  readonly body: Buffer
  /** Empty for a leaf. A message/rfc822 is a leaf: see unwrapMessage. */
  readonly children: readonly Part[]
  /** Only for a multipart. */
  readonly multipart?: {
    readonly boundary: string
    readonly preamble: Buffer
    readonly epilogue: Buffer
    /** False where the close delimiter is missing: the last part goes to the end and may be cut short. */
    readonly closed: boolean
  }
}

interface Reading {
  readonly limits: MimeLimits
  readonly options: HeaderOptions
  parts: number
}

/**
 * Reads an entity and the multiparts within it into a tree (RFC 2045, RFC 2046). Takes time linear in the size for each
 * level. Refuses, as a value: limits exceeded, broken header blocks, two fields that say how to read the body, and a
 * multipart without a usable boundary or without any delimiter. A missing close delimiter is told by `multipart.closed`.
 */
export function readMime(bytes: Uint8Array, options: HeaderOptions = {}): Part | Unreadable {
  const limits = { ...mimeLimits, ...options.limits }
  if (bytes.length > limits.decodedBytes)
    return unreadable('too-many-bytes', `the entity is longer than ${limits.decodedBytes} bytes`)
  return readEntity(viewOf(bytes), [], 'text/plain', { limits, options, parts: 0 })
}

function readEntity(
  entity: Buffer,
  path: readonly number[],
  fallbackType: string,
  reading: Reading,
): Part | Unreadable {
  reading.parts += 1
  const header = readHeader(entity, reading.options)
  if (header.kind === 'unreadable') return header
  const twice = structuralFields.find((name) => header.all(name).length > 1)
  if (twice) return unreadable('duplicate-field', `${twice} stands twice`)

  const contentType = contentTypeOf(header, fallbackType)
  const leaf: Part = {
    kind: 'part',
    path,
    header,
    contentType,
    transferEncoding: transferEncodingOf(header),
    entity,
    body: entity.subarray(header.bodyStart),
    children: [],
  }
  return contentType.type === 'multipart' ? readMultipart(leaf, reading) : leaf
}

/** Two of these and two readers see two different messages. */
const structuralFields = ['content-type', 'content-transfer-encoding']

function readMultipart(part: Part, reading: Reading): Part | Unreadable {
  const { limits, options } = reading
  const boundary = boundaryOf(part.contentType, limits)
  if (typeof boundary !== 'string') return boundary
  if (part.path.length === limits.depth) return unreadable('depth', `more than ${limits.depth} nested multiparts`)

  // A transfer encoding other than 7bit, 8bit or binary is not allowed here (RFC 2045 §6.4) and is not undone.
  const room = limits.parts - reading.parts
  const pieces = cutAtBoundary(part.body, boundary, room, options.lineBreaks ?? 'crlf')
  if (pieces.more || pieces.parts.length > room) return unreadable('parts', `more than ${limits.parts} parts`)
  if (pieces.parts.length === 0) return unreadable('no-start-boundary', 'a multipart has no delimiter of its boundary')

  const fallback = part.contentType.subtype === 'digest' ? 'message/rfc822' : 'text/plain' // RFC 2046 §5.1.5
  const children: Part[] = []
  for (const piece of pieces.parts) {
    const child = readEntity(piece, [...part.path, children.length + 1], fallback, reading)
    if (child.kind === 'unreadable') return child
    children.push(child)
  }
  const { preamble, epilogue, closed } = pieces
  return {
    ...part,
    children,
    multipart: { boundary, preamble, epilogue, closed },
  }
}

/** The boundary parameter, within RFC 2046 §5.1.1 but for its alphabet: any printable ASCII is taken, as senders use it. */
export function boundaryOf(contentType: ContentType, limits: MimeLimits = mimeLimits): string | Unreadable {
  if (contentType.duplicates.has('boundary')) return unreadable('duplicate-parameter', 'boundary is given twice')
  const boundary = contentType.params.get('boundary')?.trimEnd() ?? ''
  if (boundary === '') return unreadable('boundary-absent', 'a multipart names no boundary')
  if (boundary.length > limits.boundaryCharacters)
    return unreadable('boundary-length', `a boundary is longer than ${limits.boundaryCharacters} characters`)
  if (!/^[ -~]+$/.test(boundary))
    return unreadable('boundary-characters', 'a boundary has characters other than printable ASCII')
  return boundary
}

/** Every leaf of the tree in the order of the message. */
export function* leavesOf(part: Part): Generator<Part> {
  if (part.children.length === 0) yield part
  for (const child of part.children) yield* leavesOf(child)
}

/** How a part is named outside: `2.1`. A message that is one leaf is its own part `1` (RFC 9051 §6.4.5). */
export function pathOf(part: Part): string {
  return part.path.length === 0 ? '1' : part.path.join('.')
}

/** The leaf that pathOf named, or undefined where the message has none. */
export function leafAt(root: Part, path: string): Part | undefined {
  for (const leaf of leavesOf(root)) if (pathOf(leaf) === path) return leaf
  return undefined
}
