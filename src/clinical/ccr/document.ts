import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { byName, type DocumentHead, note, type Reading } from '../reading.js'
import { actorName, demographicTypes, readPatients } from './actors.js'
import { type CcrScope, openCcr, remark, textAt } from './scope.js'
import {
  readAlert,
  readEncounter,
  readImmunization,
  readMedication,
  readProblem,
  readProcedure,
  readResults,
} from './sections.js'
import { readMoment } from './types.js'

const readers: Readonly<Record<string, (scope: CcrScope) => number>> = Object.assign(Object.create(null), {
  Problems: readProblem,
  Alerts: readAlert,
  Medications: readMedication,
  Immunizations: readImmunization,
  Results: (scope: CcrScope) => readResults(scope, 'result'),
  VitalSigns: (scope: CcrScope) => readResults(scope, 'vital-sign'),
  Procedures: readProcedure,
  Encounters: readEncounter,
})

/**
 * Reads a ContinuityOfCareRecord (ASTM E2369) into `reading`: the patient, then every data object of the body. An object
 * that no record item type stands for is an `unmapped-entry` diagnostic. Never throws for anything in the tree.
 */
export function readCcr(root: Place, reading: Reading): DocumentHead {
  const ccr = openCcr(root, reading)
  readPatients(ccr)
  const body = placeAt(root, 'Body')
  for (const section of body ? placesIn(body) : []) {
    const read = readers[section.node.local]
    for (const place of placesIn(section)) {
      const scope: CcrScope = { ccr, place, section: section.node.local }
      const before = reading.diagnostics.length
      if (read !== undefined) {
        if (read(scope) > 0 || reading.diagnostics.slice(before).some((one) => one.code === 'unmapped-entry')) continue
      }
      if (!isDemographic(place.node)) remark(scope, 'unmapped-entry', `no record item for ${place.node.local}`)
    }
    if (read === undefined && !known.has(section.node.local)) {
      note(reading, 'unknown-section', section.path, 'a section that ASTM E2369 does not have')
    }
  }
  return headOf(ccr.root.node, { ccr, place: root, section: '' })
}

const known = new Set([
  'Payers',
  'AdvanceDirectives',
  'Support',
  'FunctionalStatus',
  'FamilyHistory',
  'SocialHistory',
  'MedicalEquipment',
  'PlanOfCare',
  'HealthCareProviders',
])

/** Social history that the demographics item took over. */
function isDemographic(node: XmlNode): boolean {
  const type = textAt(child(node, 'Type'), 'Text')?.toLowerCase()
  return node.local === 'SocialHistoryElement' && type !== undefined && demographicTypes.includes(type)
}

function headOf(root: XmlNode, scope: CcrScope): DocumentHead {
  const when = readMoment(scope, child(root, 'DateTime'))
  const id = textAt(root, 'CCRDocumentObjectID')
  const title = textAt(child(child(root, 'Purpose'), 'Description'), 'Text')
  const authors: string[] = []
  for (const link of childrenOf(child(root, 'From'), 'ActorLink')) {
    const actor = scope.ccr.actors.get(textAt(link, 'ActorID') ?? '')
    const name = actor && actorName(actor.node)
    if (name !== undefined) authors.push(name)
  }
  return {
    ...(title === undefined ? {} : { title }),
    ...(when === undefined ? {} : { when }),
    ...(when?.value === undefined ? {} : { recordedAt: when.value }),
    authors: authors.map(byName),
    identifiers: id === undefined ? [] : [{ value: id }],
  }
}
