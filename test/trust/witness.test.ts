import { describe, expect, it } from 'vitest'
import type { TrustStep } from '../../src/direct/verdict.js'
import { dayMs, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { decide, portsOf } from './world.js'

const san = { dns: ['hisp.test'] }
const ec = { keyType: 'p256' as const, san }

/** What a witness is told of one decision. */
async function told(...[signers, ports, more = {}]: Parameters<typeof decide>): Promise<TrustStep[]> {
  const steps: TrustStep[] = []
  await decide(signers, ports, { ...more, witness: { tell: (step) => steps.push(step) } })
  return steps
}
const kinds = (steps: readonly TrustStep[]) => steps.map(({ kind }) => kind)

describe('a witness', () => {
  const root = makeAuthority()

  it('is told of every path, flaw and answer, in order', async () => {
    const key = makeAuthority()
    const expired = makeIntermediate(root, { name: 'Twice', key, notBefore: 0, notAfter: Date.now() - dayMs })
    const good = makeIntermediate(root, { name: 'Twice', key, subjectKeyIdentifier: false })
    const leaf = makeLeaf(expired, ec)
    const steps = await told([leaf], portsOf({ anchors: [root], revocation: () => ({ kind: 'good' }) }), {
      bag: [expired, good],
    })
    expect(kinds(steps)).toEqual(['judging', 'path', 'path', 'revocation', 'revocation', 'verdict'])
    expect(new Set(steps.map((step) => step.leaf))).toEqual(new Set([leaf.fingerprint]))
    expect(steps[1]).toMatchObject({ remembered: false, flaw: { reason: 'certificate-expired' } })
    expect(steps[2]).not.toHaveProperty('flaw')
    expect(steps[2]).toMatchObject({
      certificates: [leaf, good, root].map(({ fingerprint }) => ({ fingerprint })),
    })
    expect(steps.slice(3, 5)).toMatchObject([
      { fingerprint: leaf.fingerprint, answer: 'good' },
      { fingerprint: good.fingerprint, answer: 'good' },
    ])
    expect(steps.at(-1)).toMatchObject({ kind: 'verdict', outcome: 'trusted' })
  })

  it('is told of a remembered path as well', async () => {
    const leaf = makeLeaf(root, ec)
    const ports = portsOf({ anchors: [root] })
    await decide([leaf], ports)
    const steps = await told([leaf], ports)
    expect(kinds(steps)).toEqual(['judging', 'path', 'revocation', 'verdict'])
    expect(steps[1]).toMatchObject({ remembered: true })
  })

  it('is told what is wrong with the certificate itself, who was asked for issuers, and why the search ended', async () => {
    const late = makeLeaf(root, { ...ec, notBefore: 0, notAfter: Date.now() - dayMs })
    expect(kinds(await told([late], portsOf({ anchors: [root] })))).toEqual(['judging', 'flaw', 'verdict'])
    const stranger = makeLeaf(makeAuthority(), ec)
    const steps = await told([stranger], portsOf({ anchors: [root], issuers: 'unreachable' }))
    expect(kinds(steps)).toEqual(['judging', 'search-ended', 'issuers', 'verdict'])
    expect(steps.at(-1)).toMatchObject({ outcome: 'issuer-unavailable' })
  })

  it('is told who was revoked', async () => {
    const leaf = makeLeaf(root, ec)
    const revoked = { kind: 'revoked', at: 0, reason: 'keyCompromise' } as const
    const steps = await told([leaf], portsOf({ anchors: [root], revocation: () => revoked }))
    expect(steps.at(-2)).toMatchObject({ answer: 'revoked', detail: '1970-01-01T00:00:00.000Z: keyCompromise' })
    expect(steps.at(-1)).toMatchObject({ outcome: 'revoked' })
  })

  it('changes nothing: the verdict is the same without one', async () => {
    const leaf = makeLeaf(makeIntermediate(root, { ca: false }), ec)
    const at = Date.now()
    const alone = await decide([leaf], portsOf({ anchors: [root] }), { at })
    const seen = await decide([leaf], portsOf({ anchors: [root] }), { at, witness: { tell: () => undefined } })
    expect(seen).toEqual(alone)
  })
})
