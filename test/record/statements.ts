import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Coding, Concept, PartialDate } from '../../src/direct/datatypes.js'
import type { Decision, Deed } from '../../src/record/reconcile/decision.js'
import { type Fact, factOf } from '../../src/record/reconcile/fact.js'
import type { DocumentStanding } from '../../src/record/reconcile/reconcile.js'
import { dayOf } from '../../src/record/rows.js'

const systems = {
  snomed: 'http://snomed.info/sct',
  rxnorm: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  icd10: 'http://hl7.org/fhir/sid/icd-10-cm',
  loinc: 'http://loinc.org',
  cvx: 'http://hl7.org/fhir/sid/cvx',
  local: 'urn:oid:1.2.3',
}

/** `snomed:386661006` as a coding. */
export function coding(text: string): Coding {
  const [system = 'local', code = ''] = text.split(':')
  return { system: systems[system as keyof typeof systems], code }
}

/** A concept of codings, or of words where there is no colon. */
export function concept(...codes: readonly string[]): Concept {
  const words = codes.find((code) => !code.includes(':'))
  const codings = codes.filter((code) => code.includes(':')).map(coding)
  return words === undefined ? { codings } : { codings, text: words }
}

export function date(text: string): PartialDate {
  const precision = text.length === 4 ? 'year' : text.length === 7 ? 'month' : text.length === 10 ? 'day' : 'minute'
  return { text, precision, offsetMinutes: null, source: text }
}

let count = 0

/** A statement of a document of its own, unless one is given. */
export function statement(
  content: ItemContent,
  given: Partial<RecordItem> & { readonly document?: string } = {},
): RecordItem {
  count++
  const { document = `document-${count}`, ...more } = given
  return {
    id: `s${String(count).padStart(4, '0')}`,
    content,
    negated: false,
    identifiers: [],
    provenance: { document, entry: `/entry[${count}]`, authors: [] },
    ...more,
  }
}

export const allergy = (substance: Concept): ItemContent => ({ type: 'allergy', substance, reactions: [] })
export const problem = (what: Concept): ItemContent => ({ type: 'problem', problem: what })
export const medication = (product: Concept, dose?: string): ItemContent => ({
  ...{ type: 'medication', product, timings: [], asNeeded: false, indications: [] },
  ...(dose !== undefined && { dose: { value: dose } }),
})
export const result = (test: Concept, value: string, unit = 'mg/dL'): ItemContent => ({
  ...{ type: 'result', test, interpretations: [], referenceRanges: [] },
  value: { kind: 'quantity', quantity: { value, unit } },
})
export const immunization = (vaccine: Concept): ItemContent => ({ type: 'immunization', vaccine })

/** Facts as if each statement had come in the order given. */
export function facts(items: readonly RecordItem[], auto = false): readonly Fact[] {
  return items.map((item, index) => factOf(item, dayOf(item), index + 1, auto))
}

export const allLive: DocumentStanding = {
  held: new Set(),
  rejected: new Set(),
  superseded: new Map(),
  released: new Map(),
}

/** A decision made after everything came; the n-th of several. */
export function decision(deed: Deed, n = 1): Decision {
  return { id: `${1000 + n}.00000`, seq: 1000 + n, at: 0, by: 'test', deed }
}
