import { Buffer } from 'node:buffer'
import { decodeXml } from '../../xml/charset.js'
import { attribute, descend, elements, textOf, type XmlNode } from '../../xml/node.js'
import { type ClinicalLimits, clinicalLimits } from '../limits.js'
import { rootPlace } from '../place.js'
import { readDocument } from '../read.js'
import { sha256 } from '../reading.js'
import { careRecords, type Hints, isClinicalDocument, type Recognised, recognise } from '../recognise.js'
import { openArchive } from '../xdm/read.js'
import { ccrPage } from './ccr.js'
import { cdaPage } from './cda.js'
import { el, type Inner, linkToDocument } from './html.js'
import { facts, type Page, page } from './page.js'
import { openSheet, pictureOf, room, type Sheet, type ViewLimits, viewLimits } from './sheet.js'

export interface ViewRequest extends Hints {
  /** The path that the SHA-256 of another document of the same record is put after; without it such documents are named only. */
  readonly documents?: string
}

/** The words as a link to a document of the record, where it is known how it is reached. */
function reached({ documents }: ViewRequest, sha: string, words: string): Inner {
  return documents === undefined ? words : linkToDocument(`${documents}${sha}`, words)
}

/**
 * One document as a self-contained HTML page that runs nothing and loads nothing: CDA and CCR in our own rendering,
 * text and pictures as they are, everything else told of and offered as it came. Never throws, whatever the bytes; what
 * is too long is cut, and says so. The page is UTF-8.
 */
export async function viewDocument(
  bytes: Uint8Array,
  request: ViewRequest = {},
  limits: ClinicalLimits = clinicalLimits,
  sizes: ViewLimits = viewLimits,
): Promise<string> {
  const recognised = recognise(bytes, request, limits)
  const { xml } = recognised
  const root = xml?.kind === 'tree' ? xml.root : undefined
  const sheet = openSheet(root, sizes)
  const made = await pageOf(bytes, recognised, root, { request, limits, sheet })
  const foot = [
    `SHA-256 of the document: ${sha256(bytes)}`,
    request.documents !== undefined && [' - ', reached(request, sha256(bytes), 'the document as it came')],
  ]
  return page({ ...made, foot }, sheet)
}

interface Viewing {
  readonly request: ViewRequest
  readonly limits: ClinicalLimits
  readonly sheet: Sheet
}

async function pageOf(
  bytes: Uint8Array,
  recognised: Recognised,
  root: XmlNode | undefined,
  viewing: Viewing,
): Promise<Page> {
  const { request, limits, sheet } = viewing
  if (root && isClinicalDocument(root)) {
    const items = needsItems(root) ? ((await readDocument(bytes, request, limits)).documents[0]?.items ?? []) : []
    return cdaPage(root, items, () => unstructured(root, viewing), sheet)
  }
  const [record] = root ? careRecords(rootPlace(root)) : []
  if (record) return ccrPage(record.node, sheet)
  const title = request.name ?? 'Document'
  const head = facts(['Kind', [recognised.mediaType]], ['Size', [`${bytes.length} bytes`]])
  return {
    title,
    head,
    body: recognised.format === 'zip' ? await archive(bytes, viewing) : file(bytes, recognised, viewing),
  }
}

/** Whether some section has entries and no words: only then are items read for the page. */
function needsItems(node: XmlNode): boolean {
  return elements(node).some((item) => {
    if (item.local === 'entry') return false
    if (item.local !== 'section') return needsItems(item)
    const text = elements(item).find(({ local }) => local === 'text')
    const silent = text === undefined || textOf(text).trim() === ''
    return (silent && elements(item).some(({ local }) => local === 'entry')) || needsItems(item)
  })
}

/** The body of a CDA without sections (CDA R2 §4.3.1): words as they are, a file as far as it can be shown. */
function unstructured(root: XmlNode, viewing: Viewing): Inner {
  const text = descend(root, 'component', 'nonXMLBody', 'text')
  if (text === undefined) return el('p', { class: 'about' }, 'The document has no body.')
  const mediaType = attribute(text, 'mediaType')?.trim()
  const written = textOf(text)
  if (attribute(text, 'representation')?.trim() === 'B64') {
    const bytes = Buffer.from(written, 'base64')
    return file(bytes, recognise(bytes, mediaType ? { mediaType } : {}, viewing.limits), viewing)
  }
  const elsewhere = elements(text)
    .map((one) => attribute(one, 'value'))
    .filter((one) => one !== undefined)
  return [
    written.trim() !== '' && room(viewing.sheet, written.length) && el('pre', {}, written),
    elsewhere.map((one) => el('p', { class: 'missing' }, `[Kept elsewhere, not fetched: ${one.slice(0, 500)}]`)),
  ]
}

/** Text and pictures as they are; what only another program shows is offered as it came. */
function file(bytes: Uint8Array, { format, mediaType }: Recognised, { request, sheet }: Viewing): Inner {
  if (format === 'image') {
    const shown = pictureOf(bytes, request.name ?? 'The document', sheet)
    if (shown) return el('figure', {}, shown)
  }
  if (format === 'text' || format === 'html' || format === 'xml') {
    const { text } = decodeXml(bytes)
    const note =
      format !== 'text' && el('p', { class: 'about' }, `${mediaType} is shown as it is written, not as a page.`)
    return [note, room(sheet, text.length) && el('pre', {}, text)]
  }
  const name = `The ${mediaType} file`
  const link = reached(request, sha256(bytes), name)
  return el('p', {}, link, ` (${bytes.length} bytes) is not shown here: open it with a program for its kind.`)
}

/** What an archive holds, each with what its metadata say of it. */
async function archive(bytes: Uint8Array, { request, limits }: Viewing): Promise<Inner> {
  const { documents, diagnostics } = await openArchive(bytes, limits)
  const rows = documents.map(({ file: { name, bytes: inner }, recognised, metadata }) => {
    const words = metadata?.title ?? name.slice(name.lastIndexOf('/') + 1)
    const link = reached(request, sha256(inner), words)
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, link),
      [recognised.mediaType, String(inner.length), name].map((one) => el('td', {}, one)),
    )
  })
  const head = ['Document', 'Kind', 'Bytes', 'File'].map((one) => el('th', { scope: 'col' }, one))
  return [
    el('div', { class: 'table' }, el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows))),
    diagnostics.length > 0 &&
      el(
        'ul',
        { class: 'disc' },
        diagnostics.slice(0, 100).map(({ where, detail }) => el('li', {}, `${where ? `${where}: ` : ''}${detail}`)),
      ),
  ]
}
