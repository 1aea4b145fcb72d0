import { holdKey } from '../../ports/body.js'
import { checkBody, type Family, isBlobName, isMoment, jsonOf, type RowFamily, sound } from '../../ports/rows.js'
import { chunkKey, ownerOf, uploadKey } from './rows.js'

const hex32 = /^[0-9a-f]{32}$/

const ledger: Family<'entry'> = {
  kind: 'entry',
  name: 'uploads of an application',
  form: /^connect\/uploads\/[^/]+$/,
  check({ value }) {
    const { uploads } = jsonOf(value)
    sound(Array.isArray(uploads) && uploads.length > 0, 'it has no uploads')
    return (uploads as { id: unknown; begunAt: unknown }[]).map(({ id, begunAt }) => {
      sound(hex32.test(String(id)) && isMoment(begunAt), 'an upload has no id or no time')
      return { kind: 'entry', key: uploadKey(String(id)) }
    })
  },
}

/** Whose it is stands in the row alone, which opens for its owner only: the ledger that needs it says whose it is. */
const upload: Family<'entry'> = {
  kind: 'entry',
  name: 'upload',
  form: /^connect\/upload\/[0-9a-f]{32}\/head$/,
  check({ value }) {
    sound(value.length > 28, 'it is too short for a sealed row')
    return []
  },
}

const chunk: Family<'entry'> = {
  kind: 'entry',
  name: 'piece of an upload',
  form: /^connect\/upload\/(?<owner>[0-9a-f]{32})\/chunk\/\d{4}$/,
  check({ key, value }) {
    const { offset, sizeBytes, blob, mac } = jsonOf(value)
    sound(Number.isInteger(offset) && Number.isInteger(sizeBytes) && typeof mac === 'string', 'it has no place')
    sound(typeof blob === 'string' && isBlobName(blob), 'it names no blob')
    const [, , id = '', , index = ''] = key.split('/')
    const held = { kind: 'entry' as const, key: holdKey(blob, key) }
    return Number(index) === 0 ? [held] : [held, { kind: 'entry', key: chunkKey(id, Number(index) - 1) }]
  },
}

const content: Family<'entry'> = {
  kind: 'entry',
  name: 'content of a package',
  form: /^connect\/package\/(?<owner>[^/]+)\/[^/]+\/content$/,
  async check(row, reader) {
    const app = decodeURIComponent(row.key.split('/')[2] ?? '')
    const needs = await checkBody(row, ownerOf(app), reader, () => undefined)
    return [{ kind: 'entry', key: row.key.replace(/content$/, 'head') }, ...needs]
  },
}

const head: Family<'entry'> = {
  kind: 'entry',
  name: 'package',
  form: /^connect\/package\/(?<owner>[^/]+)\/[^/]+\/head$/,
  async check({ key, value }, { vault }) {
    const app = decodeURIComponent(key.split('/')[2] ?? '')
    const { made, uploads, createdAt } = jsonOf(await vault.open(ownerOf(app), key, value))
    sound(['open', 'sealed', 'legacy'].includes(String(made)) && isMoment(createdAt), 'it is of no kind or no time')
    sound(Array.isArray(uploads), 'it has no list of uploads')
    return [{ kind: 'entry', key: key.replace(/head$/, 'content') }]
  },
}

/** Every row of packages and uploads. */
export const packageFamilies: readonly RowFamily[] = [ledger, upload, chunk, content, head]
