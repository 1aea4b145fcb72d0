import type { RecordItem } from '../../../direct/clinical.js'
import { type Content, documentBytes, element, type Markup } from '../../../xml/write.js'
import { writeLimits } from '../limits.js'
import { type Room, type Written, within } from '../room.js'
import type { Selected } from '../selection.js'
import { leftOut, nothingKnown, selectionNote } from '../sentences.js'
import { wordsOf } from '../words.js'
import { directiveEntry, familyEntry, insuranceEntry } from './background.js'
import { careTeamEntry, deviceEntry, goalEntry, noteEntry, planEntry } from './care.js'
import { allergyEntry, problemEntry } from './conditions.js'
import { loinc, template } from './datatypes.js'
import { encounterEntry, procedureEntry } from './events.js'
import { type Head, header } from './header.js'
import { immunizationEntry, medicationEntry } from './medications.js'
import { tables } from './narrative.js'
import {
  byPanel,
  functionalEntry,
  type Observed,
  observation,
  patientObservation,
  plannedObservation,
  resultOrganizer,
  socialEntry,
  vitalsOrganizer,
} from './observations.js'
import { hasEntry, type SectionForm, type SectionKey, sectionForms, sectionOf } from './sections.js'
import { confidentialityOf, type Entry } from './statement.js'

/**
 * Writes items as a Continuity of Care Document (C-CDA R2.1, 22.1.2:2015-08-01). Every entry keeps its codes, dates and
 * values as its source wrote them, its authors and its labels; a section that was not chosen says so, and is never empty
 * for want of information. Given up as `too-large` while it is written, once it outgrows `mostBytes`.
 */
export function writeCcd(
  selected: Selected,
  head: Omit<Head, 'patient' | 'whole'>,
  patient: RecordItem | undefined,
  mostBytes: number = writeLimits.bytes,
): Written {
  const { items } = selected
  const room: Room = { left: mostBytes }
  const level = confidentialityOf(items)
  const entries = items.map((item, at): Entry => ({ item, ref: `i${at + 1}`, level }))
  const nested = nestedProblems(entries)
  const homes = new Map<SectionKey, Entry[]>()
  for (const entry of entries) {
    const key = nested.has(entry) ? 'encounters' : sectionOf(entry.item)
    if (key === undefined) continue
    const home = homes.get(key)
    if (home === undefined) homes.set(key, [entry])
    else home.push(entry)
  }
  const whole = patient !== undefined && items.includes(patient)
  const sections = sectionForms.map((form) => {
    const own = homes.get(form.key) ?? []
    const extra = form.key === 'social' && whole && patient ? ofPatient(patient, items) : []
    return section(form, { own, extra, nested, selected, level, room })
  })
  if (room.left < 0) return { kind: 'too-large' }
  const root = element(
    'ClinicalDocument',
    {
      xmlns: 'urn:hl7-org:v3',
      'xmlns:sdtc': 'urn:hl7-org:sdtc',
      'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
    },
    header({ ...head, patient, whole }, items),
    element('component', {}, element('structuredBody', {}, sections)),
  )
  const bytes = documentBytes(root)
  if (bytes.length > mostBytes) return { kind: 'too-large' }
  return {
    kind: 'written',
    bytes,
    inWords: items.filter((item) => sectionOf(item) !== undefined && !hasEntry(item)).map(({ id }) => id),
    notWritten: items.filter(({ content }) => content.type === 'document').map(({ id }) => id),
  }
}

/** Problems that their source told within an encounter which is written too, by that encounter. */
function nestedProblems(entries: readonly Entry[]): ReadonlyMap<Entry, Entry> {
  const encounters = new Map<string, Entry>()
  for (const entry of entries) {
    const { content, provenance } = entry.item
    if (content.type === 'encounter') encounters.set(`${provenance.document}\n${provenance.entry}`, entry)
  }
  const nested = new Map<Entry, Entry>()
  for (const entry of entries) {
    const { content, provenance } = entry.item
    if (content.type !== 'problem' || !hasEntry(entry.item)) continue
    for (let path = provenance.entry; path.includes('/'); ) {
      path = path.slice(0, path.lastIndexOf('/'))
      const encounter = encounters.get(`${provenance.document}\n${path}`)
      if (encounter !== undefined) {
        nested.set(entry, encounter)
        break
      }
    }
  }
  return nested
}

interface Body {
  readonly own: readonly Entry[]
  readonly extra: readonly Markup[]
  readonly nested: ReadonlyMap<Entry, Entry>
  readonly selected: Selected
  /** Confidentiality of the document. */
  readonly level: string
  readonly room: Room
}

function section(form: SectionForm, { own, extra, nested, selected, level, room }: Body): Content {
  const empty = own.length === 0 && extra.length === 0
  const left =
    form.types.some((type) => !selected.asked.has(type)) || form.types.some((type) => selected.partly.has(type))
  const nullFlavor = !empty ? undefined : left ? 'MSK' : 'NI'
  // What nobody chose to leave out and a document need not have is no section.
  if (nullFlavor === 'NI' && !form.required) return undefined
  const confidentiality = confidentialityOf(own.map(({ item }) => item))
  return element(
    'component',
    {},
    element(
      'section',
      { nullFlavor },
      form.templates,
      element('code', { code: form.code, codeSystem: loinc, codeSystemName: 'LOINC', displayName: form.display }),
      element('title', {}, form.title),
      element(
        'text',
        {},
        nullFlavor === 'MSK' ? leftOut : nullFlavor === 'NI' ? nothingKnown : undefined,
        empty || selected.whole ? undefined : element('paragraph', {}, selectionNote),
        empty ? undefined : tables(own, room),
        extra.length > 0
          ? element('paragraph', {}, 'Birth sex and gender identity, as the patient’s header has them.')
          : undefined,
      ),
      confidentiality === level || empty
        ? undefined
        : element('confidentialityCode', { code: confidentiality, codeSystem: '2.16.840.1.113883.5.25' }),
      [
        ...entriesOf(
          form.key,
          own.filter(({ item }) => hasEntry(item)),
          nested,
          room,
        ),
        ...extra,
      ].map((statement) => element('entry', { typeCode: 'DRIV' }, statement)),
    ),
  )
}

/** Birth sex and gender identity, unless an item of its own tells them. */
function ofPatient(patient: RecordItem, items: readonly RecordItem[]): readonly Markup[] {
  if (patient.content.type !== 'demographics') return []
  const { birthSex, genderIdentity } = patient.content
  const told = new Set(
    items.flatMap(({ content }) =>
      content.type === 'social-history' ? content.test.codings.map(({ code }) => code) : [],
    ),
  )
  const found: Markup[] = []
  if (birthSex && wordsOf(birthSex) !== '' && !told.has('76689-9'))
    found.push(patientObservation(patient, '76689-9', 'Sex assigned at birth', birthSex))
  if (genderIdentity && wordsOf(genderIdentity) !== '' && !told.has('76691-5'))
    found.push(patientObservation(patient, '76691-5', 'Gender identity', genderIdentity))
  return found
}

/** The entries of a section, observations of one battery in one organizer. */
function entriesOf(
  key: SectionKey,
  own: readonly Entry[],
  nested: ReadonlyMap<Entry, Entry>,
  room: Room,
): readonly Markup[] {
  if (key === 'results') return within(room, byPanel(observed(own)), resultOrganizer)
  if (key === 'vital-signs') return within(room, byPanel(observed(own)), vitalsOrganizer)
  if (key === 'social') return within(room, observed(own), socialEntry)
  if (key === 'functional' || key === 'mental') {
    return within(room, byPanel(observed(own)), (group) => functionalEntry(group, key === 'mental'))
  }
  const inside = new Map<Entry, Entry[]>()
  for (const entry of own) {
    const around = nested.get(entry)
    if (around !== undefined) inside.set(around, [...(inside.get(around) ?? []), entry])
  }
  return within(
    room,
    own.filter((entry) => !nested.has(entry)),
    (entry) => entryOf(entry, key === 'plan', inside.get(entry) ?? []),
  )
}

function observed(own: readonly Entry[]): readonly Observed[] {
  return own.flatMap((entry) => {
    const { content } = entry.item
    switch (content.type) {
      case 'result':
      case 'vital-sign':
      case 'social-history':
      case 'functional-status':
        return [{ entry, observation: content }]
      default:
        return []
    }
  })
}

function entryOf(entry: Entry, planned: boolean, inside: readonly Entry[]): Markup | undefined {
  const { content, intent } = entry.item
  switch (content.type) {
    case 'allergy':
      return allergyEntry(entry, content)
    case 'problem':
      return problemEntry(entry, content)
    case 'medication':
      return medicationEntry(entry, content, planned)
    case 'immunization':
      return immunizationEntry(entry, content, planned)
    case 'result':
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
      return intent === 'goal'
        ? observation({ entry, observation: content }, template('22.4.121'))
        : plannedObservation({ entry, observation: content })
    case 'procedure':
      return procedureEntry(entry, content, planned)
    case 'encounter':
      return encounterEntry(entry, content, inside, planned)
    case 'family-history':
      return familyEntry(entry, content)
    case 'advance-directive':
      return directiveEntry(entry, content)
    case 'insurance':
      return insuranceEntry(entry, content)
    case 'device':
      return deviceEntry(entry, content)
    case 'goal':
      return goalEntry(entry, content)
    case 'plan':
      return planEntry(entry, content)
    case 'care-team':
      return careTeamEntry(entry, content)
    case 'note':
      return noteEntry(entry, content)
    case 'demographics':
    case 'document':
      return undefined
  }
}
