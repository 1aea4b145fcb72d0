import type { Observation, Panel } from '../../direct/clinical.js'
import type { Concept, Value } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import type { Status } from '../status.js'
import { given, isNegated, nullFlavorOf, readConcept, readIdentifiers, readNamed, readWhen, says } from './datatypes.js'
import { isReferenceOnly, nestedIn, type ReadStatement } from './nested.js'
import { rangesOf } from './results.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus, conditionStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readValue } from './values.js'

type Observed = Observation['type']
type Component = NonNullable<Observation['components']>[number]

/** What surrounds a finding: the organizer that it is one of, the concern that tracks it. */
export interface Around {
  readonly panel?: Panel
  readonly within: readonly XmlNode[]
  /** The concern act whose status the finding takes over. */
  readonly concern?: XmlNode
}

const alone: Around = { within: [] }
const column = /finding|status|assess|question|name|description|element|type|observation|code/i

/**
 * One item for an observation that asks and answers: a habit, an ability, a score (C-CDA 22.4.38, .67, .69, .74 and their
 * like). What stands inside it becomes its components; what is no plain observation, or is denied, is read by itself.
 */
export function readFinding(scope: Scope, type: Observed, nested: ReadStatement, around: Around = alone): number {
  const { node } = scope.place
  const { test, value } = questionOf(scope, node)
  const others = othersOf(scope, node)
  const components: Component[] = []
  let made = 0
  for (const inner of nestedIn(scope)) {
    if (isPart(inner.place.node)) components.push(...partsOf(inner))
    else if (!isAside(inner.place.node)) made += nested(inner)
  }
  const intent = intentOf(node)
  const method = readNamed(scope, child(node, 'methodCode'))
  const bodySites = named(scope, node, 'targetSiteCode')
  // A scale without a value of its own is not null where its answers are there.
  const nullFlavor = value?.kind === 'absent' && components.length === 0 ? value.nullFlavor : undefined
  return (
    made +
    emit(scope, {
      content: {
        type,
        test,
        ...(around.panel === undefined ? {} : { panel: around.panel }),
        ...(value === undefined ? {} : { value }),
        ...(others.length === 0 ? {} : { otherValues: others }),
        interpretations: named(scope, node, 'interpretationCode'),
        referenceRanges: rangesOf(scope, node),
        ...(method === undefined ? {} : { method }),
        ...(bodySites.length === 0 ? {} : { bodySites }),
        ...(components.length === 0 ? {} : { components }),
      },
      subject: test,
      when: readWhen(scope, child(node, 'effectiveTime')),
      status: statusOf(scope, node, around, intent === 'planned'),
      intent,
      within: around.within,
      nullFlavor,
    })
  )
}

/** A concern tells the status of what it tracks; else the finding's own status counts. */
function statusOf(scope: Scope, node: XmlNode, around: Around, planned: boolean): Status | undefined {
  if (around.concern === undefined) return actStatus(scope, node, planned)
  return conditionStatus(scope, node, around.concern, readWhen(scope, child(node, 'effectiveTime'), true))
}

/**
 * Code and value as question and answer. An assertion has no question: its value is what is found, so that two assertions
 * are never taken for two answers to one question.
 */
function questionOf(scope: Scope, node: XmlNode): { test: Concept; value?: Value } {
  const code = readConcept(scope, child(node, 'code'), column)
  const value = answerOf(scope, childrenOf(node, 'value')[0])
  const asks = says(code) && !code.codings.some((one) => one.code === 'ASSERTION')
  if (!asks && value?.kind === 'concept') return { test: value.concept }
  if (!asks && value?.kind === 'text') return { test: { codings: [], text: value.text } }
  const test = withNarrative(scope, code, node, column)
  return { test, ...(value === undefined ? {} : { value }) }
}

/** A value; one that is null says so, and why. */
export function answerOf(scope: Scope, node: XmlNode | undefined): Value | undefined {
  if (node === undefined) return undefined
  const value = readValue(scope, node)
  if (value !== undefined) return value
  const nullFlavor = nullFlavorOf(node)
  return nullFlavor === undefined ? undefined : { kind: 'absent', nullFlavor }
}

/** Further values, where there are several. */
function othersOf(scope: Scope, node: XmlNode): Value[] {
  return childrenOf(node, 'value')
    .slice(1)
    .map((one) => answerOf(scope, one))
    .filter((one) => one !== undefined)
}

function named(scope: Scope, node: XmlNode, local: string): Concept[] {
  return childrenOf(node, local)
    .map((code) => readNamed(scope, code))
    .filter((concept) => concept !== undefined)
}

/** What may be a component: an observation that happened and is so. A component has no place for a denial. */
function isPart(node: XmlNode): boolean {
  return node.local === 'observation' && !isNegated(node) && intentOf(node) === 'performed' && !isAside(node)
}

/** What says more of the statement around it rather than something of its own: status, comment, reference. */
function isAside(node: XmlNode): boolean {
  if (isReferenceOnly(node)) return true
  if ([templates.status, templates.comment, templates.note].some((roots) => isA(node, roots))) return true
  return given(child(node, 'code'), 'code') === '33999-4'
}

/** The observation of this scope and those inside it, each as one component. */
function partsOf(scope: Scope): Component[] {
  const { node } = scope.place
  const { test, value } = questionOf(scope, node)
  const parts: Component[] = says(test) ? [{ test, ...(value === undefined ? {} : { value }) }] : []
  // An answer may be given twice, as a score and as the answer of a list.
  for (const other of othersOf(scope, node)) if (says(test)) parts.push({ test, value: other })
  for (const inner of nestedIn(scope)) if (isPart(inner.place.node)) parts.push(...partsOf(inner))
  return parts
}

/**
 * The findings of an organizer, each an item that shares its panel (C-CDA 22.4.66, 22.4.75). An organizer with none is an
 * item by itself, where its code says anything.
 */
export function readFindings(scope: Scope, type: Observed, nested: ReadStatement, outer: Around = alone): number {
  const { node } = scope.place
  const around: Around = { panel: panelOf(scope, node), within: [node, ...outer.within] }
  let made = 0
  let parts = 0
  for (const inner of nestedIn(scope)) {
    const { local } = inner.place.node
    if (isAside(inner.place.node)) continue
    parts++
    if (local === 'observation') made += readFinding(inner, type, nested, around)
    else if (local === 'organizer') made += readFindings(inner, type, nested, around)
    else made += nested(inner)
  }
  return parts > 0 ? made : readFinding(scope, type, nested, outer)
}

/** The panel that an organizer, or a concern, is to what stands in it. */
export function panelOf(scope: Scope, node: XmlNode): Panel {
  const code = readNamed(scope, child(node, 'code'))
  const when = readWhen(scope, child(node, 'effectiveTime'))
  const status = given(child(node, 'statusCode'), 'code')
  return {
    entry: scope.place.path,
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
    identifiers: readIdentifiers(node),
  }
}

/** Findings in the shape of a problem: observations inside a concern act (CCD R1 §3.4, problem act among functional statuses). */
export function readTrackedFindings(scope: Scope, type: Observed, nested: ReadStatement): number {
  const { node } = scope.place
  let made = 0
  for (const inner of nestedIn(scope)) {
    const { node: part } = inner.place
    if (isAside(part)) continue
    if (part.local === 'observation') made += readFinding(inner, type, nested, { within: [node], concern: node })
    else made += nested(inner)
  }
  return made
}
