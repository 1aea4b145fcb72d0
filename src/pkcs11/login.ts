import { createHmac } from 'node:crypto'
import { ckf, ckr, cku, codeWord } from './codes.js'
import { type Cryptoki, CryptokiFailed, type TokenInfo } from './cryptoki.js'
import { refusedOf, type Shared, saltOf } from './shared.js'

/** Why there is no login, in words for the operator; a PIN is never among them. */
export interface NoLogin {
  readonly kind: 'no-login'
  readonly detail: string
}

export type ReadPin = () => { readonly kind: 'pin'; readonly pin: string } | NoLogin

const pinCodes: readonly number[] = [ckr.pinIncorrect, ckr.pinInvalid, ckr.pinLenRange, ckr.pinExpired, ckr.pinLocked]

/**
 * Logs in where the token asks for it. A PIN that was refused is not tried again, by any thread, until the file has another
 * one, and none is tried that could be the last before the token locks itself. Throws CryptokiFailed where the token fails
 * in another way.
 */
export function logIn(
  cryptoki: Cryptoki,
  session: number,
  info: TokenInfo,
  readPin: ReadPin,
  shared: Shared,
  what: 'session' | 'operation' = 'session',
): NoLogin | undefined {
  if (what === 'session' && (info.flags & ckf.loginRequired) === 0) return undefined
  const token = `the token ${info.label}`
  const read = readPin()
  if (read.kind === 'no-login') return read
  const refused = refusedOf(shared)
  const mark = markOf(shared, info, read.pin)
  if (refused.includes(mark))
    return no(`${token} refused the PIN before, so that it is not tried again: put the right one into pkcs11.pinFile`)
  if ((info.flags & ckf.userPinLocked) !== 0) return no(`the PIN of ${token} is locked: its officer must set a new one`)
  if ((info.flags & ckf.userPinFinalTry) !== 0)
    return no(`${token} allows one more PIN before it locks itself: log in once by its own tool, with the right one`)
  try {
    cryptoki.login(session, what === 'session' ? cku.user : cku.contextSpecific, read.pin)
  } catch (error) {
    if (!(error instanceof CryptokiFailed)) throw error
    if (error.code === ckr.userAlreadyLoggedIn) return undefined
    if (!pinCodes.includes(error.code)) throw error
    const free = refused.indexOf(0)
    refused[free < 0 ? 0 : free] = mark
    return no(`${token} refused the PIN (${codeWord(error.code)}): put the right one into pkcs11.pinFile`)
  }
  return undefined
}

/** A number for a PIN at a token that tells nothing of it outside this process. Never zero. */
function markOf(shared: Shared, { serial, label }: TokenInfo, pin: string): number {
  return createHmac('sha256', saltOf(shared)).update(`${serial}\0${label}\0${pin}`).digest().readInt32LE() | 1
}

function no(detail: string): NoLogin {
  return { kind: 'no-login', detail }
}
