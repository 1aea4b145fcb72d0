import type { Goal, Plan } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { given, materialOf, readConcept, readNamed, readText, readWhen, relatedStatements, says } from './datatypes.js'
import { answerOf, panelOf, readFinding } from './findings.js'
import { isReferenceOnly, nestedIn, type ReadStatement } from './nested.js'
import { noteText, readNote } from './notes.js'
import { remark, type Scope } from './scope.js'
import { emit, intentOf, isReason, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

const column = /goal|plan|activity|instruction|intervention|description|name|type/i

/** One item for a goal: an observation that is hoped for (moodCode GOL; C-CDA 22.4.121), with its target and priority. */
export function readGoal(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  const code = readConcept(scope, child(node, 'code'), column)
  const target = answerOf(scope, childrenOf(node, 'value')[0])
  const goal = goalOf(scope, code, target)
  const priority = priorityOf(scope, node)
  const instructions = instructionsOf(scope, node)
  const reasons = reasonsOf(scope, node)
  let made = 0
  for (const inner of nestedIn(scope)) if (isOwn(inner.place.node)) made += nested(inner)
  const content: Goal = {
    type: 'goal',
    goal,
    ...(target === undefined ? {} : { target }),
    ...(priority === undefined ? {} : { priority }),
    ...(reasons.length === 0 ? {} : { reasons }),
    ...(instructions === undefined ? {} : { instructions }),
  }
  return (
    made +
    emit(scope, {
      content,
      subject: goal,
      when: readWhen(scope, child(node, 'effectiveTime')),
      // What is pursued is active, though nothing of it has happened yet (C-CDA 22.4.121, statusCode).
      status: actStatus(scope, node, false) ?? { folded: 'planned' },
      intent: 'goal',
    })
  )
}

/** What is hoped for: the code, else the words of the statement, else its value. */
function goalOf(scope: Scope, code: Concept | undefined, target: Goal['target']): Concept {
  const goal = withNarrative(scope, code, scope.place.node, column)
  if (says(goal)) return goal
  return target?.kind === 'concept'
    ? target.concept
    : target?.kind === 'text'
      ? { codings: [], text: target.text }
      : goal
}

/** The patient's own priority goes before another's (C-CDA 22.4.143, Priority Preference), then priorityCode. */
function priorityOf(scope: Scope, node: XmlNode): Concept | undefined {
  const preferred = relatedStatements(node).find((one) => isA(one, templates.priority))
  return readNamed(scope, child(preferred, 'value')) ?? readNamed(scope, child(node, 'priorityCode'))
}

/** Why: indications (C-CDA 22.4.19) and other observations that are there as the reason, by value, else by code. */
function reasonsOf(scope: Scope, node: XmlNode): Concept[] {
  return relatedStatements(node)
    .filter((one) => isA(one, templates.indication) || isReason(one))
    .map((one) => readNamed(scope, child(one, 'value')) ?? readNamed(scope, child(one, 'code')))
    .filter((concept) => concept !== undefined)
}

/** Words of the instructions inside a statement (C-CDA 22.4.20). */
function instructionsOf(scope: Scope, node: XmlNode): string | undefined {
  const found: string[] = []
  for (const act of relatedStatements(node)) {
    if (!isA(act, templates.instruction)) continue
    const text = readText(scope, child(act, 'text')) ?? readNamed(scope, child(act, 'code'))?.text
    if (text !== undefined) found.push(text)
  }
  return found.length === 0 ? undefined : found.join('\n')
}

/** What stands inside a plan and is something of its own: neither reference, priority, instruction, indication nor comment. */
function isOwn(node: XmlNode): boolean {
  if (isReferenceOnly(node) || isReason(node)) return false
  const asides = [templates.priority, templates.instruction, templates.indication, templates.comment, templates.note]
  return ![...asides, templates.status].some((roots) => isA(node, roots))
}

/**
 * One item for something planned that no other type stands for (C-CDA 22.4.20 instruction, .130 nutrition recommendation,
 * .140 referral, .141 handoff), and further ones for the statements inside it.
 */
export function readPlan(scope: Scope, nested: ReadStatement): number {
  let made = 0
  for (const inner of nestedIn(scope)) if (isOwn(inner.place.node)) made += nested(inner)
  return made + emitPlan(scope)
}

function emitPlan(scope: Scope): number {
  const { node } = scope.place
  const code = readConcept(scope, child(node, 'code'), column) ?? readConcept(scope, productCode(node), column)
  const activity = withNarrative(scope, code, node, column)
  const text = readText(scope, child(node, 'text'))
  const instructions = [text === activity.text ? undefined : text, instructionsOf(scope, node)]
    .filter((one) => one !== undefined)
    .join('\n')
  const value = answerOf(scope, childrenOf(node, 'value')[0])
  const intent = intentOf(node)
  const content: Plan = {
    type: 'plan',
    activity,
    ...(instructions === '' ? {} : { instructions }),
    indications: reasonsOf(scope, node),
    ...(value === undefined ? {} : { value }),
  }
  return emit(scope, {
    content,
    subject: activity,
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
}

function productCode(node: XmlNode): XmlNode | undefined {
  return child(materialOf(child(node, 'product')), 'code')
}

/** Codes of wrappers that only say that interventions or concerns follow. */
const headings = new Set(['362956003', '75310-3', '281694009', 'X-RISK-CONCERN-ACT', 'CONC', '76427-4'])

/**
 * A wrapper around statements of their own (C-CDA 22.4.131 and .146 intervention, .132 health concern): each is read by
 * itself. An intervention whose code names it is an item, too; of any other wrapper nothing is left to say, but where
 * nothing followed: then its words are a note, or its code is what was done. `before` counts items made of it already.
 */
export function readWrapper(scope: Scope, nested: ReadStatement, before = 0): number {
  const { node } = scope.place
  let made = 0
  let references = 0
  for (const inner of nestedIn(scope)) {
    if (isReferenceOnly(inner.place.node)) references++
    else if (isA(inner.place.node, templates.priority)) made += readPriority(scope, inner, nested)
    else if (isOwn(inner.place.node)) made += nested(inner)
  }
  const code = given(child(node, 'code'), 'code')
  const tells = code !== undefined && !headings.has(code)
  if (tells && isA(node, templates.intervention)) return made + emitActivity(scope)
  if (made + before > 0) return made
  if (noteText(scope, child(node, 'text')) !== undefined)
    return intentOf(node) === 'performed' ? readNote(scope) : emitPlan(scope)
  if (tells || references === 0) return emitActivity(scope)
  remark(scope, 'unmapped-entry', 'it only refers to other entries')
  return 0
}

/** How much a concern matters to somebody (C-CDA 22.4.143): what it is tracking stands beside it in the same panel. */
function readPriority(scope: Scope, inner: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  return readFinding(inner, 'functional-status', nested, { panel: panelOf(scope, node), within: [node] })
}

/** What was done is a procedure; what is meant to be, a plan. */
function emitActivity(scope: Scope): number {
  const { node } = scope.place
  if (intentOf(node) !== 'performed') return emitPlan(scope)
  const procedure = withNarrative(scope, readConcept(scope, child(node, 'code'), column), node, column)
  return emit(scope, {
    content: { type: 'procedure', procedure, bodySites: [], devices: [] },
    subject: procedure,
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, false),
    intent: 'performed',
  })
}

/**
 * The risks of a risk concern (C-CDA 22.4.136): "at risk for" is the question, the problem its answer. A risk is never read
 * as a problem that the patient has.
 */
export function readRisk(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  const test = readNamed(scope, child(node, 'code')) ?? { codings: [], text: 'At risk for' }
  let made = 0
  for (const inner of nestedIn(scope)) {
    const { node: part } = inner.place
    if (!isOwn(part)) continue
    const value = answerOf(inner, childrenOf(part, 'value')[0])
    if (part.local !== 'observation' || value === undefined) {
      if (part.local !== 'observation') made += nested(inner)
      continue
    }
    const kind = readNamed(inner, child(part, 'code'))
    made += emit(inner, {
      content: {
        type: 'functional-status',
        test,
        value,
        interpretations: [],
        referenceRanges: [],
        ...(kind === undefined ? {} : { components: [{ test: kind }] }),
      },
      subject: test,
      when: readWhen(inner, child(part, 'effectiveTime')),
      status: actStatus(inner, part, false),
      intent: intentOf(part),
      within: [node],
      nullFlavor: value.kind === 'absent' ? value.nullFlavor : undefined,
    })
  }
  return made > 0 ? made : emitPlan(scope)
}
