import type { Letter, LetterKind } from '../../ports/letters.js'

/** What a letter says, before it is dressed: `action` is what the link is called. */
export interface LetterWords {
  readonly subject: string
  readonly paragraphs: readonly string[]
  readonly action: string
}

/** The letters of one language, by kind, and what stands under each of them. */
export type Language = {
  readonly [Kind in LetterKind]: (letter: Extract<Letter, { kind: Kind }>, service: string) => LetterWords
} & { readonly foot: (service: string) => string; readonly code: string }
