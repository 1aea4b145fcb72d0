import { createHash } from 'node:crypto'
import type { Diagnostic, DocumentMetadata } from '../../direct/clinical.js'
import { parseXml } from '../../xml/parse.js'
import type { ClinicalLimits } from '../limits.js'
import { type Recognised, recognise } from '../recognise.js'
import { type ArchiveFile, unpack } from './archive.js'
import { type ListedDocument, readMetadata } from './metadata.js'

/** One document of an archive, with what its metadata says about it. */
export interface PackedDocument {
  readonly file: ArchiveFile
  readonly recognised: Recognised
  readonly metadata?: DocumentMetadata
}

/** What an archive turned out to be. `xdm`: it has the layout of IHE XDM (ITI TF-2 §3.32.4.1.2). */
export interface PackedDocuments {
  readonly xdm: boolean
  readonly documents: readonly PackedDocument[]
  readonly diagnostics: readonly Diagnostic[]
}

const clinical = new Set(['ccr', 'c32', 'ccd', 'c-cda', 'cda'])
const attached = new Set(['pdf', 'image', 'rtf'])

/**
 * Opens an archive and finds its documents: what METADATA.XML lists, and clinical documents wherever they stand; in XDM
 * also PDF, images and RTF beside them. An archive inside an archive is kept as it is. Style sheets, the index page and
 * the readme are not documents. Where files and metadata disagree the files count, and a diagnostic says so. Never throws.
 */
export async function openArchive(bytes: Uint8Array, limits: ClinicalLimits): Promise<PackedDocuments> {
  const archive = await unpack(bytes, limits)
  const diagnostics: Diagnostic[] = [...archive.diagnostics]
  const tell = (code: Diagnostic['code'], where: string, detail: string): void =>
    void diagnostics.push({ code, where, detail })
  const metadata = archive.files.filter(({ name }) => /(?:^|\/)METADATA\.XML$/i.test(name))
  const listed = new Map<string, ListedDocument>()
  for (const file of metadata) {
    const found = documentsIn(file, limits)
    if (found === undefined) tell('metadata-unreadable', file.name, 'no submission metadata can be read of it')
    for (const one of found ?? []) if (!listed.has(keyOf(one.path))) listed.set(keyOf(one.path), one)
  }
  const inSubset = (name: string): boolean => /(?:^|\/)IHE_XDM\//i.test(name)
  const xdm = metadata.length > 0 || archive.files.some(({ name }) => inSubset(name))

  const documents: PackedDocument[] = []
  for (const file of archive.files) {
    if (metadata.includes(file)) continue
    const entry = listed.get(keyOf(file.name))
    if (entry === undefined && /\.(?:xslt?|css)$/i.test(file.name)) continue
    const hints = { name: file.name, ...(entry?.mediaType !== undefined && { mediaType: entry.mediaType }) }
    const recognised = recognise(file.bytes, hints, limits)
    const { format } = recognised
    if (format === 'zip') tell('not-parsed', file.name, 'an archive inside an archive')
    const kept =
      clinical.has(format) || (inSubset(file.name) && (attached.has(format) || format === 'zip')) || entry !== undefined
    if (!kept) continue
    if (entry !== undefined) diagnostics.push(...compare(file, entry))
    else if (xdm) tell('unlisted-file', file.name, 'a document that no metadata names')
    documents.push({ file, recognised, ...(entry && { metadata: entry.metadata }) })
  }
  for (const one of listed.values()) {
    if (!archive.files.some(({ name }) => keyOf(name) === keyOf(one.path)))
      tell('missing-file', printable(one.path), 'listed in the metadata, not in the archive')
  }
  if (!xdm && documents.length > 0) tell('wrong-root', '', 'clinical documents in an archive that is not XDM')
  return { xdm, documents, diagnostics }
}

/** Names on the media that XDM was made for have one case; what is sent over the wire has any. */
function keyOf(path: string): string {
  return path.toLowerCase()
}

function documentsIn(file: ArchiveFile, limits: ClinicalLimits): ListedDocument[] | undefined {
  const parsed = parseXml(file.bytes, limits.xml)
  if (parsed.kind !== 'tree') return undefined
  return readMetadata(parsed.root, file.name.slice(0, file.name.lastIndexOf('/') + 1))
}

/** Size and SHA-1 (IHE ITI TF-3 §4.2.3.2.10, §4.2.3.2.22); a hash as long as that of SHA-256 is taken for one. */
function compare(file: ArchiveFile, { size, hash }: ListedDocument): Diagnostic[] {
  const found: Diagnostic[] = []
  if (size !== undefined && size.replace(/^0+(?=\d)/, '') !== String(file.bytes.length)) {
    found.push({ code: 'size-mismatch', where: file.name, detail: 'the metadata gives another size' })
  }
  const algorithm = hash?.length === 64 ? 'sha256' : 'sha1'
  if (hash !== undefined && hash !== createHash(algorithm).update(file.bytes).digest('hex')) {
    found.push({ code: 'hash-mismatch', where: file.name, detail: 'the metadata gives another hash' })
  }
  return found
}

function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}
