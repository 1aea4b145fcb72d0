import type { Concept } from '../direct/datatypes.js'

/** SNOMED CT codes that themselves say that nothing of a kind is known: allergies, then problems. */
const codes = new Set([
  '160244002',
  '716186003',
  '409137002',
  '429625007',
  '428607008',
  '428197003',
  '716184000',
  '1003774007',
  '160245001',
])

/** Words that say the same where there is no code. */
const words =
  /^\W*(no known( drug| food| medication| environmental)? (allerg(y|ies)|problems?|medications?)|n\.?k\.?d?\.?a\.?)\W*$/i

/** Whether a concept denies by itself: "no known allergies" is not something to be allergic to. */
export function denies(concept: Concept | undefined): boolean {
  if (concept === undefined) return false
  if (concept.codings.some(({ code }) => codes.has(code))) return true
  return concept.codings.length === 0 && words.test(concept.text ?? '')
}
