import { describe, expect, it } from 'vitest'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { type ExplainQuestion, explain, explainLimits } from '../../src/pipeline/explain.js'
import { addRules } from '../../src/pipeline/rules.js'
import type { CertificateDirectory } from '../../src/ports/trust.js'
import {
  alice,
  bob,
  clinicAuthority,
  doctor,
  doctorKey,
  domain,
  done,
  gatewayAuthority,
  gatewayKey,
  newGateway,
  type World,
} from '../fixtures/gateway.js'
import { dayMs, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'

/** What DNS would say of everybody. */
function published(...certificates: readonly Uint8Array[]): CertificateDirectory {
  const place = 'CERT doctor.clinic.example'
  const step = { source: 'dns', binding: 'address', place, detail: '' } as const
  return {
    of: async () =>
      certificates.length > 0
        ? { ...step, kind: 'found', certificates, steps: [{ ...step, outcome: 'found' }] }
        : { kind: 'none', steps: [{ ...step, outcome: 'none' }] },
  }
}

const silent: CertificateDirectory = {
  of: async () => ({
    kind: 'undecided',
    cause: 'certificate-discovery-unavailable',
    detail: 'no answer',
    steps: [{ source: 'dns', binding: 'address', place: 'CERT x', outcome: 'unavailable', detail: 'no answer' }],
  }),
}

async function told(question: Partial<ExplainQuestion>, world: World = {}) {
  const { gateway } = await newGateway(world)
  const answer = await explain({ from: alice, to: [doctor], certificates: [], ...question }, gateway)
  if (answer.kind === 'refused') throw new Error(answer.detail)
  return answer.decisions
}

describe('for a sender of ours', () => {
  it('tells keys, every place that was asked, the path to whose anchor, and who says that nothing is revoked', async () => {
    const url = 'http://ca.example/list.crl'
    const revocation: World['revocation'] = {
      async status({ onSource }) {
        onSource?.(url)
        return { kind: 'good' }
      },
    }
    const [decision, ...more] = await told({}, { discovery: published(doctorKey.certificate), revocation })
    expect(more).toEqual([])
    expect(decision).toMatchObject({
      direction: 'sending',
      verdict: { kind: 'trusted', detail: '1 certificate to encrypt to' },
      policy: { revocation: 'soft', rules: [] },
      anchors: 1,
      keys: [{ id: gatewayKey.fingerprint, owner: domain }],
      certificates: [
        {
          fingerprint: doctorKey.fingerprint,
          binding: 'address',
          outcome: 'trusted',
          paths: [
            {
              certificates: [{ fingerprint: doctorKey.fingerprint }, { fingerprint: clinicAuthority.fingerprint }],
              anchor: { owner: domain, direction: 'both' },
              revocation: [{ fingerprint: doctorKey.fingerprint, answer: 'good', sources: [url] }],
            },
          ],
        },
      ],
    })
    expect(decision?.discovery.at(-1)).toMatchObject({ source: 'dns', outcome: 'found' })
    expect(decision?.discovery.some(({ source }) => source === 'imported')).toBe(true)
  })

  it('tells each flawed path, and why certificates that are published do not do', async () => {
    const key = makeAuthority()
    const middle = makeIntermediate(clinicAuthority, { key, ca: false })
    const bad = makeLeaf(middle, { san: { email: [doctor] } })
    const stranger = makeLeaf(makeAuthority(), { san: { dns: ['clinic.example'] } })
    const other = makeLeaf(clinicAuthority, { san: { email: ['other@clinic.example'] } })
    const all = [
      bad,
      middle,
      stranger,
      other,
      makeLeaf(clinicAuthority, { san: { email: [doctor] }, notBefore: 0, notAfter: Date.now() - dayMs }),
    ]
    const issuers = { of: async () => [middle.certificate] }
    const world = { discovery: published(...all.map(({ certificate }) => certificate), Buffer.from('none')), issuers }
    const [decision] = await told({}, world)
    expect(decision?.verdict).toMatchObject({ kind: 'refused', reason: 'no-recipient-certificate' })
    const outcomes = Object.fromEntries((decision?.certificates ?? []).map((one) => [one.fingerprint, one]))
    expect(outcomes[bad.fingerprint]).toMatchObject({ outcome: 'path-not-authority', binding: 'address' })
    expect(outcomes[bad.fingerprint]?.paths).toMatchObject([{ flaw: { reason: 'path-not-authority' } }])
    expect(outcomes[bad.fingerprint]?.issuers).toMatchObject([{ found: 1 }, { found: 1 }])
    expect(outcomes[bad.fingerprint]?.help).toContain('certification authority')
    expect(outcomes[stranger.fingerprint]).toMatchObject({ outcome: 'no-anchor', binding: 'domain', paths: [] })
    expect(outcomes[other.fingerprint]).toMatchObject({ outcome: 'signer-not-bound', issuer: expect.any(String) })
    expect(outcomes[other.fingerprint]).not.toHaveProperty('binding')
  })

  it('tells what did not answer, and that nothing weaker was asked', async () => {
    const [decision] = await told({}, { discovery: silent })
    expect(decision?.verdict).toMatchObject({ kind: 'undecided', cause: 'certificate-discovery-unavailable' })
    expect(decision?.discovery.at(-1)).toMatchObject({ outcome: 'unavailable' })
  })

  it('tells that nobody here may send: not served, no key, or a rule that keeps the key back', async () => {
    const ghost = 'ghost@patients.example' as DirectAddress
    expect((await told({ from: ghost }))[0]?.verdict).toMatchObject({ reason: 'unknown-sender' })
    const { gateway } = await newGateway({ discovery: published(doctorKey.certificate) })
    const text = 'subject.O = "Nobody"'
    const added = await addRules(
      gateway.directory.domains,
      domain as DirectDomain,
      [{ name: 'mine', use: 'private', direction: 'out', text }],
      'test',
    )
    expect(added.kind, JSON.stringify(added)).toBe('changed')
    const answer = await explain({ from: alice, to: [doctor], certificates: [] }, gateway)
    expect(answer).toMatchObject({
      decisions: [
        {
          verdict: { kind: 'refused', reason: 'no-key-for-sender', detail: expect.stringContaining('mine') },
          keys: [{ excluded: expect.stringContaining('rule mine') }],
        },
      ],
    })
  })
})

describe('for a recipient of ours', () => {
  const receiving = { from: doctor, to: [alice, bob] }

  it('judges the certificate given as the signer, for each recipient', async () => {
    const middle = makeIntermediate(clinicAuthority)
    const leaf = makeLeaf(middle, { san: { dns: ['clinic.example'] } })
    const certificates = [leaf.certificate, middle.certificate]
    const decisions = await told({ ...receiving, certificates })
    expect(decisions.map(({ direction, to, verdict }) => [direction, to, verdict.kind])).toEqual([
      ['receiving', alice, 'trusted'],
      ['receiving', bob, 'trusted'],
    ])
    expect(decisions[0]).toMatchObject({
      keys: [{ owner: domain }],
      discovery: [],
      certificates: [{ binding: 'domain' }],
    })
    expect(decisions[0]?.certificates[0]?.paths[0]?.certificates).toHaveLength(3)
    expect(decisions[1]?.certificates[0]?.paths[0]).toMatchObject({ anchor: { owner: domain } })
  })

  it('judges what is published where none is given, and says where there is nothing', async () => {
    const [good] = await told(receiving, { discovery: published(doctorKey.certificate) })
    expect(good).toMatchObject({ verdict: { kind: 'trusted' }, certificates: [{ outcome: 'trusted' }] })
    const [none] = await told(receiving, { discovery: published() })
    expect(none?.verdict).toMatchObject({ kind: 'unknown', help: expect.stringContaining('--cert') })
    const [waits] = await told(receiving, { discovery: silent })
    expect(waits?.verdict).toMatchObject({ kind: 'undecided', cause: 'certificate-discovery-unavailable' })
  })

  it('tells the reason in the words of the refusal table', async () => {
    const revocation: World['revocation'] = {
      status: async () => ({ kind: 'revoked', at: 0, reason: 'keyCompromise' }),
    }
    const [revoked] = await told({ ...receiving, certificates: [doctorKey.certificate] }, { revocation })
    expect(revoked?.verdict).toMatchObject({
      kind: 'refused',
      reason: 'revoked',
      help: 'The certificate was revoked by its issuer.',
    })
    const [unread] = await told({ ...receiving, certificates: [Buffer.from('nothing')] })
    expect(unread?.verdict).toMatchObject({ kind: 'refused', reason: 'malformed-certificate' })
    const { gateway } = await newGateway()
    await done(
      gateway.directory.anchors.add(
        { owner: domain, certificate: clinicAuthority.certificate, direction: 'in' },
        'test',
      ),
    )
    const written = { name: 'mine', use: 'private', direction: 'in', text: 'subject.O = "Nobody"' } as const
    await done(addRules(gateway.directory.domains, domain as DirectDomain, [written], 'test'))
    const kept = await explain({ ...receiving, certificates: [doctorKey.certificate] }, gateway)
    expect(kept).toMatchObject({
      decisions: [{ verdict: { reason: 'no-key-for-recipient', detail: expect.stringContaining('mine') } }, {}],
    })
    const ghost = 'ghost@patients.example' as DirectAddress
    const [gone] = await told({ from: doctor, to: [ghost], certificates: [doctorKey.certificate] })
    expect(gone?.verdict).toMatchObject({ kind: 'refused', reason: 'unknown-recipient' })
  })
})

describe('between two of ours', () => {
  it('tells both halves, of the keys that are here', async () => {
    const { gateway } = await newGateway()
    await done(
      gateway.directory.anchors.add(
        { owner: domain, certificate: gatewayAuthority.certificate, direction: 'both' },
        'test',
      ),
    )
    const answer = await explain({ from: alice, to: [bob], certificates: [] }, gateway)
    if (answer.kind !== 'explained') throw new Error(answer.detail)
    expect(answer.decisions).toMatchObject([
      { direction: 'sending', verdict: { kind: 'trusted' }, certificates: [{ binding: 'domain' }] },
      { direction: 'receiving', verdict: { kind: 'trusted' }, discovery: [{ source: 'own', outcome: 'found' }] },
    ])
  })
})

describe('a question', () => {
  it('is refused between strangers, and beyond what may be asked at once', async () => {
    await expect(told({ from: doctor, to: ['x@far.example' as DirectAddress] })).rejects.toThrow('is served here')
    await expect(told({ to: [] })).rejects.toThrow('1 to 20')
    const certificates = Array.from({ length: explainLimits.certificates + 1 }, () => doctorKey.certificate)
    await expect(told({ certificates })).rejects.toThrow('at most')
  })

  it('changes nothing, and tells no secret', async () => {
    const { gateway } = await newGateway({ discovery: published(doctorKey.certificate) })
    const entries = async () => (await gateway.store.log('audit', 1, 1_000)).length
    const before = await entries()
    const answer = await explain({ from: alice, to: [doctor, bob], certificates: [] }, gateway)
    expect(await entries()).toBe(before)
    expect(JSON.stringify(answer)).not.toMatch(/wrapped|pkcs8|token/i)
  })
})
