import type { ItemContent, RecordItem, RecordItemType } from '../../direct/clinical.js'
import type { Concept, PartialDate, Quantity, QuantityRange, Timing, Value, When } from '../../direct/datatypes.js'
import { subjectOf } from '../../direct/subject.js'
import { el, type Html, type Inner } from './html.js'
import { room, type Sheet } from './sheet.js'

/** Record items as people read them: never more than the item says, negations and plans in words that cannot be missed. */

export const typeTitles: Readonly<Record<RecordItemType, string>> = {
  demographics: 'Patient',
  allergy: 'Allergies and intolerances',
  problem: 'Problems',
  medication: 'Medications',
  immunization: 'Immunizations',
  result: 'Results',
  'vital-sign': 'Vital signs',
  procedure: 'Procedures',
  encounter: 'Encounters',
  'family-history': 'Family history',
  'social-history': 'Social history',
  'functional-status': 'Functional status',
  'advance-directive': 'Advance directives',
  insurance: 'Insurance',
  device: 'Devices',
  goal: 'Goals',
  plan: 'Plan of care',
  'care-team': 'Care team',
  note: 'Notes',
  document: 'Documents',
}

/** Items as a table: what, when, status, and what else they say. */
export function itemsTable(items: readonly RecordItem[], sheet: Sheet): Html {
  const head = ['What', 'When', 'Status', 'Details'].map((words) => el('th', { scope: 'col' }, words))
  const rows: Html[] = []
  for (const item of items) {
    const details = detailsOf(item.content)
    const cells = [
      subjectWords(item),
      whenWords(item.when),
      statusWords(item),
      [...details, ...(item.notes ?? [])].join('; '),
    ]
    if (!room(sheet, cells.join('').length + 100)) break
    const [what = '', ...others] = cells
    rows.push(
      el(
        'tr',
        {},
        el('th', { scope: 'row' }, denied(item), what),
        others.map((words) => el('td', {}, words)),
      ),
    )
  }
  return el('div', { class: 'table' }, el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)))
}

/** What must be read before the words of the item: that it is not so, or has not happened. */
function denied({ negated, intent, content }: RecordItem): Inner {
  const words = [
    negated &&
      (content.type === 'immunization' || content.type === 'procedure' || content.type === 'medication'
        ? 'NOT DONE: '
        : 'NO: '),
    intent !== undefined &&
      intent !== 'performed' &&
      content.type !== 'goal' &&
      content.type !== 'plan' &&
      `${intent.toUpperCase()}: `,
  ].filter(Boolean)
  return words.length > 0 && el('strong', {}, words.join(''))
}

/** The words for an item's subject. */
export function subjectWords({ content, nullFlavor }: RecordItem): string {
  if (content.type === 'demographics')
    return content.names.map((name) => name.text ?? [...name.given, name.family].filter(Boolean).join(' ')).join(', ')
  if (content.type === 'document') return content.title ?? content.name ?? conceptWords(content.code) ?? content.format
  if (content.type === 'family-history')
    return [
      conceptWords(content.relation),
      ...content.conditions.map((one) => `${one.negated ? 'no ' : ''}${conceptWords(one.condition) ?? ''}`),
    ]
      .filter(Boolean)
      .join(': ')
  if (content.type === 'care-team' && content.name) return content.name
  return conceptWords(subjectOf(content)) ?? (nullFlavor ? `unknown (${nullFlavor})` : 'unknown')
}

function detailsOf(content: ItemContent): string[] {
  const said = (label: string, words: string | undefined | false): string | undefined =>
    words ? `${label}: ${words}` : undefined
  const told = (...all: (string | undefined | false)[]): string[] =>
    all.filter((one) => typeof one === 'string' && one !== '') as string[]
  const list = (concepts: readonly Concept[] | undefined): string =>
    (concepts ?? []).map(conceptWords).filter(Boolean).join(', ')
  switch (content.type) {
    case 'allergy':
      return told(
        said(
          'Reaction',
          content.reactions
            .map(({ manifestation, severity }) =>
              [conceptWords(manifestation), conceptWords(severity)].filter(Boolean).join(', '),
            )
            .join('; '),
        ),
        said('Severity', conceptWords(content.severity)),
        said('Criticality', conceptWords(content.criticality)),
      )
    case 'problem':
      return told(said('Severity', conceptWords(content.severity)), said('Site', list(content.bodySites)))
    case 'medication':
      return told(
        content.strength && quantityWords(content.strength),
        conceptWords(content.form),
        said('Dose', content.dose ? quantityWords(content.dose) : content.doseRange && rangeWords(content.doseRange)),
        said('Route', conceptWords(content.route)),
        content.timings.map(timingWords).filter(Boolean).join(', '),
        content.asNeeded && 'as needed',
        said('For', list(content.indications)),
        content.instructions,
      )
    case 'immunization':
      return told(
        said('Lot', content.lot),
        said('Maker', content.manufacturer),
        said('Reason not given', conceptWords(content.refusalReason)),
      )
    case 'result':
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
      return told(
        ...[content.value, ...(content.otherValues ?? [])].map((value) => value && valueWords(value)),
        said('Interpretation', list(content.interpretations)),
        said('Reference', content.referenceRanges.map((range) => range.text ?? rangeWords(range)).join(', ')),
        ...(content.components ?? []).map(({ test, value }) =>
          said(conceptWords(test) ?? 'Part', value && valueWords(value)),
        ),
      )
    case 'procedure':
      return told(
        said('Site', list(content.bodySites)),
        said('Device', list(content.devices)),
        said('For', list(content.indications)),
        content.value && said('Found', valueWords(content.value)),
      )
    case 'encounter':
      return told(
        said('At', content.locations.join(', ')),
        said('Diagnoses', list(content.diagnoses)),
        said('For', list(content.indications)),
      )
    case 'advance-directive':
      return told(
        content.value && valueWords(content.value),
        said('Agents', content.agents.map(({ text }) => text).join(', ')),
      )
    case 'insurance':
      return told(
        content.planName,
        said('Payer', content.payer?.text),
        said('Member', content.memberIdentifiers.map(({ value }) => value).join(', ')),
        said('Group', content.groupNumber),
      )
    case 'device':
      return told(said('UDI', content.udi), content.manufacturer, content.model, said('Serial', content.serial))
    case 'goal':
      return told(content.target && said('Target', valueWords(content.target)), content.instructions)
    case 'plan':
      return told(content.instructions, content.value && valueWords(content.value))
    case 'care-team':
      return told(
        content.members
          .map(({ agent }) => [agent.text, conceptWords(agent.role)].filter(Boolean).join(', '))
          .join('; '),
      )
    case 'note':
      return told(content.title, content.text)
    case 'family-history':
      return told(content.ageAtDeath && said('Died at', quantityWords(content.ageAtDeath)))
    case 'demographics':
      return told(said('Born', content.birthDate?.text), said('Gender', conceptWords(content.gender)))
    case 'document':
      return told(content.mediaType, said('SHA-256', content.sha256))
  }
}

/** A concept by its words, with the code where there are none; what narrows it follows. */
export function conceptWords(concept: Concept | undefined): string | undefined {
  if (concept === undefined) return undefined
  const [first] = concept.codings
  const words = concept.text ?? concept.codings.find(({ display }) => display)?.display ?? first?.code
  const narrowed = (concept.qualifiers ?? []).map(({ value }) => value.display ?? value.code)
  if (words === undefined) return concept.nullFlavor && `unknown (${concept.nullFlavor})`
  return narrowed.length > 0 ? `${words} (${narrowed.join(', ')})` : words
}

export function quantityWords({ value, unit, comparator }: Quantity): string {
  return [`${comparator ?? ''}${value}`, unit === '1' ? undefined : unit].filter(Boolean).join(' ')
}

function rangeWords({ low, high }: QuantityRange): string {
  if (low && high) return `${quantityWords(low)} to ${quantityWords(high)}`
  return low ? `at least ${quantityWords(low)}` : high ? `at most ${quantityWords(high)}` : ''
}

export function valueWords(value: Value): string {
  switch (value.kind) {
    case 'quantity':
      return quantityWords(value.quantity)
    case 'range':
      return rangeWords(value)
    case 'ratio':
      return [value.ratio.numerator, value.ratio.denominator]
        .flatMap((one) => (one ? quantityWords(one) : []))
        .join(' per ')
    case 'concept':
      return conceptWords(value.concept) ?? ''
    case 'text':
      return value.text
    case 'boolean':
      return value.value ? 'yes' : 'no'
    case 'date':
      return dateWords(value.date)
    case 'period':
      return whenWords(value.when)
    case 'absent':
      return `no value (${value.nullFlavor})`
  }
}

function timingWords({ period, periodHigh, event, moment, text }: Timing): string {
  const every = period && `every ${quantityWords(period)}${periodHigh ? ` to ${quantityWords(periodHigh)}` : ''}`
  return [text, every, event, moment && dateWords(moment)].filter(Boolean).join(' ')
}

/** A date at the precision that it has. */
export function dateWords({ text, offsetMinutes, precision }: PartialDate): string {
  const timed = precision === 'hour' || precision === 'minute' || precision === 'second'
  if (!timed || offsetMinutes === null) return text.replace('T', ' ')
  const size = Math.abs(offsetMinutes)
  const digits = (count: number) => String(Math.trunc(count)).padStart(2, '0')
  const zone =
    offsetMinutes === 0 ? 'UTC' : `UTC${offsetMinutes < 0 ? '-' : '+'}${digits(size / 60)}:${digits(size % 60)}`
  return `${text.replace('T', ' ')} ${zone}`
}

export function whenWords(when: When | undefined): string {
  if (when === undefined) return ''
  const { value, low, high, highUnknown, text } = when
  if (value) return dateWords(value)
  const to = high ? `to ${dateWords(high)}` : highUnknown ? 'ended, unknown when' : undefined
  return [low && `from ${dateWords(low)}`, to].filter(Boolean).join(' ') || (text ?? '')
}

function statusWords({ status }: RecordItem): string {
  if (status === undefined) return ''
  return conceptWords(status.concept) ?? status.source ?? status.folded
}
