import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'
import type { Store } from '../ports/store.js'
import { together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { OauthLimits } from './limits.js'
import { type Rows, rowKey } from './rows.js'

/** Signatures that a proof may have; none with a shared secret (RFC 9449 §4.3). */
export const proofAlgorithms = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519']

/** What a request says of itself beside its token. */
export interface Presented {
  /** Of the Authorization header. */
  readonly scheme: 'Bearer' | 'DPoP'
  /** The DPoP header, where there is exactly one. */
  readonly proof?: string
  readonly method: string
  /** From the root of the server on; its query does not count. */
  readonly path: string
}

export interface ProofPorts {
  readonly rows: Rows
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  readonly limits: OauthLimits
  /** Where clients see us: never what a request says of its host. */
  readonly issuer: string
}

/**
 * Whether a request proves to hold the key that a token is bound to (RFC 9449 §7.1): a proof for this method, this URL and
 * this token, made now, never seen before. Never throws for what a proof says.
 */
export async function isProved(
  { rows, store, clock, limits, issuer }: ProofPorts,
  { proof, method, path }: Presented,
  token: { readonly secret: string; readonly thumbprint: string; readonly client: string },
): Promise<boolean> {
  if (proof === undefined || proof.length > limits.proofChars) return false
  const now = clock.now()
  const read = await jwtVerify(proof, EmbeddedJWK, {
    algorithms: proofAlgorithms,
    typ: 'dpop+jwt',
    currentDate: new Date(now),
    clockTolerance: limits.clockToleranceSeconds,
  }).catch(() => undefined)
  if (!read) return false
  const { jti, htm, htu, ath, iat } = read.payload
  if (htm !== method || !isSamePlace(htu, `${issuer}${path}`)) return false
  if (ath !== createHash('sha256').update(token.secret).digest('base64url')) return false
  if (typeof iat !== 'number' || Math.abs(now / 1000 - iat) > limits.proofSeconds) return false
  if (typeof jti !== 'string' || jti === '' || jti.length > 500) return false
  const { jwk } = read.protectedHeader
  if (!jwk || (await calculateJwkThumbprint(jwk).catch(() => undefined)) !== token.thumbprint) return false
  const key = rowKey('Proof', `${token.client} ${token.thumbprint} ${jti}`)
  const seen = await rows.put(key, {}, now + 2 * limits.proofSeconds * 1000)
  // Absent, or seen by whoever was faster.
  return (await store.commit(together({ require: [{ key, version: 'absent' }] }, seen))).kind === 'committed'
}

/** RFC 9449 §4.3: compared after normalisation, without query and fragment. */
function isSamePlace(htu: unknown, url: string): boolean {
  if (typeof htu !== 'string' || !URL.canParse(htu) || !URL.canParse(url)) return false
  const [proved, asked] = [new URL(htu), new URL(url)]
  return proved.origin === asked.origin && proved.pathname === asked.pathname
}
