import type { Certificate } from '../x509/certificate.js'
import { sameName } from '../x509/name.js'
import { anyPolicy, type CertificatePolicies, policiesOf } from '../x509/policies.js'
import type { TrustPolicy } from './policy.js'

/** A policy for which the path is valid down to one depth. */
interface Node {
  readonly policy: string
  readonly parents: readonly Node[]
  /** What the next certificate may call it. */
  expected: readonly string[]
}

/** Nodes by policy, one map a depth. Kept as a graph, not a tree: a tree grows exponentially with mappings (RFC 9618 §2). */
type Graph = Map<string, Node>[]

/** Counters of RFC 5280 §6.1.2 d to f: how many certificates may still come before the rule holds. */
interface Counters {
  explicit: number
  mapping: number
  any: number
}

/**
 * What is wrong with the certificate policies of a path (leaf first, anchor last), in words; undefined when nothing is
 * (RFC 5280 §6.1 as updated by RFC 9618). With `required`, the path must be valid for one of them; without, policies count only
 * where a certificate of the path demands them, unless `inputs` say otherwise (§6.1.1 d to f). The anchor's policyConstraints hold too (RFC 5937 §3.2).
 * Throws Asn1Error.
 */
export function policyViolation(
  path: readonly Certificate[],
  required: readonly string[],
  inputs: TrustPolicy['policyInputs'] = {},
): string | undefined {
  const length = path.length - 1
  const anchor = path[length]
  if (length === 0 || !anchor) return undefined
  const counters: Counters = {
    explicit: (inputs.explicit ?? required.length > 0) ? 0 : length + 1,
    mapping: inputs.inhibitMapping ? 0 : length + 1,
    any: inputs.inhibitAny ? 0 : length + 1,
  }
  lower(counters, policiesOf(anchor))
  let graph: Graph | undefined = [new Map([[anyPolicy, { policy: anyPolicy, parents: [], expected: [anyPolicy] }]])]
  for (let i = length - 1; i >= 0; i--) {
    const certificate = path[i] as Certificate
    const said = policiesOf(certificate)
    const isSelfIssued = sameName(certificate.subject, certificate.issuer)
    const isLeaf = i === 0
    if (graph) {
      // §6.1.3 d and e: without the extension no policy is left.
      addPolicies(graph, said.policies ?? [], counters.any > 0 || (!isLeaf && isSelfIssued))
      prune(graph)
      if (graph.at(-1)?.size === 0) graph = undefined
    }
    if (counters.explicit === 0 && !graph) return 'no policy that holds for the whole path' // §6.1.3 f
    if (isLeaf) {
      // §6.1.5 a and b
      if (counters.explicit > 0) counters.explicit--
      if (said.requireExplicit === 0) counters.explicit = 0
      break
    }
    if (said.mappings.some(({ issuer, subject }) => issuer === anyPolicy || subject === anyPolicy))
      return 'a policy mapping of anyPolicy' // §6.1.4 a
    if (graph) mapPolicies(graph, said.mappings, counters.mapping > 0)
    if (graph?.at(-1)?.size === 0) graph = undefined
    if (!isSelfIssued) countDown(counters) // §6.1.4 h
    lower(counters, said) // §6.1.4 i and j
  }
  if (counters.explicit > 0 || holdsFor(graph, required)) return undefined
  return required.length > 0 ? 'none of the policies that are required' : 'no policy that holds for the whole path'
}

/** RFC 9618 §5.2: one node deeper for each policy of the certificate that some node above expects. */
function addPolicies(graph: Graph, policies: readonly string[], mayBeAny: boolean): void {
  const above = [...(graph.at(-1)?.values() ?? [])]
  const fresh = new Map<string, Node>()
  const expecting = new Map<string, Node[]>()
  for (const node of above)
    for (const policy of node.expected) {
      const nodes = expecting.get(policy)
      if (nodes) nodes.push(node)
      else expecting.set(policy, [node])
    }
  for (const policy of policies) {
    if (policy === anyPolicy) continue
    const parents = expecting.get(policy) ?? expecting.get(anyPolicy)
    if (parents) fresh.set(policy, { policy, parents, expected: [policy] })
  }
  if (policies.includes(anyPolicy) && mayBeAny)
    for (const [policy, parents] of expecting)
      if (!fresh.has(policy)) fresh.set(policy, { policy, parents, expected: [policy] })
  graph.push(fresh)
}

/** §6.1.4 b: what an issuer's policy is called below; where mapping is inhibited, a mapped policy ends. */
function mapPolicies(graph: Graph, mappings: CertificatePolicies['mappings'], mayMap: boolean): void {
  const deepest = graph.at(-1)
  if (!deepest || mappings.length === 0) return
  const renamed = new Map<string, string[]>()
  for (const { issuer, subject } of mappings) renamed.set(issuer, [...(renamed.get(issuer) ?? []), subject])
  const any = deepest.get(anyPolicy)
  for (const [policy, expected] of renamed) {
    const node = deepest.get(policy)
    if (!mayMap) deepest.delete(policy)
    else if (node) node.expected = expected
    else if (any) deepest.set(policy, { policy, parents: any.parents, expected })
  }
  if (!mayMap) prune(graph)
}

/** Takes away, from below, what no deeper node goes back to. */
function prune(graph: Graph): void {
  for (let depth = graph.length - 2; depth >= 0; depth--) {
    const used = new Set([...(graph[depth + 1]?.values() ?? [])].flatMap(({ parents }) => parents))
    for (const [policy, node] of graph[depth] ?? []) if (!used.has(node)) graph[depth]?.delete(policy)
  }
}

/** §6.1.5 g: whether a policy, as the anchor's own domain names it, is left, and is one of those required. */
function holdsFor(graph: Graph | undefined, required: readonly string[]): boolean {
  if (!graph) return false
  const held = new Set<string>()
  for (const nodes of graph)
    for (const { policy, parents } of nodes.values())
      if (policy !== anyPolicy && parents.some((parent) => parent.policy === anyPolicy)) held.add(policy)
  if (graph.at(-1)?.has(anyPolicy)) return true
  return required.length === 0
    ? held.size > 0
    : required.some((policy) => (policy === anyPolicy ? held.size > 0 : held.has(policy)))
}

function countDown(counters: Counters): void {
  counters.explicit = Math.max(0, counters.explicit - 1)
  counters.mapping = Math.max(0, counters.mapping - 1)
  counters.any = Math.max(0, counters.any - 1)
}

function lower(counters: Counters, { requireExplicit, inhibitMapping, inhibitAny }: CertificatePolicies): void {
  counters.explicit = Math.min(counters.explicit, requireExplicit ?? counters.explicit)
  counters.mapping = Math.min(counters.mapping, inhibitMapping ?? counters.mapping)
  counters.any = Math.min(counters.any, inhibitAny ?? counters.any)
}
