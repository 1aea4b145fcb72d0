import { createHash } from 'node:crypto'
import type { Batch, Store } from '../ports/store.js'
import { within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock } from '../ports/world.js'

/**
 * Rows of the authorization server, sealed under one data key:
 *
 * | key                         | value                                                                |
 * |-----------------------------|----------------------------------------------------------------------|
 * | `oauth/<Model>/<sha256>`    | when it ends (8 bytes, milliseconds), then what it is, sealed        |
 * | `oauth/user-code/<hmac>`    | the same, with the device code that a user code belongs to           |
 * | `oauth/secrets`             | signing keys and the like, sealed                                    |
 *
 * A key names its row by the digest of the secret that finds it, and the secret is not in the row.
 */
export const owner = 'oauth'

/** What is kept of one thing, as it stands in its row. */
export interface Row {
  readonly key: string
  readonly version: number
  /** Unix milliseconds. */
  readonly endsAt: number
  readonly payload: Readonly<Record<string, unknown>>
}

export interface Rows {
  /** Undefined for what is not there, and for what ended. */
  get(key: string): Promise<Row | undefined>
  /** A put of this payload; what must hold besides is the caller's. */
  put(key: string, payload: Readonly<Record<string, unknown>>, endsAt: number): Promise<Batch>
  /** Takes away what ended, some rows at a time; answers where to go on, undefined at the end. */
  sweep(limit: number, after?: string): Promise<{ readonly swept: number; readonly next?: string }>
}

const endBytes = 8

export function openRows({ store, vault, clock }: { store: Store; vault: Vault; clock: Clock }): Rows {
  return {
    async get(key) {
      const entry = await store.get(key)
      if (!entry || endOf(entry.value) <= clock.now()) return undefined
      const payload = await openRow(vault, key, entry.value)
      return { key, version: entry.version, endsAt: endOf(entry.value), payload }
    },
    async put(key, payload, endsAt) {
      const end = Buffer.alloc(endBytes)
      end.writeBigUInt64BE(BigInt(Math.trunc(endsAt)))
      const sealed = await vault.seal(owner, contextOf(key, endsAt), Buffer.from(JSON.stringify(payload)))
      return { put: [{ key, value: Buffer.concat([end, sealed]) }] }
    },
    async sweep(limit, after) {
      const { gte, lt } = within('oauth/')
      const entries = await store.range({ gte: after === undefined ? gte : `${after}\0`, lt, limit })
      const over = entries.filter(({ key, value }) => isSwept(key) && endOf(value) <= clock.now())
      if (over.length > 0) {
        // Written anew meanwhile: the next sweep sees it as it then is.
        const require = over.map(({ key, version }) => ({ key, version }))
        const { kind } = await store.commit({ require, del: over.map(({ key }) => key) })
        if (kind !== 'committed') return { swept: 0, ...nextOf(entries, limit) }
      }
      return { swept: over.length, ...nextOf(entries, limit) }
    },
  }
}

function nextOf(entries: readonly { readonly key: string }[], limit: number): { readonly next?: string } {
  const last = entries.at(-1)
  return last && entries.length === limit ? { next: last.key } : {}
}

/** Whether a row ends by itself: all do but our own secrets. */
function isSwept(key: string): boolean {
  return key.split('/').length === 3
}

/** Key of the row that an identifier finds. */
export function rowKey(model: string, id: string): string {
  return `oauth/${model}/${createHash('sha256').update(id).digest('hex')}`
}

/** When a row ends, Unix milliseconds. */
export function endOf(value: Uint8Array): number {
  return value.length < endBytes ? 0 : Number(Buffer.from(value.buffer, value.byteOffset, endBytes).readBigUInt64BE())
}

/** What a row holds; throws VaultFailed where it was changed, moved, or made to last longer. */
export async function openRow(
  vault: Pick<Vault, 'open'>,
  key: string,
  value: Uint8Array,
): Promise<Readonly<Record<string, unknown>>> {
  const plain = await vault.open(owner, contextOf(key, endOf(value)), value.subarray(endBytes))
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString('utf8')) as Record<
    string,
    unknown
  >
}

function contextOf(key: string, endsAt: number): string {
  return `${key} ${Math.trunc(endsAt)}`
}
