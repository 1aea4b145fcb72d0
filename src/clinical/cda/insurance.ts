import type { Insurance } from '../../direct/clinical.js'
import type { Agent, Concept, Identifier, PartialDate, When } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { type Place, placesIn } from '../place.js'
import { readAgent } from './agents.js'
import { conduct } from './authors.js'
import {
  given,
  isStatement,
  nothing,
  readConcept,
  readIdentifiers,
  readNamed,
  readText,
  readTime,
  readWhen,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { isReferenceOnly } from './nested.js'
import { at, type Scope, sdtc } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

/**
 * One item for each policy of a coverage act (C-CDA 22.4.60 and 22.4.61, CCD R1 1.20 and 1.26, HITSP C83 .5, planned
 * coverage 22.4.129). A coverage act without a policy is an item itself, where it says anything.
 */
export function readCoverage(scope: Scope): number {
  const { node } = scope.place
  if (isA(node, templates.policy)) return readPolicy(scope, scope.place, undefined)
  let made = 0
  let policies = 0
  for (const relation of placesIn(scope.place, 'entryRelationship')) {
    const place = placesIn(relation, 'act')[0]
    if (place === undefined || isAuthorization(place.node) || isReferenceOnly(place.node)) continue
    policies++
    made += readPolicy(at(scope, place), place, { act: node, relation })
  }
  return policies > 0 ? made : readPolicy(scope, scope.place, undefined)
}

interface Coverage {
  readonly act: XmlNode
  readonly relation: Place
}

function readPolicy(outer: Scope, place: Place, coverage: Coverage | undefined): number {
  const inner = at(outer, place)
  const scope: Scope = { ...inner, authorship: conduct(inner, place) }
  const { node } = place
  const code = withNarrative(scope, readConcept(scope, child(node, 'code')), node)
  const intent = intentOf(node)
  const parties = partiesOf(scope, node)
  const group = readIdentifiers(node).find((id) => id.value !== undefined)?.value
  const priority = given(child(coverage?.relation.node, 'sequenceNumber'), 'value') ?? sequenceOf(node)
  const planName = planNameOf(scope, node)
  const authorizations = authorizationsOf(scope, node)
  const { when, ...party } = parties
  return emit(scope, {
    content: {
      type: 'insurance',
      coverage: says(code) ? code : (code ?? nothing),
      ...(planName === undefined ? {} : { planName }),
      ...party,
      ...(group === undefined ? {} : { groupNumber: group }),
      ...(priority === undefined ? {} : { priority }),
      ...(authorizations.length === 0 ? {} : { authorizations }),
    },
    subject: subjectOf(code, parties, planName),
    when: readWhen(scope, child(node, 'effectiveTime')) ?? when,
    status: actStatus(scope, node, intent === 'planned'),
    intent,
    within: coverage === undefined ? [] : [coverage.act],
  })
}

/** A policy that is not coded is about its payer or plan. */
function subjectOf(code: Concept, { payer }: Parties, planName: string | undefined): Concept {
  const text = payer?.text ?? planName
  return says(code) || text === undefined ? code : { codings: [], text }
}

function sequenceOf(node: XmlNode): string | undefined {
  return given(child(node, 'sequenceNumber'), 'value')
}

type Parties = Pick<
  Insurance,
  'payer' | 'memberIdentifiers' | 'relationship' | 'subscriber' | 'subscriberBirthDate' | 'guarantor'
> & { readonly when?: When }

/** Payer and guarantor are performers, the covered party (COV) and the holder of the policy (HLD) participants. */
function partiesOf(scope: Scope, node: XmlNode): Parties {
  let payer: Agent | undefined
  let guarantor: Agent | undefined
  const members: Identifier[] = []
  for (const performer of childrenOf(node, 'performer')) {
    const role = child(performer, 'assignedEntity')
    if (isA(performer, templates.guarantor) || given(child(role, 'code'), 'code') === 'GUAR') {
      guarantor ??= readAgent(scope, performer, true)
    } else {
      payer ??= readAgent(scope, performer, true)
      // The patient as the payer knows him (CCD R1 §3.1).
      const known = child(role, 'patient', sdtc)
      if (known) members.push(...readIdentifiers(known))
    }
  }
  const covered = childrenOf(node, 'participant').find((one) => given(one, 'typeCode') === 'COV')
  const holder = childrenOf(node, 'participant').find((one) => given(one, 'typeCode') === 'HLD')
  const coveredRole = child(covered, 'participantRole')
  if (coveredRole) members.unshift(...readIdentifiers(coveredRole))
  const relationship = readNamed(scope, child(coveredRole, 'code'))
  const subscriber = holder && readAgent(scope, holder, true)
  const subscriberBirthDate = bornOf(scope, holder)
  const when = readWhen(scope, child(covered, 'time'))
  return {
    ...(payer === undefined ? {} : { payer }),
    memberIdentifiers: members,
    ...(relationship === undefined ? {} : { relationship }),
    ...(subscriber === undefined ? {} : { subscriber }),
    ...(subscriberBirthDate === undefined ? {} : { subscriberBirthDate }),
    ...(guarantor === undefined ? {} : { guarantor }),
    ...(when === undefined ? {} : { when }),
  }
}

function bornOf(scope: Scope, holder: XmlNode | undefined): PartialDate | undefined {
  return readTime(scope, child(descend(holder, 'participantRole', 'playingEntity'), 'birthTime', sdtc))
}

/** The plan is an act of definition that the policy refers to; its words are the name. */
function planNameOf(scope: Scope, node: XmlNode): string | undefined {
  for (const act of relatedStatements(node, 'REFR')) {
    if (act.local !== 'act' || given(act, 'moodCode') !== 'DEF') continue
    const text = child(act, 'text')
    const name = readText(scope, text) ?? words(scope, textOf(text)) ?? readNamed(scope, child(act, 'code'))?.text
    if (name !== undefined) return name
  }
  return undefined
}

function isAuthorization(node: XmlNode): boolean {
  return isA(node, templates.authorization)
}

/** What the payer has agreed to pay for: the promised statements inside an authorization act (CCD R1 1.19). */
function authorizationsOf(scope: Scope, node: XmlNode): Concept[] {
  const found: Concept[] = []
  for (const act of relatedStatements(node).filter(isAuthorization)) {
    const own = readNamed(scope, child(act, 'code'))
    if (own !== undefined) found.push(own)
    for (const promised of relatedStatements(act).filter(isStatement)) {
      const concept = withNarrative(scope, readConcept(scope, child(promised, 'code')), promised)
      if (says(concept)) found.push(concept)
    }
  }
  return found
}
