/** Why an application was not registered or changed, with the words that people read in CLI and API. */
export const appProblems = {
  invalid: 'What the application is registered with is not valid; each value that is wrong is named.',
  'not-found': 'There is no such application.',
  'no-such-master': 'There is no such master application, it is disabled, or it is none.',
  'beyond-master':
    'A child may ask for no more than its master: rules and method groups are within those of the master.',
  'no-webhook': 'The application has no webhook.',
  'changed-meanwhile': 'Somebody else changed it at the same moment; look again and repeat.',
} as const satisfies Record<string, string>

export type AppProblem = keyof typeof appProblems

/** One value that is wrong: `redirectUris.0`, and why. */
export interface AppFault {
  readonly where: string
  readonly detail: string
}

/** An application was not registered or changed. */
export interface AppRefusal {
  readonly kind: 'refused'
  readonly problem: AppProblem
  readonly faults: readonly AppFault[]
}

export function refusal(problem: AppProblem, faults: readonly AppFault[] = []): AppRefusal {
  return { kind: 'refused', problem, faults }
}
