import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type {
  Agent,
  Coding,
  Concept,
  PartialDate,
  PersonName,
  Quantity,
  QuantityRange,
  Timing,
  Value,
  When,
} from '../../src/direct/datatypes.js'
import { subjectOf } from '../../src/direct/subject.js'

/**
 * What an item says, as short words under short names: `when 1998..`, `value >500 mg/dL`. A reviewer writes the same words
 * by hand from the source; the two are held side by side.
 */
export type Said = ReadonlyMap<string, string>

const systems: Readonly<Record<string, string>> = {
  'http://snomed.info/sct': 'sct',
  'http://loinc.org': 'loinc',
  'http://www.nlm.nih.gov/research/umls/rxnorm': 'rxnorm',
  'http://hl7.org/fhir/sid/icd-10-cm': 'icd10cm',
  'http://hl7.org/fhir/sid/icd-10': 'icd10',
  'http://hl7.org/fhir/sid/icd-9-cm': 'icd9cm',
  'http://www.cms.gov/Medicare/Coding/ICD10': 'icd10pcs',
  'http://hl7.org/fhir/sid/cvx': 'cvx',
  'http://hl7.org/fhir/sid/ndc': 'ndc',
  'http://www.ama-assn.org/go/cpt': 'cpt',
  'http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl': 'ncit',
  'http://nucc.org/provider-taxonomy': 'nucc',
  'https://www.nubc.org/CodeSystem/PatDischargeStatus': 'nubc',
  'http://terminology.hl7.org/CodeSystem/discharge-disposition': 'dischargeDisposition',
}

function coding({ system = '', code }: Coding): string {
  const short =
    systems[system] ?? system.replace('http://terminology.hl7.org/CodeSystem/v3-', '').replace('urn:oid:', '')
  return `${short}:${code}`
}

/** `sct:1[sct:2=sct:3]+icd10cm:A`, else the words in quotes, else `!` and the null flavor. */
function concept(one: Concept | undefined): string {
  if (one === undefined) return '-'
  const qualifiers = (one.qualifiers ?? [])
    .map(({ name, value }) => `[${name ? `${coding(name)}=` : ''}${coding(value)}]`)
    .join('')
  const [first, ...others] = one.codings.map(coding)
  if (first !== undefined) return [`${first}${qualifiers}`, ...others].join('+')
  return one.text === undefined ? `!${one.nullFlavor ?? ''}` : `"${one.text}"`
}

function date(one: PartialDate | undefined): string {
  if (one === undefined) return ''
  if (one.offsetMinutes === null) return one.text
  const minutes = Math.abs(one.offsetMinutes)
  const two = (part: number) => String(Math.floor(part)).padStart(2, '0')
  return `${one.text}${one.offsetMinutes < 0 ? '-' : '+'}${two(minutes / 60)}${two(minutes % 60)}`
}

function when(one: When | undefined): string {
  if (one === undefined) return '-'
  if (one.value) return date(one.value)
  if (one.low || one.high || one.highUnknown) return `${date(one.low)}..${one.highUnknown ? '?' : date(one.high)}`
  return `"${one.text}"`
}

const quantity = (one: Quantity | undefined): string =>
  one === undefined ? '' : `${one.comparator ?? ''}${one.value}${one.unit === undefined ? '' : ` ${one.unit}`}`

const range = ({ low, high }: QuantityRange): string =>
  low === undefined && high === undefined ? '' : `${quantity(low)}..${quantity(high)}`

function value(one: Value | undefined): string {
  switch (one?.kind) {
    case undefined:
      return '-'
    case 'quantity':
      return quantity(one.quantity)
    case 'range':
      return range(one)
    case 'ratio':
      return `${quantity(one.ratio.numerator)} / ${quantity(one.ratio.denominator)}`
    case 'concept':
      return concept(one.concept)
    case 'text':
      return `"${one.text}"`
    case 'boolean':
      return one.value ? 'yes' : 'no'
    case 'date':
      return date(one.date)
    case 'period':
      return when(one.when)
    case 'absent':
      return `absent ${one.nullFlavor}`
  }
}

const timing = (one: Timing): string =>
  [
    one.period && `every ${quantity(one.period)}${one.periodHigh ? ` to ${quantity(one.periodHigh)}` : ''}`,
    one.event,
    one.moment && `at ${date(one.moment)}`,
    one.institutionSpecified && 'institution',
  ]
    .filter(Boolean)
    .join(', ')

const name = (one: PersonName): string =>
  [...(one.prefix ? [one.prefix] : []), ...one.given, one.family, one.suffix].filter(Boolean).join(' ') ||
  (one.text ?? '')

const agent = ({ text, role }: Agent): string => (role === undefined ? text : `${text} ${concept(role)}`)

const yes = (one: boolean | undefined): string => (one === undefined ? '-' : one ? 'yes' : 'no')

const list = <T>(all: readonly T[] | undefined, say: (one: T) => string): string =>
  (all ?? []).map(say).join(', ') || '-'

const concepts = (all: readonly Concept[] | undefined): string => list(all, concept)

/** What belongs to the item and not to its content; these are always compared. */
export const always = ['when', 'negated', 'null', 'intent'] as const

function common(item: RecordItem): [string, string][] {
  return [
    ['when', when(item.when)],
    ['negated', yes(item.negated)],
    ['null', item.nullFlavor ?? '-'],
    ['intent', item.intent ?? 'performed'],
    ['status', item.status?.folded ?? '-'],
    ['recorded', date(item.recordedAt) || '-'],
    ['performers', String(item.performers?.length ?? '-')],
    ['informants', String(item.provenance.informants?.length ?? '-')],
    ['words', subjectOf(item.content)?.text ?? '-'],
  ]
}

function content(one: ItemContent): [string, string][] {
  switch (one.type) {
    case 'allergy':
      return [
        ['kind', concept(one.kind)],
        [
          'reactions',
          list(one.reactions, (reaction) =>
            [
              concept(reaction.manifestation),
              reaction.severity ? `/${concept(reaction.severity)}` : '',
              reaction.when ? ` at ${when(reaction.when)}` : '',
            ].join(''),
          ),
        ],
      ]
    case 'problem':
      return [
        ['kind', concept(one.kind)],
        ['sites', concepts(one.bodySites)],
      ]
    case 'medication':
      return [
        ['dose', quantity(one.dose) || '-'],
        ['route', concept(one.route)],
        ['form', concept(one.form)],
        ['timings', list(one.timings, timing)],
        ['prn', yes(one.asNeeded)],
        ['for', concepts(one.preconditions)],
        ['because', concepts(one.indications)],
        ['sig', one.instructions ?? '-'],
        ['vehicles', concepts(one.vehicles)],
        ['maker', one.manufacturer ?? '-'],
      ]
    case 'immunization':
      return [
        ['lot', one.lot ?? '-'],
        ['refusal', concept(one.refusalReason)],
      ]
    case 'result':
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
      return [
        ['value', value(one.value)],
        ['interpretations', concepts(one.interpretations)],
        ['panel', concept(one.panel?.code)],
        [
          'ranges',
          list(one.referenceRanges, (each) =>
            [range(each), each.text && `"${each.text}"`, each.interpretation?.codings[0]?.code]
              .filter(Boolean)
              .join(' '),
          ),
        ],
        ['components', list(one.components, (each) => `${concept(each.test)}=${value(each.value)}`)],
      ]
    case 'procedure':
      return [
        ['methods', concepts(one.methods)],
        ['sites', concepts(one.bodySites)],
        ['because', concepts(one.indications)],
        ['refusal', concept(one.refusalReason)],
        ['value', value(one.value)],
      ]
    case 'encounter':
      return [
        ['class', concept(one.class)],
        ['diagnoses', concepts(one.diagnoses)],
        ['because', concepts(one.indications)],
        ['disposition', concept(one.disposition)],
        ['locations', list(one.locations, (each) => each)],
      ]
    case 'family-history':
      return [
        ['name', one.name ? name(one.name) : '-'],
        ['gender', concept(one.gender)],
        ['born', date(one.birthDate) || '-'],
        ['deceased', yes(one.deceased)],
        ['died', date(one.deathDate) || '-'],
        [
          'conditions',
          list(one.conditions, (each) =>
            [
              each.negated && 'not',
              concept(each.condition),
              each.when && `at ${when(each.when)}`,
              each.ageAtOnset && `aged ${quantity(each.ageAtOnset)}`,
              each.causedDeath && 'fatal',
            ]
              .filter(Boolean)
              .join(' '),
          ),
        ],
      ]
    case 'device':
      return [
        ['udi', one.udi ?? '-'],
        ['di', one.deviceIdentifier ?? '-'],
        ['lot', one.lot ?? '-'],
        ['serial', one.serial ?? '-'],
        ['brand', one.brand ?? '-'],
        ['model', one.model ?? '-'],
        ['maker', one.manufacturer ?? '-'],
        ['made', date(one.manufacturedAt) || '-'],
        ['expires', date(one.expiresAt) || '-'],
        ['safety', concepts(one.safety)],
        ['sites', concepts(one.bodySites)],
      ]
    case 'goal':
      return [
        ['target', value(one.target)],
        ['because', concepts(one.reasons)],
      ]
    case 'care-team':
      return [['members', list(one.members, (each) => agent(each.agent))]]
    case 'demographics':
      return [
        ['names', list(one.names, (each) => `${name(each)}${each.use ? ` (${each.use})` : ''}`)],
        ['gender', concept(one.gender)],
        ['birthsex', concept(one.birthSex)],
        ['genderidentity', concept(one.genderIdentity)],
        ['born', date(one.birthDate) || '-'],
        ['deceased', yes(one.deceased)],
        ['died', date(one.deathDate) || '-'],
        ['marital', concept(one.maritalStatus)],
        ['religion', concept(one.religion)],
        ['races', concepts(one.races)],
        ['ethnicities', concepts(one.ethnicities)],
        ['languages', list(one.languages, (each) => each)],
        ['preferred', one.preferredLanguage ?? '-'],
        ['identifiers', list(one.identifiers, (each) => [each.root, each.value].filter(Boolean).join(' '))],
        ['addresses', String(one.addresses.length)],
        ['telecoms', String(one.telecoms.length)],
      ]
    default:
      return []
  }
}

/** Type and subject of an item, in one word each. */
export const headOf = (item: RecordItem): string => `${item.content.type} ${concept(subjectOf(item.content))}`

export const said = (item: RecordItem): Said => new Map([...common(item), ...content(item.content)])

/** One item as a reviewer expects it: `*` stands for anything there is, `-` for nothing. */
export interface Expected {
  readonly line: string
  readonly head: string
  readonly says: Said
  /** Words that must stand somewhere in the item. */
  readonly has: readonly string[]
}

const flags: Readonly<Record<string, readonly [string, string]>> = {
  negated: ['negated', 'yes'],
  planned: ['intent', 'planned'],
  ordered: ['intent', 'ordered'],
  goal: ['intent', 'goal'],
}

/** Reads `type subject; name words; …`; throws on a name that no item of that type has, so that no slip passes. */
export function expected(line: string): Expected {
  const [head = '', ...parts] = line.split('; ')
  const says = new Map<string, string>([
    ['when', '-'],
    ['negated', 'no'],
    ['null', '-'],
    ['intent', 'performed'],
  ])
  const has: string[] = []
  for (const part of parts) {
    const [, key = '', rest = ''] = /^(\S+) ?(.*)$/s.exec(part) ?? []
    const flag = rest === '' ? flags[key] : undefined
    if (flag) says.set(...flag)
    else if (key === 'has') has.push(rest)
    else if (rest !== '') says.set(key, rest)
    else throw new Error(`says nothing: ${part}`)
  }
  return { line, head, says, has }
}

/** Expected items by example, from the lines of a golden file: `== name`, `# why`, one line for each item. */
export function expectations(text: string): ReadonlyMap<string, readonly Expected[]> {
  const found = new Map<string, Expected[]>()
  let at: Expected[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('== ')) {
      at = []
      found.set(line.slice(3), at)
    } else if (line !== '' && !line.startsWith('# ')) at.push(expected(line))
  }
  return found
}

const fits = (got: string | undefined, wanted: string): boolean =>
  wanted === '*' ? got !== undefined && got !== '-' : got === wanted

const headFits = (head: string, wanted: string): boolean =>
  wanted.endsWith(' *') ? head.startsWith(wanted.slice(0, -1)) && !head.endsWith(' -') : head === wanted

/** Where an item differs from what was expected of it. */
function differences(item: RecordItem, wanted: Expected): string[] {
  const got = said(item)
  return [
    ...[...wanted.says]
      .filter(([key, words]) => !fits(got.get(key), words))
      .map(([key, words]) => `${wanted.head}: ${key} ${words} expected, ${got.get(key)} read`),
    ...wanted.has
      .filter((words) => !JSON.stringify(item).includes(words))
      .map((words) => `${wanted.head}: no "${words}"`),
  ]
}

/**
 * Everything in which items differ from what was expected, each expected item being held against the item of the same
 * type and subject that is nearest to it; items that nobody expected are told as well. Demographics and the document
 * itself are judged only where they are expected.
 */
export function disagreements(items: readonly RecordItem[], wanted: readonly Expected[]): string[] {
  const left = new Set(items)
  const found = wanted.flatMap((one) => {
    const nearest = [...left]
      .filter((item) => headFits(headOf(item), one.head))
      .map((item) => ({ item, differs: differences(item, one) }))
      .sort((a, b) => a.differs.length - b.differs.length)[0]
    if (nearest === undefined) return [`${one.head}: not read`]
    left.delete(nearest.item)
    return nearest.differs
  })
  const unexpected = [...left].filter(({ content: { type } }) => type !== 'demographics' && type !== 'document')
  return [...found, ...unexpected.map((item) => `${headOf(item)}: not expected`)]
}
