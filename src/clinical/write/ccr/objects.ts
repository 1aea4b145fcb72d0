import type { RecordItem } from '../../../direct/clinical.js'
import type { Concept, Quantity, QuantityRange, Timing, Value } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { directionWords } from '../directions.js'
import { listed, rangeWords, timingWords, valueWords, wordsOf } from '../words.js'
import { type Actors, dateTime, described, ids, measure, measured, moment, span, words } from './datatypes.js'

/** An item with the id of its object, and the actors that it may name. */
export interface CcrEntry {
  readonly item: RecordItem
  readonly ref: string
  readonly actors: Actors
}

interface Told {
  readonly type?: Content
  readonly about?: Content
  readonly dates?: Content
  /** Status in other words than the item's own. */
  readonly status?: string
}

/** What every data object has: id, dates, ids, type, description, status and sources (ASTM E2369 CCRCodedDataObjectType). */
function object(local: string, entry: CcrEntry, told: Told, ...parts: readonly Content[]): Markup {
  const { item, ref } = entry
  const state = told.status ?? stateOf(item)
  return element(
    local,
    {},
    element('CCRDataObjectID', {}, ref),
    told.dates,
    dateTime('Recorded date', item.recordedAt),
    ids(item.identifiers),
    told.type,
    told.about,
    told.status === undefined && item.intent !== 'ordered' && item.status?.concept
      ? described('Status', item.status.concept)
      : words('Status', state),
    sources(entry),
    item.notes?.map((_, at) => element('CommentID', {}, `${ref}-n${at}`)),
    ...parts,
  )
}

/** The status in words. The CCR has no mood: what was only ordered says so where readers look for what became of it. */
export function stateOf({ status, intent }: RecordItem): string | undefined {
  const said = status?.source ?? status?.folded
  return intent === 'ordered' ? listed(['Ordered', said], ', ') : said
}

/** The original authors and informants, with their times. */
function sources({ item, actors }: CcrEntry): Content {
  const { authors, informants } = item.provenance
  const all = [...authors, ...(informants ?? [])]
  if (all.length === 0) return element('Source', {}, words('Description', 'Unknown'))
  return all.map((agent) =>
    element(
      'Source',
      {},
      dateTime(undefined, agent.at),
      element('Actor', {}, element('ActorID', {}, actors.idOf(agent)), described('ActorRole', agent.role)),
    ),
  )
}

function practitioners({ item, actors }: CcrEntry): Content {
  const { performers } = item
  if (performers === undefined || performers.length === 0) return undefined
  return element(
    'Practitioners',
    {},
    performers.map((agent) =>
      element('Practitioner', {}, element('ActorID', {}, actors.idOf(agent)), described('ActorRole', agent.role)),
    ),
  )
}

function indications(all: readonly Concept[] | undefined): Content {
  if (all === undefined || all.length === 0) return undefined
  return element(
    'Indications',
    {},
    all.map((one) => element('Indication', {}, described('Description', one))),
  )
}

function reactions(all: readonly { manifestation: Concept; severity?: Concept }[] | undefined): Content {
  return all?.map(({ manifestation, severity }) =>
    element('Reaction', {}, described('Description', manifestation), described('Severity', severity)),
  )
}

/** A result in numbers where it is one, else as a code or words. */
function testResult(value: Value | undefined): Content {
  if (value === undefined || value.kind === 'absent') return undefined
  if (value.kind === 'quantity') return element('TestResult', {}, measured(value.quantity))
  if (value.kind === 'concept') return element('TestResult', {}, described('Description', value.concept))
  return element('TestResult', {}, words('Description', valueWords(value)))
}

function test(entry: CcrEntry): Content {
  const { content } = entry.item
  if (!('test' in content)) return undefined
  const { value, otherValues, components, interpretations, referenceRanges, method } = content
  const more = [
    ...(otherValues ?? []).map(valueWords),
    ...(components ?? []).map((one) => listed([wordsOf(one.test), valueWords(one.value)], ': ')),
  ]
  return object(
    'Test',
    entry,
    { about: described('Description', content.test), dates: moment(entry.item.when, 'Collection start date') },
    method && element('Method', {}, described('Description', method)),
    testResult(value),
    more.map((text) => element('TestResult', {}, words('Description', text))),
    referenceRanges.length === 0
      ? undefined
      : element(
          'NormalResult',
          {},
          referenceRanges.map((range) =>
            element(
              'Normal',
              {},
              words('Description', listed([wordsOf(range.interpretation), range.text, rangeWords(range)], ' ')),
            ),
          ),
        ),
    interpretations.map((one) => described('Flag', one)),
  )
}

/** Results and vital signs: a Result for each panel, a Test for each observation. */
export function resultObject(group: readonly CcrEntry[]): Markup | undefined {
  const [first] = group
  if (first === undefined) return undefined
  const { content, provenance } = first.item
  const panel = 'panel' in content ? content.panel : undefined
  const specimen = 'specimen' in content ? content.specimen : undefined
  const bare: CcrEntry = {
    ...first,
    ref: `${first.ref}-p`,
    item: { ...first.item, identifiers: panel?.identifiers ?? [], notes: [], provenance },
  }
  return object(
    'Result',
    bare,
    { about: described('Description', panel?.code), dates: moment(panel?.when, 'Collection start date') },
    described('Substance', specimen),
    group.map(test),
  )
}

/** Alerts, problems, medications and all else that is an object by itself; undefined for what the CCR has no object for. */
export function dataObject(entry: CcrEntry): Markup | undefined {
  const { item, actors } = entry
  const { content, when } = item
  switch (content.type) {
    case 'problem':
      return object('Problem', entry, {
        dates: span(when),
        type: described('Type', content.kind) ?? words('Type', 'Problem'),
        about: described('Description', content.problem),
      })
    case 'allergy':
      return object(
        'Alert',
        entry,
        { dates: span(when), type: described('Type', kindOf(content.kind)) ?? words('Type', 'Allergy') },
        element(
          'Agent',
          {},
          element(
            'Products',
            {},
            element('Product', {}, element('Product', {}, described('ProductName', content.substance))),
          ),
        ),
        reactions(content.reactions),
      )
    case 'medication':
      return object(
        'Medication',
        entry,
        { dates: span(when, 'Start date'), type: words('Type', 'Medication') },
        element(
          'Product',
          {},
          described('ProductName', content.product),
          described('BrandName', content.brand),
          (content.strengths ?? [content.strength]).map((one) => measure('Strength', one)),
          described('Form', content.form),
          content.manufacturer === undefined ? undefined : manufacturer(entry, content.manufacturer),
        ),
        measure('Quantity', content.quantity),
        directions(content),
        patientInstructions(content),
        reactions(content.reactions),
        content.refills === undefined
          ? undefined
          : element('Refills', {}, element('Refill', {}, element('Number', {}, content.refills))),
      )
    case 'immunization':
      return object(
        'Immunization',
        entry,
        { dates: moment(when, 'Administered') },
        element(
          'Product',
          {},
          described('ProductName', content.vaccine),
          content.manufacturer === undefined ? undefined : manufacturer(entry, content.manufacturer),
          content.lot === undefined
            ? undefined
            : element('IDs', {}, words('Type', 'Lot number'), element('ID', {}, content.lot)),
        ),
        content.dose || content.route || content.site
          ? element(
              'Directions',
              {},
              element(
                'Direction',
                {},
                measure('Dose', content.dose),
                described('Route', content.route),
                described('Site', content.site),
              ),
            )
          : undefined,
        textElement('SeriesNumber', content.doseNumber),
        reactions(content.reactions),
      )
    case 'procedure':
      return object(
        'Procedure',
        entry,
        { dates: moment(when, 'Procedure date'), about: described('Description', content.procedure) },
        content.locations?.length
          ? element(
              'Locations',
              {},
              content.locations.map((name) => element('Location', {}, words('Description', name))),
            )
          : undefined,
        practitioners(entry),
        content.devices.length > 0
          ? element(
              'Devices',
              {},
              content.devices.map((one) => element('Device', {}, described('Description', one))),
            )
          : undefined,
        content.bodySites.map((one) => described('Site', one)),
        indications(content.indications),
      )
    case 'encounter':
      return object(
        'Encounter',
        entry,
        {
          dates: moment(when, 'Encounter date'),
          type: described('Type', content.encounter) ?? words('Type', 'Encounter'),
        },
        content.locations.length > 0
          ? element(
              'Locations',
              {},
              content.locations.map((name) => element('Location', {}, words('Description', name))),
            )
          : undefined,
        practitioners(entry),
        indications([...content.diagnoses, ...(content.indications ?? [])]),
        content.disposition && element('Disposition', {}, described('Description', content.disposition)),
      )
    case 'social-history':
      return object('SocialHistoryElement', entry, {
        dates: span(when, 'Start date'),
        type: described('Type', content.test),
        about: describedValue(content.value),
      })
    case 'functional-status':
      return object(
        'Function',
        entry,
        { type: described('Type', content.test), dates: moment(when, 'Assessment date') },
        test({ ...entry, ref: `${entry.ref}-t`, item: { ...item, notes: [] } }),
      )
    case 'device':
      return object(
        'Equipment',
        entry,
        { dates: [moment(when, 'Start date'), dateTime('Expiration date', content.expiresAt)] },
        element(
          'Product',
          {},
          described('ProductName', content.device),
          words('BrandName', content.brand),
          content.manufacturer === undefined ? undefined : manufacturer(entry, content.manufacturer),
          ids(
            [
              { root: 'UDI', value: content.udi },
              { root: 'Device identifier', value: content.deviceIdentifier },
              { root: 'Serial number', value: content.serial },
              { root: 'Lot number', value: content.lot },
              { root: 'Model', value: content.model },
              { root: 'Distinct identification code', value: content.distinctIdentifier },
            ].flatMap(({ root, value }) => (value === undefined ? [] : [{ root, value }])),
          ),
        ),
        measure('Quantity', content.quantity),
        content.bodySites.map((one) => described('Site', one)),
      )
    case 'advance-directive':
      return object('AdvanceDirective', entry, {
        dates: span(when, 'Start date'),
        type: described('Type', content.directive),
        about: describedValue(content.value),
      })
    case 'insurance':
      return object(
        'Payer',
        entry,
        {
          dates: span(when, 'Start date'),
          type: described('Type', content.coverage),
          about: words('Description', content.planName),
        },
        content.payer &&
          element(
            'PaymentProvider',
            {},
            element('ActorID', {}, actors.idOf(content.payer)),
            described('ActorRole', content.payer.role),
          ),
        content.subscriber &&
          element(
            'Subscriber',
            {},
            element('ActorID', {}, actors.idOf(content.subscriber)),
            described('ActorRole', content.subscriber.role),
          ),
      )
    case 'family-history':
      return family(entry)
    default:
      return undefined
  }
}

/** Without the word, an alert of an unknown type is no allergy to its readers. */
function kindOf(kind: Concept | undefined): Concept | undefined {
  const words = wordsOf(kind)
  return kind && (/allerg|intoleran|adverse/i.test(words) ? kind : { ...kind, text: `Allergy: ${words}` })
}

type Of<T extends RecordItem['content']['type']> = Extract<RecordItem['content'], { type: T }>

/** One Direction, or one for each of several in their order (ASTM E2369 DirectionType). */
function directions(content: Of<'medication'>): Content {
  const { directions: steps } = content
  if (steps !== undefined && steps.length > 1) {
    return element(
      'Directions',
      {},
      steps.map(({ text, ...step }, at) => direction({ ...content, ...step }, text, at === 0)),
    )
  }
  return element('Directions', {}, direction(content, directionWords(content), true))
}

type Taken = Pick<
  Of<'medication'>,
  | 'dose'
  | 'doseRange'
  | 'rate'
  | 'vehicles'
  | 'route'
  | 'site'
  | 'timings'
  | 'asNeeded'
  | 'preconditions'
  | 'indications'
>

function direction(taken: Taken, sig: string, first: boolean): Markup {
  const { dose, doseRange, rate, vehicles, route, site, timings } = taken
  return element(
    'Direction',
    {},
    words('Description', sig),
    doses(dose, doseRange, rate),
    vehicles?.map((one) => described('Vehicle', one)),
    described('Route', route),
    described('Site', site),
    timings.filter((timing) => timingWords(timing) !== sig).map(timed),
    first ? reasons(taken) : undefined,
  )
}

function reasons({ asNeeded, preconditions, indications: all }: Taken): Content {
  return [
    asNeeded
      ? element(
          'Indication',
          {},
          words('PRNFlag', 'PRN'),
          words('Description', listed((preconditions ?? []).map(wordsOf))),
        )
      : undefined,
    all.map((one) => element('Indication', {}, described('Description', one))),
  ]
}

/** A dose with the rate that it is given at; a range is two doses, the second headed `to`. */
function doses(dose: Quantity | undefined, range: QuantityRange | undefined, rate: Quantity | undefined): Content {
  const given = measure('Rate', rate)
  if (dose) return element('Dose', {}, measured(dose), given)
  if (range?.low && range.high) {
    return [
      element('Dose', {}, measured(range.low), given),
      element('Dose', {}, measured(range.high), words('VariableDoseModifier', 'to')),
    ]
  }
  if (range) return element('Dose', {}, words('Description', rangeWords(range)), given)
  return given && element('Dose', {}, given)
}

/** A period in numbers where nothing else is said with it, a moment as a date, all else in words. */
/** A value as the Description of an object: its code where it has one, else words. */
function describedValue(value: Value | undefined): Content {
  return value?.kind === 'concept' ? described('Description', value.concept) : words('Description', valueWords(value))
}

function timed(timing: Timing): Content {
  const { period, periodHigh, event, moment: at, text } = timing
  const bare = !periodHigh && event === undefined
  const told = period && listed([period.value, period.unit], ' ')
  if (period && bare && !at && (text === undefined || text === told)) return element('Interval', {}, measured(period))
  if (at && bare && !period) {
    return element('AdministrationTiming', {}, words('Description', text), dateTime(undefined, at))
  }
  return element('Frequency', {}, words('Description', timingWords(timing)))
}

/** Instructions that are not the directions themselves. */
function patientInstructions(content: Of<'medication'>): Content {
  const { instructions, directions: steps } = content
  if (instructions === undefined || steps === undefined || steps.length < 2) return undefined
  const told = listed(steps.map(({ text }) => text))
  const more = instructions.startsWith(told) ? instructions.slice(told.length).replace(/^; /, '') : instructions
  return more === '' ? undefined : element('PatientInstructions', {}, words('Instruction', more))
}

function manufacturer({ actors }: CcrEntry, text: string): Markup {
  const id = actors.idOf({ kind: 'organization', text, identifiers: [] })
  return element('Manufacturer', {}, element('ActorID', {}, id))
}

/** One FamilyProblemHistory for a relative; conditions that the relative does not have are left to a comment. */
function family(entry: CcrEntry): Markup | undefined {
  const { content } = entry.item
  if (content.type !== 'family-history') return undefined
  const name = wordsOf(content.relation)
  const agent = {
    kind: 'person',
    text: content.name ? listed([...content.name.given, content.name.family], ' ') || name : name,
    ...(content.name ? { name: content.name } : {}),
    identifiers: [],
  } as const
  return object(
    'FamilyProblemHistory',
    entry,
    {},
    element(
      'FamilyMember',
      {},
      element('ActorID', {}, entry.actors.idOf(agent)),
      described('ActorRole', content.relation),
      content.deceased === true ? element('HealthStatus', {}, words('Description', 'Deceased')) : undefined,
    ),
    content.conditions
      .filter(({ negated }) => !negated)
      .map((condition, at) =>
        element(
          'Problem',
          {},
          element('CCRDataObjectID', {}, `${entry.ref}-c${at}`),
          span(condition.when),
          described('Description', condition.condition),
          described('Status', condition.status),
        ),
      ),
  )
}

/** Something planned, hoped for or asked for: words and codes in a plan, never in the list of what happened. */
export function planObject(entry: CcrEntry, subject: Concept | undefined): Markup {
  const { content, intent, when } = entry.item
  const details = 'instructions' in content ? content.instructions : undefined
  return object(
    'Plan',
    entry,
    {
      dates: moment(when, 'Scheduled date'),
      type: words('Type', intent === 'goal' || content.type === 'goal' ? 'Goal' : 'Plan'),
      about: described('Description', subject),
      status: intent === 'goal' ? 'goal' : 'planned',
    },
    details === undefined
      ? undefined
      : element('OrderRequest', {}, element('CCRDataObjectID', {}, `${entry.ref}-o`), words('Description', details)),
  )
}
