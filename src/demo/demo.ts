import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../config/load.js'
import type { Directory } from '../directory/directory.js'
import type { DirectoryRefusal } from '../directory/problem.js'
import { startGateway } from '../gateway.js'
import { openHouse, random } from '../house.js'
import { createMasterKey, readMasterKey } from '../keyring/master-key.js'
import { openLog } from '../observe/log.js'
import { sampleCcda, sampleCcr, sampleXdm } from './documents.js'
import { type Check, look, type Sent } from './look.js'
import { listenForMail, sendMail } from './mail.js'
import { type Credentials, openSsl } from './openssl.js'
import { gatewayDomain, patient, type Scene, scenes, sender } from './story.js'

const say = (text = '') => void process.stdout.write(`${text}\n`)

/**
 * Boots a gateway on loopback with a scratch data folder and lets a far side made of OpenSSL and plain sockets send it
 * seven messages. Prints what arrived, the record items, the notices that came back and why three were refused. With
 * `once` answers 0 only if all of that was as it must be; else stays up for the curious until interrupted.
 */
export async function runDemo({ once }: { readonly once: boolean }): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'direct-gateway-demo-'))
  try {
    return await play(folder, once)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function play(folder: string, once: boolean): Promise<number> {
  say('Making keys for both sides (openssl), marked TEST ONLY …')
  const openssl = await openSsl(join(folder, 'far-side'))
  const hospital = await openssl.authority('hospital-authority')
  const patients = await openssl.authority('patients-authority')
  const nobody = await openssl.authority('unknown-authority')
  const cast = {
    provider: await openssl.leaf('provider', hospital, `email:${sender}`),
    stranger: await openssl.leaf('stranger', nobody, `email:${sender}`),
    expired: await openssl.leaf('expired', hospital, `email:${sender}`, { expired: true }),
    gateway: await openssl.leaf('gateway', patients, `DNS:${gatewayDomain}`),
  }
  const mail = await listenForMail()

  const settings = {
    DIRECT_GATEWAY_DATA_DIR: join(folder, 'data'),
    DIRECT_GATEWAY_HOSTNAME: gatewayDomain,
    DIRECT_GATEWAY_SMTP_HOST: '127.0.0.1',
    DIRECT_GATEWAY_SMTP_PORT: '0',
    DIRECT_GATEWAY_HTTP_PORT: '0',
    DIRECT_GATEWAY_OUTBOUND_DEFAULT_ROUTE: `127.0.0.1:${mail.port}`,
  }
  const loaded = await loadConfig({ env: settings, cwd: folder, readFile: () => Promise.reject(new Error('no file')) })
  if (loaded.kind === 'problems') throw new Error(JSON.stringify(loaded.problems))
  const key = readMasterKey(createMasterKey(random))
  if (key.kind === 'refused') throw new Error(key.detail)
  const house = await openHouse(loaded.config, key.key, { takesTestOnly: true })
  const gateway = await startGateway(house, loaded.config, key.key, openLog({ level: 'error' }))
  try {
    const token = await furnish(house.directory, cast.gateway, hospital)
    say(`A gateway for ${gatewayDomain} listens: SMTP on 127.0.0.1:${gateway.smtpPort}, HTTP on ${gateway.httpUrl}`)
    const documents = { ccda: sampleCcda(), ccr: sampleCcr(), xdm: await sampleXdm() }
    const sent = await sendAll(await scenes(openssl, cast, documents), gateway.smtpPort)
    const checks = await look({
      url: gateway.httpUrl,
      token,
      sent,
      notices: mail.received,
      openssl,
      provider: cast.provider,
      authority: patients,
      say,
    })
    const good = report(checks)
    if (once) return good ? 0 : 1
    say(
      `\nThe gateway stays up. Look around, and stop it with Ctrl-C:\n  curl -H 'Authorization: Bearer ${token}' ${gateway.httpUrl}/api/v1/mailboxes/${patient}/messages`,
    )
    await new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve))
    return 0
  } finally {
    await gateway.close()
    await house.store.close()
    mail.close()
  }
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
  say('\nThe far side sends:')
  for (const scene of story) {
    const reply = await sendMail(port, sender, [patient], scene.wire)
    say(`  ${scene.title}: ${reply}`)
    sent.push({ scene, reply, id: /^250 2\.0\.0 (\S+)/.exec(reply)?.[1] ?? '' })
  }
  return sent
}

function report(checks: readonly Check[]): boolean {
  say('\nWhat had to be so:')
  for (const { what, ok, detail } of checks)
    say(`  ${ok ? 'yes' : 'NO '}  ${what}${detail && !ok ? ` (${detail})` : ''}`)
  return checks.every(({ ok }) => ok)
}
