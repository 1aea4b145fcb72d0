import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as pkijs from 'pkijs'
import { afterAll, describe, expect, it } from 'vitest'
import type { DirectDomain } from '../../src/direct/address.js'
import type { KeyKind } from '../../src/ports/arithmetic.js'
import type { KeyUse } from '../../src/ports/registrar.js'
import { anna, authorities, clinic } from '../authority/worlds.js'
import { pem } from '../fixtures/pki.js'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'dg-authority-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function file(body: string | Uint8Array): string {
  const path = join(folder, `f${files++}`)
  writeFileSync(path, body)
  return path
}

function openssl(...args: string[]): { readonly ok: boolean; readonly out: string } {
  const run = spawnSync('openssl', args)
  return { ok: run.status === 0, out: `${run.stdout}${run.stderr}` }
}

const certificateFile = (der: Uint8Array) => file(pem('CERTIFICATE', der))

/** An authority with a certificate for anna, and the files that OpenSSL judges. */
async function issued(kind: KeyKind, use: KeyUse = 'both', within: readonly DirectDomain[] = []) {
  const house = await authorities()
  const made = await house.authority.create({ name: 'Clinic Authority 2026', kind, within }, 'operator')
  if (made.kind !== 'created') throw new Error(made.detail)
  const answer = await house.authority.issue(await house.requestOf(anna, use, kind), 'operator')
  if (answer.kind !== 'issued') throw new Error(answer.detail)
  const { certificate } = answer.issued
  const { id } = made.authority
  const listFile = async () => {
    const list = await house.authority.file(`${id}.crl`)
    return file(pem('X509 CRL', list?.bytes ?? new Uint8Array()))
  }
  return {
    house,
    id,
    certificate,
    root: certificateFile(made.authority.certificate),
    leaf: certificateFile(certificate),
    listFile,
  }
}

describe.skipIf(!hasOpenssl)('what our authority makes, judged by OpenSSL', () => {
  it.each(['rsa-2048', 'rsa-3072', 'p256', 'p384'] as const)(
    'a certificate, its authority and its list hold together, with keys of %s, before and after it is revoked',
    async (kind) => {
      const { house, certificate, root, leaf, listFile } = await issued(kind)
      const verify = async (purpose: string) =>
        openssl(
          ...['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', root],
          ...['-crl_check', '-CRLfile', await listFile(), '-purpose', purpose, leaf],
        )
      // OpenSSL's smimeencrypt asks for keyEncipherment of every key, which a curve does not have (RFC 5480 §3).
      for (const purpose of kind.startsWith('rsa') ? ['smimesign', 'smimeencrypt'] : ['smimesign']) {
        const { ok, out } = await verify(purpose)
        expect(ok, out).toBe(true)
      }
      expect((await verify('sslserver')).ok).toBe(false)
      await house.authority.revoke(certificate, 'keyCompromise', 'operator')
      expect((await verify('smimesign')).out).toContain('certificate revoked')
      const text = openssl('crl', '-in', await listFile(), '-text', '-noout').out
      expect(text).toMatch(/X509v3 CRL Number:\s+2/)
      expect(text).toContain('Key Compromise')
    },
  )

  it('a certificate reads as the profile says', async () => {
    const { leaf, root, id } = await issued('rsa-2048')
    const text = openssl('x509', '-in', leaf, '-text', '-noout').out.replace(/[ \n]+/g, ' ')
    for (const expected of [
      'Version: 3 (0x2)',
      'sha256WithRSAEncryption',
      `Subject: CN = ${anna}`,
      'X509v3 Basic Constraints: critical CA:FALSE',
      'X509v3 Key Usage: critical Digital Signature, Key Encipherment',
      'E-mail Protection',
      `email:${anna}`,
      `URI:http://pki.clinic.test/pki/${id}.crl`,
      `CA Issuers - URI:http://pki.clinic.test/pki/${id}.cer`,
    ])
      expect(text).toContain(expected)
    expect(openssl('x509', '-in', root, '-text', '-noout').out).toContain('CA:TRUE, pathlen:0')
  })

  it.each([
    ['sign', 'smimesign', 'smimeencrypt'],
    ['encrypt', 'smimeencrypt', 'smimesign'],
  ] as const)('a single-use certificate to %s serves that and nothing else', async (use, serves, not) => {
    const { root, leaf } = await issued('rsa-2048', use)
    const fits = (purpose: string) => openssl('verify', '-CAfile', root, '-purpose', purpose, leaf).ok
    expect([fits(serves), fits(not)]).toEqual([true, false])
  })

  it('an authority for some domains is believed for those only', async () => {
    const { root, leaf } = await issued('p256', 'both', [clinic])
    expect(openssl('verify', '-x509_strict', '-CAfile', root, leaf).ok).toBe(true)
    const narrow = await issued('p256', 'both', [clinic])
    expect(openssl('x509', '-in', narrow.root, '-text', '-noout').out).toContain(`email:${clinic}`)
  })

  it.each(['rsa-2048', 'p256', 'p384'] as const)(
    'a request of a key of %s is signed by it, and an authority made of OpenSSL certifies it',
    async (kind) => {
      const { requestOf, steps } = await authorities()
      const asked = await requestOf(anna, 'both', kind)
      const csr = file(pem('CERTIFICATE REQUEST', asked.request))
      const read = openssl('req', '-in', csr, '-verify', '-text', '-noout').out
      expect(read).toContain('verify OK')
      expect(read).toContain(`email:${anna}`)
      const [key, root, leaf] = [join(folder, `k-${kind}`), join(folder, `r-${kind}`), join(folder, `l-${kind}`)]
      const name = ['-subj', '/CN=Outside Root', '-days', '30']
      openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', root, ...name)
      const made = openssl(
        ...['x509', '-req', '-in', csr, '-CA', root, '-CAkey', key, '-CAcreateserial', '-copy_extensions', 'copy'],
        ...['-days', '20', '-outform', 'DER', '-out', leaf],
      )
      expect(made.ok, made.out).toBe(true)
      expect(await steps.bindKey(asked.key, new Uint8Array(readFileSync(leaf)))).toMatchObject({ kind: 'bound' })
      expect(await steps.bindKey(asked.key, Buffer.from(pemBody(readFileSync(root, 'utf8')), 'base64'))).toMatchObject({
        kind: 'mismatch',
      })
    },
  )

  it('a request of OpenSSL is certified, and what its key signs is believed by whoever trusts our authority', async () => {
    const house = await authorities()
    const { certificate } = await house.created('Clinic Authority', 'rsa-2048')
    const [key, csr] = [join(folder, 'own.key'), join(folder, 'own.csr')]
    const san = ['-subj', '/CN=Anna', '-addext', `subjectAltName=email:${anna}`, '-outform', 'DER']
    openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', csr, ...san)
    const request = new Uint8Array(readFileSync(csr))
    const answer = await house.authority.issue({ request, owner: anna, use: 'both' }, 'operator')
    if (answer.kind !== 'issued') throw new Error(answer.detail)
    const leaf = certificateFile(answer.issued.certificate)
    const root = certificateFile(certificate)
    const [mail, signedMail] = [file('Content-Type: text/plain\r\n\r\nHello\r\n'), join(folder, 'signed')]
    expect(openssl('cms', '-sign', '-in', mail, '-signer', leaf, '-inkey', key, '-out', signedMail).ok).toBe(true)
    expect(openssl('cms', '-verify', '-in', signedMail, '-CAfile', root).ok).toBe(true)
    const sealed = join(folder, 'sealed')
    expect(openssl('cms', '-encrypt', '-aes256', '-in', mail, '-out', sealed, leaf).ok).toBe(true)
    expect(openssl('cms', '-decrypt', '-in', sealed, '-recip', leaf, '-inkey', key).out).toContain('Hello')
  })

  it('finds a flaw that is put there on purpose', async () => {
    const { certificate, root, listFile } = await issued('p256')
    const flawed = Uint8Array.from(certificate)
    flawed[flawed.length - 5] = (flawed[flawed.length - 5] as number) ^ 0x10
    const verify = openssl(
      'verify',
      '-CAfile',
      root,
      '-crl_check',
      '-CRLfile',
      await listFile(),
      certificateFile(flawed),
    )
    expect(verify.ok).toBe(false)
  })
})

describe('what our authority makes, judged by pkijs', () => {
  it('reads, and chains to its anchor with its list', async () => {
    const { house, id, certificate } = await issued('rsa-2048')
    const root = await house.authority.file(`${id}.cer`)
    const list = await house.authority.file(`${id}.crl`)
    const whole = (bytes: Uint8Array) => Uint8Array.from(bytes).buffer as ArrayBuffer
    const anchor = pkijs.Certificate.fromBER(whole(root?.bytes ?? new Uint8Array()))
    const crl = pkijs.CertificateRevocationList.fromBER(whole(list?.bytes ?? new Uint8Array()))
    const engine = new pkijs.CertificateChainValidationEngine({
      trustedCerts: [anchor],
      certs: [pkijs.Certificate.fromBER(whole(certificate))],
      crls: [crl],
    })
    expect(await engine.verify()).toMatchObject({ result: true })
    expect(await crl.verify({ issuerCertificate: anchor })).toBe(true)
  })
})

function pemBody(text: string): string {
  return text.replace(/-----[^-]+-----|\s/g, '')
}
