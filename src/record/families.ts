import { createHash } from 'node:crypto'
import type { RecordItem } from '../direct/clinical.js'
import { checkBody, type Family, isMoment, jsonOf, type RowFamily, type RowReader, sound } from '../ports/rows.js'
import { bytesKey, documentKey, indexKeys, itemKey, ownerOf } from './rows.js'

const states = ['proposed', 'current', 'ignored']

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
    sound(states.includes(String(stored['state'])) && isMoment(stored['addedAt']), 'the item has no state or no time')
    return indexKeys(record, item).map((key) => ({ kind: 'entry', key }))
  },
}

const index: Family<'entry'> = {
  kind: 'entry',
  name: 'record index',
  form: /^record\/(?<owner>[^/]+)\/(by-date|by-type\/[^/]+)\/[^/]+\/[^/]+$/,
  check({ key, value }) {
    const { record, id } = partsOf(key)
    sound(states.includes(Buffer.from(value).toString()), 'the row has no state')
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
export const recordFamilies: readonly RowFamily[] = [item, index, document, bytes]
