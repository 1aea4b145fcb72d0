import type { Demographics } from '../../direct/clinical.js'
import type { Agent, Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { codeSystemOfOid } from '../codesystems.js'
import { type Place, placesIn } from '../place.js'
import { add } from '../reading.js'
import { readAgent, readOrganization, readRole } from './agents.js'
import { given, isTrue, nullFlavorOf, readIdentifiers, readNamed, readTime, readWhen } from './datatypes.js'
import { readAddress, readName, readTelecom } from './names.js'
import { at, provenance, remark, type Scope, sdtc } from './scope.js'

/**
 * The demographics item of the first recordTarget of the header (C-CDA US Realm Header). A document about several patients
 * is read for the first of them alone; each other one is reported, and nothing of it is mixed in.
 */
export function readDemographics(scope: Scope): void {
  const [place, ...others] = placesIn(scope.cda.root, 'recordTarget')
  for (const other of others) remark(at(scope, other), 'unmapped-entry', 'a further patient, who is not read')
  const here = at(scope, place ?? scope.cda.root)
  const role = child(place?.node, 'patientRole')
  const patient = child(role, 'patient') ?? child(role, 'patientPatient')
  if (place === undefined || role === undefined || patient === undefined) {
    remark(here, 'patient-incomplete', 'name, birth date and sex are missing')
    return
  }
  const content = demographicsOf(here, role, patient)
  tellMissing(here, content)
  const { recordedAt } = scope.authorship
  const { labels } = scope
  add(scope.cda.reading, {
    content,
    ...(recordedAt === undefined ? {} : { recordedAt }),
    negated: false,
    ...(nullFlavorOf(patient) === undefined ? {} : { nullFlavor: nullFlavorOf(patient) as string }),
    ...(labels === undefined ? {} : { labels }),
    identifiers: readIdentifiers(role),
    provenance: provenance(here),
  })
}

/** Name, birth date and sex tell patients apart; a document without them wants a second look. */
function tellMissing(scope: Scope, { names, birthDate, gender }: Demographics): void {
  const missing = [
    names.length === 0 ? 'name' : '',
    birthDate === undefined ? 'birth date' : '',
    gender === undefined ? 'sex' : '',
  ].filter((word) => word !== '')
  if (missing.length > 0) remark(scope, 'patient-incomplete', `missing: ${missing.join(', ')}`)
}

function demographicsOf(scope: Scope, role: XmlNode, patient: XmlNode): Demographics {
  const birthDate = readTime(scope, child(patient, 'birthTime'))
  const birthPlace = descend(patient, 'birthplace', 'place', 'addr')
  const born = birthPlace && readAddress(birthPlace)
  const deathDate = readTime(scope, child(patient, 'deceasedTime', sdtc))
  const deceased = isTrue(given(child(patient, 'deceasedInd', sdtc), 'value'))
  const gender = readNamed(scope, child(patient, 'administrativeGenderCode'))
  const maritalStatus = readNamed(scope, child(patient, 'maritalStatusCode'))
  const religion = readNamed(scope, child(patient, 'religiousAffiliationCode'))
  const provider = readOrganization(scope, child(role, 'providerOrganization'))
  const contacts = contactsOf(scope, patient)
  return {
    type: 'demographics',
    names: childrenOf(patient, 'name')
      .map(readName)
      .filter((name) => name !== undefined),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(born === undefined ? {} : { birthPlace: born }),
    ...(deceased !== undefined ? { deceased } : deathDate === undefined ? {} : { deceased: true }),
    ...(deathDate === undefined ? {} : { deathDate }),
    ...(gender === undefined ? {} : { gender }),
    ...(maritalStatus === undefined ? {} : { maritalStatus }),
    ...(religion === undefined ? {} : { religion }),
    races: codes(scope, patient, 'raceCode'),
    ethnicities: codes(scope, patient, 'ethnicGroupCode'),
    ...languagesOf(patient),
    addresses: childrenOf(role, 'addr')
      .map(readAddress)
      .filter((address) => address !== undefined),
    telecoms: childrenOf(role, 'telecom')
      .map(readTelecom)
      .filter((telecom) => telecom !== undefined),
    identifiers: readIdentifiers(role),
    ...(contacts.length === 0 ? {} : { contacts }),
    ...(provider === undefined ? {} : { provider }),
  }
}

function languagesOf(patient: XmlNode): Pick<Demographics, 'languages' | 'preferredLanguage'> {
  const spoken = childrenOf(patient, 'languageCommunication')
    .map((node) => ({
      code: given(child(node, 'languageCode'), 'code'),
      preferred: isTrue(given(child(node, 'preferenceInd'), 'value')),
    }))
    .filter((one): one is { code: string; preferred: boolean | undefined } => one.code !== undefined)
  const preferred = spoken.find((one) => one.preferred === true)?.code
  return {
    languages: [...new Set(spoken.map((one) => one.code))],
    ...(preferred === undefined ? {} : { preferredLanguage: preferred }),
  }
}

/** CDA allows one race and one ethnicity; further ones come as extensions in the sdtc namespace. */
function codes(scope: Scope, patient: XmlNode, local: string): Concept[] {
  return [...childrenOf(patient, local), ...childrenOf(patient, local, sdtc)]
    .map((code) => readNamed(scope, code))
    .filter((concept) => concept !== undefined)
}

const roleClasses = '2.16.840.1.113883.5.110'
const contactClasses = new Set(['NOK', 'ECON', 'PRS', 'CAREGIVER', 'GUARD', 'AGNT', 'QUAL', 'CON'])

/** Guardians of the patient, and the people whom the header names as support (C-CDA US Realm Header, participant IND). */
function contactsOf(scope: Scope, patient: XmlNode): Agent[] {
  const found: Agent[] = []
  const keep = (agent: Agent | undefined, classCode: string | undefined): void => {
    if (agent === undefined || found.length >= scope.cda.reading.limits.agents) return
    const role = agent.role ?? roleOfClass(classCode)
    found.push(role === undefined ? agent : { ...agent, role })
  }
  for (const guardian of childrenOf(patient, 'guardian')) {
    keep(readRole(scope, guardian, true), given(guardian, 'classCode') ?? 'GUARD')
  }
  for (const participant of childrenOf(scope.cda.root.node, 'participant')) {
    const classCode = given(child(participant, 'associatedEntity'), 'classCode')
    if (classCode !== undefined && contactClasses.has(classCode)) keep(readAgent(scope, participant, true), classCode)
  }
  return found
}

function roleOfClass(classCode: string | undefined): Concept | undefined {
  if (classCode === undefined) return undefined
  const { uri } = codeSystemOfOid(roleClasses)
  return { codings: [{ ...(uri === undefined ? {} : { system: uri }), code: classCode, sourceSystem: roleClasses }] }
}

/** The care team of the header: who performed the service that the document is about (documentationOf/serviceEvent). */
export function readHeaderCareTeam(scope: Scope): void {
  for (const documented of placesIn(scope.cda.root, 'documentationOf')) {
    for (const event of placesIn(documented, 'serviceEvent')) readTeam(at(scope, event))
  }
}

function readTeam(scope: Scope): void {
  const { place, labels } = scope
  const performers = childrenOf(place.node, 'performer').slice(0, scope.cda.reading.limits.agents)
  const members = performers.flatMap((performer) => member(scope, performer))
  if (members.length === 0) return
  const { recordedAt } = scope.authorship
  const when = periodOf(scope, place)
  add(scope.cda.reading, {
    // The code of the event says what was done, not what kind of team did it.
    content: { type: 'care-team', members },
    ...(when === undefined ? {} : { when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    negated: false,
    intent: 'performed',
    ...(labels === undefined ? {} : { labels }),
    identifiers: readIdentifiers(place.node),
    provenance: provenance(scope),
  })
}

function member(scope: Scope, performer: XmlNode): { agent: Agent; when?: When }[] {
  const read = readAgent(scope, performer, true)
  if (read === undefined) return []
  // The time of a performer is a period here, which `when` has whole.
  const { at: _, ...agent } = read
  const when = readWhen(scope, child(performer, 'time'))
  return [when === undefined ? { agent } : { agent, when }]
}

function periodOf(scope: Scope, place: Place): When | undefined {
  return readWhen(scope, child(place.node, 'effectiveTime'))
}
