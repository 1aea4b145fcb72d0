import { randomUUID, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { openDirectory } from '../../src/directory/open.js'
import { type DomainPolicy, defaultPolicy } from '../../src/directory/policy.js'
import { activationLimits, openActivation } from '../../src/pipeline/activation.js'
import { openCertificates } from '../../src/pipeline/certificates.js'
import { pipelineFamilies } from '../../src/pipeline/families.js'
import { publicationsOf } from '../../src/pipeline/publications.js'
import { certificateQueue } from '../../src/pipeline/registration.js'
import { suggestNames } from '../../src/pipeline/suggest-names.js'
import { openSteps } from '../../src/workers/steps.js'
import { made, random, world } from '../directory/worlds.js'

const domain = 'patients.test' as DirectDomain
const at = (name: string) => `${name}@${domain}` as DirectAddress
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
const uncounted = { count: () => undefined, observe: () => undefined, gauge: () => undefined }

async function open({ authority = true, demanded = 'none' }: { authority?: boolean; demanded?: string } = {}) {
  const found = await world()
  const defaults = { ...defaultPolicy, identityProofing: demanded, activation: 'open' } as DomainPolicy
  const directory = await openDirectory({ ...found.ports, defaults })
  made(await directory.domains.add(domain, 'operator'))
  const arithmetic = openSteps(found.master.secret)
  const certificates = openCertificates({
    ...{ ...found.ports, audit, random, directory, arithmetic, log: quiet, metrics: uncounted },
  })
  const makeAuthority = () => certificates.authority.create({ name: 'Patients Authority', kind: 'p256' }, 'operator')
  if (authority) await makeAuthority()
  const ports = { ...found.ports, directory, registrations: certificates.registrations, random }
  const work = async () => {
    for (const job of await found.store.claim(certificateQueue, 100, 60_000)) await certificates.handle(job)
  }
  return { ...found, directory, certificates, makeAuthority, work, activation: openActivation(ports) }
}

const problemOf = (outcome: object) => ('problem' in outcome ? outcome.problem : 'none')

describe('activating an address', () => {
  it('gives it a certificate of its own at once, which is published', async () => {
    const { activation, directory, clock } = await open()
    const outcome = await activation.activate(randomUUID(), 'anna.berg@patients.test', 'person:1')
    expect(outcome).toMatchObject({ kind: 'activated', address: { standing: 'live', certificate: 'issued' } })
    const [key] = await directory.keys.list(at('anna.berg'))
    const certificate = new X509Certificate(Buffer.from(key?.certificate ?? []))
    expect(certificate.subjectAltName).toBe('email:anna.berg@patients.test')
    const published = await publicationsOf({ directory, clock }).certificatesOf(at('anna.berg'))
    expect(published.map((der) => Buffer.compare(der, key?.certificate ?? new Uint8Array()))).toEqual([0])
  })

  it('twice for the same record changes nothing, and for another is refused as taken (168)', async () => {
    const { activation, directory } = await open()
    const record = randomUUID()
    for (let i = 0; i < 2; i++) await activation.activate(record, at('anna'), 'person:1')
    expect(await directory.keys.list(at('anna'))).toHaveLength(1)
    expect(await activation.list(record)).toHaveLength(1)
    expect(problemOf(await activation.activate(randomUUID(), at('anna'), 'person:2'))).toBe('taken')
  })

  it('is refused beyond the cap (170), where the name is no name (169), and where the domain is not ours', async () => {
    const { activation } = await open()
    const record = randomUUID()
    for (let i = 0; i < activationLimits.perRecord; i++) await activation.activate(record, at(`anna${i}`), 'person:1')
    expect(problemOf(await activation.activate(record, at('onemore'), 'person:1'))).toBe('too-many')
    for (const address of ['a b@patients.test', at('a'), at('anna+x'), 'anna@elsewhere.test'])
      expect(problemOf(await activation.activate(randomUUID(), address, 'person:1'))).toBe('invalid')
    expect(problemOf(await activation.activate(randomUUID(), at('postmaster'), 'person:1'))).toBe('taken')
  })

  it('whose process dies before the certificate was asked for gets it from the job of the same commit', async () => {
    const { activation, directory, work, clock } = await open()
    const record = randomUUID()
    const { enqueue } = await import('../../src/pipeline/first-certificate.js').then(({ firstCertificateJob }) => ({
      enqueue: [firstCertificateJob(at('anna'), clock.now())],
    }))
    made(await directory.addresses.activate(at('anna'), record, 'person:1', { most: 3, also: { enqueue } }))
    expect(await activation.list(record)).toMatchObject([{ certificate: 'none' }])
    clock.advance(61_000)
    await work()
    expect(await activation.list(record)).toMatchObject([{ certificate: 'issued' }])
  })

  it('without an authority is live all the same, and gets its certificate within the hour after one was made', async () => {
    const { activation, makeAuthority, work, clock } = await open({ authority: false })
    const record = randomUUID()
    expect(await activation.activate(record, at('anna'), 'p')).toMatchObject({ address: { certificate: 'none' } })
    clock.advance(61_000)
    await work()
    await makeAuthority()
    clock.advance(3_600_000)
    await work()
    expect(await activation.list(record)).toMatchObject([{ certificate: 'issued' }])
  })

  it('where its domain demands proof of identity takes no mail and has no certificate until somebody vouched', async () => {
    const { activation, directory, work, clock } = await open({ demanded: 'ial2' })
    const record = randomUUID()
    expect(await activation.activate(record, at('anna'), 'p')).toMatchObject({
      address: { standing: 'awaiting-proofing', certificate: 'none' },
    })
    made(await directory.addresses.prove(at('anna'), { level: 'ial2', method: 'in person' }, 'operator'))
    clock.advance(61_000)
    await work()
    expect(await activation.list(record)).toMatchObject([{ standing: 'live', certificate: 'issued' }])
  })

  it('leaves jobs that the check of the whole store knows', async () => {
    const { activation, store } = await open()
    await activation.activate(randomUUID(), at('anna'), 'p')
    const family = pipelineFamilies.find(({ form }) => form.test(certificateQueue))
    for await (const row of store.snapshot()) {
      if (row.kind === 'job' && family?.kind === 'job') expect(await family.check(row, {} as never)).toEqual([])
    }
  })
})

describe('an address of a record', () => {
  it('is disabled and enabled by its own record alone (171)', async () => {
    const { activation, directory } = await open()
    const [mine, theirs] = [randomUUID(), randomUUID()]
    await activation.activate(mine, at('anna'), 'p')
    expect(problemOf(await activation.setDisabled(theirs, at('anna'), true, 'q'))).toBe('unknown')
    expect(problemOf(await activation.setDisabled(mine, at('nobody'), true, 'p'))).toBe('unknown')
    expect(await activation.setDisabled(mine, at('anna'), true, 'p')).toMatchObject({
      address: { standing: 'disabled' },
    })
    expect(await directory.addresses.isServed(at('anna'))).toBe(false)
    expect(await activation.setDisabled(mine, at('anna'), false, 'p')).toMatchObject({ address: { standing: 'live' } })
  })
})

describe('names that are suggested', () => {
  it('are free, plain and of the open domain', async () => {
    const { activation } = await open()
    const suggested = await activation.suggest('Ænna-Märia Berg Sørensen', 'p')
    expect(suggested).toContain(at('aenna.sorensen'))
    await activation.activate(randomUUID(), at('aenna.sorensen'), 'q')
    expect(await activation.suggest('Ænna-Märia Berg Sørensen', 'p')).not.toContain(at('aenna.sorensen'))
  })

  it.each(['', '李明', '...', 'postmaster', '\u0000\u202e', 'a'.repeat(5000)])('are there for %j too', async (name) => {
    const { activation } = await open()
    const suggested = await activation.suggest(name, 'p')
    expect(Array.isArray(suggested) && suggested.length).toBe(activationLimits.suggestions)
  })

  it('never hold what could be taken for a year of birth', () => {
    for (let i = 0; i < 200; i++)
      for (const name of suggestNames('Anna Berg', random)) expect(name).not.toMatch(/(19|20)\d\d$/)
  })
})

it('tells one caller of so many names and no more, and goes on for others', async () => {
  const { activation, clock } = await open()
  const ask = async (by: string) => problemOf(await activation.check(at('anna'), by))
  const said: unknown[] = []
  for (let i = 0; i <= activationLimits.questions.burst; i++) said.push(await ask('person:1'))
  expect(said.filter((problem) => problem === 'wait')).toHaveLength(1)
  expect(await ask('person:2')).toBe('none')
  clock.advance(31_000)
  expect(await ask('person:1')).toBe('none')
})

it('gets a certificate for newcomers of every open domain, at once and once', async () => {
  const { activation, directory, work, clock } = await open()
  await activation.prepare()
  await activation.prepare()
  await work()
  expect(await directory.keys.list(at('newuser'))).toHaveLength(1)
  await activation.prepare()
  clock.advance(61_000)
  await work()
  expect(await directory.keys.list(at('newuser'))).toHaveLength(1)
})
