import type { DirectAddress } from '../direct/address.js'
import { type Refused, refused } from '../direct/refusal.js'
import { soleMailboxOf } from '../mime/addresses.js'
import type { Header } from '../mime/header.js'

/**
 * The address that a signed message says it is from: one From field with one plain address (RFC 5322 §3.6.2, narrowed to
 * one author). Several fields or addresses are refused `several-senders`, everything else `no-sender`. The display name
 * and the Sender field are no identity.
 */
export function senderOf(header: Header): { readonly kind: 'sender'; readonly address: DirectAddress } | Refused {
  const from = soleMailboxOf(header, 'from')
  switch (from.kind) {
    case 'mailbox':
      return { kind: 'sender', address: from.address }
    case 'several':
      return refused('several-senders', from.detail)
    case 'absent':
      return refused('no-sender', 'no From field names an address')
    case 'bad-addresses':
      return refused('no-sender', from.detail)
  }
}
