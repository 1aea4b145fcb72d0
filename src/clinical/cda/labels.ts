import type { Coding } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { given, innerStatements, readCoding, readConcept } from './datatypes.js'
import type { Scope } from './scope.js'

/** Root of HL7's privacy and security templates: DS4P (3.3251.1) and the security observations of CBCC (3.445). */
const security = /^2\.16\.840\.1\.113883\.3\.(?:3251\.1|445)\.\d/

/** Whether a statement is a security label of HL7 DS4P: policy about what is around it, in the shape of an observation. */
export function isSecurityLabel(node: XmlNode): boolean {
  if (/^SEC(?:CLASS|CAT|CON|INT|TRST|ALT|DATINT|HANDL)\w*OBS$|^SECOBS$/.test(given(child(node, 'code'), 'code') ?? ''))
    return true
  return childrenOf(node, 'templateId').some((one) => security.test(given(one, 'root') ?? ''))
}

/** The codes of label observations, those of label organizers included; few levels, since labels are shallow. */
export function labelsOf(scope: Scope, node: XmlNode, depth = 3): Coding[] {
  const found: Coding[] = []
  for (const value of [...childrenOf(node, 'value'), ...childrenOf(node, 'confidentialityCode')]) {
    found.push(...(readConcept(scope, value)?.codings ?? []))
  }
  if (depth > 0) for (const inner of innerStatements(node)) found.push(...labelsOf(scope, inner, depth - 1))
  return found
}

/** Labels inside a statement: those of its relations and components that are nothing but labels. */
export function innerLabels(scope: Scope, node: XmlNode): Coding[] {
  return innerStatements(node)
    .filter(isSecurityLabel)
    .flatMap((one) => labelsOf(scope, one))
}

/** The confidentialityCode of a document or a section; undefined where it has none. */
export function confidentialityOf(scope: Scope, node: XmlNode): Coding[] | undefined {
  const found = childrenOf(node, 'confidentialityCode')
    .map((code) => readCoding(scope, code))
    .filter((coding) => coding !== undefined)
  return found.length === 0 ? undefined : found
}

/** The same coding once. */
export function distinct(codings: readonly Coding[]): Coding[] {
  const seen = new Set<string>()
  return codings.filter(({ system, code }) => {
    const key = `${system}|${code}`
    return seen.has(key) ? false : seen.add(key)
  })
}
