import { createPublicKey } from 'node:crypto'
import { consentLimits } from './limits.js'
import type { AppFault } from './problem.js'
import { isText } from './rules.js'

/** Members of a private or symmetric key (RFC 7518 §6.2.2, §6.3.2, §6.4): a set that has one was never meant to leave. */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Members of a public key that are kept; what else a key brings is not. */
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'use', 'alg']

const algorithms: Readonly<Record<string, readonly string[]>> = {
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  Ed25519: ['EdDSA', 'Ed25519'],
}

/** What is wrong with a set of public keys: RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, for signatures, each with its id. */
export function faultsOfKeys(jwks: unknown, where = 'jwks'): readonly AppFault[] {
  const keys = (jwks as { readonly keys?: unknown } | null | undefined)?.keys
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > consentLimits.keys)
    return [{ where, detail: `A set of 1 to ${consentLimits.keys} public keys (RFC 7517)` }]
  const ids = new Set<unknown>()
  return (keys as readonly unknown[]).flatMap((key, index) => {
    const at = `${where}.keys.${index}`
    const detail = faultOfKey(key)
    if (detail !== undefined) return [{ where: at, detail }]
    const { kid } = key as { readonly kid: string }
    if (ids.has(kid)) return [{ where: `${at}.kid`, detail: 'The id of another key of the set' }]
    ids.add(kid)
    return []
  })
}

/** The keys with nothing but what is public and known. */
export function publicPart(jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] }) {
  const isPublic = ([name]: [string, unknown]) => publicMembers.includes(name)
  return { keys: jwks.keys.map((key) => Object.fromEntries(Object.entries(key).filter(isPublic))) }
}

function faultOfKey(key: unknown): string | undefined {
  if (typeof key !== 'object' || key === null) return 'A key is an object'
  const jwk = key as Readonly<Record<string, unknown>>
  if (secretMembers.some((name) => name in jwk))
    return 'A private key: keep it, make another one, and give its public part'
  if (!isText(jwk['kid'], 256)) return 'A `kid` of 1 to 256 characters'
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return '`use` is sig'
  const family = jwk['kty'] === 'RSA' ? 'RSA' : jwk['crv']
  const known = typeof family === 'string' && Object.hasOwn(algorithms, family) ? algorithms[family] : undefined
  if (!known) return 'RSA of 2048 bits or more, P-256, P-384 or Ed25519'
  const { alg } = jwk
  if (alg !== undefined && !known.includes(String(alg))) return `\`alg\` is one of ${known.join(', ')}`
  return faultOfNumbers(jwk)
}

function faultOfNumbers(jwk: Readonly<Record<string, unknown>>): string | undefined {
  const numbers = ['x', 'y', 'n', 'e'].map((name) => jwk[name])
  if (numbers.some((value) => value !== undefined && (typeof value !== 'string' || value.length > 1400)))
    return 'Its numbers are base64url'
  try {
    const { asymmetricKeyDetails: details = {} } = createPublicKey({ key: jwk, format: 'jwk' })
    const { modulusLength: bits, publicExponent: exponent } = details
    if (bits === undefined || exponent === undefined) return undefined
    if (bits < 2048 || bits > 8192) return 'RSA of 2048 to 8192 bits'
    return exponent < 65_537n || exponent % 2n === 0n ? 'An odd exponent of 65537 or more' : undefined
  } catch {
    return 'Not the numbers of a public key'
  }
}
