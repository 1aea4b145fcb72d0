import type { Coding, Concept, Identifier, PartialDate, Quantity, When } from '../../direct/datatypes.js'
import { attribute, child, childrenOf, elements, textOf, type XmlNode } from '../../xml/node.js'
import { codeSystemOfOid } from '../codesystems.js'
import { resolveReference } from './narrative.js'
import { narrativeOf, remark, type Scope, sdtc, v3, xsi } from './scope.js'
import { readTimestamp } from './timestamp.js'

const nullFlavorSystem = '2.16.840.1.113883.5.1008'

/** An attribute without surrounding blanks; undefined where absent or empty. */
export function given(node: XmlNode | undefined, name: string): string | undefined {
  const value = node === undefined ? undefined : attribute(node, name)?.trim()
  return value === '' ? undefined : value
}

export function nullFlavorOf(node: XmlNode | undefined): string | undefined {
  return given(node, 'nullFlavor')
}

/** The local name of `xsi:type`, prefix dropped: `cda:CD` is CD. */
export function typeOf(node: XmlNode): string | undefined {
  const type = attribute(node, 'type', xsi)?.trim()
  return type === undefined || type === '' ? undefined : type.slice(type.indexOf(':') + 1)
}

/** Text with white space folded, cut at the limit; undefined for none. */
export function words(scope: Scope, text: string): string | undefined {
  const folded = text.replace(/[\s\u00a0]+/g, ' ').trim()
  return folded === '' ? undefined : folded.slice(0, scope.cda.reading.limits.textChars)
}

/** An ED or ST: its own words, else what its reference points to in the narrative (CDA R2 §4.3.5.1). */
export function readText(scope: Scope, node: XmlNode | undefined, column?: RegExp): string | undefined {
  if (node === undefined || given(node, 'representation') === 'B64') return undefined
  const reference = given(child(node, 'reference'), 'value')
  if (reference !== undefined) {
    const resolved = referred(scope, reference, column)
    if (resolved !== undefined && resolved !== '') return resolved
    if (resolved === undefined && !/^[a-z][a-z0-9+.-]*:/i.test(reference)) {
      remark(scope, 'unresolved-reference', 'no narrative element has the ID that is referred to')
    }
  }
  const own = textOf(node)
  // A few producers write the reference as text.
  const resolved = /^\s*#\S{1,200}\s*$/.test(own) ? referred(scope, own, column) : undefined
  return resolved ?? words(scope, own)
}

/** The words behind a reference, as long as the document's share of narrative lasts. */
function referred(scope: Scope, reference: string, column: RegExp | undefined): string | undefined {
  const { cda } = scope
  const text = resolveReference(narrativeOf(cda), reference, scope.section?.node, column)
  if (text === undefined) return undefined
  const cut = text.length > cda.reading.limits.textChars ? text.slice(0, cda.reading.limits.textChars) : text
  if (cda.narrativeChars < 0) return ''
  cda.narrativeChars -= cut.length
  if (cda.narrativeChars < 0) {
    remark(scope, 'limit-exceeded', 'the references of this document bring in too much text')
    return ''
  }
  return cut
}

/**
 * A CD, CE, CV, CO or CS with all its translations in source order. Codes under nullFlavor OTH live in the translations.
 * Text: original text, else display name, else those of a translation. Undefined where the element says nothing at all.
 */
export function readConcept(scope: Scope, node: XmlNode | undefined, column?: RegExp): Concept | undefined {
  if (node === undefined) return undefined
  const codings: Coding[] = []
  let nullFlavor = nullFlavorOf(node)
  const collect = (from: XmlNode): void => {
    const coding = readCoding(scope, from)
    if (coding !== undefined && isNullCode(from, coding)) nullFlavor ??= coding.code
    else if (coding !== undefined) codings.push(coding)
    for (const translation of partsOf(from, 'translation')) collect(translation)
  }
  collect(node)
  const text =
    readText(scope, partsOf(node, 'originalText')[0], column) ??
    given(node, 'displayName') ??
    codings.find((coding) => coding.display !== undefined)?.display ??
    given(
      childrenOf(node, 'translation').find((one) => given(one, 'displayName') !== undefined),
      'displayName',
    ) ??
    readText(scope, child(child(node, 'translation'), 'originalText'), column)
  if (codings.length === 0 && text === undefined && nullFlavor === undefined) return undefined
  const qualifiers = readQualifiers(scope, node)
  return {
    codings,
    ...(text === undefined ? {} : { text }),
    ...(nullFlavor === undefined ? {} : { nullFlavor }),
    ...(qualifiers.length === 0 ? {} : { qualifiers }),
  }
}

/** Parts of an extension element stand in its own namespace or in that of CDA, whose datatype it has (HL7 CDA R2 extensions). */
function partsOf(node: XmlNode, local: string): XmlNode[] {
  const own = childrenOf(node, local)
  return node.ns === sdtc && own.length === 0 ? childrenOf(node, local, v3) : own
}

/** What narrows a concept (CD.qualifier, a CR): a coded value with a coded name; one without a code narrows nothing. */
function readQualifiers(scope: Scope, node: XmlNode): NonNullable<Concept['qualifiers']>[number][] {
  const found: NonNullable<Concept['qualifiers']>[number][] = []
  for (const qualifier of childrenOf(node, 'qualifier').slice(0, mostQualifiers)) {
    const value = firstCoding(scope, child(qualifier, 'value'))
    const name = firstCoding(scope, child(qualifier, 'name'))
    if (value !== undefined) found.push(name === undefined ? { value } : { name, value })
  }
  return found
}

const mostQualifiers = 16

function firstCoding(scope: Scope, node: XmlNode | undefined): Coding | undefined {
  if (node === undefined) return undefined
  for (const one of [node, ...childrenOf(node, 'translation')]) {
    const coding = readCoding(scope, one)
    if (coding !== undefined && !isNullCode(one, coding)) return coding
  }
  return undefined
}

const nullFlavors = new Set('NI INV DER OTH NINF PINF UNC MSK NA UNK ASKU NAV NASK QS TRC NP'.split(' '))

/**
 * Whether a code is a null flavor in the place of a code: of that system, or beside a nullFlavor (`code="UNK"
 * nullFlavor="UNK"`). Without a nullFlavor a code stays as written, whatever it looks like: codes are not judged here.
 */
function isNullCode(node: XmlNode, { code, sourceSystem }: Coding): boolean {
  return sourceSystem === nullFlavorSystem || (nullFlavors.has(code) && nullFlavorOf(node) !== undefined)
}

/** One code as its source gave it, translations aside; undefined without a code. */
export function readCoding(scope: Scope, node: XmlNode): Coding | undefined {
  const code = given(node, 'code')
  if (code === undefined) return undefined
  const source = given(node, 'codeSystem')
  const sourceSystem = source ?? given(node, 'codeSystemName')
  const display = given(node, 'displayName')
  const system = source === undefined ? undefined : codeSystemOfOid(source)
  const { unknownSystems } = scope.cda
  if (source !== undefined && system?.known === false && !unknownSystems.has(source) && source !== nullFlavorSystem) {
    unknownSystems.add(source)
    remark(scope, 'unknown-code-system', source.slice(0, 100))
  }
  return {
    ...(system?.uri === undefined ? {} : { system: system.uri }),
    code,
    ...(display === undefined ? {} : { display }),
    ...(sourceSystem === undefined ? {} : { sourceSystem }),
  }
}

/** A concept that names something. The mark exists for the compiler alone: a concept that says nothing is still a concept. */
export type Named = Concept & { readonly __named: true }

/** Whether a concept names anything: a code or words. */
export function says(concept: Concept | undefined): concept is Named {
  return concept !== undefined && (concept.codings.length > 0 || concept.text !== undefined)
}

/** A concept that names something, else undefined: for fields that are absent rather than null. */
export function readNamed(scope: Scope, node: XmlNode | undefined): Concept | undefined {
  const concept = readConcept(scope, node)
  return says(concept) ? concept : undefined
}

export const nothing: Concept = { codings: [] }

/** The point in time of an element's `value`; a diagnostic and undefined where it cannot be read. */
export function readTime(scope: Scope, node: XmlNode | undefined): PartialDate | undefined {
  const source = given(node, 'value')
  if (source === undefined) return undefined
  const time = readTimestamp(source)
  if (time === undefined) remark(scope, 'time-unreadable', 'a point in time that HL7 v3 does not know')
  else if (time.offsetMinutes === null && time.text.includes('T') && !scope.cda.localTimeTold) {
    scope.cda.localTimeTold = true
    remark(scope, 'time-without-offset', 'a time of day without its zone')
  }
  return time
}

/**
 * A TS or IVL_TS: a moment, or low and high. What cannot be read stays as `text` in the source's characters. `ends` makes
 * an unknown high mean that the period is over (C-CDA problem and allergy observations).
 */
export function readWhen(scope: Scope, node: XmlNode | undefined, ends = false): When | undefined {
  if (node === undefined) return undefined
  // Of a set of times (SXPR_TS) the first that says anything.
  for (const part of childrenOf(node, 'comp')) {
    const when = readWhen(scope, part, ends)
    if (when !== undefined) return when
  }
  const low = child(node, 'low')
  const high = child(node, 'high')
  const single = given(node, 'value') === undefined ? child(node, 'center') : node
  const value = readTime(scope, single)
  const from = readTime(scope, low)
  const to = readTime(scope, high)
  const raw = [single, low, high]
    .filter((one, i) => given(one, 'value') !== undefined && [value, from, to][i] === undefined)
    .map((one) => given(one, 'value'))
    .join(' / ')
  const over = ends && nullFlavorOf(high) === 'UNK'
  const when: When = {
    ...(value ? { value } : {}),
    ...(from ? { low: from } : {}),
    ...(to ? { high: to } : {}),
    ...(over ? { highUnknown: true } : {}),
    ...(raw === '' ? {} : { text: raw.slice(0, 100) }),
  }
  return Object.keys(when).length === 0 ? undefined : when
}

/**
 * A PQ, INT or REAL as written. Without a value of its own, the translation's, whose unit may be words (C-CDA: units
 * outside UCUM). Undefined where there is no number.
 */
export function readQuantity(node: XmlNode | undefined): Quantity | undefined {
  if (node === undefined) return undefined
  const value = nullFlavorOf(node) === undefined ? given(node, 'value') : undefined
  if (value !== undefined) {
    const unit = given(node, 'unit') ?? given(node, 'currency')
    return unit === undefined ? { value } : { value, unit }
  }
  for (const translation of childrenOf(node, 'translation')) {
    const translated = given(translation, 'value')
    if (translated === undefined) continue
    const written = textOf(child(translation, 'originalText')).trim()
    const unit =
      given(translation, 'unit') ?? (written === '' ? undefined : written) ?? given(translation, 'displayName')
    return unit === undefined ? { value: translated } : { value: translated, unit }
  }
  return undefined
}

/** Beyond these, ids of one statement are noise. */
const mostIdentifiers = 64

/** The ids of a statement or role; what a nullFlavor takes back, such as a masked number, names nobody. */
export function readIdentifiers(node: XmlNode, local = 'id'): Identifier[] {
  const found: Identifier[] = []
  for (const id of childrenOf(node, local).slice(0, mostIdentifiers)) {
    const root = given(id, 'root')
    const value = given(id, 'extension')
    if ((root === undefined && value === undefined) || nullFlavorOf(id) !== undefined) continue
    found.push({ ...(root === undefined ? {} : { root }), ...(value === undefined ? {} : { value }) })
  }
  return found
}

/** Statements that stand in `entryRelationship` of this one, each with its own first clinical statement; denied relations left out. */
export function relatedStatements(node: XmlNode, typeCode?: string): XmlNode[] {
  const found: XmlNode[] = []
  for (const relation of childrenOf(node, 'entryRelationship')) {
    if (typeCode !== undefined && given(relation, 'typeCode') !== typeCode) continue
    if (isNegated(relation)) continue
    const statement = elements(relation).find((one) => one.ns === node.ns && isStatement(one))
    if (statement) found.push(statement)
  }
  return found
}

/** Every clinical statement directly inside another: of its relations and its components. */
export function innerStatements(node: XmlNode): XmlNode[] {
  return elements(node)
    .filter((one) => one.local === 'entryRelationship' || one.local === 'component')
    .flatMap((one) => elements(one).filter((inner) => inner.ns === node.ns && isStatement(inner)))
}

const statements = new Set([
  'act',
  'encounter',
  'observation',
  'observationMedia',
  'organizer',
  'procedure',
  'regionOfInterest',
  'substanceAdministration',
  'supply',
])

/** Whether the element is one of the clinical statements of CDA R2. */
export function isStatement(node: XmlNode): boolean {
  return statements.has(node.local)
}

/** A boolean as CDA writes it; undefined for anything else. */
export function isTrue(value: string | undefined): boolean | undefined {
  const lower = value?.toLowerCase()
  if (lower === 'true' || lower === '1') return true
  return lower === 'false' || lower === '0' ? false : undefined
}

/** Whether a statement says that something is not so: `negationInd` on the statement itself. */
export function isNegated(node: XmlNode): boolean {
  return isTrue(given(node, 'negationInd')) === true
}

/** All concepts of child elements of this name that name something. */
export function readAllNamed(scope: Scope, node: XmlNode | undefined, local: string): Concept[] {
  return childrenOf(node, local)
    .map((one) => readNamed(scope, one))
    .filter((concept) => concept !== undefined)
}

/** Product material of a consumable or product. */
export function materialOf(product: XmlNode | undefined): XmlNode | undefined {
  const manufactured = child(product, 'manufacturedProduct')
  return child(manufactured, 'manufacturedMaterial') ?? child(manufactured, 'manufacturedLabeledDrug')
}
