/**
 * Bodies too large for the store: immutable, named by content, durable before the batch that names them. What no batch
 * names in time is swept. Blobs are stored as given; whoever writes clinical bytes seals them first (see Vault).
 */
export interface Blobs {
  /** Writes all of it, syncs file and directory, then answers the SHA-256 in lower-case hex. Throws StoreFailed on a disk error, leaving nothing behind. */
  put(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string>
  /** The bytes in chunks of at most 64 KiB; undefined where there is no such blob. */
  get(name: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** A path a worker thread may read by itself, where the adapter has one. */
  path(name: string): string | undefined
  size(name: string): Promise<number | undefined>
  delete(name: string): Promise<void>
  /** Names of blobs older than `olderThanMs`, for the orphan sweep. */
  olderThan(olderThanMs: number): AsyncIterable<string>
  /** Free bytes and share of free inodes of the home, or undefined where that has no meaning. */
  room(): Promise<
    | {
        readonly freeBytes: number
        readonly totalBytes: number
        readonly freeInodes: number
      }
    | undefined
  >
}
