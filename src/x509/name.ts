import { isUtf8 } from 'node:buffer'
import * as asn1 from '../asn1/reader.js'
import { recent } from './recent.js'

const short: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'street',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
}

/** One attribute of a distinguished name. */
interface Attribute {
  readonly oid: string
  readonly tag: number
  readonly value: Uint8Array
}

function attributesOf(name: Uint8Array): Attribute[][] {
  return asn1.sequence(asn1.onlyElement(name), 64).map((rdn) =>
    asn1.children(asn1.expect(rdn, asn1.tags.set), 16).map((pair) => {
      const [type, value] = asn1.sequence(pair)
      if (!value) throw new asn1.Asn1Error('attribute without a value')
      return { oid: asn1.oid(type), tag: value.tag, value: asn1.content(value) }
    }),
  )
}

function textOf({ tag, value }: Attribute): string | undefined {
  const bytes = Buffer.from(value)
  if (tag === 0x0c) return bytes.toString('utf8')
  if (tag === 0x1e) return bytes.length % 2 === 0 ? Buffer.from(bytes).swap16().toString('utf16le') : undefined
  if (tag === 0x13 || tag === 0x16 || tag === 0x14 || tag === 0x12) return bytes.toString('latin1')
  return undefined
}

/**
 * A Name (DER) in RFC 4514 form for people: last component first, control characters escaped. Answers '(unreadable)' for
 * damaged names; never used to compare.
 */
export function nameText(name: Uint8Array): string {
  try {
    return attributesOf(name)
      .map((rdn) =>
        rdn
          .map(
            (attribute) =>
              `${short[attribute.oid] ?? attribute.oid}=${escaped(textOf(attribute) ?? `#${Buffer.from(attribute.value).toString('hex')}`)}`,
          )
          .join('+'),
      )
      .reverse()
      .join(',')
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return '(unreadable)'
    throw error
  }
}

function escaped(text: string): string {
  return text
    .replace(/[,+"\\<>;=]/g, '\\$&')
    .replace(/\p{Cc}/gu, (control) => `\\${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

const normalised = recent<string>(4_000)

/**
 * A Name (DER) in a form that is equal for names that match under RFC 5280 §7.1: strings prepared as RFC 4518 says,
 * attribute sets ordered. Damaged names, and strings that may not be prepared, fall back to their bytes.
 */
export function comparableName(name: Uint8Array): string {
  const key = Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')
  const known = normalised.get(key)
  if (known !== undefined) return known
  let form: string
  try {
    form = JSON.stringify(attributesOf(name).map((rdn) => rdn.map(attributeForm).sort()))
  } catch (error) {
    if (!(error instanceof asn1.Asn1Error)) throw error
    form = key
  }
  normalised.set(key, form)
  return form
}

function attributeForm(attribute: Attribute): string {
  const text = isWellFormed(attribute) ? prepared(textOf(attribute)) : undefined
  return text === undefined
    ? `${attribute.oid}#${attribute.tag}${Buffer.from(attribute.value).toString('hex')}`
    : `${attribute.oid}=${text}`
}

/** Two different damaged strings must not become the same one with replacement characters. */
function isWellFormed({ tag, value }: Attribute): boolean {
  return tag !== 0x0c || isUtf8(value)
}

/** RFC 4518 §2.2: what is mapped to nothing: soft hyphens, joiners, variation selectors, controls that are no space. */
const dropped = /\p{DI}|\ufffc|(?![\t-\r\u0085])\p{Cc}/gu
/** RFC 4518 §2.4: private use, surrogates, non-characters and the replacement character. */
const prohibited = /[\p{Co}\p{Cs}\ufffd\u{1fffe}\u{1ffff}\ufdd0-\ufdef\ufffe\uffff]/u

/** A string prepared for comparing without regard to case (RFC 4518 §2); undefined for one that may not be compared. */
function prepared(text: string | undefined): string | undefined {
  if (text === undefined || prohibited.test(text)) return undefined
  if (/^[ -~]*$/.test(text)) return text.trim().replace(/ +/g, ' ').toLowerCase()
  // By way of upper case: folds ß and ẞ to ss, as the case folding that stringprep refers to does.
  const folded = text.replace(dropped, '').normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().normalize('NFKC')
  return folded.replace(/[\s\u0085]+/g, ' ').trim()
}

const split = recent<readonly string[]>(4_000)

/** The components of a Name (DER), first to last, each in a form to compare; undefined for a damaged name. */
export function componentsOf(name: Uint8Array): readonly string[] | undefined {
  const form = comparableName(name)
  if (!form.startsWith('[')) return undefined
  let components = split.get(form)
  if (!components) {
    components = (JSON.parse(form) as string[][]).map((rdn) => JSON.stringify(rdn))
    split.set(form, components)
  }
  return components
}

/** Whether a Name (DER) has no components. */
export function isEmptyName(name: Uint8Array): boolean {
  return name.length === 2 && name[1] === 0
}

/** Content octets of the emailAddress attributes of a Name (DER); none for a damaged name. */
export function emailAddressesOf(name: Uint8Array): Uint8Array[] {
  try {
    return attributesOf(name)
      .flat()
      .filter((attribute) => attribute.oid === '1.2.840.113549.1.9.1')
      .map((attribute) => attribute.value)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return []
    throw error
  }
}

/** Texts of the attributes of one type in a Name (DER), in order; what is no text as `#` and hex. Throws Asn1Error. */
export function attributeTextsOf(name: Uint8Array, oid: string): string[] {
  return attributesOf(name)
    .flat()
    .filter((attribute) => attribute.oid === oid)
    .map((attribute) => textOf(attribute) ?? `#${Buffer.from(attribute.value).toString('hex')}`)
}

/** Whether two Names (DER) are the same name (RFC 5280 §7.1). */
export function sameName(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0 || comparableName(one) === comparableName(other)
}
