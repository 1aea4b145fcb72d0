import { createPublicKey, type KeyObject } from 'node:crypto'
import { parseTokenUri, type TokenKeyName, type TokenUri } from '../direct/token-uri.js'
import { KeyUnavailable, type PrivateKey } from '../ports/keys.js'
import { cka, cko } from './codes.js'
import { type Cryptoki, CryptokiFailed, loadCryptoki, ModuleFailed, type Template, type TokenInfo } from './cryptoki.js'
import { tokenKey } from './key.js'
import { logIn, type ReadPin } from './login.js'
import { publicKeyOfToken } from './public-key.js'
import { alone, epochOf, type Lent, lend, restartAlone, type Shared } from './shared.js'

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
  readonly epoch: number
  readonly authenticatesAlways: boolean
  /** SubjectPublicKeyInfo, where the token tells it. */
  readonly spki: Uint8Array | undefined
  readonly publicKey: KeyObject | undefined
}

/** Does something with a key, again with a new session where the first try fails in the token. */
export type WithKey = <T>(work: (key: FoundKey) => T) => T

/** Opens the tokens behind a module; nothing is loaded before the first key is asked for. */
export function openTokens({ module, readPin, shared, load = loadCryptoki }: TokenPorts): Tokens {
  let loaded: Cryptoki | undefined
  const found = new Map<TokenUri, RememberedKey>()

  function find(uri: TokenUri): RememberedKey {
    const epoch = epochOf(shared)
    const known = found.get(uri)
    if (known?.epoch === epoch) return known
    const parsed = parseTokenUri(uri)
    if (parsed.kind === 'refused') throw new KeyUnavailable(parsed.detail)
    loaded ??= alone(shared, () => load(module))
    const cryptoki = loaded
    const slots = alone(shared, () => slotsOf(cryptoki, parsed.name))
    if (slots.length === 0) throw new TokenAway('the token is not there')
    const all = slots.flatMap(({ slot, info }) =>
      withSession(cryptoki, slot, info, (session) =>
        keysIn(cryptoki, session, parsed.name).map((key) => ({ ...key, cryptoki, slot, info, epoch })),
      ),
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

  /** Called by one thread at a time. */
  function loggedIn(cryptoki: Cryptoki, slot: number, info: TokenInfo): number {
    const session = cryptoki.openSession(slot)
    const refused = logIn(cryptoki, session, cryptoki.tokenInfo(slot), readPin, shared)
    if (!refused) return session
    cryptoki.closeSession(session)
    throw new KeyUnavailable(`${info.label}: ${refused.detail}`)
  }

  function use<T>(uri: TokenUri, work: (key: FoundKey, remembered: RememberedKey) => T): T {
    const key = find(uri)
    const { cryptoki, slot, object, info, authenticatesAlways } = key
    return withSession(cryptoki, slot, info, (session) => {
      // With a session lent the module does not start anew; before, it may have, and numbers mean other things then.
      if (epochOf(shared) !== key.epoch) throw new TokenAway('the module was started anew')
      const place = { cryptoki, slot, object, session }
      if (!authenticatesAlways) return work(place, key)
      return work({ ...place, authenticate: () => authenticate(cryptoki, session, info) }, key)
    })
  }

  function withKey<T>(uri: TokenUri, work: (key: FoundKey, remembered: RememberedKey) => T): T {
    for (let tries = 1; ; tries++) {
      const epoch = epochOf(shared)
      try {
        return use(uri, work)
      } catch (error) {
        if (error instanceof ModuleFailed) throw new KeyUnavailable(error.message)
        if (!(error instanceof CryptokiFailed || error instanceof TokenAway)) throw error
        found.delete(uri)
        const { message } = error
        // First with a new session; then, where that may be, with the module started anew.
        const restarts = tries === 2 && loaded && restartAlone(shared, epoch, Date.now(), loaded.restart)
        if (tries > 1 && !restarts) throw new KeyUnavailable(`${uri}: ${message}`)
      }
    }
  }

  function authenticate(cryptoki: Cryptoki, session: number, info: TokenInfo): void {
    const refused = alone(shared, () => logIn(cryptoki, session, info, readPin, shared, 'operation'))
    if (refused) throw new KeyUnavailable(refused.detail)
  }

  return {
    key: (uri, publicKey) =>
      tokenKey(publicKey, (work) =>
        withKey(uri, (key, remembered) => {
          if (remembered.publicKey?.equals(publicKey) === false) throw new KeyUnavailable(`${uri} is another key now`)
          return work(key)
        }),
      ),
    traits: (uri) =>
      withKey(uri, ({ cryptoki, session, object }) => {
        const is = (type: number) => cryptoki.attribute(session, object, type)?.[0] === 1
        return {
          signs: is(cka.sign),
          opens: is(cka.decrypt) || is(cka.derive),
          extractable: is(cka.extractable) || !is(cka.sensitive),
        }
      }),
    publicKey: (uri) => withKey(uri, (_, { spki }) => spki),
  }
}

/** The token is not there, as far as the module knows. */
class TokenAway extends Error {
  override readonly name = 'TokenAway'
}

function keysIn(cryptoki: Cryptoki, session: number, { object, id }: TokenKeyName) {
  const template: Template = [
    [cka.class, cko.privateKey],
    ...(object === undefined ? [] : [[cka.label, Buffer.from(object)] as const]),
    ...(id === undefined ? [] : [[cka.id, id] as const]),
  ]
  return cryptoki.find(session, template, 2).map((found) => {
    const spki = publicKeyOfToken(cryptoki, session, found)
    return {
      object: found,
      authenticatesAlways: cryptoki.attribute(session, found, cka.alwaysAuthenticate)?.[0] === 1,
      spki,
      publicKey: spki && createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }),
    }
  })
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
  return slots.filter(({ slot, info }) => isNamed(slot, info, name))
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
