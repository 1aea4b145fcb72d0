import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { tags } from '../../src/asn1/reader.js'
import { contextPrimitive, der, integer, objectIdentifier, sequenceOf } from '../../src/asn1/writer.js'
import type { TrustPolicy } from '../../src/trust/policy.js'
import {
  type CertificateOptions,
  dayMs,
  generalName,
  type Identity,
  makeAuthority,
  makeIntermediate,
  makeLeaf,
  nameConstraints,
  temporaryFile,
} from '../fixtures/pki.js'
import { decide, portsOf } from '../trust/world.js'

/** Paths made at random, sound or flawed, judged by us and by `openssl verify`: both must say the same. */
const now = Date.now()

/** Small repeatable chance (mulberry32). */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * The leaves that `openssl verify` accepts, by index, in one run for all chains: every name is of one chain only, so that
 * they do not touch one another.
 */
function accepted(chains: readonly (readonly Identity[])[], more: readonly string[]): Set<number> {
  const all = (certificates: readonly (Identity | undefined)[]) =>
    certificates.map((identity) => identity?.certificatePem ?? '').join('')
  const leaves = chains.map((chain, i) => temporaryFile(`leaf-${i}.pem`, all(chain.slice(0, 1))))
  const run = spawnSync('openssl', [
    ...['verify', '-partial_chain', '-no-CApath', '-no-CAstore', '-auth_level', '2', '-purpose', 'smimesign'],
    ...more,
    ...['-trusted', temporaryFile('anchors.pem', all(chains.map((chain) => chain.at(-1))))],
    ...['-untrusted', temporaryFile('bag.pem', all(chains.flatMap((chain) => chain.slice(1, -1))))],
    ...leaves,
  ])
  const lines = new Set(run.stdout.toString().split('\n'))
  return new Set(leaves.flatMap((leaf, i) => (lines.has(`${leaf}: OK`) ? [i] : [])))
}

async function ours(chain: readonly Identity[], policy: Partial<TrustPolicy> = {}) {
  const leaf = chain[0] as Identity
  const verdict = await decide([leaf], portsOf({ anchors: [chain.at(-1) as Identity] }), {
    at: now,
    bag: chain.slice(1, -1),
    policy: { clockSkewMs: 0, ...policy },
  })
  return {
    ok: verdict.kind === 'trusted',
    words: verdict.kind === 'refused' ? `${verdict.reason}: ${verdict.detail}` : verdict.kind,
  }
}

/** Makes a chain, leaf first; `depth` authorities of which the last is the anchor. */
function chainOf(depth: number, options: (level: number) => CertificateOptions): Identity[] {
  let issuer = makeAuthority(options(depth))
  const chain = [issuer]
  for (let level = depth - 1; level > 0; level--) {
    issuer = makeIntermediate(issuer, options(level))
    chain.unshift(issuer)
  }
  chain.unshift(makeLeaf(issuer, { keyType: 'p256', san: { dns: ['hisp.test'] }, ...options(0) }))
  return chain
}

interface Case {
  readonly chain: readonly Identity[]
  readonly arguments?: readonly string[]
  readonly policy?: Partial<TrustPolicy>
}

async function compare(runs: number, seed: number, make: (random: () => number, run: number) => Case) {
  const random = chance(seed)
  const groups = new Map<string, Case[]>()
  for (let run = 0; run < runs; run++) {
    const made = make(random, run)
    const key = (made.arguments ?? []).join(' ')
    groups.set(key, [...(groups.get(key) ?? []), made])
  }
  const differences: string[] = []
  const counts = { trusted: 0, refused: 0 }
  for (const cases of groups.values()) {
    const theirs = accepted(
      cases.map(({ chain }) => chain),
      cases[0]?.arguments ?? [],
    )
    for (const [i, { chain, policy }] of cases.entries()) {
      const mine = await ours(chain, policy)
      counts[theirs.has(i) ? 'trusted' : 'refused']++
      if (mine.ok !== theirs.has(i)) differences.push(`${chain[0]?.fingerprint}: we say ${mine.words}`)
    }
  }
  expect(differences).toEqual([])
  return counts
}

describe('openssl verify', () => {
  it('agrees on validity, authorities, path lengths, usages, extensions, digests and keys', async () => {
    const flaws: readonly ((level: number) => CertificateOptions)[] = [
      () => ({ notAfter: now - dayMs, notBefore: now - 3 * dayMs }),
      () => ({ notBefore: now + dayMs }),
      (level) => (level > 0 ? { ca: false } : { keyUsage: ['keyEncipherment'] }),
      (level) => (level > 0 ? { keyUsage: ['digitalSignature'] } : { eku: ['1.3.6.1.5.5.7.3.1'] }),
      () => ({ unknownCritical: true }),
      () => ({ pathLen: 0, ca: true }),
      () => ({ pathLen: 1, ca: true }),
      () => ({ keyUsage: false }),
      () => ({ authorityKeyIdentifier: false, subjectKeyIdentifier: false }),
      (level) => (level === 0 ? { keyType: 'rsa1024' } : { keyType: 'p384' }),
      () => ({ digest: 'sha512' }),
      () => ({ signWith: makeAuthority() }),
      () => ({ digest: 'sha1' }),
    ]
    const counts = await compare(400, 1, (random) => {
      const depth = 1 + Math.floor(random() * 4)
      const chain = chainOf(depth, (level) => {
        if (random() > 0.18) return {}
        const flaw = flaws[Math.floor(random() * flaws.length)]
        // The signature of an anchor is judged by nobody, but OpenSSL does not chain to itself what did not sign itself.
        const options = flaw?.(level) ?? {}
        return level === depth ? { ...options, signWith: undefined as never } : options
      })
      return { chain }
    })
    expect(counts.trusted).toBeGreaterThan(80)
    expect(counts.refused).toBeGreaterThan(80)
  })

  it('agrees on name constraints', async () => {
    const { dns, email, directory, uri } = generalName
    const organisation = (name: string, ...more: string[]) =>
      sequenceOf(
        ...[name, ...more].map((value) =>
          der(tags.set, sequenceOf(objectIdentifier('2.5.4.11'), der(tags.utf8String, Buffer.from(value)))),
        ),
      )
    const bases = [
      ...['hisp.test', 'test', 'a.hisp.test', 'other.test', 'isp.test'].map(dns),
      ...['hisp.test', '.test', '.hisp.test', 'alice@hisp.test', 'carol@hisp.test'].map(email),
      ...['hisp.test', '.test', 'other.test'].map(uri),
      ...[organisation('A'), organisation('B'), organisation('A', 'B'), sequenceOf()].map(directory),
    ]
    const subjects = [
      organisation('A'),
      organisation('A', 'B'),
      organisation('A', 'C'),
      organisation('b'),
      organisation('B', 'A'),
    ]
    const counts = await compare(400, 2, (random, run) => {
      const pick = <Value>(list: readonly Value[]) => list[Math.floor(random() * list.length)] as Value
      const some = <Value>(list: readonly Value[]) => Array.from({ length: Math.floor(random() * 3) }, () => pick(list))
      const depth = 1 + Math.floor(random() * 3)
      const chain = chainOf(depth, (level) => {
        const [permitted, excluded] = [some(bases), random() < 0.3 ? some(bases) : []]
        const constrained = level > 0 && permitted.length + excluded.length > 0 && random() < 0.7
        return {
          // A name of its own for each authority, else names would chain in circles.
          subject: sequenceOf(
            pick(subjects).subarray(2),
            der(
              tags.set,
              sequenceOf(objectIdentifier('2.5.4.3'), der(tags.utf8String, Buffer.from(`n${run}.${level}`))),
            ),
          ),
          ...(constrained
            ? {
                extensions: [
                  { oid: oids.nameConstraints, critical: true, value: nameConstraints(permitted, excluded) },
                ],
              }
            : {}),
          ...(level === 0
            ? {
                san: {
                  dns: random() < 0.6 ? ['hisp.test'] : ['x.test', 'a.hisp.test', 'hisp.test'],
                  email: random() < 0.5 ? [] : [pick(['alice@hisp.test', 'bob@a.hisp.test'])],
                  raw:
                    random() < 0.3
                      ? [uri(pick(['http://hisp.test/a', 'ftp://b.hisp.test:21/', 'http://other.test']))]
                      : [],
                },
              }
            : {}),
        }
      })
      return { chain }
    })
    expect(counts.trusted).toBeGreaterThan(60)
    expect(counts.refused).toBeGreaterThan(60)
  })

  it('agrees on certificate policies, mappings and their constraints', async () => {
    const [p1, p2, p3] = ['1.3.6.1.4.1.99999.10.1', '1.3.6.1.4.1.99999.10.2', '1.3.6.1.4.1.99999.10.3'] as const
    const any = '2.5.29.32.0'
    const counts = await compare(600, 3, (random, run) => {
      const pick = <Value>(list: readonly Value[]) => list[Math.floor(random() * list.length)] as Value
      const depth = 1 + Math.floor(random() * 4)
      const chain = chainOf(depth, (level) => {
        const extensions: { oid: string; critical: boolean; value: Uint8Array }[] = []
        const add = (oid: string, value: Uint8Array) => extensions.push({ oid, critical: random() < 0.5, value })
        const policies = new Set(
          random() < 0.08 ? [] : [pick([p1, p1, p1, p2, any]), ...(random() < 0.5 ? [pick([p1, p2, p3, any])] : [])],
        )
        if (policies.size > 0 && level < depth)
          add(
            oids.certificatePolicies,
            sequenceOf(...[...policies].map((policy) => sequenceOf(objectIdentifier(policy)))),
          )
        // OpenSSL loses what was mapped out of anyPolicy when a later certificate has anyPolicy; RFC 9618 keeps it.
        if (level > 0 && level < depth && !policies.has(any) && random() < 0.3) {
          const pairs = new Set(
            Array.from({ length: 1 + Math.floor(random() * 2) }, () => `${pick([p1, p2, p3])} ${pick([p1, p2, p3])}`),
          )
          const value = [...pairs].map((pair) => sequenceOf(...pair.split(' ').map(objectIdentifier)))
          add(oids.policyMappings, sequenceOf(...value))
        }
        if (level < depth && random() < 0.3) {
          const fields: Uint8Array[] = []
          const number = () => integer(Math.floor(random() * 3)).subarray(2)
          if (random() < 0.7) fields.push(contextPrimitive(0, number()))
          if (fields.length === 0 || random() < 0.4) fields.push(contextPrimitive(1, number()))
          add(oids.policyConstraints, sequenceOf(...fields))
        }
        if (level > 0 && level < depth && random() < 0.2) add(oids.inhibitAnyPolicy, integer(Math.floor(random() * 2)))
        const selfIssued = level > 0 && level < depth - 1 && random() < 0.15
        return selfIssued
          ? { extensions, name: `Rolled ${run}` }
          : { extensions, ...(level === depth - 1 && level > 0 ? { name: `Rolled ${run}` } : {}) }
      })
      const required = random() < 0.4 ? [] : random() < 0.7 ? [pick([p1, p2, p3])] : [p1, p3]
      return {
        chain,
        policy: { requiredPolicies: required },
        arguments: [
          '-policy_check',
          ...(required.length > 0 ? ['-explicit_policy'] : []),
          // Without any, OpenSSL takes the initial policy set for empty.
          ...(required.length > 0 ? required : [any]).flatMap((policy) => ['-policy', policy]),
        ],
      }
    })
    expect(counts.trusted).toBeGreaterThan(120)
    expect(counts.refused).toBeGreaterThan(120)
  })
})
