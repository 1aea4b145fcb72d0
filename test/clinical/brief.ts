import type { RecordItem } from '../../src/direct/clinical.js'
import type { Concept, PartialDate, When } from '../../src/direct/datatypes.js'
import { subjectOf } from '../../src/direct/subject.js'

/** Items as lines, so that what was expected by hand and what was read can be held side by side. */

const systems: Readonly<Record<string, string>> = {
  'http://snomed.info/sct': 'sct',
  'http://loinc.org': 'loinc',
  'http://www.nlm.nih.gov/research/umls/rxnorm': 'rxnorm',
  'http://hl7.org/fhir/sid/icd-10-cm': 'icd10cm',
  'http://hl7.org/fhir/sid/icd-9-cm': 'icd9cm',
  'http://hl7.org/fhir/sid/cvx': 'cvx',
  'http://hl7.org/fhir/sid/ndc': 'ndc',
  'http://www.ama-assn.org/go/cpt': 'cpt',
}

/** `text {system|code system|code}`, with the null flavor where there is one. */
export function concept(one: Concept | undefined): string {
  if (one === undefined) return ''
  const codes = one.codings.map(({ system, code }) => `${systems[system ?? ''] ?? system}|${code}`)
  return `${one.text ?? ''} {${codes.join(' ')}}${one.nullFlavor === undefined ? '' : ` ${one.nullFlavor}`}`.trim()
}

export function date(one: PartialDate | undefined): string {
  if (one === undefined) return ''
  return one.offsetMinutes === null ? one.text : `${one.text}@${one.offsetMinutes}`
}

/** A moment as itself, a period as `low..high`, an end that nobody knows as `?`. */
export function when(one: When | undefined): string {
  if (one === undefined) return ''
  if (one.value) return date(one.value)
  if (one.low || one.high || one.highUnknown) return `${date(one.low)}..${one.highUnknown ? '?' : date(one.high)}`
  return `"${one.text}"`
}

/** `type | subject | when | status | flags`. */
export function line(item: RecordItem): string {
  const flags = [
    item.negated ? 'negated' : '',
    item.nullFlavor ?? '',
    item.intent === 'performed' ? '' : (item.intent ?? ''),
  ]
  return [
    item.content.type,
    concept(subjectOf(item.content)),
    when(item.when),
    item.status?.folded ?? '',
    flags.filter(Boolean).join(' '),
  ].join(' | ')
}

/** Everything an item says but the ids that hang on the bytes of the document. */
export function meaning(item: RecordItem): unknown {
  const { id: _, provenance, ...rest } = item
  const { document: __, ...from } = provenance
  return { ...rest, provenance: from }
}
