import type { CareTeam } from '../../direct/clinical.js'
import type { Agent } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { agentsOf } from './agents.js'
import { given, isNegated, nullFlavorOf, readConcept, readNamed, readWhen, says } from './datatypes.js'
import { nestedIn } from './nested.js'
import type { Scope } from './scope.js'
import { emit, intentOf } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

type Member = CareTeam['members'][number]

/**
 * One item for a care team organizer (C-CDA 22.4.500) with its members (22.4.500.1), its kind (22.4.500.2) and its name, which
 * is the original text of its code. A member act by itself is a team of one.
 */
export function readCareTeam(scope: Scope): number {
  const { node } = scope.place
  const members: Member[] = []
  let kind = undefined as CareTeam['kind']
  const inner = node.local === 'organizer' ? nestedIn(scope) : [scope]
  for (const part of inner) {
    const { node: one } = part.place
    if (isA(one, templates.careTeamType) || (given(child(one, 'code'), 'code') === '86744-0' && one !== node)) {
      kind ??= readNamed(scope, child(one, 'value'))
    } else if (one.local === 'act' && !isNegated(one) && nullFlavorOf(one) === undefined)
      members.push(...membersOf(part))
  }
  const code = readConcept(scope, child(node, 'code'), /name|team/i)
  const original = child(child(node, 'code'), 'originalText')
  const name = original === undefined ? undefined : code?.text
  const words = name ?? members[0]?.agent.text
  const subject = kind ?? code ?? { codings: [] }
  return emit(scope, {
    content: {
      type: 'care-team',
      ...(name === undefined ? {} : { name }),
      ...(kind === undefined ? (says(code) ? { kind: code } : {}) : { kind }),
      members,
    },
    subject: says(subject) || words === undefined ? subject : { codings: [], text: words },
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, false),
    intent: intentOf(node),
  })
}

/** The performers of a member act; where it names nobody but a participant, that one. */
function membersOf(scope: Scope): Member[] {
  const { node } = scope.place
  const when = readWhen(scope, child(node, 'effectiveTime'))
  const status = given(child(node, 'statusCode'), 'code')
  return agentsIn(scope, node).map((agent) => ({
    agent,
    ...(when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
  }))
}

function agentsIn(scope: Scope, node: XmlNode): readonly Agent[] {
  const performers = agentsOf(scope, childrenOf(node, 'performer'), true)
  if (performers.length > 0) return performers
  const participants = childrenOf(node, 'participant').filter((one) => given(one, 'typeCode') !== 'LOC')
  return agentsOf(scope, participants, true)
}
