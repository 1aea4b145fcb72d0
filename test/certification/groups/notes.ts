import type { Look } from '../finding.js'

/** What was seen while a case goes on, and what was wrong with it. */
export interface Notes {
  readonly seen: string[]
  readonly wrong: string[]
  /** Tells what was answered where it is not as it must be; answers it. */
  hear(what: string, answer: string, must: RegExp): string
  look(): Look
}

/** Opens them: good answers are counted, bad ones named. */
export function notes(): Notes {
  const [seen, wrong]: [string[], string[]] = [[], []]
  let good = 0
  return {
    seen,
    wrong,
    hear(what, answer, must) {
      if (must.test(answer)) good++
      else wrong.push(`${what} was answered ${answer.slice(0, 200)}`)
      return answer
    },
    look: () => ({ seen: [...seen, ...(good > 0 ? [`${good} answers as they must be`] : [])].join('; '), wrong }),
  }
}
