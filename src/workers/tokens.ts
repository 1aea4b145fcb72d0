import { readFileSync, statSync } from 'node:fs'
import process from 'node:process'
import type { TokenUri } from '../direct/token-uri.js'
import { unguarded } from '../keyring/master-key.js'
import type { ReadPin } from '../pkcs11/login.js'
import { unproven } from '../pkcs11/proof.js'
import type { Shared } from '../pkcs11/shared.js'
import { openTokens, type Tokens } from '../pkcs11/tokens.js'
import { KeyUnavailable, type PrivateKey } from '../ports/keys.js'
import { type Certificate, keyUsage, publicKeyOf } from '../x509/certificate.js'

/** Where tokens are reached: what the pool hands to every thread. */
export interface TokenSettings {
  /** Path of the PKCS#11 module. */
  readonly module: string
  /** A file with the PIN and nothing else, guarded as the master key is. */
  readonly pinFile: string
  /** What the threads of the process hold together (pkcs11/shared.ts). */
  readonly shared: Shared
}

/** The tokens of this thread. Without settings every key of a token is KeyUnavailable. */
export function tokensOf(settings: TokenSettings | undefined): Tokens {
  if (settings) return openTokens({ ...settings, readPin: () => pinIn(settings.pinFile) })
  const none = () => {
    throw new KeyUnavailable('the key is in a token, and pkcs11.module is not set')
  }
  return { key: none, traits: none, publicKey: none }
}

/** The key that the URI names, after it has shown once that it is the certificate's. Throws KeyUnavailable for another one. */
export function provenKey(tokens: Tokens, uri: TokenUri, certificate: Certificate): PrivateKey {
  const publicKey = publicKeyOf(certificate)
  if (!publicKey) throw new KeyUnavailable('the certificate has a key of a kind that is not supported')
  const key = tokens.key(uri, publicKey)
  const { opens } = tokens.traits(uri)
  const fault = unproven(key, publicKey, { opens, signs: !opens })
  if (fault) throw new KeyUnavailable(`${uri} is another key: ${fault}`)
  return key
}

/** What a certificate is for (RFC 5280 §4.2.1.3): the key must do all of it. */
export function usesOf(certificate: Certificate, type: 'rsa' | 'ec') {
  const usage = certificate.keyUsage ?? -1
  const opening = type === 'ec' ? keyUsage.keyAgreement : keyUsage.keyEncipherment | keyUsage.dataEncipherment
  return { signs: (usage & keyUsage.digitalSignature) !== 0, opens: (usage & opening) !== 0 }
}

function pinIn(file: string): ReturnType<ReadPin> {
  try {
    const why = unguarded(statSync(file), process.getuid?.(), process.getgroups?.() ?? [])
    if (why)
      return { kind: 'no-login', detail: `the PIN file ${file} is not used: ${why.replace('master key', 'PIN')}` }
    // Editors end files with a line break that no PIN has.
    const pin = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    return pin.length > 0 ? { kind: 'pin', pin } : { kind: 'no-login', detail: `the PIN file ${file} is empty` }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown'
    return { kind: 'no-login', detail: `the PIN file ${file} cannot be read: ${code}` }
  }
}
