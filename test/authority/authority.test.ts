import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { authorityFamilies } from '../../src/authority/families.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { listStatus } from '../../src/trust/lists.js'
import { keyUsage, readCertificate } from '../../src/x509/certificate.js'
import { readCrl } from '../../src/x509/crl.js'
import { masterKey, random } from '../directory/worlds.js'
import { anna, authorities, clinic } from './worlds.js'

const day = 86_400_000

function read(der: Uint8Array) {
  const certificate = readCertificate(der)
  if (certificate.kind === 'malformed') throw new Error(certificate.detail)
  return certificate
}

async function statusOf({ authority, clock }: Awaited<ReturnType<typeof authorities>>, id: string, der: Uint8Array) {
  const [list, issuer] = await Promise.all([authority.file(`${id}.crl`), authority.file(`${id}.cer`)])
  if (!list || !issuer) throw new Error('no list')
  const question = { path: [der, issuer.bytes], others: [], at: clock.now(), allowSha1: false }
  const sources = { list: async () => ({ kind: 'bytes', bytes: list.bytes }) as const }
  return listStatus(question, sources, { issuers: { of: async () => [] }, known: () => [list.bytes] })
}

describe('an authority of our own', () => {
  it('never exists by itself: nothing is issued before one was made', async () => {
    const { authority, requestOf } = await authorities()
    expect(await authority.list()).toEqual([])
    expect(await authority.issue(await requestOf(anna), 'operator')).toMatchObject({
      kind: 'refused',
      detail: expect.stringContaining('authority create'),
    })
  })

  it('signs itself, may issue for owners only, and publishes an empty list at once', async () => {
    const house = await authorities()
    const made = await house.created()
    const certificate = read(made.certificate)
    const platform = new X509Certificate(made.certificate)
    expect(platform.verify(platform.publicKey)).toBe(true)
    expect(certificate).toMatchObject({
      version: 3,
      basicConstraints: { ca: true, pathLength: 0 },
      keyUsage: keyUsage.keyCertSign | keyUsage.crlSign,
    })
    expect(certificate.serial).toHaveLength(16)
    expect(made.list.number).toBe(1)
    const { asked, ...one } = await house.issued()
    expect(asked.owner).toBe(anna)
    expect(await statusOf(house, made.id, one.certificate)).toEqual({ kind: 'good' })
  })

  it('issues certificates with exactly one name, for mail, with list and issuer to be found', async () => {
    const house = await authorities()
    const { id, certificate } = await house.created()
    const issued = await house.issued()
    const one = read(issued.certificate)
    expect(one.names).toEqual({ rfc822: [anna], dns: [], others: 0 })
    expect(one.extendedKeyUsage).toEqual(['1.3.6.1.5.5.7.3.4'])
    expect(one.keyUsage).toBe(keyUsage.digitalSignature | keyUsage.keyAgreement)
    expect(one.crlUrls).toEqual([`http://pki.clinic.test/pki/${id}.crl`])
    expect(one.caIssuers).toEqual([`http://pki.clinic.test/pki/${id}.cer`])
    expect(one.basicConstraints).toEqual({ ca: false, pathLength: undefined })
    expect(one.authorityKeyIdentifier).toEqual(read(certificate).subjectKeyIdentifier)
    expect(new X509Certificate(one.der).verify(new X509Certificate(certificate).publicKey)).toBe(true)
    expect(one.notAfter).toBeGreaterThan(house.clock.now() + 729 * day)
    expect(read((await house.issued(clinic)).certificate).names).toEqual({ rfc822: [], dns: [clinic], others: 0 })
  })

  it.each([
    ['sign', 'rsa-2048', keyUsage.digitalSignature],
    ['encrypt', 'rsa-2048', keyUsage.keyEncipherment],
    ['both', 'rsa-2048', keyUsage.digitalSignature | keyUsage.keyEncipherment],
    ['encrypt', 'p384', keyUsage.keyAgreement],
  ] as const)('issues a certificate to %s with a key of %s', async (use, kind, bits) => {
    const house = await authorities()
    await house.created()
    const answer = await house.authority.issue(await house.requestOf(anna, use, kind), 'operator')
    if (answer.kind !== 'issued') throw new Error(answer.detail)
    expect(read(answer.issued.certificate).keyUsage).toBe(bits)
  })

  it('gives no two certificates the same serial number, and the same request the same certificate', async () => {
    const house = await authorities()
    await house.created()
    const all = []
    for (let i = 0; i < 20; i++) all.push(await house.issued())
    expect(new Set(all.map(({ serial }) => serial)).size).toBe(20)
    const [first] = all
    const again = await house.authority.issue(first?.asked as NonNullable<typeof first>['asked'], 'operator')
    expect(again).toMatchObject({ kind: 'issued', issued: { serial: first?.serial } })
    expect((await house.authority.issued()).length).toBe(20)
  })

  it('refuses requests for another name, for two, and with a signature of another key', async () => {
    const house = await authorities()
    await house.created()
    const asked = await house.requestOf(anna)
    const other = { ...asked, owner: 'ben@clinic.test' as DirectAddress }
    expect(await house.authority.issue(other, 'operator')).toMatchObject({ kind: 'refused' })
    const broken = Uint8Array.from(asked.request)
    broken[broken.length - 3] = (broken[broken.length - 3] as number) ^ 1
    expect(await house.authority.issue({ ...asked, request: broken }, 'operator')).toMatchObject({ kind: 'refused' })
  })

  it('keeps to its domains where it was made for some', async () => {
    const house = await authorities()
    await house.authority.create({ name: 'Narrow', kind: 'p256', within: [clinic] }, 'operator')
    expect((await house.issued()).owner).toBe(anna)
    for (const owner of ['anna@other.test', 'anna@sub.clinic.test', 'notclinic.test'] as DirectAddress[])
      expect(await house.authority.issue(await house.requestOf(owner), 'operator')).toMatchObject({ kind: 'refused' })
    const below = await house.authority.issue(await house.requestOf('sub.clinic.test' as DirectDomain), 'operator')
    expect(below.kind).toBe('issued')
  })

  it('revokes and tells of it in the next list, in one step', async () => {
    const house = await authorities()
    const { id } = await house.created()
    const issued = await house.issued()
    const kept = await house.issued()
    expect(await house.authority.revoke(issued.certificate, 'keyCompromise', 'operator')).toEqual({ kind: 'revoked' })
    expect(await statusOf(house, id, issued.certificate)).toMatchObject({ kind: 'revoked', reason: 'keyCompromise' })
    expect(await statusOf(house, id, kept.certificate)).toEqual({ kind: 'good' })
    expect((await house.authority.list())[0]?.list.number).toBe(2)
    const again = await house.authority.revoke(issued.certificate, 'superseded', 'operator')
    expect(again).toEqual({ kind: 'revoked-before' })
    expect(await house.authority.issue(issued.asked, 'operator')).toMatchObject({ kind: 'refused' })
  })

  it('loses no revocation when two nodes revoke at once', async () => {
    const house = await authorities()
    const { id } = await house.created()
    const all = []
    for (let i = 0; i < 4; i++) all.push(await house.issued())
    const nodes = all.map(() => house.again())
    await Promise.all(all.map(({ certificate }, i) => nodes[i]?.revoke(certificate, 'superseded', 'operator')))
    for (const { certificate } of all) expect(await statusOf(house, id, certificate)).toMatchObject({ kind: 'revoked' })
    expect((await house.authority.list())[0]?.list.number).toBe(5)
  })

  it('signs its list anew long before it ends, with the next number, and drops lines only once told after their end', async () => {
    const house = await authorities({ ownerDays: 3 })
    const { id } = await house.created()
    const issued = await house.issued()
    await house.authority.revoke(issued.certificate, 'superseded', 'operator')
    expect(await house.authority.renewLists()).toBeGreaterThan(house.clock.now() + day - 2_000)
    expect((await house.authority.list())[0]?.list.number).toBe(2)
    const numbers = []
    for (let i = 0; i < 5; i++) {
      house.clock.advance(day)
      await house.authority.renewLists()
      const crl = readCrl((await house.authority.file(`${id}.crl`))?.bytes ?? new Uint8Array())
      numbers.push([(await house.authority.list())[0]?.list.number, crl.kind === 'crl' && crl.entries.length > 0])
    }
    expect(numbers).toEqual([
      [3, true],
      [4, true],
      [5, true],
      [6, true], // the first list made after its end (RFC 5280 §3.3)
      [7, false],
    ])
  })

  it('rolls over: the newest open one issues, the old ones still sign their lists', async () => {
    const house = await authorities()
    const old = await house.created('First')
    const before = await house.issued()
    house.clock.advance(1_000)
    const next = await house.created('Second')
    expect((await house.issued()).authority).toBe(next.id)
    expect(await house.authority.create({ name: 'First', kind: 'p256' }, 'operator')).toMatchObject({ kind: 'refused' })
    await house.authority.close(next.id, 'operator')
    expect((await house.issued()).authority).toBe(old.id)
    await house.authority.close(old.id, 'operator')
    expect((await house.authority.issue(await house.requestOf(anna), 'operator')).kind).toBe('refused')
    expect(await house.authority.revoke(before.certificate, 'superseded', 'operator')).toEqual({ kind: 'revoked' })
    expect(await statusOf(house, old.id, before.certificate)).toMatchObject({ kind: 'revoked' })
  })

  it('can be made closed, for partners to have it before it issues, and be opened', async () => {
    const house = await authorities()
    const old = await house.created('First')
    house.clock.advance(1_000)
    const made = await house.authority.create({ name: 'Second', kind: 'p256', closed: true }, 'operator')
    if (made.kind !== 'created') throw new Error(made.detail)
    expect(made.authority.closed).toBe(true)
    expect((await house.issued()).authority).toBe(old.id)
    expect(await house.authority.open(made.authority.id, 'operator')).toEqual({ kind: 'done' })
    expect((await house.issued()).authority).toBe(made.authority.id)
    expect(await house.authority.open('0'.repeat(16), 'operator')).toMatchObject({ kind: 'refused' })
  })

  it('refuses to revoke what is not its own', async () => {
    const [house, other] = [await authorities(), await authorities()]
    await house.created()
    await other.created()
    const foreign = await other.issued()
    expect(await house.authority.revoke(foreign.certificate, 'superseded', 'operator')).toMatchObject({
      kind: 'refused',
    })
    expect(await house.authority.revoke(Uint8Array.of(1, 2), 'superseded', 'operator')).toMatchObject({
      kind: 'refused',
    })
  })

  it('serves its files under their names only, with an age that ends with the list', async () => {
    const house = await authorities()
    const { id } = await house.created()
    const list = await house.authority.file(`${id}.crl`)
    expect(list).toMatchObject({ mediaType: 'application/pkix-crl', maxAgeSeconds: 3_600 })
    expect(await house.authority.file(`${id}.cer`)).toMatchObject({ mediaType: 'application/pkix-cert' })
    for (const name of ['', `${id}`, `${id}.CRL`, `${id}.crl/`, `../${id}.crl`, `${'0'.repeat(16)}.crl`, `${id}.pem`])
      expect(await house.authority.file(name)).toBeUndefined()
    house.clock.advance(7 * day - 60_000)
    expect((await house.authority.file(`${id}.crl`))?.maxAgeSeconds).toBeLessThanOrEqual(60)
  })

  it('waits, without a change, while its key cannot be unwrapped', async () => {
    const house = await authorities()
    await house.created()
    const issued = await house.issued()
    const { openSteps } = await import('../../src/workers/steps.js')
    const { openAuthority } = await import('../../src/authority/authority.js')
    const stranger = openAuthority({ ...house.ports, arithmetic: openSteps(masterKey().secret) })
    expect((await stranger.issue(await house.requestOf(anna), 'operator')).kind).toBe('undecided')
    expect((await stranger.revoke(issued.certificate, 'superseded', 'operator')).kind).toBe('undecided')
    expect((await house.authority.list())[0]?.list.number).toBe(1)
  })

  it('keeps rows that its families know, and that stand together', async () => {
    const house = await authorities()
    await house.created()
    const issued = await house.issued()
    await house.authority.revoke(issued.certificate, 'superseded', 'operator')
    const by = { unwrap: openKeyring({ current: house.master }, random).unwrap } as never
    const seen = new Set<string>()
    for await (const row of house.store.snapshot()) {
      if (row.kind !== 'entry' || !row.key.startsWith('authority/')) continue
      const [family, ...others] = authorityFamilies.filter(({ form, kind }) => kind === 'entry' && form.test(row.key))
      expect(others).toEqual([])
      expect(family, row.key).toBeDefined()
      seen.add(family?.name ?? '')
      for (const need of (await family?.check(row as never, by)) ?? [])
        if (need.kind === 'entry') expect(await house.store.get(need.key)).toBeDefined()
    }
    expect(seen.size).toBe(5)
  })
})
