import { nameKey } from './codes.mjs'
import { codeKeys, collector, detail, has, relations, tell, valueFacts } from './facts.mjs'
import { roots } from './rules.mjs'
import { attr, down, kid, kids, words } from './tree.mjs'

/** Coverage Activity with its Policy Activities (22.4.60, 22.4.61; CCD R1 1.20, 1.26): kind of policy, member, group, payer. */
export function coverage(out, node) {
  const inside = relations(node).flatMap((one) => kids(one, 'act'))
  const policies = inside.filter((one) => has(one, roots.policy))
  const chosen = policies.length > 0 ? policies : has(node, roots.policy) || inside.length === 0 ? [node] : inside
  for (const one of chosen) {
    const { id, free } = tell(out, one, ['insurance'], kids(one, 'code'), {
      optional: attr(node, 'nullFlavor') !== undefined,
    })
    for (const part of kids(one, 'participant').filter((part) => attr(part, 'typeCode') === 'COV'))
      for (const number of kids(kid(part, 'participantRole'), 'id')) {
        const member = attr(number, 'extension')
        if (member !== undefined) out.put('detail', part.path, [`member ${member}`, `group ${member}`], free)
      }
    for (const performer of kids(one, 'performer')) {
      const payer = words(down(performer, 'assignedEntity', 'representedOrganization', 'name'))
      const code = attr(down(performer, 'assignedEntity', 'code'), 'code')
      if (payer !== '' && code !== 'GUAR') out.put('detail', performer.path, [`payer ${nameKey(payer)}`], free)
    }
    detail(out, one.path, 'kind', id, [], true)
  }
  // The act around them says only that these are the sources of payment.
  const aside = collector(out.section, out.kind, out.document)
  tell(aside, node, ['insurance'], kids(node, 'code'), { optional: true })
  for (const fact of aside.facts) out.put(fact.cat, fact.path, fact.keys, true)
}

/** Advance Directive Observation (22.4.48; CCD R1 1.17; C83.12), alone or in its organizer. */
export function directive(out, node) {
  if (node.local === 'organizer') {
    for (const one of kids(node, 'component').flatMap((part) => kids(part, 'observation'))) directive(out, one)
    tell(out, node, ['directive'], kids(node, 'code'), { optional: true })
    return
  }
  const { id, free } = tell(out, node, ['directive'], kids(node, 'code'))
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free)
}

/** Care Team Organizer (22.4.500): the names of its members (22.4.500.1). */
export function careTeam(out, node) {
  for (const key of codeKeys(...kids(node, 'code'))) out.put('code', node.path, [`code care-team ${key}`])
  tell(out, node, ['care-team'], kids(node, 'code'), { optional: true })
  for (const act of kids(node, 'component').flatMap((part) => kids(part, 'act')))
    for (const performer of kids(act, 'performer')) {
      const person = down(performer, 'assignedEntity', 'assignedPerson', 'name')
      const name =
        nameKey([...kids(person, 'given'), ...kids(person, 'family')].map(words).join(' ')) || nameKey(words(person))
      if (name !== '') out.put('detail', act.path, [`member ${name}`, `member ${nameKey(words(person))}`])
    }
}

/** Note Activity (22.4.202): the kind of note in code or its translations. */
export function note(out, node) {
  tell(out, node, ['note'], kids(node, 'code'))
}

/** A comment that stands alone may be a note. */
export function comment(out, node) {
  tell(out, node, ['note'], kids(node, 'code'), { optional: true })
}
