import { attribute, child, childrenOf, elements, textOf, type XmlNode } from '../../xml/node.js'
import { displayName, readAddress, readName, readTelecom } from '../cda/names.js'

/** HL7 v3 datatypes of a CDA header as people read them, at the precision and in the characters of the source. */

const timestamp = /^(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d+)?)?)?)?)?)?(Z|[+-]\d{2,4})?$/

/** A point in time; what is none as it is written. */
export function momentWords(value: string | undefined): string | undefined {
  const match = timestamp.exec(value?.trim() ?? '')
  if (match === null) return folded(value)
  const [, year, month, day, hour, minute, second, zone] = match
  const date = [year, month, day].filter(Boolean).join('-')
  const time = [hour, minute, second].filter(Boolean).join(':')
  return [date, time && (minute ? time : `${time} h`), zone === 'Z' ? 'UTC' : zone && `UTC${zone}`]
    .filter(Boolean)
    .join(' ')
}

/** A TS or IVL_TS. */
export function timeWords(node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  const at = momentWords(attribute(node, 'value'))
  const low = momentWords(attribute(child(node, 'low') ?? node, 'value'))
  const high = child(node, 'high') && momentWords(attribute(child(node, 'high') ?? node, 'value'))
  if (at !== undefined) return at
  if (child(node, 'low') === undefined && high === undefined) return undefined
  return [low && `from ${low}`, high && `to ${high}`].filter(Boolean).join(' ') || undefined
}

/** A code by its words: original text, display name, else the code itself. */
export function codeWords(node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  const code = folded(attribute(node, 'code'))
  const words = folded(attribute(node, 'displayName')) ?? folded(textOf(child(node, 'originalText')))
  return words ?? code
}

export function names(parent: XmlNode | undefined): string[] {
  return childrenOf(parent, 'name').flatMap((node) => {
    const name = readName(node)
    const words = name && displayName(name)
    return words ? [words] : []
  })
}

export function addresses(parent: XmlNode | undefined): string[] {
  return childrenOf(parent, 'addr').flatMap((node) => {
    const address = readAddress(node)
    if (address === undefined) return []
    const { lines, city, state, postalCode, country } = address
    return [
      [...lines, [city, [state, postalCode].filter(Boolean).join(' ')].filter(Boolean).join(', '), country]
        .filter(Boolean)
        .join(', '),
    ]
  })
}

export function telecoms(parent: XmlNode | undefined): string[] {
  return childrenOf(parent, 'telecom').flatMap((node) => {
    const telecom = readTelecom(node)
    return telecom ? [telecom.value.replace(/^(?:tel|mailto|fax):/i, '')] : []
  })
}

/** Identifiers that people may know one by: those with an extension. */
export function identifiers(parent: XmlNode | undefined): string[] {
  return childrenOf(parent, 'id').flatMap((node) => {
    const extension = folded(attribute(node, 'extension'))
    const authority = folded(attribute(node, 'assigningAuthorityName')) ?? folded(attribute(node, 'root'))
    return extension === undefined ? [] : [authority === undefined ? extension : `${extension} (${authority})`]
  })
}

/** A role of a header: the person or device that plays it, the organization it acts for, how to reach it. */
export function roleWords(role: XmlNode | undefined): string | undefined {
  if (role === undefined) return undefined
  const people: string[] = []
  const organizations: string[] = []
  for (const item of elements(role)) {
    if (
      /^(?:assignedPerson|informationRecipient|associatedPerson|relatedPerson|guardianPerson|subject)$/.test(item.local)
    )
      people.push(...names(item))
    else if (item.local === 'assignedAuthoringDevice') {
      const device = ['manufacturerModelName', 'softwareName'].flatMap(
        (local) => folded(textOf(child(item, local))) ?? [],
      )
      people.push([...new Set(device)].join(', '))
    } else if (/Organization$|^scopingEntity$/.test(item.local)) {
      organizations.push(
        ...names(item),
        ...(item.local === 'scopingEntity' ? [folded(textOf(child(item, 'desc'))) ?? ''] : []),
      )
    }
  }
  const who = [...people, ...organizations].filter(Boolean).join(', ')
  const code = codeWords(child(role, 'code'))
  const reach = [...addresses(role), ...telecoms(role)].join('; ')
  const words = [who, code && (who ? `(${code})` : code)].filter(Boolean).join(' ')
  return [words, reach].filter(Boolean).join(' - ') || undefined
}

export function folded(text: string | undefined): string | undefined {
  const plain = text?.replace(/\s+/g, ' ').trim()
  return plain === '' ? undefined : plain
}
