import { describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openDirectory } from '../../src/directory/open.js'
import { type DomainPolicy, defaultPolicy } from '../../src/directory/policy.js'
import { type CertificateJob, openCertificates, startCertificates } from '../../src/pipeline/certificates.js'
import { type Ending, warnOfEndings } from '../../src/pipeline/expiry.js'
import { pipelineFamilies } from '../../src/pipeline/families.js'
import { certificateQueue } from '../../src/pipeline/registration.js'
import type { Log, Metrics } from '../../src/ports/observe.js'
import type { Registrar, RegistrarAnswer } from '../../src/ports/registrar.js'
import { openSteps } from '../../src/workers/steps.js'
import { requestOwner } from '../authority/outside.js'
import { anna, clinic } from '../authority/worlds.js'
import { decided, made, random, world } from '../directory/worlds.js'

const day = 86_400_000

/** A gateway's certificates over a memory store, with an authority outside that answers as it is told. */
async function certificates({
  demanded = 'none',
  open = true,
  ownerDays = 0,
}: {
  demanded?: string
  open?: boolean
  ownerDays?: number
} = {}) {
  const found = await world()
  const defaults = { ...defaultPolicy, identityProofing: demanded } as DomainPolicy
  const directory = await openDirectory({ ...found.ports, defaults })
  made(await directory.domains.add(clinic, 'operator'))
  made(await directory.addresses.add(anna, 'patient', 'operator'))
  const events: string[] = []
  const gauges = new Map<string, number>()
  const log: Log = { info: () => undefined, warn: (event) => events.push(event), error: (event) => events.push(event) }
  const metrics: Metrics = {
    count: () => undefined,
    observe: () => undefined,
    gauge: (_, value, labels) => gauges.set(labels?.['kind'] ?? '', value),
  }
  const outsideAnswers: RegistrarAnswer[] = []
  const asked: string[] = []
  const outside: Registrar = {
    name: 'outside',
    askAgainMs: 60_000,
    async request({ owner }) {
      asked.push(`request ${owner}`)
      return outsideAnswers.shift() ?? { kind: 'unavailable', detail: 'no answer' }
    },
    async poll(ticket) {
      asked.push(`poll ${ticket}`)
      return outsideAnswers.shift() ?? { kind: 'pending', ticket }
    },
  }
  const listeners: Ending[] = []
  const steps = openSteps(found.master.secret)
  const ports = {
    ...{ ...found.ports, audit, random, directory, log, metrics, arithmetic: steps },
    registrars: [outside],
    outside: async () => listeners,
  }
  const settings = { authority: { publicUrl: 'http://pki.clinic.test', ...(ownerDays && { ownerDays }) } }
  const open1 = () => openCertificates(ports, settings)
  const opened = open1()
  if (open) await opened.authority.create({ name: 'Clinic Authority', kind: 'p256' }, 'operator')

  /** Does all jobs that are due, as the worker would. */
  async function work() {
    for (const job of await found.store.claim(certificateQueue, 10, 60_000)) await opened.handle(job)
  }
  async function daily() {
    const payload = Buffer.from(JSON.stringify({ kind: 'daily' } satisfies CertificateJob))
    await found.store.commit({ enqueue: [{ queue: certificateQueue, id: 'daily', dueAt: 0, payload }] })
    await work()
  }
  return {
    ...found,
    ...{ directory, ports, certificates: opened, again: open1, work, daily, events, gauges, listeners },
    ...{ outsideAnswers, asked, steps },
  }
}

describe('registering a certificate', () => {
  it('with our own authority takes a key into use at once, for signing and for opening mail', async () => {
    const { certificates: ours, directory, clock } = await certificates()
    const outcome = await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    expect(outcome).toMatchObject({ kind: 'registered', warnings: [], key: { owner: anna } })
    expect(decided(await directory.keys.toSign(anna, clock.now()))).toHaveLength(1)
    expect(decided(await directory.keys.toDecrypt(anna))).toHaveLength(1)
    expect(await ours.registrations.list()).toEqual([])
  })

  it('makes a key that seals and opens mail in the worker', async () => {
    const { certificates: ours, directory, clock, steps } = await certificates()
    await ours.registrations.begin({ owner: anna }, 'operator')
    const signers = decided(await directory.keys.toSign(anna, clock.now()))
    const message = Buffer.from(`From: ${anna}\r\nTo: ${anna}\r\nMessage-ID: <1@clinic.test>\r\n\r\nHello\r\n`)
    const outer = { from: anna, to: [anna], messageId: '<1@clinic.test>', date: clock.now() }
    const recipients = signers.map(({ certificate }) => certificate)
    const sealed = await steps.seal({ message, signers, recipients, outer, at: clock.now() })
    if (sealed.kind !== 'sealed') throw new Error(sealed.detail)
    const keys = decided(await directory.keys.toDecrypt(anna))
    const opened = await steps.open({ kind: 'bytes', bytes: sealed.wire }, keys, { allowSha1: false })
    expect(opened).toMatchObject({ kind: 'opened', wrapped: true })
  })

  it('makes single-use pairs: one key signs only, the other opens only', async () => {
    const { certificates: ours, directory, clock } = await certificates()
    for (const use of ['sign', 'encrypt'] as const) {
      const outcome = await ours.registrations.begin({ owner: anna, use, kind: 'rsa-2048' }, 'operator')
      expect(outcome).toMatchObject({
        kind: 'registered',
        key: { maySign: use === 'sign', mayEncrypt: use !== 'sign' },
      })
    }
    const signing = decided(await directory.keys.toSign(anna, clock.now()))
    expect(signing).toHaveLength(1)
    // What peers may encrypt to is decided by them: every key of ours is tried.
    expect(decided(await directory.keys.toDecrypt(anna))).toHaveLength(2)
  })

  it('is refused before there is an authority, and for whom we do not serve', async () => {
    const { certificates: ours } = await certificates({ open: false })
    const begun = await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    expect(begun).toMatchObject({ kind: 'refused', detail: expect.stringContaining('authority create') })
    expect(await ours.registrations.list()).toEqual([])
    for (const owner of ['nobody@clinic.test', 'anna@other.test', 'other.test', 'not an owner', '@'])
      expect(await ours.registrations.begin({ owner }, 'operator')).toMatchObject({ kind: 'refused' })
    expect(await ours.registrations.begin({ owner: clinic, registrar: 'nobody' }, 'operator')).toMatchObject({
      kind: 'refused',
    })
  })

  it('waits for proof of identity where the domain demands it', async () => {
    const { certificates: ours, directory } = await certificates({ demanded: 'ial2' })
    const before = await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    expect(before).toMatchObject({ kind: 'refused', detail: expect.stringContaining('address proof') })
    made(await directory.addresses.prove(anna, { level: 'ial2', method: 'in person' }, 'operator'))
    const after = await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    expect(after.kind).toBe('registered')
  })

  it('by hand keeps key and request until the certificate is brought, in any order with its chain', async () => {
    const { certificates: ours, directory } = await certificates()
    const begun = await ours.registrations.begin({ owner: anna, kind: 'p256', registrar: 'hand' }, 'operator')
    if (begun.kind !== 'waiting') throw new Error(begun.kind)
    expect(begun.registration.state).toBe('pending')
    const outside = await requestOwner(begun.registration.request)
    expect(await ours.registrations.accept([outside.root], 'operator')).toMatchObject({ kind: 'refused' })
    const wrong = await requestOwner(begun.registration.request, 'ben@clinic.test' as DirectAddress)
    expect(await ours.registrations.accept([wrong.certificate], 'operator')).toMatchObject({ kind: 'refused' })
    expect(await ours.registrations.list()).toMatchObject([{ state: 'pending' }])
    const taken = await ours.registrations.accept([outside.root, outside.certificate], 'operator')
    expect(taken).toMatchObject({ kind: 'registered', key: { owner: anna, registered: { registrar: 'hand' } } })
    expect(await ours.registrations.list()).toEqual([])
    expect(await directory.keys.list(anna)).toHaveLength(1)
    expect(await ours.registrations.accept([outside.certificate], 'operator')).toMatchObject({ kind: 'refused' })
  })

  it('polls an authority outside until it answers, and asks again after it was away', async () => {
    const house = await certificates()
    const { certificates: ours, clock, outsideAnswers, asked } = house
    const begun = await ours.registrations.begin({ owner: anna, kind: 'p256', registrar: 'outside' }, 'operator')
    if (begun.kind !== 'waiting') throw new Error(begun.kind)
    expect(begun.registration).toMatchObject({ state: 'asking', detail: 'no answer' })
    const outside = await requestOwner(begun.registration.request)
    outsideAnswers.push({ kind: 'pending', ticket: 't1' }, { kind: 'pending', ticket: 't1' })
    outsideAnswers.push({ kind: 'issued', certificate: outside.certificate, chain: [outside.root] })
    for (let i = 0; i < 5; i++) {
      clock.advance(3_600_000)
      await house.work()
    }
    expect(asked).toEqual([`request ${anna}`, `request ${anna}`, 'poll t1', 'poll t1'])
    expect(await ours.registrations.list()).toEqual([])
    expect(await house.store.jobs(certificateQueue, 10)).toEqual([])
  })

  it('loses neither key nor certificate when the process dies between any two writes', async () => {
    for (let deaths = 1; deaths < 12; deaths++) {
      const house = await certificates()
      let left = deaths
      const dying = {
        ...house.store,
        commit: async (...batch: Parameters<typeof house.store.commit>) => {
          if (--left === 0) throw new Error('died')
          return house.store.commit(...batch)
        },
      }
      const directory = await openDirectory({ ...house.ports, store: dying } as never)
      const mortal = openCertificates({ ...house.ports, directory, store: dying })
      const died = await mortal.registrations.begin({ owner: anna, kind: 'p256' }, 'operator').catch(() => undefined)
      if (died) break // all writes were done before
      house.clock.advance(120_000)
      await house.work()
      await house.directory.refresh()
      const keys = await house.directory.keys.list(anna)
      // The first write is the one that makes the key known: before it, nothing was asked.
      expect(keys.length, `death at write ${deaths}`).toBe(deaths === 1 ? 0 : 1)
      expect(await house.certificates.registrations.list()).toEqual([])
      expect((await house.certificates.authority.issued()).length).toBe(deaths === 1 ? 0 : 1)
    }
  })
})

describe('renewing', () => {
  it('makes a new key 30 days before the end, keeps both in use for a while, then retires the old one', async () => {
    const house = await certificates()
    const { certificates: ours, directory, clock } = house
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    const [first] = await directory.keys.list(anna)
    await house.daily()
    expect(await directory.keys.list(anna)).toHaveLength(1)
    clock.advance((730 - 29) * day)
    await house.work()
    const both = await directory.keys.list(anna)
    expect(both.map(({ retired }) => retired)).toEqual([false, false])
    expect(both[0]?.id).not.toBe(first?.id)
    clock.advance(13 * day)
    await house.work()
    expect((await directory.keys.list(anna)).map(({ retired }) => retired)).toEqual([false, false])
    clock.advance(2 * day)
    await house.work()
    expect((await directory.keys.list(anna)).map(({ retired }) => retired)).toEqual([false, true])
    expect(decided(await directory.keys.toDecrypt(anna))).toHaveLength(2)
    expect(house.events).toEqual([])
    await house.work()
    expect(await directory.keys.list(anna)).toHaveLength(2)
  })

  it('tells of a failure every day, and goes on trying', async () => {
    const house = await certificates()
    const { certificates: ours, directory, clock } = house
    const begun = await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    if (begun.kind !== 'registered') throw new Error(begun.kind)
    const [authority] = await ours.authority.list()
    await ours.authority.close(authority?.id ?? '', 'operator')
    clock.advance(701 * day)
    await house.daily()
    clock.advance(day)
    await house.work()
    expect(house.events.filter((event) => event === 'certificate.renewal-failed')).toHaveLength(2)
    await ours.authority.create({ name: 'Second', kind: 'p256' }, 'operator')
    clock.advance(day)
    await house.work()
    expect(await directory.keys.list(anna)).toHaveLength(2)
    expect(await ours.registrations.list()).toEqual([])
  })

  it('renews what lives shortly in the last third of its life, and never more than one at a time', async () => {
    const house = await certificates({ ownerDays: 21 })
    const { certificates: ours, directory, clock } = house
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    await house.daily()
    expect(await directory.keys.list(anna)).toHaveLength(1)
    const inUse: number[] = []
    for (let days = 1; days <= 60; days++) {
      clock.advance(day)
      await house.work()
      inUse.push((await directory.keys.list(anna)).filter(({ retired }) => !retired).length)
    }
    expect(inUse.slice(0, 13)).toEqual(Array(13).fill(1))
    expect(Math.max(...inUse)).toBe(2)
    expect((await directory.keys.list(anna)).length).toBe(5)
  })

  it('makes no key after key for an authority that ends itself; tells of it until there is a newer one', async () => {
    const house = await certificates({ open: false })
    const { certificates: ours, directory, clock, events } = house
    await ours.authority.create({ name: 'Short Authority', kind: 'p256', years: 1 }, 'operator')
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    clock.advance(340 * day)
    await house.daily()
    for (let days = 1; days <= 5; days++) {
      clock.advance(day)
      await house.work()
    }
    expect(await directory.keys.list(anna)).toHaveLength(1)
    expect(events.filter((event) => event === 'certificate.renewal-failed')).toHaveLength(6)
    expect(await ours.registrations.list()).toEqual([])
    await ours.authority.create({ name: 'Next Authority', kind: 'p256' }, 'operator')
    clock.advance(day)
    await house.work()
    expect(await directory.keys.list(anna)).toHaveLength(2)
  })

  it('leaves alone what somebody imported', async () => {
    const house = await certificates()
    const outside = await requestOwner(undefined, anna)
    made(await house.directory.keys.add({ owner: anna, ...outside }, 'operator'))
    house.clock.advance(400 * day)
    await house.daily()
    expect(await house.directory.keys.list(anna)).toHaveLength(1)
  })
})

describe('what ends', () => {
  it('is warned of once at 30, 7 and 1 days and at its end, whatever restarts and whoever else looks', async () => {
    const house = await certificates({ open: false })
    const { clock, listeners, events } = house
    const notAfter = clock.now() + 40 * day
    listeners.push({ kind: 'tls', id: 'smtp', owner: 'smtp', subject: 'mail', notAfter, replaced: false })
    const told: number[] = []
    for (let days = 0; days < 45; days++) {
      const before = events.length
      for (const node of [house.certificates, house.again()])
        await warnOfEndings({ ...house.ports, authority: node.authority })
      if (events.length > before) told.push(days, events.length - before)
      clock.advance(day)
    }
    expect(told).toEqual([10, 1, 33, 1, 39, 1, 41, 1])
  })

  it('covers keys, authorities, anchors, peers and issuers, and is shown as a gauge for each kind', async () => {
    const house = await certificates()
    const { certificates: ours, directory } = house
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    const outside = await requestOwner(undefined, 'ben@other.test' as DirectAddress)
    made(await directory.anchors.add({ owner: clinic, certificate: outside.root, direction: 'both' }, 'operator'))
    made(await directory.issuers.add(outside.root, 'operator'))
    made(await directory.peers.add({ owner: 'ben@other.test', certificate: outside.certificate }, 'operator'))
    await ours.measure()
    expect([...house.gauges.keys()].sort()).toEqual(['anchor', 'authority', 'issuer', 'key', 'list', 'peer'])
    expect(house.gauges.get('list')).toBeLessThanOrEqual(7 * 86_400)
  })

  it('is told to nobody where something newer took its place', async () => {
    const house = await certificates()
    const { certificates: ours, clock, events } = house
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    clock.advance(500 * day)
    await ours.registrations.begin({ owner: anna, kind: 'p256' }, 'operator')
    clock.advance(235 * day)
    await house.daily()
    expect(events).toEqual([])
  })

  it('is forgotten a quarter after its end', async () => {
    const house = await certificates()
    const { clock, listeners, store } = house
    const notAfter = clock.now() + day / 2
    listeners.push({ kind: 'tls', id: 'smtp', owner: 'smtp', subject: 'mail', notAfter, replaced: false })
    await house.daily()
    expect(await store.get('expiry/tls/smtp')).toBeDefined()
    listeners.pop()
    clock.advance(94 * day)
    await house.work()
    expect(await store.get('expiry/tls/smtp')).toBeUndefined()
  })
})

describe('the queue of certificates', () => {
  it('renews lists every day and keeps its two standing jobs, however often a node starts', async () => {
    const house = await certificates()
    const running = await startCertificates(house.certificates, house.ports)
    const other = await startCertificates(house.again(), house.ports)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await Promise.all([running.close(), other.close()])).toEqual([true, true])
    const jobs = await house.store.jobs(certificateQueue, 10)
    expect(jobs.map(({ id }) => id).sort()).toEqual(['daily', 'lists'])
    expect(jobs.every(({ dueAt }) => dueAt > house.clock.now())).toBe(true)
  })

  it('keeps rows that its families know', async () => {
    const house = await certificates()
    await house.certificates.registrations.begin({ owner: anna, kind: 'p256', registrar: 'hand' }, 'operator')
    const notAfter = house.clock.now() + day / 2
    house.listeners.push({ kind: 'tls', id: 'http', owner: 'http', subject: 'api', notAfter, replaced: false })
    await house.daily()
    const seen = new Set<string>()
    const by = { unwrap: house.keyring.unwrap } as never
    for await (const row of house.store.snapshot()) {
      const name = row.kind === 'entry' ? row.key : row.kind === 'job' ? row.queue : ''
      const family = pipelineFamilies.find(({ kind, form }) => kind === row.kind && form.test(name))
      if (!family) continue
      await family.check(row as never, by)
      seen.add(family.name)
    }
    expect([...seen].sort()).toEqual(['certificate asked for', 'certificate work', 'expiry warning'])
  })
})
