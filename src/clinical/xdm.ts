import { createHash } from 'node:crypto'
import type { Diagnostic } from '../direct/clinical.js'
import { attribute, elements, textOf, type XmlNode } from '../xml/node.js'
import { parseXml } from '../xml/parse.js'
import { type ArchiveFile, unpack } from './archive.js'
import type { ClinicalLimits } from './limits.js'
import { type Recognised, recognise } from './recognise.js'

/** One document of an archive, with what its metadata says about it. */
export interface PackedDocument {
  readonly file: ArchiveFile
  readonly recognised: Recognised
  readonly title?: string
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
 * the readme are not documents. Never throws.
 */
export async function openArchive(bytes: Uint8Array, limits: ClinicalLimits): Promise<PackedDocuments> {
  const archive = await unpack(bytes, limits)
  const diagnostics: Diagnostic[] = [...archive.diagnostics]
  const metadata = archive.files.filter(({ name }) => /(?:^|\/)METADATA\.XML$/i.test(name))
  const listed = new Map<string, Listed>()
  for (const file of metadata) {
    for (const one of readMetadata(file, limits)) if (!listed.has(one.path)) listed.set(one.path, one)
  }
  const inSubset = (name: string): boolean => /(?:^|\/)IHE_XDM\//i.test(name)
  const xdm = metadata.length > 0 || archive.files.some(({ name }) => inSubset(name))

  const documents: PackedDocument[] = []
  for (const file of archive.files) {
    if (metadata.includes(file)) continue
    const entry = listed.get(file.name.toLowerCase())
    if (entry === undefined && /\.(?:xslt?|css)$/i.test(file.name)) continue
    const recognised = recognise(
      file.bytes,
      { name: file.name, ...(entry?.mediaType ? { mediaType: entry.mediaType } : {}) },
      limits,
    )
    const { format } = recognised
    if (entry === undefined && !clinical.has(format) && !(inSubset(file.name) && attached.has(format))) {
      if (format === 'zip')
        diagnostics.push({ code: 'not-parsed', where: file.name, detail: 'an archive inside an archive' })
      if (format !== 'zip' || !inSubset(file.name)) continue
    }
    if (entry !== undefined) diagnostics.push(...compare(file, entry))
    documents.push({ file, recognised, ...(entry?.title === undefined ? {} : { title: entry.title }) })
  }
  for (const one of listed.values()) {
    if (!documents.some(({ file }) => file.name.toLowerCase() === one.path)) {
      diagnostics.push({
        code: 'unreadable-archive',
        where: one.path,
        detail: 'listed in the metadata, not in the archive',
      })
    }
  }
  if (!xdm && documents.length > 0) {
    diagnostics.push({ code: 'wrong-root', where: '', detail: 'clinical documents in an archive that is not XDM' })
  }
  return { xdm, documents, diagnostics }
}

interface Listed {
  /** Lower-case path in the archive. */
  readonly path: string
  readonly title?: string
  readonly mediaType?: string
  readonly sizeBytes?: string
  readonly sha1?: string
}

/** Document entries of a METADATA.XML: URI, size, hash, title and media type, as ebRIM slots (ITI TF-3 §4.2.3.2). */
function readMetadata(file: ArchiveFile, limits: ClinicalLimits): Listed[] {
  const parsed = parseXml(file.bytes, limits.xml)
  if (parsed.kind !== 'tree') return []
  const folder = file.name.slice(0, file.name.lastIndexOf('/') + 1)
  const found: Listed[] = []
  const visit = (node: XmlNode): void => {
    if (node.local !== 'ExtrinsicObject') {
      for (const inner of elements(node)) visit(inner)
      return
    }
    const uri = slot(node, 'URI')
    if (uri === undefined || found.length >= limits.archiveEntries) return
    // A long URI is cut into numbered pieces: `1|…`, `2|…`.
    const path = uri.replace(/^\d\|/, '').replace(/^(?:file:\/\/\/?|\.\/)/i, '')
    const title = elements(node).find((one) => one.local === 'Name')
    const localized = title && elements(title).find((one) => one.local === 'LocalizedString')
    found.push({
      path: `${folder}${path}`.toLowerCase(),
      ...optional('title', localized && attribute(localized, 'value')?.trim().slice(0, 500)),
      ...optional('mediaType', attribute(node, 'mimeType')),
      ...optional('sizeBytes', slot(node, 'size')),
      ...optional('sha1', slot(node, 'hash')?.toLowerCase()),
    })
  }
  visit(parsed.root)
  return found
}

function slot(node: XmlNode, name: string): string | undefined {
  const found = elements(node).find((one) => one.local === 'Slot' && attribute(one, 'name') === name)
  const list = found && elements(found).find((one) => one.local === 'ValueList')
  const value = list && textOf(elements(list)[0]).trim()
  return value === '' ? undefined : value
}

/** Metadata that contradicts the file is reported; the file is what counts. */
function compare(file: ArchiveFile, entry: Listed): Diagnostic[] {
  const found: Diagnostic[] = []
  const tell = (detail: string): void => void found.push({ code: 'unsafe-entry', where: file.name, detail })
  if (entry.sizeBytes !== undefined && entry.sizeBytes !== String(file.bytes.length))
    tell('the metadata gives another size')
  if (entry.sha1 !== undefined && entry.sha1 !== createHash('sha1').update(file.bytes).digest('hex')) {
    tell('the metadata gives another hash')
  }
  return found
}

function optional<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined || value === '' ? {} : { [key]: value }) as { [P in K]?: string }
}
