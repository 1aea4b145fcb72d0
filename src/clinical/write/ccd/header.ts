import type { Demographics, RecordItem } from '../../../direct/clinical.js'
import type { Agent, Concept, PartialDate } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import {
  address,
  code,
  fixed,
  identifier,
  identifiers,
  loinc,
  name,
  optionalCode,
  roleCode,
  telecom,
  template,
  time,
} from './datatypes.js'
import { informant, personName } from './people.js'
import { confidentialityOf } from './statement.js'

/** What the header is made of beside the items. */
export interface Head {
  /** UUID of the document. */
  readonly id: string
  readonly at: PartialDate
  readonly title: string
  /** Who keeps the record: the organization that operates the gateway. */
  readonly custodian: Agent
  /** The patient's own item; whether more of it than what a header must have was chosen. */
  readonly patient: RecordItem | undefined
  readonly whole: boolean
}

const unknown = { nullFlavor: 'UNK' }
/** Not told, by choice (HL7 v3 NullFlavor MSK). */
const masked = { nullFlavor: 'MSK' }

/**
 * The header of a Continuity of Care Document that the patient made (C-CDA R2.1 US Realm Header 22.1.1, the one for
 * patient generated documents 29.1, CCD 22.1.2): the patient is its author, the gateway's operator its custodian.
 */
export function header(head: Head, items: readonly RecordItem[]): Content {
  return [
    element('realmCode', { code: 'US' }),
    element('typeId', { root: '2.16.840.1.113883.1.3', extension: 'POCD_HD000040' }),
    template('22.1.1', '2015-08-01'),
    template('29.1', '2015-08-01', '2.1'),
    template('22.1.2', '2015-08-01'),
    element('id', { root: head.id }),
    fixed('code', '34133-9', loinc, 'Summarization of Episode Note'),
    element('title', {}, head.title),
    time('effectiveTime', head.at),
    element('confidentialityCode', { code: confidentialityOf(items), codeSystem: '2.16.840.1.113883.5.25' }),
    element('languageCode', { code: 'en-US' }),
    element('setId', { root: head.id }),
    element('versionNumber', { value: '1' }),
    recordTarget(head),
    patientAsAuthor(head),
    commonSources(items).map(informant),
    custodian(head.custodian),
    contacts(head),
    documentationOf(head, items),
  ]
}

function patientOf({ patient }: Head): Demographics | undefined {
  return patient?.content.type === 'demographics' ? patient.content : undefined
}

function recordTarget(head: Head): Markup {
  const patient = patientOf(head)
  const { whole } = head
  return element(
    'recordTarget',
    {},
    element(
      'patientRole',
      {},
      identifiers(patient?.identifiers ?? []),
      addresses(head),
      telecoms(head),
      element(
        'patient',
        {},
        names(patient),
        genderOf(patient?.gender),
        time('birthTime', patient?.birthDate),
        whole && patient ? privateParts(patient) : [element('raceCode', masked), element('ethnicGroupCode', masked)],
      ),
      whole && patient?.provider ? organization('providerOrganization', patient.provider) : undefined,
    ),
  )
}

function names(patient: Demographics | undefined): Content {
  return patient && patient.names.length > 0 ? patient.names.map(name) : element('name', unknown)
}

function addresses(head: Head): Content {
  const patient = patientOf(head)
  if (!head.whole) return element('addr', masked)
  return patient && patient.addresses.length > 0 ? patient.addresses.map(address) : element('addr', unknown)
}

function telecoms(head: Head): Content {
  const patient = patientOf(head)
  if (!head.whole) return element('telecom', masked)
  return patient && patient.telecoms.length > 0 ? patient.telecoms.map(telecom) : element('telecom', unknown)
}

function genderOf(gender: Concept | undefined): Markup {
  const local = 'administrativeGenderCode'
  return gender ? code(local, gender, { qualified: false }) : element(local, unknown)
}

/** In the order of the schema; CDA has one race and one ethnicity, the extension has the others. */
function privateParts(patient: Demographics): Content {
  const [race, ...races] = patient.races
  const [ethnicity, ...ethnicities] = patient.ethnicities
  const { deceased, deathDate, birthPlace, preferredLanguage } = patient
  return [
    deceased === undefined ? undefined : element('sdtc:deceasedInd', { value: String(deceased) }),
    deathDate && time('sdtc:deceasedTime', deathDate),
    optionalCode('maritalStatusCode', patient.maritalStatus, { qualified: false }),
    optionalCode('religiousAffiliationCode', patient.religion, { qualified: false }),
    race ? code('raceCode', race, { qualified: false }) : element('raceCode', unknown),
    races.map((one) => code('sdtc:raceCode', one, { qualified: false })),
    ethnicity ? code('ethnicGroupCode', ethnicity, { qualified: false }) : element('ethnicGroupCode', unknown),
    ethnicities.map((one) => code('sdtc:ethnicGroupCode', one, { qualified: false })),
    birthPlace && element('birthplace', {}, element('place', {}, address(birthPlace))),
    patient.languages.map((language) =>
      element(
        'languageCommunication',
        {},
        element('languageCode', { code: language }),
        preferredLanguage === undefined
          ? undefined
          : element('preferenceInd', { value: String(language === preferredLanguage) }),
      ),
    ),
  ]
}

function organization(local: string, agent: Agent): Markup {
  return element(
    local,
    {},
    identifiers(agent.identifiers),
    element('name', {}, agent.text),
    agent.telecoms && agent.telecoms.length > 0 ? agent.telecoms.map(telecom) : element('telecom', unknown),
    agent.addresses && agent.addresses.length > 0 ? agent.addresses.map(address) : element('addr', unknown),
  )
}

/** The patient chose what is in it, and so is its author (C-CDA 29.1); each entry names who wrote it first. */
function patientAsAuthor(head: Head): Markup {
  const patient = patientOf(head)
  const [id] = patient?.identifiers ?? []
  const [first] = patient?.names ?? []
  return element(
    'author',
    {},
    time('time', head.at),
    element(
      'assignedAuthor',
      {},
      id ? identifier(id) : element('id', unknown),
      fixed('code', 'ONESELF', roleCode, 'Self'),
      addresses(head),
      telecoms(head),
      element('assignedPerson', {}, first ? name(first) : element('name', unknown)),
    ),
  )
}

/**
 * Sources that every entry has: only of these may the header say that they told all of it (CDA R2 §4.4, context
 * conduction). The others stand with their entries.
 */
function commonSources(items: readonly RecordItem[]): readonly Agent[] {
  const clinical = items.filter(({ content }) => content.type !== 'demographics' && content.type !== 'document')
  const [first, ...others] = clinical
  if (first === undefined) return []
  return first.provenance.authors.filter((agent) =>
    others.every(({ provenance }) =>
      provenance.authors.some(({ text, kind }) => text === agent.text && kind === agent.kind),
    ),
  )
}

function custodian(agent: Agent): Markup {
  return element(
    'custodian',
    {},
    element('assignedCustodian', {}, organization('representedCustodianOrganization', agent)),
  )
}

const roleClass = '2.16.840.1.113883.5.110'
const contactClasses = new Set(['NOK', 'ECON', 'PRS', 'CAREGIVER', 'GUARD', 'AGNT', 'QUAL', 'CON'])

/** Next of kin, emergency contacts and other support (US Realm Header, participant IND). */
function contacts(head: Head): Content {
  if (!head.whole) return undefined
  return patientOf(head)?.contacts?.map((agent) => {
    const classed = agent.role?.codings.find((one) => one.sourceSystem === roleClass && contactClasses.has(one.code))
    const only = classed !== undefined && agent.role?.codings.length === 1
    return element(
      'participant',
      { typeCode: 'IND' },
      element(
        'associatedEntity',
        { classCode: classed?.code ?? 'PRS' },
        agent.identifiers.map(identifier),
        only ? undefined : optionalCode('code', agent.role, { qualified: false }),
        agent.addresses?.map(address),
        agent.telecoms?.map(telecom),
        agent.kind === 'organization' ? undefined : element('associatedPerson', {}, personName(agent)),
        agent.kind === 'organization' || agent.organization !== undefined
          ? element('scopingOrganization', {}, textElement('name', agent.organization ?? agent.text))
          : undefined,
      ),
    )
  })
}

/** The time of the care that is summed up: from the earliest date told until the document was made. */
function documentationOf(head: Head, items: readonly RecordItem[]): Markup {
  let earliest: PartialDate | undefined
  for (const { when } of items) {
    const start = when?.value ?? when?.low
    if (start && (earliest === undefined || start.text < earliest.text)) earliest = start
  }
  const begun = earliest && earliest.text < head.at.text ? earliest : patientOf(head)?.birthDate
  return element(
    'documentationOf',
    {},
    element(
      'serviceEvent',
      { classCode: 'PCPR' },
      element('effectiveTime', {}, time('low', begun), time('high', head.at)),
    ),
  )
}
