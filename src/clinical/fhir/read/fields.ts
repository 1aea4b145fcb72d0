import { Buffer } from 'node:buffer'
import { definitions } from '../datatypes.js'
import { clean, decimalOf } from '../json.js'
import type { Digits, Tree } from './json.js'

/** What a reader has to say of a resource. An error means that no item may be made of it: it would say something else. */
export interface FhirIssue {
  readonly severity: 'error' | 'warning'
  /** An IssueType of FHIR. */
  readonly code:
    | 'structure'
    | 'required'
    | 'value'
    | 'invariant'
    | 'not-supported'
    | 'not-found'
    | 'too-long'
    | 'too-costly'
  /** A FHIRPath: `Observation.component[1].code`. Never a value. */
  readonly expression: string
  readonly detail: string
}

export const fhirReadLimits = {
  /** Characters of one text of a resource; a note has more, in its attachment. */
  textChars: 20_000,
  /** Elements of one list: members of a panel, lines of a sliding scale. */
  elements: 1000,
  /** Issues told of one resource; beyond it only that there are more. */
  issues: 100,
}

/** Where issues of one resource go, and which of its objects were opened. */
export interface Log {
  readonly issues: FhirIssue[]
  readonly opened: Fields[]
  readonly error: (code: FhirIssue['code'], expression: string, detail: string) => undefined
  readonly warn: (expression: string, detail: string) => undefined
  readonly failed: () => boolean
}

export function openLog(limits = fhirReadLimits): Log {
  const issues: FhirIssue[] = []
  let failed = false
  const add = (issue: FhirIssue): undefined => {
    failed ||= issue.severity === 'error'
    if (issues.length < limits.issues) issues.push(issue)
  }
  return {
    issues,
    opened: [],
    error: (code, expression, detail) => add({ severity: 'error', code, expression, detail }),
    warn: (expression, detail) => add({ severity: 'warning', code: 'not-supported', expression, detail }),
    failed: () => failed,
  }
}

/**
 * One object of a resource, read field by field. What nobody takes is told at the end, so that nothing is lost in silence.
 * A field of the wrong type is an error and reads as absent.
 */
export interface Fields {
  readonly path: string
  readonly log: Log
  /** A string that says something. */
  readonly text: (name: string) => string | undefined
  readonly flag: (name: string) => boolean | undefined
  /** A number in its own digits. */
  readonly decimal: (name: string) => string | undefined
  readonly texts: (name: string) => readonly string[]
  /** Base64 of at most so many bytes. */
  readonly bytes: (name: string, most: number) => Uint8Array | undefined
  readonly object: (name: string) => Fields | undefined
  readonly list: (name: string) => readonly Fields[]
  /** Which of `name[x]` is there, with its type; whoever asks reads it next. Two of them are an error. */
  readonly choice: (name: string) => string | undefined
  readonly has: (name: string) => boolean
  /** Why a primitive has no value (data-absent-reason); undefined where it says none. */
  readonly reason: (name: string) => string | undefined
  /** Extensions of one address. */
  readonly extensions: (url: string) => readonly Fields[]
  /** Takes a field without reading it, with a warning where one is given. */
  readonly skip: (name: string, warning?: string) => void
  /** Names of what nobody took. */
  readonly left: () => readonly string[]
}

/** Fields that say nothing of the patient, or that are made anew when the item leaves. */
const plain = new Set(['id', 'resourceType', 'text', 'language', 'meta', 'fhir_comments'])

export function openFields(tree: ReadonlyMap<string, Tree>, path: string, log: Log, limits = fhirReadLimits): Fields {
  const taken = new Set<string>()
  const extensionsTaken = new Set<Tree>()
  const children = new Map<string, Fields>()

  const wrong = (name: string, wanted: string) => log.error('structure', `${path}.${name}`, `This is not ${wanted}`)
  const take = (name: string): Tree | undefined => {
    taken.add(name)
    return tree.get(name)
  }
  const open = (value: Tree, at: string): Fields | undefined => {
    const known = children.get(at)
    if (known) return known
    if (!isMap(value)) return log.error('structure', at, 'This is not an object')
    const made = openFields(value, at, log, limits)
    children.set(at, made)
    return made
  }
  const listAt = (name: string): readonly Tree[] => {
    const value = take(name)
    if (value === undefined) return []
    if (!isList(value)) return wrong(name, 'a list') ?? []
    if (value.length > limits.elements) log.error('too-long', `${path}.${name}`, 'The list is too long')
    return value.slice(0, limits.elements)
  }
  const string = (value: Tree, at: string): string | undefined => {
    if (typeof value !== 'string') return log.error('structure', at, 'This is not a string')
    if (value.length > limits.textChars) return log.error('too-long', at, 'The text is too long')
    return clean(value).trim() === '' ? log.error('value', at, 'The text is empty') : clean(value)
  }
  /** The object beside a primitive, with its id and extensions. */
  const beside = (name: string): Fields | undefined => {
    const value = tree.get(`_${name}`)
    if (value === undefined || isList(value)) return undefined
    taken.add(`_${name}`)
    return open(value, `${path}._${name}`)
  }

  const fields: Fields = {
    path,
    log,
    text(name) {
      const value = take(name)
      return value === undefined ? undefined : string(value, `${path}.${name}`)
    },
    flag(name) {
      const value = take(name)
      return value === undefined || typeof value === 'boolean' ? value : wrong(name, 'true or false')
    },
    decimal(name) {
      const value = take(name)
      if (value === undefined) return undefined
      const digits = isDigits(value) ? decimalOf(value.digits) : undefined
      return digits ? digits.text : wrong(name, 'a number')
    },
    texts: (name) => listAt(name).flatMap((one, at) => string(one, `${path}.${name}[${at}]`) ?? []),
    bytes(name, most) {
      const value = take(name)
      if (value === undefined) return undefined
      const found = typeof value === 'string' && value.length < most * 1.4 ? base64(value) : undefined
      return found && found.length <= most
        ? found
        : log.error('value', `${path}.${name}`, 'This is not base64, or too much of it')
    },
    object(name) {
      const value = take(name)
      return value === undefined ? undefined : open(value, `${path}.${name}`)
    },
    list: (name) => listAt(name).flatMap((one, at) => open(one, `${path}.${name}[${at}]`) ?? []),
    choice(name) {
      const types = [...tree.keys()].flatMap((key) =>
        /^[A-Z]/.test(key.slice(name.length)) && key.startsWith(name) ? [key.slice(name.length)] : [],
      )
      if (types.length > 1) log.error('invariant', `${path}.${name}`, 'Only one of these can be said')
      return types[0]
    },
    has: (name) => tree.has(name),
    reason(name) {
      const [found] = beside(name)?.extensions(`${definitions}/data-absent-reason`) ?? []
      return found?.text('valueCode')
    },
    extensions(url) {
      const value = tree.get('extension')
      if (!isList(value ?? null)) return []
      taken.add('extension')
      return (value as readonly Tree[]).flatMap((one, at) => {
        if (!isMap(one) || one.get('url') !== url) return []
        extensionsTaken.add(one)
        const found = open(one, `${path}.extension[${at}]`)
        found?.skip('url')
        return found ?? []
      })
    },
    skip(name, warning) {
      taken.add(name)
      taken.add(`_${name}`)
      if (warning !== undefined && tree.has(name)) log.warn(`${path}.${name}`, warning)
    },
    left() {
      const extension = tree.get('extension')
      if (extension !== undefined) {
        if (!isList(extension)) wrong('extension', 'a list')
        else if (extension.some((one) => !extensionsTaken.has(one)))
          log.warn(`${path}.extension`, 'Not kept: an extension that is not known here')
      }
      return [...tree.keys()].filter((name) => !taken.has(name) && !plain.has(name) && name !== 'extension')
    },
  }
  log.opened.push(fields)
  return fields
}

export function isMap(tree: Tree | undefined): tree is ReadonlyMap<string, Tree> {
  return tree instanceof Map
}

export function isList(tree: Tree | undefined): tree is readonly Tree[] {
  return Array.isArray(tree)
}

/** Base64 as FHIR has it (R4 §2.24.0.1); undefined for what is none. */
function base64(text: string): Uint8Array | undefined {
  const bare = text.replace(/\s+/g, '')
  return bare.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(bare) ? Buffer.from(bare, 'base64') : undefined
}

function isDigits(tree: Tree): tree is Digits {
  return typeof tree === 'object' && tree !== null && 'digits' in tree
}

/** What stands around a statement and does not change what it says: a reader of foreign Bundles may go without it. */
const surroundings = new Set([
  ...[
    'encounter',
    'basedOn',
    'partOf',
    'instantiatesCanonical',
    'instantiatesUri',
    'groupIdentifier',
    'supportingInfo',
  ],
  ...[
    'supportingInformation',
    'reasonReference',
    'evidence',
    'asserter',
    'informationSource',
    'device',
    'category',
    'priority',
  ],
  ...[
    'courseOfTherapyType',
    'generalPractitioner',
    'link',
    'photo',
    'multipleBirthBoolean',
    'multipleBirthInteger',
    'media',
  ],
  ...[
    'location',
    'eventHistory',
    'derivedFrom',
    'context',
    'performerType',
    'substitution',
    'insurance',
    'identifier',
    'issued',
  ],
  ...[
    'imagingStudy',
    'resultsInterpreter',
    'presentedForm',
    'education',
    'programEligibility',
    'fundingSource',
    'reportOrigin',
  ],
  ...[
    'stage',
    'lastOccurrence',
    'statusHistory',
    'classHistory',
    'serviceType',
    'episodeOfCare',
    'appointment',
    'diagnosis',
  ],
  ...[
    'account',
    'lengthOfStay',
    'length',
    'receiver',
    'destination',
    'authorizingPrescription',
    'type',
    'whenPrepared',
  ],
])

/**
 * Tells what nobody took. Strictly, all of it is an error; else surroundings are a warning. What modifies the meaning of all
 * around it is an error either way (FHIR R4 §2.4.1.2).
 */
export function tellLeft(log: Log, strict: boolean): void {
  for (const fields of [...log.opened]) {
    for (const name of fields.left()) {
      const at = `${fields.path}.${name}`
      if (/^_/.test(name)) log.warn(at, 'Not kept: an extension that is not known here')
      else if (name === 'modifierExtension' || name === 'implicitRules') {
        log.error('not-supported', at, 'It changes the meaning of what it stands in, in a way that is not known here')
      } else if (!strict && surroundings.has(name)) log.warn(at, 'Not kept')
      else log.error('not-supported', at, 'The record cannot keep this')
    }
  }
}
