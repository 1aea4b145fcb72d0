import type { Medication } from '../../direct/clinical.js'
import { listed, timingWords } from './words.js'

/**
 * What the narrative says under Directions: the instructions, with each of several directions that they do not say; else
 * timings that the source had in words alone. Several directions are words here, since each as an entry would be read as a
 * medication of its own.
 */
export function directionWords({ instructions, directions, timings }: Medication): string {
  const steps = (directions ?? [])
    .map(({ text }) => text)
    .filter((text) => text !== '' && !instructions?.includes(text))
  if (instructions !== undefined || steps.length > 0) return listed([instructions, ...steps])
  return timings
    .filter(({ period, event, moment }) => !period && event === undefined && !moment)
    .map(timingWords)
    .filter((words) => words !== '')
    .join('; ')
}
