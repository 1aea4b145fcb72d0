import { type Case, cases, type Group } from './cases.js'

/** What came of one case. */
export interface Finding {
  readonly id: string
  readonly passed: boolean
  /** What was seen, for whoever reads the line. */
  readonly seen: string
}

/** How a group is run. */
export interface Measure {
  /** Where its folders are made; whoever calls removes them. */
  readonly home: string
  /** How long nothing more may come after everything expected has. */
  readonly quietMs: number
  /** BIND and OpenLDAP, or servers of our own in this process. */
  readonly peers: 'programs' | 'own'
  /** Another main.js than the built one. */
  readonly program?: string
  /** Only these cases, where named. */
  readonly only?: ReadonlySet<string>
  /** Told what is under way, one line at a time. */
  readonly tell: (line: string) => void
}

export type RunGroup = (measure: Measure) => Promise<readonly Finding[]>

/** Whether a case is asked for. */
export function wants({ only }: Pick<Measure, 'only'>, id: string): boolean {
  return only === undefined || only.has(id)
}

/** A finding for every case of the group that is asked for: what nothing was found about has failed. */
export function complete(group: Group, measure: Measure, found: readonly Finding[]): readonly Finding[] {
  return cases
    .filter((one) => one.group === group && wants(measure, one.id))
    .map(({ id }) => found.find((finding) => finding.id === id) ?? { id, passed: false, seen: 'was not run' })
}

export function lineOf({ id, passed, seen }: Finding): string {
  return `${id.padEnd(44)} ${passed ? 'pass' : 'FAIL'}  ${seen}`
}

/** Required and conditional cases make the score; the others are shown and counted apart. */
export function score(findings: readonly Finding[]): { readonly words: string; readonly good: boolean } {
  const kinds = new Map<string, Case['kind']>(cases.map(({ id, kind }) => [id, kind]))
  const scored = findings.filter(({ id }) => 'RC'.includes(kinds.get(id) ?? 'R'))
  const others = findings.filter((finding) => !scored.includes(finding))
  const passed = (some: readonly Finding[]) => some.filter((finding) => finding.passed).length
  const apart = others.length > 0 ? ` (and ${passed(others)}/${others.length} of policy and our own)` : ''
  return {
    words: `certification: ${passed(scored)}/${scored.length}${apart}`,
    // Where only others were asked for, they decide.
    good: passed(scored) === scored.length && (scored.length > 0 || passed(others) === others.length),
  }
}

/** What was looked at: words for people, and what was wrong with it. */
export interface Look {
  readonly seen: string
  readonly wrong: readonly string[]
}

/** The finding that a look comes to. */
export const told =
  (id: string) =>
  ({ seen, wrong }: Look): Finding => ({
    id,
    passed: wrong.length === 0,
    seen: [seen, ...wrong.map((one) => `!! ${one}`)].join(', '),
  })

/** The finding of a case that broke. */
export const broken =
  (id: string) =>
  (error: unknown): Finding => ({
    id,
    passed: false,
    seen: `!! ${error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : String(error)}`,
  })
