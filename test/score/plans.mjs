import { problem } from './conditions.mjs'
import { codeKeys, collector, detail, isNegated, quantityOf, related, relations, tell, valueFacts } from './facts.mjs'
import { indication, materialCodes, productsOf } from './medicines.mjs'
import { finding, nestedObservations } from './observations.mjs'
import { actStatus } from './status.mjs'
import { every, extra, kid, kids } from './tree.mjs'

/** Encounter Activity (22.4.49; C83.16; CCD R1 1.21): type, time, diagnoses, disposition. */
export function encounter(out, node) {
  // A planned encounter of C-CDA R1.1 may hold the encounter that says what and when.
  const inside = related(node).find((one) => one.local === 'encounter')
  const told = inside !== undefined && codeKeys(...kids(node, 'code')).length === 0 ? inside : node
  const times = kids(node, 'effectiveTime').length > 0 ? kids(node, 'effectiveTime') : kids(told, 'effectiveTime')
  const { id, free } = tell(out, node, ['encounter', 'activity'], kids(told, 'code'), { times })
  actStatus(out, node, id, free)
  for (const key of codeKeys(extra(node, 'dischargeDispositionCode')))
    out.put('detail', node.path, [`disposition ${id} ${key}`], free)
  for (const act of related(node)) {
    const observations = act.local === 'act' ? related(act) : [act]
    for (const one of observations.filter((inner) => inner.local === 'observation')) {
      const aside = collector(out.section, out.kind, out.document)
      problem(aside, one, act === one ? [] : [act])
      for (const fact of aside.facts) for (const key of fact.keys) out.put(fact.cat, fact.path, [key], true)
      if (codeKeys(...kids(one, 'value')).length === 0) indication(out, one, id, true)
      const isDiagnosis = act.local === 'act' && !isNegated(one)
      const inReason = relations(node, 'RSON').some((relation) => kids(relation).includes(one))
      for (const key of codeKeys(...kids(one, 'value'))) {
        const ways = [`diagnosis ${id} ${key}`, `indication ${id} ${key}`, `code problem ${key}`]
        out.put('detail', one.path, ways, free || !(isDiagnosis || inReason))
      }
    }
  }
}

/** An indication that stands alone (22.4.19 in Procedure Indications): why something was done. */
export function reason(out, node) {
  if (codeKeys(...kids(node, 'value')).length > 0) finding(out, node)
}

/** Goal Observation (22.4.121): the question, and its target. */
export function goal(out, node) {
  const { id, free } = tell(out, node, ['activity', 'observation'], kids(node, 'code'))
  for (const value of kids(node, 'value')) {
    const found = collector(out.section, out.kind, out.document)
    valueFacts(found, node.path, id, value, free)
    for (const fact of found.facts)
      out.put(
        fact.cat,
        fact.path,
        [...fact.keys, ...codeKeys(value).map((key) => `code activity ${key}`)],
        fact.optional,
      )
  }
  nestedObservations(out, node, id)
}

/** Things to be done: planned act, observation, procedure, intervention, instruction (22.4.39, 41, 44, 131, 146, 20). */
export function planned(out, node) {
  // An act that only points to a document outside says nothing of its own.
  const points = kids(node, 'reference').some((one) => kid(one, 'externalDocument'))
  const { id, free } = tell(out, node, ['activity', 'observation'], kids(node, 'code'), { optional: points })
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free)
  detail(out, node.path, 'site', id, kids(node, 'targetSiteCode'), true)
  detail(out, node.path, 'method', id, kids(node, 'methodCode'), true)
  nestedObservations(out, node, id)
}

/** Planned supply (22.4.43): a medicine or a device. */
export function plannedSupply(out, node) {
  const codes = [
    ...productsOf(node).flatMap(materialCodes),
    ...kids(node, 'participant').flatMap((part) => every(part, 'participantRole', 'playingDevice', 'code')),
  ]
  const classes = ['device', 'activity', 'medication', 'immunization']
  const { id, free } = tell(out, node, classes, codes.length > 0 ? codes : kids(node, 'code'))
  const quantity = quantityOf(kid(node, 'quantity'))
  if (quantity !== undefined)
    out.put('value', node.path, [`supply ${id} ${quantity}`, `quantity ${id} ${quantity}`], free)
}
