/** Code systems and dates as the score writes them in facts; its own tables, from HL7 Terminology. */

const base = '2.16.840.1.113883'
/** Names of one system: OIDs, FHIR URIs, and words of CCR documents without case, blanks and punctuation. */
const systems = [
  ['snomed', `${base}.6.96 ${base}.6.5`, 'http://snomed.info/sct', 'snomed snomedct snomedctus sct'],
  ['loinc', `${base}.6.1`, 'http://loinc.org', 'loinc ln'],
  ['rxnorm', `${base}.6.88`, 'http://www.nlm.nih.gov/research/umls/rxnorm', 'rxnorm rxnormcui'],
  ['icd9', `${base}.6.103 ${base}.6.42 ${base}.6.2 ${base}.6.104`, 'http://hl7.org/fhir/sid/icd-9-cm', 'icd9 icd9cm'],
  ['icd10cm', `${base}.6.90`, 'http://hl7.org/fhir/sid/icd-10-cm', 'icd10cm'],
  ['icd10', `${base}.6.3`, 'http://hl7.org/fhir/sid/icd-10', 'icd10'],
  ['icd10pcs', `${base}.6.4`, 'http://www.cms.gov/Medicare/Coding/ICD10 http://www.icd10data.com/icd10pcs', 'icd10pcs'],
  ['cpt', `${base}.6.12`, 'http://www.ama-assn.org/go/cpt', 'cpt cpt4'],
  [
    'hcpcs',
    `${base}.6.285 ${base}.6.14`,
    'http://terminology.hl7.org/CodeSystem/HCPCS-all-codes http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets',
    'hcpcs',
  ],
  ['ndc', `${base}.6.69`, 'http://hl7.org/fhir/sid/ndc', 'ndc'],
  ['cvx', `${base}.12.292 ${base}.6.59`, 'http://hl7.org/fhir/sid/cvx', 'cvx hl7cvx cdcvaccinecode'],
  ['mvx', `${base}.12.227`, 'http://hl7.org/fhir/sid/mvx', 'mvx'],
  ['unii', `${base}.4.9`, 'http://fdasis.nlm.nih.gov', 'unii'],
  [
    'ncit',
    `${base}.3.26.1.1`,
    'http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl http://ncithesaurus-stage.nci.nih.gov',
    '',
  ],
  ['ncimeta', `${base}.3.26.1.2`, 'http://ncimeta.nci.nih.gov', ''],
  ['medrt', `${base}.6.345`, 'http://va.gov/terminology/medrt http://www.nlm.nih.gov/research/umls/medrt', ''],
  ['ndfrt', `${base}.3.26.1.5`, 'http://hl7.org/fhir/ndfrt', 'ndfrt'],
  ['ucum', `${base}.6.8`, 'http://unitsofmeasure.org', 'ucum'],
  ['nucc', `${base}.6.101`, 'http://nucc.org/provider-taxonomy', ''],
  ['icf', `${base}.6.254`, 'http://hl7.org/fhir/sid/icf-nl http://hl7.org/fhir/sid/icf', ''],
  ['hsloc', `${base}.6.259`, 'https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html', ''],
  ['nubc', `${base}.6.301.5`, 'https://www.nubc.org/CodeSystem/PatDischargeStatus', ''],
  ['disposition', `${base}.12.112`, 'http://terminology.hl7.org/CodeSystem/discharge-disposition', ''],
  ['sopt', `${base}.3.221.5`, 'https://nahdo.org/sopt', ''],
  ...Object.entries({
    1: 'AdministrativeGender',
    2: 'MaritalStatus',
    4: 'ActCode',
    6: 'ActClass',
    7: 'ActPriority',
    8: 'ActReason',
    14: 'ActStatus',
    25: 'Confidentiality',
    43: 'EntityNamePartQualifier',
    45: 'EntityNameUse',
    60: 'LanguageAbilityMode',
    61: 'LanguageAbilityProficiency',
    83: 'ObservationInterpretation',
    88: 'ParticipationFunction',
    90: 'ParticipationType',
    110: 'RoleClass',
    111: 'RoleCode',
    112: 'RouteOfAdministration',
    1008: 'NullFlavor',
    1063: 'ObservationValue',
    1070: 'RoleStatus',
    1076: 'ReligiousAffiliation',
    1119: 'AddressUse',
  }).map(([number, name]) => [
    `v3-${name}`,
    `${base}.5.${number}`,
    `http://terminology.hl7.org/CodeSystem/v3-${name}`,
    `${name.toLowerCase()} hl7${name.toLowerCase()}`,
  ]),
]

const shortOf = new Map()
for (const [short, oids, uris, names] of systems)
  for (const word of `${oids} ${uris} ${names}`.split(' ')) if (word !== '') shortOf.set(word, short)

/** One word for a code system, however it is named; a system that no table has keeps its own. */
export function systemName(raw) {
  if (raw === undefined) return ''
  const plain = raw.trim().replace(/^urn:(oid|uuid):/i, '')
  return shortOf.get(plain) ?? shortOf.get(plain.toLowerCase().replace(/[^a-z0-9]/g, '')) ?? plain.toLowerCase()
}

/** A moment of HL7 v3 as ISO text at its own precision with its zone; undefined for what is not one. */
export function moment(raw) {
  const match = /^(\d{4,14})(\.\d+)?(Z|[+-]\d{2}(?:\d{2})?)?$/.exec(raw?.trim() ?? '')
  if (match === null) return undefined
  const [, digits, fraction = '', zone] = match
  if (digits.length % 2 !== 0 || (fraction !== '' && digits.length !== 14)) return undefined
  const [year, month, day, hour, minute, second] = [
    digits.slice(0, 4),
    ...Array.from({ length: 5 }, (_, at) => digits.slice(4 + 2 * at, 6 + 2 * at)),
  ]
  if (month !== '' && (month < '01' || month > '12')) return undefined
  const last = day === '' ? 31 : new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  if (day !== '' && (day < '01' || Number(day) > last)) return undefined
  if (hour > '23' || minute > '59' || second > '59') return undefined
  const time = [hour, minute, second].filter((part) => part !== '').join(':')
  const text = [year, month, day].filter((part) => part !== '').join('-') + (time && `T${time}${fraction}`)
  return text + offsetText(zone)
}

function offsetText(zone) {
  if (zone === undefined) return ''
  if (zone === 'Z') return '+0'
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3, 5) || 0)
  return `${zone[0] === '-' && minutes > 0 ? '-' : '+'}${minutes}`
}

/** A PartialDate of the record as the same text. */
export function answerMoment(date) {
  if (date === undefined) return undefined
  const { text, offsetMinutes } = date
  return text + (offsetMinutes === null ? '' : `${offsetMinutes < 0 ? '-' : '+'}${Math.abs(offsetMinutes)}`)
}

/** A name as the set of its words, without case and punctuation. */
export function nameKey(text) {
  return [...new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])].sort().join(' ')
}

export const tidy = (text) => text.replace(/\s+/g, ' ').trim()
