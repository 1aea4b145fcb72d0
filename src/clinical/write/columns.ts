import type { ItemContent, Observation, RecordItem, RecordItemType } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { subjectOf } from '../../direct/subject.js'
import { directionWords } from './directions.js'
import {
  agentWords,
  dateWords,
  listed,
  nameWords,
  quantityWords,
  rangeWords,
  timingWords,
  valueWords,
  whenWords,
  wordsOf,
} from './words.js'

/** One column of a table that people read. `part` is the part of the item's ID under which entries refer to the cell. */
export interface Column {
  readonly head: string
  readonly part?: '1' | '2'
  /** Shown even where nothing stands in it. */
  readonly always?: boolean
  readonly cell: (item: RecordItem) => string
}

/** What must not be overlooked: that it is not so, is planned, or that the source gave a reason for saying nothing. */
export function claimOf({ content, negated, intent, nullFlavor }: RecordItem): string {
  const done = ['medication', 'immunization', 'procedure', 'encounter', 'device'].includes(content.type)
  return listed([
    negated ? (done ? 'NOT DONE' : 'NOT PRESENT, or none known') : '',
    intent === 'planned' ? 'planned' : intent === 'ordered' ? 'ordered' : intent === 'goal' ? 'goal' : '',
    nullFlavor === undefined ? '' : `no information (${nullFlavor})`,
  ])
}

type Of<T extends RecordItemType> = T extends Observation['type'] ? Observation : Extract<ItemContent, { type: T }>

function column<T extends RecordItemType>(
  head: string,
  cell: (content: Of<T>, item: RecordItem) => string,
  part?: '1' | '2',
): Column {
  // A table holds items of one type alone.
  return { head, ...(part === undefined ? {} : { part }), cell: (item) => cell(item.content as Of<T>, item) }
}

function all(concepts: readonly Concept[] | undefined): string {
  return listed((concepts ?? []).map(wordsOf))
}

const subject = (head: string): Column => ({ head, part: '1', cell: (item) => subjectWords(item) })

/** Exactly the words of the subject where the source had some: entries take them from here. */
function subjectWords({ content }: RecordItem): string {
  return wordsOf(subjectOf(content))
}

const claim: Column = { head: 'Statement', cell: claimOf }
const date: Column = { head: 'Date', cell: ({ when }) => whenWords(when) }
const state: Column = {
  head: 'Status',
  cell: ({ status }) =>
    status ? listed([status.concept ? wordsOf(status.concept) : (status.source ?? status.folded)]) : '',
}
const source: Column = {
  head: 'Source',
  cell: ({ provenance, recordedAt, performers }) =>
    listed([
      ...(performers ?? []).map((agent) => `by ${agentWords(agent)}`),
      ...provenance.authors.map(agentWords),
      ...(provenance.informants ?? []).map((agent) => `told by ${agentWords(agent)}`),
      recordedAt && `recorded ${dateWords(recordedAt)}`,
    ]),
}
const remarks: Column = { head: 'Remarks', cell: ({ notes }) => listed(notes ?? []) }
const tail: readonly Column[] = [date, state, remarks, source]

function observationColumns(head: string): readonly Column[] {
  return [
    subject(head),
    claim,
    column<'result'>('Value', ({ value, otherValues }) => (otherValues ? '' : valueWords(value)), '2'),
    column<'result'>(
      'Further findings',
      ({ value, otherValues, components, interpretations, referenceRanges, method, specimen }) =>
        listed([
          ...(otherValues ? [value, ...otherValues].map(valueWords) : []),
          ...(components ?? []).map((one) => listed([wordsOf(one.test), valueWords(one.value)], ': ')),
          all(interpretations),
          ...referenceRanges.map((range) =>
            listed(['range', wordsOf(range.interpretation), range.text, rangeWords(range)], ' '),
          ),
          method && `method ${wordsOf(method)}`,
          specimen && `specimen ${wordsOf(specimen)}`,
        ]),
    ),
    column<'result'>('Panel', ({ panel }) => wordsOf(panel?.code)),
    ...tail,
  ]
}

/** Columns for each type, the subject first. */
export const columnsOf: Readonly<Record<RecordItemType, readonly Column[]>> = {
  demographics: [],
  document: [],
  allergy: [
    subject('Allergy'),
    claim,
    column<'allergy'>('Kind', ({ kind }) => wordsOf(kind)),
    column<'allergy'>('Reactions', ({ reactions }) =>
      listed(reactions.map(({ manifestation, severity }) => listed([wordsOf(manifestation), wordsOf(severity)], ', '))),
    ),
    column<'allergy'>('Severity', ({ severity, criticality }) => listed([wordsOf(severity), wordsOf(criticality)])),
    ...tail,
  ],
  problem: [
    subject('Problem'),
    claim,
    column<'problem'>('Kind', ({ kind }) => wordsOf(kind)),
    column<'problem'>('Further', ({ severity, ageAtOnset, bodySites, diagnosedAt, prognosis, causedDeath }) =>
      listed([
        wordsOf(severity),
        ageAtOnset && `at the age of ${quantityWords(ageAtOnset)}`,
        all(bodySites),
        diagnosedAt && `diagnosed ${dateWords(diagnosedAt)}`,
        prognosis && `prognosis ${valueWords(prognosis)}`,
        causedDeath === true ? 'caused death' : '',
      ]),
    ),
    ...tail,
  ],
  medication: [
    subject('Medication'),
    claim,
    // Always there, and before any dose: the column that readers take for the directions, else they take the whole row.
    { ...column<'medication'>('Directions', directionWords, '2'), always: true },
    column<'medication'>(
      'Dose and schedule',
      ({ dose, doseRange, rate, strength, strengths, form, route, site, timings, asNeeded, preconditions, maxDose }) =>
        listed([
          quantityWords(dose),
          doseRange && rangeWords(doseRange),
          rate && `rate ${quantityWords(rate)}`,
          strength && `strength ${quantityWords(strength)}`,
          strengths && `strengths ${listed(strengths.map(quantityWords), ' / ')}`,
          wordsOf(form),
          wordsOf(route),
          wordsOf(site),
          ...timings.map(timingWords),
          asNeeded ? listed(['as needed', all(preconditions)], ': ') : '',
          maxDose && `at most ${valueWords({ kind: 'ratio', ratio: maxDose })}`,
        ]),
    ),
    column<'medication'>(
      'Further',
      ({
        brand,
        manufacturer,
        indications,
        refusalReason,
        refills,
        quantity,
        adherence,
        vehicles,
        reactions,
        supplies,
      }) =>
        listed([
          wordsOf(brand),
          manufacturer,
          indications.length > 0 ? `for ${all(indications)}` : '',
          refusalReason && `not taken: ${wordsOf(refusalReason)}`,
          quantity && `quantity ${quantityWords(quantity)}`,
          refills && `refills ${refills}`,
          adherence && `taken: ${wordsOf(adherence)}`,
          all(vehicles),
          all(reactions?.map(({ manifestation }) => manifestation)),
          ...(supplies ?? []).map((one) =>
            listed(
              [
                one.kind,
                quantityWords(one.quantity),
                one.fills && `fills ${one.fills}`,
                whenWords(one.when),
                one.instructions,
              ],
              ' ',
            ),
          ),
        ]),
    ),
    ...tail,
  ],
  immunization: [
    subject('Vaccine'),
    claim,
    column<'immunization'>(
      'Further',
      ({
        lot,
        manufacturer,
        dose,
        doseNumber,
        route,
        site,
        refusalReason,
        instructions,
        indications,
        reactions,
        expiresAt,
      }) =>
        listed([
          quantityWords(dose),
          doseNumber && `dose ${doseNumber} of the series`,
          wordsOf(route),
          wordsOf(site),
          lot && `lot ${lot}`,
          manufacturer,
          expiresAt && `expires ${dateWords(expiresAt)}`,
          refusalReason && `not given: ${wordsOf(refusalReason)}`,
          all(indications),
          all(reactions?.map(({ manifestation }) => manifestation)),
          instructions,
        ]),
    ),
    ...tail,
  ],
  result: observationColumns('Test'),
  'vital-sign': observationColumns('Vital sign'),
  'social-history': observationColumns('Habit or circumstance'),
  'functional-status': observationColumns('Ability'),
  procedure: [
    subject('Procedure'),
    claim,
    column<'procedure'>('Further', (one) =>
      listed([
        valueWords(one.value),
        all(one.bodySites),
        all(one.devices),
        all(one.methods),
        all(one.approaches),
        all(one.specimens),
        listed(one.locations ?? []),
        one.indications && `for ${all(one.indications)}`,
        one.refusalReason && `not done: ${wordsOf(one.refusalReason)}`,
        one.complications && `complications: ${all(one.complications)}`,
        one.instructions,
      ]),
    ),
    ...tail,
  ],
  encounter: [
    subject('Encounter'),
    claim,
    column<'encounter'>('Further', ({ diagnoses, indications, locations, locationKinds, disposition, class: kind }) =>
      listed([
        wordsOf(kind),
        all(diagnoses),
        all(indications),
        listed(locations),
        all(locationKinds),
        wordsOf(disposition),
      ]),
    ),
    ...tail,
  ],
  'family-history': [
    subject('Relative'),
    claim,
    column<'family-history'>('Conditions', ({ conditions }) =>
      listed(
        conditions.map(({ condition, kind, negated, ageAtOnset, when, causedDeath, status }) =>
          listed(
            [
              `${negated ? 'NOT: ' : ''}${wordsOf(condition)}`,
              wordsOf(kind),
              ageAtOnset && `at the age of ${quantityWords(ageAtOnset)}`,
              whenWords(when),
              causedDeath === true ? 'caused death' : '',
              wordsOf(status),
            ],
            ', ',
          ),
        ),
      ),
    ),
    column<'family-history'>('Person', ({ name, gender, birthDate, deceased, deathDate, ageAtDeath }) =>
      listed([
        name && nameWords(name),
        wordsOf(gender),
        birthDate && `born ${dateWords(birthDate)}`,
        deceased === undefined ? '' : deceased ? 'deceased' : 'living',
        deathDate && `died ${dateWords(deathDate)}`,
        ageAtDeath && `died at the age of ${quantityWords(ageAtDeath)}`,
      ]),
    ),
    ...tail,
  ],
  'advance-directive': [
    subject('Directive'),
    claim,
    column<'advance-directive'>('Decision', ({ value }) => valueWords(value)),
    column<'advance-directive'>('People and papers', ({ verifiers, agents, documents }) =>
      listed([
        ...verifiers.map((agent) => `verified by ${agentWords(agent)}`),
        ...agents.map(agentWords),
        ...documents.map((one) => listed([one.reference, ...one.identifiers.map((id) => id.value)], ' ')),
      ]),
    ),
    ...tail,
  ],
  insurance: [
    subject('Coverage'),
    claim,
    column<'insurance'>('Plan and payer', ({ planName, payer, groupNumber, memberIdentifiers, priority }) =>
      listed([
        planName,
        payer && agentWords(payer),
        groupNumber && `group ${groupNumber}`,
        ...memberIdentifiers.map((id) => id.value && `member ${id.value}`),
        priority && `priority ${priority}`,
      ]),
    ),
    column<'insurance'>('Covered', ({ relationship, subscriber, subscriberBirthDate, guarantor, authorizations }) =>
      listed([
        wordsOf(relationship),
        subscriber && `subscriber ${agentWords(subscriber)}`,
        subscriberBirthDate && `born ${dateWords(subscriberBirthDate)}`,
        guarantor && `guarantor ${agentWords(guarantor)}`,
        all(authorizations),
      ]),
    ),
    ...tail,
  ],
  device: [
    subject('Device'),
    claim,
    column<'device'>('Identity', (one) =>
      listed([
        one.udi && `UDI ${one.udi}`,
        one.deviceIdentifier && `DI ${one.deviceIdentifier}`,
        one.distinctIdentifier && `identification code ${one.distinctIdentifier}`,
        one.manufacturer,
        one.model,
        one.brand,
        one.serial && `serial ${one.serial}`,
        one.lot && `lot ${one.lot}`,
        one.manufacturedAt && `made ${dateWords(one.manufacturedAt)}`,
        one.expiresAt && `expires ${dateWords(one.expiresAt)}`,
        one.quantity && `quantity ${quantityWords(one.quantity)}`,
        all(one.bodySites),
        all(one.safety),
      ]),
    ),
    ...tail,
  ],
  goal: [
    subject('Goal'),
    claim,
    column<'goal'>('Target', ({ target, priority, reasons, instructions }) =>
      listed([
        valueWords(target),
        priority && `priority ${wordsOf(priority)}`,
        reasons && `for ${all(reasons)}`,
        instructions,
      ]),
    ),
    ...tail,
  ],
  plan: [
    subject('Planned'),
    claim,
    column<'plan'>('Instructions', ({ instructions }) => instructions ?? '', '2'),
    column<'plan'>('Further', ({ indications, value }) => listed([all(indications), valueWords(value)])),
    ...tail,
  ],
  'care-team': [
    { head: 'Team', part: '1', cell: ({ content }) => (content.type === 'care-team' ? (content.name ?? '') : '') },
    claim,
    column<'care-team'>('Kind', ({ kind }) => wordsOf(kind)),
    column<'care-team'>('Members', ({ members }) =>
      listed(members.map(({ agent, when, status }) => listed([agentWords(agent), whenWords(when), status], ', '))),
    ),
    ...tail,
  ],
  note: [subject('Note'), claim, column<'note'>('Words', ({ text }) => text, '2'), ...tail],
}
