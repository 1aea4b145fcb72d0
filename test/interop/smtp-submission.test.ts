import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { peer, until } from '../smtp/peer.js'
import { anna, far, message, newCertificate, type Submitting, submitting } from '../smtp/submitting.js'

const noSwaks = spawnSync('swaks', ['--version']).status !== 0
const folder = mkdtempSync(join(tmpdir(), 'smtp-submission-'))
let here: Submitting

afterEach(() => here?.listener.close(0))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a program to its end, however it ends; all that it said. */
async function run(program: string, ...args: readonly string[]): Promise<{ code: number; said: string }> {
  const child = promisify(execFile)(program, [...args], { timeout: 60_000 })
  child.child.stdin?.end()
  return child.then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    (error: { code?: number; stdout?: string; stderr?: string }) => ({
      code: error.code ?? -1,
      said: `${error.stdout}${error.stderr}`,
    }),
  )
}

/** What `openssl s_client` says of a connection, until the server said `words` or it ended. */
async function openssl(words: RegExp, ...args: readonly string[]): Promise<string> {
  const child: ChildProcess = spawn('openssl', ['s_client', ...args])
  let said = ''
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const found = new Promise<void>((resolve) => {
    const hear = (chunk: Buffer) => {
      said += chunk
      if (words.test(said)) resolve()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
  })
  await Promise.race([ended, found])
  child.kill()
  await ended
  return said
}

describe('nodemailer', () => {
  test.each([
    ['STARTTLS', false, 'PLAIN'],
    ['STARTTLS', false, 'LOGIN'],
    ['TLS from the first byte', true, 'PLAIN'],
  ])('submits over %s (%s) with %s', async (_, secure, authMethod) => {
    here = await submitting()
    const transport = createTransport({
      host: '127.0.0.1',
      port: secure ? here.implicitTlsPort : here.port,
      secure,
      requireTLS: true,
      authMethod,
      auth: { user: 'ehr', pass: here.secret },
      tls: { rejectUnauthorized: false },
    })
    const attachments = [{ filename: 'results.pdf', content: Buffer.alloc(300_000, 7) }]
    const mail = { from: `Anna <${anna}>`, to: far, subject: 'Résumé', text: 'hello\n.\n..\n', attachments }
    const sent = await transport.sendMail(mail)
    transport.close()
    expect(sent.response).toMatch(/^250 2\.0\.0 [a-z2-7]{26} accepted/)
    expect(await here.sentBy(anna)).toMatchObject([{ messageId: sent.messageId, subject: 'Résumé' }])
  })

  test('is told 535 for a wrong secret', async () => {
    here = await submitting()
    const auth = { user: 'ehr', pass: `dge_${'A'.repeat(43)}` }
    const transport = createTransport({ host: '127.0.0.1', port: here.port, auth, tls: { rejectUnauthorized: false } })
    await expect(transport.verify()).rejects.toMatchObject({ responseCode: 535 })
    transport.close()
  })
})

describe.skipIf(noSwaks)('swaks (skipped where it is not installed)', () => {
  const words = () => ['--from', anna, '--to', far, '--auth-user', 'ehr', '--timeout', '30']

  test.each([
    ['--tls', 'PLAIN'],
    ['--tls', 'LOGIN'],
    ['--tls-on-connect', 'PLAIN'],
  ])('submits with %s and AUTH %s', async (tls, method) => {
    here = await submitting()
    const port = tls === '--tls' ? here.port : here.implicitTlsPort
    const server = ['--server', '127.0.0.1', '--port', String(port), tls, '--auth', method]
    const { code, said } = await run('swaks', ...server, ...words(), '--auth-password', here.secret)
    expect(said).toMatch(/250 2\.0\.0 [a-z2-7]{26} accepted/)
    expect(code).toBe(0)
    expect(await here.sentBy(anna)).toHaveLength(1)
  })

  test('gets nowhere with a wrong secret, or without TLS', async () => {
    here = await submitting()
    const server = ['--server', '127.0.0.1', '--port', String(here.port)]
    const wrong = await run('swaks', ...server, '--tls', '--auth', 'PLAIN', ...words(), '--auth-password', 'guessed')
    expect(wrong.said).toContain('535 5.7.8')
    const clear = await run('swaks', ...server, '--from', anna, '--to', far)
    expect(clear.said).toContain('530 5.7.0 Must issue a STARTTLS command first')
    expect([wrong.code, clear.code].includes(0)).toBe(false)
    expect(here.handedIn).toEqual([])
  })
})

describe('openssl s_client', () => {
  test('speaks TLS 1.2 and 1.3 with both ports, and nothing older', async () => {
    here = await submitting()
    const old = ['-cipher', 'DEFAULT@SECLEVEL=0']
    for (const port of [here.port, here.implicitTlsPort]) {
      const how = ['-connect', `127.0.0.1:${port}`, ...(port === here.port ? ['-starttls', 'smtp'] : [])]
      for (const version of ['1_2', '1_3'])
        expect(await openssl(/Verify return code/, ...how, `-tls${version}`)).toMatch(
          new RegExp(`Protocol *: TLSv${version.replace('_', '.')}|New, TLSv${version.replace('_', '.')}`),
        )
      for (const version of ['-tls1', '-tls1_1'])
        expect(await openssl(/Verify return code/, ...how, version, ...old)).toMatch(/Cipher is \(NONE\)/)
    }
    await until(() => here.listener.connections() === 0)
  })

  test('sees the certificate that was put in its place while the listener ran, and never half of one', async () => {
    const [first, second] = [newCertificate('first.example'), newCertificate('second.example')]
    let current = first
    here = await submitting({ tls: () => current })
    const shown = () =>
      Promise.all([
        openssl(/Verify return code/, '-connect', `127.0.0.1:${here.port}`, '-starttls', 'smtp'),
        openssl(/Verify return code/, '-connect', `127.0.0.1:${here.implicitTlsPort}`),
      ])
    for (const [next, name] of [
      [first, 'first.example'],
      [second, 'second.example'],
      [{ key: first.key, cert: second.cert }, 'second.example'],
      [{ key: 'none', cert: 'none' }, 'second.example'],
      [first, 'first.example'],
    ] as const) {
      current = next
      for (const said of await shown()) expect(said).toMatch(new RegExp(`subject=.*${name}`))
    }
  })

  test('that says its lines itself submits a message', async () => {
    here = await submitting()
    const token = Buffer.from(`\0ehr\0${here.secret}`).toString('base64')
    // Commands are not pipelined behind EHLO's reply: s_client reads a file at once, and PIPELINING is announced.
    const file = join(folder, 'session')
    const lines = ['EHLO p', `AUTH PLAIN ${token}`, `MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']
    writeFileSync(file, `${lines.join('\r\n')}\r\n${message()}.\r\nQUIT\r\n`)
    const script = `(sleep 1; cat '${file}'; sleep 2) | openssl s_client -quiet -connect 127.0.0.1:${here.implicitTlsPort}`
    const { said } = await run('sh', '-c', script)
    expect(said).toMatch(/235 2\.7\.0[\s\S]*354 [\s\S]*250 2\.0\.0 [a-z2-7]{26} accepted/)
    expect(await here.sentBy(anna)).toHaveLength(1)
  })
})

test('a handshake that never ends is cut off on both ports', async () => {
  here = await submitting({ limits: { commandPhaseMs: 400, idleMs: 60_000 } })
  const client = await peer(here.port)
  await client.say('EHLO p')
  await client.say('STARTTLS')
  client.write('\x16\x03\x01')
  const raw = tlsConnect({ host: '127.0.0.1', port: here.port, rejectUnauthorized: false }) // TLS to who speaks in the clear
  const wrongly = await new Promise((resolve) => raw.once('error', resolve).once('close', () => resolve('closed')))
  expect(wrongly).toBeDefined()
  await until(() => here.listener.connections() <= 1)
  client.socket.end()
  await until(() => here.listener.connections() === 0)
})

test('a TLS session that was resumed has no account', async () => {
  here = await submitting()
  const dial = (session?: Buffer) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = tlsConnect({
        ...{ host: '127.0.0.1', port: here.implicitTlsPort, rejectUnauthorized: false, maxVersion: 'TLSv1.2' as const },
        ...(session && { session }),
      })
      socket.once('secureConnect', () => resolve(socket)).once('error', reject)
    })
  const said = async (socket: TLSSocket, line: string) => {
    socket.write(`${line}\r\n`)
    return new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk))))
  }
  const greeting = (socket: TLSSocket) => new Promise<void>((resolve) => socket.once('data', () => resolve()))
  const first = await dial()
  await greeting(first)
  await said(first, 'EHLO p')
  const token = Buffer.from(`\0ehr\0${here.secret}`).toString('base64')
  expect(await said(first, `AUTH PLAIN ${token}`)).toMatch(/^235/)
  const session = first.getSession()
  first.destroy()
  const second = await dial(session)
  await greeting(second)
  await said(second, 'EHLO p')
  expect(await said(second, `MAIL FROM:<${anna}>`)).toMatch(/^530/)
  second.destroy()
})
