/**
 * Bodies too large for the store: immutable, named by content, durable before the batch that names them. What no batch
 * has named a day after its put is swept, by any of the processes that share the home: age alone decides. Blobs are
 * stored as given; whoever writes clinical bytes seals them first (see Vault).
 */
export interface Blobs {
  /**
   * Writes all of it, makes it durable, then answers the SHA-256 in lower-case hex. Throws StoreFailed where the disk or
   * the server fails, and what `chunks` throws as it is, leaving nothing behind. Callers put bytes that nobody else ever
   * puts: 32 random bytes in front, or a sealed stream, which begins with its salt. A name that came twice could be swept
   * as the old blob while it is put as the new one.
   */
  put(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string>
  /** The bytes in chunks of at most 64 KiB; undefined where there is no such blob. */
  get(name: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** A path a worker thread may read by itself, where the home has one; undefined says nothing of whether the blob is there. */
  path(name: string): string | undefined
  size(name: string): Promise<number | undefined>
  delete(name: string): Promise<void>
  /** Names of blobs put longer ago than `olderThanMs`, in no order, each once; blobs put or deleted meanwhile may come or not. */
  olderThan(olderThanMs: number): AsyncIterable<string>
  /** Free bytes and inodes of the disk that a put needs, or undefined where that has no meaning. */
  room(): Promise<
    | {
        readonly freeBytes: number
        readonly totalBytes: number
        /** 0 to 1. */
        readonly freeInodes: number
      }
    | undefined
  >
}
