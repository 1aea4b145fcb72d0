import type { ItemContent } from '../../direct/clinical.js'
import type { Identifier, PersonName, PostalAddress, Telecom } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { placeAt, placesIn } from '../place.js'
import { add } from '../reading.js'
import { type Ccr, type CcrScope, remark, textAt, textIn } from './scope.js'
import { readCode, readMoment, saying } from './types.js'

/** A person, organization or information system by name (ASTM E2369 §5.3). */
export function actorName(actor: XmlNode): string | undefined {
  const name = descend(actor, 'Person', 'Name')
  const display = textAt(name, 'DisplayName')
  if (display !== undefined) return display
  const read = readNames(name)[0]
  if (read !== undefined) return [read.prefix, ...read.given, read.family, read.suffix].filter(Boolean).join(' ')
  return textAt(child(actor, 'Organization'), 'Name') ?? textAt(child(actor, 'InformationSystem'), 'Name')
}

function texts(node: XmlNode, local: string): string[] {
  return childrenOf(node, local)
    .map(textIn)
    .filter((text) => text !== undefined)
}

/** Current, birth and additional names, in that order; middle names follow the given ones. */
function readNames(name: XmlNode | undefined): PersonName[] {
  const names: PersonName[] = []
  for (const [local, use] of [
    ['CurrentName', 'L'],
    ['BirthName', 'BR'],
    ['AdditionalName', undefined],
  ] as const) {
    for (const node of childrenOf(name, local)) {
      const given = [...texts(node, 'Given'), ...texts(node, 'Middle')]
      const family = texts(node, 'Family').join(' ')
      if (given.length === 0 && family === '') continue
      const prefix = texts(node, 'Title').join(' ')
      const suffix = texts(node, 'Suffix').join(' ')
      names.push({
        given,
        ...(family === '' ? {} : { family }),
        ...(prefix === '' ? {} : { prefix }),
        ...(suffix === '' ? {} : { suffix }),
        ...(use === undefined ? {} : { use }),
      })
    }
  }
  const display = textAt(name, 'DisplayName')
  return names.length === 0 && display !== undefined ? [{ given: [], text: display }] : names
}

/** A CCR is about one patient, or two where one is the child of the other (ASTM E2369 §5.2.5). */
const mostPatients = 2

/** One demographics item for each patient; race, ethnicity, language and marital status stand in the social history. */
export function readPatients(ccr: Ccr): void {
  for (const patient of placesIn(ccr.root, 'Patient').slice(0, mostPatients)) {
    const actor = ccr.actors.get(textAt(patient.node, 'ActorID') ?? '')
    const scope: CcrScope = { ccr, place: actor ?? patient, section: 'Patient' }
    if (actor === undefined) {
      remark(scope, 'unmapped-entry', 'the patient is not among the actors')
      continue
    }
    const content = demographicsOf(scope)
    add(ccr.reading, {
      content,
      negated: false,
      identifiers: content.identifiers,
      provenance: { entry: actor.path, section: 'Patient', authors: [] },
    })
  }
}

function demographicsOf(scope: CcrScope): Extract<ItemContent, { type: 'demographics' }> {
  const { node } = scope.place
  const person = child(node, 'Person')
  const birthDate = readMoment(scope, child(person, 'DateOfBirth'))?.value
  const gender = readCode(scope, child(person, 'Gender'))
  const social = socialHistory(scope)
  const [maritalStatus] = social('marital status')
  return {
    type: 'demographics',
    names: readNames(child(person, 'Name')),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(saying(gender) ? { gender } : {}),
    ...(maritalStatus === undefined ? {} : { maritalStatus }),
    races: social('race'),
    ethnicities: social('ethnicity'),
    languages: social('language')
      .map((language) => language.text ?? language.codings[0]?.code)
      .filter((language) => language !== undefined),
    addresses: childrenOf(node, 'Address').map(readAddress),
    telecoms: [...childrenOf(node, 'Telephone'), ...childrenOf(node, 'EMail'), ...childrenOf(node, 'URL')]
      .map(readTelecom)
      .filter((telecom) => telecom !== undefined),
    identifiers: childrenOf(node, 'IDs')
      .map((ids) => readIdentifier(scope, ids))
      .filter((id) => id.value !== undefined),
  }
}

/** Types of social history that demographics take over. */
export const demographicTypes: readonly string[] = ['race', 'ethnicity', 'language', 'marital status']

function socialHistory(scope: CcrScope) {
  const list = placeAt(scope.ccr.root, 'Body', 'SocialHistory')
  const entries = list ? placesIn(list, 'SocialHistoryElement') : []
  return (type: string) =>
    entries
      .filter(({ node }) => textAt(child(node, 'Type'), 'Text')?.toLowerCase() === type)
      .map(({ node }) => readCode(scope, child(node, 'Description')))
      .filter(saying)
}

function readAddress(node: XmlNode): PostalAddress {
  const lines = ['Line1', 'Line2'].map((local) => textAt(node, local))
  const entry = (key: 'city' | 'state' | 'postalCode' | 'country', local: string) => {
    const text = textAt(node, local)
    return text === undefined ? {} : { [key]: text }
  }
  const use = textAt(child(node, 'Type'), 'Text')
  return {
    lines: lines.filter((line) => line !== undefined),
    ...entry('city', 'City'),
    ...entry('state', 'State'),
    ...entry('postalCode', 'PostalCode'),
    ...entry('country', 'Country'),
    ...(use === undefined ? {} : { use }),
  }
}

function readTelecom(node: XmlNode): Telecom | undefined {
  const value = textAt(node, 'Value')
  const use = textAt(child(node, 'Type'), 'Text')
  return value === undefined ? undefined : { value, ...(use === undefined ? {} : { use }) }
}

/** An identifier with its issuer's name, else its type, as root. */
function readIdentifier(scope: CcrScope, node: XmlNode): Identifier {
  const value = textAt(node, 'ID')
  const issuer = scope.ccr.actors.get(textAt(child(node, 'IssuedBy'), 'ActorID') ?? '')
  const root = (issuer && actorName(issuer.node)) ?? textAt(child(node, 'Type'), 'Text')
  return { ...(root === undefined ? {} : { root }), ...(value === undefined ? {} : { value }) }
}
