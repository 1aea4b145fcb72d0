import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sampleCcda } from '../../../src/demo/documents.js'
import { openMail } from '../../../src/demo/mail.js'
import { until } from '../../fixtures/process.js'
import type { Measure } from '../finding.js'
import { type Client, openClient } from '../world/client.js'
import { encrypted, signed } from '../world/cms.js'
import { startNameServer } from '../world/dns.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import { type OpenSsl, openSsl } from '../world/openssl.js'
import { type Authority, openPki, type Party } from '../world/pki.js'
import { freePort } from '../world/ports.js'
import { startBind } from '../world/programs.js'
import { type Sink, startSink } from '../world/sink.js'
import { selfSigned } from '../world/tls.js'
import { mailDomain } from '../world/zone.js'
import { mixed } from './letters.js'

/** What the regulation asks of a whole installation: a gateway with TLS everywhere, two people, a clinic, an application. */
export interface RegulatoryWorld {
  readonly measure: Measure
  readonly openssl: OpenSsl
  readonly gateway: Gateway
  readonly ports: Ports
  /** PEM of the certificate of every listener. */
  readonly ca: Buffer
  /** What the far side got, and what the relay of ordinary mail got. */
  readonly far: Sink
  readonly relay: Sink
  readonly seals: { readonly far: Party; readonly stranger: Party; readonly ours: Party }
  readonly authorities: { readonly theirs: Authority; readonly ours: Authority; readonly nobodys: Authority }
  /** Operators' tokens by what they are for. */
  readonly tokens: Readonly<Record<TokenName, string>>
  readonly app: { readonly id: string; readonly redirect: string }
  readonly patient: Somebody
  /** The patient's Direct address. */
  readonly address: string
  readonly neighbour: Somebody
  /** Makes the clock of the gateway go ahead by so much more. */
  ahead(seconds: number): Promise<void>
  /** When all of it began, Unix milliseconds. */
  readonly opened: number
  /** What that clock shows, Unix milliseconds. */
  now(): number
  /** A client without cookies, from an address that nobody has come from. */
  fresh(): Client
}

export interface Ports {
  readonly http: number
  readonly smtp: number
  readonly submission: number
  readonly implicit: number
}

/** Somebody with an account and a record of their own. */
export interface Somebody {
  readonly email: string
  readonly password: string
  readonly client: Client
  readonly person: string
  readonly record: string
}

export const ourDomain = 'records.test'
export const farDomain = 'clinic.test'
export const doctor = `dr.lee@${farDomain}`
export const mailbox = `front.desk@${ourDomain}`
export const tokenNames = ['everything', 'operator', 'reading', 'mailbox'] as const
export type TokenName = (typeof tokenNames)[number]

/** Shorter than an access token lives, so that one which dies with its session does not die of age. */
export const idleSeconds = 300
/** A few idle times: reached by whoever never rests. */
export const absoluteSeconds = 1500

/** The rules of the application: what it reads while its person is there. */
const rules = {
  online: [{ name: 'conditions', reason: { en: 'To show conditions' }, permissions: ['read'], types: ['problem'] }],
  offline: [],
}

/** Opens it in a folder of its own; what must be closed at the end is put on the list. */
export async function openRegulatory(measure: Measure, closers: (() => Promise<unknown>)[]): Promise<RegulatoryWorld> {
  const opened = Date.now()
  const openssl = openSsl(join(measure.home, 'openssl'))
  const { authorities, seals } = await partiesOf(openssl)
  const zone = [
    ...[farDomain, ourDomain].flatMap(mailDomain),
    { name: farDomain, type: 'CERT', certificate: seals.far.certificate } as const,
  ]
  const names =
    measure.peers === 'programs' ? await startBind(join(measure.home, 'bind'), zone) : await startNameServer(zone)
  closers.push(names.close)
  const [far, relay] = [await startSink(), await startSink()]
  closers.push(far.close, relay.close)
  // RSA, so that every suite of old has a certificate that it could use.
  const tls = await selfSigned(openssl, 'listeners', 'rsa')
  const ca = readFileSync(tls.certificatePath)
  const ports = {
    ...{ http: await freePort(), smtp: await freePort() },
    ...{ submission: await freePort(), implicit: await freePort() },
  }
  const clock = join(measure.home, 'ahead')
  const gateway = await startGateway(
    join(measure.home, 'gateway'),
    {
      domains: { [ourDomain]: [mailbox] },
      keys: [{ owner: ourDomain, party: seals.ours }],
      anchors: [{ owner: ourDomain, party: authorities.theirs }],
      commands: [['domain', 'set', ourDomain, '--activation', 'open']],
    },
    {
      ...{ namePort: names.port, sinkPort: far.port, smtpPort: ports.smtp },
      ...settingsOf(ports, relay.port, `{ certificateFile: ${tls.certificatePath}, keyFile: ${tls.keyPath} }`),
      env: { NODE_OPTIONS: `--import ${clockModule(measure.home, clock)}` },
      ...(measure.program !== undefined && { program: measure.program }),
    },
  )
  closers.push(gateway.close)
  let clients = 0
  const fresh = () => openClient(ports.http, ca, `127.0.1.${++clients}`)
  const [tokens, app, patient, neighbour] = await Promise.all([
    newTokens(gateway),
    newApp(gateway, measure.home),
    newSomebody('Pat Sample', `pat@mail.test`, fresh(), relay),
    newSomebody('Nan Other', `nan@mail.test`, fresh(), relay),
  ])
  const address = `pat.sample@${ourDomain}`
  const taking = `/api/v1/records/${patient.record}/direct-addresses`
  await patient.client.must(201, 'POST', taking, { json: { address } })
  let aheadSeconds = 0
  return {
    address,
    ...{ measure, openssl, gateway, ports, ca, far, relay, seals, authorities, tokens, app, patient, neighbour, fresh },
    opened,
    now: () => Date.now() + aheadSeconds * 1000,
    async ahead(seconds) {
      aheadSeconds += seconds
      writeFileSync(clock, String(aheadSeconds * 1000))
      await sleep(clockEveryMs * 3)
    },
  }
}

async function partiesOf(openssl: OpenSsl) {
  const pki = openPki(openssl)
  const [theirs, strange, ours] = [await pki.root('Clinics'), await pki.root('Nobody'), await pki.root('Records')]
  const [far, stranger, own] = await Promise.all([
    theirs.issue('Clinic', { subjectAltName: `DNS:${farDomain}` }),
    strange.issue('Stranger', { subjectAltName: `DNS:${farDomain}` }),
    ours.issue('Gateway', { subjectAltName: `DNS:${ourDomain}` }),
  ])
  return { authorities: { theirs, ours, nobodys: strange }, seals: { far, stranger, ours: own } }
}

function settingsOf({ http, submission, implicit }: Ports, relayPort: number, tls: string) {
  return {
    http: `{ host: 127.0.0.1, port: ${http}, publicUrl: "https://localhost:${http}", tls: ${tls} }`,
    smtpTls: tls,
    more: [
      'edge:',
      `  submission: { host: 127.0.0.1, port: ${submission}, implicitTlsPort: ${implicit}, tls: ${tls} }`,
      `people: { secondFactor: offered, idleSeconds: ${idleSeconds}, absoluteSeconds: ${absoluteSeconds} }`,
      `letters: { relay: { host: 127.0.0.1, port: ${relayPort}, tls: "off" } }`,
    ],
  }
}

const clockEveryMs = 50

/** A module that puts the clock of its process ahead by the milliseconds in a file: idle times are minutes, and pass so. */
function clockModule(folder: string, file: string): string {
  writeFileSync(file, '0')
  const path = join(folder, 'clock.mjs')
  writeFileSync(
    path,
    `import { readFileSync } from 'node:fs'
const now = Date.now
let ahead = 0
const look = () => { try { ahead = Number(readFileSync(${JSON.stringify(file)}, 'utf8')) || ahead } catch {} }
look()
setInterval(look, ${clockEveryMs}).unref()
Date.now = () => now() + ahead
// A file that may not grow is a write that fails, not an end.
process.on('SIGXFSZ', () => {})
`,
  )
  return path
}

const scopesOf: Readonly<Record<TokenName, readonly string[]>> = {
  everything: ['*', 'messages:read,messages:write,messages:send,record:read,record:write,apps,operator'],
  operator: ['*', 'operator'],
  reading: ['*', 'messages:read,record:read'],
  mailbox: [mailbox, 'messages:read,messages:send'],
}

async function newTokens(gateway: Gateway): Promise<Readonly<Record<TokenName, string>>> {
  const made = tokenNames.map(async (name) => {
    const [address = '', scopes = ''] = scopesOf[name]
    return [name, (await gateway.command('token', 'create', '--address', address, '--scope', scopes)).trim()] as const
  })
  return Object.fromEntries(await Promise.all(made)) as Record<TokenName, string>
}

async function newApp(gateway: Gateway, home: string) {
  const [file, redirect] = [join(home, 'rules.json'), 'https://app.test/back']
  writeFileSync(file, JSON.stringify(rules))
  const words = ['app', 'add', 'web', 'Conditions', '--rules', file, '--redirect', redirect, '--json']
  const { app, id } = JSON.parse(await gateway.command(...words)) as { app?: { id: string }; id?: string }
  return { id: app?.id ?? id ?? '', redirect }
}

/** Signs somebody up: a link goes to the address, and only whoever reads it chooses a password. */
async function newSomebody(name: string, email: string, client: Client, relay: Sink): Promise<Somebody> {
  const base = '/api/v1/account'
  const password = randomBytes(15).toString('base64url')
  await client.must(200, 'POST', `${base}/sign-up`, { json: { email, name } })
  const code = await codeOf(relay, email, '/sign-up/confirm')
  const confirm = { code, factor: { kind: 'password', password } }
  const signedIn = await client.must(200, 'POST', `${base}/sign-up/confirm`, { json: confirm })
  client.csrf = signedIn.json<{ csrf: string }>().csrf
  const person = (await client.must(200, 'GET', base)).json<{ id: string }>().id
  const made = await client.must(201, 'POST', `${base}/records`, { json: { name } })
  return { email, password, client, person, record: made.json<{ recordId: string }>().recordId }
}

/** The code in the newest letter to somebody that leads to a page. */
export async function codeOf(relay: Sink, email: string, page: string): Promise<string> {
  return until(() => {
    const letters = relay.caught.filter(({ to }) => to.includes(email)).map(({ wire }) => plainOf(wire))
    const [, code] =
      letters
        .reverse()
        .flatMap((text) => [...text.matchAll(/(\/[\w/-]+)\?code=([\w-]+)/g)])
        .find(([whole]) => whole.startsWith(page))
        ?.slice(1) ?? []
    return code
  }, 20_000)
}

/** What stands in a letter, quoted-printable undone, parts in base64 too. */
export function plainOf(wire: Buffer): string {
  const text = wire.toString('latin1')
  return text
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/(?<=base64\r?\n(?:[\w-]+:[^\n]*\n)*\r?\n)[A-Za-z0-9+/=\r\n]+/gi, (part) =>
      Buffer.from(part, 'base64').toString('latin1'),
    )
}

/** Signs somebody in anew, from a place of its own. Throws where that fails. */
export async function signedIn(world: RegulatoryWorld, { email, password }: Somebody): Promise<Client> {
  const client = world.fresh()
  const answer = await client.must(200, 'POST', '/api/v1/account/sign-in', { json: { email, password } })
  client.csrf = answer.json<{ csrf: string }>().csrf
  return client
}

/** The patient comes in, looks at the record, and goes: what every audit log has most of. */
export async function patientLogin(world: RegulatoryWorld): Promise<void> {
  const client = await signedIn(world, world.patient)
  await client.must(200, 'GET', `/api/v1/records/${world.patient.record}/items`)
  await client.must(200, 'DELETE', `/api/v1/account/sessions/${await sessionOf(client)}`)
}

/** The session that a client is in. */
export async function sessionOf(client: Client): Promise<string> {
  const answer = await client.must(200, 'GET', '/api/v1/account/sessions')
  const { sessions } = answer.json<{ sessions: readonly { readonly id: string; readonly current: boolean }[] }>()
  return sessions.find(({ current }) => current)?.id ?? ''
}

export const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

interface LetterOptions {
  /** What is done to it after it was signed. */
  readonly change?: (entity: string) => string
  readonly digest?: 'sha1' | 'sha256'
  /** The sample document, or another. */
  readonly attached?: boolean
  readonly document?: { readonly name: string; readonly type: string; readonly bytes: Uint8Array }
}

/** A letter of the clinic, as it is handed over: signed, changed where asked, and encrypted by OpenSSL. */
export async function letterTo(
  { openssl, seals }: RegulatoryWorld,
  to: string,
  id: string,
  { change = (entity) => entity, digest = 'sha256', attached = false, document }: LetterOptions = {},
): Promise<Buffer> {
  const head = [
    `From: <${doctor}>`,
    `To: <${to}>`,
    `Message-ID: <${id}.${randomBytes(4).toString('hex')}@${farDomain}>`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
  ]
  const shown = document ?? (attached ? summary : undefined)
  const text = ['Content-Type: text/plain; charset=utf-8', '', 'All is well.', ''].join('\r\n')
  const body = shown ? mixed({ ...shown, bytes: Buffer.from(shown.bytes) }).mime : text
  const entity = [...head, `Subject: ${id}`, 'MIME-Version: 1.0', body].join('\r\n')
  const wrapped = `Content-Type: message/rfc822\r\n\r\n${entity}`
  const inner = change((await signed(openssl, wrapped, [seals.far], { digest })).toString('latin1'))
  const sealed = await encrypted(openssl, Buffer.from(inner, 'latin1'), [seals.ours], { transport: 'oaep-sha256' })
  return Buffer.concat([Buffer.from([...head, ''].join('\r\n')), sealed])
}

const summary = { name: 'summary.xml', type: 'application/xml', bytes: sampleCcda() }

/** Hands a letter over as another gateway does; answers the reply. */
export async function handedOver({ ports }: RegulatoryWorld, to: string, wire: Buffer): Promise<string> {
  const session = await openMail(ports.smtp)
  const reply = await session.send(doctor, [to], wire)
  session.close()
  return reply
}

/** What an entry of the audit log says. */
export interface Entry {
  readonly sequence: number
  readonly at: string
  readonly action: string
  readonly actor: string
  readonly outcome: string
  readonly reason?: string
  readonly subject: Readonly<Record<string, string>>
}

/** The audit log as the operator asks for it. */
export async function entries(world: RegulatoryWorld, query: string): Promise<readonly Entry[]> {
  const { token = '', client } = { token: world.tokens.operator, client: openClient(world.ports.http, world.ca) }
  const answer = await client.must(200, 'GET', `/api/v1/audit?limit=1000&${query}`, { token })
  return answer.json<{ entries: readonly Entry[] }>().entries
}

/** One condition of the patient, entered by hand. */
export const condition = (text: string, day?: string) => ({
  content: { type: 'problem', problem: { codings: [], text } },
  ...(day !== undefined && { when: { value: { text: day, precision: 'day', offsetMinutes: null, source: day } } }),
})

/** Puts entries into the patient's record, as whoever is signed in. */
export async function put({ patient }: RegulatoryWorld, client: Client, ...items: readonly object[]): Promise<void> {
  const changes = items.map((item) => ({ kind: 'create', item }))
  await client.must(200, 'POST', `/api/v1/records/${patient.record}/items`, { json: { changes } })
}

/** Messages of a mailbox, by the token for everything. */
export async function messagesOf(
  world: RegulatoryWorld,
  address: string,
): Promise<readonly { readonly id: string; readonly subject?: string }[]> {
  const path = `/api/v1/mailboxes/${encodeURIComponent(address)}/messages?limit=200`
  const answer = await world.fresh().must(200, 'GET', path, { token: world.tokens.everything })
  return answer.json<{ messages: readonly { readonly id: string; readonly subject?: string }[] }>().messages
}

/** Awaits a message by its subject. */
export async function arrived(world: RegulatoryWorld, address: string, subject: string): Promise<string> {
  return until(async () => (await messagesOf(world, address)).find((one) => one.subject === subject)?.id, 20_000)
}
