import type { ItemContent } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { add } from '../reading.js'
import { given, nullFlavorOf, readIdentifiers, readNamed, readTime } from './datatypes.js'
import { readAddress, readName, readTelecom } from './names.js'
import { at, provenance, remark, type Scope, sdtc } from './scope.js'

/** One demographics item for each recordTarget of the header (C-CDA US Realm Header). */
export function readDemographics(scope: Scope): void {
  for (const place of placesIn(scope.cda.root, 'recordTarget')) {
    const here = at(scope, place)
    const role = child(place.node, 'patientRole')
    const patient = child(role, 'patient') ?? child(role, 'patientPatient')
    if (role === undefined || patient === undefined) {
      remark(here, 'unmapped-entry', 'the record target has no patient')
      continue
    }
    const { recordedAt } = scope.authorship
    add(scope.cda.reading, {
      content: demographicsOf(here, role, patient),
      ...(recordedAt === undefined ? {} : { recordedAt }),
      negated: false,
      ...(nullFlavorOf(patient) === undefined ? {} : { nullFlavor: nullFlavorOf(patient) as string }),
      identifiers: readIdentifiers(role),
      provenance: provenance(here),
    })
  }
}

function demographicsOf(scope: Scope, role: XmlNode, patient: XmlNode): ItemContent {
  const birthDate = readTime(scope, child(patient, 'birthTime'))
  const gender = readNamed(scope, child(patient, 'administrativeGenderCode'))
  const maritalStatus = readNamed(scope, child(patient, 'maritalStatusCode'))
  return {
    type: 'demographics',
    names: childrenOf(patient, 'name')
      .map(readName)
      .filter((name) => name !== undefined),
    ...(birthDate === undefined ? {} : { birthDate }),
    ...(gender === undefined ? {} : { gender }),
    ...(maritalStatus === undefined ? {} : { maritalStatus }),
    races: codes(scope, patient, 'raceCode'),
    ethnicities: codes(scope, patient, 'ethnicGroupCode'),
    languages: childrenOf(patient, 'languageCommunication')
      .map((communication) => given(descend(communication, 'languageCode'), 'code'))
      .filter((code) => code !== undefined),
    addresses: childrenOf(role, 'addr')
      .map(readAddress)
      .filter((address) => address !== undefined),
    telecoms: childrenOf(role, 'telecom')
      .map(readTelecom)
      .filter((telecom) => telecom !== undefined),
    identifiers: readIdentifiers(role),
  }
}

/** CDA allows one race and one ethnicity; further ones come as extensions in the sdtc namespace. */
function codes(scope: Scope, patient: XmlNode, local: string): Concept[] {
  return [...childrenOf(patient, local), ...childrenOf(patient, local, sdtc)]
    .map((code) => readNamed(scope, code))
    .filter((concept) => concept !== undefined)
}
