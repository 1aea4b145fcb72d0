import type { Encounter, Procedure, RecordItem } from '../../../direct/clinical.js'
import type { Concept } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { oidOf } from '../systems.js'
import { problemObservation } from './conditions.js'
import { code, fixed, loinc, optionalCode, period, template, value } from './datatypes.js'
import { actStatus } from './medications.js'
import { specimen } from './observations.js'
import { performer } from './people.js'
import {
  appendix,
  authorship,
  type Entry,
  idsOf,
  indication,
  instruction,
  moodOf,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

type Shape = 'procedure' | 'act' | 'observation'

const shapes = {
  procedure: { class: 'PROC', done: '22.4.14', planned: '22.4.41' },
  act: { class: 'ACT', done: '22.4.12', planned: '22.4.39' },
  observation: { class: 'OBS', done: '22.4.13', planned: '22.4.44' },
} as const

/** The shape that the source had, as its path tells; one that found something is an observation. */
function shapeOf({ provenance }: RecordItem, procedure: Procedure): Shape {
  if (procedure.value !== undefined) return 'observation'
  const local = /\/(procedure|act|observation)\[\d+\]$/.exec(provenance.entry)?.[1]
  const sited =
    procedure.bodySites.length + (procedure.approaches?.length ?? 0) + (procedure.specimens?.length ?? 0) > 0
  if (local === 'act') return sited || procedure.methods ? 'procedure' : 'act'
  return local === 'observation' ? 'observation' : 'procedure'
}

/** Procedure activity in its three shapes (C-CDA 22.4.14, .12, .13), or the planned ones (22.4.41, .39, .44). */
export function procedureEntry(entry: Entry, procedure: Procedure, planned = false): Markup {
  const { item, ref } = entry
  const shape = shapeOf(item, procedure)
  const { class: classCode, done, planned: toDo } = shapes[shape]
  const { instructions, refusalReason, approaches, methods } = procedure
  const observed = shape === 'observation'
  return statement(
    shape,
    { class: classCode, mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    template(planned ? toDo : done, '2014-06-09'),
    idsOf(item),
    code('code', procedure.procedure, { words: `${ref}-1` }),
    textReference(ref),
    status(planned ? 'active' : actStatus(item)),
    period('effectiveTime', item.when),
    observed ? value(procedure.value ?? { kind: 'absent', nullFlavor: 'NI' }) : undefined,
    shape === 'act' ? undefined : methods?.map((one) => code('methodCode', one, { qualified: false })),
    shape === 'procedure' ? approaches?.map((one) => code('approachSiteCode', one)) : undefined,
    shape === 'act' ? undefined : procedure.bodySites.map((site) => code('targetSiteCode', site)),
    procedure.specimens?.map(specimen),
    item.performers?.map(performer),
    authorship(item),
    procedure.devices.map(device),
    procedure.locations?.map((name) => location(name, undefined)),
    procedure.indications?.map((one, at) => indication(item, one, `indication-${at}`)),
    refusalReason && reasonNotDone(item, refusalReason),
    procedure.complications?.map((one, at) => complication(item, one, at)),
    instructions === undefined ? undefined : instruction(instructions),
    appendix(entry),
  )
}

/** A device by its kind alone. No product instance (C-CDA 22.4.37): the piece itself is an item of its own, and is told once. */
function device(concept: Concept): Markup {
  return element(
    'participant',
    { typeCode: 'DEV' },
    element(
      'participantRole',
      { classCode: 'MANU' },
      element('id', { nullFlavor: 'UNK' }),
      element('playingDevice', {}, code('code', concept, { qualified: false })),
      element('scopingEntity', {}, element('id', { nullFlavor: 'UNK' })),
    ),
  )
}

/** Service delivery location (C-CDA 22.4.32). */
function location(name: string | undefined, kind: Concept | undefined): Markup {
  return element(
    'participant',
    { typeCode: 'LOC' },
    element(
      'participantRole',
      { classCode: 'SDLOC' },
      template('22.4.32'),
      kind ? code('code', kind, { qualified: false }) : element('code', { nullFlavor: 'UNK' }),
      name === undefined ? undefined : element('playingEntity', { classCode: 'PLC' }, textElement('name', name)),
    ),
  )
}

function reasonNotDone(item: RecordItem, reason: Concept): Markup {
  return relation(
    'RSON',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('2.16.840.1.113883.10.20.24.3.88', '2014-12-01', '2.1'),
      idsOf(item, 'refusal'),
      fixed('code', '77301-0', loinc, 'Reason care action performed or not'),
      status('completed'),
      code('value', reason, { type: 'CD' }),
    ),
  )
}

function complication(item: RecordItem, problem: Concept, at: number): Markup {
  return relation(
    'COMP',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.4', '2015-08-01'),
      idsOf(item, `complication-${at}`),
      fixed(
        'code',
        '116223007',
        '2.16.840.1.113883.6.96',
        'Complication',
        fixed('translation', '75326-9', loinc, 'Problem'),
      ),
      status('completed'),
      period('effectiveTime', undefined, { begins: true }),
      code('value', problem, { type: 'CD' }),
    ),
  )
}

/**
 * Encounter activity (C-CDA 22.4.49), or planned encounter (22.4.40). `diagnosed` are the problems that the source had
 * within the encounter: they go back there, so that they are told once.
 */
export function encounterEntry(
  entry: Entry,
  encounter: Encounter,
  diagnosed: readonly Entry[],
  planned = false,
): Markup {
  const { item, ref } = entry
  const { class: kind, disposition, locations, locationKinds } = encounter
  const known = new Set(encounter.encounter.codings.map((one) => `${oidOf(one)}|${one.code}`))
  const more = kind?.codings.filter((one) => !known.has(`${oidOf(one)}|${one.code}`)) ?? []
  const told = new Set(diagnosed.map(({ item: one }) => conceptKey(one)))
  const untold = encounter.diagnoses.filter((one) => !told.has(JSON.stringify(one)))
  const places = Math.max(locations.length, locationKinds?.length ?? 0)
  return statement(
    'encounter',
    { class: 'ENC', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    planned ? template('22.4.40', '2014-06-09') : template('22.4.49', '2015-08-01'),
    idsOf(item),
    code('code', encounter.encounter, { words: `${ref}-1`, more }),
    textReference(ref),
    planned ? status('active') : item.status && status(actStatus(item)),
    period('effectiveTime', item.when),
    optionalCode('sdtc:dischargeDispositionCode', disposition, { qualified: false }),
    item.performers?.map(performer),
    authorship(item),
    Array.from({ length: places }, (_, at) => location(locations[at], locationKinds?.[at])),
    encounter.indications?.map((one, at) => indication(item, one, `indication-${at}`)),
    diagnosed.map((one) => diagnosisAct(one.item, problemIn(one))),
    untold.map((one, at) => diagnosisAct(item, bareDiagnosis(item, one, at))),
    appendix(entry),
  )
}

function conceptKey({ content, negated }: RecordItem): string {
  return content.type === 'problem' && !negated ? JSON.stringify(content.problem) : ''
}

function problemIn(entry: Entry): Content {
  const { content } = entry.item
  return content.type === 'problem' ? problemObservation(entry, content) : undefined
}

/** Encounter diagnosis (C-CDA 22.4.80). */
function diagnosisAct(item: RecordItem, observation: Content): Markup {
  return relation(
    'COMP',
    statement(
      'act',
      { class: 'ACT', mood: 'EVN' },
      template('22.4.80', '2015-08-01'),
      idsOf(item, 'diagnosis'),
      fixed('code', '29308-4', loinc, 'Diagnosis'),
      relation('SUBJ', observation),
    ),
  )
}

function bareDiagnosis(item: RecordItem, diagnosis: Concept, at: number): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    template('22.4.4', '2015-08-01'),
    idsOf(item, `diagnosis-${at}`),
    fixed(
      'code',
      '282291009',
      '2.16.840.1.113883.6.96',
      'Diagnosis',
      fixed('translation', '29308-4', loinc, 'Diagnosis'),
    ),
    status('completed'),
    period('effectiveTime', undefined, { begins: true }),
    code('value', diagnosis, { type: 'CD' }),
  )
}
