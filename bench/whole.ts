import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readMail } from '../src/pipeline/read.js'
import { ccd21 } from '../test/fixtures/clinical/documents.js'
import { clinicAuthority, doctor, domain, gatewayKey, seal } from '../test/fixtures/gateway.js'
import { dial } from './sender.js'

/**
 * The whole path: SMTP, spool, decrypt, verify, trust, read, mailbox and record, with the processed notice signed and
 * encrypted, in messages a second; a 10 KB text and a C-CDA document. Then at half that rate, from acceptance to the
 * sealed notice. Beside it in the same run: what OpenSSL says of RSA, which each message needs twice. Sender and gateway
 * share the machine. Run: npm run bench -- whole
 */

const address = `sam@${domain}`
const seconds = Number(process.argv[2] ?? 4)

/** RSA-2048 private operations a second, on `cores` cores, by the openssl program. */
function rsaLimit(cores: number): number {
  const out = execFileSync(
    'openssl',
    ['speed', '-seconds', '2', ...(cores > 1 ? ['-multi', String(cores)] : []), 'rsa2048'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return Number(/rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)/.exec(out)?.[1])
}

const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64')

async function startGateway(
  folder: string,
): Promise<{ readonly child: ChildProcess; readonly port: number; ask<T>(what: string): Promise<T> }> {
  const child = fork(fileURLToPath(new URL('./whole-gateway.js', import.meta.url)))
  const answer = <T>() => new Promise<T>((resolve) => child.once('message', (message) => resolve(message as T)))
  const started = answer<{ port: number }>()
  child.send({
    folder,
    domain,
    address,
    certificate: base64(gatewayKey.certificate),
    pkcs8: base64(gatewayKey.pkcs8),
    anchor: base64(clinicAuthority.certificate),
  })
  const { port } = await started
  return {
    child,
    port,
    ask(what) {
      const told = answer<never>()
      child.send(what)
      return told
    },
  }
}

function textMessage(): Uint8Array {
  return seal({ to: [address], id: randomUUID(), body: randomBytes(3600).toString('hex').replace(/.{72}/g, '$&\r\n') })
}

const document = Buffer.from(ccd21)
function ccdaMessage(): Uint8Array {
  const attached = Buffer.from(document).toString('base64').replace(/.{76}/g, '$&\r\n')
  return seal({
    to: [address],
    id: randomUUID(),
    content: `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nattached\r\n--b\r\nContent-Type: text/xml; name=ccda.xml\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=ccda.xml\r\n\r\n${attached}\r\n--b--\r\n`,
  })
}

/** Sends all over `connections`, at most `perSecond` where given; resolves when the last 250 came. */
async function sendAll(
  port: number,
  messages: readonly Uint8Array[],
  connections: number,
  perSecond?: number,
): Promise<void> {
  const start = performance.now()
  let next = 0
  const work = async () => {
    const sender = await dial(port)
    for (let index = next++; index < messages.length; index = next++) {
      if (perSecond) await sleep(Math.max(0, (index / perSecond) * 1000 - (performance.now() - start)))
      const reply = await sender.send(doctor, address, messages[index] as Uint8Array)
      if (!reply.startsWith('250')) throw new Error(reply)
    }
    sender.close()
  }
  await Promise.all(Array.from({ length: connections }, work))
}

/** Messages before the clock starts: the compiler is not done after a few hundred. */
const warming = 1000

const percentile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN

async function measure(name: string, make: () => Uint8Array, count: number, halfCount: number): Promise<number> {
  const folder = mkdtempSync('scratch-bench-')
  const { child, port, ask } = await startGateway(folder)
  try {
    await sendAll(port, Array.from({ length: warming }, make), 8)
    while ((await ask<{ sealed: number }>('count')).sealed < warming) await sleep(20)
    const messages = Array.from({ length: count }, make)
    await ask('count')
    child.send('reset')
    const start = performance.now()
    await sendAll(port, messages, 8)
    const accepted = performance.now() - start
    while ((await ask<{ sealed: number }>('count')).sealed < warming + count) await sleep(10)
    const perSecond = (count / (performance.now() - start)) * 1000
    const stalls = await ask<{ p99Ms: number; maxMs: number; rssMiB: number; cpuMs: number }>('stalls')
    console.log(
      `${name}: ${perSecond.toFixed(0)}/s whole path, ${((count / accepted) * 1000).toFixed(0)}/s accepted meanwhile; event loop p99 ${stalls.p99Ms.toFixed(0)} ms, worst ${stalls.maxMs.toFixed(0)} ms; RSS ${stalls.rssMiB.toFixed(0)} MiB; ${(stalls.cpuMs / count).toFixed(2)} ms of processor a message`,
    )
    const calm = Array.from({ length: halfCount }, make)
    await sendAll(port, calm, 8, perSecond / 2)
    while ((await ask<{ sealed: number }>('count')).sealed < warming + count + halfCount) await sleep(10)
    const { waits } = await ask<{ waits: number[] }>('times')
    const half = waits.slice(-halfCount)
    console.log(
      `${name} at half that rate: from 250 to sealed notice p50 ${percentile(half, 0.5)} ms, p99 ${percentile(half, 0.99)} ms`,
    )
    return perSecond
  } finally {
    child.send('stop')
    await new Promise((resolve) => child.once('exit', resolve))
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log(
  `RSA-2048 private operations: ${rsaLimit(1).toFixed(0)}/s on one core, ${rsaLimit(2).toFixed(0)}/s on two (openssl speed); a message needs two`,
)
const text = textMessage()
const ccda = ccdaMessage()
console.log(`on the wire: text ${text.length} bytes, C-CDA ${ccda.length} bytes (document ${document.length} bytes)`)
{
  const inner = Buffer.from(
    `From: <${doctor}>\r\nContent-Type: text/xml\r\nContent-Disposition: attachment; filename=a.xml\r\n\r\n${Buffer.from(document).toString('utf8')}`,
  )
  for (let i = 0; i < 30; i++) await readMail(inner)
  const start = performance.now()
  let read = 0
  for (; performance.now() - start < 1000; read++) await readMail(inner)
  console.log(`parse: ${((read / (performance.now() - start)) * 1000).toFixed(0)} C-CDA documents/s in one thread`)
}
await measure('text', textMessage, 600 * seconds, 300)
await measure('C-CDA', ccdaMessage, 150 * seconds, 150)
