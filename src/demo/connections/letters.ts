import type { ReceivedMail } from '../mail.js'
import { eventually } from './steps.js'

/** A letter that somebody found in the post. */
export interface FoundLetter {
  readonly subject: string
  readonly text: string
  /** Where it leads. */
  readonly url: string
  /** What came over the wire, whole. */
  readonly wire: string
}

/** The post of everybody in the demo: ordinary mail by the relay, and what providers get. */
export interface Letters {
  /** The next letter to an address that nobody took out yet; with a word, the next that has it in its subject. */
  next(to: string, subject?: RegExp): Promise<FoundLetter>
  /** The next Direct message to an address, as it stands on the wire. */
  nextMessage(to: string): Promise<Buffer>
}

/** Looks through what a listener received, each message once. */
export function lettersIn(received: readonly ReceivedMail[]): Letters {
  const taken = new Set<ReceivedMail>()
  function take<T>(to: string, what: string, read: (mail: ReceivedMail) => T | undefined): Promise<T> {
    return eventually(`${what} to ${to}`, () => {
      for (const mail of received) {
        const found = taken.has(mail) || mail.to.toLowerCase() !== to ? undefined : read(mail)
        if (found === undefined) continue
        taken.add(mail)
        return found
      }
      return undefined
    })
  }
  return {
    next: (to, subject = /(?:)/) =>
      take(to, 'a letter', ({ wire }) => {
        const letter = letterOf(wire.toString('utf8'))
        return letter && subject.test(letter.subject) ? letter : undefined
      }),
    nextMessage: (to) => take(to, 'a Direct message', ({ wire }) => wire),
  }
}

function letterOf(wire: string): FoundLetter | undefined {
  const subject = /^Subject: (.*(?:\r?\n[ \t].*)*)/m.exec(wire)?.[1]?.replace(/\r?\n[ \t]/g, ' ')
  const text = wire
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const url = /^https?:\/\/\S+/m.exec(text)?.[0]
  return subject === undefined || url === undefined ? undefined : { subject, text, url, wire }
}
