import { createHash } from 'node:crypto'
import type { RecordItem } from '../../direct/clinical.js'
import type { Agent, Coding } from '../../direct/datatypes.js'
import {
  address,
  codeText,
  coding,
  concept,
  extension,
  humanName,
  identifiers,
  instantAt,
  own,
  telecom,
} from './datatypes.js'
import { clean, type Json, type JsonObject, type Resource, said } from './json.js'

/** An item with where it came from; what a record keeps of one has this shape. */
export interface Sourced {
  readonly item: RecordItem
  /** Who sent the message that brought it. */
  readonly source?: { readonly sender: string; readonly messageId: string }
  /** When the record took it, and when anything of it changed last, in Unix milliseconds. */
  readonly addedAt?: number
  readonly updatedAt?: number
  /** Changes whenever anything of it does. */
  readonly version?: string
  /** Wherever the same was said: other documents, other senders. */
  readonly appearances?: readonly {
    readonly document: string
    readonly entry: string
    readonly source?: { readonly sender: string }
  }[]
}

/** What all resources of one record share. */
export interface Context {
  /** Id of the record: that of its Patient. */
  readonly record: string
  /** Where this server stands, without a final slash: `https://gw.example/fhir`. */
  readonly base: string
  /** Ids of DocumentReferences by the SHA-256 of their document, lower-case hex. */
  readonly documents: ReadonlyMap<string, string>
}

/** A FHIR Reference to the patient of the record. */
export function patientOf({ record }: Context): JsonObject {
  return { reference: `Patient/${record}` }
}

export type AgentKind = Agent['kind']

/** The people, organizations and devices that one resource contains (FHIR R4 §2.3.0.2): what a source told of them has no life of its own. */
export interface Cast {
  readonly contained: Resource[]
  /** A Reference to the agent; undefined where the element may not name its kind. */
  readonly refer: (agent: Agent | undefined, kinds?: readonly AgentKind[]) => JsonObject | undefined
}

export const anybody: readonly AgentKind[] = ['person', 'organization', 'device']

export function openCast(): Cast {
  const contained: Resource[] = []
  const known = new Map<string, string>()
  return {
    contained,
    refer(agent, kinds = ['person', 'organization']) {
      if (agent === undefined || !kinds.includes(agent.kind)) return undefined
      const named = { ...agent, text: said(agent.text) ?? 'Unknown' }
      const key = JSON.stringify({ ...named, at: undefined })
      const id = known.get(key) ?? `a${known.size + 1}`
      if (!known.has(key)) {
        known.set(key, id)
        contained.push(resourceOf(named, id))
      }
      return { reference: `#${id}`, display: named.text }
    },
  }
}

/** A Practitioner, an Organization or a Device. */
export function resourceOf(agent: Agent, id: string): Resource {
  const shared = { id, identifier: identifiers(agent.identifiers) }
  const reach = {
    telecom: some(...(agent.telecoms ?? []).map(telecom)),
    address: (agent.addresses ?? []).map(address),
  }
  switch (agent.kind) {
    case 'organization':
      return { resourceType: 'Organization', ...shared, active: true, name: agent.text, ...reach }
    case 'device':
      return { resourceType: 'Device', ...shared, deviceName: [{ name: agent.text, type: 'user-friendly-name' }] }
    case 'person': {
      const role = concept(agent.role)
      const name = agent.name ? { ...humanName(agent.name), text: agent.name.text ?? agent.text } : { text: agent.text }
      return {
        resourceType: 'Practitioner',
        ...shared,
        name: [name],
        ...reach,
        qualification: role ? [{ code: role }] : [],
      }
    }
  }
}

/** What a resource says besides its type, id and meta. */
export interface Making {
  readonly type: string
  readonly id: string
  readonly of: readonly Sourced[]
  /** Words for people: title first. */
  readonly words: readonly (string | undefined)[]
  readonly fields: JsonObject
  readonly extensions?: readonly JsonObject[]
  readonly cast?: Cast
}

/** The whole resource: fields, generated narrative, security labels, time of taking, contained agents. */
export function finish({ type, id, of, words, fields, extensions = [], cast }: Making): Resource {
  const added = of.map(({ addedAt, updatedAt = addedAt }) => updatedAt).filter((at) => at !== undefined)
  return {
    resourceType: type,
    id,
    meta: {
      versionId: versionOf(of),
      lastUpdated: added.length === 0 ? undefined : instantAt(Math.max(...added)),
      security: securityOf(of.flatMap(({ item }) => item.labels ?? [])),
    },
    text: narrative(words),
    contained: cast?.contained ?? [],
    extension: [...extensions],
    ...fields,
  }
}

/** Version of what was made of one entry, or of several: it changes with each of them. Undefined where one has none. */
export function versionOf(of: readonly Sourced[]): string | undefined {
  const versions = of.flatMap(({ version }) => version ?? [])
  return versions.length === of.length ? versionOfAll(versions) : undefined
}

/** Versions as one id of FHIR, whatever their order; undefined of none. */
export function versionOfAll(versions: readonly string[]): string | undefined {
  const [only = ''] = versions
  if (versions.length === 0) return undefined
  if (versions.length === 1 && /^[A-Za-z0-9.-]{1,64}$/.test(only)) return only
  return createHash('sha256').update(versions.toSorted().join('\n')).digest('hex').slice(0, 32)
}

function securityOf(labels: readonly Coding[]): JsonObject[] {
  const once = new Map(
    labels.filter(({ code }) => codeText(code) !== '').map((label) => [`${label.system}|${label.code}`, label]),
  )
  return [...once.values()].map(coding)
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XHTML text that no element can be made in. */
export function escaped(text: string): string {
  return clean(text).replace(/[&<>"]/g, (char) => escapes[char] ?? char)
}

/** Longest narrative of a resource; the whole text of a note stands in its attachment. */
const narrativeChars = 2000

/** A generated narrative: a line for each, markup of our own only (FHIR R4 §2.4). */
export function narrative(words: readonly (string | undefined)[]): JsonObject {
  const lines = words.filter((line): line is string => line !== undefined && clean(line) !== '')
  const told = lines.length === 0 ? ['No words were given'] : lines
  const body = told.map((line) => `<p>${escaped(line.slice(0, narrativeChars))}</p>`).join('')
  return { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${body}</div>` }
}

/** Comments, and what has no element of its own. */
export function notes(item: RecordItem, ...more: readonly (string | undefined | false)[]): JsonObject[] {
  const told = [...(item.notes ?? []), ...more.filter((one) => typeof one === 'string' && clean(one) !== '')]
  return told.map((text) => ({ text: text as string }))
}

/** The source's own mood, wherever FHIR folds several into one. */
export function moodOf({ mood }: RecordItem): JsonObject[] {
  return said(mood) === undefined ? [] : [extension(`${own}:mood`, { valueCode: mood })]
}

/** Who wrote the statement down last: the newest dated author, else the nearest. */
export function recorderOf({ provenance: { authors } }: RecordItem): Agent | undefined {
  const people = authors.filter(({ kind }) => kind !== 'device')
  const dated = people.filter(({ at }) => at !== undefined)
  const newest = dated.reduce<Agent | undefined>(
    (best, one) => ((one.at?.text ?? '') > (best?.at?.text ?? '') ? one : best),
    undefined,
  )
  return newest ?? people[0]
}

/** A list of what is there. */
export function some<T extends Json>(...all: readonly (T | undefined)[]): T[] {
  return all.filter((one) => one !== undefined)
}
