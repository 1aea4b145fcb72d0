import { type PackageLimits, packageLimits } from './limits.js'

/** What is in a package, as it is encrypted: items as they were sent, and files by the uploads that hold them. */
export interface PackageManifest {
  readonly v: 1
  /** Typed items; who claims them reads them by the schema of the API. */
  readonly items: readonly unknown[]
  readonly files: readonly ManifestFile[]
}

export interface ManifestFile {
  readonly name: string
  readonly mediaType: string
  readonly upload: string
  readonly sizeBytes: number
  /** Of the bytes as they were uploaded, lower-case hex. */
  readonly sha256: string
  /** What opens the upload, base64url; absent where the sender encrypted, and the server keeps it. */
  readonly key?: string
  /** What opens the sender's own JWE inside the upload, base64url. */
  readonly jweKey?: string
}

export type ManifestOutcome =
  | { readonly kind: 'manifest'; readonly manifest: PackageManifest }
  /** Not such a package (HealthVault 120); where, without a word of it. */
  | { readonly kind: 'malformed'; readonly detail: string }

/** Reads what was decrypted. Nothing but its key says that it is well formed: a sender may have encrypted anything. */
export function readManifest(content: Uint8Array, limits: PackageLimits = packageLimits): ManifestOutcome {
  const malformed = (detail: string) => ({ kind: 'malformed' as const, detail })
  if (content.length > limits.manifestBytes) return malformed('it is too large')
  let read: unknown
  try {
    read = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch {
    return malformed('it is not JSON')
  }
  if (!isObject(read) || read['v'] !== 1) return malformed('it is no package of version 1')
  const { items = [], files = [] } = read
  if (!Array.isArray(items) || items.length > limits.items) return malformed('items')
  if (!Array.isArray(files) || files.length > limits.filesPerPackage) return malformed('files')
  if (items.length + files.length === 0) return malformed('nothing is in it')
  const known: ManifestFile[] = []
  for (const [index, one] of files.entries()) {
    const file = fileOf(one, limits)
    if (!file) return malformed(`files.${index}`)
    known.push(file)
  }
  if (new Set(known.map(({ upload }) => upload)).size !== known.length) return malformed('an upload stands twice')
  return { kind: 'manifest', manifest: { v: 1, items, files: known } }
}

function fileOf(one: unknown, limits: PackageLimits): ManifestFile | undefined {
  if (!isObject(one)) return undefined
  const { name, mediaType, upload, sizeBytes, sha256, key, jweKey } = one
  if (typeof name !== 'string' || !isFileName(name, limits)) return undefined
  if (typeof mediaType !== 'string' || !isMediaType(mediaType)) return undefined
  if (typeof upload !== 'string' || !/^[0-9a-f]{32}$/.test(upload)) return undefined
  if (typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) return undefined
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  if (!isKeyOrNone(key) || !isKeyOrNone(jweKey)) return undefined
  return { name, mediaType, upload, sizeBytes, sha256, ...(key && { key }), ...(jweKey && { jweKey }) }
}

/** A name that people can be shown: no path, no character of control. */
export function isFileName(name: string, { nameChars }: Pick<PackageLimits, 'nameChars'> = packageLimits): boolean {
  return name.trim() !== '' && name.length <= nameChars && !/[\p{Cc}\p{Cs}\u2028\u2029/\\]/u.test(name)
}

/** `type/subtype`, with or without parameters, in characters of a header. */
export function isMediaType(text: string): boolean {
  return text.length <= 200 && /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(\s*;[\x20-\x7e]*)?$/i.test(text)
}

function isKeyOrNone(key: unknown): key is string | undefined {
  return key === undefined || (typeof key === 'string' && /^[A-Za-z0-9_-]{43}$/.test(key))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
