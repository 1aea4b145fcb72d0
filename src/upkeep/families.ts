import type { RowFamily } from '../ports/rows.js'
import type { StoredRow } from '../ports/store.js'

/** Finds the family of a row; rows come in order, so that the last one found is nearly always the next. */
export function familyFinder(families: readonly RowFamily[]): (row: StoredRow) => RowFamily | undefined {
  let last: RowFamily | undefined
  const fits = (family: RowFamily, row: StoredRow) => family.kind === row.kind && family.form.test(placeOf(row))
  return (row) => {
    if (!last || !fits(last, row)) last = families.find((family) => fits(family, row))
    return last
  }
}

/** What the form of a family is compared with. */
export function placeOf(row: StoredRow): string {
  if (row.kind === 'entry') return row.key
  return row.kind === 'job' ? row.queue : row.log
}

/** A row by name, for people. */
export function rowName(row: StoredRow): string {
  if (row.kind === 'entry') return row.key
  return row.kind === 'job' ? `job ${row.queue} ${row.id}` : `log ${row.log} ${row.sequence}`
}

/** What a row weighs: names and value, without what the store adds. */
export function rowBytes(row: StoredRow): number {
  if (row.kind === 'entry') return row.key.length + row.value.length
  if (row.kind === 'job') return row.queue.length + row.id.length + row.payload.length
  return row.log.length + row.value.length + row.link.length
}
