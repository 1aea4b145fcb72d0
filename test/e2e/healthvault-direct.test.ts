import { createSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import dnsPacket, { type Packet, type RecordType } from 'dns-packet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { samplePatient } from '../../src/demo/documents/patient.js'
import { sampleCcda, sampleCcr, sampleXdm } from '../../src/demo/documents.js'
import { openMail } from '../../src/demo/mail.js'
import { type Credentials, type OpenSsl, openSsl } from '../../src/demo/openssl.js'
import { freePort } from '../certification/world/ports.js'
import { attached, domain, sender, until } from '../fixtures/process.js'
import { guess } from './healthvault/connect.js'
import { type House, openHouse, problem, unique } from './healthvault/house.js'
import { problemItem } from './healthvault/items.js'
import { itemsOf, sha256 } from './healthvault/packages.js'
import { type Person, signUp } from './healthvault/people.js'

/** Direct mail meets the record, behaviour by behaviour, against one built gateway and OpenSSL as the far side. */

let house: House
let openssl: OpenSsl
let provider: Credentials
let stranger: Credentials
let ours: string
let dnsPort: number
let mother: Person
let record: string
let address: string

beforeAll(async () => {
  dnsPort = await freePort()
  const zone = `[{ name: ${domain}, nameServers: [ns.${domain}], contact: "hostmaster@${domain}", records: ["ns A 192.0.2.53"] }]`
  house = await openHouse({ more: `publish: { dns: { host: 127.0.0.1, port: ${dnsPort}, zones: ${zone} } }` })
  openssl = await openSsl(join(house.folder, 'pki'), 'Example')
  const [hospital, nobody] = [await openssl.authority('Hospital'), await openssl.authority('Nobody')]
  provider = await openssl.leaf('provider', hospital, `email:${sender}`)
  stranger = await openssl.leaf('stranger', nobody, `email:${sender}`)
  ours = join(house.folder, 'ours.pem')
  const { id } = JSON.parse(await house.cli('authority', 'create', '--name', 'Patients', '--kind', 'p256', '--json'))
  await house.cli('authority', 'export', id, '--out', ours)
  await house.cli('domain', 'set', domain, '--activation', 'open')
  await house.cli('anchor', 'add', hospital.certificatePath, '--for', domain)
  await house.cli('peer', 'add', provider.certificatePath, '--for', sender)
  await house.restart() // the certificate for newcomers is made at the start, once the domain is open
  mother = await signUp(house, 'Mother')
  record = await mother.record(`${samplePatient.given} ${samplePatient.family}`, { birthDate: samplePatient.birthDate })
  address = `${unique('dana')}@${domain}`
  const taken = await mother.ask('POST', `/api/v1/records/${record}/direct-addresses`, { address })
  if (taken.status !== 201) throw new Error(`activation: ${taken.status} ${taken.bytes}`)
})
afterAll(() => house.close())

const question = (name: string): Packet => ({
  ...{ type: 'query', id: 1, flags: 0 },
  questions: [{ type: 'CERT' as RecordType, class: 'IN', name }],
})

async function overUdp(name: string): Promise<Packet & { readonly flag_tc?: boolean }> {
  const socket = createSocket('udp4')
  const answer = new Promise<Buffer>((resolve) => socket.once('message', resolve))
  socket.send(dnsPacket.encode(question(name)), dnsPort, '127.0.0.1')
  const bytes = await answer
  socket.close()
  return dnsPacket.decode(bytes)
}

async function overTcp(name: string): Promise<Packet> {
  const socket = connectTcp(dnsPort, '127.0.0.1')
  socket.write(dnsPacket.streamEncode(question(name)))
  let bytes = Buffer.alloc(0)
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    if (bytes.length > 2 && bytes.length >= bytes.readUInt16BE(0) + 2) break
  }
  socket.destroy()
  return dnsPacket.streamDecode(bytes)
}

/** The certificate of an address as anybody finds it (RFC 4398): a file for OpenSSL. */
async function published(of: string): Promise<string> {
  const der = await until(async () => {
    const { answers = [] } = await overTcp(of.replace('@', '.'))
    const data = (answers[0] as { data?: Buffer } | undefined)?.data
    return data?.subarray(5)
  })
  const path = join(house.folder, `${unique('cert')}.pem`)
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trim()
  writeFileSync(path, `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`)
  return path
}

interface Sent {
  readonly to?: string
  readonly subject?: string
  readonly outerSubject?: string
  readonly content?: string
  readonly signer?: Credentials
  readonly fields?: readonly string[]
}

let letters = 0
const plain = 'Content-Type: text/plain; charset=utf-8\r\n\r\nAll is well.\r\n'

/** Signs, encrypts to what is published, hands over; answers the reply to the end of DATA, and what was signed. */
async function send({ to = address, subject = 'A note', outerSubject, content = plain, signer, fields = [] }: Sent) {
  letters++
  const id = `<${letters}@direct.hospital.example>`
  const head = [`From: <${sender}>`, `To: <${to}>`, `Message-ID: ${id}`, `Date: ${new Date().toUTCString()}`]
  const message = `${[...head, `Subject: ${subject}`, ...fields, 'MIME-Version: 1.0', ''].join('\r\n')}${content}`
  const signed = await openssl.sign(message, signer ?? provider)
  const envelope = await openssl.encrypt(signed, { certificatePath: await published(to) } as Credentials)
  const outer = [...head, ...(outerSubject === undefined ? [] : [`Subject: ${outerSubject}`]), '']
  const session = await openMail(house.serving.smtpPort)
  const reply = await session.send(sender, [to], Buffer.concat([Buffer.from(outer.join('\r\n')), envelope]))
  session.close()
  return { id, reply, message }
}

/** Notices about a message, opened by OpenSSL. */
async function noticesOf(id: string): Promise<readonly string[]> {
  const mine = house.received.filter(({ to }) => to === sender)
  const opened = await Promise.all(
    mine.map(({ wire }) =>
      openssl.openNotice(wire, provider, { certificatePath: ours } as Credentials).catch(() => ''),
    ),
  )
  return opened.filter((text) => text.includes(id))
}

const messages = async () =>
  (await mother.ask('GET', `/api/v1/mailboxes/${address}/messages`)).json<{
    messages: { id: string; subject: string }[]
  }>().messages

describe('Direct mail to a record', () => {
  it('an address gets a certificate of its own, served over DNS CERT: truncated over UDP, whole over TCP', async () => {
    const path = await published(address)
    expect(path).toBeTruthy()
    const name = address.replace('@', '.')
    const [udp, tcp] = [await overUdp(name), await overTcp(name)]
    expect(tcp.answers?.length).toBeGreaterThan(0)
    const [certificate] = (tcp.answers ?? []) as unknown as readonly { readonly data: Buffer }[]
    expect(certificate?.data.includes(Buffer.from(address))).toBe(true)
    if (!udp.flag_tc) expect(udp.answers).toEqual(tcp.answers)
    else expect(udp.answers).toEqual([])
  })

  it('an address that was switched off takes no mail and is never given to somebody else', async () => {
    const other = await mother.record('Other')
    const gone = `${unique('gone')}@${domain}`
    const path = (of: string) => `/api/v1/records/${of}/direct-addresses`
    expect((await mother.ask('POST', path(other), { address: gone })).status).toBe(201)
    expect((await mother.ask('POST', path(record), { address: gone })).json()).toMatchObject({ healthvaultStatus: 168 })
    expect((await mother.ask('PATCH', `${path(other)}/${gone}`, { disabled: true })).status).toBe(200)
    const session = await openMail(house.serving.smtpPort)
    expect(await session.send(sender, [gone], Buffer.from('x'))).toMatch(/^5/)
    session.close()
    expect((await mother.ask('POST', path(record), { address: gone })).json()).toMatchObject({ healthvaultStatus: 168 })
  })

  it('is kept byte for byte, with a notice processed once, and dispatched where it was asked for alone', async () => {
    const { id, reply, message } = await send({ subject: 'Byte for byte' })
    expect(reply).toMatch(/^250/)
    const [notice = ''] = await until(async () => {
      const found = await noticesOf(id)
      return found.length > 0 ? found : undefined
    })
    expect(notice).toMatch(/Disposition:.*processed/i)
    const found = (await messages()).find(({ subject }) => subject === 'Byte for byte')
    const original = await mother.ask('GET', `/api/v1/mailboxes/${address}/messages/${found?.id}/original`)
    expect(original.bytes.toString()).toBe(message)
    await sleep(1500)
    expect(await noticesOf(id)).toHaveLength(1)
    const options = 'Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true'
    const second = await send({ fields: [`Disposition-Notification-To: <${sender}>`, options] })
    const both = await until(async () => {
      const all = await noticesOf(second.id)
      return all.length === 2 ? all : undefined
    })
    expect(both.map((text) => /;\s*(processed|dispatched)/i.exec(text)?.[1]).sort()).toEqual([
      'dispatched',
      'processed',
    ])
  })

  it('from somebody whom nobody trusts is neither delivered nor answered', async () => {
    const before = (await messages()).length
    const { id } = await send({ subject: 'Untrusted', signer: stranger })
    await sleep(2500)
    expect(await messages()).toHaveLength(before)
    expect(await noticesOf(id)).toHaveLength(0)
  })

  it('with the same C-CDA twice gives no item twice', async () => {
    const content = attached('summary.xml', 'application/xml', sampleCcda())
    await send({ content, subject: 'One' })
    const proposed = async () => itemsOf(mother, record, '&state=proposed')
    const first = await until(async () => {
      const items = await proposed()
      return items.length > 0 ? items : undefined
    })
    await send({ content, subject: 'Two' })
    await until(async () => ((await messages()).some(({ subject }) => subject === 'Two') ? true : undefined))
    await sleep(500)
    const ids = (await proposed()).map(({ entryId }) => entryId)
    expect(ids.sort()).toEqual(first.map(({ entryId }) => entryId).sort())
    const document = await mother.ask('GET', `/api/v1/records/${record}/documents/${sha256(sampleCcda())}`)
    expect(document.bytes.equals(Buffer.from(sampleCcda()))).toBe(true)
  })

  it('an answer to somebody whom nobody trusts is refused before anything is queued', async () => {
    const to = 'dr.unknown@nowhere.example'
    const sent = await mother.ask('POST', `/api/v1/records/${record}/transmissions`, {
      to,
      format: 'ccd',
      types: ['problem'],
    })
    expect(sent.status).toBe(422)
    expect((await mother.ask('GET', `/api/v1/records/${record}/transmissions`)).bytes.toString()).not.toContain(to)
  })

  const ccr = Buffer.from(sampleCcr()).toString('utf8')
  const bare = ccr.replace(/^<\?xml[^>]*>\s*/, '')
  const prefixed = bare.replace(/<(\/?)([A-Z])/g, '<$1ccr:$2').replace('xmlns=', 'xmlns:ccr=')
  it.each([
    ['a byte order mark', Buffer.from(`\ufeff${ccr}`)],
    [
      'a stylesheet before it',
      Buffer.from(`<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="c.xsl"?>${bare}`),
    ],
    ['prefixed names', Buffer.from(prefixed)],
    ['no prolog', Buffer.from(bare)],
  ])('with a CCR that has %s is read into items', async (name, bytes) => {
    await send({ subject: name, content: attached('record.xml', 'application/xml', bytes) })
    const reading = await until(async () => {
      const read = await mother.ask('GET', `/api/v1/records/${record}/documents/${sha256(bytes)}/reading`)
      return read.status === 200 ? read.json<{ entries: readonly { kind: string }[] }>() : undefined
    })
    expect(reading.entries.filter(({ kind }) => kind === 'items').length).toBeGreaterThan(3)
  })

  it('with an XDM package is read as the document in it, and its summary has no more than 512 characters', async () => {
    const text = `Content-Type: text/plain\r\n\r\n${'All is well. '.repeat(200)}\r\n`
    await send({ subject: 'Packed', content: attached('XDM.ZIP', 'application/zip', await sampleXdm()) })
    await send({ subject: 'Long', content: text })
    const found = await until(async () => {
      const all = await messages()
      const [packed, long] = ['Packed', 'Long'].map((wanted) => all.find(({ subject }) => subject === wanted))
      return packed && long ? { packed, long } : undefined
    })
    const told = async (id: string) =>
      (await mother.ask('GET', `/api/v1/mailboxes/${address}/messages/${id}`)).json<{
        readonly preview: string
        readonly attachments: readonly { readonly documentItemIds: readonly string[] }[]
      }>()
    expect((await told(found.packed.id)).attachments[0]?.documentItemIds.length).toBeGreaterThan(0)
    expect((await told(found.long.id)).preview.length).toBeGreaterThan(100)
    expect((await told(found.long.id)).preview.length).toBeLessThanOrEqual(512)
  })

  it('keeps what its sender stated beside a document (X-HV-MU headers), and the document as it came', async () => {
    const bytes = Buffer.concat([sampleCcda(), Buffer.from('<!-- stated -->')])
    const fields = ['X-HV-MU-EventDate: 2013-10-30T18:12:54Z', 'X-HV-MU-PatientID: 12345678']
    await send({ subject: 'Stated', fields, content: attached('summary.xml', 'application/xml', bytes) })
    const document = await until(async () => {
      const { documents } = (await mother.ask('GET', `/api/v1/records/${record}/documents`)).json<{
        documents: readonly { sha256: string; stated?: object }[]
      }>()
      return documents.find((one) => one.sha256 === sha256(bytes))
    })
    expect(document.stated).toEqual({ eventDate: '2013-10-30T18:12:54Z', patientId: '12345678' })
    const kept = await mother.ask('GET', `/api/v1/records/${record}/documents/${sha256(bytes)}`)
    expect(kept.bytes.equals(bytes)).toBe(true)
  })

  it('out of a record says at whose request, and brings request.txt', async () => {
    const item = problemItem('Asthma')
    expect(
      (await mother.ask('POST', `/api/v1/records/${record}/items`, { changes: [{ kind: 'create', item }] })).status,
    ).toBeLessThan(300)
    const asked = { to: sender, format: 'ccd', types: ['problem'] }
    expect((await mother.ask('POST', `/api/v1/records/${record}/transmissions`, asked)).status).toBeLessThan(300)
    const opened = await until(async () => {
      for (const { to, wire } of house.received) {
        if (to !== sender) continue
        const text = await openssl.openNotice(wire, provider, { certificatePath: ours } as Credentials).catch(() => '')
        if (text.includes('request.txt')) return text
      }
      return undefined
    })
    const parts = opened.split(/\r?\n\r?\n/).map((part) => Buffer.from(part, 'base64').toString())
    const words = `${opened}\n${parts.join('\n')}`
    expect(words).toMatch(/This message was sent by .* at the request of /)
    expect(words).toContain(`Destination: ${sender}`)
    expect(words).toMatch(/^Recurring: No/m)
    expect(words).toMatch(/^Document-Source: name="?[^\n]*\.xml/m)
  })
})

describe('mail to newuser@', () => {
  const newuser = `newuser@${domain}`

  it.each([
    ['an address', (email: string) => email],
    ['an address and a subject', (email: string) => `${email};Your visit`],
    ['an address, a question and an answer', (email: string) => `${email};Which pet?;Grey parrot`],
    ['all four, with a semicolon in the subject', (email: string) => `${email};Which pet?;Grey parrot;Visit; and more`],
  ])('with %s inside waits, is processed, and a letter tells of it without a word of it', async (_, subjectOf) => {
    const email = `${unique('noa')}@mail.example`
    // Without a question the document tells whose it is: its birth date is asked for.
    const content = attached('summary.xml', 'application/xml', sampleCcda())
    const { id, reply } = await send({ to: newuser, subject: subjectOf(email), content })
    expect(reply).toMatch(/^250/)
    const { text } = await house.letterTo(email)
    expect(text).toContain(`${house.url}/pickup`)
    for (const word of ['pet', 'parrot', 'visit', sender]) expect(text.toLowerCase()).not.toContain(word)
    const notices = await until(async () => ((await noticesOf(id)).length > 0 ? noticesOf(id) : undefined))
    expect(notices.join()).toMatch(/;\s*processed/i)
  })

  it('with the answer on the outside is refused at the end of DATA, before anything is opened', async () => {
    const email = `${unique('noa')}@mail.example`
    const { reply } = await send({ to: newuser, subject: 'x', outerSubject: `${email};Which pet?;Grey parrot` })
    expect(reply).toMatch(/^55\d/)
    expect(house.letters().some(({ to }) => to === email)).toBe(false)
  })

  it('is claimed by the answer into a record, once, and three wrong answers fail it to its sender', async () => {
    const email = `${unique('noa')}@mail.example`
    const subject = `${email};Which pet?;Grey parrot;Claimed`
    const letter = async () => {
      const { id } = await send({ to: newuser, subject })
      const { text } = await house.letterTo(email)
      return { id, code: /([A-Z]{4}-){4}[A-Z]{4}/.exec(text)?.[0] ?? '' }
    }
    const one = await letter()
    const { ticket } = (await guess(mother, one.code, 'GREY  parrot')).json<{ ticket: string }>()
    const accept = () => mother.ask('POST', '/api/v1/pickup/message/accept', { ticket, record, confirmed: true })
    expect((await accept()).json()).toMatchObject({ address })
    expect(problem(await accept())).toBe('404 not-found')
    expect((await messages()).map((message) => message.subject).join()).toContain('Claimed')
    const before = house.letters().length
    const { id } = await send({ to: newuser, subject: `${email};Which pet?;Another answer` })
    const text = await until(
      () =>
        house
          .letters()
          .slice(before)
          .findLast(({ to }) => to === email)?.text,
    )
    const code = /([A-Z]{4}-){4}[A-Z]{4}/.exec(text)?.[0] ?? ''
    const guesses = await Promise.all(Array.from({ length: 50 }, (_, at) => guess(mother, code, `wrong pet ${at}`)))
    expect(guesses.filter((answer) => problem(answer) === '403 wrong-answer')).toHaveLength(3)
    const failed = await until(async () => (await noticesOf(id)).find((notice) => /failed|failure/i.test(notice)))
    expect(failed).toBeTruthy()
  })
})
