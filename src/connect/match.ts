import type { HeldRecord } from '../people/people.js'

/** Whether a record is of the one whom a request is for, as far as a clinic and a custodian said so. */
export interface RecordMatch {
  readonly kind: 'match' | 'mismatch' | 'unknown'
  /** `birth date differs`, `another record has this name`: never what it is. */
  readonly reasons: readonly string[]
}

type Told = { readonly friendlyName: string; readonly birthDate?: string }
type Known = Pick<HeldRecord, 'name' | 'birthDate'>

/**
 * Compares what the sender told with a record and its siblings: choosing the wrong one is the classic error. Another birth
 * date is another child, whatever it is called; a name that a sibling has, and this record has not, is a sibling's. What a
 * custodian calls a record need not be a name, so that alone is no sign.
 */
export function matchRecord(told: Told, record: Known, others: readonly Known[]): RecordMatch {
  const names = wordsOf(told.friendlyName)
  const named = ({ name }: Known) => wordsOf(name).some((word) => names.includes(word))
  // A word that every record has, as a family name is, tells none of them apart.
  const elsewhere = others.filter((other) => closer(names, other, record))
  const birth =
    told.birthDate === undefined || record.birthDate === undefined
      ? 'silent'
      : told.birthDate === record.birthDate.slice(0, 10)
        ? 'agrees'
        : 'differs'
  if (birth === 'differs') return { kind: 'mismatch', reasons: ['birth date differs'] }
  if (elsewhere.length > 0) return { kind: 'mismatch', reasons: ['another record has this name'] }
  const name = named(record) ? 'name agrees' : 'name cannot be compared'
  if (birth === 'agrees' && named(record)) return { kind: 'match', reasons: [name, 'birth date agrees'] }
  return {
    kind: 'unknown',
    reasons: [name, birth === 'agrees' ? 'birth date agrees' : 'birth date cannot be compared'],
  }
}

/** Whether one record shares more words with a name than another does. */
function closer(names: readonly string[], one: Known, other: Known): boolean {
  const shared = ({ name }: Known) => new Set(wordsOf(name).filter((word) => names.includes(word))).size
  return shared(one) > shared(other)
}

/** Words without case, accents and punctuation. */
function wordsOf(text: string): readonly string[] {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length > 1)
}
