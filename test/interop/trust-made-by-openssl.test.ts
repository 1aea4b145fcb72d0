import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { openEvidence } from '../../src/resolve/evidence.js'
import { decideTrust } from '../../src/trust/decide.js'
import { defaultTrustPolicy } from '../../src/trust/policy.js'
import { openRevocation } from '../../src/trust/revocation.js'
import { certificatesIn } from '../../src/x509/bundle.js'

/** An authority as an operator would run it with OpenSSL, judged by us: certificates, .p7c and CRL are its bytes alone. */
let folder = ''
const run = (...parameters: readonly string[]) => execFileSync('openssl', parameters, { cwd: folder, stdio: 'pipe' })
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)))

const configuration = `
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
policy = any
copy_extensions = none
[any]
commonName = supplied
organizationName = optional
[v3_root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[v3_middle]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always, issuer:always
nameConstraints = critical, permitted;DNS:hisp.test, permitted;email:hisp.test
certificatePolicies = 1.3.6.1.4.1.99999.10.1
[v3_leaf]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = emailProtection
subjectAltName = email:alice@hisp.test, DNS:hisp.test
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:http://crl.test/middle.crl
authorityInfoAccess = caIssuers;URI:http://aia.test/middle.p7c
certificatePolicies = 1.3.6.1.4.1.99999.10.1
[req]
distinguished_name = dn
string_mask = default
[dn]
`

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'direct-gateway-openssl-'))
  writeFileSync(join(folder, 'ca.cnf'), configuration)
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'serial.txt'), '80ff000001\n')
  writeFileSync(join(folder, 'crlnumber.txt'), '01\n')
  const request = (name: string, subject: string, key: readonly string[]) =>
    run(
      'req',
      '-config',
      'ca.cnf',
      '-new',
      '-nodes',
      ...key,
      '-keyout',
      `${name}.key`,
      '-subj',
      subject,
      '-out',
      `${name}.csr`,
    )
  const sign = (name: string, by: string, section: string, more: readonly string[] = []) =>
    run(
      ...[
        'ca',
        '-config',
        'ca.cnf',
        '-batch',
        '-notext',
        '-in',
        `${name}.csr`,
        '-out',
        `${name}.pem`,
        '-extensions',
        section,
      ],
      ...['-keyfile', `${by}.key`, ...(by === name ? ['-selfsign'] : ['-cert', `${by}.pem`]), ...more],
    )
  const rsa = ['-newkey', 'rsa:2048']
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']
  request('root', '/O=Tést Clinic/CN=Root', rsa)
  sign('root', 'root', 'v3_root')
  request('middle', '/O=Test Clinic/CN=Middle', ec)
  sign('middle', 'root', 'v3_middle', ['-sigopt', 'rsa_padding_mode:pss'])
  for (const name of ['good', 'bad']) {
    request(name, `/CN=${name}`, rsa)
    sign(name, 'middle', 'v3_leaf')
  }
  run(
    'ca',
    '-config',
    'ca.cnf',
    '-keyfile',
    'middle.key',
    '-cert',
    'middle.pem',
    '-revoke',
    'bad.pem',
    '-crl_reason',
    'keyCompromise',
  )
  run('ca', '-config', 'ca.cnf', '-keyfile', 'middle.key', '-cert', 'middle.pem', '-gencrl', '-out', 'middle.crl')
  run(
    'crl2pkcs7',
    '-nocrl',
    '-certfile',
    'middle.pem',
    '-certfile',
    'root.pem',
    '-outform',
    'DER',
    '-out',
    'middle.p7c',
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const clock = { now: () => Date.now() }
const certificate = (name: string) => certificatesIn(read(`${name}.pem`))[0] as Uint8Array

async function judged(name: string, bag: readonly Uint8Array[], requiredPolicies: readonly string[] = []) {
  const recipient = 'bob@clinic.test' as DirectAddress
  const verdict = await decideTrust(
    {
      recipient,
      sender: 'alice@hisp.test' as DirectAddress,
      signers: [{ kind: 'verified', certificate: certificate(name), digest: 'sha256', signature: 'rsa' }],
      bag,
      at: Date.now(),
    },
    {
      anchors: { of: async () => [{ owner: recipient, certificate: certificate('root'), direction: 'both' }] },
      revocation: openRevocation({
        clock,
        issuers: { of: async () => [] },
        sources: openEvidence({
          clock,
          reach: {},
          fetch: async (url) =>
            url === 'http://crl.test/middle.crl'
              ? { kind: 'fetched', body: Buffer.from(read('middle.crl')) }
              : { kind: 'unreachable', detail: url },
        }).revocation,
      }),
      issuers: { of: async () => [] },
    },
    { ...defaultTrustPolicy, requiredPolicies },
  )
  return verdict.kind === 'refused' ? `${verdict.reason}: ${verdict.detail}` : verdict.kind
}

it('is trusted, over an RSA-PSS signature, name constraints and policies', async () => {
  expect(await judged('good', certificatesIn(read('middle.p7c')))).toBe('trusted')
  expect(await judged('good', [certificate('middle')], ['1.3.6.1.4.1.99999.10.1'])).toBe('trusted')
  expect(await judged('good', [certificate('middle')], ['1.3.6.1.4.1.99999.10.2'])).toMatch(/^certificate-policy/)
})

it('has revoked one', async () => {
  expect(await judged('bad', certificatesIn(read('middle.p7c')))).toMatch(
    /^revoked: CN=bad was revoked .*: keyCompromise$/,
  )
})
