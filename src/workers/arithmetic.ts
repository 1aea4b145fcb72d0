import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import { type Undecided, undecided } from '../direct/refusal.js'
import type { TokenUri } from '../direct/token-uri.js'
import type { Keyring } from '../keyring/keyring.js'
import { unproven } from '../pkcs11/proof.js'
import type { Tokens } from '../pkcs11/tokens.js'
import type { KeyArithmetic, KeyKind, KeyMismatch, Signed, SigningDigest, WrappedKey } from '../ports/arithmetic.js'
import { KeyUnavailable } from '../ports/keys.js'
import { VaultFailed } from '../ports/vault.js'
import { publicKeyOf, readCertificate } from '../x509/certificate.js'
import { usesOf } from './tokens.js'

/** Making keys and signing with those that are not for mail; see the port. Nothing is kept unwrapped: such keys are seldom used. */
export function openArithmetic(keyring: Keyring, tokens: Tokens): KeyArithmetic {
  /** Works with the plain PKCS#8 of a key, and blots it out afterwards. */
  function withKey<T>({ purpose, id, wrapped }: WrappedKey, work: (pkcs8: Uint8Array, key: KeyObject) => T) {
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
      key.kind === 'token'
        ? unlessAway(() => signByToken(tokens, key.uri, digest, data))
        : withKey(key, (_, object) => ({ kind: 'signed', signature: Uint8Array.from(sign(digest, data, object)) })),
    bindKey: async (key, der) =>
      withKey(key, (pkcs8, object) => {
        const certificate = readCertificate(der)
        if (certificate.kind === 'malformed') return { kind: 'mismatch', detail: certificate.detail }
        const theirs = publicKeyOf(certificate)
        if (!theirs || !createPublicKey(object).equals(theirs))
          return { kind: 'mismatch', detail: 'the certificate is for another key' }
        return { kind: 'bound', wrapped: keyring.wrap('private-key', certificate.fingerprint, pkcs8) }
      }),
    checkToken: async (uri, der) =>
      unlessAway(() => {
        const certificate = readCertificate(der)
        if (certificate.kind === 'malformed') return mismatch(certificate.detail)
        const publicKey = publicKeyOf(certificate)
        if (!publicKey) return mismatch('the certificate has a key of a kind that is not supported')
        const told = tokens.publicKey(uri)
        if (told && !publicKeyIn(told).equals(publicKey)) return mismatch('the token holds another key under this URI')
        const key = tokens.key(uri, publicKey)
        const { signs, opens, extractable } = tokens.traits(uri)
        const uses = usesOf(certificate, key.type)
        if (uses.signs && !signs)
          return mismatch('the certificate is for signing, and the token does not let the key sign')
        if (uses.opens && !opens)
          return mismatch('the certificate is for encrypting to, and the token does not let the key open')
        const fault = unproven(key, publicKey, uses.signs || uses.opens ? uses : { signs, opens })
        return fault === undefined ? { kind: 'holds', extractable } : mismatch(fault)
      }),
    tokenPublicKey: async (uri) =>
      unlessAway(() => {
        const spki = tokens.publicKey(uri)
        return spki ? { kind: 'public-key', spki } : mismatch('the token does not tell the public half of the key')
      }),
  }
}

function mismatch(detail: string): KeyMismatch {
  return { kind: 'mismatch', detail }
}

function unlessAway<T>(work: () => T): T | Undecided {
  try {
    return work()
  } catch (error) {
    if (error instanceof KeyUnavailable) return undecided('key-store-unavailable', error.message)
    throw error
  }
}

function publicKeyIn(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
}

/** As wrapped keys sign; the public half, which says how, comes from the token too. */
function signByToken(tokens: Tokens, uri: TokenUri, digest: SigningDigest, data: Uint8Array): Signed {
  const spki = tokens.publicKey(uri)
  if (!spki) throw new KeyUnavailable(`the token does not tell the public half of ${uri}`)
  const key = tokens.key(uri, publicKeyIn(spki))
  return { kind: 'signed', signature: key.sign(digest, data, key.type === 'ec' ? 'ecdsa' : 'rsa') }
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
