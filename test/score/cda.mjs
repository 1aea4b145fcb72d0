/**
 * The facts of a CDA document, taken from its tree by the rules of rules.mjs. A fact has alternatives where the standard
 * leaves a choice; `optional` facts may be told or not. Each stands under its section's path.
 */
import { moment, nameKey, systemName, tidy } from './codes.mjs'
import { kindOfSection, roots, ruleOf } from './rules.mjs'
import { attr, down, elements, every, extra, kid, kids, templatesOf, walk, words } from './tree.mjs'

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
const has = (node, list) => templatesOf(node).some((root) => list.includes(root))

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

/** Elements of a coded value: itself and its translations at any depth, those that have a code and no null flavor. */
function coded(node) {
  if (node === undefined) return []
  const own = attr(node, 'code') !== undefined && attr(node, 'nullFlavor') === undefined ? [node] : []
  return [...own, ...kids(node, 'translation').flatMap(coded)]
}

const keyOf = (node) => `${systemName(attr(node, 'codeSystem') ?? attr(node, 'codeSystemName'))}|${attr(node, 'code')}`
export const codeKeys = (...nodes) => [...new Set(nodes.flatMap(coded).map(keyOf))]

/** Whether a person or a program could say what the statement is about, without any code. */
function hasWords(node, ...concepts) {
  const spoken = (one) =>
    one !== undefined &&
    (attr(one, 'displayName') !== undefined ||
      words(one) !== '' ||
      [...walk(one)].some((inner) => inner.local === 'reference' && attr(inner, 'value') !== undefined))
  return concepts.some(spoken) || spoken(kid(node, 'text'))
}

const plannedMoods = ['INT', 'RQO', 'PRMS', 'PRP', 'ARQ', 'APT', 'SLOT', 'OPT']

/** Alternatives for the intent of a statement (HL7 v3 ActMood). */
function intents(node) {
  const mood = attr(node, 'moodCode') ?? 'EVN'
  if (mood === 'GOL') return ['goal']
  if (plannedMoods.includes(mood)) return ['planned', 'ordered']
  return mood === 'EVN' ? ['performed'] : ['performed', 'planned', 'ordered', 'goal']
}

export const isNegated = (node) => ['true', '1'].includes(attr(node, 'negationInd') ?? '')
export const isPlanned = (node) => plannedMoods.includes(attr(node, 'moodCode') ?? '')

/** Collects the facts of one section. */
function collector(section, kind, document) {
  const facts = []
  const put = (cat, path, alternatives, optional = false) => {
    const keys = [...new Set(alternatives)]
    if (keys.length > 0) facts.push({ cat, path, keys, optional })
  }
  return { section, kind, document, facts, put }
}

/** Everything that a statement says of itself: codes under one of `classes`, dates, negation, intent, authors. */
function tell(out, node, classes, concepts, { around = [], times, optional = false, soft = [] } = {}) {
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

function whenFacts(out, path, id, time, optional) {
  const value = moment(attr(time, 'value'))
  if (value !== undefined) out.put('date', path, [`date ${id} value ${value}`], optional)
  for (const bound of ['low', 'high', 'center']) {
    const at = moment(attr(kid(time, bound), 'value'))
    const word = bound === 'center' ? 'value' : bound
    if (at !== undefined) out.put('date', path, [`date ${id} ${word} ${at}`], optional || bound === 'center')
  }
}

/** Authors conduct from the document to its sections and statements until another is named (CDA R2 §4.4). */
function authorFacts(out, node, optional) {
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

const idKey = (id) => `${attr(id, 'root')} ${attr(id, 'extension')}`.toLowerCase()

function namesOf(assigned) {
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
function valueFacts(out, path, id, value, optional, role = 'value') {
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

const relations = (node, type) =>
  kids(node, 'entryRelationship').filter((one) => type === undefined || attr(one, 'typeCode') === type)
const related = (node, type) => relations(node, type).flatMap((one) => kids(one, ...statementNames))

function detail(out, path, role, id, nodes, optional = false) {
  for (const key of codeKeys(...nodes)) out.put('detail', path, [`${role} ${id} ${key}`], optional)
}

const isSeverity = (node) => has(node, roots.severity) || attr(kid(node, 'code'), 'code') === 'SEV'
const isAge = (node) => has(node, roots.age) || attr(kid(node, 'code'), 'code') === '445518008'
const isStatus = (node) => has(node, roots.status) || attr(kid(node, 'code'), 'code') === '33999-4'

/** What a statusCode may be folded to (HL7 v3 ActStatus). */
const foldsOfAct = {
  active: ['active'],
  completed: ['completed'],
  aborted: ['cancelled'],
  cancelled: ['cancelled'],
  nullified: ['cancelled'],
  suspended: ['inactive'],
  held: ['inactive'],
  new: ['planned'],
}

/** What the status observation of a problem or an allergy may be folded to (SNOMED CT; C-CDA Problem Status). */
const foldsOfValue = {
  55561003: ['active'],
  73425007: ['inactive'],
  413322009: ['resolved'],
  246455001: ['active'],
  263855007: ['active'],
  277022003: ['inactive', 'resolved'],
}

function statusFacts(out, node, id, folds, optional) {
  if (id !== '~' && folds !== undefined)
    out.put(
      'status',
      node.path,
      folds.map((one) => `status ${id} ${one}`),
      optional,
    )
}

/**
 * Status of a problem or an allergy: what its status observation says, else that its time has ended, else whether the
 * concern is tracked; the observation's own statusCode is always completed (C-CDA Problem Concern Act, 22.4.3).
 */
function conditionStatus(out, node, around, id, optional) {
  const stated = [node, ...around].flatMap((one) => related(one)).find(isStatus)
  const code = attr(kid(stated, 'value'), 'code')
  const high = kid(kid(node, 'effectiveTime'), 'high')
  const act = attr(kid(around[0], 'statusCode'), 'code')
  const ended = high && (moment(attr(high, 'value')) !== undefined || attr(high, 'nullFlavor') === 'UNK')
  const tracked = {
    active: ['active'],
    completed: ['inactive', 'resolved', 'completed'],
    suspended: ['inactive'],
    aborted: ['inactive', 'cancelled'],
  }
  if (stated) statusFacts(out, node, id, foldsOfValue[code], optional)
  else if (ended) statusFacts(out, node, id, ['resolved', 'inactive'], optional)
  else if (act !== undefined) statusFacts(out, node, id, tracked[act], optional)
}

/** Status of something done, given or planned: its statusCode, unless a status observation says more. */
function actStatus(out, node, id, optional) {
  const folds = foldsOfAct[attr(kid(node, 'statusCode'), 'code')]
  if (folds === undefined || related(node).some(isStatus)) return
  const open = isPlanned(node) && !['completed', 'cancelled'].includes(folds[0])
  statusFacts(out, node, id, open ? ['planned', ...folds] : folds, optional)
}

// ---- one function a rule ---------------------------------------------------------------------------------------------

/** Concern acts hold observations; an observation alone is its own. Known by template, else by having a subject. */
function observationsOf(node, templates, isSubject) {
  if (node.local === 'observation') return [[node, []]]
  const inside = related(node).filter((one) => one.local === 'observation')
  const templated = inside.filter((one) => has(one, templates))
  return (templated.length > 0 ? templated : inside.filter(isSubject)).map((one) => [one, [node]])
}

/** Allergy - Intolerance Observation (22.4.7; CCD R1 1.18; IHE 4.6): substance, kind, reactions, severity, criticality. */
function allergy(out, node) {
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
function problem(out, node, outer = []) {
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

const productsOf = (node) =>
  [...kids(node, 'consumable'), ...kids(node, 'product')].flatMap((one) => kids(one, 'manufacturedProduct'))
const materialCodes = (product) =>
  ['manufacturedMaterial', 'manufacturedLabeledDrug'].flatMap((name) => every(product, name, 'code'))

function doseFacts(out, node, id, free) {
  for (const [name, role] of [
    ['doseQuantity', 'dose'],
    ['rateQuantity', 'rate'],
  ]) {
    for (const one of kids(node, name)) {
      const quantity = quantityOf(one)
      if (quantity !== undefined) out.put('dose', one.path, [`${role} ${id} ${quantity}`], free)
      for (const bound of ['low', 'high', 'center']) {
        const edge = quantityOf(kid(one, bound))
        if (edge !== undefined)
          out.put('dose', one.path, [`${role} ${id} ${bound} ${edge}`, `${role} ${id} ${edge}`], free)
      }
    }
  }
  for (const one of kids(node, 'maxDoseQuantity'))
    for (const part of ['numerator', 'denominator']) {
      const quantity = quantityOf(kid(one, part))
      if (quantity !== undefined) out.put('dose', one.path, [`max ${id} ${part} ${quantity}`], free)
    }
  detail(out, node.path, 'route', id, kids(node, 'routeCode'), free)
  detail(out, node.path, 'site', id, kids(node, 'approachSiteCode'), free)
  detail(out, node.path, 'form', id, kids(node, 'administrationUnitCode'), true)
}

/** Medication Activity (22.4.16, planned 22.4.42; CCD R1 1.24; IHE 4.7): product, dose, rate, route, site, times by type. */
function medication(out, node, around = []) {
  const times = kids(node, 'effectiveTime').filter((one) => !isRepeat(one))
  const products = productsOf(node)
  const { id, free } = tell(out, node, ['medication'], products.flatMap(materialCodes), { times, around })
  actStatus(out, node, id, free)
  for (const one of kids(node, 'effectiveTime').filter(isRepeat)) {
    const period = kid(one, 'period')
    const [every, least, most] = [period, kid(period, 'low'), kid(period, 'high')].map(quantityOf)
    if (every !== undefined) out.put('value', one.path, [`every ${id} ${every}`], free)
    if (least !== undefined) out.put('value', one.path, [`every ${id} ${least}`], free)
    if (most !== undefined) out.put('value', one.path, [`every-high ${id} ${most}`], free)
    const event = attr(kid(one, 'event'), 'code')
    if (event !== undefined) out.put('detail', one.path, [`event ${id} ${event}`], free)
  }
  doseFacts(out, node, id, free)
  for (const relation of relations(node, 'RSON'))
    for (const one of kids(relation, 'observation')) indication(out, one, id, free)
  for (const one of related(node).filter((inner) => inner.local === 'supply')) {
    const quantity = quantityOf(kid(one, 'quantity'))
    if (quantity !== undefined) out.put('value', one.path, [`supply ${id} ${quantity}`], free)
    for (const fact of productsOf(one).flatMap(materialCodes)) detail(out, one.path, 'supplied', id, [fact], true)
  }
  // A tapered or conditional dose is another administration inside this one; whether it is told apart is left open.
  for (const one of related(node).filter((inner) => inner.local === 'substanceAdministration')) {
    const inner = collector(out.section, out.kind, out.document)
    medication(inner, one, [node])
    for (const fact of inner.facts) out.put(fact.cat, fact.path, fact.keys, true)
  }
}

/** Indication (22.4.19): its value; where it has none, its code. */
function indication(out, node, id, free) {
  // How urgent it is says nothing of why (Priority Preference, 22.4.143).
  if (has(node, roots.priority)) return
  const values = kids(node, 'value')
  detail(out, node.path, 'indication', id, values, free)
  if (codeKeys(...values).length === 0) detail(out, node.path, 'indication', id, kids(node, 'code'), true)
}

const isRepeat = (time) =>
  ['PIVL_TS', 'EIVL_TS', 'SXPR_TS'].includes(attr(time, 'xsi:type') ?? '') || kid(time, 'period') || kid(time, 'event')

/** Discharge and admission medication acts, and organizers, hold medications. */
function medications(out, node) {
  for (const relation of kids(node, 'entryRelationship', 'component'))
    for (const one of kids(relation, 'substanceAdministration')) medication(out, one)
}

/** Immunization Activity (22.4.52; C83.13; IHE 4.12): vaccine, lot, maker, dose, route, site, why not given. */
function immunization(out, node) {
  const products = productsOf(node)
  const { id, free } = tell(out, node, ['immunization'], products.flatMap(materialCodes))
  actStatus(out, node, id, free)
  doseFacts(out, node, id, free)
  for (const product of products) {
    const lot = words(down(product, 'manufacturedMaterial', 'lotNumberText'))
    if (lot !== '') out.put('detail', product.path, [`lot ${id} ${lot.toLowerCase()}`], free)
    const maker = words(down(product, 'manufacturerOrganization', 'name'))
    if (maker !== '') out.put('detail', product.path, [`maker ${id} ${tidy(maker).toLowerCase()}`], free)
  }
  for (const inner of related(node))
    if (has(inner, roots.refusal)) detail(out, inner.path, 'refusal', id, kids(inner, 'code'), free)
  // C83 tells why in any reason whose code is one of its refusal reasons or of HL7's act reasons.
  for (const inner of relations(node, 'RSON').flatMap((relation) => [...walk(relation)]))
    for (const key of codeKeys(inner))
      if (/^v3-ActReason|11\.19725/.test(key)) out.put('detail', inner.path, [`refusal ${id} ${key}`], true)
}

/** Organizers are walked; each observation is a fact with its value, interpretation and ranges (22.4.1/2, 22.4.26/27). */
function observation(out, node, outer = undefined) {
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
function finding(out, node, { around = [], times = kids(node, 'effectiveTime'), over = [] } = {}) {
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
function nestedObservations(out, node, id) {
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
function functional(out, node, outer) {
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

/** Procedure Activity in its three shapes (22.4.12, 13, 14): code, sites, method, devices, indications. */
function procedure(out, node, optional = false) {
  const { id, free } = tell(out, node, ['activity'], kids(node, 'code'), { optional })
  actStatus(out, node, id, free)
  detail(out, node.path, 'site', id, kids(node, 'targetSiteCode'), free)
  detail(out, node.path, 'method', id, kids(node, 'methodCode'), free)
  detail(out, node.path, 'approach', id, kids(node, 'approachSiteCode'), true)
  for (const part of kids(node, 'participant')) {
    deviceAsides(out, node, '~')
    const codes = every(part, 'participantRole', 'playingDevice', 'code')
    for (const key of codeKeys(...codes)) {
      out.put('detail', part.path, [`device ${id} ${key}`, `code device ${key}`], free)
      deviceAsides(out, node, key)
    }
  }
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free || node.local !== 'observation')
  for (const relation of relations(node, 'RSON'))
    for (const one of kids(relation, 'observation')) indication(out, one, id, free)
}

/** A device that an act put in may be an item beside the act, with the act's time. */
function deviceAsides(out, node, key) {
  for (const time of kids(node, 'effectiveTime')) whenFacts(out, node.path, key, time, true)
  out.put('negation', node.path, [`negated ${key} ${isNegated(node)}`], true)
  out.put(
    'intent',
    node.path,
    intents(node).map((one) => `intent ${key} ${one}`),
    true,
  )
}

/** Encounter Activity (22.4.49; C83.16; CCD R1 1.21): type, time, diagnoses, disposition. */
function encounter(out, node) {
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

/** Family History Organizer (22.4.45; CCD R1 1.23; C83.18): the relative, and each condition with its age. */
function family(out, node) {
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

/** Coverage Activity with its Policy Activities (22.4.60, 22.4.61; CCD R1 1.20, 1.26): kind of policy, member, group, payer. */
function coverage(out, node) {
  const inside = relations(node).flatMap((one) => kids(one, 'act'))
  const policies = inside.filter((one) => has(one, roots.policy))
  const chosen = policies.length > 0 ? policies : has(node, roots.policy) || inside.length === 0 ? [node] : inside
  for (const one of chosen) {
    const { id, free } = tell(out, one, ['insurance'], kids(one, 'code'), {
      optional: attr(node, 'nullFlavor') !== undefined,
    })
    for (const part of kids(one, 'participant').filter((part) => attr(part, 'typeCode') === 'COV'))
      for (const number of kids(kid(part, 'participantRole'), 'id')) {
        const member = attr(number, 'extension')
        if (member !== undefined) out.put('detail', part.path, [`member ${member}`, `group ${member}`], free)
      }
    for (const performer of kids(one, 'performer')) {
      const payer = words(down(performer, 'assignedEntity', 'representedOrganization', 'name'))
      const code = attr(down(performer, 'assignedEntity', 'code'), 'code')
      if (payer !== '' && code !== 'GUAR') out.put('detail', performer.path, [`payer ${nameKey(payer)}`], free)
    }
    detail(out, one.path, 'kind', id, [], true)
  }
  // The act around them says only that these are the sources of payment.
  const aside = collector(out.section, out.kind, out.document)
  tell(aside, node, ['insurance'], kids(node, 'code'), { optional: true })
  for (const fact of aside.facts) out.put(fact.cat, fact.path, fact.keys, true)
}

/** Advance Directive Observation (22.4.48; CCD R1 1.17; C83.12), alone or in its organizer. */
function directive(out, node) {
  if (node.local === 'organizer') {
    for (const one of kids(node, 'component').flatMap((part) => kids(part, 'observation'))) directive(out, one)
    tell(out, node, ['directive'], kids(node, 'code'), { optional: true })
    return
  }
  const { id, free } = tell(out, node, ['directive'], kids(node, 'code'))
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free)
}

/** Non-Medicinal Supply Activity (22.4.50; CCD R1 1.34): the product instance. */
function device(out, node) {
  const parts = kids(node, 'participant')
  const codes = [
    ...parts.flatMap((part) => every(part, 'participantRole', 'playingDevice', 'code')),
    ...productsOf(node).flatMap(materialCodes),
  ]
  const keys = codeKeys(...codes)
  const { id, free } = tell(out, node, ['device'], keys.length > 0 ? codes : kids(node, 'code'))
  const quantity = quantityOf(kid(node, 'quantity'))
  if (quantity !== undefined)
    out.put('value', node.path, [`quantity ${id} ${quantity}`, `supply ${id} ${quantity}`], free)
}

/** Medical Equipment Organizer (22.4.135): supplies and procedures. */
function devices(out, node) {
  detail(out, node.path, 'panel', '', kids(node, 'code'), true)
  tell(out, node, ['device', 'activity'], kids(node, 'code'), { optional: true })
  for (const component of kids(node, 'component')) {
    for (const one of kids(component, 'supply')) device(out, one)
    for (const one of kids(component, 'procedure')) procedure(out, one)
  }
}

/** An indication that stands alone (22.4.19 in Procedure Indications): why something was done. */
function reason(out, node) {
  if (codeKeys(...kids(node, 'value')).length > 0) finding(out, node)
}

/** Goal Observation (22.4.121): the question, and its target. */
function goal(out, node) {
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
function planned(out, node) {
  // An act that only points to a document outside says nothing of its own.
  const points = kids(node, 'reference').some((one) => kid(one, 'externalDocument'))
  const { id, free } = tell(out, node, ['activity', 'observation'], kids(node, 'code'), { optional: points })
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free)
  detail(out, node.path, 'site', id, kids(node, 'targetSiteCode'), true)
  detail(out, node.path, 'method', id, kids(node, 'methodCode'), true)
  nestedObservations(out, node, id)
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
function aside(out, node) {
  const { id } = tell(out, node, ['activity', 'observation', 'problem'], kids(node, 'code'), { optional: true })
  for (const value of kids(node, 'value')) {
    valueFacts(out, node.path, id, value, true)
    tell(out, node, ['problem', 'observation'], [value], { optional: true })
  }
}

/** Planned supply (22.4.43): a medicine or a device. */
function plannedSupply(out, node) {
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

/** Care Team Organizer (22.4.500): the names of its members (22.4.500.1). */
function careTeam(out, node) {
  for (const key of codeKeys(...kids(node, 'code'))) out.put('code', node.path, [`code care-team ${key}`])
  tell(out, node, ['care-team'], kids(node, 'code'), { optional: true })
  for (const act of kids(node, 'component').flatMap((part) => kids(part, 'act')))
    for (const performer of kids(act, 'performer')) {
      const person = down(performer, 'assignedEntity', 'assignedPerson', 'name')
      const name =
        nameKey([...kids(person, 'given'), ...kids(person, 'family')].map(words).join(' ')) || nameKey(words(person))
      if (name !== '') out.put('detail', act.path, [`member ${name}`, `member ${nameKey(words(person))}`])
    }
}

/** Note Activity (22.4.202): the kind of note in code or its translations. */
function note(out, node) {
  tell(out, node, ['note'], kids(node, 'code'))
}

/** A comment that stands alone may be a note. */
function comment(out, node) {
  tell(out, node, ['note'], kids(node, 'code'), { optional: true })
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

// ---- header ----------------------------------------------------------------------------------------------------------

/** Demographics of the first recordTarget (US Realm Header 22.1.1). */
function header(document) {
  const out = collector(undefined, 'header', document)
  const role = down(document.root, 'recordTarget', 'patientRole')
  const patient = kid(role, 'patient')
  if (role === undefined) return out
  const put = (name, text, optional = false) => {
    if (text !== undefined && text !== '')
      out.put('patient', role.path, [`patient ${name} ${tidy(text).toLowerCase()}`], optional)
  }
  for (const name of kids(patient, 'name')) {
    for (const given of kids(name, 'given')) put('given', words(given))
    for (const last of kids(name, 'family')) put('family', words(last))
  }
  const birth = moment(attr(kid(patient, 'birthTime'), 'value'))
  if (birth !== undefined) out.put('date', role.path, [`patient born ${birth}`])
  for (const [name, nodes] of [
    ['gender', kids(patient, 'administrativeGenderCode')],
    ['marital', kids(patient, 'maritalStatusCode')],
    ['religion', kids(patient, 'religiousAffiliationCode')],
    [
      'race',
      [
        ...kids(patient, 'raceCode'),
        ...elements(patient).filter((one) => one.ns !== patient.ns && one.local === 'raceCode'),
      ],
    ],
    [
      'ethnicity',
      [
        ...kids(patient, 'ethnicGroupCode'),
        ...elements(patient).filter((one) => one.ns !== patient.ns && one.local === 'ethnicGroupCode'),
      ],
    ],
  ])
    for (const key of codeKeys(...nodes)) put(name, key)
  for (const language of kids(patient, 'languageCommunication'))
    put('language', attr(kid(language, 'languageCode'), 'code'))
  for (const address of kids(role, 'addr')) {
    const loose = address.kids.filter((one) => typeof one === 'string').join(' ')
    put('line', loose, true)
    for (const [name, part] of [
      ['line', 'streetAddressLine'],
      ['city', 'city'],
      ['state', 'state'],
      ['zip', 'postalCode'],
      ['country', 'country'],
    ])
      for (const one of kids(address, part)) put(name, words(one))
  }
  for (const one of kids(role, 'telecom')) if (attr(one, 'nullFlavor') === undefined) put('telecom', attr(one, 'value'))
  for (const one of kids(role, 'id'))
    if (attr(one, 'nullFlavor') === undefined) put('id', `${attr(one, 'root') ?? ''} ${attr(one, 'extension') ?? ''}`)
  encompassing(out, document)
  careGivers(out, document)
  return out
}

/** Who cared for the patient (documentationOf/serviceEvent/performer): the header's care team. */
function careGivers(out, document) {
  for (const event of every(document.root, 'documentationOf', 'serviceEvent')) {
    const performers = kids(event, 'performer')
    for (const performer of performers) {
      const assigned = kid(performer, 'assignedEntity')
      const names = namesOf(assigned)
      const company = words(down(assigned, 'representedOrganization', 'name'))
      if (names.length > 0)
        out.put(
          'detail',
          performer.path,
          names.map((name) => `member ${name}`),
        )
      if (company !== '') out.put('detail', performer.path, [`member ${nameKey(company)}`], true)
    }
    if (performers.length === 0) continue
    for (const time of kids(event, 'effectiveTime')) whenFacts(out, event.path, '~', time, true)
    authorFacts(out, event, true)
  }
}

/**
 * The encounter that the document is about (componentOf). One that an entry describes too, by id, stands with that entry;
 * one without a code says only when.
 */
function encompassing(out, document) {
  const node = down(document.root, 'componentOf', 'encompassingEncounter')
  if (node === undefined) return
  const ids = new Set(kids(node, 'id').map(idKey))
  const twin = [...walk(document.root)].some(
    (one) => one.local === 'encounter' && kids(one, 'id').some((id) => ids.has(idKey(id))),
  )
  const keys = codeKeys(kid(node, 'code'))
  const { id, free } = tell(out, node, ['encounter'], kids(node, 'code'), { optional: twin || keys.length === 0 })
  detail(out, node.path, 'disposition', id, kids(node, 'dischargeDispositionCode'), free)
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
