import { bodyRows } from '../ports/body.js'
import { type Store, within } from '../ports/store.js'
import { isId, ownerOf } from './rows.js'

/** Rows of one commit: large enough to be quick, small enough to hold up nobody. */
const rowsAtOnce = 500

/**
 * Takes away everything that a record holds, step by step: safe to be stopped at any line and begun again. Blobs go with the
 * next sweep. Nobody may write to the record meanwhile.
 */
export async function eraseRecordContent(store: Pick<Store, 'range' | 'commit'>, recordId: string): Promise<void> {
  if (!isId(recordId)) return
  for (;;) {
    const rows = await store.range({ ...within(`${ownerOf(recordId)}/`), limit: rowsAtOnce })
    if (rows.length === 0) return
    await store.commit({ del: rows.flatMap(bodyRows) })
  }
}
