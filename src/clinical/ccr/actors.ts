import type { Agent, Concept, Identifier, PersonName, PostalAddress, Telecom } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { note } from '../reading.js'
import { readMoment } from './moments.js'
import { type Ccr, type CcrScope, ccrLimits, once, textAt, textIn } from './scope.js'
import { readCode, saying, together } from './types.js'

/** The actor that a reference or a link names; undefined, with a diagnostic, for one that is not among the actors. */
export function actorOf(scope: CcrScope, reference: XmlNode | undefined): Place | undefined {
  const id = textAt(reference, 'ActorID')
  if (id === undefined) return undefined
  const actor = scope.ccr.actors.get(id)
  if (actor === undefined) {
    note(scope.ccr.reading, 'unresolved-reference', scope.place.path, 'an ActorID that no actor has')
  }
  return actor
}

/** A person, organization or information system by name (ASTM E2369 §5.3). */
export function actorName(actor: XmlNode): string | undefined {
  const name = descend(actor, 'Person', 'Name')
  const display = textAt(name, 'DisplayName')
  if (display !== undefined) return display
  const read = readNames(name)[0]
  if (read !== undefined) return fullName(read)
  const organization = textAt(child(actor, 'Organization'), 'Name') ?? textIn(child(actor, 'Organization'))
  if (organization !== undefined) return organization
  const system = child(actor, 'InformationSystem')
  const words = [textAt(system, 'Name'), textAt(system, 'Version')].filter((one) => one !== undefined)
  return words.length === 0 ? textIn(name) : words.join(' ')
}

function fullName(name: PersonName): string {
  return name.text ?? [name.prefix, ...name.given, name.family, name.suffix].filter(Boolean).join(' ')
}

/** How much of an actor an agent tells: who it is, or also where to find it. */
export type Detail = 'who' | 'where'

/**
 * The actor that a reference names, in the role that the reference gives it, else with its relation to the patient or its
 * specialty. Undefined for an actor that nobody can name, unless it is known by its relation.
 */
export function readAgent(scope: CcrScope, reference: XmlNode | undefined, detail: Detail = 'who'): Agent | undefined {
  const actor = actorOf(scope, reference)
  if (actor === undefined || reference === undefined) return undefined
  const { node } = actor
  const role = roleOf(scope, reference, node)
  const text = actorName(node) ?? (child(node, 'Person') && relationOf(scope, node)?.text)
  if (text === undefined) return undefined
  const name = readNames(descend(node, 'Person', 'Name'))[0]
  const organization = employerOf(scope, node)
  const telecoms = readTelecoms(node)
  const addresses = childrenOf(node, 'Address').map(readAddress)
  return {
    kind: kindOf(node),
    text,
    ...(name === undefined ? {} : { name }),
    ...(organization === undefined ? {} : { organization }),
    ...(role === undefined ? {} : { role }),
    identifiers: readIdentifiers(scope, node),
    ...(detail === 'who' || telecoms.length === 0 ? {} : { telecoms }),
    ...(detail === 'who' || addresses.length === 0 ? {} : { addresses }),
  }
}

function kindOf(actor: XmlNode): Agent['kind'] {
  if (child(actor, 'Person') !== undefined) return 'person'
  return child(actor, 'InformationSystem') === undefined ? 'organization' : 'device'
}

/** The words by which the same role is known, all ActorRoles of a reference as one concept. */
export function roleOf(scope: CcrScope, reference: XmlNode, actor: XmlNode): Concept | undefined {
  const given = together(...childrenOf(reference, 'ActorRole').map((one) => readCode(scope, one)))
  if (saying(given)) return given
  const relation = relationOf(scope, actor)
  if (relation !== undefined) return relation
  const specialty = readCode(scope, child(actor, 'Specialty'))
  return saying(specialty) ? specialty : undefined
}

/** What a person is to the patient. */
export function relationOf(scope: CcrScope, actor: XmlNode): Concept | undefined {
  const relation = readCode(scope, child(actor, 'Relation'))
  return saying(relation) ? relation : undefined
}

/** The organization that a person's actor links to as the employer, practice or clinic. */
function employerOf(scope: CcrScope, actor: XmlNode): string | undefined {
  for (const link of childrenOf(actor, 'InternalCCRLink')) {
    const linked = scope.ccr.actors.get(textAt(link, 'LinkID') ?? '')
    if (linked !== undefined && child(linked.node, 'Organization') !== undefined) return actorName(linked.node)
  }
  return undefined
}

/** Agents of a list of references: Practitioners/Practitioner and the like. */
export function readAgents(scope: CcrScope, references: readonly XmlNode[], detail: Detail = 'who'): Agent[] {
  const few = references.slice(0, ccrLimits.agents)
  return few.map((one) => readAgent(scope, one, detail)).filter((agent) => agent !== undefined)
}

/** Who said something: authors wrote it down, informants told it. */
export interface Sources {
  readonly authors: readonly Agent[]
  readonly informants: readonly Agent[]
}

/** The actors that an object names as its sources, and when they said so: the patient and relatives inform, others write. */
export function readSources(scope: CcrScope, node: XmlNode): Sources {
  return once(scope, node, 'sources', () => sourcesIn(scope, node))
}

function sourcesIn(scope: CcrScope, node: XmlNode): Sources {
  const authors: Agent[] = []
  const informants: Agent[] = []
  for (const source of childrenOf(node, 'Source').slice(0, ccrLimits.agents)) {
    const at = readMoment(scope, child(source, 'DateTime'))?.value
    // The schema has Source/Actor/ActorID; some senders leave the Actor out.
    const references = child(source, 'ActorID') === undefined ? childrenOf(source, 'Actor') : [source]
    for (const reference of references.slice(0, ccrLimits.agents)) {
      const agent = readAgent(scope, reference)
      if (agent === undefined) continue
      const list = informs(scope, reference) ? informants : authors
      const known = list.some(({ text, role }) => text === agent.text && role?.text === agent.role?.text)
      if (!known && list.length < ccrLimits.agents) list.push(at === undefined ? agent : { ...agent, at })
    }
  }
  return { authors, informants }
}

function informs(scope: CcrScope, reference: XmlNode): boolean {
  const id = textAt(reference, 'ActorID') ?? ''
  const actor = scope.ccr.actors.get(id)
  return scope.ccr.patientIds.includes(id) || (actor !== undefined && child(actor.node, 'Relation') !== undefined)
}

function texts(node: XmlNode, local: string): string[] {
  return childrenOf(node, local)
    .map(textIn)
    .filter((text) => text !== undefined)
}

/** Current, birth and additional names, in that order; middle names follow the given ones. */
export function readNames(name: XmlNode | undefined): PersonName[] {
  const names: PersonName[] = []
  for (const [local, use] of [
    ['CurrentName', 'L'],
    ['BirthName', 'BR'],
    ['AdditionalName', undefined],
  ] as const) {
    for (const node of childrenOf(name, local)) {
      const given = [...texts(node, 'Given'), ...texts(node, 'Middle')]
      const family = texts(node, 'Family').join(' ')
      if (given.length === 0 && family === '') continue
      const prefix = texts(node, 'Title').join(' ')
      const suffix = texts(node, 'Suffix').join(' ')
      names.push({
        given,
        ...(family === '' ? {} : { family }),
        ...(prefix === '' ? {} : { prefix }),
        ...(suffix === '' ? {} : { suffix }),
        ...(use === undefined ? {} : { use }),
      })
    }
  }
  const display = textAt(name, 'DisplayName') ?? textIn(name)
  return names.length === 0 && display !== undefined ? [{ given: [], text: display }] : names
}

export function readAddress(node: XmlNode): PostalAddress {
  const lines = ['Line1', 'Line2', 'Line3'].map((local) => textAt(node, local))
  const entry = (key: 'city' | 'state' | 'postalCode' | 'country', local: string) => {
    const text = textAt(node, local)
    return text === undefined ? {} : { [key]: text }
  }
  const use = textAt(child(node, 'Type'), 'Text')
  return {
    lines: lines.filter((line) => line !== undefined),
    ...entry('city', 'City'),
    ...entry('state', 'State'),
    ...entry('postalCode', 'PostalCode'),
    ...entry('country', 'Country'),
    ...(use === undefined ? {} : { use }),
  }
}

/** Telephones, mail addresses and URLs. */
export function readTelecoms(actor: XmlNode): Telecom[] {
  return [...childrenOf(actor, 'Telephone'), ...childrenOf(actor, 'EMail'), ...childrenOf(actor, 'URL')]
    .map(readTelecom)
    .filter((telecom) => telecom !== undefined)
}

function readTelecom(node: XmlNode): Telecom | undefined {
  const value = textAt(node, 'Value')
  const use = textAt(child(node, 'Type'), 'Text')
  return value === undefined ? undefined : { value, ...(use === undefined ? {} : { use }) }
}

/** Words that senders write where they have no identifier. */
const noId = /^(n\/a|none|null|unknown|-+)$/i

/** One IDs element: its type, its issuer and the identifier. */
export interface TypedId {
  readonly type?: string
  readonly issuer?: string
  readonly value: string
}

export function readIds(ccr: Ccr, node: XmlNode | undefined): TypedId[] {
  return childrenOf(node, 'IDs').flatMap((ids) => {
    const value = textAt(ids, 'ID')
    if (value === undefined || noId.test(value)) return []
    const type = textAt(child(ids, 'Type'), 'Text')
    const actor = ccr.actors.get(textAt(child(ids, 'IssuedBy'), 'ActorID') ?? '')
    const issuer = actor && actorName(actor.node)
    return [{ ...(type === undefined ? {} : { type }), ...(issuer === undefined ? {} : { issuer }), value }]
  })
}

/** An identifier with its issuer's name, else its type, as root. */
export function identifierOf({ type, issuer, value }: TypedId): Identifier {
  const root = issuer ?? type
  return { ...(root === undefined ? {} : { root }), value }
}

export function readIdentifiers(scope: CcrScope, node: XmlNode | undefined): Identifier[] {
  return readIds(scope.ccr, node).map(identifierOf)
}
