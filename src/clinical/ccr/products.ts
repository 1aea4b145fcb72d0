import type { Reaction } from '../../direct/clinical.js'
import type { Concept, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { actorName, actorOf } from './actors.js'
import { type CcrScope, textAt } from './scope.js'
import { codesOf, readCode, readMeasure, saying, together, wordsOf } from './types.js'

/** One Product of a StructuredProductType (ASTM E2369 §5.4): what it is called, what is in it and who made it. */
export interface Product {
  /** The product's name, else its brand, else the description of the object. */
  readonly name: Concept
  readonly brand?: Concept
  readonly strength?: Quantity
  /** All of them, where the product holds several substances. */
  readonly strengths?: readonly Quantity[]
  readonly form?: Concept
  readonly manufacturer?: string
  /** What no field stands for: several strengths of one product, its size. */
  readonly notes: readonly string[]
}

/** Reads a Product element; `described` is the description of the object that it stands in. */
export function readProduct(scope: CcrScope, product: XmlNode | undefined, described: Concept): Product {
  const named = together(...codesOf(scope, product, 'ProductName'))
  const brand = together(...codesOf(scope, product, 'BrandName'))
  const name = [named, brand, described].find(saying) ?? { codings: [] }
  const strengths = measuresOf(product, 'Strength')
  const concentrations = measuresOf(product, 'Concentration')
  // A liquid has a concentration in place of a strength.
  const strong = strengths.length > 0 ? strengths : concentrations
  const quantities = strong.map(({ quantity }) => quantity).filter((one) => one !== undefined)
  const told = quantities.length === strong.length
  const forms = codesOf(scope, product, 'Form')
  const maker = actorOf(scope, child(product, 'Manufacturer'))
  const manufacturer = (maker && actorName(maker.node)) ?? textAt(product, 'Manufacturer')
  return {
    name,
    ...(saying(brand) && name !== brand ? { brand } : {}),
    ...(told && strong.length === 1 && quantities[0] !== undefined ? { strength: quantities[0] } : {}),
    ...(told && strong.length > 1 ? { strengths: quantities } : {}),
    ...(forms[0] === undefined ? {} : { form: forms[0] }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    notes: [
      ...(told ? [] : [`${strong === strengths ? 'Strength' : 'Concentration'}: ${words(strong)}`]),
      ...(strong === strengths && concentrations.length > 0 ? [`Concentration: ${words(concentrations)}`] : []),
      ...(forms.length > 1
        ? [
            `Form: ${forms
              .map((one) => one.text)
              .filter(Boolean)
              .join(', ')}`,
          ]
        : []),
      ...sizeOf(scope, product),
    ],
  }
}

function measuresOf(product: XmlNode | undefined, local: string) {
  return childrenOf(product, local)
    .map(readMeasure)
    .filter((one) => one !== undefined)
}

function words(measures: readonly { readonly words: string }[]): string {
  return measures.map((one) => one.words).join(' / ')
}

function sizeOf(scope: CcrScope, product: XmlNode | undefined): string[] {
  const [size] = childrenOf(product, 'Size')
  const said =
    size && (readMeasure(size)?.words ?? readCode(scope, child(size, 'Description')).text ?? readCode(scope, size).text)
  return said === undefined ? [] : [`Size: ${said}`]
}

/** Reactions to a product or in an alert, each with its severity. */
export function reactionsOf(scope: CcrScope, node: XmlNode): Reaction[] {
  return childrenOf(node, 'Reaction').flatMap((reaction) => {
    const severity = readCode(scope, child(reaction, 'Severity'))
    return codesOf(scope, reaction, 'Description').map((manifestation) => ({
      manifestation,
      ...(saying(severity) ? { severity } : {}),
    }))
  })
}

/** Strengths and form in words, for the items that have no fields for them. */
export function productNotes({ strength, strengths, form, notes }: Product): string[] {
  const strong = strength === undefined ? (strengths ?? []) : [strength]
  const said = strong.map(({ value, unit }) => (unit === undefined ? value : `${value} ${unit}`))
  return [
    ...notes,
    ...(said.length === 0 ? [] : [`Strength: ${said.join(' / ')}`]),
    ...(form === undefined ? [] : [`Form: ${wordsOf(form)}`]),
  ]
}
