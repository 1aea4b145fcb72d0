import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { composeLetter } from '../../src/pipeline/compose.js'
import type { CertificateDirectory } from '../../src/ports/trust.js'
import { broken, lintDirect } from '../fixtures/direct-lint.js'
import { accept, alice, clinicAuthority, doctor, done, outboundOf, seal, work } from '../fixtures/gateway.js'
import { type Identity, makeLeaf, pemFiles } from '../fixtures/pki.js'
import { letter, newSending, queued, sendDue, submitTo } from '../fixtures/sending.js'
import { cmsOf } from '../smime/identities.js'

/** What a message of ours looks like to everybody else: openssl prints it, and opens it with the key of each recipient. */

const address = (text: string) => text as DirectAddress
const people = {
  usual: address('a@usual.example'),
  sha1: address('b@sha1.example'),
  old: address('c@old.example'),
  curve: address('d@curve.example'),
}
const keys = Object.fromEntries(
  Object.entries(people).map(([name, email]) => {
    const keyType = name === 'curve' ? 'p256' : 'rsa2048'
    return [email, makeLeaf(clinicAuthority, { keyType, san: { email: [email] } })]
  }),
) as Record<string, Identity>
const discovery: CertificateDirectory = {
  of: async (one) => {
    const key = keys[one]
    if (!key) return { kind: 'none', steps: [] }
    return { kind: 'found', source: 'dns', binding: 'address', certificates: [key.certificate], steps: [] }
  },
}

function printed(wire: Uint8Array): string {
  const args = ['cms', '-cmsout', '-print', '-noout', '-inform', 'DER']
  return execFileSync('openssl', args, { input: cmsOf(wire), maxBuffer: 2 ** 26 }).toString()
}

/** The key transport or agreement of each RecipientInfo with the digest of OAEP, and the content cipher. */
function encryptionOf(wire: Uint8Array) {
  const [infos = '', content = ''] = printed(wire).split(/(?:e|authE)ncryptedContentInfo:/)
  const ways = infos
    .split('keyEncryptionAlgorithm:')
    .slice(1)
    .map((text) => {
      const name = /algorithm: (\S+)/.exec(text)?.[1] ?? ''
      const digest = /OBJECT\s+:(sha\d+)/.exec(text.slice(0, text.indexOf('encryptedKey')))?.[1]
      return [name, digest].filter(Boolean).join(' ')
    })
  return { ways, cipher: /algorithm: (\S+)/.exec(content)?.[1] }
}

function opened(wire: Uint8Array, key: Identity): string {
  const { certificate, key: keyFile } = pemFiles(key)
  const args = ['cms', '-decrypt', '-binary', '-inform', 'DER', '-recip', certificate, '-inkey', keyFile]
  return execFileSync('openssl', args, { input: cmsOf(wire), maxBuffer: 2 ** 26 }).toString('latin1')
}

async function sent(to: readonly DirectAddress[], text: string) {
  const { gateway } = await newSending({ discovery })
  const set = (owner: string, preference: object) => done(gateway.directory.encryption.set(owner, preference, 'test'))
  await set('sha1.example', { rsaTransport: 'oaep-sha1' })
  await set(people.old, { rsaTransport: 'pkcs1-v1.5', contentCipher: 'aes-128-cbc' })
  await set('curve.example', { contentCipher: 'aes-256-gcm' })
  const outcome = await submitTo(gateway, alice, to, { text })
  if (outcome.kind === 'refused') throw new Error(JSON.stringify(outcome))
  await sendDue(gateway)
  const jobs = await queued(gateway)
  return { gateway, wires: jobs.map(({ body }) => Buffer.from(body)) }
}

describe('one message to recipients of different systems', () => {
  it('is one CMS that each opens in his own way', async () => {
    const to = Object.values(people)
    const { wires } = await sent(to, letter(alice, to))
    expect(wires).toHaveLength(4)
    expect(new Set(wires.map(String)).size).toBe(1)
    const [wire = Buffer.alloc(0)] = wires
    const { ways, cipher } = encryptionOf(wire)
    expect(cipher).toBe('aes-128-cbc')
    expect(ways.toSorted()).toEqual(
      ['dhSinglePass-stdDH-sha256kdf-scheme', 'rsaEncryption', 'rsaesOaep', 'rsaesOaep sha256'].toSorted(),
    )
    const inside = to.map((one) => opened(wire, keys[one] as Identity))
    expect(new Set(inside).size).toBe(1)
    expect(inside[0]).toContain('Subject: Secret subject')
    for (const one of to) {
      const { privateKeyPem: recipientKeyPem, certificatePem: recipientCertPem } = keys[one] as Identity
      expect(broken(await lintDirect({ wire, recipientKeyPem, recipientCertPem }))).toEqual([])
    }
  })

  it.each([
    ['the usual', [people.usual], 'aes-256-cbc'],
    ['GCM, where all prefer it', [people.curve], 'aes-256-gcm'],
    ['CBC, where one does not', [people.curve, people.usual], 'aes-256-cbc'],
    ['128 bits, where one needs them', [people.old, people.curve], 'aes-128-cbc'],
  ] as const)('is encrypted with %s', async (_, to, cipher) => {
    const { wires } = await sent(to, letter(alice, to))
    expect(encryptionOf(wires[0] as Buffer).cipher?.toLowerCase()).toBe(cipher)
    expect(printed(wires[0] as Buffer)).toContain(cipher.endsWith('gcm') ? 'authEnvelopedData' : 'pkcs7-envelopedData')
  })
})

describe('a notice', () => {
  it('is encrypted as the system of the sender reads it, and passes the validators', async () => {
    const doctorRsa = makeLeaf(clinicAuthority, { keyType: 'rsa2048', san: { email: [doctor] } })
    const { gateway } = await newSending({})
    await done(gateway.directory.encryption.set('clinic.example', { rsaTransport: 'oaep-sha1' }, 'test'))
    await accept(gateway, seal({ signers: [doctorRsa] }))
    await work(gateway)
    const [job] = await outboundOf(gateway)
    const prepared = job && (await gateway.prepare(job))
    if (prepared?.kind !== 'sealed') throw new Error(JSON.stringify(prepared))
    expect(encryptionOf(prepared.wire)).toEqual({ ways: ['rsaesOaep'], cipher: 'aes-256-cbc' })
    const { privateKeyPem: recipientKeyPem, certificatePem: recipientCertPem } = doctorRsa
    const findings = await lintDirect({ wire: prepared.wire, recipientKeyPem, recipientCertPem })
    expect(broken(findings)).toEqual([])
    expect(findings.map(({ rule }) => rule)).toContain('462')
  })
})

describe('the header of a message', () => {
  const framework =
    'x-direct-metadata-payload-versionIdentifier: 1.0\r\nX-DIRECT-USECASE: any-all\r\nx-direct-metadataTypeCode: ADT\r\nx-direct-purpose: TREATMENT\r\nx-direct-formatCode: urn:a:b\r\nx-direct-payloadMimeType: text/xml\r\n'
  const own = 'X-Direct-Context: <c@x>\r\nX-direct-Anything:   as,\r\n\tit  stands \r\nx-direct-word: \u00fc\r\n'

  it('keeps every X-Direct field byte for byte inside, and has the six codes outside and nothing else of it', async () => {
    const to = [people.usual]
    const { wires } = await sent(to, letter(alice, to, { header: framework + own }))
    const [wire = Buffer.alloc(0)] = wires
    const inside = opened(wire, keys[people.usual] as Identity)
    const bytes = (text: string) => Buffer.from(text).toString('latin1')
    expect(inside).toContain(bytes(framework + own))
    const outside = wire.toString('latin1', 0, wire.indexOf('\r\n\r\n')).split('\r\n')
    const names = outside
      .filter((line) => /^\S/.test(line))
      .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
    expect(names.toSorted()).toEqual(
      [
        ...['from', 'to', 'date', 'message-id', 'mime-version', 'content-type', 'content-transfer-encoding'],
        ...['content-disposition', 'content-description', 'x-direct-metadata-payload-versionidentifier'],
        ...['x-direct-usecase', 'x-direct-metadatatypecode', 'x-direct-purpose', 'x-direct-formatcode'],
        'x-direct-payloadmimetype',
      ].toSorted(),
    )
    const { privateKeyPem: recipientKeyPem, certificatePem: recipientCertPem } = keys[people.usual] as Identity
    expect(broken(await lintDirect({ wire, recipientKeyPem, recipientCertPem }))).toEqual([])
  })

  it.each([
    ['stands twice', 'x-direct-purpose: A\r\nx-direct-purpose: B\r\n'],
    ['is no code', 'x-direct-purpose: J\u00f6rg has a cough\r\n'],
    ['is long', `x-direct-purpose: ${'a '.repeat(200)}\r\n`],
    ['is empty', 'x-direct-purpose: \r\n'],
  ])('leaves inside what %s', async (_, header) => {
    const to = [people.usual]
    const { wires } = await sent(to, letter(alice, to, { header }))
    expect(String(wires[0]).split('\r\n\r\n')[0]).not.toMatch(/x-direct/i)
    expect(opened(wires[0] as Buffer, keys[people.usual] as Identity)).toContain('x-direct-purpose:')
  })
})

describe('a letter with everything', () => {
  it('passes the rules of validators', async () => {
    const composed = composeLetter({
      from: alice,
      to: [people.usual],
      cc: [people.sha1],
      subject: 'Überweisung',
      text: 'Grüße\n',
      attachments: [{ name: 'a.pdf', mediaType: 'application/pdf', bytes: Buffer.from('%PDF-1.4') }],
      confirmDelivery: 'dispatched',
      context: { type: { category: 'referral', action: 'order' }, patient: { surname: 'Testperson' } },
      at: Date.now(),
    })
    if (composed.kind === 'refused') throw new Error(composed.detail)
    const { wires } = await sent([people.usual, people.sha1], composed.message.toString())
    const { privateKeyPem: recipientKeyPem, certificatePem: recipientCertPem } = keys[people.sha1] as Identity
    const [wire = Buffer.alloc(0)] = wires
    expect(broken(await lintDirect({ wire, recipientKeyPem, recipientCertPem }))).toEqual([])
    expect(wire.toString('latin1')).not.toMatch(/Testperson|X-Direct-Context/i)
  })
})
