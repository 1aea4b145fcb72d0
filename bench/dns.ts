import { fork } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { certRecord } from '../src/publish/cert-record.js'
import { startNameServer } from '../src/publish/name-server.js'
import { makeAuthority, makeLeaf } from '../test/fixtures/pki.js'
import { found, startNamed } from '../test/publish/programs.js'
import { framed, query, tablePublications, zone } from '../test/publish/worlds.js'
import { openResults, type Rate, rate } from './rate.js'

/**
 * Answers a second on one core, over UDP and over TCP connections that are kept, for a certificate of 1 KB and for a name that
 * is not there; asked by a process of its own, 64 questions under way, in three rounds beside BIND with one thread and
 * the same zone. The limits for strangers are lifted, and certificates come from memory: this is what the server itself costs.
 * Run: npm run bench -- dns
 */

const underWay = 64
const questions = {
  certificate: query({ name: 'pat.clinic.example', type: 'CERT', edns: 4096 }),
  'no such name': query({ name: 'nobody.clinic.example', type: 'CERT', edns: 4096 }),
}

/** Asks over one socket by id: each worker has its own, and waits for the answer to it. */
async function askUdp(port: number, bytes: Buffer, seconds: number): Promise<Rate> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  const waiting = new Map<number, () => void>()
  socket.on('message', (answer) => waiting.get(answer.readUInt16BE(0))?.())
  const result = await rate(underWay, seconds, (worker) => {
    const mine = Buffer.from(bytes)
    mine.writeUInt16BE(worker, 0)
    return new Promise<void>((resolve) => {
      // A datagram may be lost: then it is asked again, and the wait counts.
      const again = setTimeout(() => socket.send(mine, port, '127.0.0.1'), 500)
      waiting.set(worker, () => {
        clearTimeout(again)
        resolve()
      })
      socket.send(mine, port, '127.0.0.1')
    })
  })
  socket.close()
  return result
}

async function askTcp(port: number, bytes: Buffer, seconds: number): Promise<Rate> {
  const connections = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      await once(socket, 'connect')
      const waiting = new Map<number, () => void>()
      let rest: Buffer = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
        while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
          waiting.get(rest.readUInt16BE(2))?.()
          rest = rest.subarray(2 + rest.readUInt16BE(0))
        }
      })
      return { socket, waiting }
    }),
  )
  const result = await rate(underWay, seconds, (worker) => {
    const { socket, waiting } = connections[worker % connections.length] as (typeof connections)[number]
    const mine = framed(bytes)
    mine.writeUInt16BE(worker, 2)
    return new Promise<void>((resolve) => {
      waiting.set(worker, resolve)
      socket.write(mine)
    })
  })
  for (const { socket } of connections) socket.destroy()
  return result
}

/** Asks in a process of its own, so that only the server's share of a core is the server's. */
function ask(how: 'udp' | 'tcp', port: number, what: string, seconds: number): Promise<Rate> {
  const child = fork(fileURLToPath(import.meta.url), ['asker', how, String(port), what, String(seconds)])
  return new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as Rate))
    child.once('exit', (code) => code && reject(new Error(`The asker ended with ${code}`)))
  })
}

async function measure(seconds: number): Promise<void> {
  const pat = makeLeaf(makeAuthority({ keyType: 'rsa2048' }), { san: { email: ['pat@clinic.example'] } })
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const ours = await startNameServer({
    host: '127.0.0.1',
    port: 0,
    zones: [zone],
    publications: tablePublications(['clinic.example'], new Map([['pat@clinic.example', [pat.certificate]]]))
      .publications,
    clock: { now: Date.now },
    log: quiet,
    metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
    limits: { datagramsPerSecond: Number.POSITIVE_INFINITY, connectionMs: 600_000 },
  })
  const record = Buffer.from(certRecord(pat.certificate)?.data ?? Buffer.alloc(5))
  const bind = found.named
    ? await startNamed('clinic.example', [
        '$ORIGIN clinic.example.',
        '$TTL 300',
        '@ SOA ns1 hostmaster 1 3600 600 604800 60',
        '@ NS ns1',
        ...(zone.records ?? []),
        `pat CERT PKIX ${record.readUInt16BE(2)} ${record[4]} ${record.subarray(5).toString('base64')}`,
      ])
    : undefined
  const results = openResults()
  for (let round = 0; round < 3; round++)
    for (const how of ['udp', 'tcp'] as const)
      for (const what of Object.keys(questions)) {
        results.note(`${how} ${what}, ours`, await ask(how, ours.port, what, seconds))
        if (bind) results.note(`${how} ${what}, BIND`, await ask(how, bind.port, what, seconds))
      }
  results.print()
  if (!bind) console.log('BIND is not installed: nothing to compare with')
  await ours.close()
  await bind?.stop()
}

const [, , role, how, port, what, seconds] = process.argv
if (role === 'asker') {
  const bytes = questions[what as keyof typeof questions]
  process.send?.(await (how === 'udp' ? askUdp : askTcp)(Number(port), bytes, Number(seconds)))
  process.disconnect?.()
} else await measure(Number(role ?? 2))
