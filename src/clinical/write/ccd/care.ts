import type { CareTeam, Device, Goal, Note, Plan, RecordItem } from '../../../direct/clinical.js'
import type { Concept, PartialDate } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { code, fixed, loinc, optionalPeriod, period, quantity, snomed, template, time, value } from './datatypes.js'
import { actStatus } from './medications.js'
import { assignedEntity } from './people.js'
import {
  appendix,
  authorship,
  type Entry,
  idsOf,
  indication,
  instruction,
  moodOf,
  participations,
  pointer,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

const ncit = '2.16.840.1.113883.3.26.1.1'
const fda = '2.16.840.1.113883.3.3719'

/** Non-medicinal supply activity with its product instance (C-CDA 22.4.50, 22.4.37) and what its identifier tells (22.4.311). */
export function deviceEntry(entry: Entry, device: Device): Markup {
  const { item, ref } = entry
  const { udi, manufacturer, model } = device
  return statement(
    'supply',
    { class: 'SPLY', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.50', '2014-06-09'),
    idsOf(item),
    textReference(ref),
    status(actStatus(item)),
    optionalPeriod('effectiveTime', item.when, { type: 'IVL_TS' }),
    quantity('quantity', device.quantity),
    participations(item),
    element(
      'participant',
      { typeCode: 'PRD' },
      element(
        'participantRole',
        { classCode: 'MANU' },
        template('22.4.37'),
        udi === undefined ? element('id', { nullFlavor: 'UNK' }) : element('id', { root: fda, extension: udi }),
        element(
          'playingDevice',
          {},
          code('code', device.device, { words: `${ref}-1`, qualified: false }),
          textElement('manufacturerModelName', model),
        ),
        element('scopingEntity', {}, element('id', { nullFlavor: 'UNK' }), textElement('desc', manufacturer)),
      ),
    ),
    identity(entry, device),
    appendix(entry),
  )
}

/** UDI organizer (C-CDA 22.4.311): each part of the identifier as the source took it apart. */
function identity({ item }: Entry, device: Device): Content {
  const { udi, deviceIdentifier, serial, lot, brand, model, manufacturedAt, expiresAt, distinctIdentifier } = device
  const [magnetic, latex] = safetyOf(device)
  const parts = [
    deviceIdentifier === undefined
      ? undefined
      : part(
          '22.4.304',
          'C101722',
          'Primary DI Number',
          element('value', { 'xsi:type': 'II', root: fda, extension: deviceIdentifier }),
        ),
    textPart('22.4.315', 'C101672', 'Lot or Batch Number', lot),
    textPart('22.4.319', 'C101671', 'Serial Number', serial),
    datePart('22.4.316', 'C101669', 'Manufacturing Date', manufacturedAt),
    datePart('22.4.309', 'C101670', 'Expiration Date', expiresAt),
    textPart('22.4.301', 'C71898', 'Brand Name', brand),
    distinctIdentifier === undefined
      ? undefined
      : part(
          '22.4.308',
          'C113843',
          'Distinct Identification Code',
          element('value', { 'xsi:type': 'II', root: fda, extension: distinctIdentifier }),
        ),
    codedPart('22.4.318', 'C106044', 'MRI Safety Status', magnetic),
    codedPart('22.4.314', 'C160938', 'Latex Safety Status', latex),
    // The organizer says it too where there is one; the device itself has it in any case.
    textPart('22.4.317', 'C99285', 'Model Number', udi === undefined ? undefined : model),
  ].filter((one) => one !== undefined)
  if (parts.length === 0) return undefined
  return relation(
    'COMP',
    statement(
      'organizer',
      { class: 'CLUSTER', mood: 'EVN' },
      template('22.4.311', '2019-06-21', '2.1'),
      udi === undefined ? idsOf(item, 'udi') : element('id', { root: fda, extension: udi }),
      fixed('code', '74711-3', loinc, 'Unique Device Identifier'),
      status('completed'),
      parts.map((one) => element('component', {}, one)),
    ),
  )
}

function part(id: string, partCode: string, label: string, content: Content): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    template(id, '2019-06-21', '2.1'),
    fixed('code', partCode, ncit, label),
    content,
  )
}

function textPart(id: string, partCode: string, label: string, words: string | undefined): Markup | undefined {
  return words === undefined ? undefined : part(id, partCode, label, element('value', { 'xsi:type': 'ED' }, words))
}

function codedPart(id: string, partCode: string, label: string, concept: Concept | undefined): Markup | undefined {
  return concept && part(id, partCode, label, code('value', concept, { type: 'CD' }))
}

/** What the labelling says of magnetic resonance, and of latex: the guide has one observation for each. */
function safetyOf({ safety = [] }: Device): readonly [Concept | undefined, Concept | undefined] {
  const aboutLatex = (one: Concept): boolean =>
    [one.text, ...one.codings.map(({ display }) => display)].some((words) => /latex|rubber/i.test(words ?? ''))
  return [safety.find((one) => !aboutLatex(one)), safety.find(aboutLatex)]
}

function datePart(id: string, partCode: string, label: string, date: PartialDate | undefined): Markup | undefined {
  if (date === undefined) return undefined
  const stamp = date.text.replace(/[-T:]/g, '')
  return part(id, partCode, label, element('value', { 'xsi:type': 'TS', value: stamp }))
}

/** Goal observation (C-CDA 22.4.121). */
export function goalEntry(entry: Entry, goal: Goal): Markup {
  const { item, ref } = entry
  const { instructions, priority, reasons, target } = goal
  return statement(
    'observation',
    { class: 'OBS', mood: 'GOL', negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.121'),
    idsOf(item),
    code('code', goal.goal, { words: `${ref}-1` }),
    textReference(ref),
    status(actStatus(item) ?? 'active'),
    optionalPeriod('effectiveTime', item.when),
    target && value(target),
    participations(item),
    priority &&
      relation(
        'REFR',
        statement(
          'observation',
          { class: 'OBS', mood: 'EVN' },
          template('22.4.143'),
          idsOf(item, 'priority'),
          fixed('code', '225773000', snomed, 'Preference'),
          code('value', priority, { type: 'CD' }),
        ),
      ),
    reasons?.map((one, at) => indication(item, one, `reason-${at}`)),
    instructions === undefined ? undefined : instruction(instructions),
    appendix(entry),
  )
}

/** An instruction where it stands for itself (C-CDA 22.4.20), else a planned act (22.4.39), or an observation where it has a value (22.4.44). */
export function planEntry(entry: Entry, plan: Plan): Markup {
  const { item, ref } = entry
  const { instructions, value: expected } = plan
  const observed = expected !== undefined
  const mood = moodOf(item)
  return statement(
    observed ? 'observation' : 'act',
    {
      class: observed ? 'OBS' : 'ACT',
      mood,
      negated: item.negated,
      nullFlavor: item.nullFlavor,
    },
    mood === 'EVN' ? undefined : template(observed ? '22.4.44' : '22.4.20', '2014-06-09'),
    idsOf(item),
    code('code', plan.activity, { words: `${ref}-1` }),
    instructions === undefined ? undefined : element('text', {}, pointer(`${ref}-2`)),
    status(observed ? 'active' : (actStatus(item) ?? 'active')),
    optionalPeriod('effectiveTime', item.when),
    expected && value(expected),
    participations(item),
    plan.indications.map((one, at) => indication(item, one, `indication-${at}`)),
    appendix(entry),
  )
}

/** Care team organizer and member acts (C-CDA 22.4.500, 22.4.500.1). */
export function careTeamEntry(entry: Entry, team: CareTeam): Markup {
  const { item, ref } = entry
  return statement(
    'organizer',
    { class: 'CLUSTER', mood: 'EVN', nullFlavor: item.nullFlavor },
    template('22.4.500', '2019-07-01', '2.1'),
    template('22.4.500', '2022-06-01', '2.1'),
    idsOf(item),
    fixed(
      'code',
      '86744-0',
      loinc,
      'Care team',
      team.name === undefined ? undefined : element('originalText', {}, pointer(`${ref}-1`)),
    ),
    status(actStatus(item)),
    period('effectiveTime', item.when, { begins: true }),
    authorship(item),
    team.kind && element('component', {}, teamKind(item, team.kind)),
    team.members.map((member, at) => element('component', {}, memberAct(item, member, at))),
  )
}

function teamKind(item: RecordItem, kind: Concept): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    template('22.4.500.2', '2019-07-01', '2.1'),
    idsOf(item, 'kind'),
    fixed('code', '86744-0', loinc, 'Care team'),
    status('completed'),
    code('value', kind, { type: 'CD' }),
  )
}

/** The member's function stands in the extension that HL7 made for it (sdtc:functionCode). */
function memberAct(item: RecordItem, { agent, when, status: state }: CareTeam['members'][number], at: number): Markup {
  const { role, ...bare } = agent
  return statement(
    'act',
    { class: 'PCPR', mood: 'EVN' },
    template('22.4.500.1', '2019-07-01', '2.1'),
    template('22.4.500.1', '2022-06-01', '2.1'),
    idsOf(item, `member-${at}`),
    fixed('code', '92707-9', loinc, 'Care team member'),
    status(state?.toLowerCase()),
    period('effectiveTime', when, { begins: true }),
    element(
      'performer',
      { typeCode: 'PRF' },
      role && code('sdtc:functionCode', role, { qualified: false }),
      agent.at && time('time', agent.at),
      assignedEntity(bare),
    ),
  )
}

/** Note activity (C-CDA 22.4.202): its words stand in the narrative. */
export function noteEntry(entry: Entry, note: Note): Markup {
  const { item, ref } = entry
  return statement(
    'act',
    { class: 'ACT', mood: 'EVN', negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.202', '2016-11-01', '2.1'),
    idsOf(item),
    fixed(
      'code',
      '34109-9',
      loinc,
      'Note',
      note.kind.text === undefined ? undefined : element('originalText', {}, note.kind.text),
      note.kind.codings
        .filter(({ code: one }) => one !== '34109-9')
        .map((coding) => code('translation', { codings: [coding] })),
    ),
    element('text', {}, pointer(`${ref}-2`)),
    status('completed'),
    period('effectiveTime', item.when),
    participations(item),
    appendix(entry),
  )
}
