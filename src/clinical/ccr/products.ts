import type { Reaction } from '../../direct/clinical.js'
import type { Concept, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { actorName, actorOf } from './actors.js'
import { type CcrScope, textAt } from './scope.js'
import { codesOf, readCode, readMeasure, saying, together } from './types.js'

/** One Product of a StructuredProductType (ASTM E2369 §5.4): what it is called, what is in it and who made it. */
export interface Product {
  /** The product's name, else its brand, else the description of the object. */
  readonly name: Concept
  readonly brand?: Concept
  readonly strength?: Quantity
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
  const [strength] = strengths.length > 0 ? strengths : concentrations
  const single = (strengths.length > 0 ? strengths : concentrations).length === 1 ? strength?.quantity : undefined
  const forms = codesOf(scope, product, 'Form')
  const maker = actorOf(scope, child(product, 'Manufacturer'))
  const manufacturer = (maker && actorName(maker.node)) ?? textAt(product, 'Manufacturer')
  return {
    name,
    ...(saying(brand) && name !== brand ? { brand } : {}),
    ...(single === undefined ? {} : { strength: single }),
    ...(forms[0] === undefined ? {} : { form: forms[0] }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    notes: [
      ...(strengths.length > 0 && (strengths.length > 1 || single === undefined)
        ? [`Strength: ${words(strengths)}`]
        : []),
      ...(concentrations.length > 0 && (strengths.length > 0 || single === undefined)
        ? [`Concentration: ${words(concentrations)}`]
        : []),
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

/** Strengths of a product that holds several substances are all its strengths: none of them alone is. */
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
