import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openEvidence } from '../../src/resolve/evidence.js'
import { openRevocation } from '../../src/trust/revocation.js'
import { certificatesIn } from '../../src/x509/bundle.js'
import { type Certificate, readCertificate } from '../../src/x509/certificate.js'
import { ocspRequest } from '../../src/x509/ocsp.js'
import { type Identity, makeAuthority, makeLeaf, pemFiles, temporaryFile } from '../fixtures/pki.js'
import { serve } from '../resolve/server.js'
import { makeDelegate, respond } from '../trust/responder.js'

/** An authority as an operator would run it with OpenSSL: its responder answers, and its client judges our requests. */
let folder = ''
let server: Awaited<ReturnType<typeof serve>>
/** Which responder answers at `/ocsp`, and what else it is told. */
let responder: { signer: string; more: readonly string[] } = { signer: 'root', more: [] }
let files: Map<string, string>

const run = (...parameters: readonly string[]) =>
  execFileSync('openssl', parameters, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)))
const der = (name: string) => certificatesIn(read(`${name}.pem`))[0] as Uint8Array

const configuration = (base: string) => `
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
serial = serial.txt
crlnumber = crlnumber.txt
default_md = sha256
default_days = 30
default_crl_days = 2
unique_subject = no
policy = any
[any]
commonName = supplied
[v3_root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[v3_ocsp]
subjectAltName = email:alice@hisp.test
authorityInfoAccess = OCSP;URI:${base}/ocsp
[v3_both]
subjectAltName = email:alice@hisp.test
authorityInfoAccess = OCSP;URI:${base}/ocsp
crlDistributionPoints = URI:${base}/whole.crl
[v3_users]
subjectAltName = email:alice@hisp.test
crlDistributionPoints = URI:${base}/users.crl
[v3_elsewhere]
subjectAltName = email:alice@hisp.test
crlDistributionPoints = URI:${base}/elsewhere.crl
[v3_delegate]
extendedKeyUsage = OCSPSigning
keyUsage = critical, digitalSignature
noCheck = ignored
[v3_checked]
extendedKeyUsage = OCSPSigning
keyUsage = critical, digitalSignature
crlDistributionPoints = URI:${base}/whole.crl
[v3_unchecked]
extendedKeyUsage = OCSPSigning
[crl_users]
issuingDistributionPoint = critical, @users
[users]
fullname = URI:${base}/users.crl
onlyuser = TRUE
[crl_whole]
authorityKeyIdentifier = keyid
[req]
distinguished_name = dn
[dn]
`

const issued = (name: string, section: string, by = 'root') => {
  run(
    'req',
    '-config',
    'ca.cnf',
    '-new',
    '-nodes',
    ...ec,
    '-keyout',
    `${name}.key`,
    '-subj',
    `/CN=${name}`,
    '-out',
    'csr',
  )
  const self = by === name ? ['-selfsign', '-keyfile', `${by}.key`] : ['-cert', `${by}.pem`, '-keyfile', `${by}.key`]
  run(
    'ca',
    '-config',
    'ca.cnf',
    '-batch',
    '-notext',
    '-in',
    'csr',
    '-out',
    `${name}.pem`,
    '-extensions',
    section,
    ...self,
  )
}
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
const root = ['-config', 'ca.cnf', '-cert', 'root.pem', '-keyfile', 'root.key']

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'direct-gateway-ocsp-'))
  server = await serve((request, response) => {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      const file = files.get(request.url ?? '')
      if (file) return response.end(read(file))
      if (request.url !== '/ocsp') return response.writeHead(404).end()
      writeFileSync(join(folder, 'request.der'), Buffer.concat(body))
      const { signer, more } = responder
      const key = ['-rsigner', `${signer}.pem`, '-rkey', `${signer}.key`]
      run(
        'ocsp',
        '-index',
        'index.txt',
        '-CA',
        'root.pem',
        ...key,
        '-reqin',
        'request.der',
        '-respout',
        'response.der',
        ...more,
      )
      response.end(read('response.der'))
    })
  })
  writeFileSync(join(folder, 'ca.cnf'), configuration(server.base))
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'serial.txt'), '80ff000001\n')
  writeFileSync(join(folder, 'crlnumber.txt'), '01\n')
  issued('root', 'v3_root', 'root')
  for (const name of ['good', 'bad']) issued(name, 'v3_ocsp')
  for (const name of ['both', 'both-bad']) issued(name, 'v3_both')
  for (const name of ['user', 'user-bad']) issued(name, 'v3_users')
  issued('elsewhere', 'v3_elsewhere')
  issued('delegate', 'v3_delegate')
  issued('checked', 'v3_checked')
  issued('checked-bad', 'v3_checked')
  issued('unchecked', 'v3_unchecked')
  for (const name of ['bad', 'both-bad', 'user-bad', 'checked-bad'])
    run('ca', ...root, '-revoke', `${name}.pem`, '-crl_reason', 'superseded')
  run('ca', ...root, '-gencrl', '-crlexts', 'crl_whole', '-out', 'whole.crl')
  run('ca', ...root, '-gencrl', '-crlexts', 'crl_users', '-out', 'users.crl')
}, 60_000)
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  responder = { signer: 'root', more: ['-nmin', '60'] }
  files = new Map()
  server.hits.clear()
})

function opened(clock = { now: () => Date.now() }) {
  const sources = openEvidence({ clock, reach: { allowPrivate: true, timeoutMs: 5_000 } }).revocation
  const revocation = openRevocation({ clock, sources, issuers: { of: async () => [] } })
  return (name: string) =>
    revocation.status({ path: [der(name), der('root')], others: [], at: clock.now(), allowSha1: false })
}

describe('the responder of OpenSSL', () => {
  it.each<[string, string, readonly string[]]>([
    ['the authority itself', 'root', ['-nmin', '60']],
    ['the authority, named by its key', 'root', ['-nmin', '60', '-resp_key_id']],
    ['a delegate with nocheck', 'delegate', ['-nmin', '60']],
    ['an authority whose answers have no end', 'root', []],
    ['a delegate, signing with SHA-512', 'delegate', ['-nmin', '60', '-rmd', 'sha512']],
  ])('is %s: who is good is good, who is revoked is revoked', async (_, signer, more) => {
    responder = { signer, more }
    const ask = opened()
    expect(await ask('good')).toEqual({ kind: 'good' })
    expect(await ask('bad')).toMatchObject({ kind: 'revoked', reason: 'superseded' })
    await ask('good')
    expect(server.hits.get('/ocsp')).toBe(2)
  })

  it.each<[string, string, readonly string[], RegExp]>([
    ['without its certificate', 'delegate', ['-nmin', '60', '-resp_no_certs'], /did not come along/],
    ['of whom nobody publishes whether he was revoked', 'unchecked', ['-nmin', '60'], /nobody publishes/],
    ['who is no delegate', 'good', ['-nmin', '60'], /may not sign for OCSP/],
    ['with SHA-1', 'root', ['-nmin', '60', '-rmd', 'sha1'], /signed with sha1/],
  ])('%s proves nothing', async (_, signer, more, reason) => {
    responder = { signer, more }
    expect(await opened()('good')).toMatchObject({ kind: 'unavailable', detail: expect.stringMatching(reason) })
    expect((await opened()('bad')).kind).toBe('unavailable')
  })

  it('a delegate without nocheck is looked up in the list first', async () => {
    responder = { signer: 'checked', more: ['-nmin', '60'] }
    expect((await opened()('good')).kind).toBe('unavailable')
    files.set('/whole.crl', 'whole.crl')
    expect(await opened()('good')).toEqual({ kind: 'good' })
    expect((await opened()('bad')).kind).toBe('revoked')
    responder = { signer: 'checked-bad', more: ['-nmin', '60'] }
    expect(await opened()('good')).toMatchObject({ detail: expect.stringMatching(/responder was revoked/) })
  })

  it('is asked where the list is not to be had, and a revocation takes effect within the hour', async () => {
    let now = Date.now()
    const ask = opened({ now: () => now })
    expect((await ask('both-bad')).kind).toBe('revoked')
    expect((await ask('both')).kind).toBe('good')
    const index = readFileSync(join(folder, 'index.txt'))
    try {
      run('ca', ...root, '-revoke', 'both.pem')
      expect((await ask('both')).kind).toBe('good')
      now += 3_600_000
      responder = { signer: 'root', more: ['-ndays', '2'] }
      expect((await ask('both')).kind).toBe('revoked')
    } finally {
      writeFileSync(join(folder, 'index.txt'), index)
    }
  })
})

describe('lists made by OpenSSL', () => {
  it('one for all, and one for the users of one distribution point', async () => {
    files.set('/whole.crl', 'whole.crl')
    files.set('/users.crl', 'users.crl')
    files.set('/elsewhere.crl', 'users.crl')
    const ask = opened()
    expect(await ask('both')).toEqual({ kind: 'good' })
    expect(await ask('both-bad')).toMatchObject({ kind: 'revoked', reason: 'superseded' })
    expect(await ask('user')).toEqual({ kind: 'good' })
    expect((await ask('user-bad')).kind).toBe('revoked')
    expect(await ask('elsewhere')).toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(/another distribution point/),
    })
    expect(server.hits.has('/ocsp')).toBe(false)
  })

  it('in place of an answer by a list of another kind prove nothing: asked, then OCSP', async () => {
    files.set('/whole.crl', 'users.crl')
    expect(await opened()('both')).toEqual({ kind: 'good' })
    expect(server.hits.get('/ocsp')).toBe(1)
  })
})

describe('what OpenSSL says of ours', () => {
  const parsed = (bytes: Uint8Array): Certificate => {
    const certificate = readCertificate(bytes)
    if (certificate.kind === 'malformed') throw new Error(certificate.detail)
    return certificate
  }

  it('our request is the one that it makes itself', () => {
    for (const name of ['good', 'both-bad']) {
      run('ocsp', '-issuer', 'root.pem', '-cert', `${name}.pem`, '-no_nonce', '-reqout', 'theirs.der')
      expect(Buffer.from(ocspRequest(parsed(der(name)), parsed(der('root'))))).toEqual(Buffer.from(read('theirs.der')))
    }
  })

  it('the answers of our test responder are honest, and the dishonest are told', () => {
    const authority = makeAuthority()
    const leaf = makeLeaf(authority, { keyType: 'p256' })
    const delegate = makeDelegate(authority)
    const judge = (response: Uint8Array, who: Identity = leaf) => {
      const [ca, own] = [pemFiles(authority).certificate, pemFiles(who).certificate]
      const path = temporaryFile('response.der', response)
      try {
        return (
          run('ocsp', '-issuer', ca, '-cert', own, '-CAfile', ca, '-respin', path, '-no_nonce').split('\n')[0] ?? ''
        )
      } catch (error) {
        return String((error as { stderr?: Buffer }).stderr)
      }
    }
    const answers = [{ serial: leaf.serial }]
    expect(judge(respond(authority, { answers }))).toMatch(/: good$/)
    expect(judge(respond(authority, { answers, by: 'key' }))).toMatch(/: good$/)
    const signed = { signer: delegate, certificates: [delegate.certificate] }
    expect(judge(respond(authority, { answers, ...signed }))).toMatch(/: good$/)
    const revoked = [{ serial: leaf.serial, status: { at: Date.now() - 1000, reason: 1 } }]
    expect(judge(respond(authority, { answers: revoked }))).toMatch(/: revoked$/)
    expect(judge(respond(authority, { answers, unsigned: true }))).toMatch(/Verify Failure|verify/i)
    expect(judge(respond(authority, { answers, signWith: delegate }))).toMatch(/Verify Failure|verify/i)
  })
})
