import type { PartialDate, Quantity, When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { joined, readMoment } from './moments.js'
import { type CcrScope, once, textAt } from './scope.js'
import { readQuantity } from './types.js'

/** What a date of an object is the date of. */
export type DateRole =
  | 'recorded'
  | 'verified'
  | 'diagnosed'
  | 'expires'
  | 'due'
  | 'written'
  | 'death'
  | 'filled'
  | 'end'
  | 'done'
  | 'begin'
  | 'other'
  | 'unlabelled'

/**
 * Labels are free words (ASTM E2369 §5.1.6), so that they are known by what they mean: the labels that HealthVault's CCR
 * vocabularies list fall into these roles, and so do their unlisted relatives. The first that fits counts.
 */
const roles: readonly (readonly [DateRole, RegExp])[] = [
  ['recorded', /\b(record|enter|noted|document|report|modif|updat|chart|transcri|creat|signed|issu)/],
  ['verified', /\b(verif|review|confirm)/],
  ['diagnosed', /\bdiagnos/],
  ['expires', /\bexpir/],
  ['due', /\b(due|next|follow-?up|schedul|appointment|planned|proposed|request|target)/],
  ['written', /\b(prescri|order|written|authori[sz])/],
  ['death', /\b(death|died|deceased)\b/],
  ['filled', /\b(re)?(fill|dispens|suppl(y|ied)\b)/],
  [
    'end',
    /\b(end|ended|ending|stop|stopped|to|until|thr(ough|u)|discharge)\b|\b(resol|inactiv|discontinu|terminat|complet|abate|remov|explant|last\b)/,
  ],
  [
    'done',
    /\b(collect|measure|assess|observ|test|result|specimen|drawn|perform|procedure|surg|operat|occur|service|encounter|visit|immuni[sz]|vaccin|admini|given|inject|implant|exam|taken|seen)/,
  ],
  ['begin', /\b(onset|start|begin|began|since|from|initial|first|effective|admi|age\b)/],
]

/** One DateTime of an object. */
export interface Dated {
  readonly role: DateRole
  readonly label?: string
  readonly node: XmlNode
}

/** The dates of an object by their roles. */
export function datesOf(node: XmlNode): Dated[] {
  return childrenOf(node, 'DateTime').map((one) => {
    const label = textAt(child(one, 'Type'), 'Text') ?? textAt(one, 'Type')
    if (label === undefined) return { role: 'unlabelled', node: one }
    const words = label.toLowerCase()
    return { role: roles.find(([, pattern]) => pattern.test(words))?.[0] ?? 'other', label, node: one }
  })
}

/** The first date of each role in turn; an unlabelled one, or one whose label tells nothing, only where it is alone. */
function first(scope: CcrScope, ...wanted: readonly DateRole[]): When | undefined {
  return once(scope, scope.place.node, `date ${wanted}`, () => firstOf(scope, wanted))
}

function firstOf(scope: CcrScope, wanted: readonly DateRole[]): When | undefined {
  const dates = datesOf(scope.place.node)
  const unsaid = dates.filter(({ role }) => role === 'unlabelled' || role === 'other')
  for (const role of wanted) {
    const found =
      role === 'unlabelled' ? (unsaid.length === 1 ? unsaid[0] : undefined) : dates.find((one) => one.role === role)
    const when = readMoment(scope, found?.node)
    if (when !== undefined) return when
  }
  return undefined
}

/** Words of several dates that nothing tells apart. */
function unsorted(scope: CcrScope): When | undefined {
  return once(scope, scope.place.node, 'unsorted dates', () => unsortedOf(scope))
}

function unsortedOf(scope: CcrScope): When | undefined {
  const unsaid = datesOf(scope.place.node).filter(({ role }) => role === 'unlabelled' || role === 'other')
  if (unsaid.length < 2) return undefined
  const words = unsaid.map(({ label, node }) => {
    const when = readMoment(scope, node)
    const said =
      when?.value?.source ?? when?.text ?? [when?.low?.source, when?.high?.source].filter(Boolean).join(' - ')
    return label === undefined ? said : `${label}: ${said}`
  })
  return { text: words.slice(0, 10).join(' / ') }
}

/** Onset and end of something that lasts. One date without label is the onset; one range without label is both. */
export function readSpan(scope: CcrScope): When | undefined {
  return joined(first(scope, 'begin', 'done', 'unlabelled'), first(scope, 'end', 'expires')) ?? unsorted(scope)
}

/** When something happened: the date of the deed, else the only one that does not say what it is the date of. */
export function readEvent(scope: CcrScope): When | undefined {
  const begin = first(scope, 'done', 'begin', 'unlabelled')
  const end = first(scope, 'end')
  if (end !== undefined) return joined(begin, end)
  return begin ?? first(scope, 'due', 'filled') ?? unsorted(scope)
}

/** When something planned is to happen. */
export function readDue(scope: CcrScope): When | undefined {
  return first(scope, 'due') ?? readEvent(scope)
}

/** The date of one role. */
export function readRole(scope: CcrScope, ...wanted: readonly DateRole[]): PartialDate | undefined {
  return first(scope, ...wanted)?.value
}

/** When the source wrote it down, or wrote the prescription, where it says so. */
export function readWritten(scope: CcrScope): PartialDate | undefined {
  return readRole(scope, 'recorded', 'written')
}

/** The age that stands in place of a date, where its label does not say that it is that of something else. */
export function readAge(node: XmlNode, ...wanted: readonly DateRole[]): Quantity | undefined {
  for (const one of datesOf(node)) {
    const age = wanted.includes(one.role) ? readQuantity(child(one.node, 'Age')) : undefined
    if (age !== undefined) return age
  }
  return undefined
}
