import { type DirectAddress, domainOf } from '../direct/address.js'
import { readHeader } from '../mime/header.js'
import { decodeWords } from '../mime/words.js'

/** What stands in the Subject of mail to a newcomer, with reasons for the numbers. */
export const newcomerSubjectLimits = {
  /** RFC 5321 §4.5.3.1.3: a path has 256 octets, two of them angle brackets. */
  emailCharacters: 254,
  /** As the codes machine takes them: a question is one line on a page. */
  questionCharacters: 255,
  answerCharacters: 255,
  /** RFC 5322 §2.1.1. */
  subjectCharacters: 998,
} as const

/** The local part under which a domain takes mail for people who have no address there yet. */
export const newcomerName = 'newuser'

/** Whether mail to this address waits for somebody without an address: `newuser@` any domain. */
export function isForNewcomer(address: DirectAddress): boolean {
  return address === `${newcomerName}@${domainOf(address)}`
}

export type NewcomerSubject =
  | {
      readonly kind: 'newcomer'
      /** Ordinary e-mail address of the person, as written. */
      readonly email: string
      /** Both or neither. */
      readonly question?: string
      readonly answer?: string
      /** What the message is about; empty where the sender did not say. */
      readonly subject: string
    }
  /** `detail` names the field that is wrong, never what it holds. */
  | { readonly kind: 'unreadable'; readonly detail: string }

/**
 * Reads `Email[;Question;Answer][;Subject]`: one field is the e-mail address, two are address and subject, three address,
 * question and answer, four and more all of them, with further semicolons part of the subject. Takes the decoded text of the
 * signed Subject (HealthVault, sending to newuser). Refuses what is no e-mail address, and an empty question or answer.
 */
export function readNewcomerSubject(text: string, limits = newcomerSubjectLimits): NewcomerSubject {
  const fields = text.split(';')
  const [email = '', second = '', third = ''] = fields.map((field) => field.trim())
  if (!isEmail(email, limits.emailCharacters)) return unreadable('the first field is no e-mail address')
  const subjectOf = (from: number) => fields.slice(from).join(';').trim().slice(0, limits.subjectCharacters)
  if (fields.length <= 2) return { kind: 'newcomer', email, subject: subjectOf(1) }
  if (second === '' || second.length > limits.questionCharacters) return unreadable('the question is empty or too long')
  if (third === '' || third.length > limits.answerCharacters) return unreadable('the answer is empty or too long')
  return { kind: 'newcomer', email, question: second, answer: third, subject: subjectOf(3) }
}

/** The Subject of a signed message, decoded; undefined where it has none, or two, of which readers might take either. */
export function signedSubject(message: Uint8Array): string | undefined {
  const header = readHeader(message)
  if (header.kind === 'unreadable') return undefined
  const [subject, ...more] = header.all('subject')
  return subject === undefined || more.length > 0 ? undefined : decodeWords(subject)
}

function unreadable(detail: string): NewcomerSubject {
  return { kind: 'unreadable', detail }
}

/**
 * An address that our relay may write to: a dot-atom (RFC 5322 §3.4.1), letters of any script (RFC 6531), no quoting, and a
 * domain of two labels or more, so that no header and no command of the relay can be smuggled in.
 */
export function isEmail(text: string, mostCharacters: number = newcomerSubjectLimits.emailCharacters): boolean {
  if (text.length > mostCharacters) return false
  return (
    /^(?!\.)[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~.-]{1,64}(?<!\.)@(?:[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?\.)+[\p{L}\p{M}\p{N}-]{2,63}$/u.test(
      text,
    ) && !text.includes('..')
  )
}

/**
 * Whether a header block that travels in the clear (Latin-1, CRLF lines) has a Subject with a question and an answer in it:
 * three fields or more, encoded words decoded. What is no Subject of a newcomer counts as well: nobody can tell.
 */
export function tellsAnswer(headerBlock: string): boolean {
  return headerBlock
    .replace(/\r\n(?=[ \t])/g, '') // unfolding, RFC 5322 §2.2.3
    .split('\r\n')
    .filter((line) => /^subject[ \t]*:/i.test(line))
    .some((line) => [line, decodeWords(line)].some((text) => text.split(';').length >= 3))
}
