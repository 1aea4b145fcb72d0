import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type AttemptOutcome, openAttempts, type Route } from '../../src/delivery/attempt.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { ServerCertificate } from '../../src/smtp/options.js'
import { loopback } from '../delivery/scripted.js'
import { type Fixture, header, listening } from '../smtp/peer.js'

const directory = mkdtempSync(join(tmpdir(), 'smtp-delivery-'))
let certificate: ServerCertificate
let fixture: Fixture | undefined

beforeAll(() => {
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')]
  const names = ['-subj', '/CN=mx.served.example', '-addext', 'subjectAltName=DNS:mx.served.example']
  const request = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...names,
    '-keyout',
    key,
    '-out',
    cert,
  ]
  execFileSync('openssl', request, { stdio: 'ignore' })
  certificate = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
})
afterEach(() => fixture?.listener.close(0))
afterAll(() => rmSync(directory, { recursive: true }))

function deliver(route: Route): Promise<AttemptOutcome> {
  const attempt = openAttempts({
    hostname: 'us.example',
    exchanges: loopback,
    defaultRoute: route,
    limits: { greetingMs: 1000, idleMs: 1000 },
  })
  return attempt({ from: null, to: ['to@served.example' as DirectAddress], wire: Buffer.from(`${header}body\r\n`) })
}

const overTls = () => fixture?.kept.map(({ envelope }) => envelope.peer.tls)

test('opportunistic encrypts to a host that nobody vouches for', async () => {
  fixture = await listening({ tls: () => certificate })
  const outcome = await deliver({ host: 'other.example', port: fixture.listener.port })
  expect(outcome).toMatchObject({ kind: 'delivered', reply: '250 2.0.0 id-1 accepted' })
  expect(overTls()).toEqual([true])
})

test('opportunistic does without where STARTTLS is not offered; required does not', async () => {
  fixture = await listening()
  const { port } = fixture.listener
  expect(await deliver({ host: 'mx.served.example', port })).toMatchObject({ kind: 'delivered' })
  expect(await deliver({ host: 'mx.served.example', port, tls: 'required' })).toMatchObject({ kind: 'temporary' })
  expect(overTls()).toEqual([false])
})

test('required wants a certificate that proves the name', async () => {
  fixture = await listening({ tls: () => certificate })
  const route = {
    host: 'mx.served.example',
    port: fixture.listener.port,
    tls: 'required',
    ca: certificate.cert,
  } as const
  expect(await deliver(route)).toMatchObject({ kind: 'delivered' })
  expect(await deliver({ ...route, host: 'other.example' })).toMatchObject({
    kind: 'temporary',
    detail: expect.stringContaining('altnames'),
  })
  const { ca: _, ...unvouched } = route
  expect(await deliver(unvouched)).toMatchObject({ kind: 'temporary', detail: expect.stringContaining('self-signed') })
  expect(overTls()).toEqual([true])
})

test('off does not encrypt even where it could', async () => {
  fixture = await listening({ tls: () => certificate })
  expect(await deliver({ host: 'mx.served.example', port: fixture.listener.port, tls: 'off' })).toMatchObject({
    kind: 'delivered',
  })
  expect(overTls()).toEqual([false])
})

test('opportunistic goes on in plaintext, on a new connection, where the handshake fails', async () => {
  let connections = 0
  const seen: string[] = []
  const broken = createServer((socket) => {
    connections++
    socket.on('error', () => undefined)
    socket.write('220 broken\r\n')
    let inMessage = false
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      seen.push(text)
      if (/^EHLO/.test(text)) socket.write('250-broken\r\n250 STARTTLS\r\n')
      else if (/^STARTTLS/.test(text)) socket.write('220 go\r\n')
      else if (/^DATA/.test(text)) {
        inMessage = true
        socket.write('354 go\r\n')
      } else if (/^QUIT/.test(text)) socket.end()
      else if (/^[A-Z]{4}/.test(text) && !inMessage) socket.write('250 ok\r\n')
      else if (text.includes('\r\n.\r\n')) socket.write('250 queued\r\n')
      else if (!inMessage) socket.write('this is no TLS\r\n')
    })
  })
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve))
  const address = broken.address()
  const port = typeof address === 'object' && address ? address.port : 0
  expect(await deliver({ host: 'broken.example', port, tls: 'required' })).toMatchObject({ kind: 'temporary' })
  expect(connections).toBe(1)
  expect(await deliver({ host: 'broken.example', port })).toMatchObject({ kind: 'delivered' })
  expect(connections).toBe(3)
  broken.close()
})
