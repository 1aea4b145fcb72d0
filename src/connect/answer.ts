import { connectLimits } from './limits.js'

/** `folded`: width, case and white space do not matter. `exact`: HealthVault's, in which only case does not. */
export type AnswerMode = 'folded' | 'exact'

/**
 * An answer as it is hashed. `folded` is NFKC, trimmed, white space collapsed and case folded by no language's rules:
 * a telephone's keyboard that adds a space or a capital locks nobody out. Folding by way of upper case makes one of
 * `STRASSE`, `Straße` and `STRAẞE`, and is the same for whoever folds again.
 */
export function foldAnswer(answer: string, mode: AnswerMode = 'folded'): string {
  if (mode === 'exact') return answer.toLowerCase()
  const plain = answer.normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().normalize('NFKC')
  return plain.replace(/[\s\p{Z}]+/gu, ' ').trim()
}

/** The answer as it is hashed; undefined where it is too short or too long once it is folded (HealthVault 73). */
export function readAnswer(
  answer: string,
  mode: AnswerMode = 'folded',
  limits: Pick<typeof connectLimits, 'answerLeast' | 'answerMost'> = connectLimits,
): string | undefined {
  if (answer.length > limits.answerMost) return undefined
  const folded = foldAnswer(answer, mode)
  // White space alone makes no answer longer, in either mode.
  const characters = [...folded.trim()].length
  return characters >= limits.answerLeast ? folded : undefined
}

/** The question as it is shown; undefined where it is blank, too long, or of more than a line (HealthVault 72). */
export function readQuestion(
  question: string,
  limits: Pick<typeof connectLimits, 'questionMost'> = connectLimits,
): string | undefined {
  return readLine(question, limits.questionMost)
}

/** A line of text for people: trimmed, not blank, within its length, without characters of control. */
export function readLine(text: string, most: number): string | undefined {
  const line = text.normalize('NFC').trim()
  return line === '' || line.length > most || /[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u.test(line)
    ? undefined
    : line
}
