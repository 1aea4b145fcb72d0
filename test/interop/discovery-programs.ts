import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base, certificates, certRecords, ldapEntries, serviceRecords } from '../resolve/discovery-world.js'

/** Real servers that hold the world of the discovery cases: BIND for DNS, OpenLDAP three times for LDAP. */
export interface RealWorld {
  /** Answers 512 octets at most over UDP, as the testing tool's does. */
  readonly narrowDnsPort: number
  readonly dnsPort: number
  readonly ldapPorts: Readonly<Record<keyof typeof ldapEntries, number>>
  close(): Promise<void>
}

/** Starts them in a temporary folder on free ports of 127.0.0.1. */
export async function startRealWorld(): Promise<RealWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'discovery-'))
  const children: ChildProcess[] = []
  const close = async () => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
    rmSync(folder, { recursive: true })
  }
  try {
    const ldapPorts = {
      ldap1: await startSlapd(folder, 'ldap1', children),
      ldap2: await startSlapd(folder, 'ldap2', children),
      ldap3: await startSlapd(folder, 'ldap3', children),
    }
    writeFileSync(join(folder, 'dcdt.zone'), zoneFile(ldapPorts))
    const narrow = 'max-udp-size 512; edns-udp-size 512;'
    const narrowDnsPort = await startNamed(folder, 'narrow', narrow, children)
    const dnsPort = await startNamed(folder, 'wide', '', children)
    return { narrowDnsPort, dnsPort, ldapPorts, close }
  } catch (error) {
    await close()
    throw error
  }
}

function zoneFile(ldapPorts: Parameters<typeof serviceRecords>[0]): string {
  const lines = [
    `$ORIGIN ${base}.`,
    `@ 300 IN SOA ns1 root 1 300 300 300 300`,
    '@ 300 IN NS ns1',
    'ns1 300 IN A 127.0.0.1',
    'ldap 300 IN A 127.0.0.1',
    `alias.domain1 300 IN CNAME d1.domain1`,
  ]
  for (const [name, own] of Object.entries(certRecords))
    for (const one of own)
      lines.push(`${name} 300 IN CERT PKIX 0 8 ${Buffer.from(certificates[one]).toString('base64')}`)
  for (const { name, records } of serviceRecords(ldapPorts))
    for (const { priority, weight, port, target } of records)
      lines.push(`${name}. 300 IN SRV ${priority} ${weight} ${port} ${target}.`)
  return `${lines.join('\n')}\n`
}

async function startNamed(folder: string, name: string, size: string, children: ChildProcess[]): Promise<number> {
  const port = await freePort()
  const conf = join(folder, `${name}.conf`)
  writeFileSync(
    conf,
    `options { directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
      ${size} minimal-responses yes; pid-file none; session-keyfile none; dnssec-validation no;
      managed-keys-directory "${folder}"; };
    controls { };
    zone "${base}" { type primary; file "dcdt.zone"; };`,
  )
  return started(spawn('named', ['-f', '-n', '1', '-c', conf], { stdio: 'ignore' }), port, children)
}

async function startSlapd(folder: string, name: keyof typeof ldapEntries, children: ChildProcess[]): Promise<number> {
  const port = await freePort()
  const data = join(folder, name)
  mkdirSync(data)
  const conf = join(folder, `${name}.conf`)
  const schemas = ['core', 'cosine', 'inetorgperson'].map((schema) => `include /etc/ldap/schema/${schema}.schema`)
  writeFileSync(
    conf,
    [
      ...schemas,
      'modulepath /usr/lib/ldap',
      'moduleload back_mdb',
      `pidfile ${data}/pid`,
      'access to dn.base="" by * read',
      'database mdb',
      'maxsize 16777216',
      'suffix "ou=dcdt"',
      `directory ${data}`,
      'access to * by * read',
      '',
    ].join('\n'),
  )
  const entries = ldapEntries[name].map(([one, mail]) =>
    [
      `dn: cn=${one},ou=dcdt`,
      'objectClass: inetOrgPerson',
      `cn: ${one}`,
      `sn: ${one}`,
      `mail: ${mail}`,
      `userCertificate;binary:: ${Buffer.from(certificates[one]).toString('base64')}`,
      '',
    ].join('\n'),
  )
  const ldif = join(folder, `${name}.ldif`)
  writeFileSync(ldif, ['dn: ou=dcdt\nobjectClass: organizationalUnit\nou: dcdt\n', ...entries].join('\n'))
  execFileSync('slapadd', ['-f', conf, '-l', ldif], { stdio: 'ignore' })
  const child = spawn('slapd', ['-f', conf, '-h', `ldap://127.0.0.1:${port}`, '-d', '0'], { stdio: 'ignore' })
  return started(child, port, children)
}

/** Waits until the port takes connections, for ten seconds at most. */
async function started(child: ChildProcess, port: number, children: ChildProcess[]): Promise<number> {
  children.push(child)
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    if (await listens(port)) return port
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${child.spawnfile} does not listen`)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
