import type { KeyObject } from 'node:crypto'
import { parseTokenUri, type TokenKeyName, type TokenUri } from '../direct/token-uri.js'
import { KeyUnavailable, type PrivateKey } from '../ports/keys.js'
import { cka, cko } from './codes.js'
import { type Cryptoki, CryptokiFailed, loadCryptoki, ModuleFailed, type Template, type TokenInfo } from './cryptoki.js'
import { tokenKey } from './key.js'
import { logIn, type ReadPin } from './login.js'
import { publicKeyOfToken } from './public-key.js'
import { alone, type Lent, lend, type Shared } from './shared.js'

export interface TokenPorts {
  /** Path of the PKCS#11 module. */
  readonly module: string
  /** Asked at every login, so that a new PIN needs no restart. */
  readonly readPin: ReadPin
  readonly shared: Shared
  /** Where keys stand in the module; the module's own functions where absent. */
  readonly load?: (path: string) => Cryptoki
}

/** Keys in tokens, for one thread. Whatever stands in the way of a key is thrown as KeyUnavailable, with words. */
export interface Tokens {
  /** The private key, to be used with this public half. Opens the session it needs, and opens it again when it is lost. */
  key(uri: TokenUri, publicKey: KeyObject): PrivateKey
  /** What the token says of the key: what it may do, and whether it may leave. */
  traits(uri: TokenUri): KeyTraits
  /** SubjectPublicKeyInfo in DER; undefined where the token does not hold the public half. */
  publicKey(uri: TokenUri): Uint8Array | undefined
}

export interface KeyTraits {
  readonly signs: boolean
  readonly opens: boolean
  readonly extractable: boolean
}

/** A key that was found, with a session at its token that nobody else has meanwhile. */
export interface FoundKey extends Place {
  readonly session: number
  /** Logs in once more for the operation that was begun, where the key asks for it every time (CKA_ALWAYS_AUTHENTICATE). */
  readonly authenticate?: () => void
}

interface Place {
  readonly cryptoki: Cryptoki
  readonly slot: number
  readonly object: number
}

interface RememberedKey extends Place {
  readonly info: TokenInfo
  readonly authenticatesAlways: boolean
}

/** Does something with a key, once more with a new session where the first try fails in the token. */
export type WithKey = <T>(work: (key: FoundKey) => T) => T

/** Opens the tokens behind a module; nothing is loaded before the first key is asked for. */
export function openTokens({ module, readPin, shared, load = loadCryptoki }: TokenPorts): Tokens {
  let loaded: Cryptoki | undefined
  const found = new Map<TokenUri, RememberedKey>()

  function find(uri: TokenUri): RememberedKey {
    const known = found.get(uri)
    if (known) return known
    const parsed = parseTokenUri(uri)
    if (parsed.kind === 'refused') throw new KeyUnavailable(parsed.detail)
    loaded ??= alone(shared, () => load(module))
    const cryptoki = loaded
    const all = slotsOf(cryptoki, parsed.name).flatMap(({ slot, info }) =>
      withSession(cryptoki, slot, info, (session) => keysIn(cryptoki, session, slot, info, parsed.name)),
    )
    const [key] = all
    if (!key) throw new KeyUnavailable(`no private key in the token is ${uri}`)
    if (all.length > 1) throw new KeyUnavailable(`several private keys are ${uri}: add id, token or serial to it`)
    found.set(uri, key)
    return key
  }

  function withSession<T>(cryptoki: Cryptoki, slot: number, info: TokenInfo, work: (session: number) => T): T {
    const lent = lend(shared, slot, () => loggedIn(cryptoki, slot, info), cryptoki.closeSession)
    let whole = false
    try {
      const answer = work(lent.session)
      whole = true
      return answer
    } finally {
      // A session in which something failed may have an operation under way, or be lost.
      if (whole) lent.giveBack()
      else drop(cryptoki, lent)
    }
  }

  function loggedIn(cryptoki: Cryptoki, slot: number, info: TokenInfo): number {
    const session = cryptoki.openSession(slot)
    const refused = alone(shared, () => logIn(cryptoki, session, cryptoki.tokenInfo(slot), readPin, shared))
    if (!refused) return session
    cryptoki.closeSession(session)
    throw new KeyUnavailable(`${info.label}: ${refused.detail}`)
  }

  function withKey<T>(uri: TokenUri, work: (key: FoundKey) => T): T {
    for (let again = false; ; again = true) {
      try {
        const { info, authenticatesAlways, ...place } = find(uri)
        const { cryptoki, slot } = place
        return withSession(cryptoki, slot, info, (session) => {
          if (!authenticatesAlways) return work({ ...place, session })
          return work({ ...place, session, authenticate: () => authenticate(cryptoki, session, info) })
        })
      } catch (error) {
        if (error instanceof ModuleFailed) throw new KeyUnavailable(error.message)
        if (!(error instanceof CryptokiFailed)) throw error
        found.delete(uri)
        if (again) throw new KeyUnavailable(`${uri}: ${error.message}`)
      }
    }
  }

  function authenticate(cryptoki: Cryptoki, session: number, info: TokenInfo): void {
    const refused = alone(shared, () => logIn(cryptoki, session, info, readPin, shared, 'operation'))
    if (refused) throw new KeyUnavailable(refused.detail)
  }

  return {
    key: (uri, publicKey) => tokenKey(publicKey, (work) => withKey(uri, work)),
    traits: (uri) =>
      withKey(uri, ({ cryptoki, session, object }) => {
        const is = (type: number) => cryptoki.attribute(session, object, type)?.[0] === 1
        return {
          signs: is(cka.sign),
          opens: is(cka.decrypt) || is(cka.derive),
          extractable: is(cka.extractable) || !is(cka.sensitive),
        }
      }),
    publicKey: (uri) => withKey(uri, publicKeyOfToken),
  }
}

function keysIn(
  cryptoki: Cryptoki,
  session: number,
  slot: number,
  info: TokenInfo,
  { object, id }: TokenKeyName,
): RememberedKey[] {
  const template: Template = [
    [cka.class, cko.privateKey],
    ...(object === undefined ? [] : [[cka.label, Buffer.from(object)] as const]),
    ...(id === undefined ? [] : [[cka.id, id] as const]),
  ]
  return cryptoki.find(session, template, 2).map((found) => ({
    cryptoki,
    slot,
    info,
    object: found,
    authenticatesAlways: cryptoki.attribute(session, found, cka.alwaysAuthenticate)?.[0] === 1,
  }))
}

/** Closes a session that may be lost already. */
function drop(cryptoki: Cryptoki, lent: Lent): void {
  lent.drop()
  try {
    cryptoki.closeSession(lent.session)
  } catch (error) {
    if (!(error instanceof CryptokiFailed)) throw error
  }
}

/** Tokens that are the one named, in all slots. */
function slotsOf(cryptoki: Cryptoki, name: TokenKeyName) {
  const slots = cryptoki.slots().map((slot) => ({ slot, info: cryptoki.tokenInfo(slot) }))
  const here = slots.filter(({ slot, info }) => isNamed(slot, info, name))
  if (here.length === 0)
    throw new KeyUnavailable(`the token ${name.token ?? name.serial ?? name.slotId ?? ''} is not there`)
  return here
}

function isNamed(slot: number, info: TokenInfo, name: TokenKeyName): boolean {
  const same = (wanted: string | undefined, is: string) => wanted === undefined || wanted === is
  return (
    same(name.token, info.label) &&
    same(name.manufacturer, info.manufacturer) &&
    same(name.model, info.model) &&
    same(name.serial, info.serial) &&
    (name.slotId === undefined || name.slotId === slot)
  )
}
