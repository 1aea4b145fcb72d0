import { execFileSync, spawnSync } from 'node:child_process'
import { constants, createPublicKey, publicEncrypt, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyFrom } from '../src/smime/key.js'
import { openLarge, openMessage } from '../src/smime/open.js'
import type { SealPolicy } from '../src/smime/policy.js'
import { sealMessage } from '../src/smime/seal.js'
import { readCertificate } from '../src/x509/certificate.js'
import { type Identity, makeAuthority, makeLeaf } from '../test/fixtures/pki.js'

/**
 * How fast S/MIME opens and seals on one core, against what `openssl speed` says the core can do in the same minute.
 * Run: npm run bench -- smime, or smime:seal for sealing to many alone
 */

const loaded = ({ certificate, pkcs8, fingerprint }: Identity) => {
  const read = readCertificate(certificate)
  const key = privateKeyFrom(pkcs8)
  if (read.kind === 'malformed' || 'kind' in key) throw new Error('the bench made an unreadable identity')
  return { id: fingerprint, certificate: read, key, chain: [] }
}

/** A message with an attachment such that the whole is about `sizeBytes`. */
function messageOf(sizeBytes: number): Buffer {
  const head =
    'From: alice@direct.example.org\r\nTo: bob@direct.example.org\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n'
  const line = `${'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx'.padEnd(76, 'A')}\r\n`
  return Buffer.from(head + line.repeat(Math.max(1, Math.round((sizeBytes - head.length) / line.length))))
}

const rounds = 20

/** Operations a second, by CPU time of this process and by wall clock: the best of many short rounds, since neighbours only slow down. */
function rate(work: () => void, seconds: number) {
  let best = { cpu: 0, wall: 0 }
  for (let round = 0; round < rounds; round++) {
    const cpu = process.cpuUsage()
    const start = process.hrtime.bigint()
    let count = 0
    while (process.hrtime.bigint() - start < BigInt(Math.round((seconds / rounds) * 1e9))) {
      work()
      count++
    }
    const wall = count / (Number(process.hrtime.bigint() - start) / 1e9)
    const used = process.cpuUsage(cpu)
    const perCpu = count / ((used.user + used.system) / 1e6)
    if (perCpu > best.cpu) best = { cpu: perCpu, wall }
  }
  return best
}

/** RSA-2048 private operations a second of CPU time. */
function speedOfRsa(): number {
  const out = execFileSync('openssl', ['speed', '-seconds', '1', 'rsa2048'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const match = /rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)/.exec(out.toString())
  if (!match) throw new Error('openssl speed said something else')
  return Number(match[1])
}

const aliceMade = makeLeaf(makeAuthority())
const alice = loaded(aliceMade)
const bob = loaded(makeLeaf(makeAuthority()))
const seal = (message: Uint8Array, policy: Partial<SealPolicy> = {}, recipients = [bob.certificate.der]) => {
  const sealed = sealMessage(message, {
    signers: [alice],
    recipients,
    outerHeaders: [{ name: 'From', value: 'alice@direct.example.org' }],
    at: 1_700_000_000_000,
    policy,
  })
  if (sealed.kind === 'refused') throw new Error(sealed.reason)
  return sealed.wire
}
const mustOpen = (wire: Uint8Array) => {
  const opened = openMessage(wire, [bob])
  if (opened.kind === 'refused') throw new Error(opened.reason)
  return opened
}

async function* chunksOf(path: string) {
  const file = await openFile(path)
  const chunk = Buffer.allocUnsafeSlow(64 * 1024)
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length)
    if (bytesRead === 0) break
    yield chunk.subarray(0, bytesRead)
  }
  await file.close()
}

/** In a fresh process: opens one file and tells the peak above what was resident before. */
async function childOpens(path: string, keyPath: string) {
  const { certificate, pkcs8 } = JSON.parse(readFileSync(keyPath, 'utf8')) as Record<'certificate' | 'pkcs8', string>
  const read = readCertificate(Buffer.from(certificate, 'base64'))
  const key = privateKeyFrom(Buffer.from(pkcs8, 'base64'))
  if (read.kind === 'malformed' || 'kind' in key) throw new Error('the bench wrote an unreadable identity')
  const { size } = await (await openFile(path)).stat()
  const idle = process.memoryUsage().rss
  const start = process.hrtime.bigint()
  const opened = await openLarge(chunksOf(path), size, [{ id: 'bob', certificate: read, key }])
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  if (opened.kind === 'refused') throw new Error(opened.reason)
  // Not maxRSS: that is inherited from the process which forked this one.
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
  console.log(JSON.stringify({ ms, entity: opened.entity.length, idle, peak }))
}

/**
 * Seals 10 KB to many, beside the arithmetic that nobody can leave out: one signature, and one RSA operation for each
 * recipient. Both take turns, so that a neighbour slows down both.
 */
function sealing(): void {
  const message = messageOf(10_240)
  const authority = makeAuthority()
  // A few keys under many certificates: making 200 keys would take a minute, and using them costs the same.
  const few = Array.from({ length: 8 }, () => makeLeaf(authority))
  const all = Array.from({ length: 200 }, (_, i) => makeLeaf(authority, { key: few[i % few.length] as Identity }))
  const contentKey = randomBytes(32)
  for (const count of [1, 10, 50, 200]) {
    const recipients = all.slice(0, count).map(({ certificate }) => certificate)
    const keys = all.slice(0, count).map(({ privateKey }) => createPublicKey(privateKey))
    const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const bare = () => {
      sign('sha256', contentKey, aliceMade.privateKey)
      for (const key of keys) publicEncrypt({ key, ...padding }, contentKey)
    }
    // Certificates come as other bytes each time, as they do from the store.
    const whole = () =>
      seal(
        message,
        {},
        recipients.map((der) => Uint8Array.from(der)),
      )
    const [best, limit] = [{ cpu: 0 }, { cpu: 0 }]
    for (let turn = 0; turn < 3; turn++) {
      limit.cpu = Math.max(limit.cpu, rate(bare, 0.5).cpu)
      best.cpu = Math.max(best.cpu, rate(whole, 0.5).cpu)
    }
    console.log(
      `seal 10 KB to ${String(count).padStart(3)}: ${best.cpu.toFixed(0)}/s, RSA alone ${limit.cpu.toFixed(0)}/s, ratio ${(best.cpu / limit.cpu).toFixed(2)}`,
    )
  }
}

async function main() {
  for (const [name, policy] of [
    ['RSA v1.5', { rsaTransport: 'pkcs1-v1.5' }],
    ['OAEP SHA-256', {}],
  ] as const) {
    const message = messageOf(10_240)
    const wire = seal(message, policy)
    const limit = speedOfRsa()
    const open = rate(() => mustOpen(wire), 3)
    const sealing = rate(() => seal(message, policy), 3)
    const after = speedOfRsa()
    const best = Math.max(limit, after)
    console.log(
      `10 KB ${name}: openssl ${best.toFixed(0)}/s, open ${open.wall.toFixed(0)}/s (ratio ${(open.cpu / best).toFixed(2)}, wall ${(open.wall / best).toFixed(2)}), seal ${sealing.wall.toFixed(0)}/s (ratio ${(sealing.cpu / best).toFixed(2)}, wall ${(sealing.wall / best).toFixed(2)})`,
    )
  }
  for (const size of [1 << 20, 40 << 20]) {
    const message = messageOf(size)
    const wire = seal(message)
    const open = rate(() => mustOpen(wire), 3)
    const sealing = rate(() => seal(message), 3)
    const mb = message.length / 1e6
    console.log(
      `${mb.toFixed(1)} MB entity, ${(wire.length / 1e6).toFixed(1)} MB wire: open ${(open.wall * mb).toFixed(0)} MB/s, seal ${(sealing.wall * mb).toFixed(0)} MB/s`,
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'direct-gateway-bench-'))
  const path = join(folder, 'wire')
  const keyPath = join(folder, 'key')
  const carol = makeLeaf(makeAuthority())
  const sealed = sealMessage(messageOf(Math.round((30 << 20) * (78 / 57))), {
    signers: [alice],
    recipients: [carol.certificate],
    outerHeaders: [],
    at: 0,
  })
  if (sealed.kind === 'refused') throw new Error(sealed.reason)
  writeFileSync(path, sealed.wire)
  writeFileSync(
    keyPath,
    JSON.stringify({
      certificate: Buffer.from(carol.certificate).toString('base64'),
      pkcs8: Buffer.from(carol.pkcs8).toString('base64'),
    }),
    { mode: 0o600 },
  )
  for (let run = 0; run < 3; run++) {
    const child = spawnSync(process.execPath, [process.argv[1] as string, 'child', path, keyPath])
    if (child.status !== 0) throw new Error(child.stderr.toString())
    const { ms, entity, idle, peak } = JSON.parse(child.stdout.toString()) as Record<
      'ms' | 'entity' | 'idle' | 'peak',
      number
    >
    console.log(
      `30 MB attachment, ${(sealed.wire.length / 1e6).toFixed(1)} MB wire, fresh process: ${ms.toFixed(0)} ms, ${((entity / ms) * 1e-3).toFixed(0)} MB/s, idle ${(idle / 1e6).toFixed(0)} MB, peak ${(peak / 1e6).toFixed(0)} MB, above idle ${((peak - idle) / 1e6).toFixed(0)} MB`,
    )
  }
  rmSync(folder, { recursive: true })
}

const [mode, path, keyPath] = process.argv.slice(2)
if (mode === 'child') await childOpens(path as string, keyPath as string)
else if (mode === 'seal') sealing()
else {
  sealing()
  await main()
}
