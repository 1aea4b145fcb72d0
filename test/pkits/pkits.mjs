/**
 * NIST's Public Key Interoperability Test Suite (PKITS) judged by a path engine: every run with exactly the files that it
 * lists, and again with every authority and every list of the suite at hand (`pool`), as a gateway has them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The verdict of every run with its settings; not part of this project. */
const expectationsFile = join(root, '../shared/corpus/pki/pkits-expectations.json')

/** Runs whose verdict may differ from the table, each with its reason. */
export const accepted = {
  listed: {},
  pool: {
    '4.1.8': 'the run lacks the list of its authority; the pool has it, and then the certificate is good',
  },
}

/** Where the suite's files and the table of verdicts stand; in words, what is missing. */
export function findPkits() {
  const folder = ['/usr/lib/python3/dist-packages', '/usr/local/lib/python3/dist-packages']
    .map((packages) => join(packages, 'cryptography_vectors/x509/PKITS_data'))
    .find((path) => existsSync(join(path, 'certs')))
  if (!folder) return { missing: 'the PKITS files (python3-cryptography-vectors) are not installed' }
  if (!existsSync(expectationsFile)) return { missing: 'the table of PKITS verdicts is not at ../shared/corpus/pki' }
  return { folder }
}

/** Reads the suite once. */
export function readPkits(folder) {
  const files = (name) => {
    const all = readdirSync(join(folder, name)).sort()
    return new Map(all.map((file) => [file, readFileSync(join(folder, name, file))]))
  }
  const runs = JSON.parse(readFileSync(expectationsFile, 'utf8'))
  return { certificates: files('certs'), lists: files('crls'), runs }
}

/** How often an engine agreed: by category and in total, with every deviation. */
export async function judgePkits({ certificates, lists, runs }, engine, mode) {
  const everyAuthority = [...certificates].filter(([name]) => !name.endsWith('EE.crt')).map(([, der]) => der)
  const everyList = [...lists.values()]
  const categories = new Map()
  const deviations = []
  for (const run of runs) {
    const category = run.path[0]
    const count = categories.get(category) ?? { runs: 0, passed: 0, falseAccepts: 0, falseRejects: 0 }
    categories.set(category, count)
    const listed = run.certificates.map((name) => certificates.get(name))
    const leaf = certificates.get(run.certificates.at(-1))
    const verdict = await judgeRun(
      {
        leaf,
        anchors: run.trustedCertificates.map((name) => certificates.get(name)),
        bag: mode === 'pool' ? everyAuthority : listed,
        lists: mode === 'pool' ? everyList : run.crls.map((name) => lists.get(name)),
        settings: run.verifyParameters ?? {},
      },
      engine,
    )
    const ok = verdict.kind === 'trusted'
    count.runs++
    if (ok === run.successExpected) count.passed++
    else {
      if (ok) count.falseAccepts++
      else count.falseRejects++
      const words = ok ? 'trusted' : `${verdict.reason ?? verdict.cause}: ${verdict.detail}`
      deviations.push({ id: run.id, name: run.path[1], settings: run.verifyParameters ?? {}, words })
    }
  }
  return { categories, deviations }
}

async function judgeRun({ leaf, anchors, bag, lists, settings }, engine) {
  const parsed = lists.map((bytes) => ({ bytes, list: engine.readCrl(bytes) }))
  const known = (issuer) =>
    parsed.filter(({ list }) => list.kind === 'crl' && engine.sameName(list.issuer, issuer)).map(({ bytes }) => bytes)
  const certificate = engine.readCertificate(leaf)
  if (certificate.kind === 'malformed') return { kind: 'refused', reason: 'malformed', detail: certificate.detail }
  const question = {
    leaf: certificate,
    use: 'sign',
    anchors: engine.anchorSet(engine.readCertificates(anchors, anchors.length)),
    bag: engine.readCertificates(bag, bag.length),
    at: Date.now(),
    policy: {
      ...engine.defaultTrustPolicy,
      requirePublishedRevocation: true,
      allowDsa: true,
      requiredPolicies: settings.initialPolicySet ?? [],
      policyInputs: {
        explicit: settings.initialExplicitPolicy ?? false,
        inhibitMapping: settings.initialPolicyMappingInhibit ?? false,
        inhibitAny: settings.initialInhibitPolicy ?? false,
      },
    },
    budget: engine.newPathBudget(),
  }
  const issuers = { of: async () => [] }
  const sources = { list: async (url) => ({ kind: 'unavailable', detail: `${url} is not fetched here` }) }
  const material = { issuers, known, allowDsa: true }
  const revocation = { status: (asked) => engine.status(asked, sources, material) }
  return engine.judge(question, { revocation, issuers })
}

/** Engines with a bug, which the suite must catch: else it proves nothing. */
export function seeded(engine) {
  return {
    'ignores pathLenConstraint': {
      ...engine,
      judge: async (question, ports) => {
        const verdict = await engine.judge(question, ports)
        return verdict.reason === 'path-too-long' ? { kind: 'trusted', path: [], warnings: [] } : verdict
      },
    },
    'ignores the scope of lists': {
      ...engine,
      status: async ({ path: [der, issuer] }, _, { known }) => {
        const certificate = engine.readCertificate(der)
        const lists = known(engine.readCertificate(issuer).subject).map(engine.readCrl)
        const name = engine.comparableName(certificate.issuer)
        const entry = lists.map((list) => engine.entryOf(list, certificate.serial, name)).find(Boolean)
        if (entry) return { kind: 'revoked', at: entry.at, reason: 'listed' }
        return lists.length > 0 ? { kind: 'good' } : { kind: 'not-published' }
      },
    },
  }
}
