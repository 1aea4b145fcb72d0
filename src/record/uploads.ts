/** (types only for now) */
export interface StoredBlob {
  readonly sha256: string
  readonly sizeBytes: number
  /** Id of the upload under which its pieces lie, and their sizes in order. */
  readonly id: string
  readonly pieces: readonly number[]
  /** Whoever uploaded these bytes: they may bind them to what they write. */
  readonly by: readonly string[]
  /** When it is swept unless something names it until then, Unix milliseconds; absent where something does. */
  readonly dueAt?: number
}
