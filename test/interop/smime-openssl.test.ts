import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { privateKeyFrom } from '../../src/smime/key.js'
import { openMessage } from '../../src/smime/open.js'
import { sealMessage } from '../../src/smime/seal.js'
import { readCertificate } from '../../src/x509/certificate.js'
import { type Identity, makeAuthority, makeLeaf, pemFiles, temporaryFile } from '../fixtures/pki.js'

const ca = makeAuthority()
const alice = makeLeaf(ca)
const bob = makeLeaf(ca)
const key = (identity: Identity) => {
  const certificate = readCertificate(identity.certificate)
  const key = privateKeyFrom(identity.pkcs8)
  if (certificate.kind !== 'certificate' || 'kind' in key) throw new Error('fixture')
  return { id: identity.fingerprint, certificate, key, chain: [] }
}
const openssl = (args: string[], input?: Uint8Array) => execFileSync('openssl', args, { input, maxBuffer: 1 << 28 })
const text = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n')

describe('first', () => {
  it('opens', () => {
    const a = pemFiles(alice)
    const b = pemFiles(bob)
    const signed = openssl(['cms', '-sign', '-signer', a.certificate, '-inkey', a.key, '-md', 'sha256'], text)
    for (const opt of [[], ['-stream'], ['-keyid']]) {
      const enc = openssl(['cms', '-encrypt', '-aes-256-cbc', ...opt, '-recip', b.certificate], signed)
      const opened = openMessage(enc, [key(bob)])
      if (opened.kind === 'refused') throw new Error(JSON.stringify(opened))
      expect(Buffer.from(opened.entity).toString()).toBe(text.toString())
    }
  })
  it('seals', () => {
    const sealed = sealMessage(Buffer.from('From: a\r\nTo: b\r\n\r\nhi\r\n'), {
      signers: [key(alice)],
      recipients: [bob.certificate],
      outerHeaders: [{ name: 'From', value: 'a@b.example' }],
      at: Date.now(),
    })
    if (sealed.kind === 'refused') throw new Error(JSON.stringify(sealed))
    const b = pemFiles(bob)
    const dec = openssl(['cms', '-decrypt', '-recip', b.certificate, '-inkey', b.key], sealed.wire)
    const out = openssl(['cms', '-verify', '-CAfile', pemFiles(ca).certificate], dec)
    expect(out.toString()).toContain('hi\r\n')
    const opened = openMessage(sealed.wire, [key(bob)])
    expect(opened.kind).toBe('opened')
  })
})
