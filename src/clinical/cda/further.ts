import { child, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { readCareTeam } from './care-team.js'
import { given, materialOf } from './datatypes.js'
import { readDevice } from './devices.js'
import { readDirective } from './directives.js'
import { readFamilyHistory } from './family.js'
import { readFinding, readFindings } from './findings.js'
import { readFunctional } from './functional.js'
import { readCoverage } from './insurance.js'
import { isReferenceOnly, type ReadStatement } from './nested.js'
import { readNote } from './notes.js'
import { readGoal, readPlan, readRisk, readWrapper } from './plans.js'
import { remark, type Scope } from './scope.js'
import { readSocial } from './social.js'
import { intentOf } from './statement.js'
import { isA, templates } from './templates.js'

/** What a statement is read as, beside the kinds of a problem list and a medication list. */
export type FurtherKind =
  | 'family'
  | 'social'
  | 'functional'
  | 'outcome'
  | 'insurance'
  | 'directive'
  | 'device'
  | 'goal'
  | 'plan'
  | 'risk'
  | 'wrapper'
  | 'care-team'
  | 'note'
  | 'aside'

/** Templates and what they make of a statement, most telling first. */
const kindOfTemplate: readonly (readonly [FurtherKind, readonly string[]])[] = [
  ['aside', templates.entryReference],
  ['note', templates.note],
  ['care-team', templates.careTeam],
  ['family', templates.familyHistory],
  ['insurance', [...templates.coverage, ...templates.policy]],
  ['directive', templates.advanceDirective],
  ['device', [...templates.nonMedicinalSupply, ...templates.equipmentOrganizer]],
  ['risk', templates.riskConcern],
  ['wrapper', templates.intervention],
  ['social', templates.social],
  ['functional', templates.functional],
  // An indication that stands alone is a finding; that the patient has it now is not said.
  ['outcome', [...templates.outcome, ...templates.indication]],
  ['plan', [...templates.plan, ...templates.instruction]],
  ['note', templates.comment],
]

/** The kind that a statement's own templates and mood tell; undefined where others should look. */
export function furtherByTemplate(scope: Scope): FurtherKind | undefined {
  const { node } = scope.place
  if (node.local === 'observation' && intentOf(node) === 'goal') return 'goal'
  const section = scope.section?.kind
  // CCD R1 and C-CDA R1.1 put functional findings into the shape of problems and results.
  if (section === 'functional' && findingShaped(node)) return 'functional'
  if (isA(node, templates.assessment)) return section === 'social' ? 'social' : 'functional'
  const kind = kindOfTemplate.find(([, roots]) => isA(node, roots))?.[0]
  if (kind === undefined && isA(node, templates.wound) && !isA(node, templates.problemObservation)) return 'functional'
  if (kind === undefined && node.local === 'supply' && isA(node, templates.plannedSupply)) return supplied(scope)
  return kind
}

function findingShaped(node: XmlNode): boolean {
  const shaped = [templates.problemConcern, templates.problemObservation, templates.resultOrganizer]
  const others = [templates.healthConcern, templates.riskConcern]
  if (others.some((roots) => isA(node, roots))) return false
  return [...shaped, templates.resultObservation, templates.wound].some((roots) => isA(node, roots))
}

/** The kind that the section makes of a statement without a telling template. */
export function furtherBySection(scope: Scope): FurtherKind | undefined {
  const { local } = scope.place.node
  const finding = local === 'observation' || local === 'organizer'
  switch (scope.section?.kind) {
    case 'family':
      return finding || local === 'act' ? 'family' : undefined
    case 'social':
      return finding ? 'social' : undefined
    case 'functional':
      return finding || local === 'act' ? 'functional' : undefined
    case 'insurance':
      return local === 'act' ? 'insurance' : undefined
    case 'directives':
      return finding ? 'directive' : undefined
    case 'devices':
      return local === 'supply' || local === 'organizer' ? 'device' : undefined
    case 'outcomes':
      return finding ? 'outcome' : undefined
    case 'interventions':
      return local === 'act' ? 'wrapper' : undefined
    case 'care-team':
      return local === 'organizer' || local === 'act' ? 'care-team' : undefined
    case 'goals':
    case 'plan':
      // What is written there as having happened is no finding: at most it is part of the plan.
      return local === 'act' || (local === 'observation' && intentOf(scope.place.node) === 'performed')
        ? 'plan'
        : undefined
    default:
      return undefined
  }
}

/** The kind that nothing but the element tells, in sections of which nothing else is known. */
export function furtherByShape(scope: Scope): FurtherKind | undefined {
  const { node } = scope.place
  switch (node.local) {
    case 'supply':
      return supplied(scope)
    case 'organizer':
      return 'outcome'
    case 'observation':
      return intentOf(node) === 'performed' ? 'outcome' : undefined
    case 'act':
      if (isReferenceOnly(node) || isImageList(node)) return 'aside'
      return intentOf(node) === 'performed' ? 'wrapper' : 'plan'
    case 'observationMedia':
    case 'regionOfInterest':
      return 'aside'
    default:
      return undefined
  }
}

/** A supply of drugs is left to medications: undefined. */
function supplied(scope: Scope): FurtherKind | undefined {
  const { node } = scope.place
  const products = placesIn(scope.place, 'participant').some(({ node: one }) =>
    ['PRD', 'DEV'].includes(given(one, 'typeCode') ?? ''),
  )
  if (!products && materialOf(child(node, 'product')) !== undefined) return undefined
  return 'device'
}

/** Studies, series and images of a DICOM object catalog: they point into an archive of images (DICOM PS3.20). */
function isImageList(node: XmlNode): boolean {
  return isA(node, ['2.16.840.1.113883.10.20.6.2.6', '2.16.840.1.113883.10.20.22.4.63'])
}

/** Reads a statement as what it was found to be; answers how many items it made. */
export function readFurther(kind: FurtherKind, scope: Scope, nested: ReadStatement): number {
  const { local } = scope.place.node
  switch (kind) {
    case 'family':
      return readFamilyHistory(scope)
    case 'social':
      return readSocial(scope, nested)
    case 'functional':
      return readFunctional(scope, nested)
    case 'outcome':
      return local === 'organizer' ? readFindings(scope, 'result', nested) : readFinding(scope, 'result', nested)
    case 'insurance':
      return readCoverage(scope)
    case 'directive':
      return readDirective(scope)
    case 'device':
      return readDevice(scope, nested)
    case 'goal':
      return readGoal(scope, nested)
    case 'plan':
      return readPlan(scope, nested)
    case 'risk':
      return readRisk(scope, nested)
    case 'wrapper':
      return readWrapper(scope, nested)
    case 'care-team':
      return readCareTeam(scope)
    case 'note':
      return readNote(scope)
    case 'aside':
      remark(scope, 'unmapped-entry', asideReason(scope.place.node))
      return 0
  }
}

function asideReason(node: XmlNode): string {
  if (isReferenceOnly(node)) return 'it only refers to another entry'
  return node.local === 'act' ? 'a list of images, not a statement' : 'a picture or a part of one'
}
