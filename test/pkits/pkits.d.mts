export interface Deviation {
  readonly id: string
  readonly name: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly words: string
}
export type Mode = 'listed' | 'pool'
/** Runs whose verdict may differ from the table, by id, each with its reason. */
export const accepted: Readonly<Record<Mode, Readonly<Record<string, string>>>>
/** Where the suite's files stand; in words, what is missing. */
export function findPkits(): { readonly folder?: string; readonly missing?: string }
export function readPkits(folder: string): unknown
/** Judges every run with an engine: the functions of src/ that run.mjs gathers. */
export function judgePkits(
  suite: unknown,
  engine: object,
  mode: Mode,
): Promise<{
  readonly categories: ReadonlyMap<string, { readonly runs: number; readonly passed: number }>
  readonly deviations: readonly Deviation[]
}>
/** Engines with a bug that the suite must catch, by what they do wrong. */
export function seeded<Engine extends object>(engine: Engine): Readonly<Record<string, Engine>>
