import { execFileSync } from 'node:child_process'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { TokenUri } from '../../src/direct/token-uri.js'
import { newShared } from '../../src/pkcs11/shared.js'
import { openTokens } from '../../src/pkcs11/tokens.js'
import { type Identity, makeAuthority } from '../fixtures/pki.js'
import { ready } from '../setup/programs.mjs'

/** SoftHSM's module, where it is installed and can be called. */
export const module = hasCaller() ? ready('softhsm') : undefined
export const pin = '271828'

function hasCaller(): boolean {
  try {
    createRequire(import.meta.url)('koffi')
    return true
  } catch {
    return false
  }
}

export const uriOf = (id: string): TokenUri => `pkcs11:token=mail;id=%${id}` as TokenUri

/** A token `mail` with the keys that pkcs11-keys.mjs makes, in a folder of its own, and the file with its PIN. */
export function makeToken(module: string) {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-pkcs11-'))
  const tokens = join(folder, 'tokens')
  mkdirSync(tokens)
  const conf = join(folder, 'softhsm2.conf')
  writeFileSync(conf, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`)
  process.env['SOFTHSM2_CONF'] = conf
  const made = ['--init-token', '--free', '--label', 'mail', '--pin', pin, '--so-pin', '31415926']
  execFileSync('softhsm2-util', made, { stdio: 'pipe' })
  execFileSync(process.execPath, ['test/interop/pkcs11-keys.mjs', module, 'mail', pin], { stdio: 'pipe' })
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 })
  return { folder, tokens, pinFile, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

export const authority = makeAuthority({ keyType: 'rsa2048' })

/** What OpenSSL makes a certificate of, for the public half that the token tells. */
export function certify(folder: string, module: string, id: string, san: string, usage: string) {
  const told = openTokens({ module, readPin: () => ({ kind: 'pin', pin }), shared: newShared() }).publicKey(uriOf(id))
  if (!told) throw new Error(`the token does not tell the public key ${id}`)
  const publicKey: KeyObject = createPublicKey({ key: Buffer.from(told), format: 'der', type: 'spki' })
  const at = (name: string) => join(folder, `${id}-${name}`)
  writeFileSync(at('public.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
  writeFileSync(at('ca.pem'), authority.certificatePem)
  writeFileSync(at('ca.key'), authority.privateKeyPem, { mode: 0o600 })
  writeFileSync(at('ext'), `subjectAltName=${san}\nkeyUsage=critical,${usage}\nextendedKeyUsage=emailProtection\n`)
  const args = ['x509', '-new', '-force_pubkey', at('public.pem'), '-subj', `/CN=Key ${id}`, '-days', '30']
  const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-extfile', at('ext'), '-out', at('certificate.pem')]
  execFileSync('openssl', [...args, ...signing], { stdio: 'pipe' })
  const der = execFileSync('openssl', ['x509', '-in', at('certificate.pem'), '-outform', 'DER'])
  return { certificate: Uint8Array.from(der), pem: at('certificate.pem'), ca: at('ca.pem'), publicKey }
}

/** Only its certificate is asked for: the private key is in the token. */
export const recipient = ({ certificate }: { readonly certificate: Uint8Array }) => ({ certificate }) as Identity
