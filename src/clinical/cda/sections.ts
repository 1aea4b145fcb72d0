import { attribute, child, childrenOf, textOf, type XmlNode } from '../../xml/node.js'

/** What the entries of a section are, unless their own template says otherwise. */
export type SectionKind =
  | 'allergies'
  | 'problems'
  | 'medications'
  | 'immunizations'
  | 'procedures'
  | 'results'
  | 'vital-signs'
  | 'encounters'
  | 'plan'
  | 'goals'
  | 'interventions'
  | 'outcomes'
  | 'family'
  | 'social'
  | 'insurance'
  | 'directives'
  | 'functional'
  | 'devices'
  | 'care-team'
  /** A section of the standard that no record item type stands for. */
  | 'other'
  | 'unknown'

const kindOfLoinc = new Map<string, SectionKind>()
const kindOfTemplate = new Map<string, SectionKind>()

/** One row a section: LOINC codes, and template roots of C-CDA (22.2), CCD R1 (10.20.1), HITSP C83 and IHE PCC. */
function section(kind: SectionKind, loinc: string, ccda: string, ccd: string, c83: string, ihe: string): void {
  const words = (list: string): string[] => list.split(' ').filter((word) => word !== '')
  for (const code of words(loinc)) kindOfLoinc.set(code, kind)
  for (const part of words(ccda)) kindOfTemplate.set(`2.16.840.1.113883.10.20.22.2.${part}`, kind)
  for (const part of words(ccd)) kindOfTemplate.set(`2.16.840.1.113883.10.20.1.${part}`, kind)
  for (const part of words(c83)) kindOfTemplate.set(`2.16.840.1.113883.3.88.11.83.${part}`, kind)
  for (const part of words(ihe)) kindOfTemplate.set(`1.3.6.1.4.1.19376.1.5.3.1.${part}`, kind)
}

section('allergies', '48765-2 10155-0', '6 6.1', '2', '102', '3.13')
section('problems', '11450-4 11348-0 75310-3', '5 5.1 20 58', '11', '103 104', '3.6 3.8')
section('problems', '46241-6 42347-5 11535-2 10219-4 10218-6 59769-0', '43 24 34 35 36', '', '110 111', '3.3 3.7')
section(
  'medications',
  '10160-0 10183-2 75311-1 42346-7 29549-3',
  '1 1.1 11 11.1 44 38',
  '8',
  '112 113 114 115',
  '3.19 3.22 3.20 3.21',
)
section('immunizations', '11369-6', '2 2.1', '6', '117', '3.23')
// IHE PCC: diagnoses of an emergency department, infections before a pregnancy, medications given; pregnancies, scales.
section('problems', '11301-9 56838-6', '', '', '', '1.13.2.9 1.16.2.1.1')
section('medications', '18610-6', '', '', '', '')
section('procedures', '', '', '', '', '1.13.2.11')
section('social', '10162-6', '', '', '', '1.5.3.4')
section('functional', '38208-5 38228-3 48542-5 46006-3', '', '', '', '')
// IHE XD-LAB: a section for each specialty of a laboratory.
section(
  'results',
  '18716-1 18717-9 18718-7 18719-5 18720-3 18721-1 18722-9 18723-7 18724-5 18725-2 18727-8 18728-6 18729-4 18767-4 18768-2 18769-0 26435-8 26436-6 26437-4 26438-2 18748-4 27898-6',
  '',
  '',
  '',
  '',
)
section('procedures', '47519-4 10167-5 29554-3 59774-0', '7 7.1 27 25', '12', '108', '3.11 3.12')
section('results', '30954-2 11493-4', '3 3.1 16', '14', '122', '3.27 3.28')
section('vital-signs', '8716-3', '4 4.1', '16', '119', '3.25 1.5.3.2')
section('encounters', '46240-8', '22 22.1', '3', '127', '1.5.3.3')
section('plan', '18776-5 51847-2 59772-4', '10 9 30', '10', '124', '3.31')
section('family', '10157-6', '15', '4', '125', '3.14 3.15')
section('social', '29762-2 10182-4', '17', '15', '126', '3.16')
section('insurance', '48768-6', '18', '9', '101', '1.5.3.7 1.1.5.3.7')
section('directives', '42348-3', '21 21.1', '1', '116', '3.34 3.35')
section('functional', '47420-5 10190-7', '14 56', '5', '109', '3.17')
section('devices', '46264-8', '23', '7', '128', '1.5.3.5 1.1.5.3.5')
section('goals', '61146-7', '60', '', '', '')
section('interventions', '62387-6', '', '', '', '')
section('outcomes', '11383-7', '61', '', '', '')
section('care-team', '85847-2', '500', '', '', '')
kindOfTemplate.set('2.16.840.1.113883.10.20.21.2.3', 'interventions')
section(
  'other',
  '51848-0 8648-8 10164-2 42349-1 29299-5 46239-0 10154-3 10187-3 8653-8 69730-0 29545-1 34109-9 48764-5',
  '8 65 12 13 41 45',
  '13',
  '105 106 107 118 120 123',
  '3.1 3.4 3.5 3.18 3.24 3.26',
)
section(
  'other',
  '59768-2 121109 8709-8 10184-0 10223-6 61144-2 18841-7 10210-3 55109-3 10216-0 11537-8 59770-8 59773-2 59771-6 61149-1 61150-9 11329-0 42344-2 10223-0 59776-5 59775-7 10213-7 55122-6 55107-7 55110-1 55111-5 18834-2 18783-1 11491-4 11506-3 11488-4 28570-0 18842-5 34117-2 34111-5 34133-9 121181 121060 121065 121069 121070 121072 121076',
  '57 42 37 31 39 63 28 29 40 64',
  '',
  '',
  '3.33',
)
for (const root of [
  '10.20.21.2.1',
  '10.20.21.2.2',
  '10.20.2.5',
  '10.20.7.12',
  '10.20.7.13',
  '10.20.18.2.9',
  '10.20.6.1.1',
  '10.20.6.1.2',
]) {
  kindOfTemplate.set(`2.16.840.1.113883.${root}`, 'other')
}

const kindOfTitle: readonly (readonly [RegExp, SectionKind])[] = [
  [/\ballerg|adverse reaction|intoleranc/i, 'allergies'],
  [/\bplan\b|planned|future/i, 'plan'],
  [/\bproblem|diagnos|\bconditions?\b|past medical history|health concern/i, 'problems'],
  [/\bmedication/i, 'medications'],
  [/immuni[sz]ation|vaccin/i, 'immunizations'],
  [/vital sign/i, 'vital-signs'],
  [/\bresults?\b|laborator/i, 'results'],
  [/procedure|surger/i, 'procedures'],
  [/encounter/i, 'encounters'],
  [/family history/i, 'family'],
  [/social history|habits/i, 'social'],
  [/payer|insurance|coverage/i, 'insurance'],
  [/advance directive/i, 'directives'],
  [/functional|mental status|cognitive/i, 'functional'],
  [/equipment|implant|devices?\b/i, 'devices'],
  [/\bgoals?\b/i, 'goals'],
  [/intervention/i, 'interventions'],
  [/care team/i, 'care-team'],
]

/**
 * The kind of a section: by its LOINC code, else by the root of any of its templateIds (extensions only date a template),
 * else by its title.
 */
export function kindOfSection(node: XmlNode): SectionKind {
  const code = attribute(child(node, 'code') ?? node, 'code')
  const byCode = code === undefined ? undefined : kindOfLoinc.get(code.trim())
  if (byCode !== undefined) return byCode
  for (const template of childrenOf(node, 'templateId')) {
    const kind = kindOfTemplate.get(attribute(template, 'root')?.trim() ?? '')
    if (kind !== undefined) return kind
  }
  const title = textOf(child(node, 'title'))
  return kindOfTitle.find(([words]) => words.test(title))?.[1] ?? 'unknown'
}
