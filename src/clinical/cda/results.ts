import type { Observation, Panel } from '../../direct/clinical.js'
import type { Concept, Value, When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { type Place, placesIn } from '../place.js'
import { conduct } from './authors.js'
import {
  given,
  isNegated,
  isStatement,
  readAllNamed,
  readConcept,
  readIdentifiers,
  readNamed,
  readQuantity,
  readText,
  readWhen,
  relatedStatements,
  says,
  typeOf,
} from './datatypes.js'
import { isSecurityLabel } from './labels.js'
import type { ReadStatement } from './nested.js'
import { at, inside, type Scope } from './scope.js'
import { specimensOf } from './specimens.js'
import { emit, intentOf, isComment, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readValue } from './values.js'

type Observed = Observation['type']
type Ranges = Observation['referenceRanges']

/** What a battery lends to the observations in it. */
interface Battery {
  readonly entry: string
  readonly node: XmlNode
  readonly code?: Concept
  readonly when?: When
  readonly specimen?: Concept
  readonly within: readonly XmlNode[]
}

/**
 * The observations of a battery, each an item that inherits the battery's code, time and specimen where it has none of its
 * own; a battery without observations is an item by itself: a report (C-CDA 22.4.1, 22.4.26).
 */
export function readBattery(scope: Scope, type: Observed, nested: ReadStatement, outer?: Battery): number {
  const { node } = scope.place
  const code = readNamed(scope, child(node, 'code')) ?? outer?.code
  const when = readWhen(scope, child(node, 'effectiveTime')) ?? outer?.when
  const specimen = specimensOf(scope, node)[0] ?? outer?.specimen
  const panel: Battery = {
    entry: scope.place.path,
    node,
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    ...(specimen === undefined ? {} : { specimen }),
    within: [node, ...(outer?.within ?? [])],
  }
  let made = 0
  let observations = 0
  for (const component of placesIn(scope.place, 'component')) {
    const place = placesIn(component).find((one) => isStatement(one.node))
    if (place === undefined) continue
    const inner = authored(inside(scope, component), place)
    if (place.node.local === 'observation') {
      // A label is on what is around it, and not a finding.
      if (isSecurityLabel(place.node)) continue
      observations++
      made += readObservation(inner, type, panel)
    } else if (place.node.local === 'organizer' && !isSecurityLabel(place.node)) {
      observations++
      made += readBattery(inner, type, nested, panel)
    } else if (!isComment(place.node) && !isSecurityLabel(place.node)) made += nested(inner)
  }
  if (observations > 0 || made > 0) return made
  const test = withNarrative(scope, readConcept(scope, child(node, 'code')), node)
  return emit(scope, {
    content: { type, test, interpretations: [], referenceRanges: [], ...(specimen === undefined ? {} : { specimen }) },
    subject: test,
    when,
    status: actStatus(scope, node, intentOf(node) === 'planned'),
    intent: intentOf(node),
    within: outer?.within ?? [],
  })
}

function authored(scope: Scope, place: Place): Scope {
  const inner = at(scope, place)
  return { ...inner, authorship: conduct(inner, place) }
}

const column = /test|name|component|vital|analyte|sign|description/i

/** One item for an observation, with what its battery lends. */
export function readObservation(scope: Scope, type: Observed, panel?: Battery): number {
  const { node } = scope.place
  const test = withNarrative(scope, readConcept(scope, child(node, 'code'), column), node, column)
  const [value, ...others] = valuesOf(scope, node)
  const when = readWhen(scope, child(node, 'effectiveTime')) ?? panel?.when
  const method = readNamed(scope, child(node, 'methodCode'))
  const specimen = specimensOf(scope, node)[0] ?? panel?.specimen
  const bodySites = readAllNamed(scope, node, 'targetSiteCode')
  const components = componentsOf(scope, node)
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type,
      test,
      ...(panel === undefined ? {} : { panel: panelOf(panel) }),
      ...(value === undefined ? {} : { value }),
      ...(others.length === 0 ? {} : { otherValues: others }),
      interpretations: readAllNamed(scope, node, 'interpretationCode'),
      referenceRanges: rangesOf(scope, node),
      ...(method === undefined ? {} : { method }),
      ...(specimen === undefined ? {} : { specimen }),
      ...(bodySites.length === 0 ? {} : { bodySites }),
      ...(components.length === 0 ? {} : { components }),
    },
    subject: test,
    when,
    status: actStatus(scope, node, intent === 'planned', panel?.node),
    intent,
    within: panel?.within ?? [],
    nullFlavor: value?.kind === 'absent' && components.length === 0 ? value.nullFlavor : undefined,
  })
}

/** Every value that says anything; of nothing but nulls, the first. */
function valuesOf(scope: Scope, node: XmlNode): Value[] {
  const all = childrenOf(node, 'value')
    .slice(0, mostValues)
    .map((one) => readValue(scope, one))
    .filter((value) => value !== undefined)
  const told = all.filter((value) => value.kind !== 'absent')
  return told.length > 0 ? told : all.slice(0, 1)
}

const mostValues = 64

/** Observations inside an observation that say more of it: what was affected, how it was measured (typeCode COMP, SPRT, REFR). */
function componentsOf(scope: Scope, node: XmlNode): NonNullable<Observation['components']>[number][] {
  const found: NonNullable<Observation['components']>[number][] = []
  for (const one of relatedStatements(node).slice(0, mostValues)) {
    if (one.local !== 'observation' || isComment(one) || isSecurityLabel(one) || isNegated(one)) continue
    if (isA(one, templates.status) || intentOf(one) !== 'performed') continue
    const test = readNamed(scope, child(one, 'code'))
    const value = readValue(scope, childrenOf(one, 'value')[0])
    if (test !== undefined) found.push({ test, ...(value === undefined ? {} : { value }) })
  }
  return found
}

function panelOf({ entry, node, code, when }: Battery): Panel {
  const status = given(child(node, 'statusCode'), 'code')
  return {
    entry,
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
    identifiers: readIdentifiers(node),
  }
}

/** Every range, each with what it means to lie in it where the source says so (CDA R2 §4.3.6.3: observationRange). */
export function rangesOf(scope: Scope, node: XmlNode): Ranges {
  const ranges: Ranges[number][] = []
  for (const reference of childrenOf(node, 'referenceRange').slice(0, mostValues)) {
    const range = child(reference, 'observationRange')
    const interpretation = readNamed(scope, child(range, 'interpretationCode'))
    const value = child(range, 'value')
    const text = readText(scope, child(range, 'text')) ?? plainRange(scope, value)
    const low = readQuantity(child(value, 'low'))
    const high = readQuantity(child(value, 'high'))
    if (low === undefined && high === undefined && text === undefined) continue
    ranges.push({
      ...(low === undefined ? {} : { low: bounded(low, child(value, 'low'), '>') }),
      ...(high === undefined ? {} : { high: bounded(high, child(value, 'high'), '<') }),
      ...(text === undefined ? {} : { text }),
      ...(interpretation === undefined ? {} : { interpretation }),
    })
  }
  return ranges
}

function bounded(quantity: NonNullable<Ranges[number]['low']>, bound: XmlNode | undefined, open: '<' | '>') {
  return given(bound, 'inclusive') === 'false' ? { ...quantity, comparator: open } : quantity
}

/** A range given as words, a code or a single quantity. */
function plainRange(scope: Scope, value: XmlNode | undefined): string | undefined {
  if (value === undefined || child(value, 'low') || child(value, 'high')) return undefined
  const type = typeOf(value)
  if (type === 'ST' || type === 'ED') return readText(scope, value)
  const read = type === undefined ? undefined : readValue(scope, value)
  if (read?.kind === 'quantity') return [read.quantity.value, read.quantity.unit].filter(Boolean).join(' ')
  if (read?.kind === 'concept' && says(read.concept)) return read.concept.text ?? read.concept.codings[0]?.code
  return read?.kind === 'text' ? read.text : undefined
}
