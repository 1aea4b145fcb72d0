import type { Config } from '../config/settings.js'
import { openLetters, openPlainMail, type Relay, startLetters } from '../delivery/letters.js'
import { clock, random } from '../house.js'
import { writeLetter } from '../notices/letters/letter.js'
import type { Letters } from '../ports/letters.js'
import type { PlainMail } from '../ports/plain-mail.js'
import { alarm, type Parts, textOf } from './parts.js'

/** An alarm says once in this time that letters are not sent. */
const missedEveryMs = 86_400_000

/** How ordinary mail leaves this gateway. */
export interface LetterWork {
  readonly letters: Letters
  /** Where a relay carries it. */
  readonly plainMail?: PlainMail
  nudge(): void
}

/** Letters are queued by whoever has something to tell, and handed to the relay here. */
export function startLetterWork(parts: Parts): LetterWork {
  const { house, config, log, metrics, closers } = parts
  const relay = relayOf(config)
  let saidAt = 0
  const letters = openLetters({
    wrapping: house.keyring,
    clock,
    carried: relay !== undefined,
    missing(kind) {
      if (clock.now() - saidAt < missedEveryMs) return
      saidAt = clock.now()
      alarm(parts, 'letter-not-sent', { kind }, 'no relay is named: set letters.relay.host')
    },
  })
  if (!relay) return { letters, nudge: () => undefined }
  const { store, blobs, vault, audit, keyring } = house
  const work = startLetters({
    ...{ store, blobs, vault, audit, clock, random, log, metrics, relay, wrapping: keyring },
    from: config.letters.from ?? `no-reply@${config.hostname}`,
    write: (letter, language) => writeLetter(letter, language, config.letters.service),
    hostname: config.hostname,
  })
  closers.push((graceMs) => work.stop(graceMs))
  const plainMail = openPlainMail({ blobs, vault, clock, wrapping: keyring })
  return { letters, plainMail, nudge: () => work.nudge() }
}

function relayOf({ letters: { relay } }: Config): Relay | undefined {
  const { host, port, tls, username, passwordFile, caFile } = relay
  if (host === undefined) return undefined
  const password = passwordFile && textOf(passwordFile, 'letters.relay.passwordFile').replace(/\r?\n$/, '')
  return {
    ...{ host, port, tls },
    ...(username !== undefined && password !== undefined && { login: { username, password } }),
    ...(caFile !== undefined && { ca: textOf(caFile, 'letters.relay.caFile') }),
  }
}
