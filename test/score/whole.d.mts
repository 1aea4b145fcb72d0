import type { ReadPart, readDocument } from '../../src/clinical/read.js'
import type { Score, Tally } from './score.mjs'

export interface Scored extends Score {
  readonly name: string
  readonly standard: string
  readonly part: ReadPart
}
export declare function scoreCorpus(
  reader: typeof readDocument,
  options?: { readonly file?: string; readonly standard?: string; readonly variant?: string },
): Promise<{
  readonly tally: Tally
  readonly scored: readonly Scored[]
  readonly crashes: readonly string[]
  readonly unreadable: readonly string[]
}>
