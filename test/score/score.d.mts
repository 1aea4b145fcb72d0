import type { ReadPart } from '../../src/clinical/read.js'

export interface Fact {
  readonly cat: string
  readonly path: string
  readonly keys?: readonly string[]
  readonly key?: string
}
export interface Breach {
  readonly name: string
  readonly path: string
  readonly detail: string
}
export interface Score {
  readonly sections: readonly {
    readonly key: string
    readonly kind: string
    readonly found: readonly Fact[]
    readonly missing: readonly Fact[]
    readonly spurious: readonly Fact[]
  }[]
  readonly safety: readonly Breach[]
  readonly conservation: readonly Breach[]
  readonly unjudged: readonly string[]
}
export declare function scoreDocument(bytes: Uint8Array, part: ReadPart): Score | undefined
export interface Counts {
  readonly found: number
  readonly missing: number
  readonly spurious: number
}
export declare class Tally {
  sum(test: (standard: string, kind: string, cat: string) => boolean): Counts
}
export declare function judge(tally: Tally): readonly {
  readonly standard: string
  readonly bar: string
  readonly wanted: number
  readonly got: number
  readonly of: number
  readonly met: boolean
}[]
