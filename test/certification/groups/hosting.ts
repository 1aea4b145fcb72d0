import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../fixtures/process.js'
import { ready } from '../../setup/programs.mjs'
import { broken, complete, type Finding, type Look, type Measure, told, wants } from '../finding.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import { startWeb } from '../world/http.js'
import { type OpenSsl, openSsl, textOf } from '../world/openssl.js'
import { type Authority, openPki, type Party } from '../world/pki.js'
import { freePort } from '../world/ports.js'
import { directoryAdmin, startSlapd } from '../world/programs.js'
import { startSink } from '../world/sink.js'

/** Our own certificates, looked up as DCDT looks them up: by dig, and by ldapsearch where the name server says. */
const ourDomain = 'patients.test'
const address = `pat.sample@${ourDomain}`
/** Served, and without a key of its own: nobody may tell it from one that does not exist. */
const quiet = `nan.other@${ourDomain}`
const run = promisify(execFile)

interface World {
  readonly openssl: OpenSsl
  readonly authority: Authority
  readonly addressKey: Party
  readonly domainKey: Party
  readonly namePort: number
}

/** How the gateway is told to publish: a name server of its own, and a directory server that it keeps in step. */
function publishing(namePort: number, ldapPort: number, passwordFile: string): readonly string[] {
  const records = [
    '@ MX 10 mail',
    'mail A 127.0.0.1',
    'ns A 127.0.0.1',
    'ldap A 127.0.0.1',
    `_ldap._tcp SRV 0 0 ${ldapPort} ldap`,
  ]
  return [
    'publish:',
    '  dns:',
    '    host: 127.0.0.1',
    `    port: ${namePort}`,
    '    zones:',
    `      - name: ${ourDomain}`,
    `        nameServers: [ns.${ourDomain}]`,
    `        contact: hostmaster@${ourDomain}`,
    `        records: ${JSON.stringify(records)}`,
    '  ldap:',
    `    url: ldap://127.0.0.1:${ldapPort}`,
    `    bindDn: ${JSON.stringify(directoryAdmin.name)}`,
    `    passwordFile: ${passwordFile}`,
    '    baseDn: ou=direct,ou=dcdt',
    '    everySeconds: 1',
  ]
}

/** Runs the group: our gateway publishes, and each case looks. */
export async function hosting(measure: Measure): Promise<readonly Finding[]> {
  for (const name of ['dig', 'slapd'] as const)
    if (!ready(name))
      return complete('hosting', measure, []).map(({ id }) => ({ id, passed: false, seen: `SKIPPED: no ${name}` }))
  const closers: (() => Promise<unknown>)[] = []
  try {
    const openssl = openSsl(join(measure.home, 'openssl'))
    const web = await startWeb()
    closers.push(web.close)
    const pki = openPki(openssl)
    const authority = await pki.root('Hosting Root', { crl: `${web.url}/root.crl`, aia: `${web.url}/root.cer` })
    const addressKey = await authority.issue('address', { subjectAltName: `email:${address}`, emailAddress: address })
    const domainKey = await authority.issue('domain', { subjectAltName: `DNS:${ourDomain}`, emailAddress: ourDomain })
    const list = await authority.list()
    web.places.set('/root.crl', { kind: 'bytes', type: 'application/pkix-crl', bytes: () => list })
    web.places.set('/root.cer', { kind: 'bytes', type: 'application/pkix-cert', bytes: () => authority.certificate })
    const slapd = await startSlapd(join(measure.home, 'slapd'), [])
    closers.push(slapd.close)
    const sink = await startSink()
    closers.push(sink.close)
    const namePort = await freePort()
    const surroundings = { sinkPort: sink.port, ...(measure.program !== undefined && { program: measure.program }) }
    const gateway = await startGateway(
      join(measure.home, 'gateway'),
      {
        domains: { [ourDomain]: [address, quiet] },
        keys: [
          { owner: address, party: addressKey },
          { owner: ourDomain, party: domainKey },
        ],
        anchors: [],
      },
      {
        ...surroundings,
        namePort,
        more: publishing(namePort, slapd.port, openssl.write('password', directoryAdmin.password)),
      },
    )
    closers.push(gateway.close)
    const world = { openssl, authority, addressKey, domainKey, namePort }
    await until(async () => ((await dig(world, 'SOA', ourDomain)).status === 'NOERROR' ? true : undefined), 15_000)
    measure.tell('hosting: certificates are looked up')
    const findings: Finding[] = []
    for (const [id, look] of Object.entries(looks))
      if (wants(measure, id)) findings.push(await look(world).then(told(id), broken(id)))
    if (wants(measure, 'HOST-DT')) {
      const other = () => startOther(measure, world, surroundings, closers)
      findings.push(
        await other()
          .then((asker) => lookedUp(asker, world))
          .then(told('HOST-DT'), broken('HOST-DT')),
      )
    }
    return complete('hosting', measure, findings)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

const looks: Readonly<Record<string, (world: World) => Promise<Look>>> = {
  'HOST-H1': async (world) => {
    const found = await inDns(world, address.replace('@', '.'))
    const wrong = await certificateFaults(world, found, address, world.addressKey)
    // Until a server that has just started knows all of its names, it says of none that it is not there.
    const nobody = `nobody@${ourDomain}`
    const isKnown = async () => (await dig(world, 'CERT', nobody.replace('@', '.'))).status === 'NXDOMAIN'
    await until(async () => ((await isKnown()) ? true : undefined), 15_000).catch(() => undefined)
    for (const name of [quiet, nobody]) {
      const { status, certificates } = await dig(world, 'CERT', name.replace('@', '.'))
      if (status !== 'NXDOMAIN' || certificates.length > 0) wrong.push(`${name} is told apart: ${status}`)
    }
    const transfer = await dig(world, 'AXFR', ourDomain)
    if (/\bIN\s+CERT\b/.test(transfer.text)) wrong.push('the whole zone is given away')
    return { seen: `${found.length} certificate by DNS`, wrong }
  },
  'HOST-H2': async (world) => {
    const found = await inDns(world, ourDomain)
    return {
      seen: `${found.length} certificate by DNS`,
      wrong: await certificateFaults(world, found, ourDomain, world.domainKey),
    }
  },
  'HOST-H3': async (world) => {
    const found = await inLdap(world, address)
    return {
      seen: `${found.length} certificate by LDAP`,
      wrong: await certificateFaults(world, found, address, world.addressKey),
    }
  },
  'HOST-H4': async (world) => {
    const found = await inLdap(world, ourDomain)
    return {
      seen: `${found.length} certificate by LDAP`,
      wrong: await certificateFaults(world, found, ourDomain, world.domainKey),
    }
  },
}

/** Asks our name server with dig. */
async function dig({ namePort }: World, type: string, name: string) {
  const words = ['@127.0.0.1', '-p', String(namePort), '+tries=2', '+time=2', type, name]
  const { stdout } = await run('dig', words).catch((error) => {
    throw new Error(`dig ${words.join(' ')}: ${String(error.stdout).trim()}`)
  })
  const certificates = [...stdout.matchAll(/\bIN\s+CERT\s+PKIX\s+\d+\s+\S+\s+(.+)$/gm)].map(([, data = '']) =>
    Buffer.from(data.replace(/\s/g, ''), 'base64'),
  )
  return { text: stdout, status: /status: (\w+)/.exec(stdout)?.[1] ?? 'none', certificates }
}

async function inDns(world: World, name: string): Promise<readonly Buffer[]> {
  const { certificates } = await dig(world, 'CERT', name)
  return certificates
}

/** As DCDT asks: SRV, then the base in the server's root entry, then by `mail`. */
async function inLdap(world: World, mail: string): Promise<readonly Buffer[]> {
  const { text } = await dig(world, 'SRV', `_ldap._tcp.${ourDomain}`)
  const [, port, target] = /\bIN\s+SRV\s+\d+\s+\d+\s+(\d+)\s+(\S+)\.\s*$/m.exec(text) ?? []
  if (!port || !target) throw new Error('no SRV record')
  const { text: place } = await dig(world, 'A', target)
  const host = /\bIN[ \t]+A[ \t]+([\d.]+)/.exec(place)?.[1]
  if (!host) throw new Error(`${target} has no address`)
  const url = `ldap://${host}:${port}`
  const search = async (...words: readonly string[]) =>
    (await run('ldapsearch', ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', url, ...words])).stdout
  const root = await search('-s', 'base', '-b', '', 'namingContexts')
  const base = /^namingContexts: (.+)$/m.exec(root)?.[1]
  if (!base) throw new Error('no namingContexts')
  const filter = `(&(mail=${mail})(|(userCertificate;binary=*)(userCertificate=*)))`
  // It is kept in step a little later.
  const found = await until(async () => {
    const text = await search('-b', base, filter, 'userCertificate;binary', 'userCertificate')
    return text.includes('userCertificate') ? text : undefined
  }, 10_000)
  return [...found.matchAll(/^userCertificate(?:;binary)?:: (\S+)$/gm)].map(([, data = '']) =>
    Buffer.from(data, 'base64'),
  )
}

/** Holds what was found against DCDT's rules, by OpenSSL: the name, the time, the path, and the list where it says. */
async function certificateFaults(
  { openssl, authority }: World,
  found: readonly Buffer[],
  owner: string,
  { certificate }: Party,
): Promise<string[]> {
  if (found.length !== 1 || !found[0]?.equals(certificate))
    return [`${found.length} certificates, not the one of ${owner}`]
  const file = openssl.write(
    'found.pem',
    await openssl('x509', '-inform', 'DER', '-in', openssl.write('found', found[0])),
  )
  const wrong: string[] = []
  const names = await textOf(openssl, 'x509', '-in', file, '-noout', '-ext', 'subjectAltName,crlDistributionPoints')
  if (!names.includes(owner.includes('@') ? `email:${owner}` : `DNS:${owner}`)) wrong.push('its name is not the owner')
  const url = /URI:(\S+)/.exec(names)?.[1]
  if (!url) return [...wrong, 'no distribution point']
  const answer = await fetch(url)
  if (!answer.ok) return [...wrong, `the list is not to be had: ${answer.status}`]
  const list = openssl.write('list', Buffer.from(await answer.arrayBuffer()))
  const listPem = openssl.write('list.pem', await openssl('crl', '-inform', 'DER', '-in', list))
  const words = ['-crl_check', '-CAfile', authority.certificatePath, '-CRLfile', listPem, file]
  await openssl('verify', ...words).catch((error) => wrong.push(String(error).slice(0, 200)))
  return wrong
}

/** Another gateway, whose name server is ours. */
function startOther(
  measure: Measure,
  { authority, openssl: { folder }, namePort }: World,
  surroundings: { readonly sinkPort: number; readonly program?: string },
  closers: (() => Promise<unknown>)[],
): Promise<Gateway> {
  const pki = openPki(openSsl(join(folder, 'other')))
  const started = async () => {
    const root = await pki.root('Asking Root')
    const key = await root.issue('asking', { subjectAltName: 'DNS:hisp.test' })
    const gateway = await startGateway(
      join(measure.home, 'asking'),
      {
        domains: { 'hisp.test': ['sender@hisp.test'] },
        keys: [{ owner: 'hisp.test', party: key }],
        anchors: [{ owner: 'hisp.test', party: authority }],
      },
      { ...surroundings, namePort },
    )
    closers.push(gateway.close)
    return gateway
  }
  return started()
}

/** Our own resolver against our own publisher: the certificate is found, and its details shown. */
async function lookedUp(asker: Gateway, { openssl, addressKey }: World): Promise<Look> {
  const words = ['--from', 'sender@hisp.test', '--to', address, '--json']
  const { code, said } = await asker.tried('trust', 'explain', ...words)
  const print = await textOf(openssl, 'x509', '-in', addressKey.certificatePath, '-noout', '-fingerprint', '-sha256')
  const fingerprint = print.trim().replace(/^.*=/, '').replaceAll(':', '').toLowerCase()
  const wrong: string[] = []
  if (code !== 0) wrong.push(`trust explain ended with ${code}: ${said.trim().slice(-200)}`)
  if (!said.includes(fingerprint)) wrong.push('the certificate is not shown')
  return { seen: `found ${fingerprint.slice(0, 16)} by our own resolver`, wrong }
}
