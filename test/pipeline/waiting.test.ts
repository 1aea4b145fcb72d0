import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { undecided } from '../../src/direct/refusal.js'
import { receive } from '../../src/pipeline/inbound.js'
import { undecidedPolicy } from '../../src/pipeline/patience.js'
import { StepFailed, StepNotBegun, type Steps } from '../../src/pipeline/steps.js'
import { gather } from '../../src/ports/body.js'
import type { OwnedKey } from '../../src/ports/keys.js'
import type { RevocationAnswer } from '../../src/ports/trust.js'
import { inboundQueue } from '../../src/spool/spool.js'
import {
  accept,
  alice,
  bob,
  clinicAuthority,
  doctor,
  domain,
  done,
  type Gateway,
  gatewayAuthority,
  gatewayKey,
  itemsOf,
  messagesOf,
  newGateway,
  outboundOf,
  refusalsOf,
  seal,
  storyOf,
  work,
} from '../fixtures/gateway.js'
import { makeIntermediate, makeLeaf } from '../fixtures/pki.js'

const minuteMs = 60_000

/** Revocation that answers what it is told to. */
function crl(kind: RevocationAnswer['kind'] = 'unavailable') {
  const source = {
    answer: { kind, detail: 'the CRL does not answer', at: 0, reason: 'keyCompromise' } as RevocationAnswer,
  }
  return { source, revocation: { status: async () => source.answer } }
}

const hard = (gateway: Gateway) =>
  done(gateway.directory.domains.setPolicy(domain as never, { revocation: 'hard' }, 'test'))

async function dueIn(gateway: Gateway): Promise<number | undefined> {
  const due = await gateway.store.nextDue(inboundQueue)
  return due === undefined ? undefined : due - gateway.clock.now()
}

/** Lets time pass from try to try until nothing waits any more; answers the waits. */
async function waitOut(gateway: Gateway, pass: (ms: number) => void): Promise<number[]> {
  const waits: number[] = []
  for (let wait = await dueIn(gateway); wait !== undefined; wait = await dueIn(gateway)) {
    if (waits.length > 50) throw new Error('it waits for ever')
    if (wait > 0) waits.push(wait)
    pass(wait)
    await work(gateway)
  }
  return waits
}

async function alarmsOf(gateway: Gateway): Promise<readonly (string | undefined)[]> {
  const told = await readAudit(gateway.store, 1, 1000)
  return told.flatMap(({ entry }) => (entry?.action === 'alarm' ? [entry.reason] : []))
}

describe('a verdict that must wait', () => {
  it('is tried again at the schedule and reached when the CRL answers', async () => {
    const { source, revocation } = crl()
    const { gateway, pass } = await newGateway({ revocation })
    await hard(gateway)
    const id = await accept(gateway, seal())
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toEqual([])
    const waits: (number | undefined)[] = []
    for (let tries = 0; tries < 3; tries++) {
      const wait = await dueIn(gateway)
      waits.push(wait)
      pass((wait ?? 0) - 1)
      expect(await work(gateway)).toBe(0)
      pass(1)
      if (tries === 2) source.answer = { kind: 'good' }
      expect(await work(gateway)).toBe(1)
    }
    expect(waits).toEqual(undecidedPolicy.retryMs.slice(0, 3))
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
    expect((await storyOf(gateway, id)).filter((step) => step === `undecided ${alice}`)).toHaveLength(3)
    expect(await alarmsOf(gateway)).toEqual([])
  })

  it('does not hold up the other recipients', async () => {
    const { source, revocation } = crl()
    const { gateway, pass } = await newGateway({ revocation })
    const carol = 'carol@patient.example' as DirectAddress
    const key = makeLeaf(gatewayAuthority, { san: { dns: ['patient.example'] } })
    const { directory } = gateway
    await done(directory.domains.add('patient.example', 'test', { revocation: 'hard' }))
    await done(directory.addresses.add(carol, 'patient', 'test'))
    await done(directory.keys.add({ owner: 'patient.example', ...key }, 'test'))
    await done(directory.anchors.add({ owner: 'patient.example', ...clinicAuthority, direction: 'in' }, 'test'))
    await accept(gateway, seal({ to: [alice, carol], recipients: [gatewayKey, key] }), [alice, carol])
    await work(gateway)
    const [message] = await messagesOf(gateway, alice)
    expect(message?.protection.warnings).toEqual(['revocation-unknown'])
    expect(await messagesOf(gateway, carol)).toEqual([])
    source.answer = { kind: 'good' }
    pass((await dueIn(gateway)) ?? 0)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await messagesOf(gateway, carol)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(2)
  })

  it('is a refusal and an alarm at the deadline, not later', async () => {
    const errors: unknown[] = []
    const { revocation } = crl()
    const { gateway, pass } = await newGateway({
      revocation,
      log: {
        info: () => undefined,
        warn: () => undefined,
        error: (event, fields) => void errors.push({ event, ...fields }),
      },
    })
    await hard(gateway)
    const id = await accept(gateway, seal())
    await work(gateway)
    const waits = await waitOut(gateway, pass)
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBe(undecidedPolicy.deadlineMs)
    expect(waits.slice(0, 5)).toEqual(undecidedPolicy.retryMs)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'undecided-too-long' })
    expect((await storyOf(gateway, id)).slice(-2)).toEqual([`refused ${alice}`, `alarm ${alice}`])
    expect(await alarmsOf(gateway)).toEqual(['undecided-too-long'])
    expect(errors).toEqual([{ event: 'alarm', spool: id, reason: 'undecided-too-long' }])
    expect((await gateway.quarantine.get(id))?.refused[0]?.detail).toContain('revocation-unavailable')
  })

  it('waits for its own time after it is judged again, however old it is', async () => {
    const { source, revocation } = crl()
    const { gateway, pass } = await newGateway({ revocation })
    await hard(gateway)
    const id = await accept(gateway, seal())
    await work(gateway)
    await waitOut(gateway, pass)
    pass(3 * 24 * 60 * minuteMs)
    await gateway.store.commit((await gateway.quarantine.judgeAgain(id)) ?? {})
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({})
    pass((await dueIn(gateway)) ?? 0)
    source.answer = { kind: 'good' }
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await gateway.quarantine.get(id)).toBeUndefined()
  })

  it('is reached at once where a certificate is known to be revoked', async () => {
    const { revocation } = crl('revoked')
    const { gateway } = await newGateway({ revocation })
    const id = await accept(gateway, seal())
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'revoked' })
  })

  it('waits for an issuer that cannot be fetched', async () => {
    const intermediate = makeIntermediate(clinicAuthority)
    const signer = makeLeaf(intermediate, { san: { email: [doctor] }, caIssuers: ['http://ca.example/i.cer'] })
    let answers = false
    const { gateway, pass } = await newGateway({
      issuers: {
        of: async () => (answers ? [intermediate.certificate] : undecided('issuer-unavailable', 'no answer')),
      },
    })
    await accept(gateway, seal({ signers: [signer] }))
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toEqual([])
    answers = true
    pass((await dueIn(gateway)) ?? 0)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })

  it('waits for the keys of one recipient, and does not hold up the other', async () => {
    const { gateway, pass } = await newGateway()
    const { directory } = gateway
    let answers = false
    const keys = {
      ...directory.keys,
      toDecrypt: async (address: DirectAddress) =>
        address === bob && !answers
          ? undecided('key-store-unavailable', 'no answer')
          : directory.keys.toDecrypt(address),
    }
    const ports = { ...gateway, directory: { ...directory, keys } }
    await accept(ports, seal({ to: [alice, bob] }), [alice, bob])
    await work(ports)
    expect([await messagesOf(gateway, alice), await messagesOf(gateway, bob)].map(({ length }) => length)).toEqual([
      1, 0,
    ])
    answers = true
    pass((await dueIn(gateway)) ?? 0)
    await work(ports)
    expect(await messagesOf(gateway, bob)).toHaveLength(1)
  })

  it('waits for a key whose master key is not here', async () => {
    const { gateway, pass } = await newGateway()
    const { directory } = gateway
    const [owned] = (await directory.keys.toDecrypt(alice)) as readonly OwnedKey[]
    let whole = false
    const keys = {
      ...directory.keys,
      toDecrypt: async () =>
        owned?.wrapped ? [{ ...owned, wrapped: whole ? owned.wrapped : new Uint8Array(100) }] : [],
    }
    const ports = { ...gateway, directory: { ...directory, keys } }
    const id = await accept(ports, seal())
    await work(ports)
    expect((await gateway.trail.read(id)).at(-1)?.detail).toMatch(/^key-store-unavailable: key [0-9a-f]{16}: /)
    whole = true
    pass((await dueIn(gateway)) ?? 0)
    await work(ports)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })
})

describe('a step that gives no answer', () => {
  const failing =
    (times: Partial<Record<keyof Steps, number>>, error: () => Error = () => new StepFailed('the thread died')) =>
    (real: Steps): Steps => {
      const left = { ...times }
      const may = (name: keyof Steps) => {
        const now = left[name] ?? 0
        left[name] = now - 1
        if (now > 0) throw error()
      }
      return {
        open: async (...task) => {
          may('open')
          return real.open(...task)
        },
        read: async (...task) => {
          may('read')
          return real.read(...task)
        },
        seal: real.seal,
      }
    }
  const content = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello.\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n\r\n%PDF-1.4 x\r\n--b--\r\n`

  it('twice while opening: the message is delivered at the third try', async () => {
    const { gateway, pass } = await newGateway({ steps: failing({ open: 2 }) })
    const id = await accept(gateway, seal())
    await waitOut(gateway, pass)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect((await storyOf(gateway, id)).slice(0, 3)).toEqual(['accepted', 'undecided', 'undecided'])
  })

  it('always while opening: refused at the third try, with an alarm', async () => {
    const { gateway, pass } = await newGateway({ steps: failing({ open: 99 }) })
    const id = await accept(gateway, seal())
    await waitOut(gateway, pass)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'opening-failed' })
    expect(await alarmsOf(gateway)).toEqual(['opening-failed'])
  })

  it('after it waited for other reasons has all its tries still', async () => {
    const { source, revocation } = crl()
    let broken = false
    const { gateway, pass } = await newGateway({
      revocation,
      steps: (real) => ({
        ...real,
        open: (...task) => (broken ? Promise.reject(new StepFailed('died')) : real.open(...task)),
      }),
    })
    await hard(gateway)
    await accept(gateway, seal())
    for (let tries = 0; tries < 5; tries++) {
      await work(gateway)
      pass((await dueIn(gateway)) ?? 0)
    }
    broken = true
    await work(gateway)
    broken = false
    source.answer = { kind: 'good' }
    pass((await dueIn(gateway)) ?? 0)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })

  it('because it did not begin is no fault of the message: the job comes back and counts nothing', async () => {
    const { gateway, pass } = await newGateway({ steps: failing({ open: 10 }, () => new StepNotBegun('open')) })
    await accept(gateway, seal())
    for (let tries = 0; tries < 10; tries++) {
      const [job] = await gateway.store.claim(inboundQueue, 1, 1000)
      const spooled = job && gateway.spool.read(job)
      if (!spooled) throw new Error('the job is gone')
      await expect(receive(spooled, gateway)).rejects.toThrow(StepNotBegun)
      pass(2000)
    }
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })

  it.each([
    [2, 'its documents read', 'pdf'],
    [3, 'its attachments as they are', 'other'],
    [4, 'its attachments as they are', 'other'],
  ])('%i times while reading: delivered with %s', async (times, _, format) => {
    const { gateway, pass } = await newGateway({ steps: failing({ read: times }) })
    await accept(gateway, seal({ content }))
    await waitOut(gateway, pass)
    const [message, ...more] = await messagesOf(gateway, alice)
    expect(more).toEqual([])
    expect(message).toMatchObject({ subject: 'Test', attachments: [{ name: 'a.pdf' }] })
    const [stored] = await itemsOf(gateway, alice)
    expect(stored?.item.content).toMatchObject({
      type: 'document',
      format,
      name: 'a.pdf',
      mediaType: 'application/pdf',
    })
    const bytes = await gateway.record.documentBytes(stored?.recordId ?? '', stored?.item.provenance.document ?? '')
    expect(Buffer.from(await gather(bytes ?? [])).toString()).toBe('%PDF-1.4 x')
    expect(await outboundOf(gateway)).toHaveLength(1)
  })

  it('always while reading: delivered unread, its original kept', async () => {
    const { gateway, pass } = await newGateway({ steps: failing({ read: 99 }) })
    await accept(gateway, seal({ content }))
    await waitOut(gateway, pass)
    const [message] = await messagesOf(gateway, alice)
    expect(message).toMatchObject({ from: doctor, subject: '', attachments: [], diagnostics: [{ code: 'not-parsed' }] })
    const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
    const original = await gateway.mailbox.original(mailbox, message?.id ?? '')
    expect(Buffer.from(await gather(original ?? [])).toString()).toContain('%PDF-1.4 x')
    expect(await outboundOf(gateway)).toHaveLength(1)
  })

  it('has its tries again when it is judged again', async () => {
    let broken = true
    const { gateway, pass } = await newGateway({
      steps: (real) => ({
        ...real,
        open: (...task) => (broken ? Promise.reject(new StepFailed('died')) : real.open(...task)),
      }),
    })
    const id = await accept(gateway, seal())
    await waitOut(gateway, pass)
    await gateway.store.commit((await gateway.quarantine.judgeAgain(id)) ?? {})
    await work(gateway) // fails once more, and is not refused at once
    broken = false
    pass((await dueIn(gateway)) ?? 0)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
  })
})

describe('bytes that changed on the disk', () => {
  it('are a refusal by name and an alarm: the sender is not at fault', async () => {
    const { gateway, disk } = await newGateway()
    const id = await accept(gateway, seal({ body: 'x'.repeat(300_000) }))
    for (const { bytes } of disk.blobs.values()) bytes[50_000] = (bytes[50_000] ?? 0) ^ 1
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'spool-damaged' })
    expect(await alarmsOf(gateway)).toEqual(['spool-damaged'])
  })

  it('before they came to us are of the sender, and no alarm', async () => {
    const { gateway } = await newGateway()
    const wire = Buffer.from(seal({ body: 'x'.repeat(300_000) }))
    wire[50_000] = (wire[50_000] ?? 0) === 65 ? 66 : 65
    const id = await accept(gateway, wire)
    await work(gateway)
    expect((await refusalsOf(gateway, id))[alice]).not.toBe('spool-damaged')
    expect(await alarmsOf(gateway)).toEqual([])
  })
})

describe('bytes that are gone from the disk', () => {
  it('are a refusal by name and an alarm, never a silence', async () => {
    const { gateway, disk } = await newGateway()
    const id = await accept(gateway, seal({ body: 'x'.repeat(300_000) }))
    expect(disk.blobs.size).toBe(1)
    disk.blobs.clear()
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'spool-damaged' })
    expect(await alarmsOf(gateway)).toEqual(['spool-damaged'])
  })
})
