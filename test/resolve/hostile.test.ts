import { createServer, type Server, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEvidence } from '../../src/resolve/evidence.js'

/** Servers that speak no HTTP, or too much of it: each must end within its limit, with a reason for people. */
const ok = (headers = '') => `HTTP/1.1 200 OK\r\n${headers}\r\n`
const redirect = (location: string) => `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`

const bomb = gzipSync(Buffer.alloc(20_000_000))

function drip(socket: Socket, piece: string | Buffer, everyMs: number): void {
  const timer = setInterval(() => socket.write(piece), everyMs)
  socket.on('close', () => clearInterval(timer))
}

/** Writes without end, as fast as the other side takes it. */
function pour(socket: Socket, piece: Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  }
  socket.on('drain', more)
  more()
}

const behaviours: Readonly<Record<string, readonly [RegExp, (socket: Socket) => void]>> = {
  silence: [/took too long/, () => {}],
  'a reset': [/ECONNRESET|hang up/, (socket) => socket.resetAndDestroy()],
  'a closed door': [/hang up|reset/, (socket) => socket.end()],
  'what is no HTTP': [/Parse Error|Expected HTTP/, (socket) => socket.end('220 mail.test ESMTP\r\n')],
  'headers that drip': [
    /took too long/,
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      drip(socket, 'x: y\r\n', 20)
    },
  ],
  'headers without end': [
    /Header overflow/,
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      pour(socket, Buffer.from(`a: ${'b'.repeat(4000)}\r\n`))
    },
  ],
  'hints without end': [
    /took too long|Header overflow/,
    (socket) => drip(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n', 5),
  ],
  'a body that drips': [
    /took too long/,
    (socket) => {
      socket.write(ok('Content-Length: 1000\r\n'))
      drip(socket, 'x', 20)
    },
  ],
  'a body without end': [
    /more than 10485760 bytes/,
    (socket) => {
      socket.write(ok())
      pour(socket, Buffer.alloc(64 * 1024))
    },
  ],
  'chunks without end': [
    /more than 10485760 bytes/,
    (socket) => {
      socket.write(ok('Transfer-Encoding: chunked\r\n'))
      pour(socket, Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]))
    },
  ],
  'a chunk that is none': [
    /Parse Error|Invalid/,
    (socket) => socket.end(`${ok('Transfer-Encoding: chunked\r\n')}zz\r\n`),
  ],
  'a body that breaks off': [/broke off|aborted/, (socket) => socket.end(`${ok('Content-Length: 1000\r\n')}abc`)],
  'a compressed body': [
    /in gzip, which was not asked for/,
    (socket) => {
      socket.write(ok(`Content-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n`))
      socket.end(bomb)
    },
  ],
  'a compressed body that says nothing of it': [
    /not a CRL/,
    (socket) => socket.end(Buffer.concat([Buffer.from(ok()), gzipSync(Buffer.alloc(1_000_000))])),
  ],
  'a page': [/not a CRL/, (socket) => socket.end(`${ok('Content-Type: text/html\r\n')}<html>Please log in</html>`)],
  'a file': [/file: is not fetched/, (socket) => socket.end(redirect('file:///etc/passwd'))],
  'a directory': [/ldap: is not fetched/, (socket) => socket.end(redirect('ldap://dir.test/cn=crl'))],
  nowhere: [/not a URL/, (socket) => socket.end(redirect('http://'))],
  itself: [/redirected too often/, (socket) => socket.end(redirect('/again'))],
  'another port': [/port 25 is not fetched/, (socket) => socket.end(redirect('http://127.0.0.1:25/'))],
  'a status of its own': [/answered 999/, (socket) => socket.end('HTTP/1.1 999 x\r\n\r\n')],
  'an answer to another question': [/answered 304/, (socket) => socket.end('HTTP/1.1 304 Not Modified\r\n\r\n')],
  'another protocol': [
    /closed without an answer/,
    (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  ],
}

const limitMs = 250
let server: Server
let behave: (socket: Socket) => void = () => {}
const open = new Set<Socket>()
let base = ''
beforeAll(async () => {
  server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    socket.once('data', () => behave(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
})
afterAll(async () => {
  for (const socket of open) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

describe('a server that answers with', () => {
  it.each(Object.keys(behaviours))('%s is done with in time, for a reason, and let go of', async (name) => {
    const [reason, how] = behaviours[name] ?? [/./, () => {}]
    behave = how
    const evidence = openEvidence({
      clock: { now: () => Date.now() },
      reach: { allowPrivate: true, timeoutMs: limitMs },
    })
    const before = performance.now()
    const answer = await evidence.revocation.list(`${base}/list`)
    expect(answer).toMatchObject({ kind: 'unavailable', detail: expect.stringMatching(reason) })
    expect(performance.now() - before).toBeLessThan(limitMs + 400)
    await expect.poll(() => open.size).toBe(0)
    const others = [
      evidence.certificates(`${base}/issuer`),
      evidence.revocation.ocsp(`${base}/ocsp`, Uint8Array.of(0x30, 0)),
    ]
    for (const other of others) expect((await other).kind).toBe('unavailable')
  })
})

describe('a name', () => {
  const evidenceAt = (lookup: (name: string) => Promise<readonly { address: string; family: number }[]>) =>
    openEvidence({ clock: { now: () => Date.now() }, reach: { timeoutMs: limitMs, lookup } })

  it('that leads into our own network is not followed, for no kind', async () => {
    const evidence = evidenceAt(async () => [{ address: '127.0.0.1', family: 4 }])
    const url = base.replace('127.0.0.1', 'crl.test')
    const reason = { detail: expect.stringMatching(/not a public address/) }
    expect(await evidence.revocation.list(url)).toMatchObject(reason)
    expect(await evidence.revocation.ocsp(url, Uint8Array.of(1))).toMatchObject(reason)
    expect(await evidence.certificates(url)).toMatchObject(reason)
  })

  it('that nobody resolves, or never, ends in time', async () => {
    const url = 'http://crl.test/'
    const never = evidenceAt(() => new Promise(() => {}))
    expect(await never.revocation.list(url)).toMatchObject({ detail: expect.stringMatching(/took too long/) })
    const unknown = evidenceAt(async () => Promise.reject(new Error('ENOTFOUND')))
    expect(await unknown.revocation.list(url)).toMatchObject({ detail: expect.stringMatching(/ENOTFOUND/) })
  })
})
