import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ActivityEntry } from '../../src/consent/consent.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { type ExportOutcome, type ExportRequest, openExport } from '../../src/pipeline/export.js'
import { pipelineFamilies } from '../../src/pipeline/families.js'
import { readPart } from '../../src/pipeline/read.js'
import { writeRequestFile } from '../../src/pipeline/request-file.js'
import { submit } from '../../src/pipeline/submit.js'
import { openTransmissions, type Transmit, transmitLimits } from '../../src/pipeline/transmit.js'
import { gather } from '../../src/ports/body.js'
import type { PlainMail } from '../../src/ports/plain-mail.js'
import { submissionQueue } from '../../src/spool/submission.js'
import { alice, doctor, doctorKey, done } from '../fixtures/gateway.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { newSending, sendDue } from '../fixtures/sending.js'

const stranger = 'stranger@elsewhere.example' as DirectAddress
const strangerKey = makeLeaf(makeAuthority({ name: 'Nobody Knows' }), { san: { email: [stranger] } })

const document: ExportOutcome = {
  ...{ kind: 'document', bytes: Buffer.from('<ClinicalDocument/>'), name: 'health-summary.xml' },
  ...{ mediaType: 'application/xml', items: 7, inWords: [], notWritten: [] },
}

/** A gateway where Alice knows her doctor, and what she sends out of her record. */
async function open({ plainMail, made = document }: { plainMail?: PlainMail; made?: ExportOutcome } = {}) {
  const { gateway } = await newSending()
  for (const [owner, { certificate }] of [
    [doctor, doctorKey],
    [stranger, strangerKey],
  ] as const)
    await done(gateway.directory.peers.add({ owner, certificate }, 'test'))
  const record = (await gateway.directory.addresses.get(alice))?.record ?? ''
  const told: ActivityEntry[] = []
  const asked: ExportRequest[] = []
  const transmissions = openTransmissions({
    ...gateway,
    random: { bytes: (size) => Uint8Array.from(randomBytes(size)) },
    exports: {
      async export(_, request) {
        asked.push(request)
        return made
      },
    },
    submit: (request) => submit(request, gateway),
    activity: {
      async entry(_, entry) {
        told.push(entry)
        return { put: [{ key: `test/activity/${told.length}`, value: new Uint8Array() }] }
      },
    },
    ...(plainMail && { plainMail }),
    custodian: 'Example Clinic',
  })
  const transmit = (more: Partial<Transmit> = {}) =>
    transmissions.transmit({
      ...{ record, chosen: { format: 'ccd' }, to: { kind: 'direct', address: doctor }, patient: 'Nora Example' },
      ...{ acting: { by: 'person:1', avenue: 'page' }, ...more },
    })
  const queued = async () => (await gateway.store.jobs(submissionQueue, 10)).length
  return { gateway, record, transmissions, transmit, told, asked, queued }
}

let world: Awaited<ReturnType<typeof open>>
beforeEach(async () => {
  world = await open()
})

describe('a document sent to a provider', () => {
  it('goes with the words and the request file of Blue Button+', async () => {
    const { gateway, transmit, transmissions, record } = world
    expect(await transmit({ note: 'Please see page 2.' })).toMatchObject({ kind: 'transmitted', items: 7 })
    const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
    const page = await gateway.submissions.list(mailbox, {})
    const [sent] = page.kind === 'page' ? page.submissions : []
    const message = await gather((await gateway.submissions.message(mailbox, sent?.id ?? '')) ?? [])
    const [words, attached, request] = ['1', '2', '3'].map((path) =>
      Buffer.from(readPart(message, path) ?? []).toString(),
    )
    expect(words).toMatch(/^This message was sent by Example Clinic at the request of Nora Example\.\s+Please see/)
    expect(attached).toContain('<ClinicalDocument/>')
    expect(request?.replace(/\r\n/g, '\n').trim().split('\n')).toEqual([
      `Destination: ${doctor}`,
      'Patient: Nora Example',
      'Data-holder: Example Clinic',
      'Recurring: No',
      'Document-Source: name="health-summary.xml";source=MIXED',
    ])
    expect(await transmissions.list(record, {})).toMatchObject({
      transmissions: [{ to: doctor, from: alice, way: 'direct', format: 'ccd', items: 7, state: 'waiting' }],
    })
    await sendDue(gateway)
    expect(await transmissions.list(record, {})).toMatchObject({ transmissions: [{ state: 'queued' }] })
  })

  it('stands in the history with whom it went to and how much, in the very commit that queues it', async () => {
    const { gateway, transmit, told, queued } = world
    await transmit()
    expect(told).toMatchObject([{ action: 'transmit', addressee: doctor, count: 7, outcome: 'success' }])
    expect(await gateway.store.get('test/activity/1')).toBeDefined()
    expect(await queued()).toBe(1)
    const broken = await open()
    const { commit } = broken.gateway.store
    broken.gateway.store.commit = async () => {
      throw new Error('the process died')
    }
    await expect(broken.transmit()).rejects.toThrow('died')
    broken.gateway.store.commit = commit
    expect(await broken.queued()).toBe(0)
    expect(await broken.gateway.store.get('test/activity/1')).toBeUndefined()
  })

  it.each([
    ['whom nobody trusts', stranger, 'no-anchor'],
    ['of whom nobody knows a certificate', 'unknown@nowhere.example', 'no-recipient-certificate'],
    ['of ours who is not there', 'nobody@patients.example', 'unknown-recipient'],
  ])('to somebody %s is refused by name before anything is queued, made or told', async (_, address, reason) => {
    const { transmit, queued, told, asked } = world
    expect(await transmit({ to: { kind: 'direct', address: address as DirectAddress } })).toMatchObject({
      kind: 'refused',
      reason,
    })
    expect([await queued(), told.length, asked.length]).toEqual([0, 0, 0])
  })

  it('leaves from an address of the record alone, and from none that is disabled', async () => {
    const { gateway, transmit } = world
    expect((await transmit({ from: 'bob@patients.example' as DirectAddress })).kind).toBe('no-address')
    await done(gateway.directory.addresses.setDisabled(alice, true, 'test'))
    expect((await transmit()).kind).toBe('no-address')
  })

  it.each(['nothing', 'busy', 'failed'] as const)('that is %s to be made is not sent', async (kind) => {
    const { transmit, queued } = await open({ made: { kind } })
    expect((await transmit()).kind).toBe(kind)
    expect(await queued()).toBe(0)
  })

  it('of a real, empty record is nothing', async () => {
    const { gateway, record } = world
    const exports = openExport({ ...gateway, custodian: { kind: 'organization', names: [] } as never })
    expect((await exports.export(record, { format: 'ccd' })).kind).toBe('nothing')
  })

  it('leaves rows that the check of the whole store knows, and that say nothing in the clear', async () => {
    await world.transmit()
    const [row] = await world.gateway.store.range({ gte: 'transmission/', lt: 'transmission0', limit: 10 })
    const family = pipelineFamilies.find(({ kind, form }) => kind === 'entry' && form.test(row?.key ?? ''))
    if (family?.kind !== 'entry' || !row) throw new Error('no family')
    expect(await family.check({ kind: 'entry', ...row }, world.gateway as never)).toEqual([])
    expect(Buffer.from(row.value).toString('latin1')).not.toContain(doctor)
  })
})

describe('ordinary e-mail', () => {
  const to = { kind: 'e-mail', address: 'me@mail.example', unprotected: true } as const

  it('carries no more than a day’s worth of one record to whomever', async () => {
    let mails = 0
    const plainMail: PlainMail = { mail: async () => ({ put: [{ key: `test/${++mails}`, value: new Uint8Array() }] }) }
    const { transmit, gateway } = await open({ plainMail })
    for (let i = 0; i < transmitLimits.mailsADay; i++) expect(await transmit({ to })).toMatchObject({ items: 7 })
    expect(await transmit({ to })).toEqual({ kind: 'too-often' })
    expect(mails).toBe(transmitLimits.mailsADay)
    expect(await transmit()).toMatchObject({ kind: 'transmitted' })
    const { now } = gateway.clock
    gateway.clock.now = () => now() + 86_400_001
    expect(await transmit({ to })).toMatchObject({ kind: 'transmitted' })
  })

  it('has no way out where no relay is there', async () => {
    expect((await world.transmit({ to })).kind).toBe('no-relay')
  })

  it('goes by the relay in one commit with its line of history', async () => {
    const mailed: string[] = []
    const plainMail: PlainMail = {
      async mail(address, { text }) {
        mailed.push(`${address}: ${text.slice(0, 12)}`)
        return { put: [{ key: 'test/mail', value: new Uint8Array() }] }
      },
    }
    const { transmit, gateway, told, transmissions, record } = await open({ plainMail })
    expect((await transmit({ to })).kind).toBe('transmitted')
    expect(mailed).toEqual(['me@mail.example: This message'])
    expect(await gateway.store.get('test/mail')).toBeDefined()
    expect(told).toMatchObject([{ addressee: 'me@mail.example' }])
    expect(await transmissions.list(record, {})).toMatchObject({ transmissions: [{ way: 'e-mail' }] })
  })
})

it('lists transmissions page by page, newest first, and no others’', async () => {
  const { transmit, transmissions, record } = world
  for (let i = 0; i < 5; i++) await transmit()
  const first = await transmissions.list(record, { limit: 3 })
  const rest = await transmissions.list(record, { limit: 3, before: first?.next ?? '' })
  const ids = [...(first?.transmissions ?? []), ...(rest?.transmissions ?? [])].map(({ id }) => id)
  expect(new Set(ids).size).toBe(5)
  expect(rest?.next).toBeUndefined()
  expect(await transmissions.list(record, { before: 'nonsense' })).toBeUndefined()
  expect(await transmissions.list('00000000-0000-4000-8000-000000000000', {})).toEqual({ transmissions: [] })
})

it('writes a request file of whole lines, whatever people and files are called', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ maxLength: 80 }), (name, source) => {
      const written = writeRequestFile({
        ...{ destination: name, patient: name, dataHolder: source, recurring: true },
        documents: [{ name, source }],
      }).toString()
      const lines = written.split('\r\n')
      expect(lines).toHaveLength(6)
      expect(lines.slice(0, 5).map((line) => line.split(':')[0])).toEqual([
        ...['Destination', 'Patient', 'Data-holder', 'Recurring', 'Document-Source'],
      ])
      for (const line of lines) expect(line).not.toMatch(/[\r\n\u2028\u2029]/)
      expect(lines[4]).toMatch(
        /^Document-Source: name="(?:[^"\\]|\\.)*";source=(?:MIXED|UNKNOWN|PATIENT|"(?:[^"\\]|\\.)*")$/u,
      )
    }),
    { numRuns: 1000 },
  )
})
