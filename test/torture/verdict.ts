/** What a harness found. `trouble` says in words what did not hold; none means that all did. */
export interface Verdict {
  readonly name: string
  readonly rounds: number
  /** Messages or writes that were answered with success. */
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  /** Whether the planted bug was seen; undefined where the harness has none, with its reason in its file. */
  readonly caught: boolean | undefined
  readonly trouble: readonly string[]
  /** Figures worth a look, in words. */
  readonly notes: readonly string[]
  readonly seconds: number
}

/** How long and how often a harness runs. */
export interface Measure {
  readonly rounds: number
  readonly seed: string
  /** Where its folders are made and removed. */
  readonly home: string
  /** Told what is under way, one line at a time. */
  readonly tell: (line: string) => void
}

export type Harness = (measure: Measure) => Promise<Omit<Verdict, 'name' | 'seconds'> | Skipped>

/** The machine lacks something; said by name. */
export interface Skipped {
  readonly skipped: string
}

/** True where nothing was lost or doubled, nothing else went wrong, and the planted bug was seen. */
export function holds(verdict: Verdict): boolean {
  return verdict.lost === 0 && verdict.duplicated === 0 && verdict.trouble.length === 0 && verdict.caught !== false
}

export function lineOf(verdict: Verdict): string {
  const bug = verdict.caught === undefined ? '-' : verdict.caught ? 'yes' : 'NO'
  const fields = [
    verdict.name.padEnd(20),
    `rounds ${verdict.rounds}`,
    `acknowledged ${verdict.acknowledged}`,
    `lost ${verdict.lost}`,
    `duplicated ${verdict.duplicated}`,
    `seeded bug caught ${bug}`,
    `${verdict.seconds.toFixed(0)} s`,
    holds(verdict) ? 'ok' : 'FAILED',
  ]
  const words = [...verdict.trouble.slice(0, 5), ...verdict.notes]
  return `${fields.join('  ')}${words.length > 0 ? `  (${words.join('; ')})` : ''}`
}
