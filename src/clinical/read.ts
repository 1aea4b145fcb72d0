import { Buffer } from 'node:buffer'
import type { Diagnostic, DocumentMetadata, EntryOutcome, RecordItem } from '../direct/clinical.js'
import { attribute, descend, textOf, type XmlNode } from '../xml/node.js'
import type { XmlOutcome } from '../xml/parse.js'
import { readCcr } from './ccr/document.js'
import { readCda } from './cda/document.js'
import { type ClinicalLimits, clinicalLimits } from './limits.js'
import { rootPlace } from './place.js'
import { type DocumentHead, identified, note, type Reading, sha256, startReading } from './reading.js'
import { careRecords, type Hints, isClinicalDocument, type Recognised, recognise } from './recognise.js'
import { openArchive } from './xdm/read.js'

/** One document, its own item, and the items read from it. */
export interface ReadPart {
  /** The document item: always there, whatever the bytes are. */
  readonly item: RecordItem
  readonly bytes: Uint8Array
  readonly items: readonly RecordItem[]
  readonly diagnostics: readonly Diagnostic[]
  /** What became of each clinical statement of the document. */
  readonly entries: readonly EntryOutcome[]
}

/** The attachment itself first, then what it holds: documents of an archive, a file embedded in an unstructured CDA. */
export interface ReadDocument {
  readonly documents: readonly ReadPart[]
  /** About the attachment as an archive. */
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Reads one attachment into record items. Every attachment becomes at least a document item with its bytes; what cannot be
 * read further says why in its diagnostics. Never throws, whatever the bytes. The same bytes give the same items and ids.
 */
export async function readDocument(
  bytes: Uint8Array,
  hints: Hints = {},
  limits: ClinicalLimits = clinicalLimits,
): Promise<ReadDocument> {
  const recognised = recognise(bytes, hints, limits)
  if (recognised.format !== 'zip') return { documents: readParts(bytes, recognised, hints, limits), diagnostics: [] }

  const archive = await openArchive(bytes, limits)
  const format = archive.xdm ? 'xdm' : 'zip'
  const documents = [...readParts(bytes, { ...recognised, format }, hints, limits)]
  for (const { file, recognised: inner, metadata } of archive.documents) {
    const name = file.name.slice(file.name.lastIndexOf('/') + 1)
    documents.push(...readParts(file.bytes, inner, { name, ...(metadata && { metadata }) }, limits))
  }
  const empty: Diagnostic[] =
    archive.documents.length > 0 ? [] : [{ code: 'not-parsed', where: '', detail: 'no document found in the archive' }]
  return { documents, diagnostics: [...archive.diagnostics, ...empty] }
}

type Named = Hints & { readonly metadata?: DocumentMetadata }

function readParts(bytes: Uint8Array, recognised: Recognised, hints: Named, limits: ClinicalLimits): ReadPart[] {
  const reading = startReading(sha256(bytes), limits)
  const head = readInto(reading, recognised)
  const part: ReadPart = {
    item: documentItem(bytes, recognised, hints, reading, head),
    bytes,
    items: reading.items,
    diagnostics: reading.diagnostics,
    entries: reading.entries,
  }
  const embedded = recognised.xml?.kind === 'tree' ? embeddedFile(recognised.xml.root) : undefined
  return embedded === undefined ? [part] : [part, embeddedPart(embedded, limits)]
}

function readInto(reading: Reading, { format, xml }: Recognised): DocumentHead {
  const nothing: DocumentHead = { authors: [], identifiers: [] }
  if (xml === undefined) return nothing
  tellXml(reading, xml)
  if (xml.kind !== 'tree') return nothing
  const { root } = xml
  try {
    if (isClinicalDocument(root)) {
      if (root.ns === '') note(reading, 'wrong-root', '', 'the document has no namespace')
      return readCda(root, reading)
    }
    const records = careRecords(rootPlace(root))
    const heads = records.map((record) => readCcr(record, reading))
    if (heads[0] !== undefined) return heads[0]
    if (format === 'xml') note(reading, 'wrong-root', '', 'not a clinical document')
    return nothing
  } catch {
    // A defect in a reader must not lose the document; tests look for these words.
    note(reading, 'not-parsed', '', 'the reader failed')
    return nothing
  }
}

function tellXml(reading: Reading, xml: XmlOutcome): void {
  for (const one of xml.notes)
    note(reading, one.kind === 'charset-guessed' ? 'charset-guessed' : 'not-well-formed', '', one.detail)
  if (xml.kind === 'tree') return
  const codes = { 'not-well-formed': 'not-well-formed', doctype: 'doctype-refused', limit: 'limit-exceeded' } as const
  note(reading, codes[xml.reason], '', xml.detail)
}

function documentItem(
  bytes: Uint8Array,
  recognised: Recognised,
  hints: Named,
  { document }: Reading,
  head: DocumentHead,
): RecordItem {
  const title = head.title ?? hints.metadata?.title
  return identified(
    {
      content: {
        type: 'document',
        mediaType: recognised.mediaType,
        ...(hints.name === undefined ? {} : { name: hints.name }),
        sizeBytes: bytes.length,
        sha256: document,
        format: recognised.format,
        ...(recognised.version === undefined ? {} : { formatVersion: recognised.version }),
        ...(title === undefined ? {} : { title }),
        ...(head.code === undefined ? {} : { code: head.code }),
        ...(head.custodian === undefined ? {} : { custodian: head.custodian }),
        ...(head.set === undefined ? {} : { set: head.set }),
        ...(head.versionNumber === undefined ? {} : { versionNumber: head.versionNumber }),
        ...(head.related === undefined ? {} : { related: head.related }),
        ...(hints.metadata === undefined ? {} : { metadata: hints.metadata }),
      },
      ...(head.when === undefined ? {} : { when: head.when }),
      ...(head.recordedAt === undefined ? {} : { recordedAt: head.recordedAt }),
      negated: false,
      ...(head.authenticators === undefined ? {} : { performers: head.authenticators }),
      ...(head.labels === undefined ? {} : { labels: head.labels }),
      identifiers: head.identifiers,
      provenance: {
        entry: '',
        authors: head.authors,
        ...(head.informants === undefined ? {} : { informants: head.informants }),
      },
    },
    document,
  )
}

/** The file that an unstructured CDA holds in place of sections (CDA R2 §4.3.1, nonXMLBody), decoded. */
function embeddedFile(root: XmlNode): { bytes: Uint8Array; mediaType?: string } | undefined {
  if (!isClinicalDocument(root)) return undefined
  const text = descend(root, 'component', 'nonXMLBody', 'text')
  if (text === undefined || attribute(text, 'representation')?.trim() !== 'B64') return undefined
  const bytes = Buffer.from(textOf(text).replace(/\s+/g, ''), 'base64')
  const mediaType = attribute(text, 'mediaType')?.trim()
  if (bytes.length === 0) return undefined
  return mediaType ? { bytes, mediaType } : { bytes }
}

/** Kept as it is: a document inside a document is not read for items, and an archive in it is not opened. */
function embeddedPart(
  { bytes, mediaType }: { bytes: Uint8Array; mediaType?: string },
  limits: ClinicalLimits,
): ReadPart {
  const hints: Hints = mediaType === undefined ? {} : { mediaType }
  const recognised = recognise(bytes, hints, limits)
  const reading = startReading(sha256(bytes), limits)
  const nothing: DocumentHead = { authors: [], identifiers: [] }
  return {
    item: documentItem(bytes, recognised, hints, reading, nothing),
    bytes,
    items: [],
    diagnostics: [],
    entries: [],
  }
}
