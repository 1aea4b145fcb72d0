import type { PartialDate } from '../../direct/datatypes.js'
import { child, childrenOf, elements, type XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { nullFlavorOf, readIdentifiers, readTime } from './datatypes.js'
import { displayName, readName } from './names.js'
import type { Authorship, Cda, Scope } from './scope.js'

const participations = new Set([
  'author',
  'dataEnterer',
  'informant',
  'legalAuthenticator',
  'authenticator',
  'performer',
])

/** Learns the names of everyone in the header, so that an author named by id alone later has a name. */
export function learnPeople(cda: Cda): void {
  const visit = (node: XmlNode, depth: number): void => {
    for (const item of elements(node)) {
      if (participations.has(item.local)) {
        for (const role of elements(item)) learn(cda, role)
      } else if (depth > 0 && item.local !== 'component') visit(item, depth - 1)
    }
  }
  visit(cda.root.node, 2)
}

function learn(cda: Cda, role: XmlNode): void {
  const name = nameOf(role)
  if (name === undefined) return
  for (const id of readIdentifiers(role)) {
    // An id without extension names a registry, not a person, unless it is a UUID.
    const key = keyOf(id)
    if (key !== undefined && !cda.people.has(key)) cda.people.set(key, name)
  }
}

function keyOf(id: { readonly root?: string; readonly value?: string }): string | undefined {
  if (id.value === undefined && !id.root?.includes('-')) return undefined
  return `${id.root ?? ''}|${id.value ?? ''}`.toLowerCase()
}

/** The person, device or organization of an assigned role. */
function nameOf(role: XmlNode): string | undefined {
  const person = child(role, 'assignedPerson') ?? child(role, 'relatedPerson')
  for (const name of childrenOf(person, 'name')) {
    const read = readName(name)
    if (read !== undefined) return displayName(read)
  }
  const device = child(role, 'assignedAuthoringDevice')
  const software = child(device, 'softwareName') ?? child(device, 'manufacturerModelName')
  const organization = child(child(role, 'representedOrganization'), 'name')
  for (const named of [software, organization]) {
    const read = named && readName(named)
    if (read) return displayName(read)
  }
  return undefined
}

/**
 * Authorship of an element: its own authors, else what was conducted from outside (CDA R2 §4.4). With several authors the
 * earliest time counts as the time of recording.
 */
export function conduct(scope: Scope, place: Place): Authorship {
  const authors = childrenOf(place.node, 'author').filter((author) => nullFlavorOf(author) === undefined)
  if (authors.length === 0) return scope.authorship
  const names = new Set<string>()
  let earliest: PartialDate | undefined
  for (const author of authors) {
    const role = child(author, 'assignedAuthor')
    if (role) {
      learn(scope.cda, role)
      const name = nameOf(role) ?? knownName(scope.cda, role)
      if (name !== undefined) names.add(name)
    }
    const time = child(author, 'time')
    const written = readTime(scope, time) ?? readTime(scope, child(time, 'low'))
    if (written && (earliest === undefined || written.text < earliest.text)) earliest = written
  }
  const recordedAt = earliest ?? scope.authorship.recordedAt
  return {
    authors: names.size > 0 ? [...names] : scope.authorship.authors,
    ...(recordedAt === undefined ? {} : { recordedAt }),
  }
}

function knownName(cda: Cda, role: XmlNode): string | undefined {
  for (const id of readIdentifiers(role)) {
    const key = keyOf(id)
    const name = key === undefined ? undefined : cda.people.get(key)
    if (name !== undefined) return name
  }
  return undefined
}
