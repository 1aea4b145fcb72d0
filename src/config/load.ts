import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { environmentPrefix, type Leaf, leaves, type SchemaNode, schemaDocument } from './leaves.js'
import { nearest } from './nearest.js'
import { type Config, settings } from './settings.js'

/** Something wrong with the configuration: what, where, and what to write instead where that can be guessed. */
export interface Problem {
  /** `smtp.port`, or empty for the file as a whole. */
  readonly path: string
  readonly message: string
  /** The variable that said it, where it was not the file. */
  readonly variable?: string
  /** Line in the file, from 1. */
  readonly line?: number
  readonly suggestion?: string
}

export interface Sources {
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => Promise<string>
  /** What relative paths of the environment count from, and those of the defaults where there is no file. */
  readonly cwd: string
}

export type Loaded =
  | {
      readonly kind: 'loaded'
      readonly config: Config
      /** The master key itself, where the environment holds it: base64. Kept apart so that printing cannot show it. */
      readonly masterKey?: string
    }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }

/** Variables with our prefix that are no settings. */
const otherVariables = ['DIRECT_GATEWAY_MASTER_KEY', 'DIRECT_GATEWAY_CONFIG']

/** What Kubernetes tells every pod about a service of our name. */
const kubernetesVariable = /^DIRECT_GATEWAY_(SERVICE_.*|PORT(_\d+_.*)?)$/

type Tree = { [name: string]: unknown }

/**
 * Reads the configuration: defaults, the YAML file over them, the environment over both. Relative paths become absolute:
 * those of the file count from its folder, those of the environment from `cwd`. Answers every problem at once and never
 * throws for what the file or the environment holds.
 */
export async function loadConfig(sources: Sources): Promise<Loaded> {
  const file = await readTree(sources)
  if (file.kind === 'problems') return file
  const { tree, lineOf } = file
  const environment = layEnvironment(tree, sources.env)
  const parsed = settings.safeParse(tree)
  const problems = [
    ...environment.problems,
    ...(parsed.error?.issues ?? []).flatMap((issue) => problemsOf(issue, environment.from, lineOf)),
  ]
  if (!parsed.success || problems.length > 0) return { kind: 'problems', problems }
  const config = absolutePaths(parsed.data, sources, environment.from)
  const masterKey = sources.env['DIRECT_GATEWAY_MASTER_KEY']
  return { kind: 'loaded', config, ...(masterKey && { masterKey: masterKey.trim() }) }
}

type TreeRead =
  | {
      readonly kind: 'tree'
      readonly tree: Tree
      readonly lineOf: (path: readonly PropertyKey[]) => number | undefined
    }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }

async function readTree({ file, readFile }: Sources): Promise<TreeRead> {
  if (file === undefined) return { kind: 'tree', tree: {}, lineOf: () => undefined }
  const whole = (message: string, line?: number): Problem => ({
    path: '',
    message,
    ...(line !== undefined && { line }),
  })
  try {
    const lines = new LineCounter()
    const document = parseDocument(await readFile(file), { lineCounter: lines, uniqueKeys: true })
    const wrong = document.errors.map((error) =>
      whole(error.message.split('\n')[0] ?? '', lines.linePos(error.pos[0]).line),
    )
    if (wrong.length > 0) return { kind: 'problems', problems: wrong }
    const tree: unknown = document.toJS({ maxAliasCount: 20 }) ?? {}
    if (!isTree(tree))
      return { kind: 'problems', problems: [whole('the file must hold settings, one `name: value` a line')] }
    openEmptySections(tree, schemaDocument())
    const lineOf = (path: readonly PropertyKey[]) => {
      const node: unknown = document.getIn(path, true)
      const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
      return Array.isArray(range) && typeof range[0] === 'number' ? lines.linePos(range[0]).line : undefined
    }
    return { kind: 'tree', tree, lineOf }
  } catch (error) {
    return {
      kind: 'problems',
      problems: [whole(`cannot be read: ${error instanceof Error ? error.message : error}`)],
    }
  }
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

/** `smtp:` with nothing under it is a section without settings: what remains when every line below it is a comment. */
function openEmptySections(tree: Tree, node: SchemaNode): void {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    if (!child.properties) continue
    if (tree[name] === null) tree[name] = {}
    const section = tree[name]
    if (isTree(section)) openEmptySections(section, child)
  }
}

/** Lays variables over the tree; answers which settings they gave, by path, and which variables mean nothing. */
function layEnvironment(
  tree: Tree,
  env: Sources['env'],
): { readonly from: ReadonlyMap<string, string>; readonly problems: readonly Problem[] } {
  const byVariable = new Map(leaves().flatMap((leaf) => (leaf.variable ? [[leaf.variable, leaf] as const] : [])))
  const from = new Map<string, string>()
  const problems: Problem[] = []
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(environmentPrefix) || value === undefined || value === '') continue
    const leaf = byVariable.get(variable)
    if (leaf) {
      if (put(tree, leaf.path, readValue(leaf, value))) from.set(leaf.path.join('.'), variable)
    } else if (!otherVariables.includes(variable) && !kubernetesVariable.test(variable)) {
      const meant = nearest(variable, [...byVariable.keys(), ...otherVariables])
      problems.push({
        path: '',
        variable,
        message: 'no setting has this variable',
        ...(meant && { suggestion: meant }),
      })
    }
  }
  return { from, problems }
}

/** Sets a leaf, making sections on the way; false where the file has something else in their place, which the schema will refuse. */
function put(tree: Tree, path: readonly string[], value: unknown): boolean {
  let at = tree
  for (const name of path.slice(0, -1)) {
    at[name] ??= {}
    const next = at[name]
    if (!isTree(next)) return false
    at = next
  }
  at[path.at(-1) ?? ''] = value
  return true
}

/** The text of a variable as the schema wants it; left as text where it does not fit, so that the schema can say so. */
function readValue({ kind }: Leaf, value: string): unknown {
  const number = /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value
  switch (kind) {
    case 'number':
    case 'duration':
      return number
    case 'boolean':
      return value === 'true' ? true : value === 'false' ? false : value
    case 'list':
      return value.split(',').map((part) => {
        const item = part.trim()
        return /^\d+(\.\d+)?$/.test(item) ? Number(item) : item
      })
    case 'text':
    case 'map':
      return value
  }
}

function problemsOf(
  issue: z.core.$ZodIssue,
  from: ReadonlyMap<string, string>,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): readonly Problem[] {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const siblings = Object.keys(nodeAt(path)?.properties ?? {})
    return issue.keys.map((key) => {
      const meant = nearest(key, siblings)
      return at([...path, key], 'no such setting', meant && [...path, meant].join('.'))
    })
  }
  return [at(path, issue.message.replace(/^(Invalid input|Too (small|big)): /, ''))]

  function at(where: readonly string[], message: string, suggestion?: string): Problem {
    const variable = from.get(where.join('.')) ?? from.get(where.slice(0, -1).join('.'))
    const line = variable ? undefined : lineOf(where)
    return {
      path: where.join('.'),
      message,
      ...(variable && { variable }),
      ...(line !== undefined && { line }),
      ...(suggestion && { suggestion }),
    }
  }
}

function nodeAt(path: readonly string[]): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>((node, name) => node?.properties?.[name], schemaDocument())
}

/** A copy whose file names are absolute. */
function absolutePaths(config: Config, { file, cwd }: Sources, from: ReadonlyMap<string, string>): Config {
  const home = file === undefined ? cwd : dirname(resolve(cwd, file))
  const absolute = (value: unknown, node: SchemaNode | undefined, path: string): unknown => {
    if (typeof value === 'string' && node?.format === 'path') return resolve(from.has(path) ? cwd : home, value)
    if (!isTree(value)) return value
    const entries = Object.entries(value).map(([name, child]) => {
      const below = node?.properties?.[name] ?? node?.additionalProperties
      return [name, absolute(child, isNode(below) ? below : undefined, path === '' ? name : `${path}.${name}`)] as const
    })
    return Object.fromEntries(entries)
  }
  return absolute(config, schemaDocument(), '') as Config
}

function isNode(value: unknown): value is SchemaNode {
  return isTree(value)
}

/** A problem as one line: `gateway.yaml:3 smtp.prot: no such setting; did you mean smtp.port?` */
export function describeProblem(problem: Problem, file?: string): string {
  const { path, message, variable, line, suggestion } = problem
  const place = variable ?? (line === undefined ? file : `${file ?? 'configuration'}:${line}`)
  const words = [path, message].filter((part) => part !== '').join(': ')
  return `${place ? `${place} ` : ''}${words}${suggestion ? `; did you mean ${suggestion}?` : ''}`
}

/** Where the master key is kept when the environment does not hold it itself. */
export function masterKeyFile({ masterKey, dataDir }: Pick<Config, 'masterKey' | 'dataDir'>): string {
  return masterKey.file ?? resolve(dataDir, 'master.key')
}
