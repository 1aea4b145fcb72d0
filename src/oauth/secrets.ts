import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import type { Store } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import type { OauthLimits } from './limits.js'
import { owner } from './rows.js'

/** What the authorization server signs with. Made at the first start, sealed in the store, never a default. */
export interface Secrets {
  /** Private keys (RFC 7517), the one that signs first. */
  readonly keys: readonly Jwk[]
  /** For cookies, the one in use first. */
  readonly cookies: readonly string[]
  /** 32 bytes for the nonces of proofs. */
  readonly nonce: Uint8Array
  /** 32 bytes for the digests of user codes. */
  readonly userCode: Uint8Array
}

export type Jwk = Readonly<Record<string, unknown>> & { readonly kid: string; readonly alg: string }

interface Kept {
  readonly keys: readonly { readonly jwk: Jwk; readonly madeAt: number }[]
  readonly cookies: readonly { readonly secret: string; readonly madeAt: number }[]
  readonly nonce: string
  readonly userCode: string
}

export const secretsKey = 'oauth/secrets'

const algorithms = ['RS256', 'ES256'] as const
const newKeyPair = promisify(generateKeyPair)

/**
 * The secrets as they stand now, replaced where they are due: a new signing key is published before it signs, an old one
 * after it did. Several processes agree on them through the store.
 */
export async function currentSecrets(ports: {
  readonly store: Pick<Store, 'get' | 'commit'>
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly limits: OauthLimits
}): Promise<{ readonly secrets: Secrets; readonly version: string }> {
  const { store, vault, clock, limits } = ports
  for (;;) {
    const entry = await store.get(secretsKey)
    const kept = entry && (JSON.parse(Buffer.from(await vault.open(owner, secretsKey, entry.value)).toString()) as Kept)
    const now = clock.now()
    const due = await replaced(kept, now, ports)
    if (kept && !due) return { secrets: told(kept, now, limits), version: versionOf(kept, now, limits) }
    const value = await vault.seal(owner, secretsKey, Buffer.from(JSON.stringify(due)))
    await store.commit({
      require: [{ key: secretsKey, version: entry?.version ?? 'absent' }],
      put: [{ key: secretsKey, value }],
    })
    // Whoever wrote first is right; both read it again.
  }
}

/** The secrets after what is due was done; undefined where nothing is. */
async function replaced(
  kept: Kept | undefined,
  now: number,
  { random, limits }: { readonly random: Random; readonly limits: OauthLimits },
): Promise<Kept | undefined> {
  const secret = () => Buffer.from(random.bytes(32)).toString('base64url')
  if (!kept) {
    const keys = await Promise.all(algorithms.map((alg) => newKey(alg, now)))
    return { keys, cookies: [{ secret: secret(), madeAt: now }], nonce: secret(), userCode: secret() }
  }
  const newest = Math.max(...kept.keys.map(({ madeAt }) => madeAt))
  if (now - newest < limits.keyRotationMs) return undefined
  const oldest = now - limits.keyRotationMs - limits.keyAheadMs - limits.keyAfterMs
  const fresh = await Promise.all(algorithms.map((alg) => newKey(alg, now)))
  const young = <T extends { readonly madeAt: number }>(one: T) => one.madeAt === newest || one.madeAt > oldest
  return {
    keys: [...fresh, ...kept.keys.filter(young)],
    cookies: [{ secret: secret(), madeAt: now }, ...kept.cookies.filter(young)].slice(0, 3),
    nonce: secret(),
    userCode: kept.userCode,
  }
}

/** The key that signs stands first: the newest that was published long enough. */
function told({ keys, cookies, nonce, userCode }: Kept, now: number, limits: OauthLimits): Secrets {
  const ready = (madeAt: number) => now - madeAt >= limits.keyAheadMs
  const ordered = [...keys].sort((a, b) => b.madeAt - a.madeAt)
  const some = ordered.some(({ madeAt }) => ready(madeAt))
  const first = ordered.filter(({ madeAt }) => !some || ready(madeAt))
  const ahead = ordered.filter(({ madeAt }) => some && !ready(madeAt))
  return {
    keys: [...first, ...ahead].map(({ jwk }) => jwk),
    cookies: cookies.map(({ secret }) => secret),
    nonce: Buffer.from(nonce, 'base64url'),
    userCode: Buffer.from(userCode, 'base64url'),
  }
}

/** Changes whenever what is told changes. */
function versionOf(kept: Kept, now: number, limits: OauthLimits): string {
  return told(kept, now, limits)
    .keys.map(({ kid }) => kid)
    .join(' ')
}

async function newKey(alg: (typeof algorithms)[number], madeAt: number) {
  const { privateKey } =
    alg === 'RS256' ? await newKeyPair('rsa', { modulusLength: 2048 }) : await newKeyPair('ec', { namedCurve: 'P-256' })
  const jwk = { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${madeAt.toString(36)}` }
  return { jwk, madeAt }
}
