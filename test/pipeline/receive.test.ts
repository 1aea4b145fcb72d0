import { describe, expect, it } from 'vitest'
import { type DirectAddress, type DirectDomain, parseAddress } from '../../src/direct/address.js'
import { composeMdn } from '../../src/notices/mdn.js'
import { receive } from '../../src/pipeline/inbound.js'
import { keysToSign } from '../../src/pipeline/keys.js'
import { addRules } from '../../src/pipeline/rules.js'
import type { Batch } from '../../src/ports/store.js'
import { inboundQueue } from '../../src/spool/spool.js'
import type { SpooledJob } from '../../src/spool/spooled.js'
import {
  accept,
  alice,
  bob,
  boot,
  clinicAuthority,
  doctor,
  doctorKey,
  domain,
  done,
  furnish,
  gatewayAuthority,
  gatewayKey,
  itemsOf,
  messagesOf,
  newDisk,
  newGateway,
  outboundOf,
  refusalsOf,
  seal,
  sealByHand,
  storyOf,
  work,
  write,
} from '../fixtures/gateway.js'
import { makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'

const rogueAuthority = makeAuthority({ name: 'Rogue Authority' })
const rogueKey = makeLeaf(rogueAuthority, { san: { email: [doctor] } })
const attacker = 'mallory@evil.example'

/** What a message comes to for alice: how many she has, or why it was refused. */
async function outcomeOf(wire: Uint8Array, to: readonly DirectAddress[] = [alice], from: string | null = doctor) {
  const { gateway } = await newGateway()
  const id = await accept(gateway, wire, to, from)
  await work(gateway)
  const refusals = await refusalsOf(gateway, id)
  const messages = await messagesOf(gateway, alice)
  expect(await outboundOf(gateway)).toHaveLength(messages.filter(({ notice }) => !notice).length)
  return refusals[alice] ?? `delivered ${messages.length}`
}

describe('a trusted message', () => {
  it('is delivered with its protection, owes one notice and leaves the spool', async () => {
    const { gateway } = await newGateway()
    const id = await accept(gateway, seal())
    expect(await work(gateway)).toBe(1)
    const [message, ...more] = await messagesOf(gateway, alice)
    expect(more).toEqual([])
    expect(message).toMatchObject({ from: doctor, to: [alice], subject: 'Test', preview: 'All is well.\n' })
    expect(message?.protection).toMatchObject({
      signerFingerprint: doctorKey.fingerprint,
      anchorFingerprint: clinicAuthority.fingerprint,
      path: [doctorKey.fingerprint, clinicAuthority.fingerprint],
      digest: 'sha256',
      wrapped: true,
      warnings: [],
    })
    expect(await storyOf(gateway, id)).toEqual([
      'accepted',
      'opened',
      'verified',
      `trusted ${alice}`,
      `delivered ${alice}`,
      `notice-owed ${alice}`,
    ])
    expect(await outboundOf(gateway)).toMatchObject([
      { kind: 'mdn', stage: 'owed', from: null, to: [doctor], trail: id },
    ])
    expect(await work(gateway)).toBe(0)
  })

  it('is found in the trail by its Message-ID and by its id in the mailbox', async () => {
    const { gateway } = await newGateway()
    const id = await accept(gateway, seal())
    await work(gateway)
    const [message] = await messagesOf(gateway, alice)
    expect(await gateway.trail.find({ messageId: '<1@clinic.example>' })).toEqual([id])
    expect(await gateway.trail.find({ mailboxMessageId: message?.id ?? '' })).toEqual([id])
  })

  it('reaches two addresses that share a record: its documents are there once', async () => {
    const { gateway } = await newGateway()
    const known = await gateway.directory.addresses.get(alice)
    const second = 'alice.second@patients.example' as DirectAddress
    await done(gateway.directory.addresses.add(second, 'patient', 'test', { record: known?.record ?? '' }))
    const content = 'Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n\r\n%PDF-1.4 x'
    await accept(gateway, seal({ to: [alice, second], content }), [alice, second])
    await work(gateway)
    expect([await messagesOf(gateway, alice), await messagesOf(gateway, second)].map(({ length }) => length)).toEqual([
      1, 1,
    ])
    expect(await itemsOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(2)
  })
})

describe('trust per recipient', () => {
  it('delivers to the one who trusts the sender and keeps the other in quarantine, in one commit', async () => {
    const batches: Batch[] = []
    const gateway = await boot(newDisk({ now: () => Date.now() }), {}, (store) => ({
      ...store,
      commit(batch) {
        batches.push(batch)
        return store.commit(batch)
      },
    }))
    await furnish(gateway, { anchorFor: [alice] })
    const id = await accept(gateway, seal({ to: [alice, bob] }), [alice, bob])
    await work(gateway)
    const [ending, ...more] = batches.filter(({ ack = [] }) => ack.length > 0)
    expect(more).toEqual([])
    const written = ending?.put?.map(({ key }) => key.split('/')[0])
    expect(written).toEqual(expect.arrayContaining(['quarantine', 'mailbox', 'trail']))
    expect(ending?.enqueue).toHaveLength(1)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await messagesOf(gateway, bob)).toEqual([])
    expect(await refusalsOf(gateway, id)).toEqual({ [bob]: 'no-anchor' })
    expect(await outboundOf(gateway)).toHaveLength(1)
    const refusal = (await gateway.trail.read(id)).find(({ step }) => step === 'refused')
    expect(refusal).toMatchObject({ recipient: bob, refusal: { reason: 'no-anchor' } })
    expect(refusal?.candidates).toMatchObject([{ fingerprint: doctorKey.fingerprint, outcome: 'no-anchor' }])
  })

  it.each([
    ['rogue first', [rogueKey, doctorKey]],
    ['rogue last', [doctorKey, rogueKey]],
  ])('accepts two signers of whom one is trusted, %s', async (_, signers) => {
    const { gateway } = await newGateway()
    const id = await accept(gateway, seal({ signers }))
    await work(gateway)
    const [message] = await messagesOf(gateway, alice)
    expect(message?.protection.signerFingerprint).toBe(doctorKey.fingerprint)
    expect(message?.protection.path).toEqual([doctorKey.fingerprint, clinicAuthority.fingerprint])
    const trusted = (await gateway.trail.read(id)).find(({ step }) => step === 'trusted')
    expect(trusted?.candidates?.map(({ outcome }) => outcome).sort()).toEqual(['no-anchor', 'trusted'])
  })

  it('refuses an authority that copies name and key identifier of an anchor', async () => {
    const forged = makeAuthority({
      subject: clinicAuthority.subject,
      subjectKeyIdentifier: clinicAuthority.subjectKeyIdentifier,
    })
    const signer = makeLeaf(forged, { san: { email: [doctor] } })
    expect(await outcomeOf(seal({ signers: [signer] }))).toMatch(/^(no-anchor|path-signature)$/)
  })

  it('refuses a trusted signer who is not the sender', async () => {
    const other = makeLeaf(clinicAuthority, { san: { email: ['nurse@clinic.example'] } })
    expect(await outcomeOf(seal({ signers: [other] }))).toBe('signer-not-bound')
  })

  it('refuses a signer whose key may only encipher', async () => {
    const signer = makeLeaf(clinicAuthority, { san: { email: [doctor] }, keyUsage: ['keyEncipherment'] })
    const wire = sealByHand(`Content-Type: message/rfc822\r\n\r\n${write()}`, { signer })
    expect(await outcomeOf(wire)).toBe('key-usage')
  })

  it('finds the intermediate that came along', async () => {
    const intermediate = makeIntermediate(clinicAuthority)
    const signer = makeLeaf(intermediate, { san: { email: [doctor] } })
    expect(await outcomeOf(seal({ signers: [signer] }))).toBe('no-anchor')
    const helper = makeLeaf(intermediate, { san: { email: ['x@clinic.example'] } })
    expect(await outcomeOf(seal({ signers: [signer, { ...helper, ...intermediate }] }))).toBe('delivered 1')
  })

  it.each([
    ['md5', 'weak-digest'],
    ['sha1', 'weak-digest'],
    ['sha256', 'delivered 1'],
  ] as const)('of a signature with %s: %s', async (digest, expected) => {
    expect(await outcomeOf(sealByHand(`Content-Type: message/rfc822\r\n\r\n${write()}`, { digest }))).toBe(expected)
  })

  it('accepts SHA-1 only for the recipient whose domain does', async () => {
    const carol = 'carol@legacy.example' as DirectAddress
    const legacyKey = makeLeaf(gatewayAuthority, { san: { dns: ['legacy.example'] } })
    const { gateway } = await newGateway()
    const { directory } = gateway
    await done(directory.domains.add('legacy.example', 'test', { allowSha1: true }))
    await done(directory.addresses.add(carol, 'patient', 'test'))
    await done(directory.keys.add({ owner: 'legacy.example', ...legacyKey }, 'test'))
    await done(directory.anchors.add({ owner: 'legacy.example', ...clinicAuthority, direction: 'in' }, 'test'))
    const message = `Content-Type: message/rfc822\r\n\r\n${write({ to: [alice, carol] })}`
    for (const key of [legacyKey, gatewayKey]) {
      // Whichever domain's key opens it, each recipient has the policy of his own.
      const wire = sealByHand(message, {
        digest: 'sha1',
        recipients: [key, key === legacyKey ? gatewayKey : legacyKey],
      })
      const id = await accept(gateway, wire, [alice, carol])
      await work(gateway)
      expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'weak-digest' })
    }
    expect(await messagesOf(gateway, alice)).toHaveLength(0)
    expect(await messagesOf(gateway, carol)).toHaveLength(1)
  })
})

describe('whose key opens it', () => {
  it('is for the rules of the domain to say: a key they exclude opens nothing, and signs nothing', async () => {
    const { gateway } = await newGateway()
    const { domains } = gateway.directory
    const text = 'subject.O = "Nobody"'
    const written = [{ name: 'mine', use: 'private', direction: 'both', text }] as const
    const added = await addRules(domains, domain as DirectDomain, written, 'test')
    expect(added.kind).toBe('changed')
    const id = await accept(gateway, seal())
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'no-key-for-recipient' })
    expect(await keysToSign(alice, Date.now(), gateway.directory)).toMatchObject({
      reason: 'no-key-for-sender',
      detail: expect.stringContaining('mine'),
    })
  })

  it('is asked per recipient: another domain here that can open it gives nobody the right to read it', async () => {
    const eve = 'eve@other.example' as DirectAddress
    const otherKey = makeLeaf(gatewayAuthority, { san: { dns: ['other.example'] } })
    const { gateway } = await newGateway()
    const { directory } = gateway
    await done(directory.domains.add('other.example', 'test', { routingTamper: 'warn' }))
    await done(directory.addresses.add(eve, 'patient', 'test'))
    await done(directory.keys.add({ owner: 'other.example', ...otherKey }, 'test'))
    await done(directory.anchors.add({ owner: 'other.example', ...clinicAuthority, direction: 'in' }, 'test'))
    const id = await accept(gateway, seal(), [alice, eve])
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [eve]: 'no-key-for-recipient' })
    expect([await messagesOf(gateway, alice), await messagesOf(gateway, eve)].map(({ length }) => length)).toEqual([
      1, 0,
    ])

    // Encrypted to both, it is opened by each and delivered to each, and read once.
    const both = await accept(gateway, seal({ id: '2', to: [alice, eve], recipients: [gatewayKey, otherKey] }), [
      alice,
      eve,
    ])
    await work(gateway)
    expect(await refusalsOf(gateway, both)).toEqual({})
    expect(await messagesOf(gateway, eve)).toHaveLength(1)
  })
})

describe('the envelope', () => {
  it('refuses a captured message put into an envelope to somebody else', async () => {
    const { gateway } = await newGateway()
    const id = await accept(gateway, seal(), [alice, bob])
    const alone = await accept(gateway, seal(), [bob])
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [bob]: 'routing-tamper-recipient' })
    expect(await refusalsOf(gateway, alone)).toEqual({ [bob]: 'routing-tamper-recipient' })
    expect(await messagesOf(gateway, bob)).toEqual([])
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })

  it.each([
    ['another MAIL FROM', attacker, {}, 'routing-tamper-sender'],
    ['MAIL FROM in Sender', 'desk@clinic.example', { header: 'Sender: <desk@clinic.example>\r\n' }, 'delivered 1'],
    ['the empty reverse-path for what is no notice', null, {}, 'routing-tamper-sender'],
    ['MAIL FROM in other case', 'Doctor@Clinic.Example', {}, 'delivered 1'],
  ])('%s', async (_, from, options, expected) => {
    expect(await outcomeOf(seal(options), [alice], from)).toBe(expected)
  })

  it('only warns where the domain says so, and the warning stays with the message', async () => {
    const { gateway } = await newGateway()
    await done(gateway.directory.domains.setPolicy(domain as never, { routingTamper: 'warn' }, 'test'))
    await accept(gateway, seal(), [bob])
    await work(gateway)
    const [message] = await messagesOf(gateway, bob)
    expect(message?.protection.warnings).toEqual(['routing-tamper-recipient'])
  })

  it('names the field that cannot be read, rather than a recipient who is missing', async () => {
    const { gateway } = await newGateway()
    const message = write().replace(/^To: .*$/m, `To: Smith, John <${alice}>`)
    const id = await accept(gateway, seal({ message }))
    await work(gateway)
    const kept = await gateway.quarantine.get(id)
    expect(kept?.refused).toMatchObject([{ reason: 'routing-tamper-recipient' }])
    expect(kept?.refused[0]?.detail).toMatch(/\bto\b.*cannot be read/i)
    expect(kept?.refused[0]?.detail).not.toContain('Smith')
  })
})

describe('who speaks', () => {
  const from = (...lines: readonly string[]) =>
    write().replace(/^From: .*\r\n/, lines.map((line) => `${line}\r\n`).join(''))

  it.each([
    ['two From fields', [`From: <${doctor}>`, `From: <${attacker}>`], 'several-senders'],
    ['two addresses in From', [`From: <${doctor}>, <${attacker}>`], 'several-senders'],
    ['no From', [], 'no-sender'],
    ['a NUL in From', [`From: <${doctor}\0@evil.example>`], /^(no-sender|malformed-message)$/],
    [
      'an encoded word for an address',
      [`From: =?utf-8?q?=3Cdoctor=40clinic=2Eexample=3E?= <${attacker}>`],
      'signer-not-bound',
    ],
    ['an encoded word in an address', ['From: <=?utf-8?q?doctor=40clinic=2Eexample?=@evil.example>'], 'no-sender'],
    ['an address as display name', [`From: "${doctor}" <${attacker}>`], 'signer-not-bound'],
    ['an address as comment', [`From: <${attacker}> (${doctor})`], 'signer-not-bound'],
  ])('%s is refused', async (_, lines, expected) => {
    expect(await outcomeOf(seal({ message: from(...lines) }), [alice], lines.length ? attacker : doctor)).toMatch(
      expected,
    )
  })

  it('is told by the signed header alone: nothing of the envelope is shown', async () => {
    const { gateway } = await newGateway()
    const outer = `From: <${attacker}>\r\nTo: <victim@evil.example>\r\nSubject: Urgent\r\nReply-To: <${attacker}>\r\n`
    await accept(gateway, seal({ outer }))
    await work(gateway)
    const [message] = await messagesOf(gateway, alice)
    expect(message).toMatchObject({ from: doctor, to: [alice], subject: 'Test' })
    expect(JSON.stringify(message)).not.toMatch(/evil|Urgent/)
  })

  const entity = 'Content-Type: text/plain\r\n\r\nUnwrapped.\r\n'
  const outerOf = (sender: string, to: string = alice) =>
    `From: <${sender}>\r\nTo: <${to}>\r\nSubject: Open\r\nMessage-ID: <u@clinic.example>\r\n`

  it('is bound to the signer also where the message is not wrapped', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, sealByHand(entity, { outer: outerOf(doctor) }))
    await work(gateway)
    const [message] = await messagesOf(gateway, alice)
    expect(message).toMatchObject({ from: doctor, subject: 'Open', protection: { wrapped: false } })
    expect(await outcomeOf(sealByHand(entity, { outer: outerOf(attacker) }), [alice], attacker)).toBe(
      'signer-not-bound',
    )
    expect(await outcomeOf(sealByHand(entity, { outer: outerOf(doctor, bob) }))).toBe('routing-tamper-recipient')
    expect(await outcomeOf(sealByHand(entity, { outer: `${outerOf(doctor)}From: <${attacker}>\r\n` }))).toBe(
      'several-senders',
    )
    expect(await outcomeOf(sealByHand(entity))).toBe('no-sender')
  })

  it('is told by a From inside the signature, if there is one, and not by one outside', async () => {
    const inside = `From: <${doctor}>\r\nTo: <${alice}>\r\nSubject: Signed\r\n${entity}`
    const { gateway } = await newGateway()
    await accept(gateway, sealByHand(inside, { outer: outerOf(attacker).replace('Subject: Open', 'Subject: Forged') }))
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toMatchObject([{ from: doctor, subject: 'Signed' }])
  })
})

describe('a notice that comes in', () => {
  const mdn = (finalRecipient = doctor) =>
    composeMdn({
      disposition: 'failed',
      finalRecipient,
      to: alice,
      originalMessageId: '<sent@patients.example>',
      messageId: '<mdn@clinic.example>',
      at: Date.now(),
    })

  it('is accepted from the empty reverse-path, answered by none, and proposes nothing to the record', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal({ message: mdn() }), [alice], null)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toMatchObject([
      { notice: { kind: 'mdn', disposition: 'failed', originalMessageId: '<sent@patients.example>' } },
    ])
    expect(await outboundOf(gateway)).toEqual([])
    expect(await itemsOf(gateway, alice)).toEqual([])
  })

  it('is judged by the anchors for outgoing mail too, by which nothing else comes in', async () => {
    const { gateway } = await newGateway({}, { anchorFor: [] })
    await done(gateway.directory.anchors.add({ owner: domain, ...clinicAuthority, direction: 'out' }, 'test'))
    const plain = await accept(gateway, seal())
    await accept(gateway, seal({ message: mdn() }), [alice], null)
    await work(gateway)
    expect(await refusalsOf(gateway, plain)).toEqual({ [alice]: 'no-anchor' })
    expect(await messagesOf(gateway, alice)).toMatchObject([{ notice: { kind: 'mdn' } }])
  })

  it('is a DSN as well', async () => {
    const dsn = `From: <${doctor}>\r\nTo: <${alice}>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\r\n\r\n--r\r\n\r\nNot delivered.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;clinic.example\r\n\r\nFinal-Recipient: rfc822;x@clinic.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--r--\r\n`
    const { gateway } = await newGateway()
    await accept(gateway, seal({ message: dsn }), [alice], null)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toMatchObject([{ notice: { kind: 'dsn', disposition: 'failed' } }])
    expect(await outboundOf(gateway)).toEqual([])
  })

  it('must have a signer who is trusted like any other', async () => {
    expect(await outcomeOf(seal({ message: mdn(), signers: [rogueKey] }), [alice], null)).toBe('no-anchor')
  })
})

describe('the same message again', () => {
  it('with the same bytes is one message and one notice', async () => {
    const { gateway } = await newGateway()
    const wire = seal()
    const ids = [await accept(gateway, wire), await accept(gateway, wire)]
    await work(gateway)
    ids.push(await accept(gateway, wire))
    expect(await work(gateway)).toBe(0)
    expect(new Set(ids).size).toBe(1)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
  })

  it.each([
    [
      'under other Received lines',
      (first: Uint8Array) =>
        Buffer.concat([Buffer.from('Received: by mx2.clinic.example; Thu, 01 Jan 2026 00:10:00 +0000\r\n'), first]),
    ],
    ['encrypted anew', () => seal()],
  ])('%s is one message and one notice, and the trail says so', async (_, again) => {
    const { gateway } = await newGateway()
    const first = seal()
    await accept(gateway, first)
    await work(gateway)
    const id = await accept(gateway, again(first))
    expect(await work(gateway)).toBe(1)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
    expect(await storyOf(gateway, id)).toContain(`duplicate ${alice}`)
  })

  it('encrypted anew and judged at the same time by two workers is one message and one notice', async () => {
    const { gateway } = await newGateway()
    const content = 'Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF-1.4 x'
    for (let copy = 0; copy < 4; copy++) await accept(gateway, seal({ content }))
    const jobs = await gateway.store.claim(inboundQueue, 4, 60_000)
    await Promise.all(jobs.map(async (job) => receive(gateway.spool.read(job) as SpooledJob, gateway)))
    expect(jobs).toHaveLength(4)
    expect(await gateway.store.jobs(inboundQueue, 4)).toEqual([])
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await itemsOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
  })

  it('is delivered to a recipient whom the first one did not reach', async () => {
    const { gateway } = await newGateway()
    const wire = seal({ to: [alice, bob] })
    await accept(gateway, wire, [alice])
    await accept(gateway, wire, [alice, bob])
    await work(gateway)
    expect([await messagesOf(gateway, alice), await messagesOf(gateway, bob)].map(({ length }) => length)).toEqual([
      1, 1,
    ])
    expect(await outboundOf(gateway)).toHaveLength(2)
  })

  it('for a recipient named twice in one transaction is one message', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal(), [alice, parseAddress('ALICE@Patients.Example') as DirectAddress])
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })

  it('is two where two messages say the same under ids of their own', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal({ id: '1' }))
    await accept(gateway, seal({ id: '2' }))
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(2)
  })
})

describe('an address that goes while its message waits', () => {
  it.each([
    ['removed', 'remove'],
    ['disabled', 'setDisabled'],
  ] as const)('%s: the message is refused for it and delivered to the others', async (_, how) => {
    const { gateway } = await newGateway()
    const id = await accept(gateway, seal({ to: [alice, bob] }), [alice, bob])
    const { addresses } = gateway.directory
    await done(how === 'remove' ? addresses.remove(bob, 'test') : addresses.setDisabled(bob, true, 'test'))
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [bob]: 'unknown-recipient' })
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })
})
