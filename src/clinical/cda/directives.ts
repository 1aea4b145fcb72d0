import type { AdvanceDirective } from '../../direct/clinical.js'
import type { Agent } from '../../direct/datatypes.js'
import { child, childrenOf, textOf, type XmlNode } from '../../xml/node.js'
import { agentsOf } from './agents.js'
import { given, readConcept, readIdentifiers, readWhen, relatedStatements, says, words } from './datatypes.js'
import { answerOf } from './findings.js'
import { nestedIn } from './nested.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'

const column = /directive|type|intervention|description|name/i

/** Codes of an organizer that only say that directives follow. */
const headings = new Set(['42348-3', '310301000', '45473-6'])

/**
 * One item for each advance directive (C-CDA 22.4.48, CCD R1 1.17, HITSP C83 .12); an organizer (22.4.108) lends its
 * directives its negation, and is an item itself where it names a directive of its own.
 */
export function readDirective(scope: Scope, within: readonly XmlNode[] = []): number {
  const { node } = scope.place
  if (node.local !== 'organizer') return readOne(scope, within)
  let made = 0
  for (const inner of nestedIn(scope)) {
    const { local } = inner.place.node
    if (local === 'observation' || local === 'act' || local === 'organizer') made += readDirective(inner, [node])
  }
  const code = given(child(node, 'code'), 'code')
  return made > 0 && (code === undefined || headings.has(code)) ? made : made + readOne(scope, within)
}

function readOne(scope: Scope, within: readonly XmlNode[]): number {
  const { node } = scope.place
  const first = childrenOf(node, 'value')[0]
  const directive = withNarrative(scope, readConcept(scope, child(node, 'code'), column), node, column)
  const value = answerOf(scope, first)
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type: 'advance-directive',
      directive,
      ...(value === undefined ? {} : { value }),
      ...partiesOf(scope, node),
      documents: documentsOf(scope, node),
    },
    subject: says(directive) || value?.kind !== 'concept' ? directive : value.concept,
    when: readWhen(scope, child(node, 'effectiveTime'), false),
    status: actStatus(scope, node, intent === 'planned'),
    intent,
    within,
    nullFlavor: value?.kind === 'absent' ? value.nullFlavor : undefined,
  })
}

/** Who verified the directive with the patient (VRF), and who keeps it or speaks for the patient (CST and others). */
function partiesOf(scope: Scope, node: XmlNode): { verifiers: readonly Agent[]; agents: readonly Agent[] } {
  const participants = childrenOf(node, 'participant')
  const verifies = (one: XmlNode): boolean => given(one, 'typeCode') === 'VRF'
  return {
    verifiers: agentsOf(scope, participants.filter(verifies), true),
    agents: agentsOf(
      scope,
      participants.filter((one) => !verifies(one)),
      true,
    ),
  }
}

/** The papers themselves, by id and by where they are (C-CDA 22.4.115); nothing is fetched. */
function documentsOf(scope: Scope, node: XmlNode): AdvanceDirective['documents'] {
  const found: AdvanceDirective['documents'][number][] = []
  for (const holder of [node, ...relatedStatements(node)]) {
    for (const reference of childrenOf(holder, 'reference')) {
      const external = child(reference, 'externalDocument')
      if (external === undefined) continue
      const text = child(external, 'text')
      const mediaType = given(text, 'mediaType')
      const place = given(child(text, 'reference'), 'value') ?? words(scope, textOf(text))
      found.push({
        identifiers: readIdentifiers(external),
        ...(mediaType === undefined ? {} : { mediaType }),
        ...(place === undefined ? {} : { reference: place }),
      })
    }
  }
  return found
}
