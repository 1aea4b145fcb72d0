import type { Problem } from '../../direct/clinical.js'
import { child, type XmlNode } from '../../xml/node.js'
import { denies } from '../denial.js'
import { readSeverity } from './allergies.js'
import {
  given,
  isNegated,
  readAllNamed,
  readConcept,
  readNamed,
  readQuantity,
  readTime,
  readWhen,
  relatedStatements,
  says,
} from './datatypes.js'
import { readFinding } from './findings.js'
import { nestedIn } from './nested.js'
import type { Scope } from './scope.js'
import { emit, intentOf, isComment, withNarrative } from './statement.js'
import { conditionStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readValue } from './values.js'

/**
 * One item for a problem observation (C-CDA 22.4.4, CCD 1.28). Onset and end come from the observation's own effective
 * time; that of the concern act only says when the concern entered the list. `causedDeath` for the cause of a death.
 */
export function readProblem(scope: Scope, concern: XmlNode | undefined, causedDeath = false): number {
  const { node } = scope.place
  const value = readConcept(scope, child(node, 'value'), /problem|diagnos|condition|name|description/i)
  const problem = withNarrative(scope, value, node, /problem|diagnos|condition|name|description/i)
  const kind = readNamed(scope, child(node, 'code'))
  const when = readWhen(scope, child(node, 'effectiveTime'), true)
  const inside = isNegated(node) || (concern && isNegated(concern)) ? 0 : readInside(scope, concern)
  return (
    inside +
    emit(scope, {
      content: {
        type: 'problem',
        problem,
        ...(says(kind) ? { kind } : {}),
        ...details(scope, node),
        ...(causedDeath ? { causedDeath } : {}),
      },
      subject: problem,
      when,
      status: conditionStatus(scope, node, concern, when),
      intent: intentOf(node),
      within: concern ? [concern] : [],
      denies: denies(problem),
    })
  )
}

/**
 * Findings inside a problem that ask a question of their own (LOINC): an expected date of delivery, a score. What says more
 * of the problem itself stays there, and is no item.
 */
function readInside(scope: Scope, concern: XmlNode | undefined): number {
  const within = [scope.place.node, ...(concern ? [concern] : [])]
  let made = 0
  for (const inner of nestedIn(scope)) {
    const { node } = inner.place
    if (node.local !== 'observation' || child(node, 'value') === undefined || intentOf(node) !== 'performed') continue
    if (given(child(node, 'code'), 'codeSystem') !== loinc || saysMore.has(codeOf(node) ?? '')) continue
    const of = [
      templates.status,
      templates.severity,
      templates.ageAtOnset,
      templates.dateOfDiagnosis,
      templates.prognosis,
    ]
    if (isComment(node) || [...of, templates.priority, templates.problemObservation].some((roots) => isA(node, roots)))
      continue
    made += readFinding(inner, 'result', () => 0, { within })
  }
  return made
}

const loinc = '2.16.840.1.113883.6.1'

/** Status, health status, age at onset, date of diagnosis, prognosis, criticality, reason: they say more of the problem. */
const saysMore = new Set(['33999-4', '11323-3', '30525-0', '77975-1', '75328-5', '82606-5', '77301-0'])

function details(scope: Scope, node: XmlNode): Omit<Problem, 'type' | 'problem' | 'kind'> {
  const related = relatedStatements(node)
  const valueOfFirst = (is: (one: XmlNode) => boolean): XmlNode | undefined => child(related.find(is), 'value')
  const graded = related.find((one) => isA(one, templates.severity) || codeOf(one) === 'SEV')
  const severity = graded && readSeverity(scope, graded)
  const ageAtOnset = readQuantity(valueOfFirst(isAgeAtOnset))
  const bodySites = readAllNamed(scope, node, 'targetSiteCode')
  const diagnosed = related.find((one) => isA(one, templates.dateOfDiagnosis) || codeOf(one) === '77975-1')
  const time = child(diagnosed, 'effectiveTime')
  const diagnosedAt = readTime(scope, time) ?? readTime(scope, child(time, 'low'))
  const prognosed = related.find((one) => isA(one, templates.prognosis) || codeOf(one) === '75328-5')
  const prognosis = readValue(scope, child(prognosed, 'value'))
  const causedDeath = relatedStatements(node, 'CAUS').some(isDeath)
  return {
    ...(severity === undefined ? {} : { severity }),
    ...(ageAtOnset === undefined ? {} : { ageAtOnset }),
    ...(bodySites.length === 0 ? {} : { bodySites }),
    ...(diagnosedAt === undefined ? {} : { diagnosedAt }),
    ...(prognosis === undefined || prognosis.kind === 'absent' ? {} : { prognosis }),
    ...(causedDeath ? { causedDeath } : {}),
  }
}

function codeOf(node: XmlNode): string | undefined {
  return given(child(node, 'code'), 'code')
}

/** Whether an observation says that somebody is dead (C-CDA 22.4.79, 22.4.47, CCD 1.42; SNOMED CT 419099009). */
export function isDeath(node: XmlNode): boolean {
  return isA(node, templates.death) || given(child(node, 'value'), 'code') === '419099009'
}

function isAgeAtOnset(node: XmlNode): boolean {
  return isA(node, templates.ageAtOnset) || ['445518008', '397659008', '30525-0'].includes(codeOf(node) ?? '')
}
