import { refusals } from '../../direct/refusal.js'
import type { TrailStep } from '../../direct/verdict.js'
import { printable } from '../../observe/log.js'
import { CommandFailed, type Context, exitCodes } from '../operator.js'

/** A step as JSON tells it. */
export function stepRow({ at, ...step }: TrailStep): object {
  return { at: new Date(at).toISOString(), ...step }
}

/** One line a step; under a verdict its reason with what to do, and each certificate that was looked at. */
export function printTrail(context: Context, spoolId: string, steps: readonly TrailStep[]): void {
  const line = (indent: number, text: string) => context.print(`${' '.repeat(indent)}${printable(text)}\n`)
  line(0, spoolId)
  const width = Math.max(...steps.map(({ step }) => step.length))
  for (const { at, step, recipient, detail, refusal, candidates } of steps) {
    const words = [step.padEnd(width), recipient, detail].filter((word) => word !== undefined && word !== '')
    line(2, `${new Date(at).toISOString()}  ${words.join('  ')}`)
    if (refusal) {
      line(6, `${refusal.reason}${refusal.detail ? `: ${refusal.detail}` : ''}`)
      line(6, refusals[refusal.reason]?.help ?? '')
    }
    for (const { fingerprint, subject, outcome, detail: why, path } of candidates ?? []) {
      line(6, `certificate ${fingerprint.slice(0, 16)} ${subject}: ${outcome}${why ? `, ${why}` : ''}`)
      if (path.length > 1) line(8, `path ${path.map((one) => one.slice(0, 16)).join(' > ')}`)
    }
  }
}

/** What `--limit` says; a usage error where it is no number from 1 to `most`. */
export function count(text: string, most: number): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > most)
    throw new CommandFailed(`--limit is a number from 1 to ${most}`, exitCodes.usage)
  return number
}
