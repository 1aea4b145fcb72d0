import { child } from '../../xml/node.js'
import { type Place, placesIn } from '../place.js'
import { itemId, record } from '../reading.js'
import { idKeys } from './agents.js'
import { readAllergy } from './allergies.js'
import { conduct } from './authors.js'
import { given, isStatement, readIdentifiers } from './datatypes.js'
import { readDeath } from './death.js'
import { readEncounter } from './encounters.js'
import { furtherBySection, furtherByShape, furtherByTemplate, readFurther } from './further.js'
import { readImmunization } from './immunizations.js'
import { isSecurityLabel } from './labels.js'
import { readMedication } from './medications.js'
import { isReferenceOnly, nestedIn } from './nested.js'
import { readAttachedNotes } from './notes.js'
import { readWrapper } from './plans.js'
import { readProblem } from './problems.js'
import { readProcedure } from './procedures.js'
import { readBattery, readObservation } from './results.js'
import { at, inside, mergeInto, remark, type Scope } from './scope.js'
import { intentOf, referredKeys } from './statement.js'
import { isA, templates } from './templates.js'

/** What one statement is read as. */
type Kind =
  | 'allergy'
  | 'problem'
  | 'medication'
  | 'medication-act'
  | 'immunization'
  | 'result'
  | 'vital-sign'
  | 'procedure'
  | 'encounter'

/**
 * Reads one `entry` and records what became of it: items, more of another item, or nothing with a reason, which is an
 * `unmapped-entry` diagnostic too.
 */
export function readEntry(scope: Scope): void {
  const { reading } = scope.cda
  const itemsBefore = reading.items.length
  const toldBefore = reading.diagnostics.length
  scope.cda.mergedInto = undefined
  scope.cda.localTimeTold = false
  readStatement(scope)
  const entry = scope.place.path
  const items = reading.items.slice(itemsBefore).map((item) => item.id)
  const into = scope.cda.mergedInto
  if (items.length > 0) record(reading, { entry, kind: 'items', items })
  else if (into !== undefined) record(reading, { entry, kind: 'merged', into })
  else {
    const told = reading.diagnostics.slice(toldBefore).find((one) => one.code === 'unmapped-entry')
    const reason = told?.detail ?? (reading.full ? 'the document has too many items' : 'not read')
    const keys = namedKeys(scope)
    if (keys.length > 0) scope.cda.referring.set(reading.entries.length, keys)
    record(reading, { entry, kind: 'unmapped', reason })
  }
}

/** Keys of the statements that an entry names by id, being nothing but a reference or an act around references. */
function namedKeys(scope: Scope): string[] {
  const node = placesIn(scope.place).find((one) => isStatement(one.node))?.node
  if (node === undefined) return []
  return isReferenceOnly(node) ? idKeys(readIdentifiers(node)) : referredKeys(node)
}

/** A statement's own templates say what it is, before the section it stands in does. */
function readStatement(scope: Scope): void {
  const { reading } = scope.cda
  const place = placesIn(scope.place).find((one) => isStatement(one.node))
  if (place === undefined) {
    remark(scope, 'unmapped-entry', 'no clinical statement')
    return
  }
  const inner = at(inside(scope, scope.place), place)
  const statement = { ...inner, authorship: conduct(inner, place) }
  const before = reading.diagnostics.length
  if (isSecurityLabel(place.node)) {
    // The section, or the document, has taken it over already.
    mergeInto(scope, itemId(reading.document, '', 'document'))
    return
  }
  const notes = isA(place.node, templates.note) ? 0 : readAttachedNotes(statement)
  const made = readOneStatement(statement) + notes
  if (made > 0 || scope.cda.mergedInto !== undefined) return
  const explained = reading.diagnostics.slice(before).some((one) => one.code === 'unmapped-entry')
  if (!explained) remark(statement, 'unmapped-entry', `no record item for this ${place.node.local}`)
}

/** Reads a statement wherever it stands, inside another one too, as whatever it is; answers how many items it made. */
function readOneStatement(scope: Scope): number {
  if (isA(scope.place.node, templates.deceased)) return readDeath(scope)
  const further = furtherByTemplate(scope)
  if (further !== undefined) return readFurther(further, scope, readOneStatement)
  const kind = kindByTemplate(scope)
  if (kind === 'problem' && isA(scope.place.node, templates.healthConcern)) return readHealthConcern(scope)
  if (kind !== undefined) return readAs(kind, scope)
  const inSection = furtherBySection(scope)
  if (inSection !== undefined) return readFurther(inSection, scope, readOneStatement)
  const usual = kindBySection(scope)
  if (usual !== undefined) return readAs(usual, scope)
  const shaped = furtherByShape(scope)
  if (shaped !== undefined) return readFurther(shaped, scope, readOneStatement)
  const last = plannedKind(scope.place.node.local)
  return last === undefined ? 0 : readAs(last, scope)
}

/** The problems of a health concern (C-CDA 22.4.132) have its status; whatever else is in it is read by itself. */
function readHealthConcern(scope: Scope): number {
  const isProblem = (inner: Scope): boolean => isA(inner.place.node, templates.problemObservation)
  const problems = nestedIn(scope).some(isProblem) ? readAs('problem', scope) : 0
  return problems + readWrapper(scope, (inner) => (isProblem(inner) ? 0 : readOneStatement(inner)), problems)
}

function kindByTemplate(scope: Scope): Kind | undefined {
  const { node } = scope.place
  const has = (roots: readonly string[]): boolean => isA(node, roots)
  const { local } = node
  if (has(templates.allergyConcern) || has(templates.allergyObservation)) return 'allergy'
  if (local === 'substanceAdministration') {
    if (has(templates.immunization)) return 'immunization'
    if (has(templates.plannedMedication)) return 'medication'
    // Immunization sections of older documents reuse the medication template.
    if (has(templates.medication) && scope.section?.kind !== 'immunizations') return 'medication'
  }
  if (has(templates.medicationAct)) return 'medication-act'
  if (has(templates.problemConcern) || has(templates.diagnosisAct) || has(templates.problemObservation))
    return 'problem'
  if (has(templates.vitalOrganizer) || has(templates.vitalObservation)) return 'vital-sign'
  if (has(templates.resultOrganizer) || has(templates.resultObservation)) {
    // CCD R1 has vital signs in the templates of results.
    return scope.section?.kind === 'vital-signs' ? 'vital-sign' : 'result'
  }
  const elsewhere = scope.section?.kind === 'other' || scope.section?.kind === 'unknown'
  if (elsewhere && has(templates.problemAct)) return 'problem'
  if (local === 'encounter') return has(templates.encounter) ? 'encounter' : undefined
  if (has(templates.procedure)) return 'procedure'
  if (has(templates.planned) && intentOf(node) !== 'goal' && local !== 'supply') return plannedKind(local)
  return undefined
}

/** Planned acts and observations are things to be done: orders, not findings. Goals have no item type. */
function plannedKind(local: string): Kind | undefined {
  if (local === 'encounter') return 'encounter'
  if (local === 'substanceAdministration') return 'medication'
  if (local === 'supply') return 'medication'
  return local === 'procedure' || local === 'act' || local === 'observation' ? 'procedure' : undefined
}

function kindBySection(scope: Scope): Kind | undefined {
  const { local } = scope.place.node
  switch (scope.section?.kind) {
    case 'allergies':
      return local === 'act' || local === 'observation' ? 'allergy' : undefined
    case 'problems':
      return local === 'act' || (local === 'observation' && isSubject(scope.place)) ? 'problem' : undefined
    case 'medications':
      if (local === 'act' || local === 'organizer') return 'medication-act'
      return local === 'substanceAdministration' || local === 'supply' ? 'medication' : undefined
    case 'immunizations':
      return local === 'substanceAdministration' ? 'immunization' : undefined
    case 'results':
    case 'vital-signs':
      if (local === 'procedure') return 'procedure'
      if (local !== 'organizer' && local !== 'observation') return undefined
      return scope.section.kind === 'results' ? 'result' : 'vital-sign'
    case 'procedures':
      return local === 'procedure' || local === 'act' || local === 'observation' ? 'procedure' : undefined
    case 'encounters':
      return local === 'encounter' ? 'encounter' : undefined
    case 'plan':
      return intentOf(scope.place.node) === 'planned' && local !== 'act' ? plannedKind(local) : undefined
    default:
      return local === 'encounter' ? 'encounter' : undefined
  }
}

function readAs(kind: Kind, scope: Scope): number {
  switch (kind) {
    case 'allergy':
      return concern(scope, templates.allergyObservation, readAllergy)
    case 'problem':
      return concern(scope, templates.problemObservation, readProblem)
    case 'medication':
      return readMedication(scope)
    case 'medication-act':
      return wrapped(scope)
    case 'immunization':
      return readImmunization(scope)
    case 'result':
    case 'vital-sign':
      return scope.place.node.local === 'organizer'
        ? readBattery(scope, kind, readOneStatement)
        : readObservation(scope, kind)
    case 'procedure':
      return readProcedure(scope, readOneStatement)
    case 'encounter':
      return readEncounter(scope, readOneStatement)
  }
}

/**
 * One item for each observation of a concern act; an observation that stands alone is its own. Observations are known by
 * template, in a health concern or a list only by that; else every one that is the act's subject counts.
 */
function concern(
  scope: Scope,
  roots: readonly string[],
  read: (scope: Scope, concern: Place['node'] | undefined) => number,
): number {
  if (scope.place.node.local === 'observation') return read(scope, undefined)
  const all = observationsIn(scope)
  const templated = all.filter((inner) => isA(inner.place.node, roots))
  const chosen = templated.length > 0 ? templated : all.filter((inner) => isSubject(inner.place))
  let made = 0
  for (const inner of chosen) {
    made += readOne({ ...inner, authorship: conduct(inner, inner.place) }, scope, roots, read)
  }
  return made
}

/** The observations right inside a statement, and those of organizers that group them there. */
function observationsIn(scope: Scope): Scope[] {
  const { place } = scope
  const relations = [...placesIn(place, 'entryRelationship'), ...placesIn(place, 'component')]
  return relations.flatMap((relation) => {
    const [observation] = placesIn(relation, 'observation')
    const [organizer] = placesIn(relation, 'organizer')
    const within = inside(scope, relation)
    return [
      ...(observation === undefined ? [] : [at(within, observation)]),
      ...(organizer === undefined ? [] : observationsIn(inside(at(within, organizer), organizer))),
    ]
  })
}

/** An allergy listed among the problems is an allergy, and the other way round. */
function readOne(
  inner: Scope,
  outer: Scope,
  roots: readonly string[],
  read: (scope: Scope, concern: Place['node'] | undefined) => number,
): number {
  const { node } = inner.place
  if (!isA(node, roots) && isA(node, templates.allergyObservation)) return readAllergy(inner, outer.place.node)
  return read(inner, outer.place.node)
}

/** Without any template: an observation with a value whose code is not that of a status, severity, age or order. */
function isSubject(place: Place): boolean {
  const code = given(child(place.node, 'code'), 'code')
  return (
    child(place.node, 'value') !== undefined &&
    !['33999-4', 'SEV', '82606-5', '445518008', '11323-3'].includes(code ?? '')
  )
}

/** The medications inside an admission or discharge medication act, or inside an organizer that groups them. */
function wrapped(scope: Scope): number {
  let made = 0
  for (const relation of [...placesIn(scope.place, 'entryRelationship'), ...placesIn(scope.place, 'component')]) {
    for (const place of placesIn(relation, 'substanceAdministration')) {
      const inner = at(inside(scope, relation), place)
      made += readMedication({ ...inner, authorship: conduct(inner, place) })
    }
  }
  return made
}
