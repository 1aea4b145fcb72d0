import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Directory } from '../directory/directory.js'
import type { DirectoryRefusal } from '../directory/problem.js'
import { playConnections } from './connections/connections.js'
import { sampleCcda, sampleCcr, sampleXdm } from './documents.js'
import { openGateway } from './gateway.js'
import { judge, look, type Sent } from './look.js'
import { listenForMail, openMail } from './mail.js'
import { type Credentials, type OpenSsl, openSsl } from './openssl.js'
import { type Cast, gatewayDomain, patient, type Scene, scenes, sender } from './story.js'
import { tellChecks, tellSeen } from './tell.js'

const say = (text = '') => void process.stdout.write(`${text}\n`)
const sayAll = (lines: readonly string[]) => lines.forEach(say)

export interface DemoOptions {
  readonly once: boolean
  /** The ways into a record instead: applications, codes, and an address for the patient. */
  readonly connections?: boolean
}

/**
 * Boots a gateway on loopback with a scratch data folder and lets a far side made of OpenSSL and plain sockets send it
 * seven messages. Prints what arrived, the record items, the notices that came back and why three were refused. With
 * `once` answers 0 only if all of that was as it must be; else stays up for the curious until interrupted.
 */
export async function runDemo({ once, connections = false }: DemoOptions): Promise<number> {
  const told = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => told.abort())
  const folder = mkdtempSync(join(tmpdir(), 'direct-gateway-demo-'))
  try {
    return await (connections ? playConnections : play)(folder, once, told.signal)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function play(folder: string, once: boolean, told: AbortSignal): Promise<number> {
  say('Making keys and certificates for both sides with openssl, marked TEST ONLY …')
  const openssl = await openSsl(join(folder, 'far-side'))
  const { cast, hospital, patients } = await castOf(openssl)
  const mail = await listenForMail()
  const { house, gateway, close } = await openGateway(folder, mail.port)
  try {
    const token = await furnish(house.directory, cast.gateway, hospital)
    say(`A gateway for ${gatewayDomain} is up: SMTP on 127.0.0.1:${gateway.smtpPort}, API on ${gateway.httpUrl}.`)
    const documents = { ccda: sampleCcda(), ccr: sampleCcr(), xdm: await sampleXdm() }
    const sent = await sendAll(await scenes(openssl, cast, documents), gateway.smtpPort)
    if (told.aborted) return 1
    const seen = await look({
      url: gateway.httpUrl,
      token,
      sent,
      notices: mail.received,
      openssl,
      provider: cast.provider,
      authority: patients,
    })
    const checks = judge(seen)
    sayAll([...tellSeen(seen), ...tellChecks(checks)])
    const exit = checks.every(({ ok }) => ok) ? 0 : 1
    if (!once && !told.aborted) {
      sayAll(invitation(gateway.httpUrl, token))
      await new Promise((resolve) => told.addEventListener('abort', resolve))
    }
    return exit
  } finally {
    await close()
    mail.close()
  }
}

function invitation(url: string, token: string): string[] {
  return [
    '',
    `The gateway stays up until Ctrl-C; then all of this is removed. API: ${url}, token: ${token}`,
    `  curl -H 'Authorization: Bearer ${token}' ${url}/api/v1/mailboxes/${patient}/messages`,
    `What else it answers: ${url}/api/v1/openapi.json`,
  ]
}

/** Who plays: three authorities, three senders, one gateway. */
async function castOf(
  openssl: OpenSsl,
): Promise<{ readonly cast: Cast; readonly hospital: Credentials; readonly patients: Credentials }> {
  const [hospital, patients, nobody] = await Promise.all([
    openssl.authority('hospital-authority'),
    openssl.authority('patients-authority'),
    openssl.authority('unknown-authority'),
  ])
  const [provider, stranger, expired, gateway] = await Promise.all([
    openssl.leaf('provider', hospital, `email:${sender}`),
    openssl.leaf('stranger', nobody, `email:${sender}`),
    openssl.leaf('expired', hospital, `email:${sender}`, { expired: true }),
    openssl.leaf('gateway', patients, `DNS:${gatewayDomain}`),
  ])
  return { cast: { provider, stranger, expired, gateway }, hospital, patients }
}

/** Domain, address, key, anchor and token: what an operator does with `init`, `address add`, `key import`, `anchor add` and `token create`. */
async function furnish(directory: Directory, own: Credentials, trusted: Credentials): Promise<string> {
  const by = 'demo'
  await done(directory.domains.add(gatewayDomain, by))
  await done(directory.addresses.add(patient, 'patient', by))
  await done(directory.keys.add({ owner: gatewayDomain, certificate: own.certificate, pkcs8: own.pkcs8 }, by))
  await done(directory.anchors.add({ owner: gatewayDomain, certificate: trusted.certificate, direction: 'both' }, by))
  const scopes = ['messages:read', 'record:read', 'operator'] as const
  return (await done(directory.tokens.create({ address: '*', scopes, label: 'demo' }, by))).secret
}

async function done<T extends { readonly kind: string }>(change: Promise<T | DirectoryRefusal>): Promise<T> {
  const outcome = await change
  if (isRefusal(outcome)) throw new Error(`${outcome.problem}: ${outcome.detail}`)
  return outcome
}

function isRefusal(outcome: { readonly kind: string }): outcome is DirectoryRefusal {
  return outcome.kind === 'refused'
}

async function sendAll(story: readonly Scene[], port: number): Promise<Sent[]> {
  const sent: Sent[] = []
  say(`\n${sender} sends to ${patient}, encrypted. Whatever is encrypted is taken in, and judged afterwards:`)
  const session = await openMail(port)
  for (const scene of story) {
    const reply = await session.send(sender, [patient], scene.wire)
    say(`  ${scene.title}: ${reply}`)
    sent.push({ scene, reply, id: /^250 2\.0\.0 (\S+)/.exec(reply)?.[1] ?? '' })
  }
  session.close()
  return sent
}
