import { createHash } from 'node:crypto'
import { encodeBase64, encodeQuotedPrintable } from './encode.js'
import { type NewField, type UnsafeField, writeFields, writeParameters } from './fields.js'
import { viewOf } from './limits.js'
import { toCanonicalLines } from './signed.js'

/**
 * An entity as it will be written. Kept in pieces until entityBytes joins them once, so that a large attachment is not
 * copied at each level. Every piece but the last of a part ends with a line break.
 */
export interface Entity {
  readonly kind: 'entity'
  /** The MIME fields, without the empty line. */
  readonly header: Buffer
  readonly body: readonly Buffer[]
}

export interface NewLeaf {
  readonly mediaType: string
  readonly params?: Readonly<Record<string, string>>
  readonly disposition?: 'inline' | 'attachment'
  readonly fileName?: string
  /** Without angle brackets. */
  readonly contentId?: string
  readonly description?: string
  /** A string is text in UTF-8, and its line breaks become CRLF; bytes are kept to the byte. */
  readonly body: Uint8Array | string
  /** Chosen by the body where absent: 7bit for short ASCII lines, quoted-printable for other text, base64 for bytes. */
  readonly transferEncoding?: '7bit' | 'quoted-printable' | 'base64'
}

/** Builds one leaf. Refuses, as a value, a name or parameter that cannot stand in a header. */
export function buildLeaf(leaf: NewLeaf): Entity | UnsafeField {
  const bytes = typeof leaf.body === 'string' ? toCanonicalLines(Buffer.from(leaf.body, 'utf8')) : viewOf(leaf.body)
  const encoding = leaf.transferEncoding ?? encodingFor(bytes, typeof leaf.body === 'string')
  const fields: NewField[] = [['Content-Type', writeParameters(leaf.mediaType, leaf.params ?? {})]]
  if (leaf.disposition) {
    const params = leaf.fileName === undefined ? {} : { filename: leaf.fileName }
    fields.push(['Content-Disposition', writeParameters(leaf.disposition, params)])
  }
  if (leaf.contentId !== undefined) fields.push(['Content-ID', `<${leaf.contentId}>`])
  if (leaf.description !== undefined) fields.push(['Content-Description', leaf.description])
  fields.push(['Content-Transfer-Encoding', encoding])
  const header = writeFields(fields)
  return header.kind === 'unsafe-field'
    ? header
    : { kind: 'entity', header: header.bytes, body: [encodeAs(encoding, bytes)] }
}

function encodingFor(bytes: Buffer, isText: boolean): '7bit' | 'quoted-printable' | 'base64' {
  if (!isText) return 'base64'
  const text = bytes.toString('latin1')
  return /^[\t\r\n -~]*$/.test(text) && !/.{79}/.test(text) && !/\r(?!\n)/.test(text) ? '7bit' : 'quoted-printable'
}

function encodeAs(encoding: '7bit' | 'quoted-printable' | 'base64', bytes: Buffer): Buffer {
  if (encoding === 'base64') return encodeBase64(bytes)
  return encoding === 'quoted-printable' ? encodeQuotedPrintable(bytes) : bytes
}

/**
 * Builds a multipart (RFC 2046 §5.1.1) around at least one entity. The boundary is derived from the content, so that the
 * same parts give the same bytes, and is searched for in them, so that it occurs in none.
 */
export function buildMultipart(
  subtype: string,
  params: Readonly<Record<string, string>>,
  children: readonly Entity[],
): Entity | UnsafeField {
  if (children.length === 0) throw new TypeError('a multipart has at least one part')
  const boundary = freeBoundary(children)
  const header = writeFields([['Content-Type', writeParameters(`multipart/${subtype}`, { ...params, boundary })]])
  if (header.kind === 'unsafe-field') return header
  const body = children.flatMap((child, i) => [
    Buffer.from(`${i === 0 ? '' : '\r\n'}--${boundary}\r\n`),
    child.header,
    crlf,
    ...child.body,
  ])
  return { kind: 'entity', header: header.bytes, body: [...body, Buffer.from(`\r\n--${boundary}--\r\n`)] }
}

/** A whole message: address and routing fields over an entity (RFC 5322 §3.6, RFC 2045 §4). */
export function buildMessage(fields: readonly NewField[], entity: Entity): Entity | UnsafeField {
  const written = writeFields([...fields, ['MIME-Version', '1.0']])
  return written.kind === 'unsafe-field'
    ? written
    : { kind: 'entity', header: Buffer.concat([written.bytes, entity.header]), body: entity.body }
}

/** The bytes of an entity, in one piece. */
export function entityBytes(entity: Entity): Buffer {
  return Buffer.concat([entity.header, crlf, ...entity.body])
}

const crlf = Buffer.from('\r\n')

/** Tries from the cheap seed; after them only a digest of every byte will do, which no content can be made to contain. */
const cheapTries = 4

function freeBoundary(children: readonly Entity[]): string {
  const pieces = children.flatMap((child) => [child.header, ...child.body])
  let seed = digestOf(pieces.map((piece) => Buffer.concat([Buffer.from(`${piece.length} `), piece.subarray(0, 1024)])))
  for (let tried = 0; ; tried += 1) {
    if (tried === cheapTries) seed = digestOf(pieces)
    // `=_` occurs in neither base64 nor quoted-printable (RFC 2045 §6.7 note 5).
    const boundary = `=_${digestOf([seed, Buffer.from(String(tried))])
      .toString('hex')
      .slice(0, 32)}`
    if (!pieces.some((piece) => piece.includes(boundary, 0, 'latin1'))) return boundary
  }
}

function digestOf(pieces: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest()
}
