import { hash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import type { Directory } from '../../src/directory/directory.js'
import { openDirectory } from '../../src/directory/open.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import type { Keys } from '../../src/ports/keys.js'
import { StoreFailed } from '../../src/ports/store.js'
import { dayMs, type Identity, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { decided, made, masterKey, random, serving, world } from './worlds.js'

const domain = 'direct.example.org' as DirectDomain
const address = `pat@${domain}` as DirectAddress
const authority = makeAuthority()
const ofAddress = (options = {}) => makeLeaf(authority, { keyType: 'p256', san: { email: [address] }, ...options })
const ofDomain = (options = {}) => makeLeaf(authority, { keyType: 'p256', san: { dns: [domain] }, ...options })
const keyOf = (owner: string, { certificate, pkcs8 }: Identity) => ({ owner, certificate, pkcs8 })
const fingerprint = ({ certificate }: { certificate: Uint8Array }) => hash('sha256', certificate, 'hex')
const problemOf = (result: object) => ('problem' in result ? result.problem : 'none')

async function served() {
  const here = await world()
  await serving(here.directory, domain, 'pat')
  return here
}

describe('our own keys', () => {
  it('are found for an address, its own before its domain’s, and only valid ones to sign', async () => {
    const { directory, clock, again } = await served()
    const now = clock.now()
    const old = ofAddress({ notBefore: now - 30 * dayMs, notAfter: now - dayMs })
    const own = ofAddress()
    const shared = ofDomain()
    const added = made(await directory.keys.add(keyOf(address, old), 'operator'))
    expect(added.warnings).toEqual(['expired'])
    made(await directory.keys.add(keyOf(domain, shared), 'operator'))
    expect(made(await directory.keys.add(keyOf(address, own), 'operator')).warnings).toEqual([])
    for (const found of [directory, await again()]) {
      const ids = async (keys: ReturnType<Keys['toDecrypt']>) => decided(await keys).map(({ id }) => id)
      expect(await ids(found.keys.toDecrypt(address))).toEqual([own.fingerprint, old.fingerprint, shared.fingerprint])
      expect(await ids(found.keys.toSign(address, now))).toEqual([own.fingerprint, shared.fingerprint])
      expect(await ids(found.keys.toSign(address, now - 10 * dayMs))).toEqual([old.fingerprint])
      expect(await ids(found.keys.toDecrypt(`other@${domain}` as DirectAddress))).toEqual([shared.fingerprint])
    }
  })

  it('stay wrapped: the store never holds one, and only their own certificate’s id opens them', async () => {
    const { directory, disk, keyring } = await served()
    const identity = ofAddress()
    made(await directory.keys.add(keyOf(address, identity), 'operator'))
    const [owned] = decided(await directory.keys.toDecrypt(address))
    const pkcs8 = Buffer.from(identity.pkcs8)
    const scalar = pkcs8.subarray(36, 68)
    for (const value of disk.contents.values()) {
      const stored = Buffer.from(value)
      expect(stored.includes(scalar)).toBe(false)
      expect(stored.toString().includes(pkcs8.toString('base64').slice(20, 60))).toBe(false)
    }
    if (!owned) throw new Error('The key is gone')
    expect(Buffer.from(keyring.unwrap('private-key', owned.id, owned.wrapped ?? new Uint8Array()))).toEqual(pkcs8)
    expect(() => keyring.unwrap('private-key', 'another', owned.wrapped ?? new Uint8Array())).toThrow()
  })

  it('sign no more once retired, but still open old mail', async () => {
    const { directory, clock } = await served()
    const identity = ofAddress()
    made(await directory.keys.add(keyOf(address, identity), 'operator'))
    made(await directory.keys.retire(address, identity.fingerprint, 'operator'))
    expect(await directory.keys.toSign(address, clock.now())).toEqual([])
    expect(await directory.keys.toDecrypt(address)).toHaveLength(1)
    expect((await directory.keys.list())[0]).toMatchObject({ retired: true, owner: address })
    expect(problemOf(await directory.keys.retire(domain, identity.fingerprint, 'operator'))).toBe('not-found')
  })

  it('are refused with the reason', async () => {
    const { directory } = await served()
    const good = ofAddress()
    const add = async (owner: string, certificate: Uint8Array, pkcs8: Uint8Array, chain: Uint8Array[] = []) =>
      problemOf(await directory.keys.add({ owner, certificate, pkcs8, chain }, 'operator'))
    expect(await add('nobody@', good.certificate, good.pkcs8)).toBe('bad-address')
    expect(await add('pat@other.example', good.certificate, good.pkcs8)).toBe('domain-not-served')
    expect(await add(address, randomBytes(200), good.pkcs8)).toBe('not-a-certificate')
    expect(await add(address, good.certificate, good.pkcs8, [randomBytes(20)])).toBe('not-a-certificate')
    expect(await add(address, good.certificate, randomBytes(100))).toBe('bad-private-key')
    expect(await add(address, good.certificate, ofAddress().pkcs8)).toBe('key-mismatch')
    expect(await add(domain, good.certificate, good.pkcs8)).toBe('not-bound')
    const shared = ofDomain()
    expect(await add(address, shared.certificate, shared.pkcs8)).toBe('not-bound')
    const near = ofAddress({ san: { email: [`xpat@${domain}`], dns: [`x${domain}`, `sub.${domain}`] } })
    expect(await add(address, near.certificate, near.pkcs8)).toBe('not-bound')
    expect(await add(domain, near.certificate, near.pkcs8)).toBe('not-bound')
    const weak = ofAddress({ keyType: 'rsa1024' })
    expect(await add(address, weak.certificate, weak.pkcs8)).toBe('weak-key')
    const tooLong = Array.from({ length: 9 }, () => authority.certificate)
    expect(await add(address, good.certificate, good.pkcs8, tooLong)).toBe('too-many')
    expect(await add(address, good.certificate, good.pkcs8)).toBe('none')
    expect(await add(address, good.certificate, good.pkcs8)).toBe('already-exists')
  })

  it('accept the owner among several names, in any case of letters', async () => {
    const { directory } = await served()
    const several = ofAddress({ san: { email: ['x@y.example', 'PAT@Direct.Example.org'], dns: ['z.example', domain] } })
    made(await directory.keys.add(keyOf(address.toUpperCase(), several), 'operator'))
    made(await directory.keys.add(keyOf(domain, several), 'operator'))
  })

  it('tell which uses their certificates allow, and warn of what is missing', async () => {
    const { directory, clock } = await served()
    const signing = ofAddress({ keyUsage: ['digitalSignature'] })
    const encrypting = ofAddress({ keyUsage: ['keyAgreement'] })
    expect(made(await directory.keys.add(keyOf(address, signing), 'operator'))).toMatchObject({
      key: { maySign: true, mayEncrypt: false, type: 'ec' },
      warnings: ['encrypts-nothing'],
    })
    expect(made(await directory.keys.add(keyOf(address, encrypting), 'operator'))).toMatchObject({
      warnings: ['signs-nothing'],
    })
    const ids = decided(await directory.keys.toSign(address, clock.now())).map(({ id }) => id)
    expect(ids).toEqual([signing.fingerprint])
  })

  it('keep their chain without the anchor, and warn of one that does not follow', async () => {
    const { directory } = await served()
    const intermediate = makeIntermediate(authority)
    const leaf = makeLeaf(intermediate, { keyType: 'p256', san: { email: [address] } })
    const add = (chain: Uint8Array[], identity: Identity) =>
      directory.keys.add({ ...keyOf(address, identity), chain }, 'operator')
    const added = made(await add([intermediate.certificate, authority.certificate], leaf))
    expect(added.warnings).toEqual([])
    const [owned] = decided(await directory.keys.toDecrypt(address))
    expect(owned?.chain.map((der) => Buffer.from(der))).toEqual([Buffer.from(intermediate.certificate)])
    expect(made(await add([intermediate.certificate], ofAddress())).warnings).toEqual(['broken-chain'])
  })

  it('are wrapped again under a new master key', async () => {
    const { directory, ports, master } = await served()
    const identity = ofAddress()
    made(await directory.keys.add(keyOf(address, identity), 'operator'))
    const current = masterKey()
    const both = openKeyring({ current, older: [master] }, random)
    const rotating = await openDirectory({ ...ports, keyring: both })
    expect(await rotating.keys.rewrap('operator')).toBe(1)
    expect(await rotating.keys.rewrap('operator')).toBe(0)
    const [owned] = decided(await rotating.keys.toDecrypt(address))
    if (!owned) throw new Error('The key is gone')
    const alone = openKeyring({ current }, random)
    expect(Buffer.from(alone.unwrap('private-key', owned.id, owned.wrapped ?? new Uint8Array()))).toEqual(
      Buffer.from(identity.pkcs8),
    )
  })
})

describe('trust anchors', () => {
  it('serve their direction, for the address and for its domain, and nobody else', async () => {
    const { directory } = await served()
    const [a, b, c] = [authority, makeAuthority(), makeAuthority()] as const
    await serving(directory, 'other.example', 'x')
    made(await directory.anchors.add({ owner: domain, certificate: a.certificate, direction: 'both' }, 'operator'))
    made(await directory.anchors.add({ owner: address, certificate: b.certificate, direction: 'in' }, 'operator'))
    made(await directory.anchors.add({ owner: domain, certificate: c.certificate, direction: 'out' }, 'operator'))
    const ids = async (of: string, direction: 'in' | 'out') =>
      decided(await directory.anchors.of(of as DirectAddress, direction))
        .map(fingerprint)
        .sort()
    expect(await ids(address, 'in')).toEqual([a.fingerprint, b.fingerprint].sort())
    expect(await ids(address, 'out')).toEqual([a.fingerprint, c.fingerprint].sort())
    expect(await ids(`other@${domain}`, 'in')).toEqual([a.fingerprint])
    expect(await ids('x@other.example', 'in')).toEqual([])
    made(await directory.anchors.remove(domain, a.fingerprint, 'operator'))
    expect(await ids(address, 'in')).toEqual([b.fingerprint])
    expect((await directory.anchors.list()).length).toBe(2)
  })

  it('are never taken from an owner whose name merely begins alike', async () => {
    const { directory } = await world()
    await serving(directory, 'a', 'x')
    await serving(directory, 'x.org', 'x')
    const odd = makeAuthority()
    made(await directory.anchors.add({ owner: 'a/b@x.org', certificate: odd.certificate, direction: 'in' }, 'operator'))
    expect(await directory.anchors.of('x@a' as DirectAddress, 'in')).toEqual([])
    expect(await directory.anchors.of('a/b@x.org' as DirectAddress, 'in')).toHaveLength(1)
  })

  it('change their direction when added again', async () => {
    const { directory } = await served()
    const add = (direction: 'in' | 'out') =>
      directory.anchors.add({ owner: domain, certificate: authority.certificate, direction }, 'operator')
    made(await add('in'))
    made(await add('out'))
    expect(await directory.anchors.of(address, 'in')).toEqual([])
    expect(await directory.anchors.of(address, 'out')).toHaveLength(1)
  })

  it('are taken with warnings when expired or no authority, and refused when no certificate', async () => {
    const { directory, clock } = await served()
    const expired = makeAuthority({ notBefore: clock.now() - 9 * dayMs, notAfter: clock.now() - dayMs })
    const add = (certificate: Uint8Array, direction = 'both') =>
      directory.anchors.add({ owner: domain, certificate, direction: direction as 'both' }, 'operator')
    expect(made(await add(expired.certificate)).warnings).toEqual(['expired'])
    expect(made(await add(ofDomain().certificate)).warnings).toEqual(['not-an-authority'])
    expect(problemOf(await add(randomBytes(50)))).toBe('not-a-certificate')
    expect(problemOf(await add(Buffer.concat([authority.certificate, Buffer.of(0)])))).toBe('not-a-certificate')
    expect(problemOf(await add(authority.certificate, 'sideways'))).toBe('bad-direction')
  })
})

describe('certificates of others', () => {
  it('are found for an address; those of its domain where it has none', async () => {
    const { directory } = await world()
    const peer = 'dr@clinic.example' as DirectAddress
    const own = makeLeaf(authority, { keyType: 'p256', san: { email: [peer] } })
    const shared = makeLeaf(authority, { keyType: 'p256', san: { dns: ['clinic.example'] } })
    const ders = async (of: string) => {
      const found = await directory.peers.of(of as DirectAddress)
      return found.kind === 'found' ? found.certificates : found.kind
    }
    made(await directory.peers.add({ owner: 'clinic.example', certificate: shared.certificate }, 'operator'))
    expect(await ders(peer)).toEqual([Uint8Array.from(shared.certificate)])
    made(await directory.peers.add({ owner: peer, certificate: own.certificate }, 'operator'))
    expect(await ders(peer)).toEqual([Uint8Array.from(own.certificate)])
    expect(await ders('other@clinic.example')).toEqual([Uint8Array.from(shared.certificate)])
    expect(await ders('dr+ward@clinic.example')).toEqual([Uint8Array.from(own.certificate)])
    const stray = await directory.peers.add({ owner: 'x@else.example', certificate: own.certificate }, 'operator')
    expect(problemOf(stray)).toBe('not-bound')
    made(await directory.peers.remove(peer, own.fingerprint, 'operator'))
    expect(await ders(peer)).toHaveLength(1)
    expect((await directory.peers.list()).map(({ owner }) => owner)).toEqual(['clinic.example'])
  })

  it('of issuers are found by the name in what they issued', async () => {
    const { directory } = await world()
    const intermediate = makeIntermediate(authority)
    const leaf = makeLeaf(intermediate, { keyType: 'p256', san: { email: ['x@y.example'] } })
    made(await directory.issuers.add(intermediate.certificate, 'operator'))
    expect(await directory.issuers.of(leaf.certificate)).toEqual([Uint8Array.from(intermediate.certificate)])
    expect(await directory.issuers.of(intermediate.certificate)).toEqual([])
    expect(await directory.issuers.of(randomBytes(30))).toEqual([])
    expect(problemOf(await directory.issuers.add(leaf.certificate, 'operator'))).toBe('not-an-issuer')
    expect(problemOf(await directory.issuers.add(intermediate.certificate, 'operator'))).toBe('already-exists')
    made(await directory.issuers.remove(intermediate.fingerprint, 'operator'))
    expect(await directory.issuers.of(leaf.certificate)).toEqual([])
  })
})

describe('a store that cannot be read', () => {
  it('makes verdicts wait instead of failing them', async () => {
    const { ports } = await served()
    const down = () => Promise.reject(new StoreFailed('down'))
    const directory = await openDirectory({ ...ports, store: { ...ports.store, range: down } })
    expect(await directory.keys.toDecrypt(address)).toMatchObject({ kind: 'undecided', cause: 'key-store-unavailable' })
    expect(await directory.anchors.of(address, 'in')).toMatchObject({ kind: 'undecided', cause: 'store-unavailable' })
    expect(await directory.peers.of(address)).toMatchObject({ kind: 'undecided' })
    expect(await directory.issuers.of(authority.certificate)).toMatchObject({ kind: 'undecided' })
  })
})

describe('certificates marked TEST ONLY', () => {
  const tests = makeAuthority({ name: 'Trial TEST ONLY Authority' })
  const leaf = makeLeaf(tests, { keyType: 'p256', san: { dns: [domain] } })
  const attempts = (directory: Directory) => [
    directory.anchors.add({ owner: domain, certificate: tests.certificate, direction: 'both' }, 'operator'),
    directory.issuers.add(tests.certificate, 'operator'),
    directory.peers.add({ owner: domain, certificate: leaf.certificate }, 'operator'),
    directory.keys.add(keyOf(domain, leaf), 'operator'),
    directory.keys.add({ ...keyOf(domain, ofDomain()), chain: [tests.certificate] }, 'operator'),
  ]

  it('are refused everywhere, whether the mark is in the subject or in the issuer', async () => {
    const { directory } = await served()
    const outcomes = await Promise.all(attempts(directory))
    expect(outcomes.map(problemOf)).toEqual(outcomes.map(() => 'test-only'))
  })

  it('are taken where the directory was opened to take them', async () => {
    const { ports } = await served()
    const outcomes = await Promise.all(attempts(await openDirectory({ ...ports, takesTestOnly: true })))
    expect(outcomes.map(({ kind }) => kind)).toEqual(outcomes.map(() => 'added'))
  })
})
