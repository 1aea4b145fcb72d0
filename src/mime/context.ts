import {
  type ContextField,
  type ContextPatient,
  contextActions,
  contextCategories,
  contextEncapsulations,
  contextPatientFields,
  contextPurposes,
  type MessageContext,
} from '../direct/context.js'
import { buildLeaf, type Entity } from './build.js'
import { decodeBody } from './decode.js'
import type { UnsafeField } from './fields.js'
import { decodeCharset } from './parameters.js'
import { leavesOf, type Part } from './part.js'

/** What a stranger can make grow in a context. Real ones have under ten lines and 1 KB. */
export const contextLimits = {
  /** It is kept beside the message, in the row that lists read. */
  textBytes: 16 * 1024,
  fields: 64,
  /** Parameters of one field: patient numbers, words about the patient. */
  items: 64,
} as const

export type ContextLimits = { readonly [name in keyof typeof contextLimits]: number }

/** A context, where the message has one that could be found, and what is wrong with it: words for people, never of the patient. */
export interface ReadContext {
  readonly context?: MessageContext
  readonly faults: readonly string[]
}

/**
 * Reads the context that a message names by X-Direct-Context: the part of that Content-ID (Expressing Context in Direct
 * §3). Never refuses: what cannot be read is told, and left out. Undefined where the message names none.
 */
export function readContext(message: Part, limits: ContextLimits = contextLimits): ReadContext | undefined {
  const [named, ...more] = message.header.all('x-direct-context')
  if (named === undefined) return undefined
  const faults = more.length > 0 ? ['X-Direct-Context stands more than once'] : []
  const part = contextPart(message)
  if (!part) return { faults: [...faults, 'no part has the Content-ID of X-Direct-Context'] }
  const decoded = decodeBody(part)
  if (decoded.kind === 'unreadable') return { faults: [...faults, decoded.detail] }
  if (decoded.bytes.length > limits.textBytes)
    return { faults: [...faults, `the context is longer than ${limits.textBytes} bytes`] }
  const text = decodeCharset(decoded.bytes, part.contentType.params.get('charset') ?? 'utf-8')
  const read = contextOf(text, limits)
  return { context: read.context, faults: [...faults, ...decoded.diagnostics, ...read.faults] }
}

/** The part that a message names as its context; undefined where it names none, or one that is not there. */
export function contextPart(message: Part): Part | undefined {
  const wanted = bare(message.header.get('x-direct-context') ?? '')
  if (wanted === '') return undefined
  const leaves = [...leavesOf(message)].filter((leaf) => leaf.header.get('content-id') !== undefined)
  const idOf = (leaf: Part) => bare(leaf.header.get('content-id') ?? '')
  const folded = wanted.toLowerCase()
  return leaves.find((leaf) => idOf(leaf) === wanted) ?? leaves.find((leaf) => idOf(leaf).toLowerCase() === folded)
}

/** Some write the identifier without its angle brackets, some as the URL that RFC 2392 makes of it. */
function bare(id: string): string {
  return id.trim().replace(/^cid:/i, '').replace(/^<\s*/, '').replace(/\s*>$/, '')
}

// --- Reading ---

/** Fields of one word, by their names in the text. */
const plainFields = {
  version: 'version',
  id: 'id',
  'creation-time': 'creationTime',
  'format-code': 'formatCode',
  'type-code': 'typeCode',
  'content-type-code': 'contentTypeCode',
} as const

type Draft = { -readonly [name in keyof MessageContext]: MessageContext[name] }

function contextOf(text: string, limits: ContextLimits): { context: MessageContext; faults: readonly string[] } {
  const faults: string[] = []
  const others: ContextField[] = []
  const draft: Draft = { patientIds: [], others }
  const lines = linesOf(text)
  if (lines.length > limits.fields) faults.push(`more than ${limits.fields} fields`)
  const seen = new Set<string>()
  for (const [index, line] of lines.slice(0, limits.fields).entries()) {
    const colon = line.indexOf(':')
    if (colon < 1) {
      faults.push(`line ${index + 1} is no field`)
      continue
    }
    const written = line.slice(0, colon).trim()
    const name = written.toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (seen.has(name)) faults.push(`line ${index + 1} says again what stands before`)
    else if (!setField(draft, name, value, limits, (fault) => faults.push(`line ${index + 1} ${fault}`)))
      others.push({ name: written, value })
    seen.add(name)
  }
  if (draft.version === undefined) faults.push('there is no version')
  return { context: draft, faults }
}

/** Lines without folds, empty ones and control characters (RFC 5322 §2.2.3). */
function linesOf(text: string): string[] {
  return text
    .replace(/^\ufeff/, '')
    .replace(/(?:\r\n?|\n)(?=[ \t]+\S)/g, '')
    .split(/\r\n?|\n/)
    .map((line) => line.replace(/\p{Cc}+/gu, ' ').trim())
    .filter((line) => line !== '')
}

/** False for a field that the guide does not know. */
function setField(
  draft: Draft,
  name: string,
  value: string,
  limits: ContextLimits,
  fault: (detail: string) => void,
): boolean {
  if (Object.hasOwn(plainFields, name)) draft[plainFields[name as keyof typeof plainFields]] = value
  else if (name === 'patient-id') draft.patientIds = patientIdsOf(value, limits, fault)
  else if (name === 'type') {
    const [category = '', action = '', ...rest] = value.split('/').map((word) => word.trim())
    if (category === '' || action === '' || rest.length > 0) {
      fault('is no category/action')
      return false
    }
    draft.type = { category: knownWord(category, contextCategories), action: knownWord(action, contextActions) }
  } else if (name === 'purpose') draft.purpose = knownWord(value, contextPurposes)
  else if (name === 'encapsulation') draft.encapsulation = knownWord(value, contextEncapsulations)
  else if (name === 'patient') draft.patient = patientOf(value, limits, fault)
  else return false
  return true
}

/** The word as the vocabulary spells it, or as it came. */
function knownWord(word: string, vocabulary: readonly string[]): string {
  const folded = word.toLowerCase()
  return vocabulary.find((known) => known.toLowerCase() === folded) ?? word
}

function patientIdsOf(value: string, limits: ContextLimits, fault: (detail: string) => void) {
  return itemsOf(value, ':', limits, fault).map(({ name, value: rest }) => {
    // Some write the OID as the URN that it also has (RFC 3061).
    const urn = name.toLowerCase() === 'urn' ? /^oid:([^:]*):(.*)$/i.exec(rest) : null
    return urn ? { domain: urn[1] ?? '', id: urn[2] ?? '' } : { domain: name, id: rest }
  })
}

function patientOf(value: string, limits: ContextLimits, fault: (detail: string) => void): ContextPatient {
  const known: Partial<Record<(typeof contextPatientFields)[number], string>> = {}
  const others: ContextField[] = []
  for (const item of itemsOf(value, '=', limits, fault)) {
    const name = contextPatientFields.find((one) => one.toLowerCase() === item.name.toLowerCase())
    if (!name) others.push(item)
    else if (known[name] === undefined) known[name] = item.value
    else fault(`has ${name} twice`)
  }
  return { ...known, ...(others.length > 0 && { others }) }
}

/** `name=value; name="va;lue"`. A quote counts where it opens a value and is closed before the next semicolon or the end. */
function itemsOf(text: string, separator: '=' | ':', limits: ContextLimits, fault: (detail: string) => void) {
  const form = separator === '=' ? itemForm.equals : itemForm.colon
  const items: ContextField[] = []
  for (const [whole, name = '', quoted, plain = ''] of text.matchAll(form)) {
    if (whole.trim() === '') continue
    if (items.length === limits.items) {
      fault(`has more than ${limits.items} items`)
      break
    }
    items.push({ name: name.trim(), value: quoted === undefined ? plain.trim() : quoted.replace(/\\(.)/g, '$1') })
  }
  const rest = text.replace(form, '').replace(/[;\s]/g, '')
  if (rest !== '') fault('has an item that is none')
  return items
}

const itemForm = {
  equals: /(?<![^;])([^;=]+)=[ \t]*(?:"((?:[^"\\]|\\.)*)"[ \t]*(?=;|$)|([^;]*))/g,
  colon: /(?<![^;])([^;:]+):[ \t]*(?:"((?:[^"\\]|\\.)*)"[ \t]*(?=;|$)|([^;]*))/g,
}

// --- Writing ---

/**
 * The part that says the context, under this Content-ID (without angle brackets). Refuses, as a value, words that would
 * break out of their line or their place.
 */
export function buildContext(context: MessageContext, contentId: string): Entity | UnsafeField {
  const { version, id, patientIds, type, purpose, patient, encapsulation, others } = context
  const { others: more = [], ...known } = patient ?? {}
  const people = [...contextPatientFields.flatMap((name) => pair(name, known[name])), ...more]
  const fields: ContextField[] = [
    ...pair('version', version),
    ...pair('id', id),
    ...pair(
      'patient-id',
      listOf(
        patientIds.map(({ domain, id }) => ({ name: domain, value: id })),
        ':',
      ),
    ),
    ...pair('type', type && `${type.category}/${type.action}`),
    ...pair('purpose', purpose),
    ...pair('patient', listOf(people, '=')),
    ...pair('encapsulation', encapsulation),
    ...pair('creation-time', context.creationTime),
    ...pair('format-code', context.formatCode),
    ...pair('type-code', context.typeCode),
    ...pair('content-type-code', context.contentTypeCode),
    ...others,
  ]
  const isSound =
    fields.every(({ name, value }) => /^[^\s:]+$/.test(name) && !/[\p{Cc}\u2028\u2029]/u.test(name + value)) &&
    people.every(({ name }) => /^[^\s;="]+$/.test(name)) &&
    patientIds.every(({ domain }) => /^\d+(?:\.\d+)*$/.test(domain))
  if (!isSound) return { kind: 'unsafe-field', field: 'context', detail: 'a name or value cannot stand in its line' }
  const body = fields.map(({ name, value }) => `${name}: ${value}\n`).join('')
  return buildLeaf({
    mediaType: 'text/plain',
    params: { charset: 'utf-8' },
    disposition: 'attachment',
    fileName: 'metadata.txt',
    contentId,
    body,
  })
}

function pair(name: string, value: string | undefined): ContextField[] {
  return value === undefined || value === '' ? [] : [{ name, value }]
}

function listOf(items: readonly ContextField[], separator: '=' | ':'): string {
  return items.map(({ name, value }) => `${name}${separator}${quotedWhereNeeded(value)}`).join('; ')
}

function quotedWhereNeeded(value: string): string {
  const isPlain = !/[;"\\]/.test(value) && value.trim() === value
  return isPlain ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}
