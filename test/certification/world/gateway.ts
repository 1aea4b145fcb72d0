import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Serving, serve, start } from '../../fixtures/process.js'
import type { Party } from './pki.js'

/** The built gateway as a process, furnished by its command line and looked at through its API. */
export interface Estate {
  /** Our domains, each with the addresses that it serves. */
  readonly domains: Readonly<Record<string, readonly string[]>>
  /** Whose key each owner (a domain or an address) has. */
  readonly keys: readonly { readonly owner: string; readonly party: Party }[]
  readonly anchors: readonly { readonly owner: string; readonly party: Party }[]
  /** Further commands before it starts. */
  readonly commands?: readonly (readonly string[])[]
}

/** Where the world around it stands. */
export interface Surroundings {
  readonly namePort: number
  readonly sinkPort: number
  /** Lines of gateway.yaml beside the usual ones. */
  readonly more?: readonly string[]
  /** Where it listens for mail; a free one by default. What is to be found again after a restart needs its own. */
  readonly smtpPort?: number
  /** The certificate of the listener for mail, as the section `smtp.tls` has it. */
  readonly smtpTls?: string
  /** The section `http` of gateway.yaml, where it is not the usual one: a free port without TLS. */
  readonly http?: string
  /** Of the running gateway, beside what every child has. */
  readonly env?: Readonly<Record<string, string>>
  /** Another main.js than the built one: a copy with a planted bug. */
  readonly program?: string
}

export interface Listed {
  readonly id: string
  readonly messageId: string
  readonly from: string
  readonly subject?: string
  readonly attachments: readonly { readonly index: number; readonly name?: string }[]
}

export interface Gateway {
  readonly folder: string
  readonly pid: number
  readonly url: string
  readonly smtpPort: number
  /** Runs one command to its end; answers its stdout. Throws where it fails. */
  command(...words: readonly string[]): Promise<string>
  /** The same, whatever its end. */
  tried(...words: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }>
  /** Every message of a mailbox. */
  messages(address: string): Promise<readonly Listed[]>
  original(address: string, id: string): Promise<Buffer>
  attachment(address: string, id: string, index: number): Promise<Buffer>
  /** Asks the API with a token for everything. */
  ask(path: string, init?: RequestInit): Promise<{ readonly status: number; readonly bytes: Buffer }>
  /** What it logged. */
  said(): string
  /** Ends it; answers its exit code. */
  close(): Promise<number | null>
  /** Kills it as a power cut would, and starts it anew in the same folder. */
  restarted(): Promise<Gateway>
}

/** The timers of the suites are minutes; these are seconds, so that a run ends. */
export const deadlineSeconds = 4

const scopes = ['messages:read', 'messages:write', 'messages:send']

/** Furnishes and starts one in a folder of its own. Throws with its words where it does not start. */
export async function startGateway(folder: string, estate: Estate, around: Surroundings): Promise<Gateway> {
  mkdirSync(folder, { recursive: true })
  const { program, env } = around
  const which = program === undefined ? {} : { program }
  const tried = async (...words: readonly string[]) => {
    const { code, out, err } = await start([...words, '--config', 'gateway.yaml'], { cwd: folder, ...which }).ended
    return { code, said: code === 0 ? out : `${out}${err}` }
  }
  const command = async (...words: readonly string[]) => {
    const { code, said } = await tried(...words)
    if (code !== 0) throw new Error(`direct-gateway ${words.join(' ')} ended with ${code}: ${said.slice(-600)}`)
    return said
  }

  writeFileSync(join(folder, 'gateway.yaml'), configuration(around))
  const [[first = '', addresses = []] = [], ...others] = Object.entries(estate.domains)
  await command('init', '--domain', first, '--address', ...addresses)
  for (const [domain, served] of others) {
    await command('domain', 'add', domain)
    await command('address', 'add', ...served)
  }
  for (const { owner, party } of estate.keys)
    await command('key', 'import', '--for', owner, '--pkcs8', party.keyPath, '--cert', party.certificatePath)
  for (const { owner, party } of estate.anchors) await command('anchor', 'add', party.certificatePath, '--for', owner)
  for (const words of estate.commands ?? []) await command(...words)
  const token = await tokenFor(command, tried)
  const begin = async (): Promise<Gateway> => {
    const serving = await serve(folder, { ...which, ...(env && { env }) })
    const restarted = async () => {
      await serving.stop('SIGKILL')
      return begin()
    }
    return { ...running(serving, token), folder, command, tried, restarted }
  }
  return begin()
}

function configuration({ namePort, sinkPort, more = [], smtpPort = 0, smtpTls, http }: Surroundings): string {
  return [
    'dataDir: data',
    'hostname: gateway.patients.test',
    `smtp: { host: 127.0.0.1, port: ${smtpPort}${smtpTls === undefined ? '' : `, tls: ${smtpTls}`} }`,
    `http: ${http ?? '{ host: 127.0.0.1, port: 0 }'}`,
    `dns: { servers: ["127.0.0.1:${namePort}"], timeoutMs: 1000, attempts: 2 }`,
    'fetch: { allowPrivateAddresses: true, timeoutMs: 1000 }',
    `undecided: { deadlineSeconds: ${deadlineSeconds}, retrySeconds: [1] }`,
    `outbound: { port: ${sinkPort}, tls: "off", scheduleSeconds: [1], lifetimeSeconds: 60, connectionsPerDomain: 8 }`,
    'shutdown: { graceSeconds: 5 }',
    ...more,
    '',
  ].join('\n')
}

/** With every scope that this gateway knows. */
async function tokenFor(command: Gateway['command'], tried: Gateway['tried']): Promise<string> {
  const create = ['token', 'create', '--address', '*', '--scope']
  const { code, said } = await tried(...create, scopes.join(','))
  if (code === 0) return said.trim()
  return (await command(...create, scopes.slice(0, 2).join(','))).trim()
}

function running(serving: Serving, token: string): Omit<Gateway, 'folder' | 'command' | 'tried' | 'restarted'> {
  const of = (address: string) => `/api/v1/mailboxes/${encodeURIComponent(address)}/messages`
  const bytes = async (path: string): Promise<Buffer> => {
    const answer = await ask(serving.url, token, path)
    if (answer.status === 429) {
      await sleep(Number(answer.headers.get('retry-after') ?? 1) * 1000)
      return bytes(path)
    }
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.bytes.toString()}`)
    return answer.bytes
  }
  return {
    pid: serving.process.pid ?? 0,
    url: serving.url,
    smtpPort: serving.smtpPort,
    async messages(address) {
      const all: Listed[] = []
      for (let cursor = ''; ; ) {
        const page = JSON.parse((await bytes(`${of(address)}?limit=200${cursor}`)).toString()) as {
          readonly messages: readonly Listed[]
          readonly next?: string
        }
        all.push(...page.messages)
        if (page.next === undefined) return all
        cursor = `&cursor=${encodeURIComponent(page.next)}`
      }
    },
    original: (address, id) => bytes(`${of(address)}/${id}/original`),
    attachment: (address, id, index) => bytes(`${of(address)}/${id}/attachments/${index}`),
    ask: (path, init) => ask(serving.url, token, path, init),
    said: () => serving.err(),
    async close() {
      return (await serving.stop()).code
    },
  }
}
