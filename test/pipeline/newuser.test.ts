import { randomBytes, randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { KindRules, RequestKind } from '../../src/connect/request.js'
import { openRequests } from '../../src/connect/requests.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openSlowHash } from '../../src/keyring/slow-hash.js'
import { mailboxFamilies } from '../../src/mailbox/families.js'
import { openHeld } from '../../src/mailbox/held.js'
import type { Membership } from '../../src/people/people.js'
import { receive } from '../../src/pipeline/inbound.js'
import { openNewcomers } from '../../src/pipeline/newuser.js'
import { newcomerRules } from '../../src/pipeline/newuser-rules.js'
import type { NoticeFacts, Owed } from '../../src/pipeline/notices.js'
import type { Letter } from '../../src/ports/letters.js'
import { inboundQueue } from '../../src/spool/spool.js'
import {
  accept,
  boot,
  done,
  furnish,
  itemsOf,
  type MailOptions,
  messagesOf,
  newDisk,
  outboundOf,
  seal,
  storyOf,
  type World,
  write,
} from '../fixtures/gateway.js'

const newuser = 'newuser@patients.example' as DirectAddress
const day = 86_400_000
const from = { network: '192.0.2.9', holder: 'session:1', by: 'person:1' }
const question = 'anna@mail.example;Which pet?;Parakeet;Your results'

/** A summary of a made-up patient, as a clinic sends it. */
const summary = (birthDate = '19800203') =>
  `<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><templateId root="2.16.840.1.113883.10.20.22.1.1"/><id root="1.2.3.${birthDate}"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Summary</title><recordTarget><patientRole><id root="1.2.3" extension="7"/><patient><name><given>Nora</given><family>Example</family></name><birthTime value="${birthDate}"/></patient></patientRole></recordTarget></ClinicalDocument>`

const withDocument = (birthDate?: string) =>
  `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee attached.\r\n--b\r\nContent-Type: text/xml; name=ccd.xml\r\nContent-Disposition: attachment; filename=ccd.xml\r\n\r\n${summary(birthDate)}\r\n--b--\r\n`

function mail(subject: string, options: MailOptions = {}): Uint8Array {
  const message = write({ to: [newuser], ...options }).replace('Subject: Test', `Subject: ${subject}`)
  return seal({ ...options, to: [newuser], message })
}

/** A gateway whose domain is open, with everything behind newuser@. */
async function open(world: World = {}) {
  const time = { at: Date.now() }
  const gateway = await boot(newDisk({ now: () => time.at }), world)
  await furnish(gateway)
  await done(gateway.directory.domains.setPolicy('patients.example' as never, { activation: 'open' }, 'operator'))
  const indexKey = randomBytes(32)
  const random = { bytes: (size: number) => Uint8Array.from(randomBytes(size)) }
  const held = openHeld<NoticeFacts>(gateway, indexKey)
  const rules: { [kind in RequestKind]?: KindRules } = { message: newcomerRules({ ...gateway, held }) }
  const slowHash = openSlowHash({ memoryKiB: 8, passes: 1, lanes: 1, atOnce: 4, waiting: 100 })
  const requests = openRequests({ ...gateway, random, slowHash, indexKey }, { rules })
  const letters: { email: string; letter: Letter; once: string }[] = []
  const members: Membership[] = []
  const member = (record: string, more: object = {}): Membership => ({
    ...{ person: '1', custodian: true, relationship: 'self', rules: 'all', since: 0 },
    record: { id: record, name: 'Nora', state: 'active', createdAt: 0, ...more },
  })
  const newcomers = openNewcomers({
    ...{ ...gateway, requests, held, pickupUrl: 'https://gw.example/pickup' },
    addresses: gateway.directory.addresses,
    letters: {
      letter({ email }, letter, once) {
        letters.push({ email, letter, once })
        return {}
      },
    },
    people: {
      records: {
        membership: async (person, record) => members.find((one) => one.person === person && one.record.id === record),
        of: async (person) => members.filter((one) => one.person === person),
      },
    },
  })
  async function take(wire: Uint8Array) {
    const id = await accept(gateway, wire, [newuser])
    for (const job of await gateway.store.claim(inboundQueue, 10, 60_000)) {
      const spooled = gateway.spool.read(job)
      if (spooled) await receive(spooled, { ...gateway, newcomers })
    }
    return id
  }
  /** A record of person 1 with an address, unless `address` is false. */
  async function record({ address = true, more = {} } = {}) {
    const id = randomUUID()
    members.push(member(id, more))
    const name = `p${members.length}xx@patients.example`
    if (address) await done(gateway.directory.addresses.activate(name, id, 'person:1', { most: 3 }))
    return { id, address: name as DirectAddress }
  }
  const codeOf = () => {
    const { letter } = letters.at(-1) ?? {}
    return letter?.kind === 'held-message' ? letter.code : ''
  }
  async function ticketFor(answer: string) {
    const answered = await requests.answer(codeOf(), answer, from)
    if (answered.kind !== 'right') throw new Error(answered.kind)
    return answered.ticket
  }
  const claim = (ticket: string, recordId: string, more: object = {}) =>
    newcomers.claim({
      ...{ ticket, holder: from.holder, person: '1', record: recordId },
      ...{ from: { by: 'person:1', avenue: 'page' as const }, ...more },
    })
  /** What the sender is told, in order. */
  async function told() {
    const jobs = await outboundOf(gateway)
    return Promise.all(
      jobs.map(async ({ id, body }) => {
        const owed = JSON.parse(Buffer.from(await gateway.vault.open('outbound', id, body)).toString()) as Owed
        return owed.failure === undefined ? owed.disposition : `${owed.disposition}: ${owed.failure}`
      }),
    )
  }
  return {
    ...{ gateway, requests, held, newcomers, letters, take, record, codeOf, ticketFor, claim, told },
    pass(ms: number) {
      time.at += ms
    },
  }
}

let world: Awaited<ReturnType<typeof open>>
beforeEach(async () => {
  world = await open()
})

describe('mail to newuser@', () => {
  it('waits, is processed, and the person is told by a link and a code alone', async () => {
    const id = await world.take(mail(question))
    expect(await world.told()).toEqual(['processed'])
    expect(await storyOf(world.gateway, id)).toContain(`held ${newuser}`)
    expect(world.letters).toHaveLength(1)
    const { email, letter } = world.letters[0] ?? {}
    expect(email).toBe('anna@mail.example')
    expect(letter).toMatchObject({
      kind: 'held-message',
      url: expect.stringContaining('https://gw.example/pickup?code='),
    })
    expect(JSON.stringify(letter)).not.toMatch(/pet|Parakeet|results|doctor|clinic/i)
  })

  it('leaves nothing of it readable at rest', async () => {
    await world.take(mail(question))
    for await (const row of world.gateway.store.snapshot()) {
      const text = Buffer.from('value' in row ? row.value : row.payload).toString('latin1')
      const name = 'key' in row ? row.key : ''
      expect(`${name} ${text}`).not.toMatch(/Parakeet|anna@mail\.example|Which pet|All is well/)
    }
  })

  it('sent again waits once, and tells nobody twice', async () => {
    await world.take(mail(question))
    await world.take(mail(question))
    expect(world.letters).toHaveLength(1)
    expect(await world.told()).toEqual(['processed'])
  })

  it.each([
    ['without an e-mail address', 'Your results'],
    ['with too short an answer', 'anna@mail.example;q;five5'],
    ['with an empty question', 'anna@mail.example; ;Parakeet'],
    ['with nothing to prove oneself by', 'anna@mail.example;Your results'],
  ])('%s is failed, once, and nothing is kept', async (_, subject) => {
    await world.take(mail(subject))
    const [only, ...more] = await world.told()
    expect(only).toMatch(/^failed: /)
    expect(more).toEqual([])
    expect(world.letters).toEqual([])
    expect(await world.gateway.store.range({ gte: 'held', lt: 'helf', limit: 10 })).toEqual([])
  })

  it('that is not wrapped is failed: its Subject was in the clear', async () => {
    const { sealByHand } = await import('../fixtures/gateway.js')
    const outer = `From: <doctor@clinic.example>\r\nTo: <${newuser}>\r\nSubject: anna@mail.example\r\nMessage-ID: <9@clinic.example>\r\n`
    await world.take(sealByHand('Content-Type: text/plain\r\n\r\nhello\r\n', { outer }))
    expect(await world.told()).toEqual([expect.stringMatching(/^failed: .*wrapped/)])
  })

  it('from somebody whom nobody trusts is neither held nor answered', async () => {
    const { makeAuthority, makeLeaf } = await import('../fixtures/pki.js')
    const rogue = makeLeaf(makeAuthority({ name: 'Rogue' }), { san: { email: ['doctor@clinic.example'] } })
    await world.take(mail(question, { signers: [rogue] }))
    expect(await world.told()).toEqual([])
    expect(world.letters).toEqual([])
  })

  it('is refused where the domain was closed meanwhile', async () => {
    await done(world.gateway.directory.domains.setPolicy('patients.example' as never, { activation: 'closed' }, 'o'))
    await world.take(mail(question))
    expect(await world.told()).toEqual([])
    expect(world.letters).toEqual([])
  })
})

describe('a claim', () => {
  it('with the right answer puts the message byte for byte into the mailbox, and its documents into the record', async () => {
    await world.take(mail(question, { content: withDocument() }))
    const { id, address } = await world.record()
    const outcome = await world.claim(await world.ticketFor('  PARAKEET '), id)
    expect(outcome).toMatchObject({ kind: 'claimed', address, documents: 1 })
    const [message] = await messagesOf(world.gateway, address)
    expect(message).toMatchObject({ subject: 'Your results', from: 'doctor@clinic.example' })
    const { mailbox = '' } = (await world.gateway.directory.addresses.get(address)) ?? {}
    const original = await world.gateway.mailbox.original(mailbox, message?.id ?? '')
    const chunks: Uint8Array[] = []
    for await (const chunk of original ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe(
      write({ to: [newuser], content: withDocument() }).replace('Subject: Test', `Subject: ${question}`),
    )
    expect((await itemsOf(world.gateway, address)).length).toBeGreaterThan(0)
    expect(await world.told()).toEqual(['processed'])
  })

  it('owes dispatched where that was asked for, and not before', async () => {
    const header =
      'Disposition-Notification-To: <doctor@clinic.example>\r\nDisposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n'
    await world.take(mail(question, { header }))
    expect(await world.told()).toEqual(['processed'])
    const { id } = await world.record()
    await world.claim(await world.ticketFor('parakeet'), id)
    expect((await world.told()).toSorted()).toEqual(['dispatched', 'processed'])
  })

  it.each(['1980-02-03', '2/3/1980', ' 02.03.1980 '])(
    'without a question is made with the link and the birth date of the document: %s',
    async (birthDate) => {
      await world.take(mail('anna@mail.example;Your results', { content: withDocument() }))
      expect(await world.requests.open(world.codeOf(), from)).not.toHaveProperty('question')
      const { id } = await world.record()
      expect(await world.claim(await world.ticketFor(birthDate), id)).toMatchObject({ kind: 'claimed' })
    },
  )

  it('with a wrong birth date three times fails the message for good, for the right one too', async () => {
    await world.take(mail('anna@mail.example', { content: withDocument() }))
    for (const birthDate of ['1980-03-02', '', 'parakeet'])
      expect((await world.requests.answer(world.codeOf(), birthDate, from)).kind).toBe('wrong')
    expect((await world.requests.answer(world.codeOf(), '1980-02-03', from)).kind).toBe('nothing')
    expect(await world.told()).toEqual(expect.arrayContaining(['processed', expect.stringMatching(/^failed: /)]))
  })

  it('is made once: the ticket and the code are dead afterwards', async () => {
    await world.take(mail(question))
    const { id } = await world.record()
    const ticket = await world.ticketFor('parakeet')
    expect((await world.claim(ticket, id)).kind).toBe('claimed')
    expect((await world.claim(ticket, id)).kind).toBe('nothing')
    expect((await world.requests.answer(world.codeOf(), 'parakeet', from)).kind).toBe('nothing')
  })

  it('by two at once gives the message to one record', async () => {
    await world.take(mail(question))
    const [one, two] = [await world.record(), await world.record()]
    const ticket = await world.ticketFor('parakeet')
    const outcomes = await Promise.all([
      world.claim(ticket, one.id, { confirmed: true }),
      world.claim(ticket, two.id, { confirmed: true }),
    ])
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['claimed', 'nothing'])
    const both = [...(await messagesOf(world.gateway, one.address)), ...(await messagesOf(world.gateway, two.address))]
    expect(both).toHaveLength(1)
  })

  it('needs the session that answered, a record of the person, and an address of it that is live', async () => {
    await world.take(mail(question))
    const ticket = await world.ticketFor('parakeet')
    const { id } = await world.record({ address: false })
    expect((await world.claim(ticket, id, { holder: 'session:2' })).kind).toBe('nothing')
    expect((await world.claim(ticket, randomUUID())).kind).toBe('no-such-record')
    expect((await world.claim(ticket, id, { person: '2' })).kind).toBe('no-such-record')
    expect((await world.claim(ticket, id)).kind).toBe('address-needed')
    expect((await world.claim(ticket, id, { address: 'alice@patients.example' })).kind).toBe('address-needed')
    await done(world.gateway.directory.addresses.activate('nora@patients.example', id, 'person:1', { most: 3 }))
    expect((await world.claim(ticket, id)).kind).toBe('claimed')
  })

  it('into the record of a sibling is asked about, and made where the person insists', async () => {
    await world.take(mail(question, { content: withDocument() }))
    const { id, address } = await world.record({ more: { name: 'Max', birthDate: '2015-05-05' } })
    const ticket = await world.ticketFor('parakeet')
    expect(await world.claim(ticket, id)).toMatchObject({ kind: 'other-patient', reasons: ['birth date differs'] })
    expect(await messagesOf(world.gateway, address)).toEqual([])
    expect((await world.claim(ticket, id, { confirmed: true })).kind).toBe('claimed')
  })
})

describe('an end without a claim', () => {
  it('after 28 days is told to the sender as failed, exactly once, and nothing of the message is left', async () => {
    await world.take(mail(question, { body: 'x'.repeat(400_000) }))
    world.pass(28 * day + 1000)
    await Promise.all([world.requests.sweep(), world.requests.sweep()])
    world.pass(day)
    await world.requests.sweep()
    const told = await world.told()
    expect(told.filter((one) => one.startsWith('failed'))).toHaveLength(1)
    expect(told).toHaveLength(2)
    const rows = await world.gateway.store.range({ gte: 'held', lt: 'helf', limit: 10 })
    expect(rows.map(({ key }) => key.replace(/[0-9a-f]{32}/, 'ID'))).toEqual(['held/ID'])
    expect(await world.gateway.store.range({ gte: 'blob/', lt: 'blob0', limit: 10 })).toEqual([])
    expect((await world.requests.answer(world.codeOf(), 'parakeet', from)).kind).toBe('nothing')
  })

  it('by three wrong answers, or by the person’s own word, is told as failed at once', async () => {
    await world.take(mail(question, { id: 'a' }))
    for (let i = 0; i < 3; i++) await world.requests.answer(world.codeOf(), 'not that', from)
    await world.take(mail(question, { id: 'b' }))
    const ticket = await world.ticketFor('parakeet')
    expect(await world.newcomers.decline(ticket, from.holder, 'person:1')).toBe(true)
    expect(await world.newcomers.decline(ticket, from.holder, 'person:1')).toBe(false)
    expect((await world.told()).filter((one) => one.startsWith('failed'))).toHaveLength(2)
  })

  it('leaves rows that the check of the whole store knows', async () => {
    await world.take(mail(question, { id: 'a', body: 'x'.repeat(400_000) }))
    await world.take(mail(question, { id: 'b' }))
    await world.newcomers.decline(await world.ticketFor('parakeet'), from.holder, 'p')
    for await (const row of world.gateway.store.snapshot()) {
      if (row.kind !== 'entry' || !row.key.startsWith('held')) continue
      const [family, ...more] = mailboxFamilies.filter(({ kind, form }) => kind === 'entry' && form.test(row.key))
      expect(more).toEqual([])
      if (family?.kind !== 'entry') throw new Error(row.key)
      for (const need of await family.check(row, { ...world.gateway, unwrap: () => new Uint8Array() }))
        if (need.kind === 'entry') expect(await world.gateway.store.get(need.key)).toBeDefined()
    }
  })
})

it('is whole wherever the process dies while a message is claimed', async () => {
  const hook = { left: Number.POSITIVE_INFINITY }
  const dying = await open({
    beforeCall: () => {
      if (hook.left-- <= 0) throw new Error('the process died')
    },
  })
  let claims = 0
  for (let calls = 0; calls < 200; calls++) {
    hook.left = Number.POSITIVE_INFINITY
    await dying.take(mail(question, { id: `m${calls}` }))
    const { id, address } = await dying.record()
    const ticket = await dying.ticketFor('parakeet')
    hook.left = calls
    const outcome = await dying.claim(ticket, id, { confirmed: true }).catch(() => undefined)
    hook.left = Number.POSITIVE_INFINITY
    const there = (await messagesOf(dying.gateway, address)).length
    const again = await dying.claim(ticket, id, { confirmed: true })
    // Either nothing had become true, and it is made now, or all of it had.
    expect(again.kind).toBe(there === 1 ? 'nothing' : 'claimed')
    expect(await messagesOf(dying.gateway, address)).toHaveLength(1)
    if (outcome?.kind === 'claimed') {
      claims++
      break
    }
  }
  expect(claims).toBe(1)
})
