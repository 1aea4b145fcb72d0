import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ServerCertificate } from '../../src/smtp/options.js'
import { type Fixture, header, listening, peer, sleep, until } from '../smtp/peer.js'

const directory = mkdtempSync(join(tmpdir(), 'smtp-starttls-'))
let first: ServerCertificate
let second: ServerCertificate
let fixture: Fixture

function certificateOf(name: string): ServerCertificate {
  const key = join(directory, `${name}.key`)
  const cert = join(directory, `${name}.pem`)
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`]
  execFileSync('openssl', [...request, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

beforeAll(() => {
  first = certificateOf('first.example')
  second = certificateOf('second.example')
})
afterEach(() => fixture?.listener.close(0))
afterAll(() => rmSync(directory, { recursive: true }))

test('takes a message over TLS and forgets what was said before it', async () => {
  fixture = await listening({ tls: () => first })
  const client = await peer(fixture.listener.port)
  expect(await client.say('EHLO p')).toContain('STARTTLS')
  await client.say('MAIL FROM:<before@peer.example>')
  expect(await client.say('STARTTLS')).toMatch(/^220/)
  const secured = await client.secure()
  expect(await secured.say('MAIL FROM:<x@peer.example>')).toMatch(/^503/)
  expect(await secured.say('EHLO p')).not.toContain('STARTTLS')
  expect(await secured.say('RCPT TO:<a@served.example>')).toMatch(/^503/)
  await secured.toData()
  secured.write(`${header}\r\n.\r\n`)
  expect(await secured.reply()).toMatch(/^250/)
  expect(fixture.kept[0]?.envelope).toMatchObject({ mailFrom: 'from@peer.example', peer: { tls: true } })
  secured.socket.destroy()
  await until(() => fixture.listener.connections() === 0)
})

test.each([1, 150])('what came in plaintext behind STARTTLS is thrown away (%i commands)', async (times) => {
  fixture = await listening({ tls: () => first, limits: { errors: 1000 } })
  const client = await peer(fixture.listener.port)
  await client.say('EHLO p')
  client.write(`STARTTLS\r\n${'MAIL FROM:<injected@x.example>\r\n'.repeat(times)}NOOP\r\nEHLO i`)
  expect(await client.reply()).toMatch(/^220/)
  const secured = await client.secure()
  await sleep(50)
  expect(await secured.say('NOOP')).toBe('250 2.0.0 OK')
  expect(await secured.say('MAIL FROM:<x@peer.example>')).toMatch(/^503 .*HELO/)
})

test('a renewed certificate is shown to the next connection, a broken one to nobody', async () => {
  let current: ServerCertificate | undefined = first
  fixture = await listening({ tls: () => current })
  const shown = async (): Promise<string | undefined> => {
    const client = await peer(fixture.listener.port)
    if (!(await client.say('EHLO p')).includes('STARTTLS')) return undefined
    await client.say('STARTTLS')
    const secured = (await client.secure()).socket as TLSSocket
    const name = secured.getPeerCertificate().subject.CN
    secured.destroy()
    return String(name)
  }
  expect(await shown()).toBe('first.example')
  current = second
  expect(await shown()).toBe('second.example')
  current = { key: first.key, cert: second.cert }
  expect(await shown()).toBe('second.example')
  current = undefined
  expect(await shown()).toBeUndefined()
  current = first
  expect(await shown()).toBe('first.example')
})

test('does not speak TLS 1.1', async () => {
  fixture = await listening({ tls: () => first })
  const client = await peer(fixture.listener.port)
  await client.say('EHLO p')
  await client.say('STARTTLS')
  client.socket.removeAllListeners('data')
  const old = tlsConnect({
    socket: client.socket,
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  const code = await new Promise((resolve) =>
    old
      .once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
      .once('secureConnect', () => resolve('connected')),
  )
  expect(code).not.toBe('connected')
  await until(() => fixture.listener.connections() === 0)
})

test('a handshake that never ends is cut off', async () => {
  fixture = await listening({ tls: () => first, limits: { commandPhaseMs: 400, idleMs: 60_000 } })
  const client = await peer(fixture.listener.port)
  await client.say('EHLO p')
  await client.say('STARTTLS')
  const drip = setInterval(() => client.write('\x16'), 50)
  await sleep(600)
  clearInterval(drip)
  client.socket.end()
  await until(() => fixture.listener.connections() === 0)
})
