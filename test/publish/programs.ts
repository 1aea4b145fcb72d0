import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type SlapdOptions, slapdConfiguration } from '../../src/publish/slapd.js'
import { ready } from '../setup/programs.mjs'

/** Servers and clients of others that judge what we publish: BIND, dig, OpenLDAP. Each server dies with its test. */

const run = promisify(execFile)

export const found = { named: ready('bind'), dig: ready('dig'), slapd: ready('slapd') }

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listening(port: number, child: ChildProcess, says: () => string): Promise<void> {
  for (let left = 200; left > 0; left--) {
    if (child.exitCode !== null) break
    const socket = connect(port, '127.0.0.1')
    const there = await Promise.race([
      once(socket, 'connect').then(
        () => true,
        () => false,
      ),
      sleep(500, false),
    ])
    socket.destroy()
    if (there) return
    await sleep(25)
  }
  throw new Error(`It did not start: ${says()}`)
}

export interface Running {
  readonly port: number
  readonly folder: string
  readonly pid: number
  stop(): Promise<void>
}

async function running(folder: string, port: number, program: string, args: readonly string[]): Promise<Running> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => {
      said = `${said}${text}`.slice(-4000)
    })
  const ended = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    child.kill('SIGTERM')
    await Promise.race([ended, sleep(3000).then(kill)])
    await ended
    process.removeListener('exit', kill)
  }
  try {
    await listening(port, child, () => said)
  } catch (error) {
    await stop()
    throw error
  }
  return { port, folder, pid: child.pid ?? 0, stop }
}

/** BIND with one zone file, on both transports of one port; answers as a modern authoritative server. */
export async function startNamed(zone: string, records: readonly string[], transfers = 'none'): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'dg-named-'))
  const port = await freePort()
  writeFileSync(join(folder, 'zone'), `${records.join('\n')}\n`)
  writeFileSync(
    join(folder, 'named.conf'),
    `options { directory "${folder}"; pid-file none; session-keyfile none; listen-on port ${port} { 127.0.0.1; };
       listen-on-v6 { none; }; recursion no; minimal-responses yes; minimal-any no; zero-no-soa-ttl no; allow-transfer { ${transfers}; };
       dnssec-validation no; notify no; };
     controls { };
     zone "${zone}" { type primary; file "zone"; };\n`,
  )
  const server = await running(folder, port, found.named ?? 'named', [
    '-g',
    '-n',
    '1',
    '-c',
    join(folder, 'named.conf'),
  ])
  return { ...server, stop: () => server.stop().finally(() => rmSync(folder, { recursive: true, force: true })) }
}

/** OpenLDAP with our own example of a configuration. `again` starts it once more on the same port and database. */
export async function startSlapd(
  options: Omit<SlapdOptions, 'folder'>,
  change = (configuration: string) => configuration,
): Promise<Running & { again(): Promise<Running> }> {
  const folder = mkdtempSync(join(tmpdir(), 'dg-slapd-'))
  const port = await freePort()
  const path = join(folder, 'slapd.conf')
  writeFileSync(path, change(slapdConfiguration({ ...options, folder })))
  const start = () =>
    running(folder, port, found.slapd ?? 'slapd', ['-f', path, '-h', `ldap://127.0.0.1:${port}/`, '-d', 'none'])
  const server = await start()
  return { ...server, again: start }
}

/** What a program prints; its exit code with it. */
export async function says(program: string, ...args: readonly string[]): Promise<{ code: number; out: string }> {
  try {
    const { stdout } = await run(program, args, { maxBuffer: 1 << 26 })
    return { code: 0, out: stdout }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    return { code: Number(code ?? -1), out: `${stdout}${stderr}` }
  }
}

/** What a stranger, or who the options say, finds by a search: entries by their names. */
export async function ldapSearch(
  port: number,
  base: string,
  filter: string,
  options: readonly string[] = [],
  attributes: readonly string[] = [],
) {
  const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', `ldap://127.0.0.1:${port}/`, '-b', base, ...options]
  const { code, out } = await says('ldapsearch', ...args, filter, ...attributes)
  return { code, dns: [...out.matchAll(/^dn: (.*)$/gm)].map(([, dn]) => dn), out }
}
