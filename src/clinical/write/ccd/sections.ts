import type { RecordItem, RecordItemType } from '../../../direct/clinical.js'
import type { Content } from '../../../xml/write.js'
import { template } from './datatypes.js'

/** The sections that we write, in the order of the document. */
export type SectionKey =
  | 'allergies'
  | 'medications'
  | 'problems'
  | 'procedures'
  | 'results'
  | 'vital-signs'
  | 'immunizations'
  | 'encounters'
  | 'family'
  | 'social'
  | 'functional'
  | 'mental'
  | 'devices'
  | 'directives'
  | 'payers'
  | 'plan'
  | 'goals'
  | 'care-team'
  | 'notes'

export interface SectionForm {
  readonly key: SectionKey
  readonly title: string
  /** LOINC. */
  readonly code: string
  readonly display: string
  readonly templates: Content
  /** What it is of: choosing none of these leaves it out. */
  readonly types: readonly RecordItemType[]
  /** A Continuity of Care Document has it always (C-CDA R2.1 §1.1.4). */
  readonly required: boolean
}

function form(
  key: SectionKey,
  title: string,
  [code, display]: readonly [string, string],
  templates: Content,
  types: readonly RecordItemType[],
  required = false,
): SectionForm {
  return { key, title, code, display, templates, types, required }
}

const all: RecordItemType[] = ['medication', 'immunization', 'procedure', 'encounter', 'result', 'vital-sign']

export const sectionForms: readonly SectionForm[] = [
  form(
    'allergies',
    'Allergies',
    ['48765-2', 'Allergies and adverse reactions'],
    [template('22.2.6', '2015-08-01'), template('22.2.6.1', '2015-08-01')],
    ['allergy'],
    true,
  ),
  form(
    'medications',
    'Medications',
    ['10160-0', 'History of medication use'],
    [template('22.2.1', '2014-06-09'), template('22.2.1.1', '2014-06-09')],
    ['medication'],
    true,
  ),
  form(
    'problems',
    'Problems',
    ['11450-4', 'Problem list'],
    [template('22.2.5', '2015-08-01'), template('22.2.5.1', '2015-08-01')],
    ['problem'],
    true,
  ),
  form(
    'procedures',
    'Procedures',
    ['47519-4', 'History of procedures'],
    [template('22.2.7', '2014-06-09'), template('22.2.7.1', '2014-06-09')],
    ['procedure'],
  ),
  form(
    'results',
    'Results',
    ['30954-2', 'Relevant diagnostic tests and laboratory data'],
    [template('22.2.3', '2015-08-01'), template('22.2.3.1', '2015-08-01')],
    ['result'],
    true,
  ),
  form(
    'vital-signs',
    'Vital signs',
    ['8716-3', 'Vital signs'],
    [template('22.2.4', '2015-08-01'), template('22.2.4.1', '2015-08-01')],
    ['vital-sign'],
    true,
  ),
  form(
    'immunizations',
    'Immunizations',
    ['11369-6', 'History of immunization'],
    [template('22.2.2', '2015-08-01'), template('22.2.2.1', '2015-08-01')],
    ['immunization'],
  ),
  form(
    'encounters',
    'Encounters',
    ['46240-8', 'History of encounters'],
    [template('22.2.22', '2015-08-01'), template('22.2.22.1', '2015-08-01')],
    ['encounter'],
  ),
  form('family', 'Family history', ['10157-6', 'Family history'], template('22.2.15', '2015-08-01'), [
    'family-history',
  ]),
  form(
    'social',
    'Social history',
    ['29762-2', 'Social history'],
    template('22.2.17', '2015-08-01'),
    ['social-history'],
    true,
  ),
  form('functional', 'Functional status', ['47420-5', 'Functional status'], template('22.2.14', '2014-06-09'), [
    'functional-status',
  ]),
  form('mental', 'Mental status', ['10190-7', 'Mental status'], template('22.2.56', '2015-08-01', '2.1'), [
    'functional-status',
  ]),
  form(
    'devices',
    'Medical equipment',
    ['46264-8', 'History of medical device use'],
    template('22.2.23', '2014-06-09'),
    ['device'],
  ),
  form(
    'directives',
    'Advance directives',
    ['42348-3', 'Advance directives'],
    [template('22.2.21', '2015-08-01'), template('22.2.21.1', '2015-08-01')],
    ['advance-directive'],
  ),
  form('payers', 'Payers', ['48768-6', 'Payment sources'], template('22.2.18', '2015-08-01'), ['insurance']),
  form('plan', 'Plan of treatment', ['18776-5', 'Plan of treatment'], template('22.2.10', '2014-06-09'), [
    'plan',
    ...all,
  ]),
  form('goals', 'Goals', ['61146-7', 'Goals'], template('22.2.60'), ['goal']),
  form(
    'care-team',
    'Care team',
    ['85847-2', 'Patient care team information'],
    template('22.2.500', '2019-07-01', '2.1'),
    ['care-team'],
  ),
  form('notes', 'Notes', ['34109-9', 'Note'], template('22.2.65', '2016-11-01', '2.1'), ['note']),
]

const homes: Readonly<Record<RecordItemType, SectionKey | undefined>> = {
  demographics: undefined,
  document: undefined,
  allergy: 'allergies',
  problem: 'problems',
  medication: 'medications',
  immunization: 'immunizations',
  result: 'results',
  'vital-sign': 'vital-signs',
  procedure: 'procedures',
  encounter: 'encounters',
  'family-history': 'family',
  'social-history': 'social',
  'functional-status': 'functional',
  'advance-directive': 'directives',
  insurance: 'payers',
  device: 'devices',
  goal: 'goals',
  plan: 'plan',
  'care-team': 'care-team',
  note: 'notes',
}

/** Types that stand in the plan while they are planned; a device or a policy says so in its own section. */
const plannable: ReadonlySet<RecordItemType> = new Set<RecordItemType>([...all, 'social-history', 'functional-status'])
const mentalCodes = new Set(['10190-7', '11451-2'])

/** The section of an item, by its type and by whether it happened; undefined for what a document has no section for. */
export function sectionOf({ content, intent, provenance }: RecordItem): SectionKey | undefined {
  const { type } = content
  if (intent === 'goal' && (plannable.has(type) || type === 'goal')) return 'goals'
  if (plannable.has(type) && intent === 'planned') return 'plan'
  if (plannable.has(type) && intent === 'ordered' && type !== 'medication') return 'plan'
  if (type === 'functional-status' && mentalCodes.has(provenance.section ?? '')) return 'mental'
  return homes[type]
}

/** Whether an item has a form of its own as an entry; what has none is told in the narrative, and never as an event. */
export function hasEntry({ content, intent }: RecordItem): boolean {
  const happened = intent === undefined || intent === 'performed'
  if (content.type === 'allergy' || content.type === 'problem' || content.type === 'family-history') return happened
  if (content.type === 'note' || content.type === 'care-team') return happened
  if (content.type === 'goal') return true
  return intent !== 'goal' || ['result', 'vital-sign', 'social-history', 'functional-status'].includes(content.type)
}
