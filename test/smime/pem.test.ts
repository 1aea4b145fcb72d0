import { describe, expect, it } from 'vitest'
import { certificatesFrom, pemBlocks, privateKeysFrom } from '../../src/smime/pem.js'
import { makeAuthority, makeLeaf, pem } from '../fixtures/pki.js'
import { signedData } from './craft.js'

const one = makeLeaf(makeAuthority(), { keyType: 'p256' })
const other = makeLeaf(makeAuthority(), { keyType: 'p384' })
const text = (value: string) => Buffer.from(value)

describe('PEM', () => {
  it('blocks are found among any text, with any line breaks, and none without its end', () => {
    const file = `notes\n${one.certificatePem}\r\n-----BEGIN LOST-----\nAAAA\n${other.privateKeyPem.replaceAll('\n', '\r\n')}-----BEGIN X-----\nAAAA`
    expect(pemBlocks(text(file)).map(({ label }) => label)).toEqual(['CERTIFICATE', 'PRIVATE KEY'])
    expect(Buffer.from(pemBlocks(text(file))[0]?.der ?? [])).toEqual(Buffer.from(one.certificate))
  })

  it('of many begins without an end, or of many ends, costs little', () => {
    for (const line of [
      '-----BEGIN X-----\n',
      '-----END X-----\n',
      '-----BEGIN ',
      '-----BEGIN X-----\n-----END Y-----\n',
    ]) {
      const start = performance.now()
      expect(pemBlocks(Buffer.alloc(8 << 20, line))).toEqual([])
      expect(performance.now() - start).toBeLessThan(2_000)
    }
  })
})

describe('certificates', () => {
  const found = (file: Uint8Array) => {
    const read = certificatesFrom(file)
    return 'kind' in read ? read.detail : read.map((der) => Buffer.from(der).toString('base64'))
  }
  const ones = Buffer.from(one.certificate).toString('base64')
  const others = Buffer.from(other.certificate).toString('base64')

  it('are read from PEM beside keys, from DER, and from bundles in either', () => {
    expect(found(text(one.privateKeyPem + one.certificatePem + other.certificatePem))).toEqual([ones, others])
    expect(found(one.certificate)).toEqual([ones])
    const bundle = signedData([], [one.certificate, other.certificate])
    expect(found(bundle)).toEqual([ones, others])
    expect(found(text(pem('PKCS7', bundle)))).toEqual([ones, others])
    expect(found(text(Buffer.from(bundle).toString('base64')))).toEqual([ones, others])
  })

  it('are refused as a whole where one is unreadable', () => {
    expect(found(text(one.certificatePem + pem('CERTIFICATE', Buffer.from('no'))))).toMatch(/not a certificate/)
    expect(found(text(one.certificatePem + pem('CERTIFICATE', Buffer.from([0x30, 0]))))).toMatch(/certificate 2/)
    expect(found(text('hello'))).toMatch(/not a certificate/)
    expect(found(Buffer.alloc(0))).toMatch(/not a certificate/)
    expect(found(text(one.privateKeyPem))).toMatch(/not a certificate|no certificate/)
    expect(found(signedData([], []))).toMatch(/no certificate/)
  })
})

describe('private keys', () => {
  it('come out as PKCS #8, in order', () => {
    const keys = privateKeysFrom(text(one.certificatePem + one.privateKeyPem + other.privateKeyPem))
    if ('kind' in keys) throw new Error(keys.detail)
    expect(keys.map((key) => Buffer.from(key))).toEqual([one.pkcs8, other.pkcs8].map((key) => Buffer.from(key)))
  })
  it('that are not there, or not readable, are named', () => {
    expect(privateKeysFrom(text(one.certificatePem))).toMatchObject({
      kind: 'unusable',
      detail: 'no private key in it',
    })
    expect(privateKeysFrom(text(pem('PRIVATE KEY', Buffer.from('no'))))).toMatchObject({ kind: 'unusable' })
    expect(privateKeysFrom(one.certificate)).toMatchObject({ kind: 'unusable' })
  })
})
