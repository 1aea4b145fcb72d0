import { createHash } from 'node:crypto'
import { type RecordItem, recordItemTypes } from '../direct/clinical.js'
import { checkBody, type Family, isMoment, jsonOf, type RowFamily, type RowReader, sound } from '../ports/rows.js'
import { blobKey, bytesKey, documentKey, headKey, itemKey, ledgerKey, ownerOf, pieceKey, uploadKey } from './rows.js'

/** Pages that a ledger can have by its limits, and room to spare: a damaged count costs nothing. */
const ledgerPagesMax = 1000

function partsOf(key: string): { readonly record: string; readonly id: string } {
  const parts = key.split('/')
  return { record: decodeURIComponent(parts[1] ?? ''), id: decodeURIComponent(parts.at(-1) ?? '') }
}

async function opened({ key, value }: { key: string; value: Uint8Array }, record: string, { vault }: RowReader) {
  return jsonOf(await vault.open(ownerOf(record), key, value))
}

const item: Family<'entry'> = {
  kind: 'entry',
  name: 'record item',
  form: /^record\/(?<owner>[^/]+)\/item\/[^/]+$/,
  async check(row, reader) {
    const { record, id } = partsOf(row.key)
    const stored = await opened(row, record, reader)
    const { item } = stored as { readonly item?: RecordItem }
    sound(item?.id === id && stored['recordId'] === record, 'the item is another one')
    sound(isMoment(stored['addedAt']), 'the item has no time')
    // Rows from before there were ledgers get theirs with the next change of the record.
    return stored['seq'] === undefined ? [] : [{ kind: 'entry', key: headKey(record) }]
  },
}

const head: Family<'entry'> = {
  kind: 'entry',
  name: 'head of a record',
  form: /^record\/(?<owner>[^/]+)\/head$/,
  async check(row, reader) {
    const record = decodeURIComponent(row.key.split('/')[1] ?? '')
    const { revision, documents, decisions, pages = {} } = await opened(row, record, reader)
    sound(Number.isInteger(revision) && Array.isArray(documents) && Array.isArray(decisions), 'it is no head')
    const names = (documents as { sha256: string }[]).map(({ sha256 }) => documentKey(record, String(sha256)))
    const ledgers = recordItemTypes.flatMap((type) => {
      const count = Math.min(Number((pages as Record<string, unknown>)[type]) || 0, ledgerPagesMax)
      return Array.from({ length: count }, (_, page) => ledgerKey(record, type, page))
    })
    return [...names, ...ledgers].map((key) => ({ kind: 'entry', key }))
  },
}

/** Which item has a row is said here: a statement whose row is gone is a finding. */
const ledger: Family<'entry'> = {
  kind: 'entry',
  name: 'ledger of a record',
  form: /^record\/(?<owner>[^/]+)\/ledger\/[^/]+\/\d+$/,
  async check(row, reader) {
    const { record } = partsOf(row.key)
    const type = row.key.split('/').at(-2)
    const { facts, decisions } = await opened(row, record, reader)
    sound(Array.isArray(facts) && Array.isArray(decisions), 'it is no ledger')
    const all = facts as readonly { readonly id: string; readonly type: string }[]
    sound(
      all.every((fact) => fact.type === type),
      'it has statements of another kind',
    )
    return [
      { kind: 'entry', key: headKey(record) },
      ...all.map(({ id }) => ({ kind: 'entry' as const, key: itemKey(record, id) })),
    ]
  },
}

/** Lists of items by day, as releases before reconciliation wrote them; nothing reads them any more. */
const index: Family<'entry'> = {
  kind: 'entry',
  name: 'record index',
  form: /^record\/(?<owner>[^/]+)\/(by-date|by-type\/[^/]+)\/[^/]+\/[^/]+$/,
  check({ key }) {
    const { record, id } = partsOf(key)
    return [{ kind: 'entry', key: itemKey(record, id) }]
  },
}

const document: Family<'entry'> = {
  kind: 'entry',
  name: 'record document',
  form: /^record\/(?<owner>[^/]+)\/document\/[^/]+$/,
  async check(row, reader) {
    const { record, id } = partsOf(row.key)
    const { sha256, itemId } = await opened(row, record, reader)
    sound(sha256 === id && typeof itemId === 'string', 'the document is another one')
    return [
      { kind: 'entry', key: bytesKey(record, id) },
      { kind: 'entry', key: itemKey(record, itemId) },
    ]
  },
}

/** The bytes of a document are known by their digest. */
const bytes: Family<'entry'> = {
  kind: 'entry',
  name: 'bytes of a document',
  form: /^record\/(?<owner>[^/]+)\/bytes\/[^/]+$/,
  async check(row, reader) {
    const { record, id } = partsOf(row.key)
    const hash = createHash('sha256')
    let read = row.value[0] === 0x69
    const needs = await checkBody(row, ownerOf(record), reader, (chunk) => {
      read = true
      hash.update(chunk)
    })
    sound(!read || hash.digest('hex') === id, 'the bytes are of another document')
    return [{ kind: 'entry', key: documentKey(record, id) }, ...needs]
  },
}

/** What a commit did to entries. */
const change: Family<'entry'> = {
  kind: 'entry',
  name: 'changes of a record',
  form: /^record\/(?<owner>[^/]+)\/change\/\d{12}$/,
  async check(row, reader) {
    const { record } = partsOf(row.key)
    const { at, changes } = await opened(row, record, reader)
    sound(isMoment(at) && Array.isArray(changes), 'it tells of no changes')
    return [{ kind: 'entry', key: headKey(record) }]
  },
}

/** The first statement of what was created stays, whatever becomes of it. */
const client: Family<'entry'> = {
  kind: 'entry',
  name: 'client id of an item',
  form: /^record\/(?<owner>[^/]+)\/client\/[0-9a-f]{64}$/,
  async check(row, reader) {
    const { record } = partsOf(row.key)
    const { entry, digest } = await opened(row, record, reader)
    sound(typeof entry === 'string' && typeof digest === 'string', 'it names no item')
    return [{ kind: 'entry', key: itemKey(record, entry) }]
  },
}

/** Pieces of an upload that became a blob of other pieces are gone with the last of them. */
const upload: Family<'entry'> = {
  kind: 'entry',
  name: 'upload to a record',
  form: /^record\/(?<owner>[^/]+)\/upload\/[^/]+$/,
  async check(row, reader) {
    const { record, id } = partsOf(row.key)
    const { pieces, sha256 } = await opened(row, record, reader)
    sound(Array.isArray(pieces), 'it has no pieces')
    if (typeof sha256 === 'string') return [{ kind: 'entry', key: blobKey(record, sha256) }]
    return pieces.map((_, n) => ({ kind: 'entry' as const, key: pieceKey(record, id, n) }))
  },
}

const blob: Family<'entry'> = {
  kind: 'entry',
  name: 'blob of a record',
  form: /^record\/(?<owner>[^/]+)\/blob\/[0-9a-f]{64}$/,
  async check(row, reader) {
    const { record, id: name } = partsOf(row.key)
    const { sha256, id, pieces } = await opened(row, record, reader)
    sound(sha256 === name && typeof id === 'string' && Array.isArray(pieces), 'the blob is another one')
    return pieces.map((_, n) => ({ kind: 'entry' as const, key: pieceKey(record, id, n) }))
  },
}

const piece: Family<'entry'> = {
  kind: 'entry',
  name: 'piece of a blob',
  form: /^record\/(?<owner>[^/]+)\/piece\/[^/]+\/\d{5}$/,
  check(row, reader) {
    return checkBody(row, ownerOf(decodeURIComponent(row.key.split('/')[1] ?? '')), reader, () => {})
  },
}

const sweep: Family<'entry'> = {
  kind: 'entry',
  name: 'time of an upload',
  form: /^uploads\/\d{15}\/(?<owner>[^/]+)\/[^/]+$/,
  async check(row, reader) {
    const [, , owner = '', id = ''] = row.key.split('/').map(decodeURIComponent)
    await opened(row, owner, reader)
    return [{ kind: 'entry', key: uploadKey(owner, id) }]
  },
}

/** Every row that this room writes. */
export const recordFamilies: readonly RowFamily[] = [
  ...[item, head, ledger, index, document, bytes],
  ...[change, client, upload, blob, piece, sweep],
]
