import type { Intent, ItemContent, RecordItem } from '../../direct/clinical.js'
import type { Agent, Coding, Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf, elements, type XmlNode } from '../../xml/node.js'
import { add, type Draft } from '../reading.js'
import type { Status } from '../status.js'
import { isUcum } from '../ucum.js'
import { agentsOf, idKeys } from './agents.js'
import { given, isNegated, nullFlavorOf, readIdentifiers, readText, relatedStatements, says } from './datatypes.js'
import { distinct, innerLabels } from './labels.js'
import { provenance, remark, type Scope } from './scope.js'
import { isA, templates } from './templates.js'

/**
 * moodCode folded (HL7 v3 ActMood): what happened, what is meant to, what is hoped for. Nothing but an event has happened:
 * definitions, permissions, risks, criteria and words that are no mood count as not done yet.
 */
export function intentOf(node: XmlNode): Intent {
  const mood = given(node, 'moodCode')?.toUpperCase() ?? 'EVN'
  if (mood === 'GOL') return 'goal'
  return mood === 'EVN' ? 'performed' : 'planned'
}

/** What a reader found out about one statement, before it becomes an item. */
export interface Finding {
  readonly content: ItemContent
  /** What the item is about; an item about nothing is not made. */
  readonly subject: Concept
  readonly when?: When | undefined
  readonly status?: Status | undefined
  readonly intent: Intent
  /** Statements around this one whose negation, nullFlavor, labels and performers cover it. */
  readonly within?: readonly XmlNode[]
  /** The source's own "no known …" code, which denies as negationInd does. */
  readonly denies?: boolean
  /** Null flavor of what the statement is about, where it has no value. */
  readonly nullFlavor?: string | undefined
  /** Where they do not stand in `performer`. */
  readonly performers?: readonly Agent[]
}

/**
 * Makes the item of a statement, with everything that any statement may carry: performers, comments, security labels,
 * references. Answers 0, with the reason as a diagnostic, for a statement about somebody else than the patient, and for
 * one about nothing: no code and no words, unless it denies something ("no known allergies" has no substance).
 */
export function emit(scope: Scope, finding: Finding): number {
  const { node } = scope.place
  const around = [...(finding.within ?? []), ...(scope.through ?? [])]
  const negated = isNegated(node) || around.some(isNegated) || finding.denies === true
  const nullFlavor =
    nullFlavorOf(node) ??
    around.map(nullFlavorOf).find((one) => one !== undefined) ??
    scope.section?.nullFlavor ??
    finding.nullFlavor
  if (
    finding.content.type !== 'family-history' &&
    (scope.section?.aboutAnother || [node, ...around].some(isAboutAnother))
  ) {
    remark(scope, 'unmapped-entry', 'about somebody else than the patient')
    return 0
  }
  if (!says(finding.subject) && !negated) {
    const reason = nullFlavor ?? finding.subject.nullFlavor
    remark(
      scope,
      'unmapped-entry',
      reason === undefined ? 'neither a code nor words' : `no information: nullFlavor ${reason}`,
    )
    return 0
  }
  const { recordedAt } = scope.authorship
  const mood = given(node, 'moodCode')
  const draft: Draft = {
    content: finding.content,
    ...(finding.when === undefined ? {} : { when: finding.when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    ...(finding.status === undefined ? {} : { status: finding.status }),
    negated,
    ...(nullFlavor === undefined ? {} : { nullFlavor }),
    intent: finding.intent,
    ...(mood === undefined || mood === 'EVN' ? {} : { mood }),
    ...carried(scope, node, around, finding.performers),
    identifiers: readIdentifiers(node),
    provenance: provenance(scope),
  }
  judgeUnits(scope, draft)
  return add(scope.cda.reading, draft) ? 1 : 0
}

/** What any statement may carry beside its content. A battery's performers did what is in it. */
function carried(
  scope: Scope,
  node: XmlNode,
  around: readonly XmlNode[],
  others: readonly Agent[] = [],
): Pick<RecordItem, 'performers' | 'notes' | 'labels' | 'references'> {
  const own = performersOf(scope, [node, ...around])
  const performers = own.length > 0 ? own : others
  const notes = commentsOf(scope, node)
  const labels = labelling(scope, [node, ...around])
  const references = referencesOf(node)
  return {
    ...(performers.length === 0 ? {} : { performers }),
    ...(notes.length === 0 ? {} : { notes }),
    ...(labels.length === 0 ? {} : { labels }),
    ...(references.length === 0 ? {} : { references }),
  }
}

function performersOf(scope: Scope, nodes: readonly XmlNode[]): Agent[] {
  for (const node of nodes) {
    const found = agentsOf(
      scope,
      childrenOf(node, 'performer').filter((one) => !pays(one)),
    )
    if (found.length > 0) return found
  }
  return []
}

/** Payers and guarantors stand with the insurance: they did nothing (C-CDA 22.4.87, 22.4.88). */
function pays(performer: XmlNode): boolean {
  const role = given(child(child(performer, 'assignedEntity'), 'code'), 'code')
  return role === 'PAYOR' || role === 'GUAR' || isA(performer, templates.payer) || isA(performer, templates.guarantor)
}

function labelling(scope: Scope, nodes: readonly XmlNode[]): readonly Coding[] {
  const own = distinct(nodes.flatMap((node) => innerLabels(scope, node)))
  return own.length > 0 ? own : (scope.labels ?? [])
}

/** Whether a statement is a comment (C-CDA 22.4.64, CCD 1.40, IHE PCC 1.4.2; LOINC 48767-8). */
export function isComment(node: XmlNode): boolean {
  return isA(node, templates.comment) || given(child(node, 'code'), 'code') === '48767-8'
}

/** Whether a statement says why another was done, or not done (QRDA Reason, 2.16.840.1.113883.10.20.24.3.88; LOINC 77301-0). */
export function isReason(node: XmlNode): boolean {
  return isA(node, templates.reason) || given(child(node, 'code'), 'code') === '77301-0'
}

/** SNOMED CT: an attempt that failed. It hangs as an act on what was attempted, whose own status stays completed. */
const failedAttempt = '103709008'

function commentsOf(scope: Scope, node: XmlNode): string[] {
  const found = new Set<string>()
  for (const one of relatedStatements(node)) {
    const failed = given(child(one, 'code'), 'code') === failedAttempt
    if (!isComment(one) && !failed) continue
    const text = readText(scope, child(one, 'text'))
    if (failed) found.add(['Failed attempt', text].filter(Boolean).join(': '))
    else if (text !== undefined) found.add(text)
  }
  return [...found]
}

type References = NonNullable<RecordItem['references']>

/** Other statements and documents named by id: entry references (C-CDA 22.4.122, IHE PCC 1.4.4.1), `reference` with its external act. */
function referencesOf(node: XmlNode): References {
  const found: References[number][] = []
  for (const item of elements(node)) {
    const relation = item.local === 'entryRelationship' || item.local === 'reference'
    if (item.ns !== node.ns || !relation) continue
    for (const target of elements(item)) {
      const named =
        item.local === 'reference' ? target.local.startsWith('external') : isA(target, templates.entryReference)
      const identifiers = named ? readIdentifiers(target) : []
      if (identifiers.length > 0) found.push({ kind: given(item, 'typeCode') ?? 'REFR', identifiers })
    }
  }
  return found
}

/** Keys of the statements that an act refers to by id alone. */
export function referredKeys(node: XmlNode): string[] {
  return referencesOf(node).flatMap((one) => idKeys(one.identifiers))
}

/** Whether a statement or section has a subject who is not the patient: a relative, a fetus, a donor (CDA R2 §4.3.6). */
export function isAboutAnother(node: XmlNode): boolean {
  const subject = child(node, 'subject')
  if (subject === undefined || nullFlavorOf(subject) !== undefined) return false
  const related = child(subject, 'relatedSubject')
  if (related === undefined) return false
  const code = given(child(related, 'code'), 'code')
  return given(related, 'classCode') !== 'PAT' && code !== 'SELF' && code !== 'ONESELF'
}

/** Tells once an item of a unit that UCUM does not have; the unit stays as written. */
function judgeUnits(scope: Scope, draft: Draft): void {
  const { units } = scope.cda
  const bad = unitsIn(draft.content, 4).some((unit) => {
    const known = units.get(unit)
    if (known !== undefined) return !known
    const valid = isUcum(unit)
    if (units.size < mostUnits) units.set(unit, valid)
    return !valid
  })
  if (bad) remark(scope, 'unit-not-ucum', 'a unit that UCUM does not have; kept as written')
}

const mostUnits = 1000

function unitsIn(value: unknown, depth: number): string[] {
  if (typeof value !== 'object' || value === null) return []
  const found: string[] = []
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'unit' && typeof inner === 'string') found.push(inner)
    else if (depth > 0 && typeof inner === 'object') found.push(...unitsIn(inner, depth - 1))
  }
  return found
}

/** A concept with the statement's narrative as its text, where it has neither code nor words of its own. */
export function withNarrative(
  scope: Scope,
  concept: Concept | undefined,
  statement: XmlNode,
  column?: RegExp,
): Concept {
  if (says(concept)) return concept
  const text = readText(scope, child(statement, 'text'), column)
  if (text === undefined) return concept ?? { codings: [] }
  return { ...concept, codings: [], text }
}
