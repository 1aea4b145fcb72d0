import type { BundleMetadata } from '../directory/directory.js'
import { elements, type XmlNode } from '../xml/node.js'
import { parseXml, xmlLimits } from '../xml/parse.js'

/** What the metadata of a bundle may grow to. */
export const bundleMetadataLimits = {
  /** A profile and some words for each of a thousand anchors. */
  bytes: 256 * 1024,
  /** Kept in one row with the bundle. */
  facts: 1_000,
  characters: 500,
  /** Characters of all facts together. */
  keptCharacters: 64 * 1024,
}

/**
 * Reads the XML that may stand as content in a bundle (Trust Bundle Distribution IG §4). Its schema never became stable, so
 * every element and attribute with text is kept as a fact under its path, and the few words that people look for are found
 * by their names, whatever the namespace. Answers undefined for what is no XML, declares a document type, or is too large:
 * the anchors do not depend on it. Beyond the limits of what is kept the rest is left out.
 */
export function readMetadata(content: Uint8Array, limits = bundleMetadataLimits): BundleMetadata | undefined {
  const parsed = parseXml(content, { ...xmlLimits, bytes: limits.bytes, elements: 10_000, depth: 16 })
  if (parsed.kind === 'refused') return undefined
  const facts: (readonly [string, string])[] = []
  let left = limits.keptCharacters
  const tell = (path: string, value: string) => {
    const text = value.replace(/\s+/g, ' ').trim().slice(0, limits.characters)
    left -= path.length + text.length
    if (text !== '' && left >= 0 && facts.length < limits.facts) facts.push([path, text])
  }
  walk(parsed.root, '')
  return { ...wordsOf(parsed.root), facts }

  function walk(node: XmlNode, above: string): void {
    const path = above === '' ? node.local.slice(0, 100) : `${above}/${node.local.slice(0, 100)}`
    for (let i = 0; i < node.attributes.length; i += 3)
      tell(`${path}@${(node.attributes[i + 1] ?? '').slice(0, 100)}`, node.attributes[i + 2] ?? '')
    tell(path, node.children.filter((item) => typeof item === 'string').join(' '))
    for (const child of elements(node)) walk(child, path)
  }
}

/** What stands directly under the root, as an element or an attribute. */
function wordsOf(root: XmlNode): Omit<BundleMetadata, 'facts'> {
  const word = (...names: readonly string[]) => {
    const element = elements(root).find(({ local }) => names.includes(local.toLowerCase()))
    const text = element?.children.filter((item) => typeof item === 'string').join(' ')
    const at = root.attributes.findIndex((name, i) => i % 3 === 1 && names.includes(name.toLowerCase()))
    const found = (text ?? (at < 0 ? '' : (root.attributes[at + 1] ?? ''))).replace(/\s+/g, ' ').trim()
    return found === '' ? undefined : found.slice(0, bundleMetadataLimits.characters)
  }
  const name = word('name', 'bundlename', 'title')
  const profile = word('profile')
  const distributionPoint = word('distributionpoint', 'url')
  return {
    ...(name !== undefined && { name }),
    ...(profile !== undefined && { profile }),
    ...(distributionPoint !== undefined && { distributionPoint }),
  }
}
