/**
 * Facts of a CCR (ASTM E2369): every description, code, date and measure of a data object, as sets for each section of its
 * Body. CCR names few codes, so the words of a description count as its codes do.
 */
import { answerMoment, systemName, tidy } from './codes.mjs'
import { outcomesAgainst } from './conservation.mjs'
import { down, every, kid, kids, walk, words } from './tree.mjs'

const kindOfSection = {
  Payers: 'insurance',
  AdvanceDirectives: 'directives',
  Support: 'care-team',
  FunctionalStatus: 'functional',
  Problems: 'problems',
  FamilyHistory: 'family',
  SocialHistory: 'social',
  Alerts: 'allergies',
  Medications: 'medications',
  MedicalEquipment: 'devices',
  Immunizations: 'immunizations',
  VitalSigns: 'vitals',
  Results: 'results',
  Procedures: 'procedures',
  Encounters: 'encounters',
  PlanOfCare: 'plan',
  HealthCareProviders: 'care-team',
}

/** The care records of a document: it alone, or those that an Atom feed wraps. */
const recordsOf = (document) => [...walk(document.root)].filter((one) => one.local === 'ContinuityOfCareRecord')
const bodySections = (record) => kids(kid(record, 'Body')).filter((one) => kindOfSection[one.local] !== undefined)

/** Elements whose Code and Text say what a data object is about. */
const subjects = new Set(['Description', 'ProductName', 'BrandName'])
const graded = new Set(['Severity', 'Route', 'Site', 'Form', 'Type', 'Method', 'Flag'])
/** What stands in these says nothing of the patient: who told it, how it was numbered, how certain the source is. */
const aside = new Set([
  'Source',
  'IDs',
  'InternalCCRLink',
  'Status',
  'CommentID',
  'ReferenceID',
  'Signature',
  'Purpose',
  'Frequency',
])

/** An ISO 8601 moment as facts write it; undefined for other words. */
export function isoMoment(raw) {
  const match = /^(\d{4}(?:-\d{2}(?:-\d{2}(?:T\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?)?)?)?)(Z|[+-]\d{2}:?\d{2})?$/.exec(
    raw.trim(),
  )
  if (match === null) return undefined
  const [, text, zone] = match
  if (zone === undefined) return text
  const minutes = zone === 'Z' ? 0 : Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2))
  return `${text}${zone[0] === '-' && minutes > 0 ? '-' : '+'}${minutes}`
}

const codeOf = (code) => `${systemName(words(kid(code, 'CodingSystem')) || undefined)}|${words(kid(code, 'Value'))}`
const measureOf = (node) => `${words(kid(node, 'Value'))} ${words(down(node, 'Units', 'Unit'))}`.trim()
const said = (text) => tidy(text).toLowerCase()

/** Sections of a CCR with their facts. */
export function ccrFacts(document) {
  const found = [
    { key: 'header', kind: 'header', facts: recordsOf(document).slice(0, 1).flatMap(patientFacts), unjudged: [] },
  ]
  for (const record of recordsOf(document))
    for (const section of bodySections(record)) {
      const facts = []
      const put = (cat, node, key, optional = false) => facts.push({ cat, path: node.path, keys: [key], optional })
      for (const one of kids(section)) visit(one, put, false)
      found.push({ key: section.path, kind: kindOfSection[section.local], section, facts, unjudged: [] })
    }
  return found
}

function visit(node, put, free) {
  for (const one of kids(node)) {
    const { local } = one
    const optional = free || aside.has(local)
    if (subjects.has(local)) {
      for (const code of kids(one, 'Code'))
        if (words(kid(code, 'Value')) !== '') put('code', one, `code ${codeOf(code)}`, optional)
      const text = words(kid(one, 'Text'))
      if (text !== '') put('detail', one, `words ${said(text)}`, optional)
    } else if (graded.has(local)) {
      for (const code of kids(one, 'Code')) put('detail', one, `code ${codeOf(code)}`, optional || local === 'Type')
    }
    if (local === 'InternalCCRLink')
      for (const linked of linkedTo(one))
        for (const code of [...walk(linked)].filter((inner) => inner.local === 'Code'))
          put('code', one, `code ${codeOf(code)}`, true)
    if (local === 'ActorID') for (const actor of actorsOf(one)) told(actor, one, put)
    if (local === 'Normal') for (const edge of edgesOf(one)) put('value', one, `measure ${edge}`, true)
    if (local === 'ApproximateDateTime') {
      const at = certainDate(words(one))
      if (at !== undefined) put('date', one, `date ${at}`, true)
    }
    if (local === 'Code') put('code', one, `code ${codeOf(one)}`, true)
    if (local === 'ExactDateTime') {
      const at = isoMoment(words(one))
      if (at !== undefined) put('date', one, `date ${at}`, optional)
    }
    if (kid(one, 'Value') && local !== 'Code') {
      const measured = /^-?[\d.]+$/.test(words(kid(one, 'Value')))
      const counted = local === 'TestResult' || local === 'Strength' || local === 'Dose' || local === 'Quantity'
      if (measured)
        put(
          local === 'Dose' || local === 'Strength' ? 'dose' : 'value',
          one,
          `measure ${measureOf(one)}`,
          optional || !counted,
        )
    }
    visit(one, put, optional || local === 'FamilyMember')
  }
}

/** What stands elsewhere may be told again where it is linked from. */
function told(linked, link, put) {
  for (const one of walk(linked)) {
    if (one.local === 'Code') put('code', link, `code ${codeOf(one)}`, true)
    const at = one.local === 'ExactDateTime' ? isoMoment(words(one)) : undefined
    if (at !== undefined) put('date', link, `date ${at}`, true)
  }
}

const rootOf = (node) => (node.parent === undefined ? node : rootOf(node.parent))

function actorsOf(link) {
  const root = rootOf(link)
  root.actors ??= [...walk(root)].filter((one) => one.local === 'Actor' && kid(one, 'ActorObjectID'))
  return root.actors.filter((one) => words(kid(one, 'ActorObjectID')) === words(link))
}

/** Bounds of a range that is written in one value: "3.5 - 5.3", "<200". */
export function edgesOf(normal) {
  const unit = words(down(normal, 'Units', 'Unit'))
  return (words(kid(normal, 'Value')).match(/[\d.]+/g) ?? []).map((number) => `${number} ${unit}`.trim())
}

/** A date in American figures that can only be read one way: a day beyond the twelfth, or like the month; a whole year. */
export function certainDate(text) {
  const [, month, day, year] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text) ?? []
  if (year === undefined || Number(month) > 12 || (Number(day) <= 12 && day !== month)) return undefined
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`
}

/** Data objects that a link names; what they say may be told again where they are linked from. */
function linkedTo(link) {
  const root = rootOf(link)
  root.objects ??= [...walk(root)].filter((one) => kid(one, 'CCRDataObjectID'))
  const ids = new Set(kids(link, 'LinkID').map(words))
  return root.objects.filter((one) => ids.has(words(kid(one, 'CCRDataObjectID'))))
}

function patientFacts(record) {
  const id = words(down(record, 'Patient', 'ActorID'))
  const actor = every(record, 'Actors', 'Actor').find((one) => words(kid(one, 'ActorObjectID')) === id)
  const facts = []
  const put = (cat, key, optional = false) => facts.push({ cat, path: actor.path, keys: [key], optional })
  for (const one of every(actor, 'Person', 'Name', 'BirthName'))
    for (const part of kids(one))
      for (const name of ['given', 'family']) put('patient', `patient ${name} ${said(words(part))}`, true)
  for (const one of every(actor, 'Person', 'Name', 'CurrentName')) {
    for (const given of kids(one, 'Given', 'Middle')) put('patient', `patient given ${said(words(given))}`)
    for (const family of kids(one, 'Family')) put('patient', `patient family ${said(words(family))}`)
  }
  const born = isoMoment(words(down(actor, 'Person', 'DateOfBirth', 'ExactDateTime')))
  if (born !== undefined) put('date', `patient born ${born}`)
  for (const one of kids(actor, 'Address'))
    for (const [name, part] of [
      ['city', 'City'],
      ['zip', 'PostalCode'],
    ])
      for (const text of kids(one, part)
        .map(words)
        .filter((text) => text !== ''))
        put('patient', `patient ${name} ${said(text)}`)
  return facts
}

// ---- the reader's side -----------------------------------------------------------------------------------------------

/** Numbers of identifiers, telephones and postal codes are no measures. */
const numbered = new Set(['identifiers', 'memberIdentifiers', 'telecoms', 'addresses'])

function* objects(value, test) {
  if (value === null || typeof value !== 'object') return
  if (!Array.isArray(value) && test(value)) yield value
  for (const [name, inner] of Object.entries(value)) if (!numbered.has(name)) yield* objects(inner, test)
}

const only = (names) => (one) => Object.keys(one).every((key) => names.includes(key))
const isCoding = (one) => typeof one.code === 'string' && only(['system', 'code', 'display', 'sourceSystem'])(one)
const isQuantity = (one) => typeof one.value === 'string' && only(['value', 'unit', 'comparator'])(one)
const isDate = (one) => typeof one.precision === 'string' && typeof one.source === 'string'

const codingKey = (one) => `${systemName(one.sourceSystem ?? one.system)}|${one.code}`

/** Facts of one item of a CCR. */
export function ccrItemFacts(item, patientFactsOf) {
  const { content } = item
  const facts = []
  const put = (cat, key) => facts.push({ cat, key, path: item.provenance.entry })
  if (content.type === 'demographics') {
    wordsOf(content, put)
    return [...facts, ...patientFactsOf(item).filter(({ key }) => /^patient (given|family|born|city|zip)/.test(key))]
  }
  const own = { content: { ...content, timings: [] }, when: item.when, status: item.status }
  for (const one of objects(item, isDate)) put('words', `date ${answerMoment(one)}`)
  for (const one of objects(own, isCoding)) put('code', `code ${codingKey(one)}`)
  for (const one of objects(own, isDate)) put('date', `date ${answerMoment(one)}`)
  for (const one of objects(own, isQuantity))
    put('value', `measure ${one.value}${one.unit === undefined ? '' : ` ${one.unit}`}`)
  wordsOf({ content, notes: item.notes }, put)
  return facts
}

/** Every text of an item, and every amount that is written in one: a scale of doses is told in words. */
function wordsOf(value, put) {
  if (typeof value === 'string') {
    put('words', `words ${said(value)}`)
    for (const [, amount] of value.matchAll(/(?=\b(\d[\d.]* [^\s;,()]+))/g)) put('words', `measure ${amount}`)
  } else if (value !== null && typeof value === 'object') for (const inner of Object.values(value)) wordsOf(inner, put)
}

// ---- safety and conservation -----------------------------------------------------------------------------------------

/** Breaches of safety of a CCR's items. */
export function ccrSafety(document, part) {
  const found = []
  const codes = [...walk(document.root)].filter((one) => one.local === 'Code')
  const pairs = new Set(codes.map(codeOf))
  const values = new Set(codes.map((one) => words(kid(one, 'Value'))))
  const measured = [...walk(document.root)].filter((one) => kid(one, 'Value'))
  const measures = new Set(measured.flatMap((one) => [measureOf(one), ...edgesOf(one)]))
  const moments = new Set([...walk(document.root)].filter((one) => one.local === 'ExactDateTime').map(words))
  const texts = said(words(document.root))
  for (const item of part.items) {
    const { entry } = item.provenance
    const tell = (name, detail) => found.push({ name, path: entry, detail: `${item.content.type}: ${detail}` })
    const node = document.byPath.get(entry)
    if (node === undefined) {
      tell('wrong patient', 'the entry that it names is not there')
      continue
    }
    for (const one of objects(item.content, isCoding)) {
      if (!values.has(one.code)) tell('code invented', one.code)
      else if (!pairs.has(codingKey(one))) tell('unknown OID dropped', `${one.code} of ${one.system ?? 'no system'}`)
    }
    const { panel: _, timings: __, ...content } = item.content
    for (const one of objects(content, isQuantity)) {
      if (one.unit === undefined) continue
      const pair = `${one.value} ${one.unit}`
      if (!measures.has(pair) && !texts.includes(pair.toLowerCase())) tell('unit changed', pair)
    }
    for (const one of objects({ content, when: item.when, at: item.recordedAt }, isDate)) {
      const told = one.source.trim()
      if (moments.has(told)) {
        const at = isoMoment(told)
        if (at !== undefined && at !== answerMoment(one))
          tell('precision invented', `${answerMoment(one)} from ${told}`)
      } else if (!texts.includes(said(told)))
        tell('precision invented', `${one.text} from ${told}, which the document does not have`)
    }
    intentSafety(item, node, tell)
    denialSafety(item, node, tell)
  }
  return found
}

function intentSafety(item, node, tell) {
  const planned = /\bPlanOfCare\[/.test(node.path)
  const pending =
    /\/Encounter\[\d+\]$/.test(node.path) &&
    /pending|scheduled|planned|requested/i.test(words(down(node, 'Status', 'Text')))
  if ((planned || pending) && item.content.type !== 'note' && (item.intent ?? 'performed') === 'performed')
    tell('planned as performed', planned ? 'in PlanOfCare' : 'its status is pending')
}

const denial = /^\W*(no known|nkd?a\b|denies)/i

function denialSafety(item, node, tell) {
  if (!['allergy', 'problem', 'medication', 'immunization', 'procedure'].includes(item.content.type)) return
  const description = words(down(node, 'Description', 'Text'))
  if (denial.test(description) && !item.negated) tell('negated as positive', 'the description denies')
  if (item.content.type === 'allergy') {
    const kind = words(down(node, 'Type'))
    if (kind !== '' && !/allerg|adverse|intoleran|sensitiv|4\d{8}|reaction/i.test(kind))
      tell('code invented', `an allergy made of an alert of the type ${kind}`)
  }
}

/** Each data object of the Body ends as exactly one outcome; providers and supporters, which have no id, may. */
export function ccrConservation(document, part) {
  const objectsOfBody = recordsOf(document)
    .flatMap(bodySections)
    .flatMap((section) => kids(section))
  const wanted = objectsOfBody.filter((one) => kid(one, 'CCRDataObjectID')).map((one) => one.path)
  const wantedSet = new Set(wanted)
  // Objects inside others and providers may have outcomes of their own.
  const entries = part.entries.filter(({ entry }) => wantedSet.has(entry) || !document.byPath.has(entry))
  return outcomesAgainst(wanted, { items: part.items, entries })
}
