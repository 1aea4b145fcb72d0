/**
 * What must never happen, checked on every item against the element that it names: each breach has its own word. Judged
 * by the document's tree alone, not by the rules of facts.
 */
import { subjectOf } from './answer.mjs'
import { answerMoment, moment, systemName } from './codes.mjs'
import { isNegated, isPlanned, isStatement, quantityOf } from './facts.mjs'
import { attr, elements, kid, kids, walk, words } from './tree.mjs'

export const safetyNames = [
  'negated as positive',
  'null as positive',
  'planned as performed',
  'unit changed',
  'precision invented',
  'wrong patient',
  'unknown OID dropped',
  'code invented',
  'words invented',
]

/** Codes that themselves say that nothing of a kind is known (SNOMED CT). */
const denials = new Set(
  '160244002 716186003 409137002 429625007 428607008 428197003 716184000 1003774007 160245001 716220001'.split(' '),
)

function statementsAround(node) {
  const found = []
  for (let at = node; at !== undefined && at.local !== 'entry'; at = at.parent) if (isStatement(at)) found.push(at)
  return found
}

/** Numbers of identifiers and telephones are no measures. */
const numbered = new Set(['identifiers', 'memberIdentifiers', 'telecoms', 'addresses'])

/** Every object below a value that a test accepts. */
function* objects(value, test) {
  if (value === null || typeof value !== 'object') return
  if (!Array.isArray(value) && test(value)) yield value
  for (const [name, inner] of Object.entries(value)) if (!numbered.has(name)) yield* objects(inner, test)
}

const isCoding = (one) =>
  typeof one.code === 'string' &&
  Object.keys(one).every((key) => ['system', 'code', 'display', 'sourceSystem'].includes(key))
const isQuantity = (one) =>
  typeof one.value === 'string' && Object.keys(one).every((key) => ['value', 'unit', 'comparator'].includes(key))
const isDate = (one) => typeof one.precision === 'string' && typeof one.source === 'string'

/** Breaches of one part of a CDA document. */
export function cdaSafety(document, part) {
  const codes = codesOf(document.root)
  const found = []
  for (const item of part.items) {
    const { entry } = item.provenance
    const tell = (name, detail) => found.push({ name, path: entry, detail: `${item.content.type}: ${detail}` })
    const node = document.byPath.get(entry)
    if (node === undefined) {
      tell('wrong patient', 'the entry that it names is not there')
      continue
    }
    if (item.provenance.document !== part.item.content.sha256) tell('wrong patient', 'another document')
    if (isStatement(node)) statementSafety(item, node, tell)
    codingSafety(item, codes, tell)
    wordSafety(item, document, tell)
    const scope = isStatement(node) ? outermost(node) : node
    quantitySafety(item, scope, tell)
    dateSafety(item, document, tell)
    if (item.content.type === 'demographics' && !entry.startsWith('ClinicalDocument[1]/recordTarget[1]'))
      tell('wrong patient', 'demographics of another record target')
  }
  return found
}

const outermost = (node) => statementsAround(node).at(-1) ?? node

function statementSafety(item, node, tell) {
  const around = statementsAround(node)
  const { content } = item
  if (around.some(isNegated) && !item.negated && content.type !== 'family-history' && content.type !== 'note')
    tell('negated as positive', 'negationInd is true')
  const subject = subjectOf(content)
  if (
    item.negated &&
    !around.some(isNegated) &&
    !deniesInWords(node, subject) &&
    !/refus|not given|declin/i.test(words(node))
  )
    tell('negated as positive', 'negated, though nothing negates it')
  const nulls = around.map((one) => attr(one, 'nullFlavor')).find((one) => one !== undefined)
  if (nulls !== undefined && item.nullFlavor === undefined && !item.negated)
    tell('null as positive', `nullFlavor ${nulls}`)
  if (around.some(isPlanned) && isPlanned(node) && (item.intent ?? 'performed') === 'performed')
    tell('planned as performed', `moodCode ${attr(node, 'moodCode')}`)
  if (attr(node, 'moodCode') === 'GOL' && item.intent !== 'goal') tell('planned as performed', 'a goal')
  const person = around.flatMap((one) => kids(one, 'subject')).find((one) => kid(one, 'relatedSubject'))
  if (person !== undefined && !['family-history', 'note', 'care-team'].includes(content.type))
    tell('wrong patient', 'the statement is about a relative')
}

function deniesInWords(node, subject) {
  if ((subject?.codings ?? []).some(({ code }) => denials.has(code))) return true
  return (
    [...walk(node)].some(
      (one) =>
        denials.has(attr(one, 'code') ?? '') ||
        /\bno\b|n\.?k\.?d?\.?a|\bden(y|ies)\b|\bnone\b|negative/i.test(attr(one, 'displayName') ?? ''),
    ) || /\bno\b|\bnkd?a\b|\bnone\b|\bdenies\b/i.test(subject?.text ?? '')
  )
}

/** Pairs of system and code that stand anywhere in the document, and codes that stand without a system somewhere. */
function codesOf(root) {
  const pairs = new Set()
  const bare = new Set()
  const all = new Set()
  for (const node of walk(root)) {
    // A class of a role is a code whose system HL7 fixes.
    const role = attr(node, 'classCode')
    if (role !== undefined) {
      all.add(role)
      bare.add(role)
    }
    const code = attr(node, 'code')
    if (code === undefined) continue
    all.add(code)
    const system = attr(node, 'codeSystem')
    if (system === undefined) bare.add(code)
    else pairs.add(`${systemName(system)}|${code}`)
    const name = attr(node, 'codeSystemName')
    if (name !== undefined) pairs.add(`${systemName(name)}|${code}`)
  }
  return { pairs, bare, all }
}

function codingSafety(item, { pairs, bare, all }, tell) {
  for (const one of objects(item.content, isCoding)) {
    if (!all.has(one.code.trim())) {
      tell('code invented', one.code)
      continue
    }
    const system = one.system ?? one.sourceSystem
    if (system === undefined) {
      if (!bare.has(one.code)) tell('unknown OID dropped', `${one.code} has lost its code system`)
    } else if (!pairs.has(`${systemName(system)}|${one.code}`)) {
      // Systems that the datatype fixes (CS and its like) are not written.
      if (!bare.has(one.code)) tell('unknown OID dropped', `${one.code} has another code system: ${system}`)
    }
  }
}

/** Words that a reader gives to what has none: the name of the kind of thing. */
const kindsOfThings = new Set(['encounter', 'careteam'])

/** What an item is about is said in words of the document: narrative, names, displays. */
function wordSafety(item, document, tell) {
  const { type } = item.content
  const text = subjectOf(item.content)?.text
  if (text === undefined || type === 'note' || type === 'document') return
  document.said ??= squeeze(words(document.root))
  document.displays ??= new Set(
    [...walk(document.root)].flatMap((node) =>
      ['displayName', 'code', 'value', 'extension'].map((name) => squeeze(attr(node, name) ?? '')),
    ),
  )
  const told = squeeze(text)
  if (!document.said.includes(told) && !document.displays.has(told) && !kindsOfThings.has(told))
    tell('words invented', text)
}

/** Words without blanks, the bars that stand between cells, and case. */
const squeeze = (text) => text.replace(/[\s|]+/g, '').toLowerCase()

function quantitySafety(item, scope, tell) {
  const pairs = new Set()
  const texts = words(scope)
  for (const node of walk(scope)) {
    const value = attr(node, 'value')
    if (value !== undefined) pairs.add(`${value} ${attr(node, 'unit') ?? ''}`.trim())
    const foreign = quantityOf(node)
    if (foreign !== undefined) pairs.add(foreign)
    if (kids(node).length === 0 && words(node) !== '') pairs.add(words(node))
    if (attr(node, 'unit') !== undefined && words(node) !== '') pairs.add(`${words(node)} ${attr(node, 'unit')}`)
  }
  const { panel: _, ...content } = item.content
  for (const one of objects(
    content,
    (value) => isQuantity(value) && (value.unit !== undefined || value.comparator !== undefined),
  )) {
    const pair = `${one.value} ${one.unit ?? ''}`.trim()
    if (!pairs.has(pair) && !texts.includes(pair)) tell('unit changed', pair)
  }
}

function dateSafety(item, document, tell) {
  document.moments ??= new Set(
    [...walk(document.root)].flatMap((node) => [
      attr(node, 'value'),
      words(elements(node).length === 0 ? node : undefined),
    ]),
  )
  for (const one of objects(
    { content: item.content, when: item.when, at: item.recordedAt, authors: item.provenance.authors },
    isDate,
  )) {
    const source = one.source.trim()
    // GS1 writes dates in the device identifier as YYMMDD behind (11) and (17).
    const inUdi = item.content.type === 'device' && (item.content.udi ?? '').includes(source.slice(-6))
    if (!document.moments.has(source) && !inUdi)
      tell('precision invented', `${one.text} from ${source}, which the document does not have`)
    else if (moment(source) !== undefined && moment(source) !== answerMoment(one))
      tell('precision invented', `${answerMoment(one)} from ${source}`)
  }
}
