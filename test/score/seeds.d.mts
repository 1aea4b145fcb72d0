import type { ReadPart } from '../../src/clinical/read.js'
import type { Score } from './score.mjs'

export interface Seed {
  readonly name: string
  readonly spoil: (part: ReadPart) => void
  readonly seen: readonly ((score: Score) => boolean)[]
}
export declare const seeds: readonly Seed[]
export declare const ccrSeeds: readonly Seed[]
