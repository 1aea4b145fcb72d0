import { createHash } from 'node:crypto'
import { type RecordItem, recordItemTypes } from '../direct/clinical.js'
import { checkBody, type Family, isMoment, jsonOf, type RowFamily, type RowReader, sound } from '../ports/rows.js'
import { bytesKey, documentKey, headKey, itemKey, ledgerKey, ownerOf } from './rows.js'

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

/** Every row that this room writes. */
export const recordFamilies: readonly RowFamily[] = [item, head, ledger, index, document, bytes]
