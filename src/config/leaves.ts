import { z } from 'zod'
import { settings } from './settings.js'

/** A JSON Schema node, as far as it is read here. */
export interface SchemaNode {
  readonly type?: string
  /** `path`: the name of a file or folder. */
  readonly format?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly additionalProperties?: unknown
}

/** One setting as an operator may write it: its path, how the environment names it, what it accepts and why. */
export interface Leaf {
  readonly path: readonly string[]
  /** `DIRECT_GATEWAY_SMTP_PORT`; undefined for maps, which only the file can hold. */
  readonly variable?: string
  readonly kind: 'text' | 'number' | 'boolean' | 'duration' | 'list' | 'map'
  readonly node: SchemaNode
  readonly why: string
}

export const environmentPrefix = 'DIRECT_GATEWAY_'

/** The JSON Schema of the configuration file. */
export function schemaDocument(): SchemaNode {
  return z.toJSONSchema(settings, { io: 'input', unrepresentable: 'any' }) as SchemaNode
}

/** Every setting, in the order of the schema. */
export function leaves(): readonly Leaf[] {
  return collect(schemaDocument(), [])
}

/** The sections of the file with their reasons, top-level settings left out. */
export function sections(): readonly { readonly path: string; readonly why: string }[] {
  return Object.entries(schemaDocument().properties ?? {})
    .filter(([, node]) => node.properties !== undefined)
    .map(([path, node]) => ({ path, why: node.description ?? '' }))
}

function collect(node: SchemaNode, path: readonly string[]): Leaf[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const at = [...path, name]
    if (child.properties) return collect(child, at)
    const kind = kindOf(child)
    const why = child.description ?? ''
    return [{ path: at, kind, node: child, why, ...(kind !== 'map' && { variable: variableOf(at) }) }]
  })
}

function kindOf(node: SchemaNode): Leaf['kind'] {
  if (node.type === 'array') return 'list'
  if (node.type === 'boolean') return 'boolean'
  if (node.type === 'number' || node.type === 'integer') return 'number'
  if (node.type === 'object') return 'map'
  if (node.anyOf) return node.anyOf.some((branch) => branch.type === 'number') ? 'duration' : 'text'
  return 'text'
}

/** `smtp.tls.keyFile` as `DIRECT_GATEWAY_SMTP_TLS_KEY_FILE`. */
export function variableOf(path: readonly string[]): string {
  return environmentPrefix + path.map((part) => part.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()).join('_')
}
