import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeBody } from '../../src/mime/decode.js'
import { splitSigned } from '../../src/mime/signed.js'

const available = spawnSync('openssl', ['version']).status === 0

function openssl(args: readonly string[], input?: Uint8Array): Buffer {
  const run = spawnSync('openssl', args, { input })
  if (run.status !== 0) throw new Error(run.stderr.toString())
  return run.stdout
}

describe.skipIf(!available)('splitSigned as OpenSSL judges it (skipped without openssl)', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mime-openssl-'))
    const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'key.pem')]
    openssl(['req', '-x509', ...key, '-out', join(folder, 'certificate.pem'), '-subj', '/CN=Signer', '-days', '2'])
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const content = Buffer.from('Content-Type: text/plain\r\n\r\nhello \t\r\n\r\n--x\r\n')
  const signers = () => ['-signer', join(folder, 'certificate.pem'), '-inkey', join(folder, 'key.pem'), '-md', 'sha256']

  it.each([
    ['the frame in bare LF', ['-binary']],
    ['every line in CRLF', ['-binary', '-crlfeol']],
    ['the content made canonical by the signer', ['-crlfeol']],
  ])('gives the very bytes that were signed, with %s', (_name, options) => {
    const split = splitSigned(openssl(['cms', '-sign', ...options, ...signers()], content))
    if (split.kind !== 'signed') throw new Error(split.detail)
    const signature = decodeBody(split.signature)
    if (signature.kind !== 'decoded') throw new Error(signature.detail)
    expect(signature.diagnostics).toEqual([])

    const verify = (bytes: Buffer) => {
      writeFileSync(join(folder, 'content'), bytes)
      const args = ['cms', '-verify', '-binary', '-noverify', '-inform', 'DER', '-content', join(folder, 'content')]
      return spawnSync('openssl', args, { input: signature.bytes }).status === 0
    }
    expect(verify(split.content)).toBe(true)
    expect(verify(split.content.subarray(0, -1))).toBe(false)
    expect(verify(Buffer.concat([split.content, Buffer.from('\r\n')]))).toBe(false)
  })
})
