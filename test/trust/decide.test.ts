import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Signer } from '../../src/direct/signer.js'
import { dayMs, generalName, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { alice, bob, decide, portsOf, wordOf } from './world.js'

const root = makeAuthority()
const stranger = makeAuthority()
const ec = { keyType: 'p256' as const }
const ours = { ...ec, san: { dns: ['hisp.test'] } }
const leaf = makeLeaf(root, ours)
const ports = portsOf({ anchors: [root] })

describe('binding to the sender', () => {
  it.each([
    ['its domain', { dns: ['hisp.test'] }, 'trusted'],
    ['its domain in upper case', { dns: ['HISP.Test'] }, 'trusted'],
    ['the address', { email: ['alice@hisp.test'] }, 'trusted'],
    ['the address with an upper-case local part', { email: ['ALICE@hisp.test'] }, 'trusted'],
    ['two DNS names, ours second', { dns: ['other.test', 'hisp.test'] }, 'trusted'],
    ['another address and our domain', { email: ['x@other.test'], dns: ['hisp.test'] }, 'trusted'],
    ['two addresses, ours second', { email: ['x@other.test', 'alice@hisp.test'] }, 'trusted'],
    ['another address of the domain', { email: ['bob@hisp.test'] }, 'signer-not-bound'],
    ['another domain', { dns: ['other.test'] }, 'signer-not-bound'],
    ['a parent domain', { dns: ['test'] }, 'signer-not-bound'],
    ['a subdomain', { dns: ['a.hisp.test'] }, 'signer-not-bound'],
    ['a wildcard', { dns: ['*.test', '*.hisp.test', '*'] }, 'signer-not-bound'],
    ['a NUL behind the domain', { dns: ['hisp.test\0.evil.test'] }, 'signer-not-bound'],
    ['a NUL behind the address', { email: ['alice@hisp.test\0'] }, 'signer-not-bound'],
    ['the address as a DNS name', { dns: ['alice@hisp.test'] }, 'signer-not-bound'],
    ['the domain as an e-mail address', { email: ['hisp.test'] }, 'signer-not-bound'],
    ['the address as a URI', { raw: [generalName.uri('alice@hisp.test')] }, 'signer-not-bound'],
    ['nothing', {}, 'signer-not-bound'],
  ])('judges a certificate with %s', async (_, san, expected) => {
    expect(await wordOf(decide([makeLeaf(root, { ...ec, san })], ports))).toBe(expected)
  })

  it('ignores an e-mail address in the subject', async () => {
    expect(await wordOf(decide([makeLeaf(root, { ...ec, name: 'alice@hisp.test' })], ports))).toBe('signer-not-bound')
  })
})

describe('several signers', () => {
  const rogue = makeLeaf(stranger, ours)
  it.each([
    ['first', [leaf, rogue]],
    ['last', [rogue, leaf]],
  ])('trusts the good one when it is %s', async (_, signers) => {
    const verdict = await decide(signers, ports)
    expect(verdict).toMatchObject({ kind: 'trusted', warnings: [] })
    expect(verdict.kind === 'trusted' && Buffer.compare(verdict.signer, leaf.certificate)).toBe(0)
    expect(verdict.candidates.map(({ outcome }) => outcome).sort()).toEqual(['no-anchor', 'trusted'])
    expect(verdict.candidates.find(({ outcome }) => outcome === 'trusted')?.path).toEqual([
      leaf.fingerprint,
      root.fingerprint,
    ])
  })

  it('says no-trusted-signer when several are bound and none is trusted, with each reason', async () => {
    const expired = makeLeaf(root, { ...ours, notBefore: Date.now() - 2 * dayMs, notAfter: Date.now() - dayMs })
    const verdict = await decide([rogue, expired], ports)
    expect(verdict).toMatchObject({ kind: 'refused', reason: 'no-trusted-signer' })
    expect(verdict.candidates.map(({ outcome }) => outcome)).toEqual(['no-anchor', 'certificate-expired'])
  })

  it('gives the reason of the only bound one, whatever the others are', async () => {
    const unbound = makeLeaf(root, { ...ec, san: { dns: ['other.test'] } })
    expect(await wordOf(decide([unbound, rogue], ports))).toBe('no-anchor')
  })

  const unverified: Signer = {
    kind: 'unverified',
    certificate: leaf.certificate,
    reason: 'signature-invalid',
    detail: 'digest differs',
  }
  it('never trusts a signature that was not verified', async () => {
    expect(await wordOf(decide([unverified], ports))).toBe('signature-invalid')
    expect(await wordOf(decide([unverified, rogue], ports))).toBe('no-anchor')
    const missing: Signer = { kind: 'unverified', reason: 'signer-certificate-missing', detail: '' }
    expect(await wordOf(decide([missing], ports))).toBe('signer-certificate-missing')
    expect(await wordOf(decide([missing, unverified], ports))).toBe('no-trusted-signer')
    expect(await wordOf(decide([], ports))).toBe('not-signed')
  })

  it('finds a good one behind many bad ones of other senders', async () => {
    const strangers = Array.from({ length: 20 }, () => makeLeaf(root, { ...ec, san: { dns: ['other.test'] } }))
    expect(await wordOf(decide([...strangers, leaf], ports))).toBe('trusted')
  })
})

describe('anchors of the recipient', () => {
  it('differ by recipient, so that trust may be partial', async () => {
    const partial = portsOf({ anchors: [{ identity: root, owner: bob, direction: 'both' }] })
    expect(await wordOf(decide([leaf], partial))).toBe('trusted')
    const carol = 'carol@clinic.test' as DirectAddress
    expect(await wordOf(decide([leaf], partial, { recipient: carol }))).toBe('no-anchor')
  })

  it('serve their direction only, except that notices may come from whom we send to', async () => {
    const incoming = portsOf({ anchors: [{ identity: root, direction: 'in' }] })
    const outgoing = portsOf({ anchors: [{ identity: root, direction: 'out' }] })
    expect(await wordOf(decide([leaf], incoming))).toBe('trusted')
    expect(await wordOf(decide([leaf], outgoing))).toBe('no-anchor')
    expect(await wordOf(decide([leaf], outgoing, { direction: 'out' }))).toBe('trusted')
    expect(await wordOf(decide([leaf], incoming, { direction: 'out' }))).toBe('no-anchor')
    expect(await wordOf(decide([leaf], outgoing, { direction: 'notice' }))).toBe('trusted')
    expect(await wordOf(decide([leaf], incoming, { direction: 'notice' }))).toBe('trusted')
  })

  it('make the verdict wait when they cannot be read', async () => {
    const broken = {
      ...ports,
      anchors: { of: async () => ({ kind: 'undecided', cause: 'store-unavailable', detail: '' }) as const },
    }
    expect(await wordOf(decide([leaf], broken))).toBe('store-unavailable')
  })
})

describe('what does not answer', () => {
  const middle = makeIntermediate(root)
  const below = makeLeaf(middle, ours)

  it('waits for an issuer that cannot be fetched, but not where nothing is missing', async () => {
    const unreachable = portsOf({ anchors: [root], issuers: 'unreachable' })
    expect(await wordOf(decide([below], unreachable))).toBe('issuer-unavailable')
    expect(await wordOf(decide([below], unreachable, { bag: [middle] }))).toBe('trusted')
  })

  it('does not wait for the issuer of a certificate that is no good by itself', async () => {
    const unreachable = portsOf({ anchors: [root], issuers: 'unreachable' })
    const expired = makeLeaf(middle, { ...ours, notBefore: Date.now() - 2 * dayMs, notAfter: Date.now() - dayMs })
    expect(await wordOf(decide([expired], unreachable))).toBe('certificate-expired')
  })

  it('uses issuers that were imported or fetched', async () => {
    const another = makeLeaf(middle, ours)
    expect(await wordOf(decide([another], ports))).toBe('no-anchor')
    expect(await wordOf(decide([another], portsOf({ anchors: [root], issuers: [middle] })))).toBe('trusted')
  })

  const silent = portsOf({ anchors: [root], revocation: () => ({ kind: 'unavailable', detail: 'timed out' }) })
  it('waits for revocation under hard, warns under soft, and asks nobody when off', async () => {
    expect(await wordOf(decide([leaf], silent))).toBe('revocation-unavailable')
    expect(await decide([leaf], silent, { policy: { revocation: 'soft' } })).toMatchObject({
      kind: 'trusted',
      warnings: ['revocation-unknown'],
    })
    expect(await decide([leaf], silent, { policy: { revocation: 'off' } })).toMatchObject({
      kind: 'trusted',
      warnings: [],
    })
  })

  it('refuses unpublished revocation only where policy requires it', async () => {
    expect(await wordOf(decide([leaf], ports, { policy: { requirePublishedRevocation: true } }))).toBe(
      'revocation-unknown',
    )
  })

  it('refuses what was revoked, leaf or intermediate, also after it was trusted before', async () => {
    const revoking = (victim: Uint8Array) =>
      portsOf({
        anchors: [root],
        revocation: (certificate) =>
          Buffer.compare(certificate, victim) === 0
            ? { kind: 'revoked', at: Date.now() - dayMs, reason: 'keyCompromise' }
            : { kind: 'good' },
      })
    expect(await wordOf(decide([below], ports, { bag: [middle] }))).toBe('trusted')
    for (const victim of [below, middle])
      for (const revocation of ['hard', 'soft'] as const)
        expect(
          await wordOf(decide([below], revoking(victim.certificate), { bag: [middle], policy: { revocation } })),
        ).toBe('revoked')
  })

  it('prefers a trusted signer over one that must wait, and waits rather than refuse', async () => {
    const other = makeLeaf(root, ours)
    const half = portsOf({
      anchors: [root],
      revocation: (certificate) =>
        Buffer.compare(certificate, leaf.certificate) === 0
          ? { kind: 'unavailable', detail: 'timed out' }
          : { kind: 'good' },
    })
    expect(await wordOf(decide([leaf, other], half))).toBe('trusted')
    expect(await wordOf(decide([makeLeaf(stranger, ours), leaf], half))).toBe('revocation-unavailable')
  })
})

it('never throws for a signer certificate or a bag of garbage', async () => {
  const garbage: Signer = {
    kind: 'verified',
    certificate: Buffer.from('3003020101', 'hex'),
    digest: 'sha256',
    signature: 'rsa',
  }
  const verdict = await decide([garbage, leaf], ports, { sender: alice })
  expect(verdict.kind).toBe('trusted')
  expect(verdict.candidates[0]?.outcome).toBe('malformed-certificate')
})
