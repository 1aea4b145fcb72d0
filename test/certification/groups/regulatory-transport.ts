import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { start } from '../../fixtures/process.js'
import type { Look } from '../finding.js'
import { groups, type Hello, say } from '../world/hello.js'
import { type Notes, notes } from './notes.js'
import type { RegulatoryWorld } from './regulatory-world.js'

/**
 * 45 CFR 170.315(d)(9): every listener speaks TLS 1.2 and 1.3 with suites that FIPS 140 approves (NIST SP 800-52r2 §3.3.1),
 * and nothing else. Judged by OpenSSL's client, and by hellos written byte by byte for what it does not speak any more.
 */
export async function transportCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  await Promise.all([...listenersOf(world).map((one) => listened(world, one, heard)), inTheClear(world, heard)])
  heard.seen.push(
    `${Object.keys(listenersOf(world)).length} listeners, ${unapproved.length} suites that are not approved`,
  )
  return heard.look()
}

interface Listener {
  readonly name: string
  readonly port: number
  readonly startTls: boolean
}

const listenersOf = ({ ports }: RegulatoryWorld): readonly Listener[] => [
  { name: 'http', port: ports.http, startTls: false },
  { name: 'smtp', port: ports.smtp, startTls: true },
  { name: 'submission', port: ports.submission, startTls: true },
  { name: 'submission with implicit TLS', port: ports.implicit, startTls: false },
]

/** SP 800-52r2 §3.3.1.1 and appendix: AES with GCM, CCM or CBC and SHA-2, and a key exchange that is ephemeral. By number (IANA). */
const approved12 = [
  ...[0xc02b, 0xc02c, 0xc02f, 0xc030, 0x009e, 0x009f, 0x00a2, 0x00a3],
  ...[0xc023, 0xc024, 0xc027, 0xc028, 0x0067, 0x006b, 0x0040, 0x006a],
  ...[0xc0ac, 0xc0ad, 0xc09e, 0xc09f, 0xc0ae, 0xc0af, 0xc0a2, 0xc0a3],
]
const approved13 = [0x1301, 0x1302, 0x1304, 0x1305]

const span = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at)
/** All that ever had a number for TLS 1.2 and before, but what is approved and the two that only signal. */
const unapproved = [
  ...span(0x0000, 0x00fe),
  ...span(0xc001, 0xc0b3),
  ...span(0xcc13, 0xcc15),
  ...span(0xcca8, 0xccae),
].filter((suite) => !approved12.includes(suite))

/** Families that the rule names, so that a line says which one was taken. */
const families: Readonly<Record<string, readonly number[]>> = {
  'no encryption': [0x0001, 0x0002, 0x003b, 0xc006, 0xc010],
  RC4: [0x0004, 0x0005, 0xc007, 0xc011],
  '3DES': [0x000a, 0x0016, 0xc008, 0xc012],
  'RSA key transport': [0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035],
  'CBC with SHA-1': [0xc009, 0xc00a, 0xc013, 0xc014, 0x0033, 0x0039],
  ChaCha20: [0xcca8, 0xcca9, 0xccaa, 0xcc13, 0xcc14, 0xcc15],
  'nobody proved': [0x0034, 0x003a, 0x006c, 0x006d, 0x00a6, 0x00a7, 0xc018, 0xc019],
  'export grade': [0x0003, 0x0006, 0x0008, 0x0014],
  'Camellia, ARIA and SEED': [0x0041, 0x0084, 0x0096, 0x009a, 0xc060, 0xc061, 0xc076, 0xc077],
}

async function listened(world: RegulatoryWorld, listener: Listener, heard: Notes): Promise<void> {
  const spoken = async (what: string, hello: Hello) => {
    const answer = await say(listener.port, hello, listener.startTls)
    const words = answer.kind === 'spoken' ? `${answer.version.toString(16)} ${answer.suite.toString(16)}` : 'refused'
    return { what: `${listener.name}: ${what}`, words }
  }
  const refuses = async (what: string, hello: Hello) => {
    const { what: name, words } = await spoken(what, hello)
    heard.hear(name, words, /^refused$/)
  }
  const takes = async (what: string, hello: Hello, must: RegExp) => {
    const { what: name, words } = await spoken(what, hello)
    heard.hear(name, words, must)
  }
  // The same hellos are taken as soon as they offer what is approved: what refuses the others is the suite, or the version.
  await takes('approved suites', { version: 0x0303, suites: approved12 }, /^303 c0(2b|2c|2f|30)$/)
  await takes('one among others', { version: 0x0303, suites: [...unapproved, 0xc02f] }, /^303 c02f$/)
  await takes('TLS 1.3', { version: 0x0304, suites: approved13 }, /^303 130[12]$/)
  await refuses('any suite that is not approved', { version: 0x0303, suites: unapproved })
  for (const [name, suites] of Object.entries(families)) await refuses(name, { version: 0x0303, suites })
  await refuses('TLS 1.3 with ChaCha20', { version: 0x0304, suites: [0x1303] })
  for (const [name, version] of Object.entries({ 'TLS 1.1': 0x0302, 'TLS 1.0': 0x0301, 'SSL 3.0': 0x0300 }))
    await refuses(name, { version, suites: [...unapproved, ...approved12] })
  // SP 800-56Ar3 appendix D: curves of NIST's, and no others.
  for (const version of [0x0303, 0x0304])
    await refuses('curves that are not approved', {
      ...{ version, suites: version === 0x0304 ? approved13 : [0xc02f, 0xc030] },
      groups: [groups.x25519, groups.x448],
    })
  await judgedByOpenSsl(world, listener, heard)
}

/** What `openssl s_client` makes of it; it speaks to TLS 1.0 and 1.1 with security level 0 alone. */
async function judgedByOpenSsl(world: RegulatoryWorld, listener: Listener, heard: Notes): Promise<void> {
  const ca = world.openssl.write('ca.pem', world.ca)
  const offers: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], /^none$/],
    ['TLS 1.0', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'], /^none$/],
    ['RSA key transport and SHA-1', ['-tls1_2', '-cipher', 'kRSA:AES+SHA1:@SECLEVEL=0'], /^none$/],
    ['ChaCha20', ['-tls1_2', '-cipher', 'CHACHA20'], /^none$/],
    ['TLS 1.3 with ChaCha20', ['-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], /^none$/],
    ['TLS 1.2', ['-tls1_2'], /^TLSv1\.2 ECDHE-RSA-AES(128|256)-GCM-SHA(256|384)$/],
    ['CBC with SHA-2', ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-SHA256'], /^TLSv1\.2 ECDHE-RSA-AES128-SHA256$/],
    ['TLS 1.3', ['-tls1_3'], /^TLSv1\.3 TLS_AES_(128|256)_GCM_SHA(256|384)$/],
  ]
  for (const [name, words, must] of offers) {
    const how = listener.startTls ? ['-starttls', 'smtp'] : []
    const trust = ['-CAfile', ca, '-verify_return_error', '-verify_hostname', 'localhost']
    const chosen = await chosenBy(['-connect', `127.0.0.1:${listener.port}`, ...how, ...trust, ...words])
    heard.hear(`${listener.name}: OpenSSL with ${name}`, chosen, must)
  }
}

/** `version suite` that was agreed on; `none` where none was. */
async function chosenBy(words: readonly string[]): Promise<string> {
  const run = promisify(execFile)('openssl', ['s_client', ...words], { timeout: 20_000 })
  run.child.stdin?.end()
  const { stdout } = await run.catch((error: { readonly stdout?: string }) => ({ stdout: error.stdout ?? '' }))
  const [, version, suite] = /^New, (\S+), Cipher is (\S+)$/m.exec(stdout) ?? []
  const [, spoken = version] = /^\s*Protocol\s*:\s*(\S+)$/m.exec(stdout) ?? []
  return suite === undefined || suite === '(NONE)' ? 'none' : `${spoken} ${suite}`
}

/** Nothing of worth is said in the clear: not to the listener for HTTP, and no listener without TLS stands where others reach it. */
async function inTheClear({ ports, measure }: RegulatoryWorld, heard: Notes): Promise<void> {
  heard.hear('plain HTTP where TLS is spoken', await plainAnswer(ports.http), /^(?!HTTP\/1\.\d (2|3|401|403))/)
  const folder = join(measure.home, 'in-the-clear')
  mkdirSync(folder)
  const lines = [
    'dataDir: data',
    'hostname: clear.test',
    'smtp: { host: 127.0.0.1, port: 0 }',
    'http: { host: 0.0.0.0, port: 0 }',
  ]
  writeFileSync(join(folder, 'gateway.yaml'), `${lines.join('\n')}\n`)
  const which = measure.program === undefined ? {} : { program: measure.program }
  const run = (...words: string[]) => start([...words, '--config', 'gateway.yaml'], { cwd: folder, ...which })
  const made = await run('init', '--domain', 'clear.test', '--address', 'a@clear.test').ended
  if (made.code !== 0) heard.wrong.push(`init ended with ${made.code}: ${made.err.slice(-200)}`)
  const serving = run('serve')
  const stop = setTimeout(() => serving.process.kill('SIGKILL'), 15_000)
  const { code, out, err } = await serving.ended
  clearTimeout(stop)
  heard.hear('plain HTTP for everybody', `${code} ${out}${err}`, /^[1-9]\d* .*(plain HTTP|certificate|TLS)/is)
}

function plainAnswer(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => resolve(text)).on('close', () => resolve(text))
    socket.setTimeout(5_000, () => socket.destroy())
  })
}
