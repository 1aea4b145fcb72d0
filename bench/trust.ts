import { spawnSync } from 'node:child_process'
import type { Revocation } from '../src/ports/trust.js'
import { judgeCertificate, readCertificates } from '../src/trust/judge.js'
import { type AnchorSet, anchorSet, newPathBudget } from '../src/trust/path.js'
import { defaultTrustPolicy } from '../src/trust/policy.js'
import { openRevocation } from '../src/trust/revocation.js'
import {
  type Identity,
  issueCrl,
  makeAuthority,
  makeIntermediate,
  makeLeaf,
  pem,
  temporaryFile,
} from '../test/fixtures/pki.js'

/**
 * How many trust decisions one core makes: a leaf under an intermediate under an anchor (RSA-2048), both lists at hand, the
 * one that speaks of the leaf with 10,000 entries. Beside it `openssl verify -crl_check_all` on the same certificates in the
 * same minute: one process for all leaves, less one process for a single leaf, so that neither the start of the program nor
 * the reading of lists is counted. Run: npm run bench -- trust
 */
const leaves = 300
const entries = 10_000
const rounds = 5

interface World {
  readonly root: Identity
  readonly middle: Identity
  /** Each leaf with an intermediate of its own, all of one name and key: nothing of a path is remembered from another. */
  readonly chains: readonly { readonly leaf: Identity; readonly middle: Identity }[]
  readonly lists: Readonly<Record<string, Uint8Array>>
}

function makeWorld(): World {
  const root = makeAuthority({ keyType: 'rsa2048' })
  const crlUrls = ['http://crl.test/root.crl']
  const middle = makeIntermediate(root, { keyType: 'rsa2048', crlUrls })
  const chains = Array.from({ length: leaves }, () => ({
    leaf: makeLeaf(middle, { keyType: 'p256', san: { dns: ['hisp.test'] }, crlUrls: ['http://crl.test/middle.crl'] }),
    middle: makeIntermediate(root, { subject: middle.subject, key: middle, crlUrls }),
  }))
  const revoked = Array.from({ length: entries }, (_, i) => ({
    serial: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, i >> 8, i & 255),
    reason: 4,
  }))
  const lists = {
    'http://crl.test/root.crl': issueCrl(root),
    'http://crl.test/middle.crl': issueCrl(middle, { revoked }),
  }
  return { root, middle, chains, lists }
}

const issuers = { of: async () => [] }

/** The gateway's own revocation over lists that are at hand. */
function revocationOf({ lists }: World): Revocation {
  const list = async (url: string) => ({ kind: 'bytes', bytes: lists[url] ?? new Uint8Array() }) as const
  const ocsp = async () => ({ kind: 'unavailable', detail: 'no responder' }) as const
  return openRevocation({ sources: { list, ocsp }, issuers, clock: { now: Date.now } })
}

async function decide({ chains }: World, anchors: AnchorSet, revocation: Revocation, i: number): Promise<void> {
  const { leaf, middle } = chains[i % leaves] as World['chains'][number]
  const [parsed] = readCertificates([leaf.certificate], 1)
  if (!parsed) throw new Error('the bench made an unreadable certificate')
  const verdict = await judgeCertificate(
    {
      ...{ leaf: parsed, use: 'sign', anchors, bag: readCertificates([middle.certificate], 20), at: Date.now() },
      ...{ policy: defaultTrustPolicy, budget: newPathBudget() },
    },
    { issuers, revocation },
  )
  if (verdict.kind !== 'trusted') throw new Error(`${verdict.kind}: ${verdict.detail}`)
}

/** Microseconds of processor time for one decision. */
async function costOf(count: number, work: (i: number) => Promise<void>): Promise<number> {
  const began = process.cpuUsage()
  for (let i = 0; i < count; i++) await work(i)
  const { user, system } = process.cpuUsage(began)
  return (user + system) / count
}

/** Microseconds of wall clock for one leaf more in one `openssl verify`; the best of a few rounds. */
function opensslCost({ root, middle, chains, lists }: World): number {
  const files = chains.map(({ leaf }, i) => temporaryFile(`bench-leaf-${i}.pem`, leaf.certificatePem))
  const fixed = [
    ...['verify', '-no-CApath', '-no-CAstore', '-purpose', 'smimesign', '-crl_check_all'],
    ...['-CAfile', temporaryFile('bench-root.pem', root.certificatePem)],
    ...['-untrusted', temporaryFile('bench-middle.pem', middle.certificatePem)],
    ...[
      '-CRLfile',
      temporaryFile(
        'bench.crl.pem',
        Object.values(lists)
          .map((list) => pem('X509 CRL', list))
          .join(''),
      ),
    ],
  ]
  const took = (some: readonly string[]) => {
    const began = process.hrtime.bigint()
    const run = spawnSync('openssl', [...fixed, ...some])
    if (run.stdout.toString().split(': OK').length - 1 !== some.length) throw new Error(run.stderr.toString())
    return Number(process.hrtime.bigint() - began) / 1_000
  }
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++)
    best = Math.min(best, (took(files) - took(files.slice(0, 1))) / (files.length - 1))
  return best
}

const say = (what: string, us: number) =>
  process.stdout.write(
    `${what.padEnd(58)}${us.toFixed(0).padStart(8)} µs${Math.round(1e6 / us)
      .toLocaleString('en')
      .padStart(10)}/s\n`,
  )

// The engine itself is warmed up in a world of its own.
const practice = makeWorld()
const practiceAnchors = anchorSet(readCertificates([practice.root.certificate], 1))
const practised = revocationOf(practice)
for (let i = 0; i < 3 * leaves; i++) await decide(practice, practiceAnchors, practised, i)

const world = makeWorld()
const anchors = anchorSet(readCertificates([world.root.certificate], 1))
const revocation = revocationOf(world)
const first = await costOf(1, (i) => decide(world, anchors, revocation, i))
const cold = await costOf(leaves - 1, (i) => decide(world, anchors, revocation, i + 1))
let warm = Number.POSITIVE_INFINITY
for (let round = 0; round < rounds; round++)
  warm = Math.min(warm, await costOf(10 * leaves, (i) => decide(world, anchors, revocation, i)))
say(`the first, with a list of ${entries.toLocaleString('en')} entries read`, first)
say('cold: leaf and intermediate never seen, lists read', cold)
say('warm: seen before, revocation looked up again', warm)
say('openssl verify -crl_check_all, one leaf more', opensslCost(world))
