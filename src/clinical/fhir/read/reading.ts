import type { ItemContent, RecordItem } from '../../../direct/clinical.js'
import type { Agent, Concept, Identifier } from '../../../direct/datatypes.js'
import { own } from '../datatypes.js'
import {
  filled,
  kept,
  readAddress,
  readCoding,
  readConcept,
  readConcepts,
  readIdentifiers,
  readName,
  readTelecom,
} from './datatypes.js'
import type { Fields, Log } from './fields.js'

/** What a resource says, as an item that a record does not know yet. */
export interface ReadItem extends Omit<RecordItem, 'id' | 'provenance'> {
  /** Who wrote it down, as the resource names them. */
  readonly authors: readonly Agent[]
}

/** A resource that is being read, with what stands around it. */
export interface Reading {
  readonly fields: Fields
  readonly log: Log
  /** The resource that a reference names: contained, or of the same Bundle. */
  readonly resolve: (reference: string) => Fields | undefined
  /** Whether a reference names the patient of the record. */
  readonly isPatient: (reference: string) => boolean
  /** The same for the same resource, and another for any other: for what belongs together within it. */
  readonly key: string
}

/** The patient reads, as an agent, as whoever speaks for themselves (HL7 v3 RoleCode). */
const self: Concept = {
  codings: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'ONESELF', display: 'self' }],
}

/** Refuses a resource that is about somebody else, or about nobody. */
export function mustBeOfPatient({ fields, log, isPatient }: Reading, name: string): void {
  const at = `${fields.path}.${name}`
  const reference = fields.object(name)
  const named = reference?.text('reference')
  for (const field of ['display', 'type', 'identifier']) reference?.skip(field)
  if (named === undefined) log.error('required', at, 'It does not say whom it is about')
  else if (!isPatient(named)) log.error('not-found', at, 'It is about somebody else than the patient of this record')
}

/** What a Reference names, as somebody who took part; undefined, and told, where nobody can be named. */
export function readAgent(reading: Reading, reference: Fields | undefined): Agent | undefined {
  if (!reference) return undefined
  const named = reference.text('reference')
  const display = reference.text('display')
  const type = reference.text('type') ?? named?.split('/').at(-2)
  reference.skip('identifier')
  if (named !== undefined && reading.isPatient(named)) {
    return { kind: 'person', text: display ?? 'The patient', role: self, identifiers: [] }
  }
  const target = named === undefined ? undefined : reading.resolve(named)
  const agent = target && agentOf(reading, target)
  if (agent) return agent
  if (display === undefined) return reading.log.error('not-found', reference.path, 'It names nobody that can be found')
  const kind = type === 'Organization' ? 'organization' : type === 'Device' ? 'device' : 'person'
  return { kind, text: display, identifiers: [] }
}

function agentOf(reading: Reading, fields: Fields): Agent | undefined {
  const identifiers = readIdentifiers(fields)
  const telecoms = () => filled(fields.list('telecom').flatMap((one) => readTelecom(one) ?? []))
  const addresses = (all: readonly Fields[]) => filled(all.map(readAddress))
  fields.skip('active')
  switch (fields.text('resourceType')) {
    case 'Organization': {
      const text = fields.text('name')
      return text === undefined
        ? undefined
        : kept<Agent>({
            kind: 'organization',
            text,
            identifiers,
            telecoms: telecoms(),
            addresses: addresses(fields.list('address')),
          })
    }
    case 'Device': {
      const [named] = fields.list('deviceName')
      const text = named?.text('name')
      named?.skip('type')
      return text === undefined ? undefined : { kind: 'device', text, identifiers }
    }
    case 'Practitioner':
    case 'RelatedPerson': {
      const [named] = fields.list('name')
      const name = named && readName(named)
      const [qualification] = fields.list('qualification')
      const code = qualification?.object('code')
      const role = readConcept(code) ?? readConcepts(fields, 'relationship')[0]
      for (const field of ['gender', 'birthDate', 'photo', 'communication', 'patient', 'period']) fields.skip(field)
      const text = name?.text ?? [...(name?.given ?? []), name?.family ?? ''].join(' ').trim()
      if (!name || text === '') return undefined
      const { text: _, ...parts } = name
      const whole = name.given.length > 0 || name.family !== undefined
      return kept<Agent>({
        kind: 'person',
        text,
        name: whole ? { ...parts, ...(name.text !== undefined && { text: name.text }) } : undefined,
        role,
        identifiers,
        telecoms: telecoms(),
        addresses: addresses(fields.list('address')),
      })
    }
    case 'PractitionerRole': {
      const who = fields.object('practitioner') ?? fields.object('organization')
      const agent = readAgent(reading, who)
      const place = fields.object('organization')
      const organization = place && place !== who ? readAgent(reading, place)?.text : undefined
      const [role] = readConcepts(fields, 'code')
      for (const field of ['specialty', 'location', 'telecom', 'period', 'availableTime', 'endpoint'])
        fields.skip(field)
      return (
        agent && kept<Agent>({ ...agent, role: role ?? agent.role, organization: organization ?? agent.organization })
      )
    }
    default:
      return undefined
  }
}

/** Agents of a list of references. */
export function readAgents(reading: Reading, references: readonly Fields[]): readonly Agent[] {
  return references.flatMap((one) => readAgent(reading, one) ?? [])
}

/** Words of `note`; who said them and when is not kept. */
export function readNotes(fields: Fields, but: readonly string[] = []): readonly string[] | undefined {
  const all = fields.list('note').flatMap((one) => {
    for (const name of ['authorReference', 'authorString', 'time']) one.skip(name, 'Not kept')
    return one.text('text') ?? []
  })
  return filled(all.filter((one) => !but.includes(one)))
}

/** What all resources say the same way. */
export function readShared({ fields }: Reading): Pick<ReadItem, 'identifiers' | 'labels' | 'mood'> {
  const [mood] = fields.extensions(`${own}:mood`)
  const meta = fields.object('meta')
  for (const name of ['versionId', 'lastUpdated', 'source', 'profile', 'tag']) meta?.skip(name)
  const labels = meta?.list('security').flatMap((one) => readCoding(one) ?? []) ?? []
  return kept({
    identifiers: readIdentifiers(fields).filter(
      ({ root, value }: Identifier) => root !== undefined || value !== undefined,
    ),
    labels: filled(labels),
    mood: mood?.text('valueCode'),
  })
}

/** What a reader gives; everything else of an item has its usual value. */
export type Said = Partial<Omit<ReadItem, 'content'>> & { readonly content: ItemContent }

/** The item, without what is undefined. */
export function made(
  reading: Reading,
  said: { [Name in keyof Said]: Said[Name] | undefined } & { readonly content: ItemContent },
): ReadItem {
  const { content, ...more } = said
  return {
    negated: false,
    intent: 'performed',
    ...readShared(reading),
    authors: [],
    ...kept<Partial<ReadItem>>(more as Partial<ReadItem>),
    content,
  } as ReadItem
}

export type Status = NonNullable<RecordItem['status']>

/** A status by its code, of those that the record can keep; any other is told. A missing one is `unknown` where none is wanted. */
export function readStatus(
  { fields, log }: Reading,
  name: string,
  known: Readonly<Record<string, Status>>,
  otherwise?: string,
): { readonly code: string; readonly status: Status } | undefined {
  const code = fields.text(name) ?? otherwise
  if (code === undefined) return log.error('required', `${fields.path}.${name}`, 'This is missing')
  const status = Object.hasOwn(known, code) ? known[code] : undefined
  return status
    ? { code, status }
    : log.error('not-supported', `${fields.path}.${name}`, 'The record cannot keep this status')
}

/** The one code of a concept of one system; undefined where there is none, told where there are several. */
export function codeIn(from: Concept | undefined, system: string): string | undefined {
  return from?.codings.find((one) => one.system === system)?.code
}

export const completed: Status = { folded: 'completed', source: 'completed' }
export const active: Status = { folded: 'active', source: 'active' }
export const cancelled: Status = { folded: 'cancelled', source: 'cancelled' }
export const nullified: Status = { folded: 'cancelled', source: 'nullified' }
export const suspended: Status = { folded: 'inactive', source: 'suspended' }
export const aborted: Status = { folded: 'cancelled', source: 'aborted' }
export const stopped: Status = { folded: 'inactive', source: 'stopped' }
export const unknown: Status = { folded: 'unknown', source: 'unknown' }
