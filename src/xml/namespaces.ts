const xmlNamespace = 'http://www.w3.org/XML/1998/namespace'
const noAttributes: readonly string[] = []

/** Bindings of prefixes while a document is read, element by element. */
export interface Namespaces {
  /** Begins an element with these attributes; answers those that are not declarations, as triples of URI, local name and value. */
  enter(names: readonly string[], values: readonly string[]): readonly string[]
  /** The URI of an element's name, whose colon is at `colon` or nowhere (-1). */
  uriOf(name: string, colon: number): string
  leave(): void
}

/**
 * Resolves names by Namespaces in XML 1.0. Faults on what it forbids: unbound or empty prefixes, the reserved ones bound
 * otherwise, two attributes of one expanded name (§2, §3, §6.3), and on more bindings in scope than `most`.
 */
export function openNamespaces(
  most: number,
  assumed: Readonly<Record<string, string>>,
  fault: (reason: 'not-well-formed' | 'limit', what: string) => never,
  tellAssumed: (prefix: string) => void,
): Namespaces {
  /** Pairs of prefix and URI, inner ones last. An element without declarations shares its parent's array. */
  let scope: readonly string[] = ['', '', 'xml', xmlNamespace]
  const outer: (readonly string[])[] = []

  const lookUp = (prefix: string): string => {
    for (let i = scope.length - 2; i >= 0; i -= 2) if (scope[i] === prefix) return scope[i + 1] as string
    if (!Object.hasOwn(assumed, prefix)) return fault('not-well-formed', 'unbound namespace prefix')
    tellAssumed(prefix)
    return assumed[prefix] as string
  }
  const declare = (prefix: string, uri: string): void => {
    if (prefix === 'xmlns' || (prefix !== '' && uri === '') || (prefix === 'xml') !== (uri === xmlNamespace)) {
      fault('not-well-formed', 'forbidden namespace declaration')
    }
    if (scope.length / 2 >= most) fault('limit', `more than ${most} namespaces in scope`)
    scope = [...scope, prefix, uri]
  }
  const uriOf = (name: string, colon: number): string => {
    if (colon < 0) return lookUp('')
    if (colon === 0 || colon === name.length - 1 || name.indexOf(':', colon + 1) >= 0) {
      fault('not-well-formed', 'malformed qualified name')
    }
    return lookUp(name.slice(0, colon))
  }

  const enter = (names: readonly string[], values: readonly string[]): readonly string[] => {
    outer.push(scope)
    if (names.length === 0) return noAttributes
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      if (name === 'xmlns') declare('', values[i] as string)
      else if (name.startsWith('xmlns:')) declare(name.slice(6), values[i] as string)
    }
    const attributes: string[] = []
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      const colon = name.indexOf(':')
      if (colon < 0) {
        // A default namespace does not reach attributes (§6.2).
        if (name !== 'xmlns') attributes.push('', name, values[i] as string)
      } else if (!name.startsWith('xmlns:')) {
        const uri = uriOf(name, colon)
        const local = name.slice(colon + 1)
        for (let j = 0; j < attributes.length; j += 3) {
          if (attributes[j + 1] === local && attributes[j] === uri) fault('not-well-formed', 'duplicate attribute')
        }
        attributes.push(uri, local, values[i] as string)
      }
    }
    return attributes
  }

  return {
    enter,
    uriOf,
    leave: () => {
      scope = outer.pop() ?? scope
    },
  }
}
