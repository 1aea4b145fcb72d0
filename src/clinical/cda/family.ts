import type { FamilyHistory } from '../../direct/clinical.js'
import type { Concept, PartialDate, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import {
  given,
  isNegated,
  nothing,
  nullFlavorOf,
  readConcept,
  readNamed,
  readQuantity,
  readTime,
  readWhen,
  relatedStatements,
  says,
} from './datatypes.js'
import { readName } from './names.js'
import { nestedIn } from './nested.js'
import { type Scope, sdtc } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

type Condition = FamilyHistory['conditions'][number]

const column = /diagnos|condition|problem|history|disease|finding/i

/**
 * One item for each relative: an organizer with its observations (C-CDA 22.4.45, CCD R1 1.23, IHE 1.4.15), or an observation
 * that names its own relative. An observation of death makes the relative deceased; the condition around it is the cause.
 */
export function readFamilyHistory(scope: Scope): number {
  const { node } = scope.place
  const related = descend(node, 'subject', 'relatedSubject')
  const observations = node.local === 'observation' ? [scope] : observationsIn(scope)
  const conditions: Condition[] = []
  let death: Death = {}
  for (const inner of observations) {
    const dead = deathIn(inner)
    death = { ...dead, ...death }
    if (tellsDeath(inner.place.node)) continue
    const condition = conditionOf(inner, dead.deceased === true)
    if (condition !== undefined) conditions.push(condition)
  }
  const relation = readConcept(scope, child(related, 'code'), /relation|member|relative/i) ?? nothing
  const person = { relation, ...personOf(scope, child(related, 'subject')) }
  const subject = says(relation) ? relation : (conditions[0]?.condition ?? relation)
  return emit(scope, {
    content: { type: 'family-history', ...death, ...person, conditions },
    subject: says(subject) || death.deceased === undefined ? subject : { codings: [], text: 'Relative' },
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, false),
    intent: intentOf(node),
  })
}

/** Observations at any depth of organizers; what a condition holds inside is its own matter. */
function observationsIn(scope: Scope): Scope[] {
  const found: Scope[] = []
  for (const inner of nestedIn(scope)) {
    const { local } = inner.place.node
    if (local === 'observation') found.push(inner)
    else if (local === 'organizer' || local === 'act') found.push(...observationsIn(inner))
  }
  return found
}

function personOf(scope: Scope, subject: XmlNode | undefined): Partial<FamilyHistory> {
  const name = childrenOf(subject, 'name').map(readName)[0]
  const gender = readNamed(scope, child(subject, 'administrativeGenderCode'))
  const birthDate = readTime(scope, child(subject, 'birthTime')) ?? readTime(scope, child(subject, 'birthTime', sdtc))
  const told = given(child(subject, 'deceasedInd', sdtc), 'value')?.toLowerCase()
  const deathDate: PartialDate | undefined = readTime(scope, child(subject, 'deceasedTime', sdtc))
  const deceased = deathDate !== undefined || (told === undefined ? undefined : told === 'true' || told === '1')
  return {
    ...(name === undefined ? {} : { name }),
    ...(gender === undefined ? {} : { gender }),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(deceased === undefined || (told === undefined && !deceased) ? {} : { deceased }),
    ...(deathDate === undefined ? {} : { deathDate }),
  }
}

interface Death {
  readonly deceased?: boolean
  readonly ageAtDeath?: Quantity
}

/** SNOMED CT: dead. */
function tellsDeath(node: XmlNode): boolean {
  return isA(node, templates.familyDeath) || given(child(node, 'value'), 'code') === '419099009'
}

/** Death as told by the observation itself or by one inside it; its age is the age at death. */
function deathIn(scope: Scope): Death {
  const { node } = scope.place
  const dead = tellsDeath(node) ? node : relatedStatements(node).find(tellsDeath)
  if (dead === undefined || [dead, node, ...(scope.through ?? [])].some(isNegated)) return {}
  const ageAtDeath = ageIn(dead)
  return { deceased: true, ...(ageAtDeath === undefined ? {} : { ageAtDeath }) }
}

function ageIn(node: XmlNode): Quantity | undefined {
  const aged = relatedStatements(node).find(
    (one) =>
      isA(one, templates.ageAtOnset) ||
      ['445518008', '397659008', '39016-1', '30525-0'].includes(given(child(one, 'code'), 'code') ?? ''),
  )
  return aged && readQuantity(child(aged, 'value'))
}

function conditionOf(scope: Scope, causedDeath: boolean): Condition | undefined {
  const { node } = scope.place
  const value = readConcept(scope, child(node, 'value'), column)
  const kind = readNamed(scope, child(node, 'code'))
  const condition = named(scope, value, kind)
  if (condition === undefined) return undefined
  const when = readWhen(scope, child(node, 'effectiveTime'))
  const ageAtOnset = ageIn(node)
  const status = relatedStatements(node).find((one) => given(child(one, 'code'), 'code') === '33999-4')
  const stated = status && readNamed(scope, child(status, 'value'))
  const around = scope.through ?? []
  const nullFlavor = [node, ...around].map(nullFlavorOf).find((one) => one !== undefined)
  return {
    condition: nullFlavor === undefined ? condition : { ...condition, nullFlavor },
    ...(kind === undefined || kind === condition || isAssertion(kind) ? {} : { kind }),
    ...(when === undefined ? {} : { when }),
    ...(ageAtOnset === undefined ? {} : { ageAtOnset }),
    ...(causedDeath ? { causedDeath } : {}),
    negated: [node, ...around].some(isNegated),
    ...(stated === undefined ? {} : { status: stated }),
  }
}

/** The value, else the words of the statement, else, where there is neither, what the code says. */
function named(scope: Scope, value: Concept | undefined, kind: Concept | undefined): Concept | undefined {
  const condition = withNarrative(scope, value, scope.place.node, column)
  if (says(condition)) return condition
  return kind !== undefined && !isAssertion(kind) ? kind : undefined
}

function isAssertion(kind: Concept): boolean {
  return kind.codings.some(({ code }) => code === 'ASSERTION')
}
