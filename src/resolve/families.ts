import { type Family, type RowFamily, sound } from '../ports/rows.js'
import { bytesPrefix, chunkKeys, readCopyRow, rowPrefix } from './shelf.js'

const copy: Family<'entry'> = {
  kind: 'entry',
  name: 'fetched evidence',
  form: /^evidence\/(list|ocsp|issuer)\/[0-9a-f]{64}$/,
  check({ key, value }) {
    const row = readCopyRow(value)
    sound(row !== undefined, 'the value is not of a copy')
    return chunkKeys(key.slice(rowPrefix.length), row.sizeBytes).map((chunk) => ({ kind: 'entry', key: chunk }))
  },
}

const bytes: Family<'entry'> = {
  kind: 'entry',
  name: 'bytes of fetched evidence',
  form: /^evidence-bytes\/(list|ocsp|issuer)\/[0-9a-f]{64}\/\d{4}$/,
  check({ key, value }) {
    sound(value.length > 0, 'there are no bytes')
    return [{ kind: 'entry', key: rowPrefix + key.slice(bytesPrefix.length, -'/0000'.length) }]
  },
}

/** Every row that this room writes. */
export const resolveFamilies: readonly RowFamily[] = [copy, bytes]
