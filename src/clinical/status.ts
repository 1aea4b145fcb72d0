import type { RecordItem } from '../direct/clinical.js'

export type Status = NonNullable<RecordItem['status']>
export type Folded = Status['folded']

/** Words for a status, most telling first: "inactive" holds "active", "not done" holds "done". */
const foldedOfWords: readonly (readonly [RegExp, Folded])[] = [
  [/\b(in-?active|not active|no longer|remission|suspended|on hold|held|prior history|history of)\b/i, 'inactive'],
  [/\b(cancel+ed|aborted|discontinued|stopped|not done|entered in error|nullified|rejected|refused)\b/i, 'cancelled'],
  [/\b(pending|scheduled|planned|ordered|requested|new)\b/i, 'planned'],
  [/\b(resolved|cured|ruled out)\b/i, 'resolved'],
  [/\b(completed?|finished|final|done|administered)\b/i, 'completed'],
  [/\b(active|current|chronic|ongoing|intermittent|recurrent|recurring|relapse|acute)\b/i, 'active'],
]

/** Folds free words for a status; `unknown` where none of them is known. */
export function foldWords(text: string): Folded {
  return foldedOfWords.find(([pattern]) => pattern.test(text))?.[1] ?? 'unknown'
}
