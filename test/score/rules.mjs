/**
 * What counts as a fact in a CDA document, decided from the standard alone: sections by LOINC code (C-CDA R1.1 to R5.0
 * section templates, HITSP C83, CCD R1, IHE PCC), statements by template root, facts by element.
 */
import { attr, kid, templatesOf, words } from './tree.mjs'

const section = '2.16.840.1.113883.10.20.22.2'
const ccda = '2.16.840.1.113883.10.20.22.4'
const ccd = '2.16.840.1.113883.10.20.1'
const c83 = '2.16.840.1.113883.3.88.11.83'
const c32 = '2.16.840.1.113883.3.88.11.32'
const ihe = '1.3.6.1.4.1.19376.1.5.3.1'

/** Section: LOINC codes, then template roots for sections that have no code of these, then words of a title. */
const sectionRules = [
  [
    'allergies',
    '48765-2 10155-0',
    [`${section}.6`, `${section}.6.1`, `${ccd}.2`, `${c83}.102`, `${ihe}.3.13`],
    /allerg|adverse reaction/i,
  ],
  [
    'problems',
    '11450-4 11348-0 75310-3 46241-6 42347-5 11535-2 10219-4 10218-6 59769-0 29308-4 75326-9',
    [
      `${section}.5`,
      `${section}.5.1`,
      `${section}.20`,
      `${section}.58`,
      `${ccd}.11`,
      `${c83}.103`,
      `${c83}.104`,
      `${ihe}.3.6`,
      `${ihe}.3.8`,
    ],
    /^(active )?problem|diagnos/i,
  ],
  [
    'medications',
    '10160-0 10183-2 75311-1 42346-7 29549-3',
    [
      `${section}.1`,
      `${section}.1.1`,
      `${ccd}.8`,
      `${c83}.112`,
      `${ihe}.3.19`,
      `${ihe}.3.22`,
      `${ihe}.3.20`,
      `${ihe}.3.21`,
    ],
    /medication/i,
  ],
  [
    'immunizations',
    '11369-6',
    [`${section}.2`, `${section}.2.1`, `${ccd}.6`, `${c83}.117`, `${ihe}.3.23`],
    /immuni[sz]ation/i,
  ],
  [
    'procedures',
    '47519-4 10167-5 29554-3 59774-0',
    [`${section}.7`, `${section}.7.1`, `${ccd}.12`, `${c83}.108`, `${ihe}.3.11`],
    /procedure/i,
  ],
  [
    'results',
    '30954-2 11493-4',
    [`${section}.3`, `${section}.3.1`, `${ccd}.14`, `${c83}.122`, `${ihe}.3.27`, `${ihe}.3.28`],
    /result/i,
  ],
  ['vitals', '8716-3', [`${section}.4`, `${section}.4.1`, `${ccd}.16`, `${c83}.119`, `${ihe}.3.25`], /vital/i],
  [
    'encounters',
    '46240-8',
    [`${section}.22`, `${section}.22.1`, `${ccd}.3`, `${c83}.127`, `${ihe}.1.5.3.3`],
    /encounter/i,
  ],
  ['family', '10157-6', [`${section}.15`, `${ccd}.4`, `${c83}.125`, `${ihe}.3.14`, `${ihe}.3.15`], /family/i],
  ['social', '29762-2 10182-4', [`${section}.17`, `${ccd}.15`, `${c83}.126`, `${ihe}.3.16`], /social/i],
  [
    'functional',
    '47420-5 10190-7',
    [`${section}.14`, `${section}.56`, `${ccd}.5`, `${c83}.109`, `${ihe}.3.17`],
    /functional|mental status/i,
  ],
  ['insurance', '48768-6', [`${section}.18`, `${ccd}.9`, `${c83}.101`, `${ihe}.1.5.3.7`], /payer|insurance/i],
  [
    'directives',
    '42348-3 75320-2',
    [`${section}.21`, `${section}.21.1`, `${ccd}.1`, `${c83}.116`, `${ihe}.3.34`, `${ihe}.3.35`],
    /directive/i,
  ],
  ['devices', '46264-8', [`${section}.23`, `${ccd}.7`, `${c83}.128`, `${ihe}.1.5.3.5`], /equipment|device/i],
  ['goals', '61146-7', [`${section}.60`], /goal/i],
  [
    'plan',
    '18776-5 51847-2 62387-6 11383-7 42344-2 61144-2',
    [`${section}.10`, `${section}.9`, `${ccd}.10`, `${c83}.124`, `${ihe}.3.31`],
    /plan/i,
  ],
  ['care-team', '85847-2', [`${section}.500`], /care team/i],
  ['notes', '34109-9', [`${section}.65`], /^\s*notes?\s*$/i],
]

/** The kind of a section: LOINC first, then any template, then its title; `other` for the rest. */
export function kindOfSection(node) {
  const code = attr(kid(node, 'code'), 'code')
  const byCode = sectionRules.find(([, codes]) => code !== undefined && codes.split(' ').includes(code))
  if (byCode) return byCode[0]
  const roots = templatesOf(node)
  const byRoot = sectionRules.find(([, , templates]) => templates.some((one) => roots.includes(one)))
  if (byRoot) return byRoot[0]
  if (code !== undefined) return 'other'
  const title = words(kid(node, 'title'))
  return sectionRules.find(([, , , pattern]) => pattern.test(title))?.[0] ?? 'other'
}

/** Statement: element names, template roots, and the row of the reading table in cda.mjs that makes its facts. */
const statementRules = [
  [
    'allergy',
    'act observation',
    [`${ccda}.30`, `${ccda}.7`, `${ccda}.90`, `${c83}.6`, `${c32}.6`, `${ihe}.4.5.3`, `${ihe}.4.6`, `${ccd}.18`],
  ],
  ['note', 'act', [`${ccda}.202`]],
  ['comment', 'act', [`${ccda}.64`, `${ccd}.40`, `${ihe}.4.2`]],
  ['immunization', 'substanceAdministration', [`${ccda}.52`, `${ccda}.120`, `${c83}.13`, `${c32}.14`, `${ihe}.4.12`]],
  [
    'medication',
    'substanceAdministration',
    [`${ccda}.16`, `${ccda}.42`, `${ccd}.24`, `${c83}.8`, `${c32}.8`, `${ihe}.4.7`],
  ],
  ['medications', 'act', [`${ccda}.35`, `${ccda}.36`]],
  [
    'family',
    'organizer observation',
    [`${ccda}.45`, `${ccda}.46`, `${ccd}.22`, `${ccd}.23`, `${c83}.18`, `${ihe}.4.15`, `${ihe}.4.13.3`],
  ],
  ['coverage', 'act', [`${ccda}.60`, `${ccd}.20`, `${ihe}.4.17`]],
  ['directive', 'observation organizer', [`${ccda}.48`, `${ccda}.108`, `${ccd}.17`, `${c83}.12`, `${ihe}.4.13.7`]],
  ['care-team', 'organizer', [`${ccda}.500`]],
  ['device', 'supply', [`${ccda}.50`, `${ccd}.34`]],
  ['goal', 'observation', [`${ccda}.121`]],
  [
    'function',
    'observation organizer',
    [
      `${ccda}.67`,
      `${ccda}.66`,
      `${ccda}.68`,
      `${ccda}.73`,
      `${ccda}.74`,
      `${ccda}.75`,
      `${ccda}.69`,
      `${ccda}.128`,
      `${ccda}.127`,
    ],
  ],
  [
    'observation',
    'observation',
    [
      `${ccda}.38`,
      `${ccda}.78`,
      `${ccda}.85`,
      `${ccda}.511`,
      `${ccda}.200`,
      `${ccda}.507`,
      `${ccda}.501`,
      `${ccda}.503`,
      `${ccda}.109`,
      `${ccda}.111`,
      `${ccd}.33`,
      `${c83}.19`,
      '2.16.840.1.113883.10.20.15.3.8',
      '2.16.840.1.113883.10.20.34.3.45',
    ],
  ],
  [
    'observation',
    'observation',
    [5, 70, 72, 86, 110, 114, 124, 144, 281, 502, 504, 505, 506].map((n) => `${ccda}.${n}`),
  ],
  [
    'observation',
    'observation',
    ['2.16.840.1.113883.10.20.15.3.1', ...[12, 13, 14].map((n) => `2.16.840.1.113883.10.20.6.2.${n}`)],
  ],
  ['devices', 'organizer', [`${ccda}.135`]],
  ['reason', 'observation', [`${ccda}.19`]],
  ['planned', 'act', [`${ccda}.140`, `${ccda}.141`]],
  ['coverage', 'act', [`${ccda}.61`, `${ccd}.26`]],
  ['wrapper', 'act', [`${ccda}.132`, `${ccda}.136`, `${ccda}.131`, `${ccda}.146`]],
  [
    'problem',
    'act observation',
    [
      `${ccda}.3`,
      `${ccda}.4`,
      `${ccda}.33`,
      `${ccda}.34`,
      `${ccda}.65`,
      `${ccda}.51`,
      `${ccda}.80`,
      `${c83}.7`,
      `${c32}.7`,
      `${ihe}.4.5.2`,
      `${ihe}.4.5`,
      `${ccd}.28`,
    ],
  ],
  [
    'observation',
    'observation organizer',
    [
      `${ccda}.1`,
      `${ccda}.2`,
      `${ccda}.26`,
      `${ccda}.27`,
      `${ccd}.31`,
      `${ccd}.32`,
      `${ccd}.35`,
      `${c83}.14`,
      `${c83}.15`,
      `${c83}.15.1`,
      `${ihe}.4.13.1`,
      `${ihe}.4.13.2`,
    ],
  ],
  ['encounter', 'encounter', [`${ccda}.49`, `${ccda}.40`, `${c83}.16`, `${c32}.17`, `${ccd}.21`, `${ihe}.4.14`]],
  [
    'procedure',
    'procedure act observation',
    [`${ccda}.14`, `${ccda}.12`, `${ccda}.13`, `${c83}.17`, `${ccd}.29`, `${ihe}.4.19`, `${ccda}.41`],
  ],
  [
    'planned',
    'act observation procedure',
    [`${ccda}.39`, `${ccda}.44`, `${ccda}.20`, `${ccda}.131`, `${ccda}.146`, `${ccda}.130`, `${ccd}.25`],
  ],
  ['planned-supply', 'supply', [`${ccda}.43`]],
]

/** What an element is in a section where no template says more. */
const defaults = {
  allergies: { act: 'allergy', observation: 'allergy' },
  problems: { act: 'problem', observation: 'problem' },
  medications: { substanceAdministration: 'medication', act: 'medications', organizer: 'medications' },
  immunizations: { substanceAdministration: 'immunization' },
  procedures: { procedure: 'procedure', act: 'procedure', observation: 'procedure' },
  results: { organizer: 'observation', observation: 'observation', procedure: 'procedure' },
  vitals: { organizer: 'observation', observation: 'observation' },
  encounters: { encounter: 'encounter' },
  family: { organizer: 'family', observation: 'family' },
  social: { observation: 'observation', organizer: 'observation' },
  functional: { observation: 'function', organizer: 'function', act: 'function' },
  insurance: { act: 'coverage' },
  directives: { observation: 'directive', organizer: 'directive' },
  devices: { supply: 'device', procedure: 'procedure', organizer: 'devices' },
  goals: { observation: 'goal' },
  plan: {
    act: 'planned',
    observation: 'planned',
    procedure: 'planned',
    encounter: 'encounter',
    substanceAdministration: 'medication',
    supply: 'planned-supply',
  },
  'care-team': { organizer: 'care-team' },
  notes: { act: 'note' },
  other: {},
}

/** The rule of a statement; undefined where neither a template nor the section tells, and nothing of it is judged. */
export function ruleOf(node, kind) {
  const roots = templatesOf(node)
  const has = (list) => list.some((one) => roots.includes(one))
  // The problem acts of CCD R1 and the templates that C32 took from it stand for allergies too: there the section tells.
  if (kind === 'allergies' && (node.local === 'act' || node.local === 'observation')) return 'allergy'
  if (kind === 'immunizations' && node.local === 'substanceAdministration') return 'immunization'
  if (kind === 'family' && (node.local === 'organizer' || node.local === 'observation')) return 'family'
  for (const [rule, names, templates] of statementRules)
    if (names.split(' ').includes(node.local) && has(templates)) {
      if (kind === 'functional' && rule === 'problem') return 'function'
      return rule
    }
  return defaults[kind]?.[node.local]
}

export const roots = {
  entryReference: [`${ccda}.122`],
  priority: [`${ccda}.143`],
  riskConcern: [`${ccda}.136`],
  allergyObservation: [`${ccda}.7`, `${ccda}.90`, `${ccd}.18`, `${ihe}.4.6`],
  problemObservation: [`${ccda}.4`, `${ccd}.28`, `${ihe}.4.5`],
  reaction: [`${ccda}.9`, `${ccd}.54`],
  severity: [`${ccda}.8`, `${ccd}.55`, `${ihe}.4.1`],
  criticality: [`${ccda}.145`],
  status: [`${ccda}.6`, `${ccda}.28`, `${ccd}.39`, `${ccd}.50`, `${ccd}.57`, `${ccd}.47`, `${ihe}.4.1.1`],
  indication: [`${ccda}.19`],
  age: [`${ccda}.31`, `${ccd}.38`],
  policy: [`${ccda}.61`, `${ccd}.26`, `${ihe}.4.18`],
  refusal: [`${ccda}.53`],
  answer: [`${ccda}.86`],
}
