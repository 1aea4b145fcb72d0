import type { Observation } from '../../direct/clinical.js'
import type { Concept, Timing } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { denies } from '../denial.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { actorName } from './actors.js'
import { dateLabels, readDate, readSpan } from './dates.js'
import { emit, readStatus, sourceNames } from './object.js'
import { type CcrScope, remark, textAt } from './scope.js'
import { readCode, readMeasure, readResult, saying } from './types.js'

/** Problems/Problem: one item, or one for each of its episodes, which have dates and states of their own. */
export function readProblem(scope: CcrScope): number {
  const { node } = scope.place
  const problem = readCode(scope, child(node, 'Description'))
  const kind = readCode(scope, child(node, 'Type'))
  const age = childrenOf(node, 'DateTime')
    .map((date) => readMeasure(child(date, 'Age')))
    .find((one) => one !== undefined)
  const list = placeAt(scope.place, 'Episodes')
  const episodes = list === undefined ? [] : placesIn(list, 'Episode')
  let made = 0
  for (const place of episodes.length > 0 ? episodes : [scope.place]) {
    const here: CcrScope = { ...scope, place }
    made += emit(here, {
      content: {
        type: 'problem',
        problem,
        ...(saying(kind) ? { kind } : {}),
        ...(age === undefined ? {} : { ageAtOnset: age }),
      },
      subject: problem,
      when: readSpan(here) ?? readSpan(scope),
      status: readStatus(here) ?? readStatus(scope),
      negated: denies(problem),
    })
  }
  return made
}

/** Alerts/Alert: an allergy where its type says so, or where it names an agent without any type. Other alerts have no item type. */
export function readAlert(scope: CcrScope): number {
  const { node } = scope.place
  const kind = readCode(scope, child(node, 'Type'))
  const description = readCode(scope, child(node, 'Description'))
  const agent = agentOf(scope, child(node, 'Agent'))
  const isAllergy = saying(kind)
    ? /allerg|adverse|intoleran|sensitiv/i.test(kind.text ?? '') ||
      kind.codings.some(({ code }) => allergyKinds.has(code))
    : saying(agent) || denies(description)
  if (!isAllergy) {
    remark(scope, 'unmapped-entry', 'an alert that is not an allergy')
    return 0
  }
  // The agent is what the patient reacts to; the description may name the allergy as a condition. Both are kept.
  const text = agent.text ?? description.text
  const named = new Set(agent.codings.map(({ code }) => code))
  const substance: Concept = {
    codings: [
      ...agent.codings,
      ...description.codings.filter((one) => !allergyKinds.has(one.code) && !named.has(one.code)),
    ],
    ...(text === undefined ? {} : { text }),
  }
  const reactions = childrenOf(node, 'Reaction').flatMap((reaction) => {
    const manifestation = readCode(scope, child(reaction, 'Description'))
    const severity = readCode(scope, child(reaction, 'Severity'))
    return saying(manifestation) ? [{ manifestation, ...(saying(severity) ? { severity } : {}) }] : []
  })
  return emit(scope, {
    content: { type: 'allergy', substance, ...(saying(kind) ? { kind } : {}), reactions },
    subject: substance,
    when: readSpan(scope),
    negated: denies(substance) || denies(description),
  })
}

const allergyKinds = new Set([
  '282100009',
  '420134006',
  '418038007',
  '419511003',
  '418471000',
  '419199007',
  '416098002',
  '414285001',
  '59037007',
  '235719002',
])

/** Products, environmental agents and problems that an alert is about; the codes of the first. */
function agentOf(scope: CcrScope, agent: XmlNode | undefined): Concept {
  const product = descend(agent, 'Products', 'Product')
  const found = [
    readCode(scope, descend(product, 'Product', 'ProductName')),
    readCode(scope, child(product, 'Description')),
    readCode(scope, descend(product, 'Product', 'BrandName')),
    readCode(scope, descend(agent, 'EnvironmentalAgents', 'EnvironmentalAgent', 'Description')),
    readCode(scope, descend(agent, 'Problems', 'Problem', 'Description')),
  ]
  return found.find((concept) => concept.codings.length > 0) ?? found.find(saying) ?? { codings: [] }
}

/** Medications/Medication. */
export function readMedication(scope: CcrScope): number {
  const { node } = scope.place
  const item = child(node, 'Product')
  const name = readCode(scope, child(item, 'ProductName'))
  const branded = readCode(scope, child(item, 'BrandName'))
  const described = readCode(scope, child(node, 'Description'))
  const product: Concept = saying(name) ? name : saying(branded) ? branded : described
  const brand = saying(name) && saying(branded) ? branded : undefined
  const directions = childrenOf(child(node, 'Directions') ?? child(item, 'Directions'), 'Direction')
  const [first] = directions
  const strength = readMeasure(child(item, 'Strength'))
  const dose = readMeasure(child(first, 'Dose'))
  const form = readCode(scope, child(item, 'Form'))
  const route = readCode(scope, child(first, 'Route'))
  const site = readCode(scope, child(first, 'Site'))
  const quantity = readMeasure(child(node, 'Quantity') ?? child(item, 'Quantity'))
  const refills = textAt(descend(node, 'Refills', 'Refill'), 'Number')
  const instructions = instructionsOf(node, directions)
  return emit(scope, {
    content: {
      type: 'medication',
      product,
      ...(brand === undefined ? {} : { brand }),
      ...(strength === undefined ? {} : { strength }),
      ...(saying(form) ? { form } : {}),
      ...(dose === undefined ? {} : { dose }),
      ...(saying(route) ? { route } : {}),
      ...(saying(site) ? { site } : {}),
      timings: directions.flatMap(timingsOf),
      asNeeded: directions.some((one) => child(child(one, 'Indication'), 'PRNFlag') !== undefined),
      ...(instructions === '' ? {} : { instructions }),
      indications: directions.flatMap((one) => indicationsOf(scope, childrenOf(one, 'Indication'))),
      ...(refills === undefined ? {} : { refills }),
      ...(quantity === undefined ? {} : { quantity }),
    },
    subject: product,
    when: readSpan(scope),
  })
}

function instructionsOf(node: XmlNode, directions: readonly XmlNode[]): string {
  const texts = [
    ...directions.map((one) => textAt(child(one, 'Description'), 'Text')),
    ...childrenOf(child(node, 'PatientInstructions'), 'Instruction').map((one) => textAt(one, 'Text')),
  ]
  return [...new Set(texts.filter((text) => text !== undefined))].join('; ')
}

/** A frequency in the source's words: `bid` is not turned into hours. */
function timingsOf(direction: XmlNode): Timing[] {
  return childrenOf(direction, 'Frequency').flatMap((frequency) => {
    const measure = readMeasure(frequency)
    const text =
      measure === undefined
        ? textAt(child(frequency, 'Description'), 'Text')
        : [measure.value, measure.unit].filter(Boolean).join(' ')
    return text === undefined ? [] : [{ text }]
  })
}

function indicationsOf(scope: CcrScope, indications: readonly XmlNode[]): Concept[] {
  return indications
    .map((indication) => {
      const own = readCode(scope, child(indication, 'Description'))
      if (saying(own)) return own
      const problem = readCode(scope, descend(indication, 'Problem', 'Description'))
      if (saying(problem)) return problem
      const link = textAt(child(indication, 'InternalCCRLink'), 'LinkID')
      return readCode(scope, child(scope.ccr.objects.get(link ?? ''), 'Description'))
    })
    .filter(saying)
}

/** Immunizations/Immunization. */
export function readImmunization(scope: CcrScope): number {
  const { node } = scope.place
  const product = child(node, 'Product')
  const name = readCode(scope, child(product, 'ProductName'))
  const branded = readCode(scope, child(product, 'BrandName'))
  const vaccine: Concept = saying(name) ? name : saying(branded) ? branded : readCode(scope, child(node, 'Description'))
  const lot = [...childrenOf(node, 'IDs'), ...childrenOf(product, 'IDs')].find((ids) =>
    ['immunization lot number', 'lot number', 'lot'].includes(textAt(child(ids, 'Type'), 'Text')?.toLowerCase() ?? ''),
  )
  const lotNumber = textAt(lot, 'ID')
  const maker = scope.ccr.actors.get(textAt(child(product, 'Manufacturer'), 'ActorID') ?? '')
  const manufacturer = maker && actorName(maker.node)
  const direction = descend(node, 'Directions', 'Direction')
  const route = readCode(scope, child(direction, 'Route'))
  const site = readCode(scope, child(direction, 'Site'))
  const dose = readMeasure(child(direction, 'Dose'))
  const doseNumber = textAt(node, 'SeriesNumber')
  return emit(scope, {
    content: {
      type: 'immunization',
      vaccine,
      ...(lotNumber === undefined ? {} : { lot: lotNumber }),
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(saying(route) ? { route } : {}),
      ...(saying(site) ? { site } : {}),
      ...(dose === undefined ? {} : { dose }),
      ...(doseNumber === undefined ? {} : { doseNumber }),
    },
    subject: vaccine,
    when: readDate(scope, dateLabels.given),
    negated: /refused|not given|declined/i.test(readStatus(scope)?.source ?? ''),
  })
}

/** Results/Result and VitalSigns/Result: an item for each Test, which takes date and name of the panel from the Result. */
export function readResults(scope: CcrScope, type: 'result' | 'vital-sign'): number {
  const { node } = scope.place
  const described = readCode(scope, child(node, 'Description'))
  const typed = readCode(scope, child(node, 'Type'))
  const panel: Concept = saying(described) ? described : typed
  const specimen = readCode(scope, child(node, 'Substance'))
  const when = readDate(scope, dateLabels.observed)
  const tests = placesIn(scope.place, 'Test')
  if (tests.length === 0) {
    return emit(scope, {
      content: { type, test: panel, interpretations: [], referenceRanges: [] },
      subject: panel,
      when,
    })
  }
  let made = 0
  for (const place of tests) made += readTest({ ...scope, place }, scope, { type, panel, specimen, when })
  return made
}

interface Panel {
  readonly type: 'result' | 'vital-sign'
  readonly panel: Concept
  readonly specimen: Concept
  readonly when: ReturnType<typeof readDate>
}

function readTest(scope: CcrScope, result: CcrScope, { type, panel, specimen, when }: Panel): number {
  const { node } = scope.place
  const named = readCode(scope, child(node, 'Description'))
  const test: Concept = saying(named) ? named : panel
  const value = readResult(scope, child(node, 'TestResult'))
  const method = readCode(scope, child(node, 'Method'))
  const own = sourceNames(scope)
  const content: Observation = {
    type,
    test,
    ...(saying(panel) ? { panel: { entry: result.place.path, code: panel, identifiers: [] } } : {}),
    ...(value === undefined ? {} : { value }),
    interpretations: childrenOf(node, 'Flag')
      .map((flag) => readCode(scope, flag))
      .filter(saying),
    referenceRanges: rangesOf(child(node, 'NormalResult')),
    ...(saying(method) ? { method } : {}),
    ...(saying(specimen) ? { specimen } : {}),
  }
  return emit(scope, {
    content,
    subject: test,
    when: readDate(scope, dateLabels.observed) ?? when,
    status: readStatus(scope) ?? readStatus(result),
    authors: own.length > 0 ? own : sourceNames(result),
  })
}

/**
 * Normal ranges. Two values in sequence, the second headed `to`, are low and high; anything else stays in the source's
 * words: `3.5 - 5.3 mg/dl` is not taken apart.
 */
function rangesOf(result: XmlNode | undefined): Observation['referenceRanges'] {
  const normals = childrenOf(result, 'Normal')
  const [first, second] = normals
  const modifier = child(second, 'VariableNormalModifier') ?? child(second, 'VariableNomalModifier')
  const low = readMeasure(first)
  const high = readMeasure(second)
  if (normals.length === 2 && low && high && textAt(modifier, 'Text')?.toLowerCase() === 'to') return [{ low, high }]
  return normals.flatMap((normal) => {
    const measure = readMeasure(normal)
    const text =
      measure === undefined
        ? textAt(child(normal, 'Description'), 'Text')
        : [measure.value, measure.unit].filter(Boolean).join(' ')
    return text === undefined ? [] : [{ text }]
  })
}

/** Procedures/Procedure. */
export function readProcedure(scope: CcrScope): number {
  const { node } = scope.place
  const procedure = readCode(scope, child(node, 'Description'))
  const status = readStatus(scope)
  return emit(scope, {
    content: {
      type: 'procedure',
      procedure,
      bodySites: childrenOf(node, 'Site')
        .map((site) => readCode(scope, site))
        .filter(saying),
      devices: childrenOf(child(node, 'Devices'), 'Device')
        .map((device) => deviceOf(scope, device))
        .filter(saying),
    },
    subject: procedure,
    when: readDate(scope, dateLabels.done),
    status,
    intent: status?.folded === 'planned' ? 'planned' : 'performed',
  })
}

function deviceOf(scope: CcrScope, device: XmlNode): Concept {
  const described = readCode(scope, child(device, 'Description'))
  return saying(described) ? described : readCode(scope, descend(device, 'Product', 'ProductName'))
}

/** Encounters/Encounter. Its type is the encounter; without one, its description is. Pending and scheduled ones are planned. */
export function readEncounter(scope: CcrScope): number {
  const { node } = scope.place
  const typed = readCode(scope, child(node, 'Type'))
  const described = readCode(scope, child(node, 'Description'))
  const encounter: Concept = saying(typed) ? typed : described
  const status = readStatus(scope)
  const disposition = readCode(scope, descend(node, 'Disposition', 'Description') ?? child(node, 'Disposition'))
  return emit(scope, {
    content: {
      type: 'encounter',
      encounter,
      diagnoses: indicationsOf(scope, childrenOf(child(node, 'Indications'), 'Indication')),
      locations: childrenOf(child(node, 'Locations'), 'Location')
        .map((location) => locationOf(scope, location))
        .filter((name) => name !== undefined),
      ...(saying(disposition) ? { disposition } : {}),
    },
    subject: encounter,
    when: readDate(scope, dateLabels.met),
    status,
    intent: status?.folded === 'planned' ? 'planned' : 'performed',
  })
}

function locationOf(scope: CcrScope, location: XmlNode): string | undefined {
  const actor: Place | undefined = scope.ccr.actors.get(textAt(child(location, 'Actor'), 'ActorID') ?? '')
  return textAt(child(location, 'Description'), 'Text') ?? (actor && actorName(actor.node))
}
