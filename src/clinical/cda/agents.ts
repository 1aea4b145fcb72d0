import type { Agent, Identifier } from '../../direct/datatypes.js'
import { child, childrenOf, elements, textOf, type XmlNode } from '../../xml/node.js'
import { nullFlavorOf, readIdentifiers, readNamed, readTime, words } from './datatypes.js'
import { displayName, readAddress, readName, readTelecom } from './names.js'
import { type Scope, sdtc } from './scope.js'

/** Participations of CDA R2 in which somebody may be introduced. */
export const participations: ReadonlySet<string> = new Set([
  'author',
  'dataEnterer',
  'informant',
  'legalAuthenticator',
  'authenticator',
  'performer',
  'responsibleParty',
  'encounterParticipant',
  'informationRecipient',
  'participant',
])

const roles = new Set([
  'assignedAuthor',
  'assignedEntity',
  'assignedCustodian',
  'relatedEntity',
  'associatedEntity',
  'intendedRecipient',
  'participantRole',
])
const persons = [
  'assignedPerson',
  'relatedPerson',
  'associatedPerson',
  'guardianPerson',
  'informationRecipient',
  'playingEntity',
]
const organizations = [
  'representedOrganization',
  'representedCustodianOrganization',
  'scopingOrganization',
  'receivedOrganization',
  'guardianOrganization',
]

/**
 * The agents of participations, in source order, the same one once. At most `limits.agents` of them: a statement has a
 * handful.
 */
export function agentsOf(scope: Scope, nodes: readonly XmlNode[], full = false): Agent[] {
  const found: Agent[] = []
  const seen = new Set<string>()
  for (const node of nodes.slice(0, scope.cda.reading.limits.agents)) {
    const agent = readAgent(scope, node, full)
    if (agent === undefined) continue
    const key = JSON.stringify([agent.text, agent.organization, agent.identifiers, agent.at?.text, agent.role])
    if (!seen.has(key)) found.push(agent)
    seen.add(key)
  }
  return found
}

/**
 * Who takes part, from a participation (author, performer, informant, participant, custodian …); undefined for somebody
 * whom neither the element nor an earlier one with the same id names. `full` adds name parts, telecoms and addresses.
 */
export function readAgent(scope: Scope, participation: XmlNode, full = false): Agent | undefined {
  if (nullFlavorOf(participation) !== undefined) return undefined
  const role = elements(participation).find((one) => one.ns === participation.ns && roles.has(one.local))
  if (role === undefined) return undefined
  const time = child(participation, 'time')
  const at = readTime(scope, time) ?? readTime(scope, child(time, 'low'))
  const duty =
    readNamed(scope, child(participation, 'functionCode')) ??
    readNamed(scope, child(participation, 'functionCode', sdtc))
  const agent = readRole(scope, role, full)
  if (agent === undefined) return undefined
  return { ...agent, ...(duty === undefined ? {} : { role: duty }), ...(at === undefined ? {} : { at }) }
}

/** Who plays a role: person, else device, else organization; else whoever was introduced by one of its ids. */
export function readRole(scope: Scope, role: XmlNode, full = false): Agent | undefined {
  const code = readNamed(scope, child(role, 'code'))
  const identifiers = readIdentifiers(role)
  const named = readPlayer(scope, role, full)
  const known = named ?? introduced(scope, identifiers)
  if (known === undefined) return undefined
  const agent: Agent = {
    ...known,
    ...(code === undefined ? {} : { role: code }),
    identifiers: unique([...identifiers, ...known.identifiers]),
    ...(full ? reach(role, organizationOf(role)) : {}),
  }
  if (named !== undefined) {
    for (const key of idKeys(identifiers)) if (!scope.cda.people.has(key)) scope.cda.people.set(key, agent)
  }
  return agent
}

function readPlayer(scope: Scope, role: XmlNode, full: boolean): Agent | undefined {
  const house = organizationOf(role)
  const houseName = words(scope, house === undefined ? '' : organizationName(house))
  for (const local of persons) {
    const person = child(role, local)
    if (person === undefined) continue
    for (const node of childrenOf(person, 'name')) {
      const name = readName(node)
      const text = name && words(scope, displayName(name))
      if (name === undefined || text === undefined) continue
      return {
        kind: 'person',
        text,
        ...(full ? { name } : {}),
        ...(houseName === undefined || houseName === text ? {} : { organization: houseName }),
        identifiers: [],
      }
    }
  }
  const device = child(role, 'assignedAuthoringDevice') ?? child(role, 'playingDevice')
  for (const local of ['softwareName', 'manufacturerModelName']) {
    const text = words(scope, textOf(child(device, local)))
    if (text === undefined) continue
    return { kind: 'device', text, ...(houseName === undefined ? {} : { organization: houseName }), identifiers: [] }
  }
  if (house === undefined || houseName === undefined) return undefined
  return { kind: 'organization', text: houseName, identifiers: readIdentifiers(house) }
}

/** An organization by itself: a custodian, a provider, a payer. Undefined without a name. */
export function readOrganization(scope: Scope, node: XmlNode | undefined): Agent | undefined {
  const text = node && words(scope, organizationName(node))
  if (node === undefined || text === undefined) return undefined
  return { kind: 'organization', text, identifiers: readIdentifiers(node), ...reach(node, undefined) }
}

function organizationOf(role: XmlNode): XmlNode | undefined {
  for (const local of organizations) {
    const node = child(role, local)
    if (node !== undefined) return node
  }
  return undefined
}

/** An organization that is not named may be part of one that is (asOrganizationPartOf). */
function organizationName(node: XmlNode, depth = 2): string {
  for (const name of childrenOf(node, 'name')) {
    const read = readName(name)
    if (read !== undefined) return displayName(read)
  }
  const whole = child(child(node, 'asOrganizationPartOf'), 'wholeOrganization')
  return whole === undefined || depth === 0 ? '' : organizationName(whole, depth - 1)
}

/** Where the agent is reached, of the role itself, else of its organization. */
function reach(role: XmlNode, house: XmlNode | undefined): Pick<Agent, 'telecoms' | 'addresses'> {
  const read = <T>(local: string, one: (node: XmlNode) => T | undefined): T[] => {
    for (const node of [role, house]) {
      const found = childrenOf(node, local)
        .map(one)
        .filter((value) => value !== undefined)
      if (found.length > 0) return found
    }
    return []
  }
  const telecoms = read('telecom', readTelecom)
  const addresses = read('addr', readAddress)
  return { ...(telecoms.length > 0 ? { telecoms } : {}), ...(addresses.length > 0 ? { addresses } : {}) }
}

function introduced(scope: Scope, identifiers: readonly Identifier[]): Agent | undefined {
  for (const key of idKeys(identifiers)) {
    const agent = scope.cda.people.get(key)
    if (agent !== undefined) return { ...agent, identifiers: agent.identifiers }
  }
  return undefined
}

/** Keys of ids that tell one thing: a root without extension names a registry, unless it is a UUID. */
export function idKeys(identifiers: readonly Identifier[]): string[] {
  return identifiers
    .filter((id) => id.value !== undefined || id.root?.includes('-') === true)
    .map((id) => `${id.root?.toLowerCase() ?? ''}|${id.value ?? ''}`)
}

function unique(identifiers: readonly Identifier[]): Identifier[] {
  const seen = new Set<string>()
  return identifiers.filter((id) => {
    const key = `${id.root}|${id.value}`
    return seen.has(key) ? false : seen.add(key)
  })
}
