import { createHash } from 'node:crypto'
import type { Coding, Concept } from '../../direct/datatypes.js'

/**
 * Terminologies whose codes are definitions, the most telling first. Where two concepts both have a code of one of these,
 * it alone decides; classifications and local codes group what these tell apart.
 */
const deciding: readonly string[] = [
  'http://www.nlm.nih.gov/research/umls/rxnorm',
  'http://snomed.info/sct',
  'http://loinc.org',
  'http://hl7.org/fhir/sid/cvx',
  'http://fdasis.nlm.nih.gov',
  'http://www.ama-assn.org/go/cpt',
  'http://www.cms.gov/Medicare/Coding/ICD10',
  'http://hl7.org/fhir/sid/icd-10-cm',
  'http://hl7.org/fhir/sid/icd-10',
  'http://hl7.org/fhir/sid/icd-9-cm',
]

/** What a concept is recognised by: its codings as `system|code`, and its words without case and punctuation; both sorted. */
export interface ConceptKey {
  readonly codes: readonly string[]
  readonly words: readonly string[]
}

export type Sameness = 'same' | 'different' | 'unknown'

/** The key of a concept; its words are kept beside the codes, since others may have written nothing but words. */
export function conceptKey(concept: Concept | undefined): ConceptKey {
  if (!concept) return { codes: [], words: [] }
  const codes = concept.codings.flatMap(codeKey)
  const words = [concept.text, ...concept.codings.map(({ display }) => display)].map((text) => plainWords(text ?? ''))
  return {
    codes: sorted(codes).slice(0, keyLimits.codes),
    words: sorted(words.filter((text) => text !== '').map((text) => bounded(text))).slice(0, keyLimits.words),
  }
}

/** What a statement is recognised by stays small however much its sender wrote: the ledgers have it for a lifetime. */
export const keyLimits = {
  /** Codes and words of one concept, the first in their order. */
  codes: 16,
  words: 8,
  /** Sites, identifiers and labels of one statement. */
  others: 8,
  /** Characters of one text: a longer one is known by its digest. */
  textChars: 120,
}

/** A text as it is, or the digest of one that is too long to keep. */
export function bounded(text: string, chars = keyLimits.textChars): string {
  return text.length > chars ? `#${createHash('sha256').update(text).digest('base64url')}` : text
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort()
}

/** Words in the place of a code, for everything that its sender could not code: they tell nothing from anything else. */
const notCodes = /^(?:unk(?:nown)?|oth(?:er)?|n\/?[ai]|none|null|nav|asku|nask|[-?0.]+)$/i

/** A coding without its display; a system that has no URI counts under the source's own word for it. */
function codeKey({ system, code, sourceSystem }: Coding): readonly string[] {
  const bare = code.trim()
  if (bare === '' || notCodes.test(bare)) return []
  const from = system ?? sourceSystem?.trim().toLowerCase() ?? ''
  const name = from === icd10 || from === icd9 ? bare.replaceAll('.', '').toUpperCase() : bare.replaceAll('|', '%7C')
  return [`${bounded(from)}|${bounded(name)}`]
}

// Senders write classification codes with and without their dot.
const icd10 = 'http://hl7.org/fhir/sid/icd-10-cm'
const icd9 = 'http://hl7.org/fhir/sid/icd-9-cm'

/** Words as they are compared: compatibility forms folded, lower case, letters and digits only. */
export function plainWords(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}%+<>.]+/gu, ' ')
    .replace(/(?<!\d)\.|\.(?!\d)/g, ' ')
    .replace(/ +/g, ' ')
    .trim()
}

/**
 * Whether two concepts are one. Codes of the first deciding terminology that both use settle it; else any code in common;
 * else, where one of them has no codes, the words. Other words and other terminologies say nothing either way.
 */
export function sameConcept(one: ConceptKey, other: ConceptKey): Sameness {
  if (one.codes.length === 0 || other.codes.length === 0) {
    return one.words.some((text) => other.words.includes(text)) ? 'same' : 'unknown'
  }
  const [mine, theirs] = [bySystem(one), bySystem(other)]
  const decides = deciding.find((system) => mine.has(system) && theirs.has(system))
  if (decides !== undefined) {
    const their = theirs.get(decides) ?? []
    return mine.get(decides)?.some((code) => their.includes(code)) ? 'same' : 'different'
  }
  if (one.codes.some((code) => other.codes.includes(code))) return 'same'
  return [...mine.keys()].some((system) => theirs.has(system)) ? 'different' : 'unknown'
}

const taken = new WeakMap<ConceptKey, ReadonlyMap<string, readonly string[]>>()

/** The codes of a concept by their system, taken apart once: every concept is compared with many. */
function bySystem(concept: ConceptKey): ReadonlyMap<string, readonly string[]> {
  const known = taken.get(concept)
  if (known) return known
  const systems = new Map<string, string[]>()
  for (const code of concept.codes) {
    const system = code.slice(0, code.lastIndexOf('|'))
    systems.set(system, [...(systems.get(system) ?? []), code])
  }
  taken.set(concept, systems)
  return systems
}

/** Whether two lists name the same concepts, in any order; a list that is missing is an empty one. */
export function sameConcepts(one: readonly ConceptKey[], other: readonly ConceptKey[]): boolean {
  const within = (some: readonly ConceptKey[], all: readonly ConceptKey[]) =>
    some.every((concept) => all.some((each) => sameConcept(concept, each) === 'same'))
  return one.length === other.length && within(one, other) && within(other, one)
}
