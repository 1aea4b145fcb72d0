/** One change below the store; a key without a value is deleted. */
export type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/**
 * A home of keys sorted by their UTF-8 bytes, which one process owns: LevelDB, or memory in tests. It knows nothing of
 * versions, logs and queues: the committer lays those over it, once for all homes.
 */
export interface OrderedHome extends OrderedReads {
  /** All or nothing. With `sync` it answers only when the changes would survive a power cut. */
  write(changes: readonly Change[], sync: boolean): Promise<void>
  /** The home as it is now, whatever is written later. */
  snapshot(): OrderedReads & { close(): Promise<void> }
  close(): Promise<void>
}

export interface OrderedReads {
  get(key: string): Promise<Uint8Array | undefined>
  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  /** `gte` inclusive, `lt` exclusive. */
  scan(range: {
    readonly gte: string
    readonly lt: string
    readonly limit: number
    readonly reverse?: boolean
  }): Promise<readonly (readonly [string, Uint8Array])[]>
}
