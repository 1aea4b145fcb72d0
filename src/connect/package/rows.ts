import type { Vault } from '../../ports/vault.js'

/**
 * Rows of packages and uploads. None says what is in a package, or for whom it is.
 *
 * | key                                        | value                                                          |
 * |--------------------------------------------|----------------------------------------------------------------|
 * | `connect/uploads/<app>`                    | ids, sizes and beginnings of uploads that no package names yet |
 * | `connect/upload/<id>/head`                 | the upload with its key, sealed; gone once a package has it    |
 * | `connect/upload/<id>/chunk/<n>`            | where a piece begins, its length and its blob                  |
 * | `connect/package/<app>/<id>/content`       | the package as a JWE, sealed (see ports/body)                  |
 * | `connect/package/<app>/<id>/head`          | what it is bound to, its uploads, how it ended                 |
 */
export function ledgerKey(app: string): string {
  return `${ledgerPrefix}${segment(app)}`
}

export const ledgerPrefix = 'connect/uploads/'

export function uploadPrefix(id: string): string {
  return `connect/upload/${segment(id)}/`
}

export function uploadKey(id: string): string {
  return `${uploadPrefix(id)}head`
}

export function chunkKey(id: string, index: number): string {
  return `${uploadPrefix(id)}chunk/${String(index).padStart(4, '0')}`
}

export function contentKey(app: string, id: string): string {
  return `connect/package/${segment(app)}/${segment(id)}/content`
}

export function packageHeadKey(app: string, id: string): string {
  return `connect/package/${segment(app)}/${segment(id)}/head`
}

/** Owner of the data key under which an application's uploads and packages lie. */
export function ownerOf(app: string): string {
  return `app/${segment(app)}`
}

function segment(text: string): string {
  return encodeURIComponent(text)
}

/** An upload as its row has it. */
export interface UploadRow {
  readonly app: string
  readonly sizeBytes: number
  readonly receivedBytes: number
  readonly chunks: number
  readonly begunAt: number
  /** 32 bytes in base64url, of this upload alone; a package takes it along, and the row goes. */
  readonly key: string
  /** SHA-256 of all of it in lower-case hex, once it is completed. */
  readonly sha256?: string
}

export interface ChunkRow {
  readonly offset: number
  readonly sizeBytes: number
  readonly blob: string
  /** HMAC-SHA256 of the bytes under the upload's key, base64url: whether a piece that comes again is the same. */
  readonly mac: string
}

export interface LedgerRow {
  readonly uploads: readonly { readonly id: string; readonly sizeBytes: number; readonly begunAt: number }[]
}

export async function sealJson(vault: Vault, owner: string, key: string, value: unknown): Promise<Uint8Array> {
  return vault.seal(owner, key, Buffer.from(JSON.stringify(value)))
}

/** Throws VaultFailed where the row was changed or moved. */
export async function openJson<T>(vault: Vault, owner: string, key: string, sealed: Uint8Array): Promise<T> {
  return jsonIn<T>(await vault.open(owner, key, sealed))
}

export function jsonIn<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T
}
