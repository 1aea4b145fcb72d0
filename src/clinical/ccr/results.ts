import type { Observation, Panel } from '../../direct/clinical.js'
import type { Concept, Value } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { readIdentifiers } from './actors.js'
import { readEvent } from './dates.js'
import { describedBy } from './links.js'
import { emit } from './object.js'
import { type CcrScope, textAt } from './scope.js'
import { intentOf, nearestStatus, readStatus } from './status.js'
import { codesOf, type Measure, readCode, readMeasure, saying, together, wordsOf } from './types.js'

type Kind = Observation['type']

/** Results/Result and VitalSigns/Result: an item for each Test, which takes date, source and name of the panel from the Result. */
export function readResult(scope: CcrScope, type: Kind): string[] {
  const panel = panelOf(scope)
  const specimens = codesOf(scope, scope.place.node, 'Substance')
  const tests = placesIn(scope.place, 'Test')
  const notes = procedureNotes(scope)
  if (tests.length > 0) {
    return tests.flatMap((place) =>
      scope.ccr.reading.full ? [] : readTest({ ...scope, place, outer: scope }, { type, panel, specimens, notes }),
    )
  }
  // A Result without a Test says at least that there was one.
  const test = panel.code ?? { codings: [] }
  const status = nearestStatus(scope)
  return emit(scope, {
    content: {
      type,
      test,
      interpretations: [],
      referenceRanges: [],
      ...(specimens[0] ? { specimen: specimens[0] } : {}),
    },
    subject: test,
    when: readEvent(scope),
    status,
    intent: scope.intent ?? intentOf(status),
    notes,
  })
}

function panelOf(scope: CcrScope): Panel {
  const { node, path } = scope.place
  const described = together(...codesOf(scope, node, 'Description'))
  const code = saying(described) ? described : readCode(scope, child(node, 'Type'))
  const when = readEvent(scope)
  const status = readStatus(scope)?.source
  const id = textAt(node, 'CCRDataObjectID')
  return {
    entry: path,
    ...(saying(code) ? { code } : {}),
    ...(when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
    identifiers: [...(id === undefined ? [] : [{ value: id }]), ...readIdentifiers(scope, node)],
  }
}

/** How a result was come by. */
function procedureNotes(scope: CcrScope): string[] {
  return placesIn(scope.place, 'Procedure').flatMap((place) => {
    const words = wordsOf(describedBy(scope, place))
    return words === undefined ? [] : [`Procedure: ${words}`]
  })
}

/** What the tests of one result share. */
interface Battery {
  readonly type: Kind
  readonly panel?: Panel
  readonly specimens: readonly Concept[]
  /** What is tested, where the test itself does not say. */
  readonly subject?: Concept
  readonly notes?: readonly string[]
}

/** One Test: its value, flags and ranges (ASTM E2369 §5.5). */
export function readTest(scope: CcrScope, { type, panel, specimens, subject, notes = [] }: Battery): string[] {
  const { node } = scope.place
  const described = together(...codesOf(scope, node, 'Description'))
  const typed = readCode(scope, child(node, 'Type'))
  const test: Concept = [described, subject, panel?.code, typed].find(saying) ?? { codings: [] }
  const [value, ...otherValues] = valuesOf(scope, childrenOf(node, 'TestResult'))
  const methods = codesOf(scope, node, 'Method')
  const own = codesOf(scope, node, 'Substance')
  const specimen = own[0] ?? specimens[0]
  const agents = childrenOf(node, 'Agent').flatMap((agent) => agentsOf(scope, agent))
  const status = nearestStatus(scope)
  const confidence = wordsOf(readCode(scope, child(node, 'ConfidenceValue')))
  return emit(scope, {
    content: {
      type,
      test,
      ...(panel === undefined ? {} : { panel }),
      ...(value === undefined ? {} : { value }),
      ...(otherValues.length === 0 ? {} : { otherValues }),
      interpretations: codesOf(scope, node, 'Flag'),
      referenceRanges: rangesOf(scope, child(node, 'NormalResult')),
      ...(methods[0] === undefined ? {} : { method: methods[0] }),
      ...(specimen === undefined ? {} : { specimen }),
      ...(agents.length === 0 ? {} : { components: agents.map((agent) => ({ test: agent })) }),
    },
    subject: test,
    when: readEvent(scope) ?? (scope.outer && readEvent(scope.outer)),
    status,
    intent: scope.intent ?? intentOf(status),
    notes: [
      ...notes,
      ...methods.slice(1).map((one) => `Method: ${wordsOf(one)}`),
      ...specimens.slice(1).map((one) => `Substance: ${wordsOf(one)}`),
      ...(confidence === undefined ? [] : [`Confidence: ${confidence}`]),
    ],
  })
}

/** What was tested for or against: a drug in a sensitivity, an allergen. */
function agentsOf(scope: CcrScope, agent: XmlNode): Concept[] {
  return placesIn({ node: agent, path: '' })
    .flatMap((list) => placesIn(list))
    .map((place) => {
      const product = child(place.node, 'Product')
      return together(...codesOf(scope, product, 'ProductName'), ...codesOf(scope, place.node, 'Description'))
    })
    .filter(saying)
}

/** All values of a test. Two numbers in sequence, the second headed `to`, are one range. */
function valuesOf(scope: CcrScope, results: readonly XmlNode[]): Value[] {
  const [first, second] = results
  const low = readMeasure(first)?.quantity
  const high = readMeasure(second)?.quantity
  if (
    results.length === 2 &&
    low &&
    high &&
    /^to$/i.test(textAt(child(second, 'VariableResultModifier'), 'Text') ?? '')
  ) {
    return [{ kind: 'range', low, high }]
  }
  return results.flatMap((one) => readValues(scope, one))
}

/** A test result: a number with unit, else words or a code; its description beside it (ASTM E2369 TestResultType). */
export function readValues(scope: CcrScope, node: XmlNode | undefined): Value[] {
  const measure = readMeasure(node)
  const coded = readCode(scope, node)
  const described = childrenOf(node, 'Description').map((one) => readCode(scope, one))
  const values: Value[] = []
  if (measure !== undefined) values.push(measuredValue(measure, coded))
  else if (coded.codings.length > 0) values.push({ kind: 'concept', concept: coded })
  for (const concept of described) {
    if (concept.codings.length > 0) values.push({ kind: 'concept', concept })
    else if (concept.text !== undefined) values.push({ kind: 'text', text: concept.text })
  }
  return values
}

/** A number is a quantity, and a code makes words a concept; everything else stays words. */
function measuredValue({ quantity, words }: Measure, coded: Concept): Value {
  if (quantity !== undefined) return { kind: 'quantity', quantity }
  return coded.codings.length > 0
    ? { kind: 'concept', concept: { codings: coded.codings, text: words } }
    : { kind: 'text', text: words }
}

/**
 * Normal ranges. Two values in sequence, the second headed `to`, are low and high; anything else stays in the source's words:
 * `3.5 - 5.3 mg/dl` is not taken apart.
 */
function rangesOf(scope: CcrScope, result: XmlNode | undefined): Observation['referenceRanges'] {
  const normals = childrenOf(result, 'Normal')
  const [first, second] = normals
  const modifier = child(second, 'VariableNormalModifier') ?? child(second, 'VariableNomalModifier')
  const low = readMeasure(first)?.quantity
  const high = readMeasure(second)?.quantity
  if (normals.length === 2 && low && high && textAt(modifier, 'Text')?.toLowerCase() === 'to') return [{ low, high }]
  return normals.flatMap((normal) => {
    const measure = readMeasure(normal)
    const described = together(...codesOf(scope, normal, 'Description'))
    const text = measure?.words ?? wordsOf(described)
    if (text === undefined) return []
    return [{ text, ...(described.codings.length > 0 && measure ? { interpretation: described } : {}) }]
  })
}
