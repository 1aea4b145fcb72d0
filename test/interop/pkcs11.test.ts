import { execFileSync } from 'node:child_process'
import { constants, createECDH, createPublicKey, publicEncrypt, randomBytes, verify } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/program.js'
import type { DirectDomain } from '../../src/direct/address.js'
import type { TokenUri } from '../../src/direct/token-uri.js'
import { openOperator } from '../../src/operator.js'
import { openTokenKeys } from '../../src/pipeline/token-keys.js'
import { newShared } from '../../src/pkcs11/shared.js'
import { openTokens, type Tokens } from '../../src/pkcs11/tokens.js'
import type { OwnedKey, PrivateKey } from '../../src/ports/keys.js'
import { privateKeyFrom } from '../../src/smime/key.js'
import { openMessage } from '../../src/smime/open.js'
import { unwrapRsa } from '../../src/smime/rsa.js'
import type { Pool, PoolOptions } from '../../src/workers/pool.js'
import { openSteps, type ThreadSteps } from '../../src/workers/steps.js'
import { house } from '../cli/world.js'
import * as g from '../fixtures/gateway.js'
import { makeKey, pemFiles } from '../fixtures/pki.js'
import { ready } from '../smime/identities.js'
import { certify, makeToken, module, pin, recipient, uriOf } from './pkcs11-token.js'

/**
 * Keys that a token made and does not let out, with OpenSSL as the far side; and the same keys in software and in the
 * token, which must do the same octet for octet.
 */
const title = module ? 'keys in SoftHSM' : 'keys in SoftHSM: SKIPPED, softhsm2 or koffi is not installed'
const masterKey = randomBytes(32)

describe.skipIf(!module)(title, () => {
  const path = module ?? ''
  let token: ReturnType<typeof makeToken>
  let tokens: Tokens
  let rsa: ReturnType<typeof certify>
  let ec: ReturnType<typeof certify>
  let steps: ThreadSteps

  const newTokens = () => openTokens({ module: path, readPin: () => ({ kind: 'pin', pin }), shared: newShared() })
  const settings = () => ({ module: path, pinFile: token.pinFile, shared: newShared() })

  beforeAll(() => {
    token = makeToken(path)
    imported('0a', makeKey('rsa2048').export({ format: 'pem', type: 'pkcs8' }))
    rsa = certify(token.folder, path, '01', 'DNS:patients.example', 'digitalSignature,keyEncipherment')
    ec = certify(token.folder, path, '02', 'DNS:patients.example', 'digitalSignature,keyAgreement')
    tokens = newTokens()
    steps = openSteps(masterKey, settings())
  })
  afterAll(() => token?.remove())

  const software = new Map<string, PrivateKey>()
  /** Puts a key of software's into the token, to have both. */
  function imported(id: string, pem: string | Buffer): void {
    const file = join(token.folder, `${id}.pem`)
    writeFileSync(file, pem, { mode: 0o600 })
    const at = ['--token', 'mail', '--label', `imported ${id}`, '--id', id.toUpperCase(), '--pin', pin]
    execFileSync('softhsm2-util', ['--import', file, ...at], { stdio: 'pipe' })
    const der = execFileSync('openssl', ['pkcs8', '-topk8', '-nocrypt', '-in', file, '-outform', 'DER'])
    const key = privateKeyFrom(der)
    if ('kind' in key) throw new Error(key.detail)
    software.set(id, key)
  }
  const publicOf = (id: string) => createPublicKey(execFileSync('cat', [join(token.folder, `${id}.pem`)]))
  const both = (id: string) => ({
    inToken: tokens.key(uriOf(id.toUpperCase()), publicOf(id)),
    inSoftware: software.get(id) as PrivateKey,
  })

  /** The public point of the token's key on P-256. */
  const point = () => ec.publicKey.export({ format: 'der', type: 'spki' }).subarray(-65)

  const owned = (id: string, { certificate }: { readonly certificate: Uint8Array }, uri = uriOf(id)): OwnedKey => ({
    id: `${id}${'0'.repeat(62)}`,
    owner: g.domain as DirectDomain,
    certificate,
    chain: [],
    token: uri,
  })
  const open = (wire: Uint8Array, keys: readonly OwnedKey[], by: Pick<ThreadSteps, 'open'> = steps) =>
    by.open({ kind: 'bytes', bytes: wire }, keys, { allowSha1: false })

  describe('the same key in the token and in software', () => {
    it('answers raw RSA alike, leading zeros included', () => {
      const { inToken, inSoftware } = both('0a')
      const pub = publicOf('0a')
      for (let i = 0; i < 200; i++) {
        const plain = randomBytes(256)
        plain.fill(0, 0, 1 + (i % 7))
        const ciphertext = publicEncrypt({ key: pub, padding: constants.RSA_NO_PADDING }, plain)
        expect(Buffer.from(inToken.rsaRaw(ciphertext)).equals(plain)).toBe(true)
        expect(Buffer.from(inSoftware.rsaRaw(ciphertext)).equals(plain)).toBe(true)
      }
    })

    it('signs alike with PKCS#1 v1.5', () => {
      const { inToken, inSoftware } = both('0a')
      for (const digest of ['sha256', 'sha384', 'sha512'] as const)
        expect(Buffer.from(inToken.sign(digest, Buffer.from('x'), 'rsa'))).toEqual(
          Buffer.from(inSoftware.sign(digest, Buffer.from('x'), 'rsa')),
        )
    })

    it('agrees as its peer does on 600 secrets, of which some begin with zeros', () => {
      const inToken = tokens.key(uriOf('02'), ec.publicKey)
      const theirs = point()
      const ours = createECDH('prime256v1')
      let zeros = 0
      for (let i = 0; i < 600; i++) {
        const secret = Buffer.from(inToken.agree(ours.generateKeys()))
        expect(secret).toEqual(ours.computeSecret(theirs))
        if (secret[0] === 0) zeros++
      }
      process.stdout.write(`pkcs11: ${zeros} of 600 secrets began with zero\n`)
    })

    it('refuses what is not below the modulus, of another length, and points off the curve, without losing the token', () => {
      const { inToken } = both('0a')
      expect(() => inToken.rsaRaw(Buffer.alloc(256, 0xff))).toThrow(RangeError)
      expect(() => inToken.rsaRaw(Buffer.alloc(255))).toThrow(RangeError)
      const curve = tokens.key(uriOf('02'), ec.publicKey)
      const off = createECDH('prime256v1').generateKeys()
      off[64] = (off[64] as number) ^ 1
      expect(() => curve.agree(off)).toThrow(/convert/i)
      expect(curve.agree(createECDH('prime256v1').generateKeys())).toHaveLength(32)
    })
  })

  describe('mail to keys that the token made', () => {
    const entity = Buffer.from(
      'Content-Type: message/rfc822\r\n\r\nFrom: <doctor@clinic.example>\r\nTo: <alice@patients.example>\r\nSubject: T\r\n\r\nHello.\r\n',
    )
    const cms = (args: readonly string[], input: Uint8Array) =>
      execFileSync('openssl', ['cms', ...args], { input, stdio: ['pipe', 'pipe', 'pipe'] })
    const encrypted = (to: { readonly pem: string }, ...options: string[]) => {
      const files = pemFiles(g.doctorKey)
      const signed = cms(['-sign', '-signer', files.certificate, '-inkey', files.key], entity)
      return cms(['-encrypt', '-aes256', '-recip', to.pem, ...options], signed)
    }
    const oaep = (digest: string) =>
      ['rsa_padding_mode:oaep', `rsa_oaep_md:${digest}`].flatMap((option) => ['-keyopt', option])

    it.each([
      ['PKCS#1 v1.5', [], 'rsa-pkcs1-v1.5'],
      ['OAEP with SHA-1', oaep('sha1'), 'rsa-oaep'],
      ['OAEP with SHA-256', oaep('sha256'), 'rsa-oaep'],
    ])('opens what OpenSSL encrypts with %s', async (_, options, keyTransport) => {
      const opened = await open(encrypted(rsa, ...options), [owned('01', rsa)])
      expect(opened).toMatchObject({ kind: 'opened', keyTransport, signers: [{ kind: 'verified' }] })
    })

    it('opens what OpenSSL encrypts by ECDH', async () => {
      expect(await open(encrypted(ec), [owned('02', ec)])).toMatchObject({ kind: 'opened', keyTransport: 'ecdh' })
    })

    it('opens a large message from a file as well', async () => {
      const file = join(token.folder, 'large')
      const wire = g.seal({ recipients: [recipient(rsa)], body: 'A long letter.\r\n'.repeat(200_000) })
      writeFileSync(file, wire)
      const opened = await steps.open(
        { kind: 'file', path: file, offset: 0, sizeBytes: wire.length },
        [owned('01', rsa)],
        { allowSha1: false },
      )
      expect(opened.kind).toBe('opened')
    })

    it.each([
      ['RSA', '01', () => rsa],
      ['ECDSA', '02', () => ec],
    ])('is signed with %s so that OpenSSL verifies it', async (_, id, which) => {
      const sealed = await steps.seal({
        message: Buffer.from(g.write({ from: g.alice, to: [g.doctor] })),
        signers: [owned(id, which())],
        recipients: [g.doctorKey.certificate],
        outer: { from: g.alice, to: [g.doctor], messageId: '<1@patients.example>', date: 0 },
        at: Date.now(),
      })
      if (sealed.kind !== 'sealed') throw new Error(JSON.stringify(sealed))
      const files = pemFiles(g.doctorKey)
      const signed = cms(['-decrypt', '-recip', files.certificate, '-inkey', files.key], sealed.wire)
      expect(cms(['-verify', '-CAfile', which().ca, '-purpose', 'smimesign'], signed).toString()).toContain(
        'All is well.',
      )
    })

    it('is signed with RSA-PSS too', () => {
      const key = tokens.key(uriOf('01'), rsa.publicKey)
      for (const digest of ['sha256', 'sha384', 'sha512'] as const) {
        const pss = {
          key: rsa.publicKey,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        }
        expect(verify(digest, Buffer.from('x'), pss, key.sign(digest, Buffer.from('x'), 'rsa-pss'))).toBe(true)
      }
    })

    it('is opened and signed with a key that asks for the PIN at every use', async () => {
      const careful = certify(token.folder, path, '04', 'DNS:patients.example', 'digitalSignature,keyEncipherment')
      expect(await open(encrypted(careful), [owned('04', careful)])).toMatchObject({ kind: 'opened' })
      expect(await steps.checkToken(uriOf('04'), careful.certificate)).toEqual({ kind: 'holds', extractable: false })
    })

    it('with a bad padding gets a key that is always the same, and fails as any wrong key does', async () => {
      const [one, two] = [tokens, newTokens()].map((each) => each.key(uriOf('01'), rsa.publicKey)) as [
        PrivateKey,
        PrivateKey,
      ]
      const bad: readonly ((block: Buffer) => unknown)[] = [
        (block) => (block[0] = 1),
        (block) => (block[1] = 1),
        (block) => (block[5] = 0),
        (block) => (block[256 - 33] = 7),
        (block) => block.fill(0),
        (block) => block.fill(9, 1),
      ]
      const made = bad.map((spoil) => {
        const block = Buffer.concat([
          Buffer.of(0, 2),
          Buffer.alloc(256 - 35, 0x55),
          Buffer.of(0),
          Buffer.alloc(32, 0xaa),
        ])
        spoil(block)
        const ciphertext = publicEncrypt({ key: rsa.publicKey, padding: constants.RSA_NO_PADDING }, block)
        const answer = Buffer.from(unwrapRsa(one, 256, ciphertext, 32) ?? '')
        expect(answer).toEqual(Buffer.from(unwrapRsa(two, 256, ciphertext, 32) ?? ''))
        expect(answer).toHaveLength(32)
        expect(answer.equals(Buffer.alloc(32, 0xaa))).toBe(false)
        return answer.toString('hex')
      })
      expect(new Set(made).size).toBe(bad.length)
    })
  })

  describe('a key that does not fit', () => {
    it('is told from the right one by what it signs and opens', async () => {
      expect(await steps.checkToken(uriOf('01'), rsa.certificate)).toEqual({ kind: 'holds', extractable: false })
      expect(await steps.checkToken(uriOf('02'), ec.certificate)).toEqual({ kind: 'holds', extractable: false })
      expect(await steps.checkToken(uriOf('03'), rsa.certificate)).toMatchObject({ kind: 'mismatch' })
    })

    it('leaves mail undecided where it stands under the URI of another', async () => {
      const wire = g.seal({ recipients: [recipient(rsa)] })
      expect(await open(wire, [owned('01', rsa, uriOf('03'))], openSteps(masterKey, settings()))).toMatchObject({
        kind: 'undecided',
        cause: 'key-store-unavailable',
      })
    })

    it.each([
      ['pkcs11:token=mail;id=%7F', 'no private key'],
      ['pkcs11:token=elsewhere;id=%01', 'is not there'],
      ['pkcs11:token=mail', 'it names no key'],
    ])('is not looked for further: %s', async (uri, words) => {
      const answer = await steps.checkToken(uri as TokenUri, rsa.certificate)
      expect(answer).toMatchObject({ kind: 'undecided', detail: expect.stringContaining(words) })
    })

    it('tells its public half, of which a request is made that OpenSSL verifies', async () => {
      const told = await steps.tokenPublicKey(uriOf('02'))
      if (told.kind !== 'public-key') throw new Error(JSON.stringify(told))
      expect(Buffer.from(told.spki)).toEqual(ec.publicKey.export({ format: 'der', type: 'spki' }))
      const signed = await steps.signData({ kind: 'token', uri: uriOf('02') }, 'sha256', Buffer.from('x'))
      if (signed.kind !== 'signed') throw new Error(JSON.stringify(signed))
      expect(verify('sha256', Buffer.from('x'), ec.publicKey, signed.signature)).toBe(true)
    })
  })

  it('without a module in the settings leaves mail undecided', async () => {
    const wire = g.seal({ recipients: [recipient(rsa)] })
    expect(await open(wire, [owned('01', rsa)], openSteps(masterKey))).toMatchObject({
      kind: 'undecided',
      detail: expect.stringContaining('pkcs11.module'),
    })
    const nowhere = openSteps(masterKey, { ...settings(), module: '/nowhere/module.so' })
    expect(await open(wire, [owned('01', rsa)], nowhere)).toMatchObject({ kind: 'undecided' })
  })

  it('takes part in the whole way of a message: in with its key, and the notice out signed by it', async () => {
    const disk = g.newDisk({ now: () => Date.now() })
    const gateway = await g.boot(disk, { steps: () => openSteps(disk.master.secret, settings()) })
    const { directory } = gateway
    await g.done(directory.domains.add(g.domain, 'test'))
    await g.done(directory.addresses.add(g.alice, 'patient', 'test'))
    const key = { owner: g.domain, certificate: rsa.certificate, token: uriOf('01') }
    const added = await g.done(directory.keys.addToken(key, 'test'))
    expect(added).toMatchObject({ kind: 'added', key: { token: 'pkcs11:token=mail;id=%01' } })
    const anchor = { owner: g.domain, certificate: g.clinicAuthority.certificate, direction: 'both' as const }
    await g.done(directory.anchors.add(anchor, 'test'))
    const header = 'Disposition-Notification-To: <doctor@clinic.example>\r\n'
    await g.accept(gateway, g.seal({ header, recipients: [recipient(rsa)] }))
    await g.work(gateway)
    expect(await g.messagesOf(gateway, g.alice)).toHaveLength(1)
    const [job] = await g.outboundOf(gateway)
    if (!job) throw new Error('no notice is owed')
    const notice = await gateway.prepare(job)
    if (notice.kind !== 'sealed') throw new Error(JSON.stringify(notice))
    const read = openMessage(Buffer.from(notice.wire), [ready(g.doctorKey)])
    expect(read).toMatchObject({ kind: 'opened', signers: [{ kind: 'verified', digest: 'sha256' }] })
    await gateway.close()
  })

  it('is taken and asked for by an operator, with a request that OpenSSL verifies', async () => {
    const home = await house()
    const tokenKeys = openTokenKeys({ directory: home.directory, arithmetic: steps })
    const operator = { ...openOperator(home).operator, tokenKeys }
    const out: string[] = []
    const written = new Map<string, Uint8Array>()
    const run = (...argv: string[]) =>
      runCommand(argv, {
        print: (text) => void out.push(text),
        printError: (text) => void out.push(text),
        readFile: async (file) => readFileSync(file),
        writeFile: async (file, bytes) => void written.set(file, bytes),
        withOperator: (_, work) => work(operator),
      })
    await g.done(home.directory.domains.add(g.domain, 'test'))
    const at = ['--for', g.domain, '--pkcs11']
    expect(await run('key', 'token-request', ...at, uriOf('01'), '--out', 'request.pem')).toBe(0)
    const judged = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
      input: Buffer.from(written.get('request.pem') ?? []),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    expect(judged.toString()).toContain('DNS:patients.example')
    expect(await run('key', 'add', ...at, uriOf('03'), '--certificate', rsa.pem)).toBe(1)
    expect(out.join('')).toContain('another key')
    expect(await run('key', 'add', ...at, `${uriOf('01')}?pin-value=${pin}`, '--certificate', rsa.pem)).toBe(1)
    expect(await run('key', 'add', ...at, uriOf('01'), '--certificate', rsa.pem)).toBe(0)
    expect(await run('key', 'list')).toBe(0)
    expect(out.join('')).toContain('pkcs11:token=mail;id=%01')
    expect(out.join('')).not.toContain(pin)
    await home.close()
  })

  it('is used by two threads at once, 200 times, and by the threads that come after them', async () => {
    const { startPool } = (await import(pathToFileURL('dist/workers/pool.js').href)) as {
      readonly startPool: (options: PoolOptions) => Pool
    }
    const wire = { rsa: g.seal({ recipients: [recipient(rsa)] }), ec: g.seal({ recipients: [recipient(ec)] }) }
    for (let round = 0; round < 2; round++) {
      const pool = startPool({ masterKey, threads: 2, tokens: { module: path, pinFile: token.pinFile } })
      try {
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, i) =>
            open(i % 2 ? wire.rsa : wire.ec, [owned('01', rsa), owned('02', ec)], pool),
          ),
        )
        expect(answers.map(({ kind }) => kind)).toEqual(answers.map(() => 'opened'))
      } finally {
        await pool.close()
      }
    }
  })

  it('comes back by itself after the token was away', async () => {
    const wire = g.seal({ recipients: [recipient(rsa)] })
    expect((await open(wire, [owned('01', rsa)])).kind).toBe('opened')
    renameSync(token.tokens, `${token.tokens}.away`)
    try {
      expect(await open(wire, [owned('01', rsa)])).toMatchObject({ kind: 'undecided', cause: 'key-store-unavailable' })
    } finally {
      renameSync(`${token.tokens}.away`, token.tokens)
    }
    await expect
      .poll(async () => (await open(wire, [owned('01', rsa)])).kind, { timeout: 20_000, interval: 500 })
      .toBe('opened')
    tokens = newTokens()
  })

  it('costs this much beside software', () => {
    const { inToken, inSoftware } = both('0a')
    const soft = privateKeyFrom(makeKey('p256').export({ format: 'der', type: 'pkcs8' }))
    if ('kind' in soft) throw new Error(soft.detail)
    const curve = tokens.key(uriOf('02'), ec.publicKey)
    const theirs = createECDH('prime256v1').generateKeys()
    const ciphertext = publicEncrypt({ key: publicOf('0a'), padding: constants.RSA_NO_PADDING }, Buffer.alloc(256, 1))
    const rate = (work: () => unknown) => {
      const from = performance.now()
      for (let i = 0; i < 200; i++) work()
      return Math.round(200_000 / (performance.now() - from))
    }
    const data = Buffer.from('x')
    const pair = (work: (key: PrivateKey) => unknown, one: PrivateKey, two: PrivateKey) =>
      [rate(() => work(one)), rate(() => work(two))] as const
    const rows = [
      ['raw RSA-2048', ...pair((key) => key.rsaRaw(ciphertext), inToken, inSoftware)],
      ['RSA-2048 signature', ...pair((key) => key.sign('sha256', data, 'rsa'), inToken, inSoftware)],
      ['ECDH P-256', ...pair((key) => key.agree(theirs), curve, soft)],
      ['ECDSA P-256', ...pair((key) => key.sign('sha256', data, 'ecdsa'), curve, soft)],
    ] as const
    for (const [what, here, there] of rows)
      process.stdout.write(`pkcs11: ${what}: token ${here}/s, software ${there}/s\n`)
    expect(rows.every(([, here]) => Number(here) > 0)).toBe(true)
  })
})
