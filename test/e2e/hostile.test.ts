import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeZip } from '../../src/clinical/xdm/zip.js'
import { sampleCcda } from '../../src/demo/documents.js'
import { gone, listenForMail, type MailSession, openMail } from '../../src/demo/mail.js'
import { refusals } from '../../src/direct/refusal.js'
import type { TrailStep } from '../../src/direct/verdict.js'
import {
  ask,
  attached,
  type Estate,
  furnished,
  letter,
  letterHead,
  memoryOf,
  mustRun,
  onTheWire,
  patient,
  type Serving,
  sender,
  serve,
  spoolIdOf,
  tell,
  until,
} from '../fixtures/process.js'
import { peer } from '../smtp/peer.js'

const MiB = 1024 * 1024

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
let gateway: Serving
let token: string
let session: MailSession

beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
  const scopes = ['messages:read', 'record:read', 'operator']
  const create = ['token', 'create', '--address', '*', '--scope', ...scopes, '--config', 'gateway.yaml']
  token = (await mustRun(estate.folder, ...create)).trim()
  gateway = await serve(estate.folder)
  session = await openMail(gateway.smtpPort)
})
afterAll(async () => {
  session.close()
  await gateway.stop()
  mail.close()
  estate.remove()
})

interface Listed {
  readonly id: string
  readonly spoolId: string
  readonly subject: string
  readonly diagnostics: readonly { readonly code: string }[]
  readonly attachments: readonly { readonly index: number; readonly name?: string; readonly sizeBytes: number }[]
}

async function messages(): Promise<Listed[]> {
  const found: Listed[] = []
  for (let cursor = ''; ; ) {
    const answer = await ask(gateway.url, token, `/api/v1/mailboxes/${patient}/messages?limit=200${cursor}`)
    const page = answer.json<{ messages: Listed[]; next?: string }>()
    found.push(...page.messages)
    if (page.next === undefined) return found
    cursor = `&cursor=${encodeURIComponent(page.next)}`
  }
}

const ends = new Set<TrailStep['step']>(['refused', 'delivered', 'duplicate', 'undecided'])

/** What became of an accepted message: the reason it was refused for, `duplicate`, or `delivered` with the codes of its diagnostics. */
async function fate(id: string, limitMs = 60_000): Promise<string> {
  const last = await until(async () => {
    const answer = await ask(gateway.url, token, `/api/v1/trail/${id}`)
    if (answer.status !== 200) throw new Error(answer.bytes.toString())
    const { steps } = answer.json<{ steps: TrailStep[] }>()
    return steps.find(({ step }) => ends.has(step))
  }, limitMs)
  if (last.step === 'undecided') throw new Error(`${id} is undecided: ${last.detail}`)
  if (last.step === 'refused') {
    const reason = last.refusal?.reason ?? 'no reason'
    expect(Object.keys(refusals)).toContain(reason)
    return reason
  }
  if (last.step === 'duplicate') return 'duplicate'
  const message = (await messages()).find(({ spoolId }) => spoolId === id)
  const codes = [...new Set(message?.diagnostics.map(({ code }) => code))].sort()
  return ['delivered', ...codes].join(' ')
}

/** Sends over the open session, or a new one where that was closed for idling. */
async function send(wire: Uint8Array): Promise<string> {
  const reply = await session.send(sender, [patient], wire)
  if (reply !== gone && !reply.startsWith('421')) return spoolIdOf(reply)
  session = await openMail(gateway.smtpPort)
  return spoolIdOf(await session.send(sender, [patient], wire))
}

/** The fates of many, one after the other, since the API counts requests. */
async function fates(sent: readonly (readonly [string, string])[]): Promise<(readonly [string, string])[]> {
  const found: (readonly [string, string])[] = []
  for (const [title, id] of sent) {
    found.push([title, await fate(id)])
    tell(`${title}: ${found.at(-1)?.[1]}`)
  }
  return found
}

/** Alive, ready, and an honest message goes through. */
async function stillWell(id: string): Promise<void> {
  expect(gateway.process.exitCode).toBeNull()
  expect((await ask(gateway.url, undefined, '/readyz')).status).toBe(200)
  expect(await fate(await send(await letter(estate, id)))).toBe('delivered')
  tell(`after ${id}: ${JSON.stringify(memoryOf(gateway))}`)
}

/** Bytes below the data folder that can only be mail: blobs. */
function blobBytes(): number {
  return readdirSync(join(estate.folder, 'data/blobs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

describe('what the dialogue refuses', () => {
  it('mail that is not encrypted, whatever it claims to be', async () => {
    const plain = `${letterHead('plain')}Content-Type: text/plain\r\n\r\nHello.\r\n`
    const signed = await estate.openssl.sign(plain, estate.provider)
    for (const wire of [Buffer.from(plain), Buffer.from(`${letterHead('x')}\r\n\r\n`), onTheWire('signed', signed)]) {
      const client = await openMail(gateway.smtpPort)
      expect(await client.send(sender, [patient], wire)).toMatch(/^554 5\.6\.1 /)
      client.close()
    }
  })

  it('recipients that are not ours, and every way to ask for a relay', async () => {
    for (const to of [
      'nobody@patients.example',
      'victim@elsewhere.example',
      `victim%elsewhere.example@patients.example`,
      `victim@elsewhere.example@patients.example`,
      `@patients.example:victim@elsewhere.example`,
      `elsewhere.example!victim@patients.example`,
      `"${patient}"@patients.example`,
      `${patient}>\r\nRCPT TO:<victim@elsewhere.example`,
      `${patient}\0`,
      `${'a'.repeat(300)}@patients.example`,
    ]) {
      const client = await openMail(gateway.smtpPort)
      expect(`${to}: ${await client.send(sender, [to], Buffer.from('x'))}`).toMatch(/: (55\d|50\d|421) /)
      client.close()
    }
    expect(mail.received.filter(({ to }) => to.includes('victim'))).toEqual([])
  })

  it('a message over the limit, announced or not; nothing of it is stored', async () => {
    const before = { blobs: blobBytes(), messages: (await messages()).length }
    const client = await peer(gateway.smtpPort)
    await client.say('EHLO peer.example')
    expect(await client.say(`MAIL FROM:<${sender}> SIZE=99999999`)).toMatch(/^552 /)
    client.socket.destroy()
    const head = onTheWire(
      'large',
      Buffer.from('Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'),
    )
    const body = Buffer.alloc(61 * MiB, `${'A'.repeat(62)}\r\n`)
    expect(await session.send(sender, [patient], Buffer.concat([head, body]))).toMatch(/^552 5\.3\.4 /)
    expect({ blobs: blobBytes(), messages: (await messages()).length }).toEqual(before)
    session.close()
    session = await openMail(gateway.smtpPort)
  })

  it('a second message smuggled behind a look-alike of the end', async () => {
    const wire = await letter(estate, 'smuggler')
    expect(wire.toString('latin1')).not.toMatch(/(?<!\r)\n|\r(?!\n)/) // so that the look-alike alone is wrong
    for (const end of ['\n.\r\n', '\n.\n', '\r\n.\n', '\r.\r\n', '\r\n\0.\r\n']) {
      const client = await peer(gateway.smtpPort)
      await client.toData(patient)
      const evil = `MAIL FROM:<evil@x.example>\r\nRCPT TO:<${patient}>\r\nDATA\r\n${wire.toString('latin1')}`
      client.write(`${wire.toString('latin1').trimEnd()}${end}${evil}\r\n.\r\n`)
      expect(await client.reply()).toMatch(/^550 5\.6\.0 /)
      client.socket.destroy()
    }
    expect((await messages()).filter(({ subject }) => subject.includes('smuggler'))).toEqual([])
  })

  it('and is well afterwards', () => stillWell('after-the-dialogue'))
})

/** One DER element. */
function element(tag: number, body: Uint8Array): Buffer {
  const { length } = body
  const size =
    length < 128 ? [length] : [0x84, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}

/** Bytes as the body of an enveloped-data entity. */
function enveloped(cms: Uint8Array): Buffer {
  const lines = Buffer.from(cms).toString('base64').replace(/.{76}/g, '$&\r\n')
  return Buffer.from(
    `Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}\r\n`,
  )
}

const envelopedOid = Buffer.from('06092a864886f70d010703', 'hex')

describe('envelopes that are none', () => {
  it('are each refused by name', async () => {
    const { openssl, provider } = estate
    const wire = await letter(estate, 'to-be-broken')
    expect(await fate(await send(wire))).toBe('delivered')
    const honest = wire.toString('latin1')
    const at = honest.indexOf('\r\n\r\n') + 4
    const cms = Buffer.from(honest.slice(at), 'base64')
    const version = Buffer.from('020100', 'hex')
    const nested = Array.from({ length: 20_000 }).reduce<Buffer>((inner) => element(0x30, inner), Buffer.alloc(0))
    const indefinite = Buffer.concat([Buffer.alloc(200_000, Buffer.from('3080', 'hex')), Buffer.alloc(200_000)])
    const recipients = element(0x31, Buffer.alloc(3 * MiB, element(0x30, version)))
    const flip = (place: number) => {
      const flipped = Buffer.from(cms)
      flipped[place] = (flipped[place] ?? 0) ^ 0x41
      return flipped
    }
    const signed = await openssl.sign(`${letterHead('other')}Content-Type: text/plain\r\n\r\nHello.\r\n`, provider)
    const broken: readonly (readonly [string, Uint8Array])[] = [
      ['nothing', Buffer.alloc(0)],
      ['noise', randomBytes(5_000)],
      ['half of it', cms.subarray(0, cms.length / 2)],
      ['all but the last byte', cms.subarray(0, -1)],
      ['more behind it', Buffer.concat([cms, Buffer.from('more')])],
      ['20,000 sequences within each other', nested],
      ['200,000 open sequences', indefinite],
      ['the same as content', element(0x30, Buffer.concat([envelopedOid, element(0xa0, nested)]))],
      ['a length of 2 GiB', Buffer.from('30847fffffff06092a864886f70d010703', 'hex')],
      ['a length of 127 bytes of length', Buffer.concat([Buffer.from([0x30, 0xff]), Buffer.alloc(127, 0xff)])],
      [
        'half a million recipients',
        element(
          0x30,
          Buffer.concat([envelopedOid, element(0xa0, element(0x30, Buffer.concat([version, recipients])))]),
        ),
      ],
      ['an object identifier of 1 MiB', element(0x30, element(0x06, Buffer.alloc(MiB, 0xff)))],
      ...Array.from({ length: 24 }, (_, step) => {
        const place = Math.floor((cms.length * step) / 24)
        return [`byte ${place} of ${cms.length} changed`, flip(place)] as const
      }),
    ]
    const sent: [string, string][] = []
    for (const [title, bytes] of broken) {
      sent.push([title, await send(onTheWire(`broken-${sent.length}`, enveloped(bytes)))])
    }
    sent.push(['encrypted to somebody else', await send(onTheWire('else', await openssl.encrypt(signed, provider)))])
    const bare = Buffer.from(`${letterHead('unsigned')}Content-Type: text/plain\r\n\r\nHello.\r\n`)
    sent.push(['not signed', await send(onTheWire('unsigned', await openssl.encrypt(bare, estate.gateway)))])
    const found = await fates(sent)
    // What changed only outside the signature (the end of the CMS, the words before the first part) is the same letter once more.
    expect(found.filter(([, end]) => end.startsWith('delivered'))).toEqual([])
    expect(found.filter(([, end]) => end === 'duplicate').length).toBeLessThan(5)
    const named = new Map(found)
    expect(named.get('half of it')).toBe('malformed-cms')
    expect(named.get('20,000 sequences within each other')).toBe('malformed-cms')
    expect(named.get('encrypted to somebody else')).toBe('no-key-for-recipient')
    expect(named.get('not signed')).toBe('not-signed')
  })

  it('and is well afterwards', () => stillWell('after-the-envelopes'))
})

describe('nasty letters of a sender whom we trust', () => {
  const cda = (inner: string, doctype = '') =>
    Buffer.from(`<?xml version="1.0"?>${doctype}<ClinicalDocument xmlns="urn:hl7-org:v3">${inner}</ClinicalDocument>`)
  const xml = (bytes: Uint8Array) => attached('summary.xml', 'text/xml', bytes)
  const zip = (bytes: Uint8Array) => attached('documents.zip', 'application/zip', bytes)
  const laughs = Array.from({ length: 12 }, (_, level) =>
    level === 0 ? '<!ENTITY l0 "ha">' : `<!ENTITY l${level} "${`&l${level - 1};`.repeat(10)}">`,
  ).join('')

  /** A zip of one entry that says it is small and inflates to 300 MiB. */
  function bomb(): Buffer {
    const packed = deflateRawSync(Buffer.alloc(300 * MiB))
    const honest = writeZip([{ name: 'IHE_XDM/SUBSET01/DOC0001.XML', bytes: Buffer.from('x') }])
    const stored = deflateRawSync(Buffer.from('x'))
    const start = honest.indexOf(stored, 30)
    const spliced = Buffer.concat([honest.subarray(0, start), packed, honest.subarray(start + stored.length)])
    spliced.writeUInt32LE(packed.length, 18)
    const central = spliced.lastIndexOf(Buffer.from('504b0102', 'hex'))
    spliced.writeUInt32LE(packed.length, central + 20)
    spliced.writeUInt32LE(central, spliced.length - 6)
    return spliced
  }

  const nest = (depth: number) => {
    const open = Array.from(
      { length: depth },
      (_, level) => `Content-Type: multipart/mixed; boundary="b${level}"\r\n\r\n--b${level}\r\n`,
    )
    const close = Array.from({ length: depth }, (_, level) => `\r\n--b${depth - 1 - level}--\r\n`)
    return `${open.join('')}Content-Type: text/plain\r\n\r\ndeep${close.join('')}`
  }
  const manyParts = `Content-Type: multipart/mixed; boundary="b"\r\n\r\n${'--b\r\nContent-Type: text/plain\r\n\r\nx\r\n'.repeat(10_000)}--b--\r\n`

  const letters: readonly (readonly [string, () => string, RegExp])[] = [
    ['XML 100,000 deep', () => xml(cda(`${'<a>'.repeat(100_000)}${'</a>'.repeat(100_000)}`)), /^delivered/],
    [
      'XML with half a million attributes',
      () => xml(cda(`<a ${Array.from({ length: 500_000 }, (_, n) => `a${n}=""`).join(' ')}/>`)),
      /^delivered/,
    ],
    [
      'an external entity',
      () => xml(cda('<title>&xxe;</title>', '<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>')),
      /^delivered/,
    ],
    ['a billion laughs', () => xml(cda('<title>&l11;</title>', `<!DOCTYPE x [${laughs}]>`)), /^delivered/],
    ['XML that ends in the middle', () => xml(sampleCcda().subarray(0, 9_000)), /^delivered/],
    ['a zip that inflates to 300 MiB', () => zip(bomb()), /^delivered .*(limit-exceeded|unsafe-entry)/],
    [
      'a zip of paths that leave it',
      () =>
        zip(
          writeZip(
            ['../../../../tmp/evil', '/etc/evil', 'a\\..\\..\\evil', 'C:evil'].map((name) => ({
              name,
              bytes: sampleCcda(),
            })),
          ),
        ),
      /^delivered .*unsafe-entry/,
    ],
    [
      'a zip of 5,000 files',
      () => zip(writeZip(Array.from({ length: 5_000 }, (_, n) => ({ name: `${n}.XML`, bytes: Buffer.from('<a/>') })))),
      /^delivered .*limit-exceeded/,
    ],
    ['10,000 parts', () => manyParts, /^malformed-message$/],
    ['parts 500 deep', () => nest(500), /^malformed-message$/],
    [
      'a header block of 5,000 fields',
      () => `${'X-Filler: x\r\n'.repeat(5_000)}Content-Type: text/plain\r\n\r\nx`,
      /^malformed-message$/,
    ],
    [
      'two From fields',
      () => 'From: <other@direct.hospital.example>\r\nContent-Type: text/plain\r\n\r\nx',
      /^(several-senders|malformed-message)$/,
    ],
    [
      'a subject that would be two header lines',
      () =>
        'Content-Type: text/plain; name="=?utf-8?B?DQpCY2M6IHZpY3RpbUBlbHNld2hlcmUuZXhhbXBsZQ==?="\r\nContent-Description: =?utf-8?Q?=0D=0ABcc=3A_victim=40elsewhere=2Eexample?=\r\n\r\nx',
      /^delivered$/,
    ],
    [
      'an attachment whose name is a path',
      () => attached('../../../etc/cron.d/evil\\"', 'text/plain', Buffer.from('x')),
      /^delivered$/,
    ],
  ]

  it('end in a named refusal, or arrive with nothing read from what is nasty', async () => {
    const sent: [string, string][] = []
    const subject = '=?utf-8?Q?Nasty=0D=0ABcc:_victim@elsewhere.example?='
    for (const [title, content] of letters)
      sent.push([title, await send(await letter(estate, `nasty-${sent.length}`, { content: content(), subject }))])
    const found = await fates(sent)
    expect(found.filter(([, end], at) => !letters[at]?.[2].test(end))).toEqual([])
    for (const { subject, attachments } of await messages()) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(subject).not.toMatch(/[\u0000-\u001f]/)
      for (const { name = '' } of attachments) expect(name).not.toMatch(/[/\\]/)
    }
  })

  it('bring nothing of this machine into the record, and no line into a notice', async () => {
    const { records } = (await ask(gateway.url, token, '/api/v1/records')).json<{ records: { recordId: string }[] }>()
    for (const { recordId } of records) {
      const { bytes, json } = await ask(gateway.url, token, `/api/v1/records/${recordId}/items?limit=200`)
      expect(bytes.includes('root:')).toBe(false)
      expect(bytes.includes('hahaha')).toBe(false)
      for (const { content } of json<{ items: { content: { type: string } }[] }>().items)
        expect(content.type).toBe('document')
    }
    expect(mail.received.length).toBeGreaterThan(0)
    for (const { wire } of mail.received) {
      const text = await estate.openssl.openNotice(wire, estate.provider, estate.authority)
      expect(text).not.toMatch(/^bcc:/im)
    }
  })

  it('and is well afterwards', () => stillWell('after-the-letters'))
})

describe('a large letter', () => {
  it('of a 30 MB attachment arrives whole', async () => {
    const bytes = randomBytes(30_000_000)
    const before = memoryOf(gateway)
    const wire = await letter(estate, 'large', { content: attached('scan.bin', 'application/octet-stream', bytes) })
    const began = performance.now()
    const id = await send(wire)
    const acceptedMs = Math.round(performance.now() - began)
    expect(await fate(id)).toBe('delivered')
    const deliveredMs = Math.round(performance.now() - began)
    const message = (await messages()).find(({ spoolId }) => spoolId === id)
    const path = `/api/v1/mailboxes/${patient}/messages/${message?.id}/attachments/${message?.attachments[0]?.index}`
    const got = await ask(gateway.url, token, path)
    expect(got.status).toBe(200)
    expect(createHash('sha256').update(got.bytes).digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
    tell(
      `${wire.length} bytes on the wire: 250 after ${acceptedMs} ms, delivered after ${deliveredMs} ms; ${JSON.stringify({ before, after: memoryOf(gateway) })}`,
    )
  })

  it('and is well afterwards, with its audit log whole', async () => {
    await stillWell('after-the-large-one')
    expect(await mustRun(estate.folder, 'audit', 'verify', '--config', 'gateway.yaml')).toMatch(/^Intact/)
  })
})
