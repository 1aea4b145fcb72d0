import { createHash } from 'node:crypto'
import { type ReadDocument, readDocument } from '../clinical/read.js'
import { identified } from '../clinical/reading.js'
import type { Hints } from '../clinical/recognise.js'
import type { Diagnostic } from '../direct/clinical.js'
import { contextPart, readContext } from '../mime/context.js'
import { decodeBody } from '../mime/decode.js'
import { type ShownAttachment, type ShownMailbox, showMessage } from '../mime/display.js'
import { leafAt, type Part, pathOf, readMime } from '../mime/part.js'
import type { ReadAttachment, ReadingDepth, ReadMail } from './steps.js'

/**
 * Reads a trusted message for people and for the record: what a mailbox list shows, and every attachment as documents
 * and record items. Never throws for what the bytes are: what cannot be read says so in its diagnostics.
 */
export async function readMail(message: Uint8Array, depth: ReadingDepth = 'documents'): Promise<ReadMail> {
  const tree = readMime(message)
  if (tree.kind === 'unreadable') {
    const diagnostic: Diagnostic = { code: 'not-parsed', where: '', detail: tree.detail }
    return { subject: '', to: [], cc: [], references: [], preview: '', attachments: [], diagnostics: [diagnostic] }
  }
  const shown = await showMessage(tree)
  const diagnostics: Diagnostic[] = []
  const attachments: ReadAttachment[] = []
  const said = readContext(tree)
  for (const detail of said?.faults ?? []) diagnostics.push({ code: 'not-parsed', where: 'context', detail })
  const part = said?.context && contextPart(tree)
  for (const attachment of shown.attachments) {
    const leaf = leafAt(tree, attachment.path)
    const isContext = part !== undefined && attachment.path === pathOf(part)
    const read = leaf && (await readAttachment(leaf, attachment, isContext ? 'context' : depth))
    if (!read) continue
    attachments.push(read.attachment)
    diagnostics.push(...read.diagnostics)
  }
  const { subject, to, cc, date, inReplyTo, references, text = '' } = shown
  return {
    subject,
    to: to.map(written),
    cc: cc.map(written),
    ...(date !== undefined && { date }),
    ...(inReplyTo !== undefined && { inReplyTo }),
    references,
    preview: text,
    ...(said?.context && { context: said.context }),
    attachments,
    diagnostics,
  }
}

/** The decoded bytes of one part, by its path; undefined where the message has no such part or it cannot be decoded. */
export function readPart(message: Uint8Array, path: string): Uint8Array | undefined {
  const tree = readMime(message)
  if (tree.kind === 'unreadable') return undefined
  const leaf = leafAt(tree, path)
  const decoded = leaf && decodeBody(leaf)
  return decoded?.kind === 'decoded' ? decoded.bytes : undefined
}

async function readAttachment(
  leaf: Part,
  { path, name, mediaType }: ShownAttachment,
  depth: ReadingDepth | 'context',
): Promise<{ readonly attachment: ReadAttachment; readonly diagnostics: readonly Diagnostic[] }> {
  const decoded = decodeBody(leaf)
  // What cannot be decoded is kept as it was transferred: nothing of a message is dropped.
  const bytes = decoded.kind === 'decoded' ? decoded.bytes : leaf.body
  const faults: Diagnostic[] =
    decoded.kind === 'decoded' ? [] : [{ code: 'not-parsed', where: path, detail: decoded.detail }]
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const hints = { mediaType, ...(name !== undefined && { name }) }
  const read: ReadDocument =
    depth === 'documents'
      ? await readDocument(bytes, hints)
      : depth === 'context' // it is told with the message, and is no document of the patient
        ? { documents: [], diagnostics: [] }
        : unparsed(bytes, sha256, hints)
  return {
    attachment: {
      path,
      ...(name !== undefined && { name }),
      mediaType,
      sizeBytes: bytes.length,
      sha256,
      documents: read.documents,
    },
    diagnostics: [...faults, ...told(path, read)],
  }
}

/** What readers of the message should know of its attachment, each with the attachment's part path in front of its place. */
function told(path: string, { documents, diagnostics }: ReadDocument): readonly Diagnostic[] {
  const all = [...diagnostics, ...documents.flatMap((document) => document.diagnostics)]
  const shown = all.filter(({ code }) => code !== 'unmapped-entry' && code !== 'unknown-section')
  return shown.slice(0, diagnosticsShown).map((one) => ({ ...one, where: one.where ? `${path} ${one.where}` : path }))
}

/** Of one attachment; the record keeps all. What we do not map yet is no fault of the message and stays there. */
const diagnosticsShown = 20

/** The attachment as a document nobody looked into, under the id that it has when it is looked into. */
function unparsed(bytes: Uint8Array, sha256: string, hints: Hints & { readonly mediaType: string }): ReadDocument {
  const item = identified(
    {
      content: { type: 'document', ...hints, sizeBytes: bytes.length, sha256, format: 'other' },
      negated: false,
      identifiers: [],
      provenance: { entry: '', authors: [] },
    },
    sha256,
  )
  const diagnostics: Diagnostic[] = [{ code: 'not-parsed', where: '', detail: 'reading it failed again and again' }]
  return { documents: [{ item, bytes, items: [], diagnostics, entries: [] }], diagnostics: [] }
}

function written({ address, display }: ShownMailbox): string {
  return display ? (address ? `${display} <${address}>` : display) : address
}
