import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const program = fileURLToPath(new URL('../../config/container/health.mjs', import.meta.url))

const openssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0

let folder: string
let certificate: { readonly certificateFile: string; readonly keyFile: string }
beforeAll(() => {
  if (!openssl) return
  folder = mkdtempSync(join(tmpdir(), 'health-'))
  certificate = { certificateFile: join(folder, 'chain.pem'), keyFile: join(folder, 'key.pem') }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', certificate.keyFile]
  const named = ['-subj', '/CN=another.example', '-days', '2', '-out', certificate.certificateFile]
  execFileSync('openssl', ['req', '-x509', ...key, ...named], { stdio: 'ignore' })
})
afterAll(() => {
  if (openssl) rmSync(folder, { recursive: true })
})

/** Asks as the container does; the exit code and what was said. */
function health(env: Record<string, string>): Promise<{ code: number | null; words: string }> {
  const child = spawn(process.execPath, [program], { env, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  let words = ''
  child.stdout.on('data', (chunk) => {
    words += chunk
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, words })))
}

/** A gateway as the health check sees it: an answer to `/livez` and 404 to all else. */
async function answering(status: number, tls: boolean, ask: (port: number) => Promise<void>): Promise<void> {
  const pair = () => ({ cert: readFileSync(certificate.certificateFile), key: readFileSync(certificate.keyFile) })
  const server = tls ? createSecureServer(pair()) : createServer()
  server.on('request', (request, reply) => reply.writeHead(request.url === '/livez' ? status : 404).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await ask((server.address() as AddressInfo).port)
  } finally {
    server.close()
  }
}

describe.skipIf(!openssl)("the container's health check (needs the openssl program)", () => {
  it('says yes to 200 on the port of a variable, whatever the address listened on', () =>
    answering(200, false, async (port) => {
      for (const host of ['127.0.0.1', '0.0.0.0', 'localhost']) {
        const env = { DIRECT_GATEWAY_HTTP_PORT: String(port), DIRECT_GATEWAY_HTTP_HOST: host }
        expect(await health(env)).toEqual({ code: 0, words: '/livez answered 200\n' })
      }
    }))

  it('follows the file that the gateway reads, and speaks TLS where the gateway does', () =>
    answering(200, true, async (port) => {
      const file = join(folder, 'gateway.yaml')
      writeFileSync(file, `http:\n  port: ${port}\n  tls: ${JSON.stringify(certificate)}\n`)
      expect(await health({ DIRECT_GATEWAY_CONFIG: file })).toEqual({ code: 0, words: '/livez answered 200\n' })
    }))

  it('says no to any other answer, to silence of the port, and to settings that do not load', async () => {
    await answering(503, false, async (port) => {
      expect(await health({ DIRECT_GATEWAY_HTTP_PORT: String(port) })).toMatchObject({ code: 1 })
    })
    // Port 1 belongs to nobody here.
    expect(await health({ DIRECT_GATEWAY_HTTP_PORT: '1' })).toMatchObject({ code: 1 })
    expect(await health({ DIRECT_GATEWAY_HTTP_PROT: '8080' })).toMatchObject({ code: 1 })
  })
})
