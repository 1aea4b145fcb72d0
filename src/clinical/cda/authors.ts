import type { Agent, PartialDate } from '../../direct/datatypes.js'
import { child, childrenOf, elements, type XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { agentsOf, participations, readAgent } from './agents.js'
import { nullFlavorOf, readTime } from './datatypes.js'
import type { Authorship, Scope } from './scope.js'

/** Learns who everyone in the header is, so that an author named by id alone later has a name. */
export function learnPeople(scope: Scope): void {
  const visit = (node: XmlNode, depth: number): void => {
    for (const item of elements(node)) {
      if (participations.has(item.local)) readAgent(scope, item)
      else if (depth > 0 && item.local !== 'component') visit(item, depth - 1)
    }
  }
  visit(scope.cda.root.node, 2)
}

/**
 * Authorship of an element: its own authors and informants, else what was conducted from outside (CDA R2 §4.4). With
 * several authors the earliest time counts as the time of recording.
 */
export function conduct(scope: Scope, place: Place): Authorship {
  const informants = agentsOf(scope, childrenOf(place.node, 'informant'))
  const told = informants.length > 0 ? informants : scope.authorship.informants
  const authors = childrenOf(place.node, 'author').filter((author) => nullFlavorOf(author) === undefined)
  if (authors.length === 0) {
    return told === scope.authorship.informants ? scope.authorship : { ...scope.authorship, ...informed(told) }
  }
  let earliest: PartialDate | undefined
  for (const author of authors.slice(0, scope.cda.reading.limits.agents)) {
    const time = child(author, 'time')
    const written = readTime(scope, time) ?? readTime(scope, child(time, 'low'))
    if (written && (earliest === undefined || written.text < earliest.text)) earliest = written
  }
  const agents = agentsOf(scope, authors)
  const recordedAt = earliest ?? scope.authorship.recordedAt
  return {
    authors: agents.length > 0 ? agents : scope.authorship.authors,
    ...(recordedAt === undefined ? {} : { recordedAt }),
    ...informed(told),
  }
}

function informed(informants: readonly Agent[] | undefined): { informants?: readonly Agent[] } {
  return informants === undefined || informants.length === 0 ? {} : { informants }
}
