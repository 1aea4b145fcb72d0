import type { AdvanceDirective, Observation, ReferenceRange } from '../../../direct/clinical.js'
import type { Concept, Value } from '../../../direct/datatypes.js'
import { isImagingTest } from '../../../direct/smart-scopes.js'
import { hl7, loinc, snomed, usCore } from '../datatypes.js'
import {
  filled,
  kept,
  nullFlavorOf,
  readConcept,
  readConcepts,
  readDate,
  readIdentifiers,
  readMoment,
  readQuantity,
  readValue,
  wantedConcept,
} from './datatypes.js'
import type { Fields } from './fields.js'
import {
  active,
  cancelled,
  completed,
  made,
  mustBeOfPatient,
  nullified,
  type ReadItem,
  type Reading,
  readAgents,
  readNotes,
  readStatus,
  type Status,
  unknown,
} from './reading.js'

const statuses: Readonly<Record<string, Status>> = {
  final: completed,
  registered: active,
  preliminary: { folded: 'active', source: 'preliminary' },
  amended: { folded: 'completed', source: 'amended' },
  corrected: { folded: 'completed', source: 'corrected' },
  cancelled,
  unknown,
  'entered-in-error': nullified,
}

const kinds: Readonly<Record<string, Observation['type'] | 'advance-directive'>> = {
  [`${hl7}/observation-category|laboratory`]: 'result',
  [`${hl7}/observation-category|imaging`]: 'result',
  [`${hl7}/observation-category|vital-signs`]: 'vital-sign',
  [`${hl7}/observation-category|social-history`]: 'social-history',
  [`${hl7}/observation-category|survey`]: 'functional-status',
  [`${usCore.replace('StructureDefinition', 'CodeSystem')}/us-core-category|functional-status`]: 'functional-status',
  [`${loinc}|42348-3`]: 'advance-directive',
}

/** What kind of statement it is: its category says, and must. */
function kindOf({ fields, log }: Reading, test: Concept): Observation['type'] | 'advance-directive' | undefined {
  const codings = readConcepts(fields, 'category').flatMap((one) => one.codings)
  const found = codings.map(({ system, code }) => {
    const key = `${system}|${code}`
    return Object.hasOwn(kinds, key) ? kinds[key] : undefined
  })
  const only = new Set(found)
  const at = `${fields.path}.category`
  if (codings.length === 0)
    return log.error('required', at, 'Without a category it is not known what kind of item this is')
  if (only.size !== 1 || only.has(undefined))
    return log.error('not-supported', at, 'The record has no item of these categories')
  const imaging = codings.some(({ code }) => code === 'imaging')
  if (imaging !== (found[0] === 'result' && isImagingTest(test)))
    return log.error('not-supported', at, 'The code is of another category')
  return found[0]
}

/** A value, or why there is none; `notDone` where it was not measured at all. */
function readOutcome(fields: Fields): { readonly value: Value | undefined; readonly notDone: boolean } {
  const value = readValue(fields, 'value')
  const reason = readConcept(fields.object('dataAbsentReason'))
  if (!reason) return { value, notDone: false }
  const code = reason.codings[0]?.code ?? ''
  if (value) fields.log.error('invariant', `${fields.path}.dataAbsentReason`, 'There is a value (obs-6)')
  if (code === 'not-performed') return { value: undefined, notDone: true }
  return { value: { kind: 'absent', nullFlavor: nullFlavorOf(code) }, notDone: false }
}

function isAbsence(value: Value | undefined): boolean {
  return (
    value?.kind === 'concept' &&
    value.concept.codings.some(({ system, code }) => system === snomed && code === '2667000')
  )
}

function readRanges(fields: Fields): ReferenceRange[] {
  return fields.list('referenceRange').map((one) =>
    kept<ReferenceRange>({
      low: readQuantity(one.object('low')),
      high: readQuantity(one.object('high')),
      interpretation: readConcept(one.object('type')),
      text: one.text('text'),
    }),
  )
}

/** A blood pressure is two items in a record, as documents have it; everything else is one. */
export function readObservation(reading: Reading): readonly ReadItem[] {
  const { fields, log, resolve } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', statuses)
  const test = wantedConcept(fields, 'code')
  const type = kindOf(reading, test)
  const { value, notDone } = readOutcome(fields)
  const absence = type !== 'result' && type !== 'vital-sign' && isAbsence(value)
  const specimen = fields.object('specimen')
  const named = specimen?.text('reference')
  const sample = named === undefined ? undefined : resolve(named)
  if (specimen && !sample) log.error('not-found', specimen.path, 'It names no specimen that can be found')
  const site = readConcept(fields.object('bodySite'))
  const parts = fields.list('component')
  const shared = {
    negated: notDone || absence,
    status: notDone && known?.code === 'cancelled' ? undefined : known?.status,
    when: readMoment(fields, 'effective'),
    performers: filled(readAgents(reading, fields.list('performer'))),
    notes: readNotes(fields),
    recordedAt: readDate(fields, 'issued'),
  }
  const told = absence ? worded(value) : value
  if (type === 'advance-directive') {
    const content = kept<AdvanceDirective>({
      ...{ type: 'advance-directive', directive: test, value: told, agents: [], documents: readDocuments(reading) },
      verifiers: shared.performers ?? [],
    })
    return [made(reading, { ...shared, performers: undefined, content })]
  }
  const content = (code: Concept, said: Value | undefined, more: Partial<Observation>) =>
    kept<Observation>({
      type: type ?? 'result',
      test: code,
      value: said,
      interpretations: [],
      referenceRanges: [],
      method: readConcept(fields.object('method')),
      specimen: sample && readConcept(sample.object('type')),
      bodySites: site && [site],
      ...more,
    })
  if (type === 'vital-sign' && isPressure(test, parts) && !value && !shared.negated) {
    const panel = { entry: reading.key, identifiers: [] }
    const [first, second] = parts.map((one) => {
      const outcome = readOutcome(one)
      const more = { panel, interpretations: readConcepts(one, 'interpretation'), referenceRanges: readRanges(one) }
      return content(wantedConcept(one, 'code'), outcome.value, more)
    })
    if (first && second) {
      const ordered = first.test.codings.some(({ code }) => code === '8480-6') ? [first, second] : [second, first]
      const { notes, ...both } = shared
      return ordered.map((one, at) =>
        made(reading, { ...both, ...(at === 0 ? { notes } : { identifiers: [] }), content: one }),
      )
    }
  }
  const components = parts.map((one) =>
    kept<{ test: Concept; value?: Value }>({ test: wantedConcept(one, 'code'), value: readOutcome(one).value }),
  )
  const more = {
    interpretations: readConcepts(fields, 'interpretation'),
    referenceRanges: readRanges(fields),
    ...(components.length > 0 && { components }),
  }
  return [made(reading, { ...shared, content: content(test, told, more) })]
}

function isPressure(test: Concept, parts: readonly Fields[]): boolean {
  return parts.length === 2 && test.codings.some(({ system, code }) => system === loinc && code === '85354-9')
}

/** What is denied, in words: our own writer says `Absent: …`. */
function worded(value: Value | undefined): Value | undefined {
  const text = value?.kind === 'concept' ? value.concept.text?.replace(/^Absent(: )?/, '') : undefined
  return text === undefined || text === '' ? undefined : { kind: 'text', text }
}

/** Papers of an advance directive, contained. */
function readDocuments({ fields, log, resolve }: Reading): AdvanceDirective['documents'] {
  return fields.list('derivedFrom').flatMap((one) => {
    const target = resolve(one.text('reference') ?? '')
    if (target?.text('resourceType') !== 'DocumentReference')
      return log.error('not-found', one.path, 'It names no document that can be found') ?? []
    target.skip('status')
    const attachment = target.list('content')[0]?.object('attachment')
    attachment?.skip('title')
    return kept<AdvanceDirective['documents'][number]>({
      identifiers: readIdentifiers(target),
      mediaType: attachment?.text('contentType'),
      reference: attachment?.text('url'),
    })
  })
}
