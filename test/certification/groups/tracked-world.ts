import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lintDirect } from '../../fixtures/direct-lint.js'
import { until } from '../../fixtures/process.js'
import type { Measure } from '../finding.js'
import { startNameServer } from '../world/dns.js'
import { type Dovecot, startDovecot } from '../world/dovecot.js'
import { type EdgeSystem, newSubmitter, startEdgeSystem } from '../world/ehr.js'
import { type FarGateway, startFar } from '../world/far.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import type { Seals } from '../world/listener.js'
import { readPop } from '../world/mailboxes.js'
import { type OpenSsl, openSsl } from '../world/openssl.js'
import { type Authority, openPki, type Party } from '../world/pki.js'
import { freePort } from '../world/ports.js'
import { startBind } from '../world/programs.js'
import { selfSigned } from '../world/tls.js'
import { mailDomain, type ZoneRecord } from '../world/zone.js'
import { certlessDomain, type EdgeKind, edgeAddress, farDomain, ourDomain, untrustedDomain } from './tracked-letters.js'

/** A gateway between clinics that hand mail in and read theirs in every way, and a far side that answers as it is told. */
export interface TrackedWorld {
  readonly measure: Measure
  readonly openssl: OpenSsl
  readonly far: FarGateway
  readonly system: EdgeSystem
  /** Of the whole domain, each. */
  readonly seals: Seals
  /** Who made our own certificate, and who made the far side's. */
  readonly ours: Authority
  readonly theirs: Authority
  readonly timers: Timers
  gateway(): Gateway
  /** Hands one message in as an edge does; answers what stands for the reply. */
  submit(edge: EdgeKind, to: readonly string[], message: string): Promise<string>
  /** Everything that an edge has been given, in the order in which it was. */
  inbox(edge: EdgeKind): Promise<readonly Buffer[]>
  /** Kills the gateway and starts it anew. */
  restart(): Promise<void>
}

/** From submission until each confirmation is missed, in seconds. */
export interface Timers {
  readonly processed: number
  readonly dispatched: number
}

/** Addresses that get mail from outside: taken by their system, refused by it, and of a system that is gone. */
export const receivers = {
  taken: `taken@${ourDomain}`,
  refused: `refused@${ourDomain}`,
  gone: `gone@${ourDomain}`,
} as const
const receiving = [
  ['address', 'edge', receivers.taken, 'ehr'],
  ['address', 'edge', receivers.refused, 'ehr'],
  ['address', 'edge', receivers.gone, 'nobody'],
]
/** How long a system that is gone is tried where the sender asked to be told, in seconds. */
const goneSeconds = 6

export interface TrackedOptions {
  readonly timers: Timers
  /** Ways in which edges read here; a Dovecot is started where one of them needs it. */
  readonly edges: readonly EdgeKind[]
  /** Whether `receivers` and addresses of ours get mail here. */
  readonly receives?: boolean
}

/** Opens it in a folder of its own; what must be closed at the end is put on the list. */
export async function openTracked(
  measure: Measure,
  name: string,
  { timers, edges, receives = false }: TrackedOptions,
  closers: (() => Promise<unknown>)[],
): Promise<TrackedWorld> {
  const home = join(measure.home, name)
  const openssl = openSsl(join(home, 'openssl'))
  const pki = openPki(openssl)
  const [theirs, strange, ours] = [await pki.root('Far Root'), await pki.root('No'), await pki.root('HISP Root')]
  const [far, stranger, gatewayParty] = await Promise.all([
    theirs.issue('Far', { subjectAltName: `DNS:${farDomain}` }),
    strange.issue('Stranger', { subjectAltName: `DNS:${farDomain}` }),
    ours.issue('HISP', { subjectAltName: `DNS:${ourDomain}` }),
  ])
  const untrusted = await strange.issue('Untrusted', { subjectAltName: `DNS:${untrustedDomain}` })
  const published = (owner: string, { certificate }: Party): ZoneRecord => ({ name: owner, type: 'CERT', certificate })
  const zone = [
    ...[farDomain, untrustedDomain, certlessDomain, ourDomain].flatMap(mailDomain),
    published(farDomain, far),
    published(untrustedDomain, untrusted),
    published(ourDomain, gatewayParty),
  ]
  const names = measure.peers === 'programs' ? await startBind(join(home, 'bind'), zone) : await startNameServer(zone)
  closers.push(names.close)

  let gateway: Gateway | undefined
  const farGateway = await startFar(() => gateway?.smtpPort ?? 0)
  closers.push(farGateway.close)
  const tls = await selfSigned(openssl, 'edge')
  const system = await startEdgeSystem(tls)
  closers.push(system.close)
  const dovecot = edges.some((one) => one === 'imap' || one === 'pop') ? await startDovecot() : undefined
  if (dovecot) closers.push(dovecot.stop)
  const [submissionPort, smtpPort, nobodysPort] = [await freePort(), await freePort(), await freePort()]

  const passwordFile = join(home, 'password')
  writeFileSync(passwordFile, system.login.password, { mode: 0o600 })
  const systems = [
    `ehr: { host: 127.0.0.1, port: ${system.port}, tls: required, caFile: ${tls.certificatePath}, username: ${system.login.username}, passwordFile: ${passwordFile} }`,
    `nobody: { host: 127.0.0.1, port: ${nobodysPort}, tls: "off" }`,
    ...(dovecot ? [`dovecot: { protocol: lmtp, host: 127.0.0.1, port: ${dovecot.lmtpPort}, tls: "off" }`] : []),
  ]
  const edgeLines = [
    'edge:',
    `  submission: { host: 127.0.0.1, port: ${submissionPort}, tls: { certificateFile: ${tls.certificatePath}, keyFile: ${tls.keyPath} } }`,
    '  systems:',
    ...systems.map((line) => `    ${line}`),
    '  scheduleSeconds: [1]',
    `  requestedSeconds: ${goneSeconds}`,
    ...(dovecot ? [`  dovecot: { usersFile: ${dovecot.usersFile} }`] : []),
    `tracking: { processedSeconds: ${timers.processed}, dispatchedSeconds: ${timers.dispatched} }`,
  ]
  const senders = (['api', ...edges] as const).map(edgeAddress)
  const edgeOf = (edge: EdgeKind) => (edge === 'smtp' ? 'ehr' : 'dovecot')
  gateway = await startGateway(
    join(home, 'gateway'),
    {
      domains: { [ourDomain]: [...senders, `here@${ourDomain}`, ...Object.values(receivers)] },
      keys: [{ owner: ourDomain, party: gatewayParty }],
      anchors: [theirs, ...(receives ? [ours] : [])].map((party) => ({ owner: ourDomain, party })),
      commands: [
        ...edges.filter((one) => one !== 'api').map((one) => ['address', 'edge', edgeAddress(one), edgeOf(one)]),
        ...(receives ? receiving : []),
      ],
    },
    {
      namePort: names.port,
      sinkPort: farGateway.port,
      smtpPort,
      more: edgeLines,
      ...(measure.program !== undefined && { program: measure.program }),
    },
  )
  closers.push(async () => gateway?.close())
  const running = gateway
  const accounts = await newAccounts(running, edges, submissionPort, tls.certificatePath)
  closers.push(async () => {
    for (const { submitter } of accounts.values()) submitter.close()
  })

  const inbox = (edge: EdgeKind) =>
    inboxOf(edge, { gateway: gateway ?? running, system, dovecot, secret: accounts.get(edge)?.secret ?? '' })
  // Dovecot hears of new accounts in rounds.
  for (const edge of edges) await until(() => inbox(edge), 60_000)

  return {
    measure,
    openssl,
    far: farGateway,
    system,
    seals: { openssl, far, stranger, gateway: gatewayParty },
    ours,
    theirs,
    timers,
    gateway: () => gateway ?? running,
    async restart() {
      gateway = await (gateway ?? running).restarted()
    },
    async submit(edge, to, message) {
      if (edge === 'api') return submitted(gateway ?? running, edgeAddress(edge), message)
      const account = accounts.get(edge)
      if (!account) throw new Error(`no account for ${edge}`)
      return account.submitter.submit(edgeAddress(edge), to, message)
    },
    inbox,
  }
}

/** An account for each way, which sends as its address and reads its mail. */
async function newAccounts(gateway: Gateway, edges: readonly EdgeKind[], port: number, certificatePath: string) {
  const accounts = new Map<EdgeKind, { readonly secret: string; readonly submitter: ReturnType<typeof newSubmitter> }>()
  for (const edge of edges.filter((one) => one !== 'api')) {
    const address = edgeAddress(edge)
    const said = await gateway.command('account', 'add', `ehr-${edge}`, '--sender', address, '--reads', address)
    const secret = /dge_[A-Za-z0-9_-]+/.exec(said)?.[0] ?? ''
    accounts.set(edge, {
      secret,
      submitter: newSubmitter(port, certificatePath, { username: `ehr-${edge}`, password: secret }),
    })
  }
  return accounts
}

/** Through the API, as the Message Center does. */
async function submitted(gateway: Gateway, from: string, message: string): Promise<string> {
  const { status, bytes } = await gateway.ask(`/api/v1/mailboxes/${encodeURIComponent(from)}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822' },
    body: message,
  })
  return status === 202 ? '250 202' : `${status} ${bytes.toString().slice(0, 200)}`
}

/** What the Message Center keeps of an address: everything, whatever else it goes to. */
export async function keptOf(gateway: Gateway, address: string): Promise<readonly Buffer[]> {
  const all: Buffer[] = []
  for (const { id } of [...(await gateway.messages(address))].reverse()) all.push(await gateway.original(address, id))
  return all
}

async function inboxOf(
  edge: EdgeKind,
  of: {
    readonly gateway: Gateway
    readonly system: EdgeSystem
    readonly dovecot: Dovecot | undefined
    readonly secret: string
  },
): Promise<readonly Buffer[]> {
  if (edge === 'api') return keptOf(of.gateway, edgeAddress('api'))
  if (edge === 'smtp')
    return of.system.caught
      .filter(({ to }) => to.some((one) => one.toLowerCase() === edgeAddress('smtp')))
      .map(({ wire }) => wire)
  if (!of.dovecot) return []
  return edge === 'imap' ? of.dovecot.readMail('ehr-imap', of.secret) : readPop(of.dovecot, 'ehr-pop', of.secret)
}

/** What validators find wrong with a mail that left, with the key of the far side. */
export async function faultsOfMail(wire: Uint8Array, { certificatePath, keyPath }: Party): Promise<readonly string[]> {
  const [recipientKeyPem, recipientCertPem] = [keyPath, certificatePath].map((path) => readFileSync(path, 'utf8'))
  const findings = await lintDirect({
    wire,
    recipientKeyPem: recipientKeyPem ?? '',
    recipientCertPem: recipientCertPem ?? '',
  })
  return findings.filter(({ ok }) => !ok).map(({ rule, detail }) => `${rule}: ${detail}`)
}
