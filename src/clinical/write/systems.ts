import type { Coding } from '../../direct/datatypes.js'
import { codeSystemOfOid } from '../codesystems.js'

const root = '2.16.840.1.113883'

/** The OID to write for each system that has several or is known by a URI, with the name people know it by. */
const names: Readonly<Record<string, string>> = {
  [`${root}.6.96`]: 'SNOMED CT',
  [`${root}.6.1`]: 'LOINC',
  [`${root}.6.88`]: 'RxNorm',
  [`${root}.6.103`]: 'ICD-9-CM',
  [`${root}.6.90`]: 'ICD-10-CM',
  [`${root}.6.3`]: 'ICD-10',
  [`${root}.6.4`]: 'ICD-10-PCS',
  [`${root}.6.12`]: 'CPT',
  [`${root}.6.285`]: 'HCPCS',
  [`${root}.6.69`]: 'NDC',
  [`${root}.12.292`]: 'CVX',
  [`${root}.12.227`]: 'MVX',
  [`${root}.4.9`]: 'UNII',
  [`${root}.3.26.1.1`]: 'NCI Thesaurus',
  [`${root}.3.26.1.2`]: 'NCI Metathesaurus',
  [`${root}.6.345`]: 'MED-RT',
  [`${root}.3.26.1.5`]: 'NDF-RT',
  [`${root}.6.8`]: 'UCUM',
  [`${root}.6.101`]: 'NUCC Health Care Provider Taxonomy',
  [`${root}.6.254`]: 'ICF',
  [`${root}.6.238`]: 'Race and Ethnicity - CDC',
  [`${root}.6.259`]: 'HealthcareServiceLocation',
  [`${root}.6.301.5`]: 'NUBC UB-04 FL17',
  [`${root}.12.112`]: 'Discharge Disposition',
  [`${root}.3.221.5`]: 'Source of Payment Typology',
  [`${root}.5.1`]: 'AdministrativeGender',
  [`${root}.5.2`]: 'MaritalStatus',
  [`${root}.5.4`]: 'ActCode',
  [`${root}.5.6`]: 'ActClass',
  [`${root}.5.7`]: 'ActPriority',
  [`${root}.5.8`]: 'ActReason',
  [`${root}.5.14`]: 'ActStatus',
  [`${root}.5.25`]: 'Confidentiality',
  [`${root}.5.43`]: 'EntityNamePartQualifier',
  [`${root}.5.45`]: 'EntityNameUse',
  [`${root}.5.60`]: 'LanguageAbilityMode',
  [`${root}.5.61`]: 'LanguageAbilityProficiency',
  [`${root}.5.83`]: 'ObservationInterpretation',
  [`${root}.5.88`]: 'ParticipationFunction',
  [`${root}.5.90`]: 'ParticipationType',
  [`${root}.5.110`]: 'RoleClass',
  [`${root}.5.111`]: 'RoleCode',
  [`${root}.5.112`]: 'RouteOfAdministration',
  [`${root}.5.1063`]: 'ObservationValue',
  [`${root}.5.1076`]: 'ReligiousAffiliation',
  [`${root}.5.1119`]: 'AddressUse',
}

const oidOfUri = new Map<string, string>()
for (const oid of Object.keys(names)) {
  const { uri } = codeSystemOfOid(oid)
  if (uri !== undefined && !oidOfUri.has(uri)) oidOfUri.set(uri, oid)
}

const uid = /^(?:[0-2](?:\.(?:0|[1-9]\d*))+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i

/** Whether a text is an OID or a UUID: what a `codeSystem` or a `root` of HL7 v3 may be. */
export function isUid(text: string | undefined): text is string {
  return text !== undefined && uid.test(text)
}

/** The OID or UUID of a coding's system: the source's own where it gave one, else that of the URI; undefined for a mere name. */
export function oidOf({ system, sourceSystem }: Coding): string | undefined {
  if (isUid(sourceSystem)) return sourceSystem
  if (system === undefined) return undefined
  const known = oidOfUri.get(system)
  if (known !== undefined) return known
  const bare = system.replace(/^urn:(?:oid|uuid):/i, '')
  return isUid(bare) ? bare : undefined
}

/** What people call a coding's system: for a reader, beside the OID. */
export function systemName(coding: Coding): string | undefined {
  const oid = oidOf(coding)
  const known = oid === undefined ? undefined : names[oidOfUri.get(coding.system ?? '') ?? oid]
  return known ?? (isUid(coding.sourceSystem) ? undefined : (coding.sourceSystem ?? coding.system))
}
