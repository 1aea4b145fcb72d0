/** Facts of allergies, problems and the family history. */
import { moment } from './codes.mjs'
import {
  authorFacts,
  codeKeys,
  detail,
  has,
  hasWords,
  isAge,
  isNegated,
  isSeverity,
  isStatus,
  quantityOf,
  related,
  tell,
  whenFacts,
} from './facts.mjs'
import { roots } from './rules.mjs'
import { conditionStatus } from './status.mjs'
import { attr, down, every, kid, kids, words } from './tree.mjs'

/** Concern acts hold observations; an observation alone is its own. Known by template, else by having a subject. */
function observationsOf(node, templates, isSubject) {
  if (node.local === 'observation') return [[node, []]]
  const inside = related(node).filter((one) => one.local === 'observation')
  const templated = inside.filter((one) => has(one, templates))
  return (templated.length > 0 ? templated : inside.filter(isSubject)).map((one) => [one, [node]])
}

/** Allergy - Intolerance Observation (22.4.7; CCD R1 1.18; IHE 4.6): substance, kind, reactions, severity, criticality. */
export function allergy(out, node) {
  const subject = (one) =>
    kid(one, 'participant') !== undefined || (kid(one, 'value') && !isStatus(one) && !isSeverity(one))
  for (const [one, around] of observationsOf(node, roots.allergyObservation, subject)) {
    const agents = kids(one, 'participant')
      .filter((part) => ['CSM', undefined].includes(attr(part, 'typeCode')))
      .map((part) => down(part, 'participantRole', 'playingEntity'))
      .filter((entity) => entity !== undefined)
    const substances = agents.map((entity) => kid(entity, 'code')).filter((code) => code !== undefined)
    const value = kid(one, 'value')
    const named = agents.some(
      (entity) => words(kid(entity, 'name')) !== '' || hasWords({ kids: [] }, kid(entity, 'code')),
    )
    if (codeKeys(...substances).length === 0 && !named) {
      // Without an agent the value is all there is: the substance, or the kind that is denied.
      const { free } = tell(out, one, ['allergy'], [], { around, optional: true })
      for (const key of codeKeys(value))
        out.put(
          'code',
          one.path,
          [`code allergy ${key}`, `kind ~ ${key}`, `kind ${key} ${key}`],
          free && attr(one, 'nullFlavor') !== undefined,
        )
      continue
    }
    const { id, free } = tell(out, one, ['allergy'], substances, { around })
    conditionStatus(out, one, around, id, free)
    for (const key of codeKeys(value)) out.put('detail', one.path, [`kind ${id} ${key}`, `code allergy ${key}`], free)
    for (const inner of related(one)) {
      if (inner.local !== 'observation') continue
      if (isSeverity(inner)) detail(out, inner.path, 'severity', id, kids(inner, 'value'), free)
      else if (has(inner, roots.criticality)) detail(out, inner.path, 'criticality', id, kids(inner, 'value'), free)
      else if (has(inner, roots.reaction)) {
        const absent = isNegated(inner)
        detail(out, inner.path, 'reaction', id, kids(inner, 'value'), free || absent)
        for (const grade of related(inner).filter(isSeverity))
          detail(out, grade.path, 'reaction-severity', id, kids(grade, 'value'), free || absent)
      }
    }
  }
}

/** Problem Observation (22.4.4; CCD R1 1.28; IHE 4.5): value; severity, sites, age at onset. */
export function problem(out, node, outer = []) {
  const subject = (one) => kid(one, 'value') !== undefined && !isStatus(one) && !isSeverity(one) && !has(one, roots.age)
  for (const [one, around] of observationsOf(node, roots.problemObservation, subject)) {
    if (has(one, roots.allergyObservation) && !has(one, roots.problemObservation)) {
      allergy(out, one)
      continue
    }
    const { id, free } = tell(out, one, ['problem'], kids(one, 'value'), { around: [...around, ...outer] })
    conditionStatus(out, one, [...around, ...outer], id, free)
    detail(out, one.path, 'kind', id, kids(one, 'code'), true)
    detail(out, one.path, 'site', id, kids(one, 'targetSiteCode'), free)
    for (const inner of related(one)) {
      if (isSeverity(inner)) detail(out, inner.path, 'severity', id, kids(inner, 'value'), free)
      if (isAge(inner)) {
        const age = quantityOf(kid(inner, 'value'))
        if (age !== undefined) out.put('value', inner.path, [`age ${id} ${age}`], free)
      }
    }
  }
}

/** Family History Organizer (22.4.45; CCD R1 1.23; C83.18): the relative, and each condition with its age. */
export function family(out, node) {
  const relative = down(node, 'subject', 'relatedSubject')
  const relation = kid(relative, 'code')
  const id = codeKeys(relation)[0] ?? '~'
  for (const key of codeKeys(relation)) out.put('code', node.path, [`code family ${key}`])
  const birth = moment(attr(down(relative, 'subject', 'birthTime'), 'value'))
  if (birth !== undefined) out.put('date', node.path, [`born ${id} ${birth}`])
  detail(out, node.path, 'gender', id, every(relative, 'subject', 'administrativeGenderCode'))
  const observations =
    node.local === 'observation' ? [node] : kids(node, 'component').flatMap((one) => kids(one, 'observation'))
  for (const one of observations) {
    const free = attr(one, 'nullFlavor') !== undefined || attr(node, 'nullFlavor') !== undefined
    for (const key of codeKeys(...kids(one, 'value'))) {
      out.put('code', one.path, [`condition ${key}`], free)
      out.put('negation', one.path, [`relative-negated ${key} ${isNegated(one) || isNegated(node)}`], free)
    }
    const first = codeKeys(...kids(one, 'value'))[0] ?? '~'
    for (const time of kids(one, 'effectiveTime')) {
      whenFacts(out, one.path, first, time, free || first === '~')
      whenFacts(out, one.path, id, time, true)
    }
    for (const inner of related(one))
      if (isAge(inner)) {
        const age = quantityOf(kid(inner, 'value'))
        if (age !== undefined) out.put('value', inner.path, [`age ${first} ${age}`], free)
      }
  }
  for (const key of codeKeys(relation)) {
    out.put('negation', node.path, [`negated ${key} false`, `negated ${key} true`], true)
    out.put('negation', node.path, [`negated ${key} true`], true)
    out.put('intent', node.path, [`intent ${key} performed`], true)
    for (const time of kids(node, 'effectiveTime')) whenFacts(out, node.path, key, time, true)
  }
  authorFacts(out, node, true)
}
