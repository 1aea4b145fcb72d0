import { createHash, hkdfSync } from 'node:crypto'
import type { SlowHash } from '../../ports/slow-hash.js'
import type { Random } from '../../ports/world.js'
import { type JweHeader, jweHeader, jweLimits, openJwe, sealJwe } from '../shl/jwe.js'

/**
 * How a package is encrypted, so that neither a stolen database nor whoever runs the server opens it: by a key that is made
 * of the answer and of the half of the pickup code that is never kept. A sender may do it alone, by the same recipe:
 *
 *     K = HKDF-SHA256(Argon2id(answer, salt) ‖ secret half of the code, info = "direct-gateway/1/package", 32 bytes)
 *
 * The package is a compact JWE under K, with `dir` and `A256GCM`; its header, which is authenticated with it, names the
 * package, the application and a digest of the external id, so that it opens nowhere else.
 */
export const recipe = {
  kdf: 'argon2id+hkdf-sha256',
  info: 'direct-gateway/1/package',
  contentType: 'application/vnd.direct-gateway.package+json',
  saltBytes: 16,
} as const

/** What one package is bound to. */
export interface Binding {
  /** Id of the package. */
  readonly package: string
  readonly app: string
  /** As `externalDigest` makes it, of the external id at the time of creation. */
  readonly external: string
}

/** What opens a package: the answer as it is compared, and the secret half of the code, 8 bytes or more. */
export interface PackageSecret {
  readonly answer: string
  readonly half: Uint8Array
}

/** SHA-256 over package and external id, in base64url: external ids are guessable, and no two packages show the same one. */
export function externalDigest(packageId: string, externalId: string): string {
  return createHash('sha256').update(`${packageId}\n${externalId}`).digest('base64url')
}

/** The key of a package, 32 bytes. Throws SlowHashBusy. */
export async function packageKey(
  slow: Pick<SlowHash, 'derive'>,
  { answer, half }: PackageSecret,
  salt: Uint8Array,
): Promise<Uint8Array> {
  const slowed = await slow.derive(answer, salt)
  const material = Buffer.concat([slowed, half])
  return new Uint8Array(hkdfSync('sha256', material, new Uint8Array(), recipe.info, 32))
}

/** The package as a JWE. */
export async function sealPackage(
  ports: { readonly slow: Pick<SlowHash, 'derive' | 'cost'>; readonly random: Random },
  secret: PackageSecret,
  binding: Binding,
  content: Uint8Array,
): Promise<string> {
  const salt = ports.random.bytes(recipe.saltBytes)
  const key = await packageKey(ports.slow, secret, salt)
  const header = {
    ...{ cty: recipe.contentType, kdf: recipe.kdf, argon2id: ports.slow.cost },
    ...{ salt: Buffer.from(salt).toString('base64url'), ...binding },
  }
  return sealJwe(key, ports.random.bytes(12), header, content)
}

/**
 * Why a JWE that a sender made is not taken: its header does not say this recipe, with these costs, or another package.
 * Undefined where all is well, as far as this shows without the key.
 */
export function headerFault(jwe: string, binding: Binding, cost: string, mostBytes: number): string | undefined {
  if (jwe.length > mostBytes * 1.4) return 'it is too large'
  const header = jweHeader(jwe)
  return header ? faultOf(header, binding, cost) : 'it is no compact JWE with dir and A256GCM'
}

function faultOf(header: JweHeader, binding: Binding, cost: string): string | undefined {
  const wanted = { cty: recipe.contentType, kdf: recipe.kdf, argon2id: cost, ...binding }
  const wrong = Object.entries(wanted).find(([name, value]) => header[name] !== value)
  if (wrong) return `its header does not have the ${wrong[0]} that it should`
  if (header['zip'] !== undefined) return 'it is compressed'
  return saltOf(header) ? undefined : 'its salt is not 16 bytes or more'
}

function saltOf(header: JweHeader): Uint8Array | undefined {
  const { salt } = header
  if (typeof salt !== 'string' || !/^[A-Za-z0-9_-]{22,86}$/.test(salt)) return undefined
  return Buffer.from(salt, 'base64url')
}

export type UnsealOutcome =
  | { readonly kind: 'opened'; readonly key: Uint8Array; readonly content: Uint8Array }
  /** Another answer or another code. */
  | { readonly kind: 'wrong' }
  | { readonly kind: 'malformed'; readonly detail: string }

/** Opens a package with the answer and the code's half. Throws SlowHashBusy. */
export async function unsealPackage(
  slow: Pick<SlowHash, 'derive' | 'cost'>,
  secret: PackageSecret,
  binding: Binding,
  jwe: string,
): Promise<UnsealOutcome> {
  const header = jweHeader(jwe)
  const fault = header ? faultOf(header, binding, slow.cost) : 'it is no compact JWE'
  const salt = header && saltOf(header)
  if (fault !== undefined || !salt) return { kind: 'malformed', detail: fault ?? 'no salt' }
  const key = await packageKey(slow, secret, salt)
  return openSealed(key, jwe)
}

/** Opens a package with its key. */
export async function openSealed(key: Uint8Array, jwe: string): Promise<UnsealOutcome> {
  const opened = await openJwe(key, jwe, jweLimits)
  if (opened.kind === 'wrong-key') return { kind: 'wrong' }
  return opened.kind === 'malformed' ? opened : { kind: 'opened', key, content: opened.plaintext }
}
