import type { Agent, PartialDate } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { address, identifiers, name, optionalCode, telecom, template, time } from './datatypes.js'

/** Participations of CDA R2, each written from an agent. */

/** The person, device or organization behind a role. */
function player(agent: Agent, local: string): Content {
  const organization = agent.organization ?? (agent.kind === 'organization' ? agent.text : undefined)
  const represents =
    organization !== undefined && element('representedOrganization', {}, textElement('name', organization))
  if (agent.kind === 'device') {
    return [element('assignedAuthoringDevice', {}, textElement('softwareName', agent.text)), represents || undefined]
  }
  return [agent.kind === 'person' ? element(local, {}, personName(agent)) : undefined, represents || undefined]
}

export function personName(agent: Agent): Markup {
  return name(agent.name ?? { given: [], text: agent.text })
}

/** What CDA says of every role: ids, code, addresses, telecoms. */
function role(agent: Agent): Content {
  return [
    identifiers(agent.identifiers),
    optionalCode('code', agent.role, { qualified: false }),
    agent.addresses?.map(address),
    agent.telecoms?.map(telecom),
  ]
}

/** An assigned entity: performers and informants. A device has no place in one but as an organization. */
export function assignedEntity(agent: Agent, local = 'assignedEntity'): Markup {
  const shown: Agent = agent.kind === 'device' ? { ...agent, kind: 'organization' } : agent
  return element(local, {}, role(shown), player(shown, 'assignedPerson'))
}

/** Author participation (C-CDA 22.4.119): who wrote it, and when as far as the source says. */
export function author(agent: Agent, recordedAt: PartialDate | undefined): Markup {
  return element(
    'author',
    {},
    template('22.4.119'),
    time('time', agent.at ?? recordedAt),
    element('assignedAuthor', {}, role(agent), player(agent, 'assignedPerson')),
  )
}

/** Nobody known wrote it: without this, the patient as the document's author would (CDA R2 §4.4, context conduction). */
export function unknownAuthor(recordedAt: PartialDate | undefined): Markup {
  return element(
    'author',
    {},
    template('22.4.119'),
    time('time', recordedAt),
    element('assignedAuthor', {}, element('id', { nullFlavor: 'UNK' })),
  )
}

export function informant(agent: Agent): Markup {
  return element('informant', {}, assignedEntity(agent))
}

export function performer(agent: Agent): Markup {
  return element('performer', {}, agent.at && time('time', agent.at), assignedEntity(agent))
}
