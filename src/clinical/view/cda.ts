import type { RecordItem } from '../../direct/clinical.js'
import { attribute, child, childrenOf, descend, elements, textOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn, rootPlace } from '../place.js'
import { el, type Html, type Inner } from './html.js'
import { itemsTable } from './items.js'
import { narrative } from './narrative.js'
import { contents, facts, type Page, type Part, part } from './page.js'
import { room, type Sheet } from './sheet.js'
import {
  addresses,
  codeWords,
  folded,
  identifiers,
  momentWords,
  names,
  roleWords,
  telecoms,
  timeWords,
} from './words.js'

/**
 * A CDA document as a page: who it is about and who wrote it, then every section with the whole of its narrative. A
 * section without one is told by its entries, as far as they were read. `unstructured` shows a body that has no sections.
 */
export function cdaPage(root: XmlNode, items: readonly RecordItem[], unstructured: () => Inner, sheet: Sheet): Page {
  const place = rootPlace(root)
  const told: Part[] = []
  const body: Inner[] = []
  for (const component of placesIn(place, 'component')) {
    const structured = placeAt(component, 'structuredBody')
    if (structured) body.push(sectionsIn(structured, 0, { items: bySection(items), told, sheet }))
    if (placeAt(component, 'nonXMLBody')) body.push(unstructured())
  }
  const patient = names(descend(root, 'recordTarget', 'patientRole', 'patient'))[0]
  const language = folded(attribute(child(root, 'languageCode') ?? root, 'code'))
  return {
    title: folded(textOf(child(root, 'title'))) ?? codeWords(child(root, 'code')) ?? 'Clinical document',
    ...(patient !== undefined && { patient }),
    ...(language !== undefined && { language }),
    head: header(root),
    contents: contents(told, sheet),
    body,
  }
}

interface Sections {
  /** By the path of their section. */
  readonly items: ReadonlyMap<string, readonly RecordItem[]>
  /** For the table of contents, in document order. */
  readonly told: Part[]
  readonly sheet: Sheet
}

function bySection(items: readonly RecordItem[]): Map<string, RecordItem[]> {
  const found = new Map<string, RecordItem[]>()
  for (const item of items) {
    const { entry } = item.provenance
    const section = entry.slice(0, Math.max(0, entry.indexOf('/entry[')))
    const own = found.get(section)
    if (own) own.push(item)
    else found.set(section, [item])
  }
  return found
}

function sectionsIn(parent: Place, depth: number, page: Sections): Html[] {
  return placesIn(parent, 'component').flatMap((component) =>
    placesIn(component, 'section').map((section) => sectionOf(section, depth, page)),
  )
}

function sectionOf(place: Place, depth: number, page: Sections): Html {
  const { node } = place
  const title = folded(textOf(child(node, 'title'))) ?? codeWords(child(node, 'code')) ?? 'Section'
  const own: Part = { id: `s-${page.told.length + 1}`, title, depth, body: [] }
  page.told.push(own)
  room(page.sheet, title.length * 2 + 100)
  const text = child(node, 'text')
  const words = text && textOf(text).trim() !== '' ? narrative(text, page.sheet) : fromEntries(place, text, page)
  return part({ ...own, body: [about(node), words, sectionsIn(place, depth + 1, page)] })
}

/** What a section says without words: a picture, its entries, or that it has nothing. */
function fromEntries(place: Place, text: XmlNode | undefined, { items, sheet }: Sections): Inner {
  const pictures = text && elements(text).length > 0 ? narrative(text, sheet) : undefined
  const own = items.get(place.path) ?? []
  if (own.length > 0) {
    const note = el('p', { class: 'about' }, 'The section has no words of its own; this is what its entries say.')
    return [pictures, note, itemsTable(own, sheet)]
  }
  const flavor = attribute(place.node, 'nullFlavor')
  const holds = childrenOf(place.node, 'entry').length > 0 || childrenOf(place.node, 'component').length > 0
  if (pictures || (holds && childrenOf(place.node, 'entry').length === 0)) return pictures
  return el('p', { class: 'about' }, flavor ? `No information (${flavor.slice(0, 20)}).` : 'The section has no words.')
}

/** Who wrote a section, where others than those of the document, and how confidential it is. */
function about(section: XmlNode): Inner {
  const authors = childrenOf(section, 'author').map(authorWords).filter(Boolean)
  const informants = childrenOf(section, 'informant').map(informantWords).filter(Boolean)
  const confidentiality = codeWords(child(section, 'confidentialityCode'))
  const words = [
    authors.length > 0 && `Written by ${authors.join('; ')}`,
    informants.length > 0 && `Told by ${informants.join('; ')}`,
    confidentiality && `Confidentiality: ${confidentiality}`,
  ].filter(Boolean)
  return words.length > 0 && el('p', { class: 'about' }, words.join('. '))
}

function header(root: XmlNode): Inner {
  const targets = childrenOf(root, 'recordTarget').map((target) => child(target, 'patientRole'))
  const custodian = descend(root, 'custodian', 'assignedCustodian', 'representedCustodianOrganization')
  const encounter = descend(root, 'componentOf', 'encompassingEncounter')
  return [
    targets.map(patientFacts),
    facts(
      ['Document', [codeWords(child(root, 'code'))]],
      ['Written', [timeWords(child(root, 'effectiveTime'))]],
      ['Confidentiality', [codeWords(child(root, 'confidentialityCode'))]],
      ['Version', [versionWords(root)]],
      ['Authors', childrenOf(root, 'author').map(authorWords)],
      ['Custodian', [custodian && [...names(custodian), ...addresses(custodian), ...telecoms(custodian)].join(' - ')]],
      ['Signed by', [...childrenOf(root, 'legalAuthenticator'), ...childrenOf(root, 'authenticator')].map(signedWords)],
      ['Entered by', childrenOf(root, 'dataEnterer').map((one) => roleWords(child(one, 'assignedEntity')))],
      ['Told by', childrenOf(root, 'informant').map(informantWords)],
      ['For', childrenOf(root, 'informationRecipient').map((one) => roleWords(child(one, 'intendedRecipient')))],
      ['Others', childrenOf(root, 'participant').map((one) => roleWords(child(one, 'associatedEntity')))],
      ['Encounter', [encounterWords(encounter)]],
      ['Care', childrenOf(root, 'documentationOf').flatMap((one) => careWords(child(one, 'serviceEvent')))],
      ['Replaces', childrenOf(root, 'relatedDocument').map(relatedWords)],
    ),
  ]
}

function patientFacts(role: XmlNode | undefined): Html | undefined {
  const patient = child(role, 'patient')
  const language = childrenOf(patient, 'languageCommunication').map((one) => codeWords(child(one, 'languageCode')))
  const races = elements(patient ?? role ?? empty).filter(
    (one) => one.local === 'raceCode' || one.local === 'ethnicGroupCode',
  )
  return facts(
    ['Patient', names(patient).map((name) => el('strong', {}, name))],
    ['Born', [momentWords(attribute(child(patient, 'birthTime') ?? empty, 'value'))]],
    ['Gender', [codeWords(child(patient, 'administrativeGenderCode'))]],
    ['Marital status', [codeWords(child(patient, 'maritalStatusCode'))]],
    ['Race and ethnicity', [...new Set(races.map(codeWords))]],
    ['Language', language],
    ['Identifiers', identifiers(role)],
    ['Address', addresses(role)],
    ['Reached at', telecoms(role)],
    ['Guardian', childrenOf(patient, 'guardian').map(roleWords)],
    ['Provider', names(child(role, 'providerOrganization'))],
  )
}

const empty: XmlNode = { local: '', ns: '', attributes: [], children: [] }

function authorWords(author: XmlNode): string | undefined {
  const who = roleWords(child(author, 'assignedAuthor'))
  const at = timeWords(child(author, 'time'))
  return who && (at ? `${who}, ${at}` : who)
}

function informantWords(informant: XmlNode): string | undefined {
  return roleWords(child(informant, 'assignedEntity') ?? child(informant, 'relatedEntity'))
}

function signedWords(node: XmlNode): string | undefined {
  const who = roleWords(child(node, 'assignedEntity'))
  const at = timeWords(child(node, 'time'))
  return who && (at ? `${who}, ${at}` : who)
}

function versionWords(root: XmlNode): string | undefined {
  const version = folded(attribute(child(root, 'versionNumber') ?? empty, 'value'))
  const set = child(root, 'setId')
  const name = set && (folded(attribute(set, 'extension')) ?? folded(attribute(set, 'root')))
  return [version, name && `of ${name}`].filter(Boolean).join(' ') || undefined
}

function encounterWords(encounter: XmlNode | undefined): string | undefined {
  if (encounter === undefined) return undefined
  const location = descend(encounter, 'location', 'healthCareFacility')
  const place = location && [
    ...names(child(location, 'location')),
    ...names(child(location, 'serviceProviderOrganization')),
  ]
  const parties = [...childrenOf(encounter, 'responsibleParty'), ...childrenOf(encounter, 'encounterParticipant')].map(
    (one) => roleWords(child(one, 'assignedEntity')),
  )
  return [
    codeWords(child(encounter, 'code')),
    timeWords(child(encounter, 'effectiveTime')),
    ...(place ?? []),
    ...parties,
  ]
    .filter(Boolean)
    .join('; ')
}

function careWords(event: XmlNode | undefined): (string | undefined)[] {
  if (event === undefined) return []
  const what = [codeWords(child(event, 'code')), timeWords(child(event, 'effectiveTime'))].filter(Boolean).join(', ')
  const performers = childrenOf(event, 'performer').map((one) => {
    const role = codeWords(child(one, 'functionCode'))
    const who = roleWords(child(one, 'assignedEntity'))
    return who && (role ? `${who}: ${role}` : who)
  })
  return [what, ...performers]
}

function relatedWords(related: XmlNode): string | undefined {
  const ids = identifiers(child(related, 'parentDocument'))
  const kind = folded(attribute(related, 'typeCode'))
  return ids.length > 0 ? [ids.join(', '), kind && `(${kind})`].filter(Boolean).join(' ') : undefined
}
