import type { AdvanceDirective } from '../../direct/clinical.js'
import type { Agent, Value } from '../../direct/datatypes.js'
import { child, childrenOf } from '../../xml/node.js'
import { readAgents, readSources } from './actors.js'
import { datesOf, readSpan } from './dates.js'
import { locationsOf, readLinks } from './links.js'
import { readMoment } from './moments.js'
import { emit } from './object.js'
import { type CcrScope, textIn } from './scope.js'
import { codesOf, saying, together, wordsOf } from './types.js'

/** AdvanceDirectives/AdvanceDirective: its type is what it is about, its description what is wished. */
export function readDirective(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const described = together(...codesOf(scope, node, 'Description'))
  const directive = saying(typed) ? typed : described
  return emit(scope, {
    content: {
      type: 'advance-directive',
      directive,
      ...(saying(typed) && saying(described) ? { value: wishOf(described) } : {}),
      verifiers: verifiersOf(scope),
      agents: agentsOf(scope),
      documents: documentsOf(scope),
    },
    subject: directive,
    when: readSpan(scope),
  })
}

function wishOf(described: ReturnType<typeof together>): Value {
  if (described.codings.length > 0) return { kind: 'concept', concept: described }
  return { kind: 'text', text: wordsOf(described) ?? '' }
}

/** `Verified With Patient` is the label of a date: who verified it, and when. */
function verifiersOf(scope: CcrScope): Agent[] {
  return datesOf(scope.place.node).flatMap(({ label, node }) => {
    const [, who] = /^verified (?:with|by) (.+)$/i.exec(label ?? '') ?? []
    const at = readMoment(scope, node)?.value
    return who === undefined
      ? []
      : [{ kind: 'person', text: who, identifiers: [], ...(at === undefined ? {} : { at }) }]
  })
}

/** Sources that have a role, and practitioners: who attends to it. */
function agentsOf(scope: CcrScope): Agent[] {
  const { node } = scope.place
  const { authors } = readSources(scope, node)
  const attending = authors.filter(({ role }) =>
    /attend|treat|custod|proxy|power of attorney/i.test((role && wordsOf(role)) ?? ''),
  )
  return [...attending, ...readAgents(scope, childrenOf(child(node, 'Practitioners'), 'Practitioner'))]
}

/** References of the directive, with where they say that the paper is; nothing is fetched. */
function documentsOf(scope: CcrScope): AdvanceDirective['documents'] {
  const ids = childrenOf(scope.place.node, 'ReferenceID').map(textIn)
  const linked = readLinks(scope, scope.place.node).map(({ id }) => (scope.ccr.references.has(id) ? id : undefined))
  return [...ids, ...linked].flatMap((id) => {
    const reference = id === undefined ? undefined : scope.ccr.references.get(id)
    if (id === undefined || reference === undefined) return []
    const [where] = locationsOf(scope, reference.node)
    return [{ identifiers: [{ value: id }], ...(where === undefined ? {} : { reference: where }) }]
  })
}
