import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listenForMail, type ReceivedMail } from '../../../src/demo/mail.js'
import { freePort } from '../../certification/world/ports.js'
import { type Asked, ask, domain, mustRun, newDatabase, type Serving, serve, until } from '../../fixtures/process.js'

/** The built gateway with people, applications and a mail server for its letters, met over real sockets alone. */

export const on = ['--config', 'gateway.yaml']

export interface Letter {
  readonly to: string
  readonly subject: string
  readonly text: string
}

export interface House {
  readonly folder: string
  /** Where browsers and applications find it: its origin, and its issuer. */
  readonly url: string
  readonly serving: Serving
  /** Everything that left, to people and to other systems, oldest first. */
  readonly received: readonly ReceivedMail[]
  /** The same, as letters that are read. */
  letters(): readonly Letter[]
  /** The newest letter to an address that has this in its text. */
  letterTo(email: string, has?: string): Promise<Letter>
  /** Asks as nobody, from a client address of its own unless one is given. */
  ask(path: string, init?: RequestInit & { readonly from?: string }): Promise<Asked>
  /** The command line. */
  cli(...argv: string[]): Promise<string>
  /** Ends the process as it is told, and starts it again on the same port. */
  restart(signal?: NodeJS.Signals): Promise<void>
  close(): Promise<void>
}

let addresses = 0
/** An address that no other client of this run has: limits by network are tested where they are meant. */
export function newAddress(): string {
  addresses++
  return `198.18.${addresses >> 8}.${addresses & 255}`
}

/** Opens one in a folder of its own, with `more` lines of configuration; mail goes to a listener in this process. */
export async function openHouse({ more = '' } = {}): Promise<House> {
  const folder = mkdtempSync(join(tmpdir(), 'dg-healthvault-'))
  const [mail, port, database] = await Promise.all([listenForMail(), freePort(), newDatabase()])
  const url = `http://localhost:${port}`
  const lines = [
    'dataDir: data',
    `hostname: ${domain}`,
    'smtp: { host: 127.0.0.1, port: 0 }',
    `http: { host: 127.0.0.1, port: ${port}, publicUrl: "${url}", trustedProxies: ["127.0.0.1"] }`,
    `letters: { relay: { host: 127.0.0.1, port: ${mail.port}, tls: off } }`,
    `outbound: { defaultRoute: "127.0.0.1:${mail.port}", scheduleSeconds: [1, 1, 2] }`,
    'people: { secondFactor: offered }',
    'shutdown: { graceSeconds: 5 }',
    ...(database === undefined ? [] : [`store: { kind: postgres, postgres: { url: "${database}" } }`]),
    more,
  ]
  writeFileSync(join(folder, 'gateway.yaml'), `${lines.join('\n')}\n`)
  await mustRun(folder, 'init', '--domain', domain, ...on)
  let serving = await serve(folder)
  const letters = () => mail.received.map(({ to, wire }) => letterOf(to, wire.toString('latin1')))
  return {
    ...{ folder, url, letters, received: mail.received },
    get serving() {
      return serving
    },
    letterTo: (email, has = '') =>
      until(() => letters().findLast(({ to, text }) => to === email && text.includes(has))),
    ask: (path, { from = newAddress(), headers, ...init } = {}) =>
      ask(url, undefined, path, { redirect: 'manual', ...init, headers: { 'x-forwarded-for': from, ...headers } }),
    cli: (...argv) => mustRun(folder, ...argv, ...on),
    async restart(signal = 'SIGTERM') {
      await serving.stop(signal)
      serving = await serve(folder)
    },
    async close() {
      await serving.stop()
      mail.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A letter as its reader has it: unfolded header, text part decoded. */
function letterOf(to: string, wire: string): Letter {
  const subject = /^Subject: (.*(?:\r\n[ \t].*)*)/m.exec(wire)?.[1]?.replace(/\r\n[ \t]/g, ' ') ?? ''
  const text = wire
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return { to, subject, text }
}

/** A name that nobody else has. */
export function unique(stem: string): string {
  return `${stem}-${randomBytes(4).toString('hex')}`
}

/** A problem in one line, to be compared: status, code, and HealthVault's number where it has one. */
export function problem(asked: Asked): string {
  const { code, healthvaultStatus } = asked.json<{ code?: string; healthvaultStatus?: number }>()
  return [asked.status, code, healthvaultStatus].filter((one) => one !== undefined).join(' ')
}
