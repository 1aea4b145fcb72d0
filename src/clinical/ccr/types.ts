import type { Coding, Concept, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { codeSystemOfName } from '../codesystems.js'
import { type CcrScope, remark, textAt, textIn } from './scope.js'

/** Names of code systems that only CCRs use, without case, blanks and punctuation; the others stand with all code systems. */
const systems: ReadonlyMap<string, string> = new Map([
  ['actcode', '2.16.840.1.113883.5.4'],
  ['hl7actcode', '2.16.840.1.113883.5.4'],
  ['administrativegender', '2.16.840.1.113883.5.1'],
  ['hl7gender', '2.16.840.1.113883.5.1'],
  ['maritalstatus', '2.16.840.1.113883.5.2'],
  ['hl7maritalstatus', '2.16.840.1.113883.5.2'],
  ['religiousaffiliation', '2.16.840.1.113883.5.1076'],
  ['hl7religiousaffiliation', '2.16.840.1.113883.5.1076'],
  ['observationinterpretation', '2.16.840.1.113883.5.83'],
  ['hl7observationinterpretation', '2.16.840.1.113883.5.83'],
  ['rolecode', '2.16.840.1.113883.5.111'],
  ['hl7rolecode', '2.16.840.1.113883.5.111'],
  ['cdcraceandethnicity', '2.16.840.1.113883.6.238'],
  ['nucc', '2.16.840.1.113883.6.101'],
  ['snomedclinicalterms', '2.16.840.1.113883.6.96'],
  ['snomedctcore', '2.16.840.1.113883.6.96'],
  ['loinccode', '2.16.840.1.113883.6.1'],
  ['lnc', '2.16.840.1.113883.6.1'],
  ['rxnormcode', '2.16.840.1.113883.6.88'],
  ['rxcui', '2.16.840.1.113883.6.88'],
  ['nationaldrugcode', '2.16.840.1.113883.6.69'],
  ['ndccode', '2.16.840.1.113883.6.69'],
  ['currentproceduralterminology', '2.16.840.1.113883.6.12'],
  ['cptcode', '2.16.840.1.113883.6.12'],
  ['cpt4code', '2.16.840.1.113883.6.12'],
  ['hcpcslevelii', '2.16.840.1.113883.6.285'],
  ['hcpcs2', '2.16.840.1.113883.6.285'],
  ['icd9cmcode', '2.16.840.1.113883.6.103'],
  ['icd9code', '2.16.840.1.113883.6.103'],
  ['icd9cmdiagnosis', '2.16.840.1.113883.6.103'],
  ['icd9cmprocedure', '2.16.840.1.113883.6.104'],
  ['icd10cmcode', '2.16.840.1.113883.6.90'],
  ['cdccvx', '2.16.840.1.113883.12.292'],
  ['cvxcode', '2.16.840.1.113883.12.292'],
  ['vaccinecode', '2.16.840.1.113883.12.292'],
  ['fdaunii', '2.16.840.1.113883.4.9'],
  ['nci', '2.16.840.1.113883.3.26.1.1'],
  ['ncithesaurus', '2.16.840.1.113883.3.26.1.1'],
])

/** Words that senders write where they have no code. */
const noCode = /^(n\/a|null|none|unknown|-+)$/i

function codingOf(scope: CcrScope, code: XmlNode): Coding | undefined {
  const value = textAt(code, 'Value')
  if (value === undefined || noCode.test(value)) return undefined
  const name = textAt(code, 'CodingSystem')
  if (name === undefined) return { code: value }
  const system = codeSystemOfName(systems.get(name.toLowerCase().replace(/[^a-z0-9]/g, '')) ?? name)
  if (!system.known && !scope.ccr.unknownSystems.has(name)) {
    scope.ccr.unknownSystems.add(name)
    remark(scope, 'unknown-code-system', name.slice(0, 100))
  }
  return { ...(system.uri === undefined ? {} : { system: system.uri }), code: value, sourceSystem: name }
}

/** A CodedDescriptionType: its text, all its codes, and coded attributes as qualifiers (ASTM E2369 §5.1.4). */
export function readCode(scope: CcrScope, node: XmlNode | undefined): Concept {
  const codings = unique(childrenOf(node, 'Code').map((code) => codingOf(scope, code)))
  const qualifiers = childrenOf(node, 'ObjectAttribute').flatMap((attribute) =>
    childrenOf(attribute, 'AttributeValue').flatMap((value) => {
      const display = textAt(value, 'Value')
      const codes = unique(childrenOf(value, 'Code').map((code) => codingOf(scope, code)))
      return codes.map((coding) => ({ value: display === undefined ? coding : { ...coding, display } }))
    }),
  )
  const text = (textAt(node, 'Text') ?? textIn(node))?.slice(0, scope.ccr.reading.limits.textChars)
  const [only, ...others] = attributesOf(node)
  if (codings.length === 0 && text === undefined && only !== undefined && others.length === 0) {
    // What nothing but one attribute describes is what that attribute says.
    return {
      codings: qualifiers.map(({ value }) => value),
      text: only.words.slice(0, scope.ccr.reading.limits.textChars),
    }
  }
  return {
    codings,
    ...(text === undefined ? {} : { text }),
    ...(qualifiers.length === 0 ? {} : { qualifiers }),
  }
}

function unique(codings: readonly (Coding | undefined)[]): Coding[] {
  const found = new Map<string, Coding>()
  for (const one of codings) {
    const key = `${one?.system ?? ''} ${one?.code}`
    if (one !== undefined && !found.has(key)) found.set(key, one)
  }
  return [...found.values()]
}

/** Concepts of one thing as one: all their codings, the first text, which is the name people read. */
export function together(...concepts: readonly Concept[]): Concept {
  const text = concepts.find((one) => one.text !== undefined)?.text
  const qualifiers = concepts.flatMap((one) => one.qualifiers ?? [])
  return {
    codings: unique(concepts.flatMap((one) => one.codings)),
    ...(text === undefined ? {} : { text }),
    ...(qualifiers.length === 0 ? {} : { qualifiers }),
  }
}

/** The concepts of children of that name that say something. */
export function codesOf(scope: CcrScope, node: XmlNode | undefined, local: string): Concept[] {
  return childrenOf(node, local)
    .map((one) => readCode(scope, one))
    .filter(saying)
}

/** Attributes of a description in words; those with a code are qualifiers as well, which have no name without a code. */
export function attributesOf(node: XmlNode | undefined): { readonly name: string; readonly words: string }[] {
  return childrenOf(node, 'ObjectAttribute').flatMap((attribute) => {
    const words = childrenOf(attribute, 'AttributeValue')
      .map((value) => textAt(value, 'Value') ?? textIn(value))
      .filter((one) => one !== undefined)
    return words.length === 0 ? [] : [{ name: textAt(attribute, 'Attribute') ?? 'Attribute', words: words.join(', ') }]
  })
}

/** A concept that names something. The mark exists for the compiler alone. */
export type Named = Concept & { readonly __named: true }

export function saying(concept: Concept | undefined): concept is Named {
  return concept !== undefined && (concept.codings.length > 0 || concept.text !== undefined)
}

/** The words of a concept, else its first code. */
export function wordsOf(concept: Concept): string | undefined {
  return concept.text ?? concept.codings[0]?.code
}

const number = /^(<=|>=|<|>)?\s*([+-]?(?:\d+\.?\d*|\.\d+))$/

/** A MeasureGroup: its words, and the number that they are. */
export interface Measure {
  /** Value and unit as written. */
  readonly words: string
  readonly quantity?: Quantity
}

/**
 * Value and unit as written, with a comparator where the value has one (ASTM E2369 §5.1.7). Anything but one number stays words:
 * `3.5 - 5.3` and `1 tab BID` are not taken apart.
 */
export function readMeasure(node: XmlNode | undefined): Measure | undefined {
  const value = textAt(node, 'Value')
  if (value === undefined) return undefined
  const unit = textAt(child(node, 'Units'), 'Unit') ?? textAt(node, 'Units')
  const words = unit === undefined ? value : `${value} ${unit}`
  const quantity = quantityOf(value, unit)
  return quantity === undefined ? { words } : { words, quantity }
}

function quantityOf(source: string, unit: string | undefined): Quantity | undefined {
  const [, comparator, value] = number.exec(source) ?? []
  if (value === undefined) return undefined
  return {
    value,
    ...(unit === undefined ? {} : { unit }),
    ...(comparator === undefined ? {} : { comparator: comparator as '<' | '<=' | '>' | '>=' }),
  }
}

/** The measure as a plain number with unit, where it is one. */
export function readQuantity(node: XmlNode | undefined): Quantity | undefined {
  return readMeasure(node)?.quantity
}
