import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import type { Context } from '../../src/cli/operator.js'
import { runCommand } from '../../src/cli/program.js'
import { openCertificates } from '../../src/pipeline/certificates.js'
import { openSteps } from '../../src/workers/steps.js'
import { requestOwner } from '../authority/outside.js'
import { random, world } from '../directory/worlds.js'
import { keyboard } from './world.js'

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const uncounted = { count: () => undefined, observe: () => undefined, gauge: () => undefined }

/** An operator at a keyboard of a gateway that has certificates of its own. */
async function desk() {
  const { operator } = await keyboard()
  const found = await world()
  const certificates = openCertificates({
    ...{ ...found.ports, audit, random, directory: found.directory, log: silent, metrics: uncounted },
    arithmetic: openSteps(found.master.secret),
  })
  const files = new Map<string, Uint8Array>()
  async function run(line: string) {
    let [out, err] = ['', '']
    const context: Context = {
      print: (text) => {
        out += text
      },
      printError: (text) => {
        err += text
      },
      readFile: async (path) => files.get(path) ?? Promise.reject(new Error(`cannot read ${path}`)),
      writeFile: async (path, bytes) => void files.set(path, bytes),
      withOperator: (_, work) => work({ ...operator, directory: found.directory, certificates, clock: found.clock }),
    }
    const argv = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
    return { code: await runCommand(argv, context), out, err }
  }
  await run('domain add clinic.test')
  await run('address add anna@clinic.test')
  return { run, files, certificates, ...found }
}

describe('commands for certificates of our own', () => {
  it('make an authority, hand its anchor out, and take a key of our own into use', async () => {
    const { run, files } = await desk()
    expect((await run('key request --owner anna@clinic.test --kind p256')).err).toContain('authority create')
    const made = await run('authority create --name "Clinic Authority 2026" --kind p256 --json')
    const { id } = JSON.parse(made.out) as { id: string }
    expect((await run(`authority export ${id} --out anchor.pem`)).code).toBe(0)
    expect(new X509Certificate(files.get('anchor.pem') ?? '').subject).toBe('CN=Clinic Authority 2026')
    expect((await run('key request --owner anna@clinic.test --kind p256')).out).toMatch(/^In use for anna@clinic\.test/)
    expect((await run('authority issued')).out).toMatch(/anna@clinic\.test\s+both\s+good/)
    expect((await run('expiry --within 9999')).out).toMatch(/key\s+anna@clinic\.test\s+\d+/)
  })

  it('revoke a certificate: the key signs no more, and the list tells', async () => {
    const { run, directory } = await desk()
    await run('authority create --name A --kind p256')
    await run('key request --owner anna@clinic.test --kind p256')
    const [key] = await directory.keys.list()
    expect((await run(`key revoke ${key?.id.slice(0, 12)}`)).code).toBe(2)
    const done = await run(`key revoke ${key?.id.slice(0, 12)} --reason keyCompromise`)
    expect(done.out).toContain('the list says so now')
    expect((await directory.keys.list())[0]?.retired).toBe(true)
    expect((await run('authority issued')).out).toContain('revoked: keyCompromise')
    expect((await run('authority list --json')).out).toContain('"list": 2')
  })

  it('carry a request to an authority outside and bring the certificate back', async () => {
    const { run, files } = await desk()
    expect((await run('key request --owner anna@clinic.test --from hand')).code).toBe(2)
    expect((await run('key request --owner anna@clinic.test --kind p256 --from hand --out a.csr')).code).toBe(0)
    expect((await run('key requests')).out).toContain('pending')
    const pem = Buffer.from(files.get('a.csr') ?? '').toString()
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    files.set('a.crt', (await requestOwner(der)).certificate)
    expect((await run('key accept --cert a.crt')).out).toMatch(/^In use for anna@clinic\.test/)
    expect((await run('key requests')).out).toContain('Nothing is waited for.')
  })

  it('certify a request that somebody brought, for the name it asks for only', async () => {
    const { run, files } = await desk()
    await run('authority create --name A --kind p256')
    await run('key request --owner anna@clinic.test --kind p256 --from hand --out a.csr')
    expect((await run('authority issue --csr a.csr --for ben@clinic.test --out b.crt')).code).toBe(1)
    expect((await run('authority issue --csr a.csr --for anna@clinic.test --out a.crt')).code).toBe(0)
    expect((await run('key accept --cert a.crt')).code).toBe(0)
    files.set('bad.csr', Uint8Array.of(0x30, 3, 1, 2, 3))
    expect((await run('authority issue --csr bad.csr --for anna@clinic.test --out c.crt')).code).toBe(1)
  })

  it('vouch for a person and take it back', async () => {
    const { run } = await desk()
    expect((await run('address proof anna@clinic.test --level ial2')).code).toBe(2)
    expect((await run('address proof anna@clinic.test --level ial2 --method "in person"')).code).toBe(0)
    expect((await run('address list')).out).toContain('ial2')
    expect((await run('address unproof anna@clinic.test')).code).toBe(0)
    expect((await run('address list')).out).not.toContain('ial2')
  })
})
