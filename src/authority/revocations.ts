import { oids } from '../asn1/oids.js'
import { tags } from '../asn1/reader.js'
import { context, der, integer, sequenceOf, timeOf } from '../asn1/writer.js'
import type { RevocationReason } from '../ports/authority.js'
import { authorityKeyIdentifier, extension } from './extensions.js'
import type { PublicKey } from './signing.js'

export interface RevokedEntry {
  /** Magnitude octets. */
  readonly serial: Uint8Array
  /** Unix milliseconds. */
  readonly at: number
  readonly reason: RevocationReason
}

/** CRLReason (RFC 5280 §5.3.1). */
const reasonNumbers: Readonly<Record<RevocationReason, number>> = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
}

/** What is to be signed of a complete list, version 2, with the number and the key it is known by (RFC 5280 §5.1.2, §5.2). */
export function revocationList(list: {
  readonly issuer: { readonly name: Uint8Array; readonly key: PublicKey }
  readonly number: number
  /** Unix milliseconds. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly revoked: readonly RevokedEntry[]
}): Uint8Array {
  const { issuer, number, thisUpdate, nextUpdate, revoked } = list
  return sequenceOf(
    integer(1),
    issuer.key.algorithm,
    issuer.name,
    timeOf(thisUpdate),
    timeOf(nextUpdate),
    // RFC 5280 §5.1.2.6: absent where there is nothing to tell.
    ...(revoked.length > 0 ? [sequenceOf(...revoked.map(entry))] : []),
    context(0, sequenceOf(authorityKeyIdentifier(issuer.key.identifier), extension(oids.crlNumber, integer(number)))),
  )
}

function entry({ serial, at, reason }: RevokedEntry): Uint8Array {
  const code = reasonNumbers[reason]
  // RFC 5280 §5.3.1: an unspecified reason is not stated.
  const stated = extension(oids.reasonCode, der(tags.enumerated, Uint8Array.of(code)))
  return sequenceOf(integer(serial), timeOf(at), ...(code === 0 ? [] : [sequenceOf(stated)]))
}
