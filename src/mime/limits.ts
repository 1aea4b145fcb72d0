/** What a MIME message may make grow. Every function of this room takes an override of the figures it uses. */
export const mimeLimits = {
  /** One header block: ten times what a long Received chain needs. */
  headerBytes: 100 * 1024,
  /** Fields of one header block; each costs an object. */
  headerFields: 1_000,
  /** Nested multiparts; people's mail stays under 6. Each level may read its bytes once more. */
  depth: 20,
  /** Parts of one message, multiparts included; each costs a header parse. */
  parts: 500,
  /** RFC 2046 §5.1.1. */
  boundaryCharacters: 70,
  /** Bytes read as one tree, and bytes that one body may decode to: four times the largest message on the wire. */
  decodedBytes: 4 * 60 * 1024 * 1024,
  /** Mailboxes read from one address field; one transaction has at most 100 recipients. */
  mailboxes: 2_000,
  /** Text before the first delimiter of a multipart/signed: signing programs write one sentence there. */
  signedPreambleBytes: 1_024,
  /** One text body as a person is shown it; longer ones are cut and flagged. */
  shownTextBytes: 1024 * 1024,
  /** Text parts shown as one body; the others are listed as attachments. */
  shownTextParts: 20,
  /** A file name as shown, in characters; file systems take 255 bytes. */
  fileNameCharacters: 120,
  /** A subject or display name as shown, in characters. */
  shownLineCharacters: 1_000,
  /** Message ids kept of one References field. */
  references: 100,
} as const

export type MimeLimits = { readonly [name in keyof typeof mimeLimits]: number }

/** What made bytes unreadable as MIME. */
export type MimeFault =
  | 'too-many-bytes'
  | 'header-bytes'
  | 'header-fields'
  | 'nul-in-header'
  | 'bare-cr'
  | 'bare-lf'
  | 'not-a-field'
  | 'duplicate-field'
  | 'duplicate-parameter'
  | 'depth'
  | 'parts'
  | 'boundary-absent'
  | 'boundary-length'
  | 'boundary-characters'
  | 'no-start-boundary'
  | 'transfer-encoding'
  | 'decoded-bytes'

/** Bytes that are not a MIME entity within the limits: an outcome, never thrown. `detail` names the limit or the place, never the content. */
export interface Unreadable {
  readonly kind: 'unreadable'
  readonly fault: MimeFault
  readonly detail: string
}

export function unreadable(fault: MimeFault, detail: string): Unreadable {
  return { kind: 'unreadable', fault, detail: `${fault}: ${detail}` }
}

/** The same bytes as a Buffer; no copy. */
export function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
