import type { Demographics } from '../../direct/clinical.js'
import type { Agent, Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { add, note } from '../reading.js'
import { readAddress, readAgents, readIdentifiers, readNames, readTelecoms } from './actors.js'
import { readMoment } from './moments.js'
import type { Ccr, CcrScope } from './scope.js'
import { readCode, saying, wordsOf } from './types.js'

type Trait =
  | 'race'
  | 'ethnicity'
  | 'language'
  | 'preferredLanguage'
  | 'maritalStatus'
  | 'religion'
  | 'genderIdentity'
  | 'birthSex'

/** Types of social history that describe the person and so belong with the demographics; whole labels, without case. */
const traits: readonly (readonly [Trait, RegExp])[] = [
  ['race', /^(race|patient race|races)$/],
  ['ethnicity', /^(ethnicity|ethnic (group|origin|background)|ethnic)$/],
  ['preferredLanguage', /^(preferred|primary|native) language$|^language preference$/],
  ['language', /^(languages?|languages? spoken|spoken languages?)$/],
  ['maritalStatus', /^marital (status|state)$/],
  ['religion', /^(religion|religious (preference|affiliation)|faith)$/],
  ['genderIdentity', /^gender identity$/],
  ['birthSex', /^(birth sex|sex at birth|sex assigned at birth)$/],
]

/** What a social history element says of the person itself, if that is what it does. */
export function traitOf(scope: CcrScope): Trait | undefined {
  const words = wordsOf(readCode(scope, child(scope.place.node, 'Type')))?.toLowerCase()
  const trait = words === undefined ? undefined : traits.find(([, pattern]) => pattern.test(words))?.[0]
  return trait !== undefined && saying(readCode(scope, child(scope.place.node, 'Description'))) ? trait : undefined
}

/**
 * One demographics item for each patient. Race, language and the like stand in the social history, which is that of the
 * first patient: of mother and child nobody says whose it is.
 */
export function readPatients(ccr: Ccr): void {
  for (const id of ccr.patientIds) {
    const actor = ccr.actors.get(id)
    if (actor === undefined) {
      note(ccr.reading, 'unresolved-reference', ccr.root.path, 'the patient is not among the actors')
      continue
    }
    const scope: CcrScope = { ccr, place: actor, section: 'Patient' }
    const content = demographicsOf(scope, ccr.patientItems.length === 0)
    if (content.names.length === 0 || content.birthDate === undefined || content.gender === undefined) {
      note(ccr.reading, 'patient-incomplete', actor.path, 'name, birth date or gender is missing')
    }
    const added = add(ccr.reading, {
      content,
      negated: false,
      identifiers: content.identifiers,
      provenance: { entry: actor.path, section: 'Patient', authors: ccr.senders },
    })
    const made = ccr.reading.items.at(-1)
    if (added && made !== undefined) ccr.patientItems.push(made.id)
  }
  if (ccr.patientIds.length === 0)
    note(ccr.reading, 'patient-incomplete', ccr.root.path, 'the document names no patient')
}

function demographicsOf(scope: CcrScope, first: boolean): Demographics {
  const { node } = scope.place
  const person = child(node, 'Person')
  const birthDate = readMoment(scope, child(person, 'DateOfBirth'))?.value
  const gender = readCode(scope, child(person, 'Gender'))
  const said = (trait: Trait): Concept[] => (first ? socialTraits(scope, trait) : [])
  const [maritalStatus] = said('maritalStatus')
  const [religion] = said('religion')
  const [genderIdentity] = said('genderIdentity')
  const [birthSex] = said('birthSex')
  const [preferred] = said('preferredLanguage')
  const preferredLanguage = preferred && wordsOf(preferred)
  const languages = [...said('preferredLanguage'), ...said('language')].map(wordsOf).filter((one) => one !== undefined)
  const contacts = first ? contactsOf(scope) : []
  const deceased = /\b(deceased|dead|died)\b/i.test(wordsOf(readCode(scope, child(node, 'Status'))) ?? '')
  return {
    type: 'demographics',
    names: readNames(child(person, 'Name')),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(deceased ? { deceased } : {}),
    ...(saying(gender) ? { gender } : {}),
    ...(birthSex === undefined ? {} : { birthSex }),
    ...(genderIdentity === undefined ? {} : { genderIdentity }),
    ...(maritalStatus === undefined ? {} : { maritalStatus }),
    ...(religion === undefined ? {} : { religion }),
    races: said('race'),
    ethnicities: said('ethnicity'),
    languages: [...new Set(languages)],
    ...(preferredLanguage === undefined ? {} : { preferredLanguage }),
    addresses: childrenOf(node, 'Address').map(readAddress),
    telecoms: readTelecoms(node),
    identifiers: readIdentifiers(scope, node),
    ...(contacts.length === 0 ? {} : { contacts }),
  }
}

function socialTraits(scope: CcrScope, trait: Trait): Concept[] {
  const list = placeAt(scope.ccr.root, 'Body', 'SocialHistory')
  return (list === undefined ? [] : placesIn(list, 'SocialHistoryElement'))
    .filter((place: Place) => traitOf({ ...scope, place }) === trait)
    .map(({ node }) => readCode(scope, child(node, 'Description')))
    .filter(saying)
}

/** Supporters that one would call: guardians, relatives, emergency contacts; the rest of the support stands in its care team alone. */
function contactsOf(scope: CcrScope): Agent[] {
  const providers = childrenOf(descend(scope.ccr.root.node, 'Body', 'Support'), 'SupportProvider')
  return readAgents(scope, providers, 'where').filter(({ role }) =>
    /guardian|next of kin|emergency|contact|parent|mother|father|spouse|wife|husband|partner|child|son|daughter|sibling|brother|sister|relative|famil|caregiver|carer/i.test(
      (role && wordsOf(role)) ?? '',
    ),
  )
}
