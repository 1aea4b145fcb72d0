import type { FhirDocumentBytes } from './document.js'
import type { FhirIssue } from './fields.js'
import { isList, isMap } from './fields.js'
import { fhirJsonLimits, parseJson, type Tree } from './json.js'
import type { ReadItem } from './reading.js'
import { idOf, type ReadResource, readPanel, readTree, type TreeOptions } from './resource.js'

export const fhirBundleLimits = {
  ...fhirJsonLimits,
  /** Resources of one Bundle: the largest C-CDA becomes some 3,000. */
  entries: 10_000,
  /** Issues told of one Bundle; beyond it only that there are more. */
  issues: 1000,
}

export interface ReadBundle {
  readonly items: readonly ReadItem[]
  /** Who the Bundle is about: the demographics of its one Patient. */
  readonly patient?: ReadItem
  /** Documents that it carries whole, for readers of their formats. */
  readonly documents: readonly FhirDocumentBytes[]
  /** What was not kept, and where: `Bundle.entry[3].resource…`. */
  readonly diagnostics: readonly FhirIssue[]
}

interface Member {
  readonly at: string
  readonly tree: ReadonlyMap<string, Tree>
  readonly type: string
  readonly names: readonly string[]
}

/** Resources that say nothing by themselves here: they are read where others name them, or are made anew. */
const silent = new Set([
  ...['Practitioner', 'PractitionerRole', 'Organization', 'RelatedPerson', 'Location', 'Medication', 'Specimen'],
  ...['Provenance', 'Composition', 'Binary', 'OperationOutcome', 'Endpoint', 'HealthcareService'],
])

/**
 * Reads a Bundle of one patient from elsewhere, or one resource alone, as JSON text: of SMART Health Links, of exports. What
 * cannot be kept without saying something else is left out and told. A Bundle of several patients gives nothing. Never a throw.
 */
export function readFhirBundle(text: string, limits = fhirBundleLimits): ReadBundle {
  const nothing = (code: FhirIssue['code'], detail: string): ReadBundle => ({
    ...{ items: [], documents: [] },
    diagnostics: [{ severity: 'error', code, expression: 'Bundle', detail }],
  })
  const parsed = parseJson(text, limits)
  if (parsed.kind === 'invalid') return nothing(parsed.code === 'invalid' ? 'structure' : 'too-costly', parsed.detail)
  const members = membersOf(parsed.tree)
  if (!members) return nothing('structure', 'This is neither a Bundle nor a resource of FHIR')
  if (members.length > limits.entries) return nothing('too-costly', 'The Bundle has too many resources')
  const patients = members.filter(({ type }) => type === 'Patient')
  if (patients.length > 1) return nothing('not-supported', 'The Bundle is about several patients')
  return readMembers(members, patients[0], limits)
}

function membersOf(tree: Tree): Member[] | undefined {
  if (!isMap(tree) || typeof tree.get('resourceType') !== 'string') return undefined
  if (tree.get('resourceType') !== 'Bundle') return [memberOf(tree, undefined, String(tree.get('resourceType')))]
  const entries = tree.get('entry') ?? []
  if (!isList(entries)) return undefined
  return entries.flatMap((entry, at) => {
    const resource = isMap(entry) ? entry.get('resource') : undefined
    return isMap(resource)
      ? [memberOf(resource, isMap(entry) ? entry.get('fullUrl') : undefined, `Bundle.entry[${at}].resource`)]
      : []
  })
}

function memberOf(tree: ReadonlyMap<string, Tree>, fullUrl: Tree | undefined, at: string): Member {
  const type = String(tree.get('resourceType') ?? '')
  const id = idOf(tree)
  return {
    at,
    tree,
    type,
    names: [...(typeof fullUrl === 'string' ? [fullUrl] : []), ...(id === undefined ? [] : [`${type}/${id}`])],
  }
}

function readMembers(
  members: readonly Member[],
  patient: Member | undefined,
  limits: typeof fhirBundleLimits,
): ReadBundle {
  const diagnostics: FhirIssue[] = []
  const tell = (at: string, issues: readonly FhirIssue[]) => {
    for (const one of issues) {
      if (diagnostics.length < limits.issues)
        diagnostics.push({ ...one, expression: one.expression.replace(/^[A-Z]\w*/, at) })
    }
  }
  const byName = new Map(members.flatMap((one) => one.names.map((name) => [name, one] as const)))
  const named = (reference: string) => byName.get(reference) ?? byName.get(reference.split('/').slice(-2).join('/'))
  const seen = new Set<string>()
  const options: TreeOptions = {
    ...{ patient: patient ? (idOf(patient.tree) ?? '') : '', strict: false },
    resolve: (reference) => named(reference)?.tree,
    isPatient(reference) {
      const target = named(reference)
      if (target) return target === patient
      // Without a Patient in it, all must be about the same one that is not.
      if (patient || !/(^|\/)Patient\/[^/]+$/.test(reference)) return false
      seen.add(reference)
      return seen.size === 1
    },
  }
  const items: ReadItem[] = []
  const documents: FhirDocumentBytes[] = []
  const made = new Map<Member, readonly number[]>()
  const panels: Member[] = []
  for (const member of members) {
    const { at, tree, type } = member
    if (member === patient || silent.has(type)) continue
    if (type === 'DiagnosticReport' || (type === 'Observation' && tree.has('hasMember'))) {
      panels.push(member)
      continue
    }
    const read: ReadResource = readTree(withBytes(tree, named), options)
    tell(at, read.issues)
    made.set(
      member,
      read.items.map((_, index) => items.length + index),
    )
    items.push(...read.items)
    if (read.document) documents.push(read.document)
  }
  const indexesOf = (reference: string) => {
    const member = named(reference)
    return (member && made.get(member)) ?? []
  }
  for (const { at, tree } of panels) {
    const read = readPanel(tree, options)
    tell(at, read.issues)
    if (read.failed) continue
    for (const index of read.results.flatMap((reference) => indexesOf(reference))) {
      const item = items[index]
      if (item && 'test' in item.content && item.content.panel === undefined)
        items[index] = { ...item, content: { ...item.content, panel: read.panel } }
    }
  }
  const about = patient && readTree(patient.tree, options)
  if (about && patient) tell(patient.at, about.issues)
  const [demographics] = about?.items ?? []
  return { items, ...(demographics && { patient: demographics }), documents, diagnostics }
}

/** A DocumentReference whose bytes stand in a Binary of the same Bundle, with them in their place. */
function withBytes(
  tree: ReadonlyMap<string, Tree>,
  named: (reference: string) => Member | undefined,
): ReadonlyMap<string, Tree> {
  if (tree.get('resourceType') !== 'DocumentReference') return tree
  const contents = tree.get('content')
  const [first] = isList(contents) ? contents : []
  const attachment = isMap(first) ? first.get('attachment') : undefined
  const url = isMap(attachment) ? attachment.get('url') : undefined
  const data = typeof url === 'string' ? named(url)?.tree.get('data') : undefined
  if (!isMap(first) || !isMap(attachment) || attachment.has('data') || typeof data !== 'string') return tree
  const whole = new Map(first).set('attachment', new Map(attachment).set('data', data))
  return new Map(tree).set('content', [whole, ...(isList(contents) ? contents.slice(1) : [])])
}
