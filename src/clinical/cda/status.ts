import type { Concept, When } from '../../direct/datatypes.js'
import { child, type XmlNode } from '../../xml/node.js'
import { type Folded, foldWords, type Status } from '../status.js'
import { given, readConcept, readText, relatedStatements } from './datatypes.js'
import { remark, type Scope } from './scope.js'
import { isA, templates } from './templates.js'

/** SNOMED CT codes of the problem, allergy and medication status value sets. */
const foldedOfCode: Readonly<Record<string, Folded>> = {
  '55561003': 'active',
  '73425007': 'inactive',
  '413322009': 'resolved',
  '90734009': 'active',
  '7087005': 'active',
  '255227004': 'active',
  '246455001': 'active',
  '263855007': 'active',
  '277022003': 'inactive',
  '421139008': 'inactive',
  '392521001': 'inactive',
  '385654001': 'active',
  '410516002': 'inactive',
}

/** Folds a coded status: by SNOMED CT code, else by its words. */
export function foldConcept(concept: Concept): Folded {
  for (const { code } of concept.codings) {
    const folded = foldedOfCode[code]
    if (folded !== undefined) return folded
  }
  return foldWords([concept.text, ...concept.codings.map((coding) => coding.display)].filter(Boolean).join(' '))
}

/** ActStatus (HL7 v3) of a concern: whether it is still being tracked. */
const foldedOfConcern: Readonly<Record<string, Folded>> = {
  active: 'active',
  completed: 'inactive',
  suspended: 'inactive',
  aborted: 'inactive',
  cancelled: 'cancelled',
  nullified: 'cancelled',
}

/** ActStatus (HL7 v3) of something done or given. */
const foldedOfAct: Readonly<Record<string, Folded>> = {
  active: 'active',
  completed: 'completed',
  suspended: 'inactive',
  held: 'inactive',
  aborted: 'cancelled',
  cancelled: 'cancelled',
  nullified: 'cancelled',
  obsolete: 'inactive',
  new: 'planned',
}

/** The status observation of a statement, by template or by code (LOINC 33999-4). */
function statusObservation(node: XmlNode): XmlNode | undefined {
  return relatedStatements(node).find(
    (one) =>
      one.local === 'observation' && (isA(one, templates.status) || given(child(one, 'code'), 'code') === '33999-4'),
  )
}

/** A status by its value, else by its words (HITSP C83 7.12), where they are no more than a status. */
function statedStatus(scope: Scope, node: XmlNode): Concept | undefined {
  const concept = readConcept(scope, child(node, 'value'))
  if (concept !== undefined && (concept.codings.length > 0 || concept.text !== undefined)) return concept
  const text = readText(scope, child(node, 'text'), /status/i)
  if (text === undefined || text.length > mostStatusChars || foldWords(text) === 'unknown') return concept
  return { codings: [], text }
}

/** Longer words are a story that may tell of more than the status. */
const mostStatusChars = 40

/**
 * Status of a problem or an allergy. In order: its status observation; an end date (no longer active); an end that is
 * known to lie back, at a time unknown; the status of the concern act; active (C-CDA R2.1, Problem Concern Act). The
 * observation's own statusCode is always completed and says nothing, but where it takes the observation back. Contradictions are reported, the source's word kept.
 */
export function conditionStatus(
  scope: Scope,
  observation: XmlNode,
  concern: XmlNode | undefined,
  when: When | undefined,
): Status {
  const stated = statusObservation(observation) ?? (concern && statusObservation(concern))
  const concept = stated && statedStatus(scope, stated)
  const own = given(child(observation, 'statusCode'), 'code')?.toLowerCase()
  if (own === 'nullified' || own === 'cancelled') return { folded: 'cancelled', source: own }
  const act = given(child(concern, 'statusCode'), 'code')?.toLowerCase()
  if (concept && (concept.codings.length > 0 || concept.text !== undefined)) {
    const folded = foldConcept(concept)
    const closed = act === 'aborted' || act === 'cancelled' || act === 'nullified'
    if (folded === 'active' && closed) {
      remark(scope, 'contradictory-status', 'a status observation says active, the concern was given up')
    } else if (folded === 'active' && (when?.highUnknown || when?.high)) {
      remark(scope, 'contradictory-status', 'a status observation says active, the effective time has ended')
    }
    return { folded, source: concept.text ?? concept.codings[0]?.code ?? '', concept }
  }
  if (when?.high) return { folded: 'resolved', ...source(act) }
  if (when?.highUnknown) {
    if (act === 'active')
      remark(scope, 'contradictory-status', 'the concern is active, the effective time has an unknown end')
    return { folded: 'resolved', ...source(act) }
  }
  if (act !== undefined) return { folded: foldedOfConcern[act] ?? 'unknown', source: act }
  return { folded: 'active' }
}

/** Status of something done, given, found or planned, by its statusCode and, for medications, its status observation. */
export function actStatus(scope: Scope, node: XmlNode, planned: boolean, fallback?: XmlNode): Status | undefined {
  const code = given(child(node, 'statusCode'), 'code') ?? given(child(fallback, 'statusCode'), 'code')
  const stated = statusObservation(node)
  const concept = stated && readConcept(scope, child(stated, 'value'))
  const lower = code?.toLowerCase()
  const ended = lower === 'aborted' || lower === 'cancelled' || lower === 'nullified' || lower === 'completed'
  if (planned && !ended) return { folded: 'planned', ...source(code) }
  if (concept && (concept.codings.length > 0 || concept.text !== undefined)) {
    return { folded: foldConcept(concept), source: concept.text ?? concept.codings[0]?.code ?? '', concept }
  }
  return lower === undefined || code === undefined
    ? undefined
    : { folded: foldedOfAct[lower] ?? 'unknown', source: code }
}

function source(raw: string | undefined): { source?: string } {
  return raw === undefined ? {} : { source: raw }
}
