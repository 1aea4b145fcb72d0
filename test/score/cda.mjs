/**
 * The facts of a CDA document, taken from its tree by the rules of rules.mjs. A fact has alternatives where the standard
 * leaves a choice; `optional` facts may be told or not. Each stands under its section's path.
 */
import { careTeam, comment, coverage, directive, note } from './affairs.mjs'
import { allergy, family, problem } from './conditions.mjs'
import { codeKeys, collector, detail, has, isStatement, related, tell, valueFacts } from './facts.mjs'
import { header } from './header.mjs'
import { immunization, medication, medications } from './medicines.mjs'
import { finding, functional, observation } from './observations.mjs'
import { encounter, goal, planned, plannedSupply, reason } from './plans.mjs'
import { device, devices, procedure } from './procedures.mjs'
import { kindOfSection, roots, ruleOf } from './rules.mjs'
import { attr, down, kid, kids } from './tree.mjs'

/** Every section of the document with its path, nested ones included. */
export function sectionsOf(document) {
  const found = []
  const visit = (node) => {
    for (const component of kids(node, 'component'))
      for (const section of kids(component, 'section')) {
        found.push(section)
        visit(section)
      }
  }
  visit(down(document.root, 'component', 'structuredBody') ?? { kids: [] })
  return found
}

/**
 * Health and risk concerns, interventions (22.4.132, 136, 131, 146): the act itself may be told; what it is about stands in
 * the statements inside, each by its own template.
 */
function wrapper(out, node) {
  tell(out, node, ['activity', 'problem', 'observation'], kids(node, 'code'), { optional: true })
  detail(out, node.path, 'panel', '', kids(node, 'code'), true)
  for (const inner of related(node)) {
    const rule = ruleOf(inner, 'other')
    const isPointer = has(inner, roots.entryReference)
    // Who is at risk of something does not have it: the risk is a finding, not a problem (Risk Concern Act, 22.4.136).
    const isRisk =
      has(node, roots.riskConcern) || ['281694009', '80943009'].includes(attr(kid(inner, 'code'), 'code') ?? '')
    if (rule === 'problem' && isRisk) {
      finding(out, inner, { around: [node], over: codeKeys(...kids(node, 'code')).slice(0, 1) })
      continue
    }
    if (rule !== undefined && !isPointer) rules[rule](out, inner)
    else if (!isPointer) aside(out, inner)
  }
}

/** A statement without a rule: its code may be told. */
export function aside(out, node) {
  const { id } = tell(out, node, ['activity', 'observation', 'problem'], kids(node, 'code'), { optional: true })
  for (const value of kids(node, 'value')) {
    valueFacts(out, node.path, id, value, true)
    tell(out, node, ['problem', 'observation'], [value], { optional: true })
  }
}

const rules = {
  allergy,
  problem,
  medication,
  medications,
  immunization,
  observation,
  function: functional,
  procedure,
  encounter,
  family,
  coverage,
  directive,
  device,
  devices,
  reason,
  goal,
  planned,
  wrapper,
  'planned-supply': plannedSupply,
  'care-team': careTeam,
  note,
  comment,
}

/** All sections of a CDA document with their facts; `unjudged` are entries that no rule covers. */
export function cdaFacts(document) {
  const found = [{ key: 'header', ...header(document), unjudged: [] }]
  for (const section of sectionsOf(document)) {
    const kind = kindOfSection(section)
    const out = collector(section, kind, document)
    const unjudged = []
    const free = attr(section, 'nullFlavor') !== undefined
    for (const entry of kids(section, 'entry')) {
      const statement = kids(entry).find(isStatement)
      const rule = statement && ruleOf(statement, kind)
      if (rule === undefined) unjudged.push(entry.path)
      else if (statement.local !== 'observationMedia') rules[rule](out, statement)
    }
    found.push({
      key: section.path,
      kind,
      section,
      facts: free ? out.facts.map((fact) => ({ ...fact, optional: true })) : out.facts,
      unjudged,
    })
  }
  return found
}
