import {
  authorFacts,
  codeKeys,
  collector,
  detail,
  has,
  intents,
  isAge,
  isNegated,
  isStatus,
  quantityOf,
  related,
  tell,
  valueFacts,
  whenFacts,
} from './facts.mjs'
import { device, procedure } from './procedures.mjs'
import { roots } from './rules.mjs'
import { attr, every, kid, kids } from './tree.mjs'

/** Organizers are walked; each observation is a fact with its value, interpretation and ranges (22.4.1/2, 22.4.26/27). */
export function observation(out, node, outer = undefined) {
  if (node.local === 'organizer') {
    detail(out, node.path, 'panel', '', kids(node, 'code'), true)
    for (const component of kids(node, 'component'))
      for (const one of kids(component)) {
        if (one.local === 'observation' || one.local === 'organizer') observation(out, one, node)
        else if (one.local === 'procedure') procedure(out, one, true)
      }
    return
  }
  // Security labels say who may see a statement; they are none themselves (HL7 Data Segmentation for Privacy).
  if (/^SEC\w+OBS$/.test(attr(kid(node, 'code'), 'code') ?? '')) return
  const own = kids(node, 'effectiveTime').filter((time) => attr(time, 'nullFlavor') === undefined)
  const times = own.length > 0 || outer === undefined ? own : kids(outer, 'effectiveTime')
  const around = outer ? [outer] : []
  if (asksNothing(node) && codeKeys(...kids(node, 'value')).length > 0) {
    finding(out, node, { around, times })
    return
  }
  const { id, free } = tell(out, node, ['observation'], kids(node, 'code'), { times, around })
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free)
  detail(out, node.path, 'interpretation', id, kids(node, 'interpretationCode'), free)
  detail(out, node.path, 'method', id, kids(node, 'methodCode'), free)
  detail(out, node.path, 'site', id, kids(node, 'targetSiteCode'), free)
  for (const value of every(node, 'referenceRange', 'observationRange', 'value'))
    for (const bound of ['low', 'high']) {
      const edge = quantityOf(kid(value, bound))
      const sign = bound === 'low' ? '>' : '<'
      if (edge !== undefined)
        out.put('value', value.path, [`range ${id} ${bound} ${edge}`, `range ${id} ${bound} ${sign}${edge}`], free)
    }
  nestedObservations(out, node, id)
}

const asksNothing = (node) => attr(kid(node, 'code'), 'code') === 'ASSERTION'

/**
 * An observation whose value is the finding and whose code asks nothing (ASSERTION), or little: what is told of it hangs on
 * the question, on the finding, or on neither.
 */
export function finding(out, node, { around = [], times = kids(node, 'effectiveTime'), over = [] } = {}) {
  const questions = codeKeys(...kids(node, 'code'))
  const answers = codeKeys(...kids(node, 'value'))
  const free = [node, ...around].some((one) => attr(one, 'nullFlavor') !== undefined)
  const ids = [questions[0] ?? '~', answers[0] ?? '~', '~', ...over]
  for (const key of questions)
    out.put('code', node.path, [`code observation ${key}`], free || asksNothing(node) || over.length > 0)
  for (const key of answers)
    out.put(
      'code',
      node.path,
      [...ids.map((id) => `value ${id} ${key}`), `code observation ${key}`, `code problem ${key}`],
      free,
    )
  for (const key of questions) for (const id of answers) out.put('detail', node.path, [`kind ${id} ${key}`], true)
  const negated = [node, ...around].some(isNegated)
  const told = ids.map((id) => {
    const facts = collector(out.section, out.kind, out.document)
    for (const time of times) whenFacts(facts, node.path, id, time, free)
    facts.put('negation', node.path, [`negated ${id} ${negated}`], free)
    facts.put(
      'intent',
      node.path,
      intents(node).map((one) => `intent ${id} ${one}`),
      free,
    )
    for (const inner of related(node).filter(isAge)) {
      const age = quantityOf(kid(inner, 'value'))
      if (age !== undefined) facts.put('value', inner.path, [`age ${id} ${age}`], true)
    }
    detail(facts, node.path, 'site', id, kids(node, 'targetSiteCode'), free)
    detail(facts, node.path, 'interpretation', id, kids(node, 'interpretationCode'), free)
    detail(facts, node.path, 'method', id, kids(node, 'methodCode'), free)
    nestedObservations(facts, node, id)
    return facts.facts
  })
  const [first = []] = told
  for (const [at, fact] of first.entries())
    out.put(
      fact.cat,
      fact.path,
      told.flatMap((facts) => facts[at]?.keys ?? []),
      fact.optional,
    )
  authorFacts(out, node, free)
}

/** What an observation holds inside may be its components or items of their own; both are right. */
export function nestedObservations(out, node, id) {
  const answers = []
  for (const inner of related(node).filter(
    (one) => one.local === 'observation' || one.local === 'act' || one.local === 'supply',
  )) {
    const found = collector(out.section, out.kind, out.document)
    if (inner.local === 'observation') {
      // Answers of an assessment scale (22.4.86) are what it was made for.
      const isAnswer = has(inner, roots.answer)
      for (const key of isAnswer ? codeKeys(...kids(inner, 'code'), ...kids(inner, 'value')) : [])
        answers.push({ cat: 'code', path: inner.path, key })
      const own = tell(found, inner, ['observation', 'problem'], kids(inner, 'code'), { optional: true })
      tell(found, inner, ['observation', 'problem'], kids(inner, 'value'), { optional: true })
      for (const value of kids(inner, 'value')) {
        valueFacts(found, inner.path, own.id, value, true)
        for (const key of codeKeys(value))
          found.put('code', inner.path, [`code problem ${key}`, `code observation ${key}`], true)
      }
    }
    if (inner.local === 'supply') device(found, inner)
    else if (inner.local === 'act') procedure(found, inner, true)
    nestedObservations(found, inner, id)
    for (const fact of found.facts) for (const key of fact.keys) out.put(fact.cat, fact.path, [key], true)
  }
  for (const { cat, path, key } of answers) {
    const asked = out.facts.filter((fact) => fact.path === path).flatMap((fact) => fact.keys)
    out.put(cat, path, [
      `code observation ${key}`,
      `value ~ ${key}`,
      ...asked.filter((one) => one.startsWith('value ') && one.endsWith(` ${key}`)),
    ])
  }
}

/** Functional and cognitive statuses: the question, or the finding of a problem-shaped observation (22.4.68, 22.4.73). */
export function functional(out, node, outer) {
  if (node.local === 'organizer') {
    detail(out, node.path, 'panel', '', kids(node, 'code'), true)
    for (const component of kids(node, 'component'))
      for (const one of kids(component, 'observation', 'organizer')) functional(out, one, node)
    return
  }
  if (node.local === 'act') {
    // CCD R1 puts abilities into problem acts.
    for (const one of related(node).filter(
      (inner) => inner.local === 'observation' && kid(inner, 'value') && !isStatus(inner),
    ))
      finding(out, one, { around: [node] })
    return
  }
  const coded = codeKeys(...kids(node, 'value')).length > 0
  if (!coded || asksNothing(node)) observation(out, node, outer)
  else finding(out, node, { around: outer ? [outer] : [] })
}
