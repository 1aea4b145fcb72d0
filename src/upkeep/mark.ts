import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import type { Store, StoredRow } from '../ports/store.js'

/** Why nobody may work on a home: it is being filled, or what it held lives elsewhere now. */
export interface Mark {
  readonly state: 'restoring' | 'moving-in' | 'moved'
  /** Unix milliseconds. */
  readonly at: number
  /** Where its contents are now, in the words of the operator. */
  readonly to?: string
}

export const markKey = 'upkeep/mark'

/** Rows about the home itself, which never travel to another. */
export function isOfHome(row: StoredRow): boolean {
  return row.kind === 'entry' && row.key.startsWith('upkeep/')
}

/** The mark of a home; undefined where it may be served. Whoever opens a home for work asks first. */
export async function readMark(store: Pick<Store, 'get'>): Promise<Mark | undefined> {
  const row = await store.get(markKey)
  if (!row) return undefined
  const { state, at, to } = jsonOf(row.value)
  const known = state === 'moving-in' || state === 'moved' ? state : 'restoring'
  return { state: known, at: isMoment(at) ? at : 0, ...(typeof to === 'string' && { to }) }
}

/** The mark as a row for `load`: a home that is being filled is not used in any other way. */
export function markRow(mark: Mark): StoredRow {
  return { kind: 'entry', key: markKey, version: 1, value: encodeMark(mark) }
}

export function encodeMark(mark: Mark): Uint8Array {
  return Buffer.from(JSON.stringify(mark))
}

/** What a mark means, in a sentence for the operator whose gateway does not start. */
export function markWords({ state, at, to }: Mark): string {
  const when = new Date(at).toISOString()
  switch (state) {
    case 'moved':
      return `this store was moved to ${to ?? 'another'} at ${when}: start with the configuration of the new one; \`direct-gateway migrate --undo-mark\` makes this one the truth again, without whatever happened since`
    case 'moving-in':
      return `another store was being moved into this one at ${when} and that did not end: run the same \`direct-gateway migrate\` again`
    case 'restoring':
      return `a backup was being restored into this store at ${when} and that did not end: run the same \`direct-gateway restore\` again`
  }
}

const mark: Family<'entry'> = {
  kind: 'entry',
  name: 'mark of the home',
  form: /^upkeep\/mark$/,
  check({ value }) {
    const { state, at } = jsonOf(value)
    sound(typeof state === 'string' && isMoment(at), 'the value is no mark')
    return []
  },
}

const blobsKept: Family<'entry'> = {
  kind: 'entry',
  name: 'pause of the blob sweep',
  form: /^upkeep\/blobs-kept$/,
  check({ value }) {
    sound(isMoment(jsonOf(value)['until']), 'the value is no time')
    return []
  },
}

/** Every row that this room writes. */
export const upkeepFamilies: readonly RowFamily[] = [mark, blobsKept]
