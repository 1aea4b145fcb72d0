import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import { type Undecided, undecided } from '../direct/refusal.js'
import type { Keyring } from '../keyring/keyring.js'
import type { KeptKey, KeyArithmetic, KeyKind } from '../ports/arithmetic.js'
import { VaultFailed } from '../ports/vault.js'
import { publicKeyOf, readCertificate } from '../x509/certificate.js'

/** Making keys and signing with those that are not for mail; see the port. Nothing is kept unwrapped: such keys are seldom used. */
export function openArithmetic(keyring: Keyring): KeyArithmetic {
  /** Works with the plain PKCS#8 of a key, and blots it out afterwards. */
  function withKey<T>({ purpose, id, wrapped }: KeptKey, work: (pkcs8: Uint8Array, key: KeyObject) => T) {
    let pkcs8: Uint8Array
    try {
      pkcs8 = keyring.unwrap(purpose, id, wrapped)
    } catch (error) {
      if (error instanceof VaultFailed) return unreadable(id, error)
      throw error
    }
    try {
      return work(pkcs8, createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }))
    } finally {
      pkcs8.fill(0)
    }
  }

  return {
    async newKey(kind, purpose) {
      const { privateKey, publicKey } = newPair(kind)
      const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
      const spki = Uint8Array.from(publicKey.export({ format: 'der', type: 'spki' }))
      const id = hash('sha256', spki, 'hex')
      const wrapped = keyring.wrap(purpose, id, pkcs8)
      pkcs8.fill(0)
      return { spki, key: { kind: 'wrapped', purpose, id, wrapped } }
    },
    signData: async (key, digest, data) =>
      withKey(key, (_, object) => ({ kind: 'signed', signature: Uint8Array.from(sign(digest, data, object)) })),
    bindKey: async (key, der) =>
      withKey(key, (pkcs8, object) => {
        const certificate = readCertificate(der)
        if (certificate.kind === 'malformed') return { kind: 'mismatch', detail: certificate.detail }
        const theirs = publicKeyOf(certificate)
        if (!theirs || !createPublicKey(object).equals(theirs))
          return { kind: 'mismatch', detail: 'the certificate is for another key' }
        return { kind: 'bound', wrapped: keyring.wrap('private-key', certificate.fingerprint, pkcs8) }
      }),
  }
}

function newPair(kind: KeyKind): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  switch (kind) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) })
  }
}

function unreadable(id: string, error: VaultFailed): Undecided {
  return undecided('key-store-unavailable', `key ${id.slice(0, 16)}: ${error.message}`)
}
