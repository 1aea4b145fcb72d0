import { hash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { bundleQueue } from '../../src/directory/bundle-rows.js'
import { openVault } from '../../src/keyring/vault.js'
import { type BundleTrustPorts, judgeBundle } from '../../src/pipeline/bundle-content.js'
import { readMetadata } from '../../src/pipeline/bundle-metadata.js'
import { type BundlePorts, bundleRefresh, openBundles, startBundleRefresh } from '../../src/pipeline/bundles.js'
import type { RevocationAnswer } from '../../src/ports/trust.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { decideTrust } from '../../src/trust/decide.js'
import { certificatesIn, readBundle } from '../../src/x509/bundle.js'
import { decided, made, random, serving, world } from '../directory/worlds.js'
import { keeper, p7b, p7m } from '../fixtures/bundles.js'
import { dayMs, type Identity, makeAuthority, makeIntermediate, makeLeaf, pem } from '../fixtures/pki.js'
import { check } from '../upkeep/world.js'

const [one, two, three] = [makeAuthority(), makeAuthority(), makeAuthority()]
const community = makeAuthority({ name: 'Community' })
const signer = makeLeaf(community, { keyType: 'p256', keyUsage: ['digitalSignature'], eku: [] })
const url = 'https://community.test/bundle.p7m'
const domain = 'clinic.test' as DirectDomain
const address = `ward@${domain}` as DirectAddress
const anchorsOf = (...identities: readonly Identity[]) => identities.map(({ fingerprint }) => fingerprint).sort()

let revoked: RevocationAnswer = { kind: 'not-published' }
const trusting: BundleTrustPorts = {
  revocation: { status: async () => revoked },
  issuers: { of: async () => [] },
}
afterEach(() => {
  revoked = { kind: 'not-published' }
})

async function judged(bytes: Uint8Array, pinned?: { readonly certificate: Uint8Array }, at = Date.now()) {
  const outcome = await judgeBundle({ bytes, signer: pinned?.certificate, at }, trusting)
  return outcome.kind === 'refused' ? outcome.fault : outcome.content.certificates.map((der) => shortOf(der)).join()
}

function shortOf(der: Uint8Array): string {
  const named = Object.entries({ one, two, three, community, signer }).find(
    ([, { certificate }]) => Buffer.compare(certificate, der) === 0,
  )
  return named?.[0] ?? 'another'
}

describe('judging a bundle', () => {
  const bundle = p7b([one, two])
  const signed = p7m(bundle, signer, { beside: [signer, community] })

  it('takes what the configured signer signed, and never his own certificate', async () => {
    expect(await judged(signed, signer)).toBe('one,two')
    expect(await judged(p7m(bundle, signer, { beside: [] }), signer)).toBe('one,two')
    expect(await judged(Buffer.from(pem('CMS', signed)), signer)).toBe('one,two')
    expect(await judged(p7m(Buffer.from(pem('PKCS7', bundle)), signer), signer)).toBe('one,two')
  })

  it('takes what somebody signed whose certificate chains to the configured one', async () => {
    const middle = makeIntermediate(community, { eku: [] })
    const below = makeLeaf(middle, { keyType: 'p256', eku: [] })
    expect(await judged(signed, community)).toBe('one,two')
    expect(await judged(p7m(bundle, below, { beside: [below, middle] }), community)).toBe('one,two')
    // An end entity vouches for itself alone, though it signed another certificate.
    expect(await judged(p7m(bundle, makeLeaf(signer, { keyType: 'p256' })), signer)).toBe('signer-not-trusted')
  })

  it('refuses one without a signature where a signer is configured', async () => {
    expect(await judged(bundle, signer)).toBe('unsigned')
    expect(await judged(p7b([signer, one]), signer)).toBe('unsigned')
    expect(await judged(p7b([signer], bundle), signer)).toBe('unsigned')
    expect(await judged(Buffer.from(one.certificatePem), signer)).toBe('unsigned')
  })

  it('refuses the signature of anybody else, however he calls himself', async () => {
    const other = makeLeaf(makeAuthority({ name: 'Community' }), { keyType: 'p256', eku: [] })
    const posing = makeLeaf(makeAuthority(), {
      keyType: 'p256',
      subject: signer.subject,
      subjectKeyIdentifier: signer.subjectKeyIdentifier,
      serial: signer.serial,
    })
    expect(await judged(p7m(bundle, other), signer)).toBe('signer-not-trusted')
    expect(await judged(p7m(bundle, posing), signer)).toBe('signer-not-trusted')
    expect(await judged(p7m(bundle, other), community)).toBe('signer-not-trusted')
    // The certificate of the configured signer beside the signature of another.
    expect(await judged(p7m(bundle, signer, { by: other, beside: [signer] }), signer)).toBe('signature-invalid')
  })

  it('refuses a signature over something else', async () => {
    expect(await judged(p7m(bundle, signer, { over: p7b([three]) }), signer)).toBe('signature-invalid')
    const swapped = Buffer.from(signed)
    const at = swapped.indexOf(Buffer.from(one.certificate).subarray(-20))
    swapped[at] = (swapped[at] ?? 0) ^ 1
    expect(await judged(swapped, signer)).toBe('signature-invalid')
    expect(await judged(swapped)).toBe('signature-invalid')
  })

  it('refuses weak digests, small keys, and signers whose certificate does not hold', async () => {
    const now = Date.now()
    const weak = makeLeaf(community, { keyType: 'rsa1024', eku: [] })
    const expired = makeLeaf(community, { keyType: 'p256', notBefore: now - 9 * dayMs, notAfter: now - dayMs })
    const early = makeLeaf(community, { keyType: 'p256', notBefore: now + dayMs })
    const encrypting = makeLeaf(community, { keyType: 'p256', keyUsage: ['keyAgreement'] })
    const rsa = makeLeaf(community, { keyType: 'rsa2048' })
    expect(await judged(p7m(bundle, rsa), rsa)).toBe('one,two')
    expect(await judged(p7m(bundle, rsa, { digest: 'md5' }), rsa)).toBe('signature-invalid')
    expect(await judged(p7m(bundle, signer, { digest: 'sha1' }), signer)).toBe('signature-invalid')
    for (const flawed of [weak, expired, early, encrypting])
      for (const pinned of [flawed, community])
        expect(await judged(p7m(bundle, flawed), pinned)).toBe('signer-not-trusted')
    expect(await judged(signed, signer, now + 400 * dayMs)).toBe('signer-not-trusted')
  })

  it('refuses a signer whom his authority revoked, and takes one of whom nothing can be learnt', async () => {
    revoked = { kind: 'revoked', at: 0, reason: 'keyCompromise' }
    expect(await judged(signed, community)).toBe('signer-not-trusted')
    revoked = { kind: 'unavailable', detail: 'the list is away' }
    expect(await judged(signed, community)).toBe('one,two')
  })

  it('refuses what has no bundle in it, or one more signature', async () => {
    expect(await judged(p7m(Buffer.from('hello'), signer), signer)).toBe('unreadable')
    expect(await judged(p7m(p7b([]), signer), signer)).toBe('empty')
    expect(await judged(p7m(signed, signer), signer)).toBe('unreadable')
    expect(await judged(p7b([]))).toBe('empty')
  })

  it('without a configured signer takes it as it stands, and says that nobody vouches for it', async () => {
    expect(await judged(bundle)).toBe('one,two')
    expect(await judgeBundle({ bytes: signed, signer: undefined, at: Date.now() }, trusting)).toMatchObject({
      kind: 'sound',
      warnings: ['signature-not-checked'],
    })
  })

  it('never takes anchors that the signer did not sign, however the bytes were bent', async () => {
    const good = new Set([one, two].map(({ fingerprint }) => fingerprint))
    const accepted: string[] = []
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), async (changes) => {
        const bent = Buffer.from(signed)
        for (const [at, value] of changes) bent[at % bent.length] = value
        const outcome = await judgeBundle({ bytes: bent, signer: signer.certificate, at: Date.now() }, trusting)
        if (outcome.kind === 'refused') return outcome.detail !== ''
        const read = readBundle(p7b(outcome.content.certificates.map((certificate) => ({ certificate }))))
        if (read.kind === 'bundle') accepted.push(...read.certificates.map(({ fingerprint }) => fingerprint))
        return true
      }),
      { numRuns: 2_000 },
    )
    // Bytes that nothing covers, as those of the certificates beside the content, may change.
    expect(accepted.length).toBeGreaterThan(0)
    expect(accepted.filter((id) => !good.has(id))).toEqual([])
    // The same question put to a reader that looks for certificates first, as some do: it must be answered otherwise.
    const loose = certificatesIn(signed).map((certificate) => hash('sha256', certificate, 'hex'))
    expect(loose.filter((id) => !good.has(id))).toEqual([signer.fingerprint, community.fingerprint])
  })
})

describe('the metadata of a bundle', () => {
  it('is kept as plain facts, whatever the namespace', () => {
    const xml = `<?xml version="1.0"?><b:TrustBundle xmlns:b="urn:test:bundle" version="2"><b:Name>Pilots</b:Name>
      <b:Profile>Level 1</b:Profile><b:DistributionPoint>https://community.test/b.p7b</b:DistributionPoint>
      <b:TrustAnchor id="x"><b:Organization>One &amp; Co</b:Organization></b:TrustAnchor></b:TrustBundle>`
    expect(readMetadata(Buffer.from(xml))).toEqual({
      name: 'Pilots',
      profile: 'Level 1',
      distributionPoint: 'https://community.test/b.p7b',
      facts: [
        ['TrustBundle@version', '2'],
        ['TrustBundle/Name', 'Pilots'],
        ['TrustBundle/Profile', 'Level 1'],
        ['TrustBundle/DistributionPoint', 'https://community.test/b.p7b'],
        ['TrustBundle/TrustAnchor@id', 'x'],
        ['TrustBundle/TrustAnchor/Organization', 'One & Co'],
      ],
    })
  })

  it('is left out where it is no XML, has entities of its own, or is too much; the anchors stay', async () => {
    const xml = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'
    expect(readMetadata(Buffer.from(xml))).toBeUndefined()
    expect(readMetadata(Buffer.from('profile=1'))).toBeUndefined()
    const many = readMetadata(Buffer.from(`<a>${'<b>words</b>'.repeat(9_000)}</a>`))
    expect(many?.facts).toHaveLength(1_000)
    expect(await judgeBundle({ bytes: p7b([one], xml), signer: undefined, at: 0 }, trusting)).toMatchObject({
      kind: 'sound',
      warnings: ['metadata-unreadable'],
    })
    const told = p7m(p7b([one], '<a><Profile>p</Profile></a>'), signer)
    expect(await judgeBundle({ bytes: told, signer: signer.certificate, at: Date.now() }, trusting)).toMatchObject({
      content: { metadata: { profile: 'p' }, signedBy: signer.fingerprint },
    })
  })
})

async function gateway(answer: Uint8Array = p7b([one, two])) {
  const here = await world()
  await serving(here.directory, domain, 'ward')
  const source = keeper(answer, { etag: '"1"' })
  const logged: string[] = []
  const say = (event: string, fields?: object) => void logged.push(`${event} ${JSON.stringify(fields ?? {})}`)
  const ports: BundlePorts = {
    ...trusting,
    directory: here.directory,
    fetch: source.fetch,
    store: here.store,
    audit: here.ports.audit,
    clock: here.clock,
    random,
    log: { info: say, warn: say, error: say },
  }
  const bundles = openBundles(ports)
  const inForce = async (direction: 'in' | 'out' = 'in', at: DirectAddress = address) =>
    decided(await here.directory.anchors.of(at, direction))
      .map(({ certificate }) => readBundle(certificate))
      .flatMap((read) => (read.kind === 'bundle' ? read.certificates.map(({ fingerprint }) => fingerprint) : []))
      .sort()
  const audited = async () =>
    (await here.store.log('audit', 1, 1_000)).map(
      ({ value }) => JSON.parse(Buffer.from(value).toString()) as Record<string, unknown>,
    )
  const status = async () => (await here.directory.bundles.get('pilots'))?.status
  return { ...here, source, bundles, inForce, audited, logged, ports, status }
}

const both = [{ domain, direction: 'both' as const }]

describe('a bundle in force', () => {
  it('is trusted by the domain that uses it, in that direction, and loses what the source removed', async () => {
    const { bundles, source, inForce, audited, directory } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: [{ domain, direction: 'in' }] }, 'operator'))
    expect(await inForce()).toEqual(anchorsOf(one, two))
    expect(await inForce('out')).toEqual([])
    source.has(p7b([two, three]))
    expect(await bundles.refresh('pilots', 'operator')).toEqual({
      kind: 'replaced',
      added: [three.fingerprint],
      removed: [one.fingerprint],
      warnings: [],
    })
    expect(await inForce()).toEqual(anchorsOf(two, three))
    expect(await inForce('in', `other@other.test` as DirectAddress)).toEqual([])
    expect((await audited()).at(-1)).toMatchObject({
      action: 'bundle.replaced',
      actor: 'operator',
      subject: { bundle: 'pilots', added: '1', addedIds: three.fingerprint, removed: '1', removedIds: one.fingerprint },
    })
    expect(await directory.bundles.anchorsOf('pilots')).toHaveLength(2)
  })

  it('stops mail from a removed anchor at the next load, without a restart', async () => {
    const { bundles, source, directory, ports } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both }, 'operator'))
    const sender = 'nurse@far.test' as DirectAddress
    const leaf = makeLeaf(one, { keyType: 'p256', san: { email: [sender] }, eku: [oids.emailProtection] })
    const verdict = async () => {
      const signed = { kind: 'verified', certificate: leaf.certificate, digest: 'sha256', signature: 'ecdsa' } as const
      const question = { recipient: address, sender, signers: [signed], bag: [], at: Date.now() }
      return (await decideTrust(question, { ...trusting, anchors: directory.anchors })).kind
    }
    expect(await verdict()).toBe('trusted')
    source.has(p7b([two]))
    made(await openBundles(ports).refresh('pilots', 'system'))
    expect(await verdict()).toBe('refused')
  })

  it('hands out the very same list while nothing changed, shared by the domains that use it', async () => {
    const { bundles, directory } = await gateway()
    await serving(directory, 'second.test', 'ward')
    const second = 'ward@second.test' as DirectAddress
    const uses = [...both, { domain: 'second.test' as DirectDomain, direction: 'in' as const }]
    made(await bundles.add({ name: 'pilots', url, uses }, 'operator'))
    const first = await directory.anchors.of(address, 'in')
    expect(await directory.anchors.of(address, 'in')).toBe(first)
    expect(await directory.anchors.of(second, 'in')).toBe(first)
    made(await directory.anchors.add({ owner: domain, certificate: three.certificate, direction: 'in' }, 'operator'))
    const joined = decided(await directory.anchors.of(address, 'in'))
    expect(joined).toHaveLength(3)
    expect(await directory.anchors.of(address, 'in')).toBe(joined)
    expect(await bundles.refresh('pilots', 'operator')).toEqual({ kind: 'unchanged' })
    expect(await directory.anchors.of(address, 'in')).toBe(joined)
  })

  it('ends at once with the bundle, its use, or its removal on another node', async () => {
    const { bundles, directory, inForce, again } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both }, 'operator'))
    const other = await again()
    expect(decided(await other.anchors.of(address, 'in'))).toHaveLength(2)
    made(await directory.bundles.detach('pilots', domain, 'operator'))
    expect(await inForce()).toEqual([])
    expect(await other.refresh()).toBe(true)
    expect(decided(await other.anchors.of(address, 'in'))).toHaveLength(0)
    made(await directory.bundles.attach('pilots', domain, 'out', 'operator'))
    expect(await inForce('out')).toEqual(anchorsOf(one, two))
    made(await directory.bundles.remove('pilots', 'operator'))
    expect(await inForce('out')).toEqual([])
    expect(await directory.bundles.list()).toEqual([])
  })
})

describe('loading a bundle anew', () => {
  it('keeps the last good copy whatever comes, and calls for a person', async () => {
    const { bundles, source, inForce, audited, logged, status } = await gateway(p7m(p7b([one, two]), signer))
    made(await bundles.add({ name: 'pilots', url, signer: signer.certificate, uses: both }, 'operator'))
    const failures: readonly [string, () => void][] = [
      ['not-fetched', () => source.says({ kind: 'failed', detail: 'community.test answered 500' })],
      ['unreadable', () => source.has(Buffer.from('<html>'))],
      ['unreadable', () => source.has(new Uint8Array())],
      ['empty', () => source.has(p7b([]))],
      ['unsigned', () => source.has(p7b([three]))],
      ['empty', () => source.has(p7m(p7b([]), signer))],
      ['signer-not-trusted', () => source.has(p7m(p7b([three]), makeLeaf(makeAuthority(), { keyType: 'p256' })))],
      ['too-large', () => source.has(new Uint8Array(9_000_000))],
    ]
    for (const [fault, happen] of failures) {
      happen()
      const refreshed = await bundles.refresh('pilots', 'operator')
      expect(refreshed).toMatchObject({ kind: 'failed', fault })
      expect(await inForce()).toEqual(anchorsOf(one, two))
    }
    expect(await status()).toMatchObject({ failures: failures.length, failure: { fault: 'too-large' } })
    expect((await audited()).filter(({ action }) => action === 'alarm')).toEqual([
      expect.objectContaining({ subject: { bundle: 'pilots' }, reason: 'not-fetched', outcome: 'failed' }),
    ])
    expect(logged.filter((line) => line.startsWith('alarm'))).toHaveLength(1)
    source.has(p7m(p7b([two]), signer))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'replaced' })
    expect((await status())?.failure).toBeUndefined()
  })

  it('never takes an empty bundle for a wish to trust nobody', async () => {
    const { bundles, source, inForce } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both }, 'operator'))
    source.has(p7b([]))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'failed', fault: 'empty' })
    source.has(p7b([makeAuthority({ name: 'TEST ONLY' })]))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'failed', fault: 'not-kept' })
    expect(await inForce()).toEqual(anchorsOf(one, two))
  })

  it('does not go back to a bundle that was signed before the one in force', async () => {
    const now = Date.now()
    const signedAt = (anchors: readonly Identity[], at?: number) =>
      p7m(p7b(anchors), signer, at === undefined ? {} : { at })
    const { bundles, source, inForce } = await gateway(signedAt([one], now - 2 * dayMs))
    made(await bundles.add({ name: 'pilots', url, signer: signer.certificate, uses: both }, 'operator'))
    source.has(signedAt([two], now - dayMs))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'replaced' })
    source.has(signedAt([one], now - 2 * dayMs))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'failed', fault: 'older' })
    expect(await inForce()).toEqual(anchorsOf(two))
    // Where the community means it, the operator says so.
    made(await bundles.change({ name: 'pilots' }, 'operator'))
    expect(await inForce()).toEqual(anchorsOf(one))
    source.has(signedAt([three], now + dayMs))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'replaced' })
    source.has(signedAt([two], now))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'replaced' })
    source.has(signedAt([one]))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ kind: 'replaced' })
  })

  it('asks only whether it changed, and believes no "not modified" without a copy', async () => {
    const { bundles, source, status } = await gateway()
    made(await bundles.add({ name: 'pilots', url }, 'operator'))
    source.says({ kind: 'not-modified' })
    expect(await bundles.refresh('pilots', 'operator')).toEqual({ kind: 'unchanged' })
    expect(source.asked.map(({ known }) => known)).toEqual([undefined, { etag: '"1"' }])
    expect((await status())?.validators).toEqual({ etag: '"1"' })
    made(await bundles.add({ name: 'later', url, later: true }, 'operator'))
    expect(await bundles.refresh('later', 'operator')).toMatchObject({ kind: 'failed', fault: 'not-fetched' })
    expect(source.asked.at(-1)?.known).toBeUndefined()
  })

  it('calls again after a day, and once more when the copy has become old', async () => {
    const { bundles, source, clock, audited } = await gateway()
    made(await bundles.add({ name: 'pilots', url, refreshMs: 3_600_000 }, 'operator'))
    source.says({ kind: 'failed', detail: 'away' })
    const alarms = async () => (await audited()).filter(({ action }) => action === 'alarm').length
    const seen: number[] = []
    for (const hours of [1, 1, 2, 1, 20, 4, 1]) {
      clock.advance(hours * 3_600_000)
      await bundles.refresh('pilots', 'system')
      seen.push(await alarms())
    }
    expect(seen).toEqual([1, 1, 2, 2, 2, 3, 3])
  })

  it('notes nothing where the bundle was changed or removed meanwhile', async () => {
    const { bundles, ports, directory, inForce } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both }, 'operator'))
    const removing = openBundles({
      ...ports,
      async fetch() {
        made(await directory.bundles.remove('pilots', 'operator'))
        return { kind: 'fetched', bytes: p7b([three]), validators: {} }
      },
    })
    expect(await removing.refresh('pilots', 'system')).toMatchObject({ kind: 'refused', problem: 'changed-meanwhile' })
    expect(await inForce()).toEqual([])
    expect(await directory.bundles.anchorsOf('pilots')).toEqual([])
  })
})

describe('bundles that are due', () => {
  const moment = () => new Promise((resolve) => setTimeout(resolve, 10))
  async function until(holds: () => Promise<boolean>) {
    for (let i = 0; i < 300 && !(await holds()); i++) await moment()
    expect(await holds()).toBe(true)
  }

  it('are loaded once however many nodes run, sooner than their interval and never later', async () => {
    const { bundles, source, clock, store, ports, inForce } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both, refreshMs: 3_600_000 }, 'operator'))
    const due = (await store.nextDue(bundleQueue)) ?? 0
    expect(due - clock.now()).toBeGreaterThanOrEqual(0.9 * 3_600_000)
    expect(due - clock.now()).toBeLessThanOrEqual(3_600_000)
    clock.set(due)
    source.has(p7b([three]))
    const nodes = [startBundleRefresh(ports), startBundleRefresh(ports)]
    await until(async () => (await inForce()).join() === three.fingerprint)
    for (const node of nodes) expect(await node.stop(5_000)).toBe(true)
    expect(source.asked).toHaveLength(2)
    const [job, ...others] = await store.jobs(bundleQueue, 10)
    expect(others).toEqual([])
    expect(job?.dueAt).toBeGreaterThan(clock.now())
  })

  it('are tried again soon after a failure, and forgotten once they were removed', async () => {
    const { bundles, source, clock, store, ports, directory, status } = await gateway()
    made(await bundles.add({ name: 'pilots', url }, 'operator'))
    source.says({ kind: 'failed', detail: 'away' })
    clock.set((await store.nextDue(bundleQueue)) ?? 0)
    const node = startBundleRefresh(ports)
    await until(async () => (await status())?.failures === 1)
    const next = (await store.jobs(bundleQueue, 1))[0]?.dueAt ?? 0
    expect(next - clock.now()).toBeLessThanOrEqual(bundleRefresh.retryMs)
    made(await directory.bundles.remove('pilots', 'operator'))
    made(await bundles.add({ name: 'pilots', url, later: true }, 'operator'))
    clock.set(next)
    node.nudge()
    await until(async () => (await store.jobs(bundleQueue, 10)).length === 1)
    expect(await node.stop(5_000)).toBe(true)
  })
})

describe('adding a bundle', () => {
  it('refuses what cannot be loaded, unless it is to be loaded later', async () => {
    const { bundles, source, directory, store } = await gateway()
    source.says({ kind: 'failed', detail: 'no such host' })
    const lost = await bundles.add({ name: 'pilots', url }, 'operator')
    expect(lost).toMatchObject({ kind: 'refused', fault: 'not-fetched' })
    expect(await directory.bundles.list()).toEqual([])
    made(await bundles.add({ name: 'pilots', url, later: true }, 'operator'))
    expect(await directory.bundles.get('pilots')).toMatchObject({ url, status: { failures: 0 } })
    expect(await store.jobs(bundleQueue, 10)).toHaveLength(1)
  })

  it('takes a file, which is never loaded by itself, and another file in its place', async () => {
    const { bundles, inForce, store, source } = await gateway()
    made(await bundles.add({ name: 'pilots', file: p7b([one]), uses: both }, 'operator'))
    expect(await inForce()).toEqual(anchorsOf(one))
    made(await bundles.change({ name: 'pilots', file: p7b([two]) }, 'operator'))
    expect(await inForce()).toEqual(anchorsOf(two))
    expect(await bundles.refresh('pilots', 'operator')).toMatchObject({ problem: 'bad-url' })
    expect([await store.jobs(bundleQueue, 10), source.asked]).toEqual([[], []])
  })

  it('changes its signer without a moment in which nobody is trusted', async () => {
    const { bundles, source, inForce, store, directory } = await gateway(p7m(p7b([one]), signer))
    made(await bundles.add({ name: 'pilots', url, signer: signer.certificate, uses: both }, 'operator'))
    const next = makeLeaf(community, { keyType: 'p256' })
    expect(await bundles.change({ name: 'pilots', signer: next.certificate }, 'operator')).toMatchObject({
      fault: 'signer-not-trusted',
    })
    source.has(p7m(p7b([one, three]), next))
    made(await bundles.change({ name: 'pilots', signer: next.certificate }, 'operator'))
    expect(await inForce()).toEqual(anchorsOf(one, three))
    const bundle = await directory.bundles.get('pilots')
    expect(bundle).toMatchObject({ url, signer: { id: next.fingerprint } })
    expect((await store.jobs(bundleQueue, 10)).filter(({ id }) => id === bundle?.job)).toHaveLength(1)
  })

  it('refuses names, places, intervals and domains that do not do, and a name twice', async () => {
    const { bundles } = await gateway()
    const add = async (bundle: object) => {
      const outcome = await bundles.add({ name: 'pilots', url, ...bundle }, 'operator')
      return 'problem' in outcome ? outcome.problem : outcome.kind
    }
    expect(await add({ name: 'Two words' })).toBe('bad-bundle-name')
    expect(await add({ name: 'a'.repeat(65) })).toBe('bad-bundle-name')
    for (const bad of ['ftp://community.test/b', 'https://me:secret@community.test/b', 'community.test', 'file:///b'])
      expect(await add({ url: bad })).toBe('bad-url')
    expect(await add({ refreshMs: 1_000 })).toBe('bad-interval')
    expect(await add({ refreshMs: 8 * dayMs })).toBe('bad-interval')
    expect(await add({ uses: [{ domain: 'far.test', direction: 'in' }] })).toBe('domain-not-served')
    expect(await add({ uses: [{ domain, direction: 'up' }] })).toBe('bad-direction')
    expect(await add({})).toBe('kept')
    expect(await add({})).toBe('already-exists')
  })

  it('warns of what is fetched in the clear and signed by nobody', async () => {
    const { bundles } = await gateway()
    const open = await bundles.add({ name: 'open', url: 'http://community.test/b.p7b' }, 'operator')
    expect(open).toMatchObject({ warnings: ['fetched-in-the-clear'] })
    expect(await bundles.add({ name: 'closed', url }, 'operator')).toMatchObject({ warnings: [] })
  })
})

describe('the rows of bundles', () => {
  it('are of known families, whole, and told where one is gone', async () => {
    const { bundles, store, keyring, clock } = await gateway()
    made(await bundles.add({ name: 'pilots', url, uses: both }, 'operator'))
    made(await bundles.add({ name: 'file', file: p7b([three]) }, 'operator'))
    made(await bundles.add({ name: 'later', url, later: true }, 'operator'))
    const vault = openVault({ store, keyring, random })
    const { findings } = check({ store, blobs: createMemoryBlobs(clock), vault, unwrap: keyring.unwrap })
    expect((await findings()).findings).toEqual([])
    // The bundle that was never loaded is due first.
    const [job] = await store.claim(bundleQueue, 1, 1_000)
    await store.commit({ del: ['directory/bundle-status/pilots', `directory/bundle-anchor/file ${three.fingerprint}`] })
    if (job) await store.commit({ ack: [{ job }] })
    const gone = (await findings()).findings.map(({ kind, row }) => `${kind} ${row}`).sort()
    expect(gone).toEqual([
      'missing directory/bundle/file',
      'missing directory/bundle/later',
      'missing directory/bundle/pilots',
    ])
  })
})
