import { type Family, type RowFamily, sound } from '../ports/rows.js'
import { decodeEntry } from './audit.js'

const entries: Family<'log'> = {
  kind: 'log',
  name: 'audit entry',
  form: /^audit$/,
  check({ value }) {
    sound(decodeEntry(value) !== undefined, 'the value is no audit entry')
    return []
  },
}

/** Every row that this room writes. */
export const auditFamilies: readonly RowFamily[] = [entries]
