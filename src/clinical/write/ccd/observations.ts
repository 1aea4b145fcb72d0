import type { Observation, Panel, RecordItem, ReferenceRange } from '../../../direct/clinical.js'
import type { Concept } from '../../../direct/datatypes.js'
import { type Content, element, type Markup } from '../../../xml/write.js'
import {
  code,
  fixed,
  identifiers,
  interval,
  isNumeric,
  loinc,
  optionalCode,
  period,
  template,
  uuidOf,
  value,
} from './datatypes.js'
import {
  appendix,
  type Entry,
  idsOf,
  moodOf,
  participations,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

/** Status codes that a result may have (C-CDA Result Status); what has none counts as final. */
const ofResults = new Set(['aborted', 'active', 'cancelled', 'completed', 'held', 'suspended'])

function resultStatus(source: string | undefined): string {
  const lower = source?.toLowerCase()
  return lower !== undefined && ofResults.has(lower) ? lower : 'completed'
}

/** An observation with its item. */
export interface Observed {
  readonly entry: Entry
  readonly observation: Observation
}

/** Observations by the battery that they stand in; one without a battery is alone. */
export function byPanel(all: readonly Observed[]): readonly (readonly Observed[])[] {
  const groups = new Map<string, Observed[]>()
  for (const one of all) {
    const { panel } = one.observation
    const { provenance, id, intent } = one.entry.item
    const key = panel === undefined ? id : `${provenance.document}\n${panel.entry}\n${intent ?? ''}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [one])
    else group.push(one)
  }
  return [...groups.values()]
}

/** Result organizer and observations (C-CDA 22.4.1, 22.4.2). */
export function resultOrganizer(group: readonly Observed[]): Markup {
  const [first] = group
  const panel = first?.observation.panel
  return statement(
    'organizer',
    { class: 'BATTERY', mood: 'EVN' },
    template('22.4.1', '2015-08-01'),
    panelIds(panel, first),
    code('code', panel?.code ?? { codings: [], nullFlavor: 'NI' }),
    status(organizerStatus(group)),
    panel?.when && period('effectiveTime', panel.when),
    group.map((one) =>
      element('component', {}, observation(one, template('22.4.2', '2015-08-01'), { valued: true, open: true })),
    ),
  )
}

/** The panel's own status, else that of its observations; what neither tells stays unknown. */
function organizerStatus(group: readonly Observed[]): string | undefined {
  const own = group[0]?.observation.panel?.status ?? group[0]?.entry.item.status?.source
  return own === undefined ? undefined : resultStatus(own)
}

const vitalSigns = '46680005'

/** Vital signs organizer and observations (C-CDA 22.4.26, 22.4.27). */
export function vitalsOrganizer(group: readonly Observed[]): Markup {
  const [first] = group
  const panel = first?.observation.panel
  const own = panel?.code?.codings.filter(({ code: one }) => one !== vitalSigns) ?? []
  const translated = own.some(({ code: one }) => one === '74728-7')
  return statement(
    'organizer',
    { class: 'CLUSTER', mood: 'EVN' },
    template('22.4.26', '2015-08-01'),
    panelIds(panel, first),
    code('code', {
      codings: [
        { code: vitalSigns, system: 'http://snomed.info/sct', display: 'Vital signs' },
        ...own,
        ...(translated ? [] : [{ code: '74728-7', system: 'http://loinc.org', display: 'Vital signs' }]),
      ],
    }),
    status('completed'),
    period('effectiveTime', panel?.when ?? first?.entry.item.when),
    group.map((one) => element('component', {}, observation(one, template('22.4.27', '2014-06-09'), { valued: true }))),
  )
}

function panelIds(panel: Panel | undefined, first: Observed | undefined): Content {
  if (panel && panel.identifiers.length > 0) return identifiers(panel.identifiers)
  const { provenance, id } = first?.entry.item ?? { provenance: undefined, id: '' }
  return element('id', { root: uuidOf(`panel ${provenance?.document ?? ''} ${panel?.entry ?? id}`) })
}

/** What the guide wants of an observation that its source left out. */
interface Form {
  /** A value, if only to say that there is none. */
  readonly valued?: boolean
  /** A status of its own; otherwise all are completed, which says nothing. */
  readonly open?: boolean
}

/** One observation in the order of the schema, under the templates of its section. */
export function observation({ entry, observation: said }: Observed, templates: Content, form: Form = {}): Markup {
  const { item, ref } = entry
  const absent = said.value === undefined && item.nullFlavor !== undefined
  return statement(
    'observation',
    {
      class: 'OBS',
      mood: moodOf(item),
      negated: item.negated,
      nullFlavor: absent || said.value?.kind === 'absent' ? undefined : item.nullFlavor,
    },
    templates,
    idsOf(item),
    code('code', said.test, { words: `${ref}-1` }),
    textReference(ref),
    status(form.open && item.status === undefined ? undefined : resultStatus(item.status?.source)),
    period('effectiveTime', item.when),
    valuesOf(entry, said, form.valued === true),
    said.interpretations.map((one) => code('interpretationCode', one, { qualified: false })),
    optionalCode('methodCode', said.method, { qualified: false }),
    said.bodySites?.map((site) => code('targetSiteCode', site)),
    said.specimen && specimen(said.specimen),
    participations(item),
    said.components?.map(component),
    appendix(entry),
    said.referenceRanges.map(referenceRange),
  )
}

function valuesOf({ item, ref }: Entry, said: Observation, wanted: boolean): Content {
  const { value: found, otherValues } = said
  if (found !== undefined && otherValues) return [found, ...otherValues].map((one) => value(one))
  if (found !== undefined) return value(found, `${ref}-2`)
  if (!wanted && item.nullFlavor === undefined) return undefined
  return value({ kind: 'absent', nullFlavor: item.nullFlavor ?? 'NI' })
}

/** What an observation is narrowed to, or the scores of a scale (C-CDA 22.4.86). */
function component({ test, value: found }: NonNullable<Observation['components']>[number]): Markup {
  return relation(
    'COMP',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.86'),
      element('id', { nullFlavor: 'UNK' }),
      code('code', test),
      status('completed'),
      found && value(found),
    ),
  )
}

export function specimen(concept: Concept): Markup {
  return element(
    'specimen',
    {},
    element('specimenRole', {}, element('specimenPlayingEntity', {}, code('code', concept, { qualified: false }))),
  )
}

function referenceRange(range: ReferenceRange): Markup {
  const bounded = isNumeric(range.low) || isNumeric(range.high)
  return element(
    'referenceRange',
    {},
    element(
      'observationRange',
      {},
      range.text === undefined ? undefined : element('text', {}, range.text),
      bounded ? interval('value', range, 'IVL_PQ') : undefined,
      optionalCode('interpretationCode', range.interpretation, { qualified: false }),
    ),
  )
}

/** Templates that the guide has for one question of the social history, by its LOINC code. */
const social: Readonly<Record<string, readonly [string, string?, string?]>> = {
  '72166-2': ['22.4.78', '2014-06-09'],
  '11367-0': ['22.4.85', '2014-06-09'],
  '76689-9': ['22.4.200', '2016-06-01', '2.1'],
  '76691-5': ['2.16.840.1.113883.10.20.34.3.45', '2022-06-01', '3.0'],
  '76690-7': ['22.4.501', '2022-06-01', '3.0'],
}

/** Social history: smoking status, tobacco use, birth sex and the others (C-CDA 22.4.78, .85, .200, .38). */
export function socialEntry(one: Observed): Markup {
  const known = one.observation.test.codings.map(({ code: given }) => social[given]).find((row) => row !== undefined)
  return observation(one, known ? template(...known) : template('22.4.38', '2015-08-01'), {
    valued: known !== undefined,
  })
}

/** Functional status (C-CDA 22.4.66, 22.4.67), or mental status (22.4.75, 22.4.74). */
export function functionalEntry(group: readonly Observed[], mental: boolean): Markup {
  const [first] = group
  const panel = first?.observation.panel
  const single = mental ? template('22.4.74', '2015-08-01') : template('22.4.67', '2014-06-09')
  if (first && panel === undefined) return observation(first, single, { valued: true })
  return statement(
    'organizer',
    { class: 'CLUSTER', mood: 'EVN' },
    mental ? template('22.4.75', '2015-08-01') : template('22.4.66', '2014-06-09'),
    panelIds(panel, first),
    code('code', panel?.code ?? { codings: [], nullFlavor: 'NI' }),
    status('completed'),
    panel?.when && period('effectiveTime', panel.when),
    group.map((one) => element('component', {}, observation(one, single, { valued: true }))),
  )
}

/** Something to be observed (C-CDA 22.4.44). */
export function plannedObservation(one: Observed): Markup {
  return observation(one, template('22.4.44', '2014-06-09'), { open: true })
}

/** What the header cannot hold of the patient: birth sex and gender identity, each as an observation (C-CDA 22.4.200, 34.3.45). */
export function patientObservation(item: RecordItem, loincCode: string, label: string, answer: Concept): Markup {
  const row = social[loincCode]
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    row ? template(...row) : undefined,
    idsOf(item, loincCode),
    fixed('code', loincCode, loinc, label),
    status('completed'),
    period('effectiveTime', undefined),
    code('value', answer, { type: 'CD' }),
    participations(item),
  )
}
