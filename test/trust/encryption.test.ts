import { expect, it } from 'vitest'
import type { TrustPorts } from '../../src/trust/decide.js'
import { certificatesToEncryptTo } from '../../src/trust/encryption.js'
import { defaultTrustPolicy } from '../../src/trust/policy.js'
import { dayMs, type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { alice, bob, portsOf } from './world.js'

const root = makeAuthority()
const ec = { keyType: 'p256' as const }
const domain = { ...ec, san: { dns: ['hisp.test'] } }
const address = { ...ec, san: { email: ['alice@hisp.test'] } }
const past = { notBefore: Date.now() - 2 * dayMs, notAfter: Date.now() - dayMs }
const dual = makeLeaf(root, domain)
const signing = makeLeaf(root, { ...domain, keyUsage: ['digitalSignature'] })
const enciphering = makeLeaf(root, { ...domain, keyUsage: ['keyAgreement'] })

async function chosen(
  {
    signer,
    bag = [],
    directory = [],
    purpose = 'notice' as const,
  }: {
    signer?: Identity
    bag?: readonly Identity[]
    directory?: readonly Identity[] | 'unreachable'
    purpose?: 'message' | 'notice'
  },
  ports: TrustPorts = portsOf({ anchors: [root] }),
) {
  const choice = await certificatesToEncryptTo(
    {
      owner: bob,
      address: alice,
      purpose,
      at: Date.now(),
      bag: bag.map(({ certificate }) => certificate),
      ...(signer ? { signerCertificate: signer.certificate } : {}),
    },
    {
      ...ports,
      directory: {
        of: async () => {
          if (directory === 'unreachable')
            return { kind: 'undecided', cause: 'certificate-discovery-unavailable', detail: '', steps: [] }
          const certificates = directory.map(({ certificate }) => certificate)
          if (certificates.length === 0) return { kind: 'none', steps: [] }
          return { kind: 'found', source: 'imported', binding: 'address', certificates, steps: [] }
        },
      },
    },
    defaultTrustPolicy,
  )
  if (choice.kind === 'refused') return choice.reason
  if (choice.kind === 'undecided') return choice.cause
  return [...bag, ...(signer ? [signer] : []), ...(directory === 'unreachable' ? [] : directory)].find(
    ({ certificate }) => Buffer.compare(certificate, choice.certificates[0] as Uint8Array) === 0,
  )
}

it('takes the certificate of the signer where it may encipher', async () => {
  expect(await chosen({ signer: dual, bag: [enciphering], directory: 'unreachable' })).toBe(dual)
  const rsa = makeLeaf(root, { san: domain.san })
  expect(await chosen({ signer: rsa })).toBe(rsa)
})

it('takes the companion that came along, else the one of the directory', async () => {
  expect(await chosen({ signer: signing, bag: [root, enciphering] })).toBe(enciphering)
  expect(await chosen({ signer: signing, directory: [signing, enciphering] })).toBe(enciphering)
  expect(await chosen({ signer: signing })).toBe('no-recipient-certificate')
  expect(await chosen({})).toBe('no-recipient-certificate')
  expect(await chosen({ signer: signing, directory: 'unreachable' })).toBe('certificate-discovery-unavailable')
})

it('knows that an RSA key enciphers and an EC key agrees', async () => {
  const ecEnciphering = makeLeaf(root, { ...domain, keyUsage: ['keyEncipherment'] })
  const rsaAgreeing = makeLeaf(root, { san: domain.san, keyUsage: ['keyAgreement'] })
  expect(await chosen({ directory: [ecEnciphering, rsaAgreeing] })).toBe('no-recipient-certificate')
})

it('never takes one that names someone else, as the answer of a directory may be forged', async () => {
  const other = makeLeaf(root, { ...ec, san: { dns: ['evil.test'] } })
  expect(await chosen({ directory: [other] })).toBe('signer-not-bound')
  expect(await chosen({ signer: other, bag: [other] })).toBe('signer-not-bound')
})

it('prefers the address to its domain, and takes the good one of those in one place', async () => {
  const own = makeLeaf(root, address)
  expect(await chosen({ directory: [dual, own] })).toBe(own)
  expect(await chosen({ bag: [dual, own] })).toBe(own)
  const expired = makeLeaf(root, { ...address, ...past })
  expect(await chosen({ directory: [expired] })).toBe('certificate-expired')
  expect(await chosen({ directory: [expired, dual, own] })).toBe(own)
})

it('encrypts to every good certificate of the place where they were found, the one valid longest first', async () => {
  const [older, newer] = [dayMs, 3 * dayMs].map((ms) => makeLeaf(root, { ...address, notAfter: Date.now() + ms }))
  const expired = Array.from({ length: 9 }, () => makeLeaf(root, { ...address, ...past }))
  const directory = [...expired, older, dual, newer].flatMap((one) => one ?? [])
  const choice = await certificatesToEncryptTo(
    { owner: bob, address: alice, purpose: 'message', at: Date.now(), bag: [] },
    {
      ...portsOf({ anchors: [root] }),
      directory: {
        of: async () => ({
          kind: 'found',
          source: 'dns',
          binding: 'address',
          certificates: directory.map(({ certificate }) => certificate),
          steps: [],
        }),
      },
    },
  )
  const found = choice.kind === 'chosen' ? choice.certificates : []
  expect(found.map((der) => directory.findIndex(({ certificate }) => Buffer.from(der).equals(certificate)))).toEqual([
    directory.indexOf(newer as Identity),
    directory.indexOf(older as Identity),
  ])
})

it('says so where what was found is no certificate', async () => {
  expect(await chosen({ directory: [{ certificate: Buffer.from('no') } as unknown as Identity] })).toBe(
    'malformed-certificate',
  )
})

it('asks once more where nothing of what is remembered holds, and for what was learnt since the question only', async () => {
  const revoked = makeLeaf(root, address)
  const next = makeLeaf(root, address)
  const asked: (number | undefined)[] = []
  const at = Date.now()
  const choose = (now: readonly Identity[]) =>
    certificatesToEncryptTo(
      { owner: bob, address: alice, purpose: 'message', bag: [], at },
      {
        ...portsOf({
          anchors: [root],
          revocation: (certificate) =>
            Buffer.compare(certificate, revoked.certificate) === 0
              ? { kind: 'revoked', at: 0, reason: 'superseded' }
              : { kind: 'good' },
        }),
        directory: {
          async of(_, since) {
            asked.push(since)
            const certificates = (since === undefined ? [revoked] : now).map(({ certificate }) => certificate)
            return { kind: 'found', source: 'dns', binding: 'address', certificates, steps: [] }
          },
        },
      },
    )
  expect(await choose([next])).toMatchObject({ kind: 'chosen', certificates: [Uint8Array.from(next.certificate)] })
  expect(await choose([revoked])).toMatchObject({ kind: 'refused', reason: 'revoked' })
  expect(asked).toEqual([undefined, at, undefined, at])
})

it('sends messages by outgoing anchors only, notices by both', async () => {
  const incoming = portsOf({ anchors: [{ identity: root, direction: 'in' }] })
  const outgoing = portsOf({ anchors: [{ identity: root, direction: 'out' }] })
  expect(await chosen({ signer: dual }, incoming)).toBe(dual)
  expect(await chosen({ signer: dual, purpose: 'message' }, incoming)).toBe('no-anchor')
  expect(await chosen({ signer: dual, purpose: 'message' }, outgoing)).toBe(dual)
})

it('refuses revoked and untrusted ones by their reason, and waits for revocation', async () => {
  const revoking = portsOf({ anchors: [root], revocation: () => ({ kind: 'revoked', at: 0, reason: 'superseded' }) })
  expect(await chosen({ directory: [dual] }, revoking)).toBe('revoked')
  const silent = portsOf({ anchors: [root], revocation: () => ({ kind: 'unavailable', detail: '' }) })
  expect(await chosen({ directory: [dual] }, silent)).toBe('revocation-unavailable')
  expect(await chosen({ directory: [makeLeaf(makeAuthority(), domain)] })).toBe('no-anchor')
})
