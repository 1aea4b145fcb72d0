import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openAttempts } from '../../src/delivery/attempt.js'
import { type EdgeSystem, openEdgeAttempts, storedMail } from '../../src/delivery/edge.js'
import { homeFirst } from '../../src/delivery/local.js'
import { startDelivery } from '../../src/delivery/worker.js'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import { type Credentials, type OpenSsl, openSsl } from '../../src/demo/openssl.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { edgeOutcomesOf, unsignedFieldsOf } from '../../src/pipeline/edge.js'
import { receive } from '../../src/pipeline/inbound.js'
import { send } from '../../src/pipeline/outbound.js'
import { startWork, type Work } from '../../src/pipeline/work.js'
import type { ServerCertificate } from '../../src/smtp/options.js'
import { startSmtp } from '../../src/smtp/server.js'
import { edgeQueue } from '../../src/spool/outbound.js'
import { inboundQueue } from '../../src/spool/spool.js'
import { submissionQueue } from '../../src/spool/submission.js'
import { loopback } from '../delivery/scripted.js'
import { edgeSink, type Sink, type SinkOptions } from '../delivery/sink.js'
import { done, messagesOf, newDisk } from '../fixtures/gateway.js'
import { bootSending, letter, submitTo } from '../fixtures/sending.js'
import { quiet, uncounted } from '../smtp/peer.js'

/** From OpenSSL outside to the EHR of a clinic here, over real sockets all the way, and the notices back. */

const nurse = 'nurse@ward.example' as DirectAddress
const clerk = 'clerk@ward.example' as DirectAddress
const doctor = 'doctor@clinic.example' as DirectAddress
const login = { username: 'gateway', password: 'made-up-words' }

const folder = mkdtempSync(join(tmpdir(), 'dg-edge-'))
let openssl: OpenSsl
let far: { readonly authority: Credentials; readonly key: Credentials }
let near: { readonly authority: Credentials; readonly key: Credentials }
let certificate: ServerCertificate
const passwordFile = join(folder, 'password')
const caFile = join(folder, 'ehr.pem')

beforeAll(async () => {
  openssl = await openSsl(join(folder, 'keys'), 'Example')
  const authorities = [await openssl.authority('Clinic'), await openssl.authority('Ward')] as const
  far = { authority: authorities[0], key: await openssl.leaf('doctor', authorities[0], `email:${doctor}`) }
  near = { authority: authorities[1], key: await openssl.leaf('ward', authorities[1], 'DNS:ward.example') }
  writeFileSync(passwordFile, `${login.password}\n`)
  const names = ['-subj', '/CN=ehr.ward.example', '-addext', 'subjectAltName=DNS:ehr.ward.example']
  const files = ['-keyout', join(folder, 'ehr.key'), '-out', caFile]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names, ...files], {
    stdio: 'ignore',
  })
  certificate = { key: readFileSync(join(folder, 'ehr.key'), 'utf8'), cert: readFileSync(caFile, 'utf8') }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (let waited = 0; waited < 30_000; waited += 20) {
    const seen = await look()
    if (seen) return seen
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it did not become true')
}

/** A gateway for `ward.example` whose nurse has an EHR, and the mail system of the clinic outside. */
async function ward(system: Partial<EdgeSystem> & { readonly port: number }, lifetimeMs = 600_000) {
  const clock = { now: () => Date.now() }
  const random = { bytes: (size: number) => new Uint8Array(size) }
  const gateway = await bootSending(newDisk(clock))
  const { store, directory, mailbox, notices, trail, audit, spool } = gateway
  const by = 'test'
  await done(directory.domains.add('ward.example', by))
  for (const address of [nurse, clerk]) await done(directory.addresses.add(address, 'provider', by))
  await done(directory.addresses.setEdge(nurse, 'ehr', by))
  await done(
    directory.keys.add({ owner: 'ward.example', certificate: near.key.certificate, pkcs8: near.key.pkcs8 }, by),
  )
  const both = { owner: 'ward.example', direction: 'both' } as const
  await done(directory.anchors.add({ ...both, certificate: far.authority.certificate }, by))
  await done(directory.anchors.add({ ...both, certificate: near.authority.certificate }, by))
  await done(directory.peers.add({ owner: doctor, certificate: far.key.certificate }, by))
  await done(directory.peers.add({ owner: 'ward.example', certificate: near.key.certificate }, by))

  const outside = await listenForMail()
  const told = { clock, log: quiet, metrics: uncounted }
  const works: Work[] = []
  const nudge = () => {
    for (const work of works) work.nudge()
  }
  const accept: typeof spool.accept = async (envelope, data) => {
    const accepted = await spool.accept(envelope, data)
    nudge()
    return accepted
  }
  const beyond = openAttempts({ hostname: 'mail.ward.example', exchanges: loopback, port: outside.port })
  const home = {
    isOurs: async (one: DirectDomain) => (await directory.domains.get(one)) !== undefined,
    isServed: directory.addresses.isServed,
  }
  const systems: Record<string, EdgeSystem> = {
    ehr: { protocol: 'smtp', host: 'ehr.ward.example', tls: 'required', caFile, ...system },
  }
  const common = { ...told, store, random, onConcluded: nudge, idleMs: 50 }
  works.push(
    startDelivery({
      ...{ ...common, blobs: gateway.blobs, prepare: gateway.prepare, outcomeParts: gateway.outcomes },
      attempt: homeFirst(beyond, { ...home, accept, clock }),
    }),
    startDelivery({
      ...{
        ...common,
        queue: edgeQueue,
        stored: storedMail({ mailbox, hostname: 'mail.ward.example', fieldsOf: unsignedFieldsOf }),
      },
      attempt: openEdgeAttempts({ hostname: 'mail.ward.example', exchanges: loopback, systems }),
      outcomeParts: edgeOutcomesOf({ notices, trail, audit, clock, isKnown: (name) => name in systems }),
      schedule: {
        retryMs: [200],
        lifetimeMs: { message: 1, mdn: 1, edge: lifetimeMs, asked: lifetimeMs },
        jitter: 0,
      },
    }),
    ...([inboundQueue, submissionQueue] as const).map((queue) =>
      startWork({
        ...{ store, queue, clock, concurrency: 4, leaseMs: 30_000, idleMs: 50 },
        async handle(job) {
          const spooled = queue === inboundQueue ? spool.read(job) : undefined
          if (spooled) await receive(spooled, gateway)
          else await send(job, gateway)
          nudge()
        },
        onError: (error) => {
          throw error
        },
      }),
    ),
  )
  const listener = await startSmtp({
    ...{ host: '127.0.0.1', port: 0, hostname: 'mail.ward.example', ...told },
    ...{ isServed: home.isServed, accept, room: async () => true, healthy: () => true },
  })
  closers.push(async () => {
    await listener.close(0)
    await Promise.all(works.map((work) => work.stop(2_000)))
    outside.close()
  })
  return { gateway, outside, smtpPort: listener.port, nudge }
}

type Ward = Awaited<ReturnType<typeof ward>>

const asking = `Disposition-Notification-To: <${doctor}>\r\nDisposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n`

function mail({
  to = [nurse],
  id = '1',
  header = asking,
}: {
  to?: readonly string[]
  id?: string
  header?: string
} = {}) {
  const text = 'Bitte r\u00fcckrufen.\r\n.\r\n..and so on\r\n'
  return `From: <${doctor}>\r\nTo: ${to.map((one) => `<${one}>`).join(', ')}\r\nSubject: Referral\r\nMessage-ID: <${id}@clinic.example>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n${header}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text}`
}

/** What a clinic's gateway may say to others on the way: kept for them, beside what was signed. */
const unsigned = 'X-Direct-useCase: any-all\r\n'

/** Sends as the clinic's gateway would; answers the spool id of our 250. */
async function post({ smtpPort }: Ward, message: string, to: readonly string[] = [nurse]): Promise<string> {
  const entity = await openssl.encrypt(await openssl.sign(message, far.key), near.key)
  const session = await openMail(smtpPort)
  const outer = `From: <${doctor}>\r\nTo: <${nurse}>\r\nMessage-ID: <outer@clinic.example>\r\nSubject: Nobody signed this\r\n${unsigned}`
  const reply = await session.send(doctor, to, Buffer.concat([Buffer.from(outer), entity]))
  session.close()
  expect(reply).toMatch(/^250 /)
  return /\b[a-z2-7]{26}\b/.exec(reply)?.[0] ?? ''
}

/** The dispositions that came back to the clinic, as OpenSSL decrypts and verifies them. */
async function noticesAt({
  outside,
}: Ward): Promise<readonly { readonly disposition: string; readonly text: string }[]> {
  const opened = outside.received.map(async ({ wire }) => {
    const text = await openssl.openNotice(wire, far.key, near.authority)
    return { disposition: /^Disposition: \S+;\s*(\w+)/m.exec(text)?.[1] ?? '', text }
  })
  return Promise.all(opened)
}
const dispositions = async (at: Ward) => (await noticesAt(at)).map(({ disposition }) => disposition).sort()
const story = async ({ gateway }: Ward, id: string) => (await gateway.trail.read(id)).map(({ step }) => step)

async function sinkOf(options: SinkOptions = {}): Promise<Sink> {
  const sink = await edgeSink({ certificate, login, ...options })
  closers.push(() => sink.close())
  return sink
}
const withLogin = { username: login.username, passwordFile }

describe('mail for a nurse whose EHR takes it by SMTP', () => {
  it('gets there as it was signed, over TLS and after a password; then its sender is told that it was dispatched', async () => {
    const sink = await sinkOf()
    const at = await ward({ port: sink.port, ...withLogin })
    const id = await post(at, mail())
    await until(async () => (await noticesAt(at)).length === 2)
    expect(sink.kept).toMatchObject([{ from: doctor, to: [nurse], user: login.username, tls: true }])
    const [kept] = sink.kept
    const [trace = '', ...rest] = (kept?.bytes.toString('utf8') ?? '').split(/(?<=\r\n)(?![ \t])/)
    expect(trace.replace(/\r\n[ \t]+/g, ' ')).toMatch(
      new RegExp(
        `^Received: from mail\\.ward\\.example \\(sealed\\) by mail\\.ward\\.example \\(direct-gateway\\) id ${id} for <${nurse}>; \\w{3}, \\d\\d \\w{3} \\d{4} [0-9:]{8} \\+0000\\r\\n$`,
      ),
    )
    expect(rest.join('')).toBe(unsigned + mail())
    expect(await dispositions(at)).toEqual(['dispatched', 'processed'])
    const dispatched = (await noticesAt(at)).find(({ disposition }) => disposition === 'dispatched')
    expect(dispatched?.text).toMatch(/^X-DIRECT-FINAL-DESTINATION-DELIVERY:/m)
    expect(dispatched?.text).toMatch(/^Original-Message-ID: <1@clinic\.example>/m)
    expect(await messagesOf(at.gateway, nurse)).toHaveLength(1)
    const steps = await story(at, id)
    expect(steps).toContain('edge-queued')
    expect(steps.indexOf('edge-delivered')).toBeGreaterThan(steps.indexOf('delivered'))
  })

  it('whose sender did not ask is told nothing but processed', async () => {
    const sink = await sinkOf()
    const at = await ward({ port: sink.port, ...withLogin })
    const id = await post(at, mail({ header: '' }))
    await until(async () => (await story(at, id)).includes('edge-delivered') && at.outside.received.length > 0)
    expect(await at.gateway.store.jobs('outbound', 10)).toEqual([])
    expect(await dispositions(at)).toEqual(['processed'])
  })

  it('that refuses it for good: its sender is told failed, an alarm is raised, and the mail stays in the mailbox', async () => {
    const sink = await sinkOf({ answer: () => '550 5.1.1 no such nurse, room 12' })
    const at = await ward({ port: sink.port, ...withLogin })
    const id = await post(at, mail())
    await until(async () => (await noticesAt(at)).length === 2)
    expect(await dispositions(at)).toEqual(['failed', 'processed'])
    const failed = (await noticesAt(at)).find(({ disposition }) => disposition === 'failed')
    expect(failed?.text).toMatch(/refused it \(550 5\.1\.1\)/)
    expect(failed?.text).not.toContain('room 12')
    expect(await story(at, id)).toEqual(expect.arrayContaining(['edge-failed', 'alarm']))
    expect(await messagesOf(at.gateway, nurse)).toHaveLength(1)
    expect(sink.sessions()).toBe(1)
  })

  it('that is down gets it when it comes back, once', async () => {
    const before = await sinkOf()
    await before.close()
    const at = await ward({ port: before.port, ...withLogin })
    const id = await post(at, mail())
    await until(async () => (await story(at, id)).includes('edge-attempted'))
    expect(await dispositions(at)).not.toContain('dispatched')
    const sink = await sinkOf({ port: before.port })
    await until(async () => (await dispositions(at)).includes('dispatched'))
    expect(sink.kept).toHaveLength(1)
    expect((await story(at, id)).filter((step) => step === 'edge-delivered')).toHaveLength(1)
  })

  it('that stays down: its sender is told failed when the time is over', async () => {
    const gone = await sinkOf()
    await gone.close()
    const at = await ward({ port: gone.port, ...withLogin }, 1_000)
    const id = await post(at, mail())
    await until(async () => (await dispositions(at)).includes('failed'))
    expect(await dispositions(at)).toEqual(['failed', 'processed'])
    expect(await story(at, id)).toEqual(expect.arrayContaining(['edge-attempted', 'edge-failed', 'alarm']))
    expect(await messagesOf(at.gateway, nurse)).toHaveLength(1)
  })

  it('gets nothing where it cannot prove its name, or takes no password of ours; people are called for the second', async () => {
    const other = await sinkOf()
    const wrongName = await ward({ port: other.port, host: 'other.ward.example', ...withLogin })
    const first = await post(wrongName, mail())
    await until(async () => (await story(wrongName, first)).includes('edge-attempted'))
    expect(other.kept).toEqual([])

    const strict = await sinkOf({ login: { ...login, password: 'another' } })
    const at = await ward({ port: strict.port, ...withLogin })
    const id = await post(at, mail())
    await until(async () => (await story(at, id)).includes('alarm'))
    const steps = await at.gateway.trail.read(id)
    expect(steps.find(({ step }) => step === 'edge-attempted')?.detail).toMatch(/535/)
    expect(strict.kept).toEqual([])
  })

  it('that was taken out of the configuration: it waits, an alarm is raised, nobody is told that it failed', async () => {
    const at = await ward({ port: 1 })
    await done(at.gateway.directory.addresses.setEdge(nurse, 'ehr-of-old', 'test'))
    const id = await post(at, mail())
    await until(async () => (await story(at, id)).includes('alarm'))
    expect((await at.gateway.trail.read(id)).find(({ step }) => step === 'alarm')?.detail).toContain('ehr-of-old')
    expect(await at.gateway.store.jobs(edgeQueue, 10)).toHaveLength(1)
    await until(async () => (await dispositions(at)).includes('processed'))
    expect(await dispositions(at)).toEqual(['processed'])
  })
})

it('hands over by LMTP, and believes the reply for each recipient', async () => {
  const sink = await sinkOf({ lmtp: true, answer: (one) => (one === clerk ? '552 5.2.2 mailbox full' : undefined) })
  const at = await ward({ port: sink.port, protocol: 'lmtp', ...withLogin })
  await done(at.gateway.directory.addresses.setEdge(clerk, 'ehr', 'test'))
  await post(at, mail({ to: [nurse, clerk] }), [nurse, clerk])
  await until(async () => (await noticesAt(at)).length === 4)
  const told = (await noticesAt(at)).map(({ disposition, text }) => [
    /^Final-Recipient: rfc822;\s*(\S+)/m.exec(text)?.[1],
    disposition,
  ])
  expect(told.sort()).toEqual([
    [clerk, 'failed'],
    [clerk, 'processed'],
    [nurse, 'dispatched'],
    [nurse, 'processed'],
  ])
  expect(sink.kept).toMatchObject([{ to: [nurse] }])
})

it('takes mail between two of this house through trust, and from there to the EHR', async () => {
  const sink = await sinkOf()
  const at = await ward({ port: sink.port, ...withLogin })
  const sent = await submitTo(at.gateway, clerk, [nurse], { text: letter(clerk, [nurse]) })
  if (sent.kind === 'refused') throw new Error(sent.detail)
  at.nudge()
  await until(() => sink.kept.length === 1)
  expect(sink.kept).toMatchObject([{ from: clerk, to: [nurse] }])
  expect(sink.kept[0]?.bytes.toString()).toContain('All is well.')
})
