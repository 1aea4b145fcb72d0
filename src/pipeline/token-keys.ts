import { newRequest } from '../authority/request.js'
import { readPublicKey } from '../authority/signing.js'
import { parseAddress, parseDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'
import { parseTokenUri } from '../direct/token-uri.js'
import type { Directory, KeyRecord, KeyWarning } from '../directory/directory.js'
import { type DirectoryRefusal, problem } from '../directory/problem.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { KeyUse } from '../ports/registrar.js'

export interface TokenKeyPorts {
  readonly directory: Directory
  readonly arithmetic: Pick<KeyArithmetic, 'checkToken' | 'tokenPublicKey' | 'signData'>
}

/** A key of ours in a PKCS#11 token, by its URI (RFC 7512). Undecided where the token does not answer now. */
export interface TokenKeys {
  /** Takes it with its certificate, after it did all that the certificate is for. Refuses what `OwnKeys.addToken` does, and another key. */
  add(
    key: {
      readonly owner: string
      readonly uri: string
      readonly certificate: Uint8Array
      readonly chain?: readonly Uint8Array[]
    },
    by: string,
  ): Promise<
    | {
        readonly kind: 'added'
        readonly key: KeyRecord
        readonly warnings: readonly KeyWarning[]
        /** The token would hand the key out: it was not made to stay there. */
        readonly extractable: boolean
      }
    | DirectoryRefusal
    | Undecided
  >
  /** A certificate request for it, DER, signed in the token. */
  request(
    uri: string,
    owner: string,
    use: KeyUse,
  ): Promise<{ readonly kind: 'made'; readonly der: Uint8Array } | DirectoryRefusal | Undecided>
}

export function openTokenKeys({ directory, arithmetic }: TokenKeyPorts): TokenKeys {
  return {
    async add({ owner, uri, certificate, chain = [] }, by) {
      const parsed = parseTokenUri(uri)
      if (parsed.kind === 'refused') return problem('bad-token-uri', parsed.detail)
      const checked = await arithmetic.checkToken(parsed.uri, certificate)
      if (checked.kind === 'undecided') return checked
      if (checked.kind === 'mismatch') return problem('key-mismatch', checked.detail)
      const added = await directory.keys.addToken({ owner, certificate, chain, token: parsed.uri }, by)
      return added.kind === 'added' ? { ...added, extractable: checked.extractable } : added
    },
    async request(uri, owner, use) {
      const named = owner.includes('@') ? parseAddress(owner) : parseDomain(owner)
      if (!named) return problem(owner.includes('@') ? 'bad-address' : 'bad-domain', owner)
      const parsed = parseTokenUri(uri)
      if (parsed.kind === 'refused') return problem('bad-token-uri', parsed.detail)
      const told = await arithmetic.tokenPublicKey(parsed.uri)
      if (told.kind === 'undecided') return told
      if (told.kind === 'mismatch') return problem('key-mismatch', told.detail)
      const publicKey = readPublicKey(told.spki)
      if (publicKey.kind === 'unfit') return problem('weak-key', publicKey.detail)
      return newRequest({ key: { kind: 'token', uri: parsed.uri }, publicKey }, named, use, arithmetic)
    },
  }
}
