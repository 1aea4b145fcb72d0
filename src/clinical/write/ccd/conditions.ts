import type { Allergy, Problem, Reaction, RecordItem } from '../../../direct/clinical.js'
import type { Concept } from '../../../direct/datatypes.js'
import { type Content, element, type Markup } from '../../../xml/write.js'
import { foldWords } from '../../status.js'
import {
  actCode,
  code,
  fixed,
  fixedValue,
  loinc,
  optionalPeriod,
  period,
  quantity,
  snomed,
  template,
  time,
  value,
} from './datatypes.js'
import {
  appendix,
  authorship,
  type Entry,
  idsOf,
  participations,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

/** Status codes that a concern act may have (C-CDA ProblemAct statusCode). */
const ofConcern = new Set(['active', 'aborted', 'completed', 'suspended'])

/** What a reader takes from the concern and the dates alone, without a status observation (C-CDA R2.1, Problem Concern Act). */
function impliedStatus({ when, status: said }: RecordItem): string {
  if (when?.high || when?.highUnknown) return 'resolved'
  const source = said?.source?.toLowerCase()
  if (source !== undefined && ofConcern.has(source)) return source === 'active' ? 'active' : 'inactive'
  return said?.folded === 'inactive' ? 'inactive' : 'active'
}

function concernStatus({ status: said }: RecordItem): string {
  const source = said?.source?.toLowerCase()
  if (source !== undefined && ofConcern.has(source)) return source
  if (said === undefined || said.folded === 'active' || said.folded === 'unknown' || said.folded === 'planned')
    return 'active'
  return said.folded === 'cancelled' ? 'aborted' : 'completed'
}

const statusValues: Readonly<Record<string, readonly [string, string]>> = {
  active: ['55561003', 'Active'],
  inactive: ['73425007', 'Inactive'],
  resolved: ['413322009', 'Resolved'],
}

/** A status observation where the concern and the dates would be read as anything else, or where the source had its own code. */
function statusObservation(item: RecordItem, id: string, date: string, label: string): Content {
  const { status: said } = item
  if (said === undefined || (said.concept === undefined && said.folded === impliedStatus(item))) return undefined
  const known = statusValues[said.folded]
  const words = said.source !== undefined && foldWords(said.source) === said.folded ? said.source : said.folded
  return relation(
    'REFR',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template(id, date),
      fixed('code', '33999-4', loinc, label),
      status('completed'),
      said.concept
        ? code('value', said.concept, { type: 'CD' })
        : known
          ? fixedValue(known[0], snomed, known[1])
          : code('value', { codings: [], text: words }, { type: 'CD' }),
    ),
  )
}

/** The concern act around an observation. When it entered the list is when it was written down, as far as anybody knows. */
function concern(entry: Entry, templates: Content, concernCode: Content, observation: Content): Markup {
  const { item } = entry
  const current = concernStatus(item)
  return statement(
    'act',
    { class: 'ACT', mood: 'EVN' },
    templates,
    idsOf(item, 'concern'),
    concernCode,
    status(current),
    element(
      'effectiveTime',
      {},
      time('low', item.recordedAt),
      current === 'completed' || current === 'aborted' ? time('high', undefined) : undefined,
    ),
    authorship(item),
    relation('SUBJ', observation),
  )
}

/** Severity (C-CDA 22.4.8). */
export function severity(grade: Concept | undefined): Content {
  if (grade === undefined) return undefined
  return relation(
    'SUBJ',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.8', '2014-06-09'),
      fixed('code', 'SEV', actCode, 'Severity Observation'),
      status('completed'),
      code('value', grade, { type: 'CD' }),
    ),
    true,
  )
}

/** A reaction (C-CDA 22.4.9) with its severity. */
export function reaction(item: RecordItem, given: Reaction, typeCode: string, at: number): Markup {
  return relation(
    typeCode,
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.9', '2014-06-09'),
      idsOf(item, `reaction-${at}`),
      fixed('code', 'ASSERTION', actCode, 'Assertion'),
      status('completed'),
      optionalPeriod('effectiveTime', given.when, { begins: true }),
      code('value', given.manifestation, { type: 'CD' }),
      severity(given.severity),
    ),
    typeCode === 'MFST',
  )
}

/** Allergy concern act and observation (C-CDA 22.4.30, 22.4.7); a substance that is denied keeps its name under negationInd. */
export function allergyEntry(entry: Entry, allergy: Allergy): Markup {
  const { item, ref } = entry
  const { substance, kind, reactions, criticality } = allergy
  const observation = statement(
    'observation',
    { class: 'OBS', mood: 'EVN', negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.7', '2014-06-09'),
    idsOf(item),
    fixed('code', 'ASSERTION', actCode, 'Assertion'),
    textReference(ref),
    status('completed'),
    period('effectiveTime', item.when, { begins: true }),
    kind ? code('value', kind, { type: 'CD' }) : fixedValue('420134006', snomed, 'Propensity to adverse reactions'),
    participations(item),
    element(
      'participant',
      { typeCode: 'CSM' },
      element(
        'participantRole',
        { classCode: 'MANU' },
        element(
          'playingEntity',
          { classCode: 'MMAT' },
          code('code', substance, { words: `${ref}-1`, qualified: false }),
        ),
      ),
    ),
    statusObservation(item, '22.4.28', '2019-06-20', 'Status'),
    reactions.map((one, at) => reaction(item, one, 'MFST', at)),
    severity(allergy.severity),
    criticality && criticalityOf(criticality),
    appendix(entry),
  )
  return concern(
    entry,
    template('22.4.30', '2015-08-01'),
    fixed('code', 'CONC', '2.16.840.1.113883.5.6', 'Concern'),
    observation,
  )
}

function criticalityOf(criticality: Concept): Markup {
  return relation(
    'SUBJ',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.145'),
      fixed('code', '82606-5', loinc, 'Allergy or intolerance criticality'),
      status('completed'),
      code('value', criticality, { type: 'CD' }),
    ),
    true,
  )
}

/** Problem concern act and observation (C-CDA 22.4.3, 22.4.4). */
export function problemEntry(entry: Entry, problem: Problem): Markup {
  return concern(
    entry,
    template('22.4.3', '2015-08-01'),
    fixed('code', 'CONC', '2.16.840.1.113883.5.6', 'Concern'),
    problemObservation(entry, problem),
  )
}

const problemKind: Concept = {
  codings: [
    { code: '55607006', system: 'http://snomed.info/sct', display: 'Problem' },
    { code: '75326-9', system: 'http://loinc.org', display: 'Problem' },
  ],
}

/** A problem observation (C-CDA 22.4.4), also within an encounter diagnosis. */
export function problemObservation(entry: Entry, problem: Problem): Markup {
  const { item, ref } = entry
  const { kind, ageAtOnset, diagnosedAt, prognosis, bodySites } = problem
  const finding = (related: string, id: Content, findingCode: Content, what: Content, inverted = false): Content =>
    what &&
    relation(
      related,
      statement('observation', { class: 'OBS', mood: 'EVN' }, id, findingCode, status('completed'), what),
      inverted,
    )
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN', negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.4', '2015-08-01'),
    idsOf(item),
    code('code', kind ?? problemKind),
    textReference(ref),
    status('completed'),
    period('effectiveTime', item.when, { begins: true }),
    code('value', problem.problem, { type: 'CD', words: `${ref}-1` }),
    bodySites?.map((site) => code('targetSiteCode', site)),
    participations(item),
    finding(
      'SUBJ',
      template('22.4.31'),
      fixed('code', '445518008', snomed, 'Age At Onset'),
      quantity('value', ageAtOnset, { 'xsi:type': 'PQ' }),
      true,
    ),
    prognosis && finding('REFR', template('22.4.113'), fixed('code', '75328-5', loinc, 'Prognosis'), value(prognosis)),
    statusObservation(item, '22.4.6', '2019-06-20', 'Status'),
    severity(problem.severity),
    diagnosedAt && dateOfDiagnosis(problem),
    problem.causedDeath === true
      ? finding(
          'CAUS',
          template('22.4.47'),
          fixed('code', 'ASSERTION', actCode, 'Assertion'),
          fixedValue('419099009', snomed, 'Dead'),
        )
      : undefined,
    appendix(entry),
  )
}

/** Date of diagnosis (C-CDA 22.4.502). */
function dateOfDiagnosis({ diagnosedAt }: Problem): Markup {
  return relation(
    'COMP',
    statement(
      'act',
      { class: 'ACT', mood: 'EVN' },
      template('22.4.502', '2022-06-01', '3.0'),
      fixed('code', '77975-1', loinc, 'Earliest date of diagnosis'),
      status('completed'),
      time('effectiveTime', diagnosedAt),
    ),
  )
}
