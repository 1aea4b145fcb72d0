import { setTimeout as sleep } from 'node:timers/promises'

/** Something to tell below a step: what was seen, in few words. */
export type Note = (words: string) => void

/**
 * One step of a journey: done, then told with the next number. What goes wrong ends the journey as JourneyFailed, which
 * names the step.
 */
export type Step = <T>(words: string, work: (note: Note) => Promise<T>) => Promise<T>

/** A journey that went wrong, at the step that its message names. */
export class JourneyFailed extends Error {
  override readonly name = 'JourneyFailed'
}

/** The steps of one journey, numbered from 1 and given to `say` as lines. */
export function stepsOf(say: (line: string) => void): Step {
  let number = 0
  return async (words, work) => {
    number++
    const notes: string[] = []
    try {
      const done = await work((note) => void notes.push(note))
      for (const line of [`${number}. ${words}`, ...notes.map((note) => `     ${note}`)]) say(`  ${line}`)
      return done
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      throw new JourneyFailed(`${number}. ${words}: ${cause}`, { cause: error })
    }
  }
}

/** Throws with these words where something is not as it must be. */
export function must(isSo: boolean, words: string): asserts isSo {
  if (!isSo) throw new Error(words)
}

const patienceMs = 20_000

/** Asks again until there is an answer; throws with these words where none comes in time. */
export async function eventually<T>(words: string, ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = performance.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    must(performance.now() < end, `${words}: it did not come within ${patienceMs / 1000} seconds`)
    await sleep(40)
  }
}
