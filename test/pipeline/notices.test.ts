import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { refused } from '../../src/direct/refusal.js'
import { readMime } from '../../src/mime/part.js'
import { unwrapMessage } from '../../src/mime/unwrap.js'
import { recogniseNotice } from '../../src/notices/recognise.js'
import type { RevocationAnswer } from '../../src/ports/trust.js'
import { openMessage } from '../../src/smime/open.js'
import type { OutboundJob } from '../../src/spool/outbound.js'
import { outboundQueue } from '../../src/spool/outbound.js'
import {
  accept,
  alice,
  bob,
  clinicAuthority,
  doctor,
  doctorKey,
  domain,
  done,
  type Gateway,
  gatewayKey,
  newGateway,
  outboundOf,
  seal,
  sealByHand,
  storyOf,
  work,
  write,
} from '../fixtures/gateway.js'
import { type Identity, makeLeaf } from '../fixtures/pki.js'
import { ready } from '../smime/identities.js'

const signOnly = makeLeaf(clinicAuthority, { san: { email: [doctor] }, keyUsage: ['digitalSignature'] })
const encryptOnly = makeLeaf(clinicAuthority, { san: { email: [doctor] }, keyUsage: ['keyEncipherment'] })

async function owedOf(gateway: Gateway): Promise<OutboundJob> {
  const [job, ...more] = await outboundOf(gateway)
  if (!job || more.length > 0) throw new Error(`${more.length + (job ? 1 : 0)} notices are owed`)
  return job
}

async function madeOf(gateway: Gateway, job: OutboundJob): Promise<Buffer> {
  const made = await gateway.prepare(job)
  if (made.kind !== 'sealed') throw new Error(JSON.stringify(made))
  return Buffer.from(made.wire)
}

/** What the sender of the message reads, with his own key. */
function readBack(wire: Uint8Array, key: Identity = doctorKey) {
  const opened = openMessage(wire, [ready(key)])
  if (opened.kind === 'refused') throw new Error(JSON.stringify(opened))
  const unwrapped = unwrapMessage(opened.entity)
  if (unwrapped.kind !== 'unwrapped') throw new Error('the notice is not wrapped')
  const tree = readMime(unwrapped.bytes)
  if (tree.kind === 'unreadable') throw new Error(tree.detail)
  return { opened, header: tree.header, notice: recogniseNotice(tree) }
}

describe('the notice owed for a trusted message', () => {
  it('is an MDN that its sender can open, verify and match with what he sent', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal({ header: 'Disposition-Notification-To: <doctor@clinic.example>\r\n' }))
    await work(gateway)
    const wire = await madeOf(gateway, await owedOf(gateway))
    const { opened, header, notice } = readBack(wire)
    expect(notice).toMatchObject({
      kind: 'mdn',
      disposition: 'processed',
      modifiers: [],
      originalMessageId: '<1@clinic.example>',
      finalRecipient: alice,
    })
    expect(header.get('from')).toContain(alice)
    expect(header.get('to')).toContain(doctor)
    expect(opened.signers).toMatchObject([{ kind: 'verified', digest: 'sha256' }])
    expect(opened.certificates.map((der) => Buffer.from(der).equals(gatewayKey.certificate))).toContain(true)
  })

  it('is followed by another that says it was dispatched, only where that was asked for correctly', async () => {
    const asking = (options: string) =>
      `Disposition-Notification-To: <${doctor}>\r\nDisposition-Notification-Options: ${options}\r\n`
    const dispositions = async (options: string) => {
      const { gateway } = await newGateway()
      await accept(gateway, seal({ header: asking(options) }))
      await work(gateway)
      const notices = (await outboundOf(gateway)).map(async (job) => readBack(await madeOf(gateway, job)).notice)
      return (await Promise.all(notices)).map((notice) => notice.kind === 'mdn' && notice.disposition).sort()
    }
    expect(await dispositions('X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true')).toEqual(['dispatched', 'processed'])
    expect(await dispositions('X-DIRECT-FINAL-DESTINATION-DELIVERY=badvalue')).toEqual(['processed'])
    expect(await dispositions('X-XXXX-FINAL-X-DELXXXX=optioXXX,tXX')).toEqual(['processed'])
  })

  it('says nothing of the message outside the encryption', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal())
    await work(gateway)
    const wire = (await madeOf(gateway, await owedOf(gateway))).toString('latin1')
    const header = wire.slice(0, wire.indexOf('\r\n\r\n'))
    expect(header).toMatch(
      new RegExp(`^From: <${alice}>\r\nTo: <${doctor}>\r\nDate: [^\r]+\r\nMessage-ID: <[0-9a-f]{32}@${domain}>\r\n`),
    )
    expect(header).not.toMatch(/^subject/im)
    expect(header).not.toMatch(/1@clinic\.example|processed|Test/)
  })

  it('is one for each recipient who trusts the sender', async () => {
    const { gateway } = await newGateway({}, { anchorFor: [alice] })
    await accept(gateway, seal({ to: [alice, bob] }), [alice, bob])
    await work(gateway)
    const { notice } = readBack(await madeOf(gateway, await owedOf(gateway)))
    expect(notice).toMatchObject({ finalRecipient: alice })

    const { gateway: both } = await newGateway()
    await accept(both, seal({ to: [alice, bob] }), [alice, bob])
    await work(both)
    const notices = await Promise.all(
      (await outboundOf(both)).map(async (job) => readBack(await madeOf(both, job)).notice),
    )
    expect(notices.map((one) => one.kind === 'mdn' && one.finalRecipient).sort()).toEqual([alice, bob])
  })

  it('is the same notice under the same Message-ID however often it is made', async () => {
    const { gateway, pass } = await newGateway()
    await accept(gateway, seal())
    await work(gateway)
    const job = await owedOf(gateway)
    const first = readBack(await madeOf(gateway, job))
    pass(3_600_000)
    const second = readBack(await madeOf(gateway, job))
    for (const field of ['message-id', 'date']) expect(second.header.get(field)).toBe(first.header.get(field))
    expect(first.header.get('message-id')).toBe(`<${job.id}@${domain}>`)
  })

  it('shows neither the patient nor the message in the queue while it is owed', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal())
    await work(gateway)
    const [raw] = await gateway.store.jobs(outboundQueue, 1)
    const text = Buffer.from(raw?.payload ?? []).toString('latin1')
    expect(text).toContain(doctor) // where it goes is routing
    for (const secret of [alice, 'alice', '1@clinic.example', Buffer.from(alice).toString('base64').slice(0, 10)])
      expect(text).not.toContain(secret)
  })

  it('goes where Disposition-Notification-To says, if its certificate is known', async () => {
    const desk = 'desk@clinic.example' as DirectAddress
    const deskKey = makeLeaf(clinicAuthority, { san: { email: [desk] } })
    const { gateway } = await newGateway()
    await done(gateway.directory.peers.add({ owner: desk, certificate: deskKey.certificate }, 'test'))
    await accept(gateway, seal({ header: `Disposition-Notification-To: <${desk}>\r\n` }))
    await work(gateway)
    const job = await owedOf(gateway)
    expect(job.to).toEqual([desk])
    expect(readBack(await madeOf(gateway, job), deskKey).notice.kind).toBe('mdn')
  })
})

describe('a signer who cannot be encrypted to', () => {
  const fromSignOnly = (certificates: readonly Identity[] = []) =>
    sealByHand(`Content-Type: message/rfc822\r\n\r\n${write()}`, { signer: signOnly, along: certificates })

  it('gets the notice under another certificate of his that came along', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, fromSignOnly([encryptOnly]))
    await work(gateway)
    expect(readBack(await madeOf(gateway, await owedOf(gateway)), encryptOnly).notice.kind).toBe('mdn')
  })

  it('gets it under a certificate from the peer book', async () => {
    const { gateway } = await newGateway()
    await done(gateway.directory.peers.add({ owner: doctor, certificate: encryptOnly.certificate }, 'test'))
    await accept(gateway, fromSignOnly())
    await work(gateway)
    expect(readBack(await madeOf(gateway, await owedOf(gateway)), encryptOnly).notice.kind).toBe('mdn')
  })

  it('gets none where there is no other, which the trail tells and an alarm says', async () => {
    const { gateway, pass } = await newGateway()
    const id = await accept(gateway, fromSignOnly())
    await work(gateway)
    const job = await owedOf(gateway)
    const made = await gateway.prepare(job)
    expect(made).toMatchObject({ kind: 'refused', reason: 'no-recipient-certificate' })
    if (made.kind !== 'refused') throw new Error(made.kind)
    pass(1)
    await gateway.store.commit(gateway.notices.outcome(job, [{ kind: 'refused', refusal: made }]))
    expect((await storyOf(gateway, id)).slice(-2)).toEqual(['notice-failed', 'alarm'])
    const failed = (await gateway.trail.read(id)).find(({ step }) => step === 'notice-failed')
    expect(failed?.refusal?.reason).toBe('no-recipient-certificate')
    const told = (await readAudit(gateway.store, 1, 100)).flatMap(({ entry }) => entry ?? [])
    expect(told.slice(-2)).toMatchObject([
      { action: 'notice.send', outcome: 'failed', reason: 'no-recipient-certificate', subject: { spool: id } },
      { action: 'alarm', outcome: 'failed', reason: 'no-recipient-certificate' },
    ])
  })
})

describe('a notice that cannot be made now', () => {
  it('without a key that may sign is a refusal by name', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal())
    await work(gateway)
    await done(gateway.directory.keys.retire(domain as never, gatewayKey.fingerprint, 'test'))
    expect(await gateway.prepare(await owedOf(gateway))).toMatchObject({
      kind: 'refused',
      reason: 'no-key-for-sender',
    })
  })

  it('waits while the revocation of its certificate is undecided', async () => {
    const source = { answer: { kind: 'good' } as RevocationAnswer }
    const { gateway } = await newGateway({ revocation: { status: async () => source.answer } })
    await done(gateway.directory.domains.setPolicy(domain as never, { revocation: 'hard' }, 'test'))
    await accept(gateway, seal())
    await work(gateway)
    const job = await owedOf(gateway)
    source.answer = { kind: 'unavailable', detail: 'no answer' }
    expect(await gateway.prepare(job)).toMatchObject({ kind: 'undecided', cause: 'revocation-unavailable' })
    source.answer = { kind: 'good' }
    expect(await gateway.prepare(job)).toMatchObject({ kind: 'sealed' })
  })

  it.each([
    [{ kind: 'delivered', host: 'mx.clinic.example', reply: '250 ok' }, ['notice-sent']],
    [{ kind: 'retry', host: 'mx.clinic.example', detail: '451 later' }, ['notice-attempted']],
    [{ kind: 'failed', host: 'mx.clinic.example', detail: '550 no' }, ['notice-failed', 'alarm']],
    [{ kind: 'expired', detail: '451 later' }, ['notice-failed', 'alarm']],
    [{ kind: 'refused', refusal: refused('weak-key', '1024 bits') }, ['notice-failed', 'alarm']],
  ] as const)('tells of %j in the trail', async (outcome, steps) => {
    const { gateway, pass } = await newGateway()
    const id = await accept(gateway, seal())
    await work(gateway)
    pass(1)
    await gateway.store.commit(gateway.notices.outcome(await owedOf(gateway), [outcome]))
    expect((await storyOf(gateway, id)).slice(6)).toEqual(steps)
  })
})
