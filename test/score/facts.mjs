/** How facts are taken from a CDA statement: codes, dates, negation, intent, authors, values (HL7 v3 datatypes, CDA R2). */
import { moment, nameKey, systemName, tidy } from './codes.mjs'
import { roots } from './rules.mjs'
import { attr, kid, kids, templatesOf, walk, words } from './tree.mjs'

const statementNames = [
  'act',
  'observation',
  'organizer',
  'procedure',
  'encounter',
  'substanceAdministration',
  'supply',
  'observationMedia',
  'regionOfInterest',
]

export const isStatement = (node) => statementNames.includes(node.local)

export const has = (node, list) => templatesOf(node).some((root) => list.includes(root))

/** Elements of a coded value: itself and its translations at any depth, those that have a code and no null flavor. */
export function coded(node) {
  if (node === undefined) return []
  const own = attr(node, 'code') !== undefined && attr(node, 'nullFlavor') === undefined ? [node] : []
  return [...own, ...kids(node, 'translation').flatMap(coded)]
}

const keyOf = (node) => `${systemName(attr(node, 'codeSystem') ?? attr(node, 'codeSystemName'))}|${attr(node, 'code')}`

export const codeKeys = (...nodes) => [...new Set(nodes.flatMap(coded).map(keyOf))]

/** Whether a person or a program could say what the statement is about, without any code. */
export function hasWords(node, ...concepts) {
  const spoken = (one) =>
    one !== undefined &&
    (attr(one, 'displayName') !== undefined ||
      words(one) !== '' ||
      [...walk(one)].some((inner) => inner.local === 'reference' && attr(inner, 'value') !== undefined))
  return concepts.some(spoken) || spoken(kid(node, 'text'))
}

const plannedMoods = ['INT', 'RQO', 'PRMS', 'PRP', 'ARQ', 'APT', 'SLOT', 'OPT']

/** Alternatives for the intent of a statement (HL7 v3 ActMood). */
export function intents(node) {
  const mood = attr(node, 'moodCode') ?? 'EVN'
  if (mood === 'GOL') return ['goal']
  if (plannedMoods.includes(mood)) return ['planned', 'ordered']
  return mood === 'EVN' ? ['performed'] : ['performed', 'planned', 'ordered', 'goal']
}

export const isNegated = (node) => ['true', '1'].includes(attr(node, 'negationInd') ?? '')

export const isPlanned = (node) => plannedMoods.includes(attr(node, 'moodCode') ?? '')

/** Collects the facts of one section. */
export function collector(section, kind, document) {
  const facts = []
  const put = (cat, path, alternatives, optional = false) => {
    const keys = [...new Set(alternatives)]
    if (keys.length > 0) facts.push({ cat, path, keys, optional })
  }
  return { section, kind, document, facts, put }
}

/** Everything that a statement says of itself: codes under one of `classes`, dates, negation, intent, authors. */
export function tell(out, node, classes, concepts, { around = [], times, optional = false, soft = [] } = {}) {
  const own = concepts.filter((one) => one !== undefined)
  const keys = codeKeys(...own)
  const id = keys[0] ?? '~'
  const nullified = [node, ...around].some((one) => attr(one, 'nullFlavor') !== undefined)
  const silent = keys.length === 0 && !hasWords(node, ...own)
  const free = optional || nullified || silent
  for (const key of keys)
    out.put(
      'code',
      node.path,
      classes.map((cls) => `code ${cls} ${key}`),
      free,
    )
  for (const key of codeKeys(...soft))
    out.put(
      'code',
      node.path,
      classes.map((cls) => `code ${cls} ${key}`),
      true,
    )
  for (const time of times ?? kids(node, 'effectiveTime')) whenFacts(out, node.path, id, time, free)
  const negated = [node, ...around].some(isNegated)
  if (id !== '~') out.put('negation', node.path, [`negated ${id} ${negated}`], free)
  if (id !== '~')
    out.put(
      'intent',
      node.path,
      intents(node).map((one) => `intent ${id} ${one}`),
      free,
    )
  authorFacts(out, node, free)
  return { id, free, negated }
}

export function whenFacts(out, path, id, time, optional) {
  const value = moment(attr(time, 'value'))
  if (value !== undefined) out.put('date', path, [`date ${id} value ${value}`], optional)
  for (const bound of ['low', 'high', 'center']) {
    const at = moment(attr(kid(time, bound), 'value'))
    const word = bound === 'center' ? 'value' : bound
    if (at !== undefined) out.put('date', path, [`date ${id} ${word} ${at}`], optional || bound === 'center')
  }
}

/** Authors conduct from the document to its sections and statements until another is named (CDA R2 §4.4). */
export function authorFacts(out, node, optional) {
  let free = optional
  for (let at = node; at !== undefined; at = at.parent) {
    if (!isStatement(at) && at.local !== 'section' && at.local !== 'ClinicalDocument') continue
    const told = kids(at, 'author')
    const named = told.map((one) => authorNames(one, out.document)).filter((one) => one.length > 0)
    for (const names of named) {
      const ways = names.map((name) => `author ${name}`)
      out.put('author', at.path, ways, free)
    }
    if (named.length > 0) return
    // One whom nobody can name hides those further out, or hides nobody: both are right.
    free ||= told.length > 0
  }
}

/**
 * Ways to write one author: given and family, the whole name, the device, else the organization. One that has only an id is
 * described elsewhere in the document under that id (C-CDA Author Participation, 22.4.119).
 */
function authorNames(author, document) {
  const assigned = kid(author, 'assignedAuthor')
  const own = namesOf(assigned)
  if (own.length > 0) return own
  document.describers ??= [...walk(document.root)].filter((one) => /^assigned|^associated/.test(one.local))
  const ids = new Set(
    kids(assigned, 'id')
      .filter((id) => attr(id, 'root') !== undefined)
      .map(idKey),
  )
  const same = document.describers.filter((one) => kids(one, 'id').some((id) => ids.has(idKey(id))))
  return same.map(namesOf).find((names) => names.length > 0) ?? []
}

export const idKey = (id) => `${attr(id, 'root')} ${attr(id, 'extension')}`.toLowerCase()

export function namesOf(assigned) {
  const person = kid(kid(assigned, 'assignedPerson'), 'name')
  const parts = person ? [...kids(person, 'given'), ...kids(person, 'family')] : []
  const device = kid(assigned, 'assignedAuthoringDevice')
  const organization = words(kid(kid(assigned, 'representedOrganization'), 'name'))
  const texts = []
  if (person) texts.push(parts.map(words).join(' '), words(person))
  if (device) {
    const [software, model] = ['softwareName', 'manufacturerModelName'].map((name) => words(kid(device, name)))
    texts.push(software, model, `${software} ${model}`)
  }
  const names = [...new Set(texts.map(nameKey).filter((one) => one !== ''))]
  return names.length > 0 || organization === '' ? names : [nameKey(organization)]
}

/**
 * A number with its unit as written. A unit outside UCUM stands in the words of a translation of a value that is null
 * (HL7 C-CDA examples, units that are not UCUM).
 */
export function quantityOf(node) {
  const value = attr(node, 'value')
  const foreign = kids(node, 'translation').find((one) => attr(one, 'value') !== undefined)
  if (attr(node, 'nullFlavor') !== undefined)
    return foreign && `${attr(foreign, 'value')} ${words(kid(foreign, 'originalText'))}`.trim()
  return value === undefined ? undefined : `${value} ${attr(node, 'unit') ?? ''}`.trim()
}

/** Facts of a value by its form: number with unit, interval, ratio, concept, moment, truth, words. */
export function valueFacts(out, path, id, value, optional, role = 'value') {
  const put = (cat, text) => out.put(cat, path, [`${role} ${id} ${text}`], optional)
  const type = attr(value, 'xsi:type') ?? ''
  // The translation of a quantity names its unit again, which is no code of the finding.
  const keys = /PQ|INT|REAL|MO/.test(type) ? [] : codeKeys(value)
  for (const key of keys) put('code', key)
  if (keys.length > 0 || /^C[DEVSO]$/.test(type)) return
  if (type === 'TS' || type === 'IVL_TS') {
    const at = moment(attr(value, 'value'))
    if (at !== undefined) put('value', `moment ${at}`)
    for (const bound of ['low', 'high']) {
      const edge = moment(attr(kid(value, bound), 'value'))
      if (edge !== undefined) put('value', `${bound} ${edge}`)
    }
    return
  }
  if (type === 'BL') {
    if (attr(value, 'value') !== undefined) put('value', `is ${attr(value, 'value')}`)
    return
  }
  if (kid(value, 'numerator')) {
    for (const part of ['numerator', 'denominator']) {
      const quantity = quantityOf(kid(value, part))
      if (quantity !== undefined) put('value', `${part} ${quantity}`)
    }
    return
  }
  if (kid(value, 'low') || kid(value, 'high')) {
    const [low, high] = ['low', 'high'].map((bound) => quantityOf(kid(value, bound)))
    const inclusive = (bound) => attr(kid(value, bound), 'inclusive') !== 'false'
    if (low && high) {
      put('value', `low ${low}`)
      put('value', `high ${high}`)
    } else if (low)
      out.put(
        'value',
        path,
        [`${role} ${id} ${inclusive('low') ? '>=' : '>'}${low}`, `${role} ${id} low ${low}`],
        optional,
      )
    else if (high)
      out.put(
        'value',
        path,
        [`${role} ${id} ${inclusive('high') ? '<=' : '<'}${high}`, `${role} ${id} high ${high}`],
        optional,
      )
    return
  }
  const quantity = quantityOf(value)
  if (quantity !== undefined) put('value', quantity)
  else if (attr(value, 'nullFlavor') === undefined) {
    const target = attr(kid(value, 'reference'), 'value')?.replace(/^#/, '')
    const told = words(out.document.byId.get(target) ?? value)
    if (told !== '')
      out.put('detail', path, [`${role} ${id} "${tidy(told).toLowerCase()}"`], optional || target !== undefined)
  }
}

export const relations = (node, type) =>
  kids(node, 'entryRelationship').filter((one) => type === undefined || attr(one, 'typeCode') === type)

export const related = (node, type) => relations(node, type).flatMap((one) => kids(one, ...statementNames))

export function detail(out, path, role, id, nodes, optional = false) {
  for (const key of codeKeys(...nodes)) out.put('detail', path, [`${role} ${id} ${key}`], optional)
}

export const isSeverity = (node) => has(node, roots.severity) || attr(kid(node, 'code'), 'code') === 'SEV'

export const isAge = (node) => has(node, roots.age) || attr(kid(node, 'code'), 'code') === '445518008'

export const isStatus = (node) => has(node, roots.status) || attr(kid(node, 'code'), 'code') === '33999-4'
