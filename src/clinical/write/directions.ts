import type { Medication } from '../../direct/clinical.js'
import { timingWords } from './words.js'

/** What the narrative says under Directions: the instructions, else timings that the source had in words alone. */
export function directionWords({ instructions, timings }: Medication): string {
  if (instructions !== undefined) return instructions
  return timings
    .filter(({ period, event, moment }) => !period && event === undefined && !moment)
    .map(timingWords)
    .filter((words) => words !== '')
    .join('; ')
}
