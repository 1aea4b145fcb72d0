import { checkBody, type Family, jsonOf, type RowFamily, sound } from '../../ports/rows.js'

const owner = 'shl'

const link: Family<'entry'> = {
  kind: 'entry',
  name: 'health link',
  form: /^connect\/shl\/[0-9a-f]{64}$/,
  async check({ key, value }, { vault }) {
    const { id, record, createdAt, files } = jsonOf(await vault.open(owner, key, value))
    sound(typeof id === 'string' && typeof record === 'string' && Array.isArray(files), 'it is no link')
    const place = `${String(createdAt).padStart(15, '0')}-${id}`
    return [{ kind: 'entry', key: `connect/shl-of/${encodeURIComponent(record)}/${place}` }]
  },
}

const listed: Family<'entry'> = {
  kind: 'entry',
  name: 'health link in a list',
  form: /^connect\/shl-of\/(?<owner>[^/]+)\/\d{15}-[0-9a-f]{16}$/,
  check({ value }) {
    return [{ kind: 'entry', key: `connect/shl/${Buffer.from(value).toString('latin1')}` }]
  },
}

const file: Family<'entry'> = {
  kind: 'entry',
  name: 'file of a health link',
  form: /^connect\/shl-file\/(?<owner>[0-9a-f]{64})\/\d+$/,
  async check(row, reader) {
    const needs = await checkBody(row, owner, reader, () => undefined)
    return [{ kind: 'entry', key: `connect/shl/${row.key.split('/')[2] ?? ''}` }, ...needs]
  },
}

/** Every row of health links. */
export const linkFamilies: readonly RowFamily[] = [link, listed, file]
