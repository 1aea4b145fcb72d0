import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import forge from 'node-forge'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { judgeBundle } from '../../src/pipeline/bundle-content.js'
import { bundleFetchRules, openBundles } from '../../src/pipeline/bundles.js'
import { conditionalFetch } from '../../src/resolve/fetch.js'
import { made, random, serving, world } from '../directory/worlds.js'
import { p7b, p7m } from '../fixtures/bundles.js'
import { makeAuthority, makeLeaf, pem } from '../fixtures/pki.js'
import { serve } from '../resolve/server.js'

/** Bundles as a community makes them with OpenSSL or node-forge, and ours as OpenSSL reads them. */
let folder = ''
const run = (...parameters: readonly string[]) => execFileSync('openssl', parameters, { cwd: folder, stdio: 'pipe' })
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)))
const write = (name: string, body: string | Uint8Array) => writeFileSync(join(folder, name), body)

const anchors = [makeAuthority({ keyType: 'rsa2048' }), makeAuthority(), makeAuthority({ keyType: 'p384' })]
const ids = anchors.map(({ fingerprint }) => fingerprint)
const community = makeAuthority({ keyType: 'rsa2048' })
const signer = makeLeaf(community, { keyType: 'rsa2048' })
const other = makeLeaf(makeAuthority(), { keyType: 'rsa2048' })
const metadata = '<?xml version="1.0"?>\n<TrustBundle><Profile>Pilots</Profile></TrustBundle>\n'

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'direct-gateway-bundles-'))
  for (const [i, anchor] of anchors.entries()) write(`anchor${i}.pem`, anchor.certificatePem)
  write('anchors.pem', anchors.map(({ certificatePem }) => certificatePem).join(''))
  for (const [name, identity] of Object.entries({ signer, other, community })) {
    write(`${name}.pem`, identity.certificatePem)
    write(`${name}.key`, identity.privateKeyPem)
  }
  run('crl2pkcs7', '-nocrl', '-certfile', 'anchors.pem', '-outform', 'DER', '-out', 'bundle.p7b')
  run('crl2pkcs7', '-nocrl', '-certfile', 'anchors.pem', '-out', 'bundle.pem')
  write('metadata.xml', metadata)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const trusting = {
  revocation: { status: async () => ({ kind: 'not-published' as const }) },
  issuers: { of: async () => [] },
}

async function judged(bytes: Uint8Array, pinned?: { readonly certificate: Uint8Array }) {
  const outcome = await judgeBundle({ bytes, signer: pinned?.certificate, at: Date.now() }, trusting)
  if (outcome.kind === 'refused') return outcome.fault
  return outcome.content.certificates.map((der) => createHash('sha256').update(der).digest('hex'))
}

describe('a bundle by OpenSSL', () => {
  it('reads in DER and PEM, and as the anchors one after the other', async () => {
    for (const name of ['bundle.p7b', 'bundle.pem', 'anchors.pem'])
      expect((await judged(read(name))).toString().split(',').sort(), name).toEqual([...ids].sort())
  })

  it('is believed when its signer made it, in every form that it can be written', async () => {
    const sign = ['-sign', '-in', 'bundle.p7b', '-binary', '-nodetach', '-signer', 'signer.pem', '-inkey', 'signer.key']
    const forms: readonly (readonly string[])[] = [
      ['cms', ...sign, '-outform', 'DER'],
      ['cms', ...sign, '-outform', 'PEM'],
      ['cms', ...sign, '-outform', 'DER', '-stream'],
      ['cms', ...sign, '-outform', 'DER', '-keyid'],
      ['cms', ...sign, '-outform', 'DER', '-nocerts'],
      ['cms', ...sign, '-outform', 'DER', '-noattr'],
      ['cms', ...sign, '-outform', 'DER', '-md', 'sha512'],
      ['cms', ...sign, '-outform', 'DER', '-keyopt', 'rsa_padding_mode:pss'],
      ['cms', ...sign, '-outform', 'DER', '-econtent_type', 'pkcs7-signedData'],
      ['cms', ...sign, '-outform', 'DER', '-certfile', 'anchors.pem'],
      ['cms', ...sign, '-outform', 'SMIME'],
      ['smime', ...sign, '-outform', 'DER'],
      ['smime', ...sign, '-outform', 'PEM'],
      ['smime', ...sign, '-outform', 'SMIME'],
    ]
    for (const form of forms) {
      const bytes = new Uint8Array(run(...form))
      expect((await judged(bytes, signer)).toString().split(',').sort(), form.join(' ')).toEqual([...ids].sort())
      // What he signed is his word only where he is asked for.
      expect(await judged(bytes, other)).toBe(form.includes('-nocerts') ? 'signature-invalid' : 'signer-not-trusted')
    }
    const chained = new Uint8Array(run('cms', ...sign, '-outform', 'DER'))
    expect(await judged(chained, community)).toHaveLength(3)
  })

  it('is refused when it was signed with a weak digest, by somebody else, or for other content', async () => {
    const sign = (name: string, ...more: readonly string[]) =>
      new Uint8Array(
        run(
          'cms',
          '-sign',
          '-binary',
          '-nodetach',
          '-in',
          'bundle.p7b',
          '-outform',
          'DER',
          '-signer',
          `${name}.pem`,
          '-inkey',
          `${name}.key`,
          ...more,
        ),
      )
    expect(await judged(sign('signer', '-md', 'sha1'), signer)).toBe('signature-invalid')
    expect(await judged(sign('signer', '-md', 'md5'), signer)).toBe('signature-invalid')
    expect(await judged(sign('other'), signer)).toBe('signer-not-trusted')
    expect(await judged(sign('other', '-certfile', 'signer.pem'), signer)).toBe('signer-not-trusted')
    expect(await judged(read('bundle.p7b'), signer)).toBe('unsigned')
    // Without -binary the content is made text, and is a bundle no more.
    const text = run(
      'cms',
      '-sign',
      '-nodetach',
      '-in',
      'bundle.p7b',
      '-outform',
      'DER',
      '-signer',
      'signer.pem',
      '-inkey',
      'signer.key',
    )
    expect(await judged(new Uint8Array(text), signer)).toBe('unreadable')
    const detached = run(
      'cms',
      '-sign',
      '-binary',
      '-in',
      'bundle.p7b',
      '-outform',
      'DER',
      '-signer',
      'signer.pem',
      '-inkey',
      'signer.key',
    )
    expect(await judged(new Uint8Array(detached), signer)).toBe('unreadable')
  })
})

describe('a bundle by node-forge', () => {
  it('reads, and is believed when its signer made it', async () => {
    const [rsa] = anchors
    if (!rsa) throw new Error('there is an anchor')
    const open = forge.pkcs7.createSignedData()
    open.addCertificate(rsa.certificatePem)
    open.addCertificate(community.certificatePem)
    open.content = forge.util.createBuffer(metadata)
    const bundle = forge.asn1.toDer(open.toAsn1()).getBytes()
    const outcome = await judgeBundle(
      { bytes: Buffer.from(bundle, 'latin1'), signer: undefined, at: Date.now() },
      trusting,
    )
    expect(outcome).toMatchObject({ kind: 'sound', content: { metadata: { profile: 'Pilots' } } })
    const signed = forge.pkcs7.createSignedData()
    signed.content = forge.util.createBuffer(bundle)
    signed.addCertificate(signer.certificatePem)
    signed.addSigner({
      key: forge.pki.privateKeyFromPem(signer.privateKeyPem) as forge.pki.rsa.PrivateKey,
      certificate: forge.pki.certificateFromPem(signer.certificatePem),
      digestAlgorithm: forge.pki.oids['sha256'] as string,
      authenticatedAttributes: [
        { type: forge.pki.oids['contentType'] as string, value: forge.pki.oids['data'] as string },
        { type: forge.pki.oids['messageDigest'] as string },
      ],
    })
    signed.sign()
    const der = Buffer.from(forge.asn1.toDer(signed.toAsn1()).getBytes(), 'latin1')
    expect(await judged(der, signer)).toEqual([rsa.fingerprint, community.fingerprint])
    expect(await judged(der, other)).toBe('signer-not-trusted')
  })
})

describe('OpenSSL about what the tests make', () => {
  it('reads the bundle and verifies the signature, and sees the forged one', () => {
    write('made.p7b', p7b(anchors, metadata))
    const printed = run('pkcs7', '-inform', 'DER', '-in', 'made.p7b', '-print_certs').toString()
    expect(printed.match(/BEGIN CERTIFICATE/g)).toHaveLength(3)
    const verify = (name: string) =>
      spawnSync(
        'openssl',
        ['cms', '-verify', '-inform', 'DER', '-in', name, '-CAfile', 'community.pem', '-purpose', 'any', '-binary'],
        { cwd: folder },
      ).status
    write('made.p7m', p7m(p7b(anchors), signer))
    write('forged.p7m', p7m(p7b(anchors), signer, { by: other }))
    write('bent.p7m', p7m(p7b(anchors), signer, { over: p7b([other]) }))
    expect(['made.p7m', 'forged.p7m', 'bent.p7m'].map(verify)).toEqual([0, 4, 4])
  })
})

describe('a bundle over HTTP', () => {
  it('keeps its last good copy through whatever the server does', async () => {
    let answer: { status: number; body: Uint8Array; etag?: string } = { status: 200, body: read('bundle.p7b') }
    const conditions: (string | undefined)[] = []
    const server = await serve((request, response) => {
      conditions.push(request.headers['if-none-match'])
      const { status, body, etag } = answer
      if (etag && request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end()
      else response.writeHead(status, etag ? { etag } : {}).end(body)
    })
    try {
      const here = await world()
      await serving(here.directory, 'clinic.test')
      const bundles = openBundles({
        ...trusting,
        directory: here.directory,
        fetch: conditionalFetch({ ...bundleFetchRules, allowPrivate: true, timeoutMs: 1_000 }),
        store: here.store,
        audit: here.ports.audit,
        clock: here.clock,
        random,
      })
      const url = `${server.base}/bundle.p7b`
      made(await bundles.add({ name: 'pilots', url }, 'operator'))
      const kept = async () => (await here.directory.bundles.anchorsOf('pilots')).map(({ id }) => id).sort()
      expect(await kept()).toEqual([...ids].sort())
      const valid = p7b([community])
      const failures = [
        { status: 500, body: valid },
        { status: 404, body: valid },
        { status: 204, body: new Uint8Array() },
        { status: 304, body: new Uint8Array() },
        { status: 200, body: Buffer.from('<html>maintenance</html>') },
        { status: 200, body: new Uint8Array() },
        { status: 200, body: p7b([]) },
        { status: 200, body: read('bundle.p7b').subarray(0, 1_000) },
        { status: 200, body: Buffer.alloc(bundleFetchRules.sizeBytes + 1) },
        { status: 302, body: valid },
      ]
      for (const failure of failures) {
        answer = failure
        expect((await bundles.refresh('pilots', 'operator')).kind, JSON.stringify(failure.status)).toBe('failed')
        expect(await kept()).toEqual([...ids].sort())
      }
      answer = { status: 200, body: Buffer.from(pem('PKCS7', p7b([community]))), etag: '"two"' }
      expect((await bundles.refresh('pilots', 'operator')).kind).toBe('replaced')
      expect(await kept()).toEqual([community.fingerprint])
      expect((await bundles.refresh('pilots', 'operator')).kind).toBe('unchanged')
      expect(conditions.at(-1)).toBe('"two"')
    } finally {
      await server.close()
    }
  })
})
