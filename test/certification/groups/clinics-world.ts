import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Measure } from '../finding.js'
import { startNameServer } from '../world/dns.js'
import { type EdgeSystem, startEdgeSystem } from '../world/ehr.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import { openSsl } from '../world/openssl.js'
import { openPki, type Party } from '../world/pki.js'
import { freePort } from '../world/ports.js'
import { startBind } from '../world/programs.js'
import { startTap, type Tap } from '../world/tap.js'
import { selfSigned } from '../world/tls.js'
import { mailDomain } from '../world/zone.js'

/** Two clinics: an EHR hands mail in at the northern gateway, and the southern one pushes it to the EHR of its own clinic. */
export interface ClinicsWorld {
  readonly north: Gateway
  readonly south: Gateway
  readonly submissionPort: number
  readonly implicitTlsPort: number
  /** PEM of the authority of the submission listener's certificate. */
  readonly ca: string
  readonly caPath: string
  readonly login: Login
  /** Another account, for those who fail: too many failures close an account for a while. */
  readonly other: Login
  /** Where the southern gateway pushes, and what a listener on that wire heard. */
  readonly system: EdgeSystem
  readonly tap: Tap
  /** A system that knows no STARTTLS. */
  readonly plain: Tap
  /** A file in the group's folder; answers its path. */
  write(name: string, bytes: Uint8Array): string
  /** An address that nobody has come from. */
  fresh(): string
}

export interface Login {
  readonly account: string
  readonly secret: string
}

export const doctor = 'doctor@north.test'
/** Her mail goes on to her EHR. */
export const nurse = 'nurse@south.test'
/** Where nothing may ever arrive. */
export const nobodyWrites = 'quiet@south.test'
/** Her EHR offers no TLS. */
export const plainNurse = 'plain@south.test'

/** Silence before the submission listener hangs up, in seconds. */
export const idleSeconds = 4

/** Opens it in the group's folder; what must be closed at the end is put on the list. */
export async function openClinics(measure: Measure, closers: (() => Promise<unknown>)[]): Promise<ClinicsWorld> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const pki = openPki(openssl)
  const roots = [await pki.root('North Root'), await pki.root('South Root')] as const
  const [northKey, southKey] = await Promise.all([
    roots[0].issue('North', { subjectAltName: 'DNS:north.test' }),
    roots[1].issue('South', { subjectAltName: 'DNS:south.test' }),
  ])
  const published = (name: string, { certificate }: Party) => ({ name, type: 'CERT' as const, certificate })
  const zone = [
    ...['north.test', 'south.test'].flatMap(mailDomain),
    published('north.test', northKey),
    published('south.test', southKey),
  ]
  const names =
    measure.peers === 'programs' ? await startBind(join(measure.home, 'bind'), zone) : await startNameServer(zone)
  closers.push(names.close)
  const tls = await selfSigned(openssl, 'edge')
  const system = await startEdgeSystem(tls)
  const tap = await startTap(system.port)
  const plain = await startTap()
  closers.push(system.close, tap.close, plain.close)
  const [submissionPort, implicitTlsPort] = [await freePort(), await freePort()]
  const [northPort, southPort] = [await freePort(), await freePort()]
  const program = measure.program === undefined ? {} : { program: measure.program }
  const surroundings = { namePort: names.port, ...program }

  const passwordFile = openssl.write('password', system.login.password)
  const ehr = `caFile: ${tls.certificatePath}, username: ${system.login.username}, passwordFile: ${passwordFile}`
  const starting = [
    startGateway(
      join(measure.home, 'north'),
      {
        domains: { 'north.test': [doctor] },
        keys: [{ owner: 'north.test', party: northKey }],
        anchors: [{ owner: 'north.test', party: roots[1] }],
      },
      {
        ...surroundings,
        sinkPort: southPort,
        smtpPort: northPort,
        more: [
          'edge:',
          '  submission:',
          '    host: 127.0.0.1',
          `    port: ${submissionPort}`,
          `    implicitTlsPort: ${implicitTlsPort}`,
          `    tls: { certificateFile: ${tls.certificatePath}, keyFile: ${tls.keyPath} }`,
          `    idleSeconds: ${idleSeconds}`,
        ],
      },
    ),
    startGateway(
      join(measure.home, 'south'),
      {
        domains: { 'south.test': [nurse, nobodyWrites, plainNurse] },
        keys: [{ owner: 'south.test', party: southKey }],
        anchors: [{ owner: 'south.test', party: roots[0] }],
        commands: [
          ['address', 'edge', nurse, 'ehr'],
          ['address', 'edge', plainNurse, 'plain'],
        ],
      },
      {
        ...surroundings,
        sinkPort: northPort,
        smtpPort: southPort,
        more: [
          'edge:',
          '  systems:',
          `    ehr: { host: 127.0.0.1, port: ${tap.port}, ${ehr} }`,
          `    plain: { host: 127.0.0.1, port: ${plain.port}, ${ehr} }`,
          '  scheduleSeconds: [1]',
        ],
      },
    ),
  ]
  const started = await Promise.allSettled(starting)
  for (const one of started) if (one.status === 'fulfilled') closers.push(one.value.close)
  const [north, south] = await Promise.all(starting)
  if (!north || !south) throw new Error('no gateways')
  const [login, other] = [await newAccount(north, 'ehr-north'), await newAccount(north, 'ehr-other')]
  let clients = 10
  return {
    ...{ north, south, submissionPort, implicitTlsPort, system, tap, plain, login, other },
    caPath: tls.certificatePath,
    ca: (await openssl('x509', '-in', tls.certificatePath)).toString(),
    write(name, bytes) {
      const path = openssl.path(name)
      writeFileSync(path, bytes)
      return path
    },
    fresh: () => `127.0.0.${++clients}`,
  }
}

async function newAccount(gateway: Gateway, account: string): Promise<Login> {
  const said = await gateway.command('account', 'add', account, '--sender', 'north.test')
  const secret = /dge_[A-Za-z0-9_-]+/.exec(said)?.[0]
  if (secret === undefined) throw new Error(`account add showed no secret: ${said}`)
  return { account, secret }
}
