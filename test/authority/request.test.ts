import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ownerName } from '../../src/authority/profile.js'
import { readRequest, requestLimits } from '../../src/authority/request.js'
import { readPublicKey } from '../../src/authority/signing.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { nameText } from '../../src/x509/name.js'
import { makeAuthority } from '../fixtures/pki.js'
import { anna, authorities, clinic } from './worlds.js'

describe('a certificate request', () => {
  it.each(['rsa-2048', 'p256', 'p384'] as const)('of a key of %s reads back with its names', async (kind) => {
    const { requestOf } = await authorities()
    for (const owner of [anna, clinic]) {
      const { request, publicKey } = await requestOf(owner, 'both', kind)
      const read = readRequest(request)
      expect(read).toMatchObject({ kind: 'request', names: [owner], others: 0 })
      expect(read.kind === 'request' && read.key.spki).toEqual(publicKey.spki)
    }
  })

  it('of whatever bytes is read or refused, and never throws', async () => {
    const { requestOf } = await authorities()
    const { request } = await requestOf(anna)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(readRequest(bytes).kind).toBe('bad')
      }),
      { numRuns: 500 },
    )
    let accepted = 0
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(request.length - 1), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        (flips) => {
          const changed = Uint8Array.from(request)
          for (const [at, mask] of flips) changed[at] = (changed[at] as number) ^ mask
          // The signature covers all but itself, so that only two flips that undo one another pass.
          if (readRequest(changed).kind === 'request' && Buffer.compare(changed, request) !== 0) accepted++
        },
      ),
      { numRuns: 3_000 },
    )
    expect(accepted).toBe(0)
  })

  it('is cut short or padded without being believed', async () => {
    const { request } = await (await authorities()).requestOf(anna)
    for (let length = 0; length < request.length; length += 7)
      expect(readRequest(request.subarray(0, length)).kind).toBe('bad')
    expect(readRequest(Buffer.concat([request, Uint8Array.of(0)])).kind).toBe('bad')
    expect(readRequest(new Uint8Array(requestLimits.sizeBytes + 1).fill(0x30)).kind).toBe('bad')
  })

  it('is for keys that are strong enough only', () => {
    const weak = makeAuthority({ keyType: 'rsa1024' })
    const certificate = Buffer.from(weak.certificate)
    const at = certificate.indexOf(Buffer.from('300d06092a864886f70d0101010500', 'hex')) - 3
    const spki = certificate.subarray(at, at + 3 + (certificate[at + 2] as number))
    expect(readPublicKey(spki)).toMatchObject({ kind: 'unfit', detail: expect.stringContaining('1024') })
  })

  it('names long addresses by their beginning and a digest, so that no two share a name', () => {
    const long = `${'a'.repeat(60)}@clinic.test` as DirectAddress
    const other = `${'a'.repeat(60)}@clinic.example` as DirectAddress
    const names = [long, other].map((owner) => nameText(ownerName(owner)))
    expect(names[0]).not.toBe(names[1])
    for (const name of names) expect(name.length).toBeLessThanOrEqual('CN='.length + 64)
    expect(nameText(ownerName(anna))).toBe(`CN=${anna}`)
  })
})
