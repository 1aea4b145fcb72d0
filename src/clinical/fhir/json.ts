/** A number in the source's own digits: `1.50` stays `1.50`, which a JavaScript number would not keep (FHIR R4 §2.24.0.1, decimal). */
export class Decimal {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** JSON text that was written before. */
export class Written {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** What FHIR JSON is made of. `undefined`, empty strings, empty lists and empty objects are left out when it is written. */
export type Json = string | number | boolean | Decimal | Written | readonly Json[] | JsonObject

export interface JsonObject {
  readonly [field: string]: Json | undefined
}

export interface Resource extends JsonObject {
  readonly resourceType: string
  readonly id: string
}

const number = /^([+-]?)0*((?:0|[1-9]\d*)?)(\.\d*)?([eE][+-]?\d{1,2})?$/

/**
 * The source's characters as a FHIR decimal, digits untouched: only a plus sign, leading zeros and a bare point go, which
 * JSON does not know. Undefined for what is no number, or one beyond 40 characters.
 */
export function decimalOf(text: string): Decimal | undefined {
  const parts = text.length > 40 || !/\d/.test(text.replace(/[eE].*/, '')) ? null : number.exec(text.trim())
  if (!parts) return undefined
  const [, sign = '', whole = '', fraction = '', exponent = ''] = parts
  return new Decimal(`${sign === '-' ? '-' : ''}${whole || '0'}${fraction === '.' ? '' : fraction}${exponent}`)
}

/** A whole number that FHIR's 32-bit integers hold; undefined for anything else. */
export function integerOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,9}(\.0+)?$/.test(text.trim())) return undefined
  return Number.parseInt(text, 10)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that FHIR strings may not have
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]|\p{Surrogate}/gu

/** Blanks of other scripts: the pattern of FHIR's string knows the plain one only. */
const blanks = /[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]/g

/** The entry of a table under a key of a stranger, whatever its prototype has. */
export function lookup<T>(table: Readonly<Record<string, T>>, key: string | undefined): T | undefined {
  return key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}

/** Text that needs no cleaning and no escapes: most of all there is. */
const plainText = /^[\x21\x23-\x5b\x5d-\x7e][\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** A string as FHIR allows it (R4 §2.24.0.1): without control characters; empty where nothing is left to see. */
export function clean(text: string): string {
  const kept = text.replace(forbidden, '').replace(blanks, ' ')
  return /\S/.test(kept) ? kept : ''
}

/** The text, where it says anything. */
export function said(text: string | undefined): string | undefined {
  return text === undefined || clean(text) === '' ? undefined : text
}

/** JSON text of a value; decimals verbatim, nothing empty. */
export function writeJson(value: Json): string {
  return written(value) ?? 'null'
}

function written(value: Json | undefined): string | undefined {
  switch (typeof value) {
    case 'undefined':
      return undefined
    case 'string': {
      if (plainText.test(value)) return `"${value}"`
      const text = clean(value)
      return text === '' ? undefined : JSON.stringify(text)
    }
    case 'number':
    case 'boolean':
      return String(value)
    default:
      if (value instanceof Decimal || value instanceof Written) return value.text
      return isList(value) ? writtenList(value) : writtenObject(value)
  }
}

function isList(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value)
}

function writtenList(list: readonly Json[]): string | undefined {
  const parts: string[] = []
  for (const one of list) {
    const text = written(one)
    if (text !== undefined) parts.push(text)
  }
  return parts.length === 0 ? undefined : `[${parts.join(',')}]`
}

function writtenObject(object: JsonObject): string | undefined {
  let text = ''
  // Names of fields are our own.
  for (const field in object) {
    const inner = written(object[field])
    if (inner !== undefined) text += `${text === '' ? '' : ','}"${field}":${inner}`
  }
  return text === '' ? undefined : `{${text}}`
}
