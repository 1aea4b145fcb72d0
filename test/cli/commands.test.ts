import { createPrivateKey } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Envelope } from '../../src/direct/envelope.js'
import { inboundQueue } from '../../src/spool/spool.js'
import { type Identity, makeAuthority, makeLeaf, pem } from '../fixtures/pki.js'
import { keyboard } from './world.js'

let authority: Identity
let leaf: Identity
beforeAll(() => {
  authority = makeAuthority({ name: 'Anchor of the test' })
  leaf = makeLeaf(authority, { san: { dns: ['clinic.example'] } })
})

/** Command lines in order, each with its exit code and what it must print. */
async function lines(
  files: Record<string, string | Uint8Array>,
  steps: readonly [line: string, code: number, prints: RegExp | undefined][],
) {
  const at = await keyboard(files)
  for (const [line, code, prints] of steps) {
    const ran = await at.run(...line.split(' '))
    expect({ line, code: ran.code, err: ran.code === code ? '' : ran.err }).toEqual({ line, code, err: '' })
    if (prints) expect(`${ran.out}${ran.err}`, line).toMatch(prints)
  }
  return at
}

describe('domain and address', () => {
  it('add, list, change and remove', async () => {
    await lines({}, [
      ['domain list', 0, /^No domains yet\.$/m],
      ['domain add Clinic.Example --revocation hard', 0, /^Serving clinic\.example\.$/m],
      ['domain add clinic.example', 1, /error: It is there already/],
      ['domain add not_a_domain', 1, /error: Not a domain name/],
      ['domain list', 0, /^clinic\.example +strict +false +hard +\d{4}-/m],
      ['domain set clinic.example --routing-tamper warn --allow-sha1 yes', 0, /ROUTING TAMPER +warn/],
      ['domain set clinic.example', 2, /name at least one policy/],
      ['domain set clinic.example --revocation maybe', 2, /Allowed choices are soft, hard, off/],
      ['address add alice@clinic.example bob@clinic.example', 0, /bob@clinic\.example +patient +enabled/],
      ['address add carol@other.example', 1, /not one this gateway serves/],
      ['address add dan@clinic.example --kind provider', 0, /provider/],
      ['address edge dan@clinic.example ehr-north', 0, /Mail for dan@clinic\.example goes on to ehr-north/],
      ['address list --domain clinic.example', 0, /dan@clinic\.example +provider +enabled .*ehr-north/],
      ['address edge dan@clinic.example EHR', 1, /edge.systems has no EHR/],
      ['address edge dan@clinic.example none', 0, /Mail for dan@clinic\.example stays here/],
      ['address disable bob@clinic.example', 0, /Disabled bob@clinic\.example/],
      ['address list --domain clinic.example', 0, /bob@clinic\.example +patient +disabled/],
      ['address enable bob@clinic.example', 0, undefined],
      ['domain remove clinic.example', 1, /still has addresses/],
      ['address remove bob@clinic.example', 0, undefined],
      ['address remove bob@clinic.example', 1, /not one this gateway serves/],
      ['address remove nonsense', 2, /no plain address/],
    ])
  })

  it('lists more addresses than one page holds', async () => {
    const { run, gateway } = await keyboard()
    await run('domain', 'add', 'many.example')
    for (let i = 0; i < 1_050; i++) await gateway.directory.addresses.add(`a${i}@many.example`, 'patient', 'test')
    expect(JSON.parse((await run('address', 'list', '--json')).out)).toHaveLength(1_050)
  })
})

describe('keys', () => {
  it('imports PEM, DER and encrypted keys with their chain', async () => {
    const encrypted = createPrivateKey(leaf.privateKeyPem)
      .export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
      .toString()
    const files = {
      'key.pem': leaf.privateKeyPem,
      'key.der': leaf.pkcs8,
      'key.enc': encrypted,
      'key.pkcs1': createPrivateKey(leaf.privateKeyPem).export({ format: 'der', type: 'pkcs1' }),
      'cert.pem': `subject: ...\n${leaf.certificatePem}${authority.certificatePem}`,
      'cert.der': leaf.certificate,
      'other.pem': makeLeaf(authority, { san: { dns: ['clinic.example'] } }).certificatePem,
      pass: 'open sesame\r\n',
      wrong: 'nope',
    }
    const { gateway } = await lines(files, [
      ['domain add clinic.example', 0, undefined],
      ['key list', 0, /No keys yet/],
      ['key import --for clinic.example --pkcs8 key.pem', 2, /--cert FILE/],
      ['key import --for clinic.example --pkcs8 missing --cert cert.pem', 1, /cannot read missing/],
      ['key import --for clinic.example --pkcs8 key.pem --cert key.pem', 1, /key\.pem holds no certificate/],
      ['key import --for clinic.example --pkcs8 cert.pem --cert cert.pem', 1, /cert\.pem holds no private key/],
      [
        'key import --for clinic.example --pkcs8 key.enc --cert cert.pem --passphrase-file wrong',
        1,
        /no private key that can be read/,
      ],
      ['key import --for clinic.example --pkcs8 key.pem --cert other.pem', 1, /does not belong to the certificate/],
      ['key import --for else.example --pkcs8 key.pem --cert cert.pem', 1, /error: /],
      [
        'key import --for clinic.example --pkcs8 key.enc --cert cert.pem --passphrase-file pass',
        0,
        /OWNER +clinic\.example/,
      ],
      ['key import --for clinic.example --pkcs8 key.der --cert cert.der', 1, /already/],
      [`key retire ${leaf.fingerprint.slice(0, 4)}`, 2, /at least 8 characters/],
      [`key retire ${'0'.repeat(12)}`, 1, /nothing here has the id/],
      [`key retire ${leaf.fingerprint.slice(0, 12)}`, 0, /Retired/],
      ['key list', 0, /retired/],
    ])
    expect(await gateway.directory.keys.list()).toHaveLength(1)
  })

  it('reads DER keys in PKCS#1', async () => {
    const files = {
      k: createPrivateKey(leaf.privateKeyPem).export({ format: 'der', type: 'pkcs1' }),
      c: leaf.certificate,
    }
    await lines(files, [
      ['domain add clinic.example', 0, undefined],
      ['key import --for clinic.example --pkcs8 k --cert c --json', 0, /"owner": "clinic\.example"/],
    ])
  })
})

describe('anchors, peers and issuers', () => {
  it('add every certificate of a file, list and remove them', async () => {
    const second = makeAuthority({ name: 'Second' })
    const files = {
      'anchors.pem': authority.certificatePem + second.certificatePem,
      'leaf.der': leaf.certificate,
      junk: 'junk',
    }
    await lines(files, [
      ['domain add clinic.example', 0, undefined],
      ['domain add ward.example', 0, undefined],
      ['anchor list', 0, /nobody is trusted/],
      ['anchor add anchors.pem --for clinic.example --direction in', 0, /Anchor of the test[\s\S]*Second/],
      ['anchor add anchors.pem --for elsewhere.example', 1, /not one this gateway serves/],
      ['anchor add junk --for clinic.example', 1, /junk holds no certificate/],
      ['anchor add anchors.pem', 2, /required option '--for <owner>'/],
      ['anchor add anchors.pem --for ward.example', 0, undefined],
      [`anchor remove ${second.fingerprint}`, 2, /add --for/],
      [`anchor remove ${second.fingerprint} --for ward.example`, 0, /Removed/],
      ['anchor list --json', 0, /"direction": "in"/],
      ['peer add leaf.der --for clinic.example', 0, undefined],
      ['peer list', 0, /clinic\.example/],
      [`peer remove ${leaf.fingerprint.slice(0, 8)}`, 0, undefined],
      ['issuer add anchors.pem', 0, undefined],
      ['issuer list', 0, /Second/],
      [`issuer remove ${second.fingerprint.slice(0, 10)}`, 0, undefined],
    ])
  })

  it('say how to encrypt for a partner who does not read the usual', async () => {
    await lines({}, [
      ['peer encryption list', 0, /Everybody gets it as the configuration says/],
      ['peer encryption set old.example --rsa-transport pkcs1-v1.5 --content-cipher aes-128-cbc', 0, /pkcs1-v1\.5/],
      ['peer encryption set doc@old.example --rsa-transport oaep-sha1', 0, undefined],
      ['peer encryption set old.example', 1, /An encryption preference names/],
      ['peer encryption set old.example --content-cipher des', 2, /Allowed choices/],
      ['peer encryption set nowhere --rsa-transport oaep-sha1', 0, undefined],
      ['peer encryption set a@@b --rsa-transport oaep-sha1', 1, /Not a plain address/],
      ['peer encryption list --json', 0, /"owner": "doc@old\.example"/],
      ['peer encryption remove old.example', 0, /usual way again/],
      ['peer encryption remove old.example', 1, /no such thing/],
    ])
  })

  it('cannot be tricked by the names in a certificate', async () => {
    const evil = makeAuthority({ name: 'x\u001b[2J\r\nfake row\u202e' })
    const { run } = await lines({ 'evil.pem': evil.certificatePem }, [
      ['domain add clinic.example', 0, undefined],
      ['anchor add evil.pem --for clinic.example', 0, undefined],
    ])
    const { out } = await run('anchor', 'list')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/)
    expect(out.trim().split('\n')).toHaveLength(2)
  })
})

describe('tokens', () => {
  it('shows a secret once, on stdout alone', async () => {
    const { run, gateway } = await lines({}, [
      ['domain add clinic.example', 0, undefined],
      ['address add alice@clinic.example', 0, undefined],
      [
        'token create --address alice@clinic.example --scope reading',
        2,
        /reading is no scope; there are messages:read/,
      ],
      ['token create --address alice@clinic.example --scope messages:read --expires soon', 2, /--expires is a time/],
      ['token create --address nobody@clinic.example --scope messages:read', 1, /not one this gateway serves/],
    ])
    const { out, err } = await run(
      'token',
      'create',
      '--address',
      'alice@clinic.example',
      '--scope',
      'messages:read,record:read',
      '--expires',
      '30d',
    )
    expect(out).toMatch(/^dgt_[\w-]+\n$/)
    expect(err).toContain('only time')
    const principal = await gateway.directory.tokens.authenticate(out.trim(), Date.now())
    expect(principal).toMatchObject({ address: 'alice@clinic.example', scopes: ['messages:read', 'record:read'] })
    const list = await run('token', 'list', '--json')
    expect(list.out).not.toContain(out.trim())
    const [token] = JSON.parse(list.out)
    expect(token.expiresAt).toMatch(/^\d{4}-/)
    expect((await run('token', 'revoke', token.id)).code).toBe(0)
    expect(await gateway.directory.tokens.authenticate(out.trim(), Date.now())).toBeUndefined()
  })
})

describe('accounts of edge systems', () => {
  it('are made, shown, changed, renewed and ended; a secret is shown once', async () => {
    const { gateway, run } = await keyboard()
    for (const line of ['domain add clinic.example', 'address add anna@clinic.example --kind provider'])
      expect((await run(...line.split(' '))).code).toBe(0)
    const { accounts } = gateway.directory
    const added = await run(
      'account',
      'add',
      'ehr-north',
      '--sender',
      'clinic.example',
      '--reads',
      'anna@clinic.example',
    )
    expect(added).toMatchObject({ code: 0, out: expect.stringMatching(/^dge_[\w-]{43}\n$/) })
    expect(added.err).toContain('only time')
    expect(await accounts.authenticate('ehr-north', added.out.trim())).toMatchObject({ senders: ['clinic.example'] })
    for (const line of [
      'account list',
      'account list --json',
      'account show ehr-north',
      'account show ehr-north --json',
    ]) {
      const { out } = await run(...line.split(' '))
      expect(out).toContain('ehr-north')
      expect(out).not.toContain(added.out.trim())
    }
    const renewed = JSON.parse((await run('account', 'renew', 'ehr-north', '--json')).out)
    expect(await accounts.authenticate('ehr-north', added.out.trim())).toBeUndefined()
    const comesIn = () => accounts.authenticate('ehr-north', renewed.secret)
    expect(await comesIn()).toBeDefined()
    for (const [line, holds] of [
      ['account disable ehr-north', false],
      ['account enable ehr-north', true],
      ['account change ehr-north --sender anna@clinic.example --reads-nothing', true],
      ['account remove ehr-north', false],
    ] as const) {
      expect((await run(...line.split(' '))).code).toBe(0)
      expect([line, (await comesIn()) !== undefined]).toEqual([line, holds])
    }
  })

  it('are refused with words and an exit code', async () => {
    const { run } = await keyboard()
    for (const [line, code, words] of [
      ['account add EHR --sender clinic.example', 1, /The name of an account is/],
      ['account add ehr', 1, /needs a domain or address/],
      ['account add ehr --sender clinic.example', 1, /not one this gateway serves/],
      ['account show ehr', 1, /no account ehr/],
      ['account renew ehr', 1, /no such thing/],
      ['account remove ehr', 1, /no such thing/],
      ['account change ehr', 2, /say what changes/],
      ['account change ehr --reads a@b.example --reads-nothing', 2, /exclude each other/],
    ] as const) {
      const ran = await run(...line.split(' '))
      expect([line, ran.code]).toEqual([line, code])
      expect(ran.err).toMatch(words)
    }
  })
})

describe('messages', () => {
  const envelope: Envelope = {
    mailFrom: 'sender@far.example' as DirectAddress,
    rcptTo: ['alice@clinic.example' as DirectAddress],
    peer: { address: '192.0.2.1', helo: 'far.example', tls: true },
    receivedAt: 1,
  }

  async function refusedMessage() {
    const at = await keyboard()
    const { spool, store, quarantine, trail } = at.gateway
    const { id } = await spool.accept(envelope, bytes('one message'))
    const [job] = await store.claim(inboundQueue, 1, 1_000)
    const spooled = job && spool.read(job)
    if (!spooled) throw new Error('no job')
    const recipient = 'alice@clinic.example' as DirectAddress
    const refused = { recipient, reason: 'no-anchor', detail: 'path of 2' } as const
    const step = {
      at: 5,
      step: 'refused',
      recipient,
      detail: '',
      refusal: { kind: 'refused', reason: 'no-anchor', detail: 'path of 2' },
      candidates: [
        {
          fingerprint: 'ab'.repeat(32),
          subject: 'CN=\u001b[2JFar',
          outcome: 'no-anchor',
          detail: 'nobody',
          path: ['ab', 'cd'],
        },
      ],
    } as const
    await store.commit(await quarantine.keep(spooled, [refused]))
    await store.commit(spool.finish(spooled))
    await store.commit(trail.steps(id, [step]))
    await store.commit(trail.names(id, { messageId: '<m1@far.example>', mailboxMessageId: 'mail-1' }))
    return { ...at, id }
  }

  async function* bytes(text: string) {
    yield Buffer.from(text)
  }

  it('tells a trail by spool id, mailbox id and Message-ID, with reason, help and certificates', async () => {
    const { run, id } = await refusedMessage()
    const first = await run('trace', id)
    expect(first.code).toBe(0)
    expect(first.out).toMatch(/accepted/)
    expect(first.out).toContain('no-anchor: path of 2')
    expect(first.out).toContain('direct-gateway anchor add')
    expect(first.out).toContain('certificate abababababababab CN=\\u001b[2JFar: no-anchor, nobody')
    for (const name of ['mail-1', '<m1@far.example>', 'm1@far.example'])
      expect((await run('trace', name)).out).toBe(first.out)
    expect(JSON.parse((await run('trace', id, '--json')).out)[0].steps).toHaveLength(2)
    expect(await run('trace', 'unknown')).toMatchObject({ code: 1, err: 'error: no message is known as unknown\n' })
  })

  it('shows the quarantine, judges again and purges', async () => {
    const { run, id } = await refusedMessage()
    expect((await run('quarantine', 'list')).out).toMatch(
      new RegExp(`${id}.*sender@far.example +alice@clinic.example +no-anchor`),
    )
    expect((await run('quarantine', 'show', id)).out).toContain('alice@clinic.example: no-anchor, path of 2')
    expect((await run('queue', 'list')).out).toBe('Nothing waits.\n')
    expect((await run('quarantine', 'judge-again', id)).code).toBe(0)
    expect((await run('queue', 'list')).out).toMatch(/inbound/)
    expect((await run('quarantine', 'judge-again', id)).code).toBe(1)
    expect((await run('quarantine', 'purge', '--older-than', 'long')).code).toBe(2)
    expect((await run('quarantine', 'purge', '--older-than', '90d')).out).toBe('Removed 0 messages.\n')
    expect((await run('queue', 'list', '--limit', '0')).code).toBe(2)
  })

  it('verifies the audit log, and says where it is broken', async () => {
    const { run, operator } = await refusedMessage()
    expect((await run('audit', 'verify')).out).toMatch(/^Intact: [1-9]\d* entries, head [1-9]\d*:[0-9a-f]{64}\.$/m)
    const [, entries = '', link = ''] = /(\d+):([0-9a-f]{64})/.exec((await run('audit', 'verify')).out) ?? []
    const known = (head: string) => run('audit', 'verify', '--known-head', head)
    expect((await known(`${entries}:${link}`)).code).toBe(0)
    expect(await known(`${Number(entries) + 1}:${link}`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/ends before/),
    })
    expect((await known(`${entries}:${'0'.repeat(64)}`)).code).toBe(1)
    expect((await known('head')).code).toBe(2)
    Object.assign(operator.audit, { verify: async () => ({ kind: 'broken', sequence: 7, detail: 'link differs' }) })
    expect(await run('audit', 'verify')).toMatchObject({ code: 1, err: 'Broken at entry 7: link differs\n' })
  })
})

describe('the command line', () => {
  it('explains every command, with what it takes', async () => {
    const { run } = await keyboard()
    const seen: string[] = []
    const explain = async (path: readonly string[]) => {
      const { code, out } = await run(...path, '--help')
      expect(code, path.join(' ')).toBe(0)
      expect(out).toContain('Usage: direct-gateway')
      seen.push(path.join(' '))
      const commands = out.split('\nCommands:\n')[1] ?? ''
      for (const [, name] of commands.matchAll(/^ {2}([a-z-]+)/gm))
        if (name && name !== 'help') await explain([...path, name])
    }
    await explain([])
    expect(seen).toContain('quarantine judge-again')
    expect(seen.length).toBeGreaterThan(40)
  })

  it('answers 2 for what it does not understand', async () => {
    const { run } = await keyboard()
    expect((await run('domian', 'list')).err).toMatch(/unknown command 'domian'[\s\S]*Did you mean domain/)
    expect((await run('domian', 'list')).code).toBe(2)
    expect((await run('domain', 'list', '--jsn')).code).toBe(2)
    expect((await run('serve')).code).toBe(2)
  })

  it('writes PEM that the fixtures write too', async () => {
    const { pem: ours } = await import('../../src/cli/pem.js')
    expect(ours('CERTIFICATE', leaf.certificate)).toBe(pem('CERTIFICATE', leaf.certificate))
  })
})
