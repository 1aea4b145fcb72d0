const hl7 = 'http://terminology.hl7.org/CodeSystem'
const root = '2.16.840.1.113883'

/** OID of a code system to its FHIR URI (HL7 FHIR R4, using terminologies; HL7 Terminology for the v3 tables). */
const uriOfOid: Readonly<Record<string, string>> = bare({
  [`${root}.6.96`]: 'http://snomed.info/sct',
  [`${root}.6.5`]: 'http://snomed.info/sct',
  [`${root}.6.1`]: 'http://loinc.org',
  [`${root}.6.88`]: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  [`${root}.6.103`]: 'http://hl7.org/fhir/sid/icd-9-cm',
  [`${root}.6.42`]: 'http://hl7.org/fhir/sid/icd-9-cm',
  [`${root}.6.2`]: 'http://hl7.org/fhir/sid/icd-9-cm',
  [`${root}.6.104`]: 'http://hl7.org/fhir/sid/icd-9-cm',
  [`${root}.6.90`]: 'http://hl7.org/fhir/sid/icd-10-cm',
  [`${root}.6.3`]: 'http://hl7.org/fhir/sid/icd-10',
  [`${root}.6.4`]: 'http://www.cms.gov/Medicare/Coding/ICD10',
  [`${root}.6.12`]: 'http://www.ama-assn.org/go/cpt',
  [`${root}.6.285`]: `${hl7}/HCPCS-all-codes`,
  [`${root}.6.14`]: `${hl7}/HCPCS-all-codes`,
  [`${root}.6.69`]: 'http://hl7.org/fhir/sid/ndc',
  [`${root}.12.292`]: 'http://hl7.org/fhir/sid/cvx',
  [`${root}.6.59`]: 'http://hl7.org/fhir/sid/cvx',
  [`${root}.12.227`]: 'http://hl7.org/fhir/sid/mvx',
  [`${root}.4.9`]: 'http://fdasis.nlm.nih.gov',
  [`${root}.3.26.1.1`]: 'http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl',
  [`${root}.3.26.1.2`]: 'http://ncimeta.nci.nih.gov',
  [`${root}.6.345`]: 'http://va.gov/terminology/medrt',
  [`${root}.3.26.1.5`]: 'http://hl7.org/fhir/ndfrt',
  [`${root}.6.8`]: 'http://unitsofmeasure.org',
  [`${root}.6.101`]: 'http://nucc.org/provider-taxonomy',
  [`${root}.6.254`]: 'http://hl7.org/fhir/sid/icf-nl',
  [`${root}.6.238`]: `urn:oid:${root}.6.238`,
  [`${root}.6.259`]: 'https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html',
  [`${root}.6.301.5`]: 'https://www.nubc.org/CodeSystem/PatDischargeStatus',
  [`${root}.12.112`]: `${hl7}/discharge-disposition`,
  [`${root}.3.221.5`]: 'https://nahdo.org/sopt',
  [`${root}.5.1`]: `${hl7}/v3-AdministrativeGender`,
  [`${root}.5.2`]: `${hl7}/v3-MaritalStatus`,
  [`${root}.5.4`]: `${hl7}/v3-ActCode`,
  [`${root}.5.6`]: `${hl7}/v3-ActClass`,
  [`${root}.5.7`]: `${hl7}/v3-ActPriority`,
  [`${root}.5.8`]: `${hl7}/v3-ActReason`,
  [`${root}.5.14`]: `${hl7}/v3-ActStatus`,
  [`${root}.5.25`]: `${hl7}/v3-Confidentiality`,
  [`${root}.5.43`]: `${hl7}/v3-EntityNamePartQualifier`,
  [`${root}.5.45`]: `${hl7}/v3-EntityNameUse`,
  [`${root}.5.60`]: `${hl7}/v3-LanguageAbilityMode`,
  [`${root}.5.61`]: `${hl7}/v3-LanguageAbilityProficiency`,
  [`${root}.5.83`]: `${hl7}/v3-ObservationInterpretation`,
  [`${root}.5.88`]: `${hl7}/v3-ParticipationFunction`,
  [`${root}.5.90`]: `${hl7}/v3-ParticipationType`,
  [`${root}.5.110`]: `${hl7}/v3-RoleClass`,
  [`${root}.5.111`]: `${hl7}/v3-RoleCode`,
  [`${root}.5.112`]: `${hl7}/v3-RouteOfAdministration`,
  [`${root}.5.1008`]: `${hl7}/v3-NullFlavor`,
  [`${root}.5.1063`]: `${hl7}/v3-ObservationValue`,
  [`${root}.5.1070`]: `${hl7}/v3-RoleStatus`,
  [`${root}.5.1076`]: `${hl7}/v3-ReligiousAffiliation`,
  [`${root}.5.1119`]: `${hl7}/v3-AddressUse`,
})

/** Names that CCR documents give in CodingSystem, without case, blanks and punctuation. */
const uriOfName: Readonly<Record<string, string>> = bare({
  snomed: 'http://snomed.info/sct',
  snomedct: 'http://snomed.info/sct',
  snomedctus: 'http://snomed.info/sct',
  sct: 'http://snomed.info/sct',
  loinc: 'http://loinc.org',
  ln: 'http://loinc.org',
  rxnorm: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  rxnormcui: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  icd9: 'http://hl7.org/fhir/sid/icd-9-cm',
  icd9cm: 'http://hl7.org/fhir/sid/icd-9-cm',
  icd10cm: 'http://hl7.org/fhir/sid/icd-10-cm',
  icd10: 'http://hl7.org/fhir/sid/icd-10',
  icd10pcs: 'http://www.cms.gov/Medicare/Coding/ICD10',
  cpt: 'http://www.ama-assn.org/go/cpt',
  cpt4: 'http://www.ama-assn.org/go/cpt',
  hcpcs: `${hl7}/HCPCS-all-codes`,
  ndc: 'http://hl7.org/fhir/sid/ndc',
  cvx: 'http://hl7.org/fhir/sid/cvx',
  hl7cvx: 'http://hl7.org/fhir/sid/cvx',
  cdcvaccinecode: 'http://hl7.org/fhir/sid/cvx',
  routeofadministration: `${hl7}/v3-RouteOfAdministration`,
  hl7routeofadministration: `${hl7}/v3-RouteOfAdministration`,
  hl7administrativegender: `${hl7}/v3-AdministrativeGender`,
  mvx: 'http://hl7.org/fhir/sid/mvx',
  unii: 'http://fdasis.nlm.nih.gov',
  ndfrt: 'http://hl7.org/fhir/ndfrt',
  ucum: 'http://unitsofmeasure.org',
})

const oid = /^[0-2](?:\.(?:0|[1-9]\d*))+$/
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A code system as named by its source: the URI to use where one can be told, and whether that URI is one of FHIR's. */
export interface CodeSystem {
  readonly uri?: string
  readonly known: boolean
}

/**
 * The FHIR URI of a CDA `codeSystem`. An OID without one keeps itself as `urn:oid:`, a UUID as `urn:uuid:`; anything
 * else (a name where an OID belongs) has no URI and is not repaired: the caller keeps the source's word.
 */
export function codeSystemOfOid(codeSystem: string): CodeSystem {
  const uri = uriOfOid[codeSystem]
  if (uri !== undefined) return { uri, known: true }
  if (oid.test(codeSystem)) return { uri: `urn:oid:${codeSystem}`, known: false }
  if (uuid.test(codeSystem)) return { uri: `urn:uuid:${codeSystem.toLowerCase()}`, known: false }
  return { known: false }
}

/** The FHIR URI of a CCR `CodingSystem`, which is a free name (ASTM E2369 §3) or an OID; a name without one stays as it is. */
export function codeSystemOfName(name: string): CodeSystem {
  const bareName = name.replace(/^urn:oid:/i, '').trim()
  if (oid.test(bareName)) return codeSystemOfOid(bareName)
  const uri = uriOfName[name.toLowerCase().replace(/[^a-z0-9]/g, '')]
  return uri === undefined ? { uri: name, known: false } : { uri, known: true }
}

/** A table without prototype: a stranger's `constructor` is not a code system. */
function bare(table: Record<string, string>): Record<string, string> {
  return Object.assign(Object.create(null) as Record<string, string>, table)
}
