import { attribute, childrenOf, type XmlNode } from '../../xml/node.js'

const ccda = '2.16.840.1.113883.10.20.22.4'
const ccd = '2.16.840.1.113883.10.20.1'
const c83 = '2.16.840.1.113883.3.88.11.83'
const c32 = '2.16.840.1.113883.3.88.11.32'
const ihe = '1.3.6.1.4.1.19376.1.5.3.1.4'

/** Template roots of the statements that readers ask for, over C-CDA, CCD R1, HITSP C83 and C32, and IHE PCC. */
export const templates = {
  allergyConcern: [`${ccda}.30`, `${c83}.6`, `${c32}.6`, `${ihe}.5.3`],
  allergyObservation: [`${ccda}.7`, `${ccda}.90`, `${ccd}.18`, `${ihe}.6`],
  problemConcern: [`${ccda}.3`, `${ccda}.132`, `${c83}.7`, `${c32}.7`, `${ihe}.5.2`],
  /** Wrappers around diagnoses: discharge, admission, before and after an operation. */
  diagnosisAct: [`${ccda}.33`, `${ccda}.34`, `${ccda}.65`, `${ccda}.51`, `${ccda}.80`],
  /** The concern of CCD R1, around problems and allergies alike. */
  problemAct: [`${ccd}.27`],
  problemObservation: [`${ccda}.4`, `${ccd}.28`, `${ihe}.5`],
  medication: [`${ccda}.16`, `${ccd}.24`, `${c83}.8`, `${c32}.8`, `${ihe}.7`],
  plannedMedication: [`${ccda}.42`],
  /** Wrappers around medications: on discharge, on admission. */
  medicationAct: [`${ccda}.35`, `${ccda}.36`],
  immunization: [`${ccda}.52`, `${ccda}.120`, `${c83}.13`, `${c32}.14`, `${ihe}.12`],
  procedure: [`${ccda}.14`, `${ccda}.12`, `${ccda}.13`, `${c83}.17`, `${ccd}.29`, `${ihe}.19`],
  planned: [`${ccda}.39`, `${ccda}.40`, `${ccda}.41`, `${ccda}.44`, `${ccd}.25`],
  resultOrganizer: [`${ccda}.1`, `${ccd}.32`],
  resultObservation: [`${ccda}.2`, `${ccd}.31`, `${c83}.15`, `${c83}.15.1`, `${c32}.16`],
  vitalOrganizer: [`${ccda}.26`, `${ccd}.35`, `${ihe}.13.1`],
  vitalObservation: [`${ccda}.27`, `${c83}.14`, `${c32}.15`, `${ihe}.13.2`],
  encounter: [`${ccda}.49`, `${c83}.16`, `${c32}.17`, `${ccd}.21`, `${ihe}.14`],
  status: [`${ccda}.6`, `${ccda}.28`, `${ccda}.47`, `${ccd}.50`, `${ccd}.39`, `${ccd}.47`, `${ccd}.57`, `${ihe}.1.1`],
  reaction: [`${ccda}.9`, `${ccd}.54`],
  severity: [`${ccda}.8`, `${ccd}.55`, `${ihe}.1`],
  criticality: [`${ccda}.145`],
  ageAtOnset: [`${ccda}.31`, `${ccd}.38`],
  instruction: [`${ccda}.20`, `${ccd}.49`, `${ihe}.3`],
  freeTextSig: [`${ccda}.147`],
  refusal: [`${ccda}.53`],
  seriesNumber: [`${ccd}.46`],
  familyHistory: [
    `${ccda}.45`,
    `${ccda}.46`,
    `${ccd}.23`,
    `${ccd}.22`,
    `${ccd}.42`,
    `${c83}.18`,
    `${ihe}.15`,
    `${ihe}.13.3`,
  ],
  familyDeath: [`${ccda}.47`],
  /** Social history, smoking, tobacco, pregnancy, tribe, occupation, industry, sexual orientation, home, caregiver, culture. */
  social: [
    ...['38', '78', '511', '85', '506', '503', '504', '501', '109', '72', '111', '281', '507'].map(
      (id) => `${ccda}.${id}`,
    ),
    ...[
      `${ccda}.200`,
      '2.16.840.1.113883.10.20.34.3.45',
      '2.16.840.1.113883.10.20.15.3.8',
      '2.16.840.1.113883.10.20.15.3.1',
    ],
    // IHE PCC has its pregnancies in observations of their own, alone and in an organizer.
    ...[`${ccd}.33`, `${c83}.19`, `${c32}.19`, `${ihe}.13.4`, `${ihe}.13.5`, `${ihe}.13.5.1`],
  ],
  birthSex: [`${ccda}.200`],
  genderIdentity: ['2.16.840.1.113883.10.20.34.3.45'],
  assessment: [`${ccda}.69`, `${ccda}.86`],
  /** Abilities, mental and cognitive status, disability, nutrition, pressure ulcers, wounds. */
  functional: [
    '66',
    '67',
    '68',
    '73',
    '74',
    '75',
    '70',
    '76',
    '77',
    '124',
    '127',
    '128',
    '133',
    '134',
    '138',
    '505',
    '512',
  ].map((id) => `${ccda}.${id}`),
  wound: [`${ccda}.114`],
  coverage: [`${ccda}.60`, `${ccda}.129`, `${ccd}.20`, `${ihe}.17`],
  policy: [`${ccda}.61`, `${ccd}.26`, `${c83}.5`, `${c32}.5`, `${ihe}.18`],
  payer: [`${ccda}.87`],
  guarantor: [`${ccda}.88`],
  authorization: [`${ccd}.19`],
  advanceDirective: [`${ccda}.48`, `${ccda}.108`, `${ccd}.17`, `${c83}.12`, `${c32}.13`, `${ihe}.13.7`],
  nonMedicinalSupply: [`${ccda}.50`, `${ccd}.34`],
  equipmentOrganizer: [`${ccda}.135`],
  productInstance: [`${ccda}.37`, `${ccd}.52`],
  udiOrganizer: [`${ccda}.311`],
  plannedSupply: [`${ccda}.43`],
  goal: [`${ccda}.121`],
  outcome: [`${ccda}.144`, `${ccda}.110`],
  priority: [`${ccda}.143`, `${ccda}.142`],
  intervention: [`${ccda}.131`, `${ccda}.146`],
  healthConcern: [`${ccda}.132`],
  riskConcern: [`${ccda}.136`],
  /** Nutrition recommendation, referral, handoff: acts that no other type stands for. */
  plan: [`${ccda}.130`, `${ccda}.140`, `${ccda}.141`],
  indication: [`${ccda}.19`],
  reason: ['2.16.840.1.113883.10.20.24.3.88'],
  careTeam: [`${ccda}.500`, `${ccda}.500.1`],
  careTeamType: [`${ccda}.500.2`],
  note: [`${ccda}.202`],
  dateOfDiagnosis: [`${ccda}.502`],
  prognosis: [`${ccda}.113`],
  death: [`${ccda}.79`, `${ccda}.47`, `${ccd}.42`],
  deceased: [`${ccda}.79`],
  vehicle: [`${ccda}.24`],
  supplyOrder: [`${ccda}.17`],
  dispense: [`${ccda}.18`],
  adherence: [`${ccda}.508`],
  administered: [`${ccda}.118`],
  comment: [`${ccda}.64`, `${ccd}.40`, `${ihe}.2`],
  entryReference: [`${ccda}.122`, `${ihe}.4.1`],
} as const satisfies Record<string, readonly string[]>

/** Whether any templateId of the element has one of these roots, whatever its extension. */
export function isA(node: XmlNode, roots: readonly string[]): boolean {
  for (const template of childrenOf(node, 'templateId')) {
    const root = attribute(template, 'root')?.trim()
    if (root !== undefined && roots.includes(root)) return true
  }
  return false
}
