import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ready } from '../../setup/programs.mjs'
import type { NameServer } from './dns.js'
import type { DirectoryServer, Entry } from './ldap.js'
import { freePort } from './ports.js'
import { masterFile, origin, type ZoneRecord } from './zone.js'

/** BIND and OpenLDAP with the same zone and the same entries, each in a folder of its own and on a port of its own. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Starts a copy of a program in the folder: what confines the packaged one by its path (AppArmor) knows nothing of our
 * folders. Answers how to end it.
 */
async function started(
  folder: string,
  program: string,
  name: string,
  words: readonly string[],
  port: number,
): Promise<() => Promise<void>> {
  const copy = join(folder, name)
  copyFileSync(program, copy)
  chmodSync(copy, 0o700)
  const child = spawn(copy, words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000)
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let over = false
  void ended.then(() => {
    over = true
    running.delete(child)
  })
  for (let tries = 0; tries < 200 && !over; tries++) {
    if (await listens(port))
      return async () => {
        child.kill('SIGTERM')
        const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
        await ended
        clearTimeout(late)
      }
    await sleep(50)
  }
  child.kill('SIGKILL')
  throw new Error(`${name} does not listen on ${port}: ${said.trim()}`)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}

function standing(name: 'bind' | 'slapd'): string {
  const found = ready(name)
  if (!found) throw new Error(`${name} is not installed`)
  return found
}

/** BIND, authoritative for the zone; 512 bytes over UDP, as DCDT's server. */
export async function startBind(folder: string, records: readonly ZoneRecord[]): Promise<NameServer> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  writeFileSync(join(folder, 'zone'), masterFile(records))
  const options = [
    `directory "${folder}"`,
    'pid-file none',
    'session-keyfile none',
    `listen-on port ${port} { 127.0.0.1; }`,
    'listen-on-v6 { none; }',
    'recursion no',
    'dnssec-validation no',
    'max-udp-size 512',
    'edns-udp-size 512',
    'minimal-responses yes',
  ]
  writeFileSync(
    join(folder, 'named.conf'),
    `options { ${options.join('; ')}; };\ncontrols { };\nzone "${origin}" { type primary; file "zone"; };\n`,
  )
  const words = ['-g', '-n', '1', '-c', join(folder, 'named.conf')]
  const close = await started(folder, standing('bind'), 'named', words, port)
  return { port, asked: undefined, close }
}

/** Who may write to the directory. */
export const directoryAdmin = { name: 'cn=admin,ou=dcdt', password: 'of-no-use-elsewhere' }

/** OpenLDAP with these entries below `ou=dcdt`, its base readable in the root entry. */
export async function startSlapd(folder: string, entries: readonly Entry[]): Promise<DirectoryServer> {
  mkdirSync(join(folder, 'data'), { recursive: true })
  const port = await freePort()
  const configuration = join(folder, 'slapd.conf')
  const schemas = ['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`)
  writeFileSync(
    configuration,
    [
      ...schemas,
      'modulepath /usr/lib/ldap',
      'moduleload back_mdb',
      `pidfile ${join(folder, 'pid')}`,
      'access to dn.base="" by * read',
      'database mdb',
      'maxsize 33554432',
      'suffix "ou=dcdt"',
      `rootdn "${directoryAdmin.name}"`,
      `rootpw ${directoryAdmin.password}`,
      `directory ${join(folder, 'data')}`,
      'index objectClass,mail eq',
      'access to * by * read',
      '',
    ].join('\n'),
  )
  const ldif = entries.map(({ name, mail, certificate }) =>
    [
      `dn: cn=${name},ou=dcdt`,
      'objectClass: inetOrgPerson',
      `cn: ${name}`,
      `sn: ${name}`,
      `mail: ${mail}`,
      `userCertificate;binary:: ${certificate.toString('base64')}`,
    ].join('\n'),
  )
  const top = 'dn: ou=dcdt\nobjectClass: organizationalUnit\nou: dcdt'
  const program = standing('slapd')
  const copy = join(folder, 'slapadd')
  copyFileSync(program, copy)
  chmodSync(copy, 0o700)
  const added = spawnSync(copy, ['-f', configuration], { input: [top, ...ldif, ''].join('\n\n') })
  if (added.status !== 0) throw new Error(`slapadd: ${added.stderr.toString()}`)
  const words = ['-d', '0', '-f', configuration, '-h', `ldap://127.0.0.1:${port}/`]
  const close = await started(folder, program, 'slapd', words, port)
  return { port, asked: undefined, close }
}
