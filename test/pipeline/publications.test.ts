import { beforeEach, describe, expect, test } from 'vitest'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import type { Owner } from '../../src/directory/directory.js'
import { publicationsOf } from '../../src/pipeline/publications.js'
import { made, serving, world } from '../directory/worlds.js'
import { type CertificateOptions, dayMs, type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'

const domain = 'clinic.example' as DirectDomain
const pat = 'pat@clinic.example' as DirectAddress
const authority = makeAuthority()
let here: Awaited<ReturnType<typeof world>>

beforeEach(async () => {
  here = await world()
  await serving(here.directory, domain, 'pat', 'bo', 'cy')
})

async function keep(owner: Owner, options: CertificateOptions = {}): Promise<Identity> {
  const san = owner.includes('@') ? { email: [owner] } : { dns: [owner] }
  const leaf = makeLeaf(authority, { keyType: 'p256', san, ...options })
  made(await here.directory.keys.add({ owner, certificate: leaf.certificate, pkcs8: leaf.pkcs8 }, 'operator'))
  return leaf
}

const publications = (limits?: { perPage: number; perRead: number }) =>
  publicationsOf({ directory: here.directory, clock: here.clock, ...(limits && { limits }) })
const told = async (owner: Owner) =>
  (await publications().certificatesOf(owner)).map((der) => Buffer.from(der).toString('hex'))
const hex = (...identities: readonly Identity[]) =>
  identities.map(({ certificate }) => Buffer.from(certificate).toString('hex'))

describe('publicationsOf', () => {
  test('tells the certificates of an address and of a domain, the newest first, none of another', async () => {
    const older = await keep(pat, { notBefore: Date.now() - 9 * dayMs })
    const newer = await keep(pat)
    const whole = await keep(domain)
    expect(await told(pat)).toEqual(hex(newer, older))
    expect(await told(domain)).toEqual(hex(whole))
    expect(await told('bo@clinic.example' as Owner)).toEqual([])
  })

  test('leaves out what has ended, has not begun, may not encipher, or is retired', async () => {
    await keep(pat, { notAfter: Date.now() - dayMs, notBefore: Date.now() - 9 * dayMs })
    await keep(pat, { notBefore: Date.now() + dayMs })
    await keep(pat, { keyUsage: ['digitalSignature'] })
    const retired = await keep(pat)
    expect(await told(pat)).toEqual(hex(retired))
    made(await here.directory.keys.retire(pat, retired.fingerprint, 'operator'))
    expect(await told(pat)).toEqual([])
    here.clock.advance(2 * dayMs)
    expect(await told(pat)).toHaveLength(1)
  })

  test('tells nothing of an address that is disabled or removed, nor of a domain no longer served', async () => {
    await keep(pat)
    await keep(domain)
    made(await here.directory.addresses.setDisabled(pat, true, 'operator'))
    expect(await told(pat)).toEqual([])
    made(await here.directory.addresses.setDisabled(pat, false, 'operator'))
    expect(await told(pat)).toHaveLength(1)
    for (const name of ['pat', 'bo', 'cy'])
      made(await here.directory.addresses.remove(`${name}@clinic.example` as DirectAddress, 'operator'))
    expect(await told(pat)).toEqual([])
    expect(await told(domain)).toHaveLength(1)
    made(await here.directory.domains.remove(domain, 'operator'))
    expect(await told(domain)).toEqual([])
    expect(await publications().domains()).toEqual([])
    expect(await publications().all()).toEqual([])
  })

  test('reads the store alike for a known address without certificate and for one never heard of', async () => {
    const bo = 'bo@clinic.example' as DirectAddress
    // Mail came to one of them: the directory remembers that it has no key of its own.
    await here.directory.keys.toDecrypt(bo)
    await here.directory.addresses.get(bo)
    const reads = async (owner: Owner) => {
      const before = here.reads()
      await told(owner)
      return here.reads() - before
    }
    for (let again = 0; again < 3; again++) {
      expect(await reads(bo)).toBe(1)
      expect(await reads('nobody@clinic.example' as Owner)).toBe(1)
    }
  })

  test('lists every owner once in pages, whatever their size', async () => {
    const owners = [domain, pat, 'cy@clinic.example'] as const
    for (const owner of owners) await keep(owner as Owner)
    for (const perPage of [1, 2, 3, 10]) {
      const found: Owner[] = []
      for (let page = await publications({ perPage, perRead: 2 }).all(); page.length > 0; ) {
        expect(page.length).toBeLessThanOrEqual(perPage)
        found.push(...page.map(({ owner }) => owner))
        page = await publications({ perPage, perRead: 2 }).all(found.at(-1))
      }
      expect(found).toEqual(['clinic.example', 'cy@clinic.example', 'pat@clinic.example'])
    }
  })
})
