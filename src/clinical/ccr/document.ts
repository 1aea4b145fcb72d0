import type { Note } from '../../direct/clinical.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { type DocumentHead, note, type Reading } from '../reading.js'
import { readAgents } from './actors.js'
import { readAlert } from './alerts.js'
import { readTeam } from './care-team.js'
import { readEquipment } from './devices.js'
import { readDirective } from './directives.js'
import { readEncounter } from './encounters.js'
import { readFamily, type Told } from './family.js'
import { readImmunization } from './immunizations.js'
import { commentWords } from './links.js'
import { readMedication } from './medications.js'
import { readMoment } from './moments.js'
import { emit } from './object.js'
import { readPatients, traitOf } from './patient.js'
import { readPayer } from './payers.js'
import { readPlan } from './plans.js'
import { readProblem } from './problems.js'
import { readProcedure } from './procedures.js'
import { readResult } from './results.js'
import { type Ccr, type CcrScope, openCcr, textAt } from './scope.js'
import { readFunction, readSocial } from './social.js'
import { readCode, saying, wordsOf } from './types.js'

/** Reads one data object into items and answers their ids. */
type ObjectReader = (scope: CcrScope) => readonly string[]

/** Reads the objects of a section together and answers what became of each. */
type SectionReader = (section: Place, base: Omit<CcrScope, 'place'>) => readonly Told[]

const objectReaders: Readonly<Record<string, ObjectReader>> = Object.assign(Object.create(null), {
  Payers: readPayer,
  AdvanceDirectives: readDirective,
  FunctionalStatus: readFunction,
  Problems: readProblem,
  SocialHistory: readSocial,
  Alerts: readAlert,
  Medications: readMedication,
  MedicalEquipment: readEquipment,
  Immunizations: readImmunization,
  VitalSigns: (scope: CcrScope) => readResult(scope, 'vital-sign'),
  Results: (scope: CcrScope) => readResult(scope, 'result'),
  Procedures: readProcedure,
  Encounters: readEncounter,
  PlanOfCare: readPlan,
})

const sectionReaders: Readonly<Record<string, SectionReader>> = Object.assign(Object.create(null), {
  Support: (section: Place, base: Omit<CcrScope, 'place'>) => readTeam(section, base, 'Support'),
  FamilyHistory: readFamily,
  HealthCareProviders: (section: Place, base: Omit<CcrScope, 'place'>) =>
    readTeam(section, base, 'Health care providers'),
})

/** Children of a section that are about the section and are no data objects (ASTM E2369 SLRCGroup). */
const aboutSection = new Set([
  'Source',
  'InternalCCRLink',
  'ReferenceID',
  'CommentID',
  'Comment',
  'Comments',
  'Signature',
])

/**
 * Reads a ContinuityOfCareRecord (ASTM E2369) into `reading`: the patient, every data object of the body, and comments that stand
 * with none of them. What became of each object is in `reading.entries`; one that no item stands for is an `unmapped-entry`
 * diagnostic as well. Never throws for anything in the tree.
 */
export function readCcr(root: Place, reading: Reading): DocumentHead {
  const ccr = openCcr(root, reading)
  const head = headOf(root.node, { ccr, place: root, section: '' })
  ccr.senders.push(...head.authors)
  readPatients(ccr)
  const body = placeAt(root, 'Body')
  for (const section of body === undefined ? [] : placesIn(body)) {
    readSection(section, { ccr, section: section.node.local })
  }
  readOrders(ccr)
  readComments(ccr)
  return head
}

function readSection(section: Place, base: Omit<CcrScope, 'place'>): void {
  const { reading } = base.ccr
  const together = sectionReaders[section.node.local]
  if (together !== undefined) {
    const told = together(section, base)
    for (const one of told) conclude(base.ccr, one)
    const places = new Set(told.map(({ place }) => place.path))
    for (const place of objectsIn(section)) if (!places.has(place.path)) conclude(base.ccr, { place, items: [] })
    return
  }
  const read = objectReaders[section.node.local]
  if (read === undefined) note(reading, 'unknown-section', section.path, 'a section that ASTM E2369 does not have')
  for (const place of objectsIn(section)) {
    const scope: CcrScope = { ...base, place }
    const [patient] = base.ccr.patientItems
    if (base.section === 'SocialHistory' && patient !== undefined && traitOf(scope) !== undefined) {
      conclude(base.ccr, { place, items: [patient], merged: true })
    } else conclude(base.ccr, { place, items: read === undefined ? [] : read(scope) })
  }
}

function objectsIn(section: Place): Place[] {
  return placesIn(section).filter(({ node }) => !aboutSection.has(node.local))
}

/** Says what became of an object: nothing ends in silence. */
function conclude({ reading }: Ccr, { place, items, merged }: Told): void {
  const [first] = items
  if (first === undefined) {
    const reason = reading.full ? 'the document has too many items' : 'nothing that an item could be about'
    reading.entries.push({ entry: place.path, kind: 'unmapped', reason })
    note(reading, 'unmapped-entry', place.path, reason)
  } else if (merged) reading.entries.push({ entry: place.path, kind: 'merged', into: first })
  else reading.entries.push({ entry: place.path, kind: 'items', items: [...items] })
}

/** What the document asks for: orders in its Purpose are plans. */
function readOrders(ccr: Ccr): void {
  for (const purpose of placesIn(ccr.root, 'Purpose')) {
    if (child(purpose.node, 'OrderRequest') === undefined) continue
    const bare: Place = {
      path: purpose.path,
      node: { ...purpose.node, children: childrenOf(purpose.node, 'OrderRequest') },
    }
    const items = readPlan({ ccr, place: bare, section: 'Purpose' })
    if (items.length > 0) conclude(ccr, { place: purpose, items })
  }
}

/** Comments that no object names: words about the whole record. */
function readComments(ccr: Ccr): void {
  for (const [id, place] of ccr.comments) {
    if (ccr.usedComments.has(id)) continue
    const scope: CcrScope = { ccr, place, section: 'Comments' }
    const text = commentWords(scope, place.node)
    if (text === undefined) continue
    const kind = readCode(scope, child(place.node, 'Type'))
    const when = readMoment(scope, child(place.node, 'DateTime'))
    const content: Note = { type: 'note', kind: saying(kind) ? kind : { codings: [], text: 'Comment' }, text }
    emit(scope, { content, when, identifiers: [{ value: id }], attributed: true })
  }
}

function headOf(root: XmlNode, scope: CcrScope): DocumentHead {
  const when = readMoment(scope, child(root, 'DateTime'))
  const id = textAt(root, 'CCRDocumentObjectID')
  const purposes = childrenOf(root, 'Purpose').flatMap((one) => childrenOf(one, 'Description'))
  const title = purposes.map((one) => wordsOf(readCode(scope, one))).filter((one) => one !== undefined)
  return {
    ...(title.length === 0 ? {} : { title: title.join('; ') }),
    ...(when === undefined ? {} : { when }),
    ...(when?.value === undefined ? {} : { recordedAt: when.value }),
    authors: readAgents(scope, childrenOf(child(root, 'From'), 'ActorLink')),
    identifiers: id === undefined ? [] : [{ value: id }],
  }
}
