import { child, type XmlNode } from '../../xml/node.js'
import { denies } from '../denial.js'
import { given, readConcept, readNamed, readQuantity, readWhen, relatedStatements, says } from './datatypes.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { conditionStatus } from './status.js'
import { isA, templates } from './templates.js'

/**
 * One item for a problem observation (C-CDA 22.4.4, CCD 1.28). Onset and end come from the observation's own effective
 * time; that of the concern act only says when the concern entered the list.
 */
export function readProblem(scope: Scope, concern: XmlNode | undefined): number {
  const { node } = scope.place
  const value = readConcept(scope, child(node, 'value'), /problem|diagnos|condition|name|description/i)
  const problem = withNarrative(scope, value, node, /problem|diagnos|condition|name|description/i)
  const kind = readNamed(scope, child(node, 'code'))
  const when = readWhen(scope, child(node, 'effectiveTime'), true)
  const related = relatedStatements(node)
  const severe = related.find((one) => isA(one, templates.severity) || given(child(one, 'code'), 'code') === 'SEV')
  const severity = severe && readNamed(scope, child(severe, 'value'))
  const aged = related.find(isAgeAtOnset)
  const ageAtOnset = aged && readQuantity(child(aged, 'value'))
  return emit(scope, {
    content: {
      type: 'problem',
      problem,
      ...(says(kind) ? { kind } : {}),
      ...(severity ? { severity } : {}),
      ...(ageAtOnset ? { ageAtOnset } : {}),
    },
    subject: problem,
    when,
    status: conditionStatus(scope, node, concern, when),
    intent: intentOf(node),
    within: concern ? [concern] : [],
    denies: denies(problem),
  })
}

function isAgeAtOnset(node: XmlNode): boolean {
  return (
    isA(node, templates.ageAtOnset) || ['445518008', '397659008'].includes(given(child(node, 'code'), 'code') ?? '')
  )
}
