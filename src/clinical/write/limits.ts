/** What a document that we write may grow to. */
export interface WriteLimits {
  readonly items: number
  readonly bytes: number
}

export const writeLimits: WriteLimits = {
  /** As many as a document may have that we read; a record of decades has fewer. */
  items: 10_000,
  /** Half of what our reader takes: a document that the next system refuses is of no use. */
  bytes: 32 * 1024 * 1024,
}
