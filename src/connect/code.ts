import { createHmac } from 'node:crypto'
import type { Random } from '../ports/world.js'
import { connectLimits } from './limits.js'

/** Consonants that are neither a vowel nor a digit to anybody's eye: HealthVault's thirteen. */
const alphabet = 'FGHJKMNQRVXYZ'
const letterCount = 20
const groupSize = 4

declare const lettersBrand: unique symbol
/** The twenty letters of a pickup code, upper-case, without hyphens: some 74 bits. Kept nowhere as they are. */
export type CodeLetters = string & { readonly [lettersBrand]: true }

/** The largest multiple of 13 that a byte holds: bytes beyond are thrown away, so that every letter is as likely. */
const fairBelow = 256 - (256 % alphabet.length)

/** A new code, each letter uniform. */
export function newCode(random: Random): CodeLetters {
  let letters = ''
  while (letters.length < letterCount) {
    for (const byte of random.bytes(letterCount)) {
      if (byte < fairBelow && letters.length < letterCount) letters += alphabet.charAt(byte % alphabet.length)
    }
  }
  return letters as CodeLetters
}

/**
 * The letters of what somebody typed or pasted, whatever stands between them, in either case. Undefined where they are no
 * code: a digit typed for a letter is not guessed at.
 */
export function readCode(text: string): CodeLetters | undefined {
  if (text.length > connectLimits.codeTextMost) return undefined
  const letters = text
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toUpperCase()
  return new RegExp(`^[${alphabet}]{${letterCount}}$`).test(letters) ? (letters as CodeLetters) : undefined
}

/** As people see it: `JKYZ-QNMN-VHRX-ZGNR-GZNH`. */
export function showCode(letters: CodeLetters): string {
  return letters.match(new RegExp(`.{${groupSize}}`, 'g'))?.join('-') ?? letters
}

/**
 * What the store knows of a code, lower-case hex: keyed by a secret outside the store, so that a stolen store tells neither
 * which codes there are nor whether a guess is one.
 */
export function codeDigest(indexKey: Uint8Array, letters: CodeLetters): string {
  return createHmac('sha256', indexKey).update(`pickup-code\0${letters}`).digest('hex')
}
