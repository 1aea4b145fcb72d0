import type { PersonName, PostalAddress, Telecom } from '../../direct/datatypes.js'
import { childrenOf, elements, textOf, type XmlNode } from '../../xml/node.js'
import { given, nullFlavorOf } from './datatypes.js'

function fold(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

/** Texts of the parts of one name, null ones and empty ones left out. */
function parts(node: XmlNode, local: string): string[] {
  return childrenOf(node, local)
    .filter((part) => nullFlavorOf(part) === undefined)
    .map((part) => fold(textOf(part)))
    .filter((part) => part !== '')
}

/** A PN, EN, ON or TN; undefined for a null name and one without words. Parts keep their order within their kind. */
export function readName(node: XmlNode): PersonName | undefined {
  if (nullFlavorOf(node) !== undefined) return undefined
  const givenNames = parts(node, 'given')
  const family = parts(node, 'family').join(' ')
  const prefix = parts(node, 'prefix').join(' ')
  const suffix = parts(node, 'suffix').join(' ')
  const use = given(node, 'use')
  const apart = givenNames.length > 0 || family !== ''
  const text = apart ? '' : fold(textOf(node))
  if (!apart && text === '') return undefined
  return {
    given: givenNames,
    ...(family === '' ? {} : { family }),
    ...(prefix === '' ? {} : { prefix }),
    ...(suffix === '' ? {} : { suffix }),
    ...(use === undefined ? {} : { use }),
    ...(text === '' ? {} : { text }),
  }
}

/** A name as people write it. */
export function displayName(name: PersonName): string {
  if (name.text !== undefined) return name.text
  return [name.prefix, ...name.given, name.family, name.suffix].filter((part) => part !== undefined).join(' ')
}

const lineParts = new Set([
  'streetAddressLine',
  'houseNumber',
  'streetName',
  'deliveryAddressLine',
  'additionalLocator',
  'unitID',
  'postBox',
  'careOf',
])

/** An AD; undefined for a null address and one without words. Text outside the parts becomes lines. */
export function readAddress(node: XmlNode): PostalAddress | undefined {
  if (nullFlavorOf(node) !== undefined) return undefined
  const lines: string[] = []
  for (const item of node.children) {
    if (typeof item !== 'string' && (!lineParts.has(item.local) || nullFlavorOf(item) !== undefined)) continue
    const line = fold(typeof item === 'string' ? item : textOf(item))
    if (line !== '') lines.push(line)
  }
  const part = (local: string): string | undefined => parts(node, local)[0]
  const address: PostalAddress = {
    lines,
    ...optional('city', part('city')),
    ...optional('state', part('state')),
    ...optional('postalCode', part('postalCode')),
    ...optional('country', part('country')),
    ...optional('use', given(node, 'use')),
  }
  const empty = lines.length === 0 && elements(node).every((item) => fold(textOf(item)) === '')
  return empty ? undefined : address
}

/** A TEL as written, `tel:` and `mailto:` kept; undefined for a null one. */
export function readTelecom(node: XmlNode): Telecom | undefined {
  const value = given(node, 'value')
  if (value === undefined) return undefined
  return { value, ...optional('use', given(node, 'use')) }
}

function optional<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string }
}
