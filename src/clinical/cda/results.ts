import type { Observation, Panel } from '../../direct/clinical.js'
import type { Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { type Place, placesIn } from '../place.js'
import { conduct } from './authors.js'
import {
  given,
  isStatement,
  nullFlavorOf,
  readConcept,
  readIdentifiers,
  readNamed,
  readQuantity,
  readText,
  readWhen,
  says,
  typeOf,
} from './datatypes.js'
import { at, remark, type Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
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
export function readBattery(scope: Scope, type: Observed, outer?: Battery): number {
  const { node } = scope.place
  const code = readNamed(scope, child(node, 'code')) ?? outer?.code
  const when = readWhen(scope, child(node, 'effectiveTime')) ?? outer?.when
  const specimen = specimenOf(scope, node) ?? outer?.specimen
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
    const inner = authored(scope, place)
    if (place.node.local === 'observation') {
      observations++
      if (isSecurityLabel(place.node)) remark(inner, 'unmapped-entry', 'a security label, not a finding')
      else made += readObservation(inner, type, panel)
    } else if (place.node.local === 'organizer') {
      observations++
      made += readBattery(inner, type, panel)
    }
  }
  if (observations > 0) return made
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

/** Labels of HL7 DS4P: policy about the battery, in the shape of an observation. */
function isSecurityLabel(node: XmlNode): boolean {
  return /^SEC(?:CLASS|CAT|CON|INT|TRST|ALT|DATINT)OBS$/.test(given(child(node, 'code'), 'code') ?? '')
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
  const first = childrenOf(node, 'value')[0]
  const value = readValue(scope, first)
  const when = readWhen(scope, child(node, 'effectiveTime')) ?? panel?.when
  const method = readNamed(scope, child(node, 'methodCode'))
  const specimen = specimenOf(scope, node) ?? panel?.specimen
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type,
      test,
      ...(panel === undefined ? {} : { panel: panelOf(panel) }),
      ...(value === undefined ? {} : { value }),
      interpretations: childrenOf(node, 'interpretationCode')
        .map((code) => readNamed(scope, code))
        .filter((concept) => concept !== undefined),
      referenceRanges: rangesOf(scope, node),
      ...(method === undefined ? {} : { method }),
      ...(specimen === undefined ? {} : { specimen }),
    },
    subject: test,
    when,
    status: actStatus(scope, node, intent === 'planned', panel?.node),
    intent,
    within: panel?.within ?? [],
    nullFlavor: value === undefined ? nullFlavorOf(first) : undefined,
  })
}

function panelOf({ entry, node, code, when }: Battery): Panel {
  return {
    entry,
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    identifiers: readIdentifiers(node),
  }
}

function specimenOf(scope: Scope, node: XmlNode): Concept | undefined {
  const entity = descend(node, 'specimen', 'specimenRole', 'specimenPlayingEntity')
  const code = readNamed(scope, child(entity, 'code'))
  if (code !== undefined) return code
  const text = readText(scope, child(entity, 'name'))
  return text === undefined ? undefined : { codings: [], text }
}

/** Ranges of normal results; a range that is labelled as anything else would mislead and is left to the document. */
function rangesOf(scope: Scope, node: XmlNode): Ranges {
  const ranges: Ranges[number][] = []
  for (const reference of childrenOf(node, 'referenceRange')) {
    const range = child(reference, 'observationRange')
    const label = given(child(range, 'interpretationCode'), 'code')
    if (range === undefined || (label !== undefined && label !== 'N')) continue
    const value = child(range, 'value')
    const text = readText(scope, child(range, 'text')) ?? plainRange(scope, value)
    const low = readQuantity(child(value, 'low'))
    const high = readQuantity(child(value, 'high'))
    if (low === undefined && high === undefined && text === undefined) continue
    ranges.push({
      ...(low === undefined ? {} : { low: bounded(low, child(value, 'low'), '>') }),
      ...(high === undefined ? {} : { high: bounded(high, child(value, 'high'), '<') }),
      ...(text === undefined ? {} : { text }),
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
