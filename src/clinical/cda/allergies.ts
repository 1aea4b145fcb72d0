import type { Allergy, Reaction } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { denies } from '../denial.js'
import { propensityKinds } from '../propensity.js'
import {
  given,
  isNegated,
  nothing,
  readConcept,
  readNamed,
  readWhen,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { conditionStatus } from './status.js'
import { isA, templates } from './templates.js'

/** As an observation's value they say what sort of allergy it is, not to what. */
const kinds = new Set([...propensityKinds, '609328004', '106190000', '281647001', '782197009'])

/**
 * One item for an allergy observation (C-CDA 22.4.7, CCD 1.18). `negationInd` with a substance says that the patient is not
 * allergic to it; without one, that no allergy of its kind is known: then the substance stays empty.
 */
export function readAllergy(scope: Scope, concern: XmlNode | undefined): number {
  const { node } = scope.place
  const value = child(node, 'value')
  const valueConcept = readConcept(scope, value)
  const valueIsKind = valueConcept === undefined || valueConcept.codings.some(({ code }) => kinds.has(code))
  const agent = substanceOf(scope, node)
  const { subject, kind } = agent ?? { subject: undefined, kind: undefined }
  const substance = says(subject) ? subject : fallback(scope, node, subject, valueIsKind ? undefined : valueConcept)
  const sort = kind ?? (valueIsKind || says(subject) ? valueConcept : undefined)
  const when = readWhen(scope, child(node, 'effectiveTime'), true)
  return emit(scope, {
    content: {
      type: 'allergy',
      substance,
      ...(says(sort) ? { kind: sort } : {}),
      ...details(scope, node, concern),
    },
    subject: substance,
    when,
    status: conditionStatus(scope, node, concern, when),
    intent: intentOf(node),
    within: concern ? [concern] : [],
    denies: denies(substance) || denies(valueConcept),
  })
}

/** The consumable that the patient reacts to: code, else name, of the playing entity. */
function substanceOf(scope: Scope, node: XmlNode): { subject: Concept; kind: Concept | undefined } | undefined {
  for (const participant of childrenOf(node, 'participant')) {
    const type = given(participant, 'typeCode')
    if (type !== undefined && type !== 'CSM' && type !== 'IND') continue
    const entity = descend(participant, 'participantRole', 'playingEntity')
    if (entity === undefined) continue
    const code = readConcept(scope, child(entity, 'code'), /allerg|substance|agent|drug/i)
    const name = words(scope, textOf(child(entity, 'name')))
    if (code === undefined && name === undefined) continue
    const subject = says(code) || name === undefined ? (code ?? nothing) : { ...code, codings: [], text: name }
    return { subject, kind: undefined }
  }
  return undefined
}

/** Without a playing entity: a value that names the allergen, else the statement's words, unless it is a denial. */
function fallback(scope: Scope, node: XmlNode, subject: Concept | undefined, value: Concept | undefined): Concept {
  if (says(value)) return value
  if (isNegated(node)) return subject ?? nothing
  return withNarrative(scope, subject, node, /allerg|substance|agent|drug/i)
}

function details(
  scope: Scope,
  node: XmlNode,
  concern: XmlNode | undefined,
): Pick<Allergy, 'reactions' | 'severity' | 'criticality'> {
  const reactions: Reaction[] = []
  let severity: Concept | undefined
  let criticality: Concept | undefined
  const manifested = new Set(relatedStatements(node, 'MFST'))
  for (const related of relatedStatements(node)) {
    if (related.local !== 'observation') continue
    if (isA(related, templates.reaction) || (manifested.has(related) && !isSeverity(related))) {
      const reaction = isNegated(related) ? undefined : readReaction(scope, related)
      if (reaction !== undefined) reactions.push(reaction)
    } else if (isSeverity(related)) severity ??= readSeverity(scope, related)
    else if (isA(related, templates.criticality) || codeIs(related, '82606-5')) {
      criticality ??= readNamed(scope, child(related, 'value'))
    }
  }
  if (concern !== undefined && !isNegated(node)) reactions.push(...strayReactions(scope, node, concern))
  return {
    reactions,
    ...(severity === undefined ? {} : { severity }),
    ...(criticality === undefined ? {} : { criticality }),
  }
}

/** Reactions that hang on the concern and not on its allergy: they are that allergy's, where it is the only one there. */
function strayReactions(scope: Scope, node: XmlNode, concern: XmlNode): Reaction[] {
  const manifested = new Set(relatedStatements(concern, 'MFST'))
  const inside = relatedStatements(concern).filter((one) => one.local === 'observation')
  const isStray = (one: XmlNode): boolean => manifested.has(one) || isA(one, templates.reaction)
  if (inside.some((one) => one !== node && !isStray(one) && child(one, 'participant') !== undefined)) return []
  return inside
    .filter((one) => one !== node && isStray(one) && !isNegated(one))
    .map((one) => readReaction(scope, one))
    .filter((reaction) => reaction !== undefined)
}

/** What a substance did (C-CDA 22.4.9, Reaction Observation); undefined where neither code nor words say what. */
export function readReaction(scope: Scope, node: XmlNode): Reaction | undefined {
  const manifestation = withNarrative(scope, readNamed(scope, child(node, 'value')), node, /reaction/i)
  if (!says(manifestation)) return undefined
  const graded = relatedStatements(node).find(isSeverity)
  const severity = graded && readSeverity(scope, graded)
  const when = readWhen(scope, child(node, 'effectiveTime'))
  return {
    manifestation,
    ...(severity === undefined ? {} : { severity }),
    ...(when === undefined ? {} : { when }),
  }
}

/** The reactions that a medication or a vaccination set off. */
export function reactionsOf(scope: Scope, node: XmlNode): Reaction[] {
  const manifested = new Set([...relatedStatements(node, 'MFST'), ...relatedStatements(node, 'CAUS')])
  return relatedStatements(node)
    .filter((one) => one.local === 'observation' && !isNegated(one) && !isSeverity(one))
    .filter((one) => isA(one, templates.reaction) || manifested.has(one))
    .map((one) => readReaction(scope, one))
    .filter((one) => one !== undefined)
}

/** How bad it is: coded, else in words (HITSP C83 6.07); undefined where nothing says it. */
export function readSeverity(scope: Scope, node: XmlNode): Concept | undefined {
  const severity = withNarrative(scope, readNamed(scope, child(node, 'value')), node, /sever/i)
  return says(severity) ? severity : undefined
}

function codeIs(node: XmlNode, code: string): boolean {
  return given(child(node, 'code'), 'code') === code
}

function isSeverity(node: XmlNode): boolean {
  return isA(node, templates.severity) || codeIs(node, 'SEV')
}
