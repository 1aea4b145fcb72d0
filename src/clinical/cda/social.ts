import type { Demographics } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, type XmlNode } from '../../xml/node.js'
import { given, isNegated, readNamed } from './datatypes.js'
import { readFinding, readFindings } from './findings.js'
import type { ReadStatement } from './nested.js'
import type { Scope } from './scope.js'
import { intentOf } from './statement.js'
import { isA, templates } from './templates.js'

/**
 * A habit or circumstance of life (C-CDA 22.4.38 and its specializations: smoking, tobacco, pregnancy, occupation, sexual
 * orientation …). Birth sex and gender identity are told of the patient, too: they also complete the demographics.
 */
export function readSocial(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  if (node.local === 'organizer') return readFindings(scope, 'social-history', nested)
  const made = readFinding(scope, 'social-history', nested)
  if (!isNegated(node) && intentOf(node) === 'performed') tellOfPatient(scope)
  return made
}

function tellOfPatient(scope: Scope): void {
  const { node } = scope.place
  if (asks(node, templates.birthSex, '76689-9')) complete(scope, 'birthSex')
  else if (asks(node, templates.genderIdentity, '76691-5')) complete(scope, 'genderIdentity')
}

function asks(node: XmlNode, roots: readonly string[], loinc: string): boolean {
  return isA(node, roots) || given(child(node, 'code'), 'code') === loinc
}

/** Fills a field of the demographics that the header left open; what an earlier observation said stays. */
function complete(scope: Scope, field: 'birthSex' | 'genderIdentity'): void {
  const value: Concept | undefined = readNamed(scope, child(scope.place.node, 'value'))
  if (value === undefined) return
  const { items } = scope.cda.reading
  const at = items.findIndex((item) => item.content.type === 'demographics')
  const item = items[at]
  if (item?.content.type !== 'demographics' || item.content[field] !== undefined) return
  const content: Demographics = { ...item.content, [field]: value }
  items[at] = { ...item, content }
}
