import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import { mailboxesOf } from '../mime/addresses.js'
import type { Header } from '../mime/header.js'

/** Whether the envelope agrees with the signed message, for one recipient. */
export type RoutingVerdict = { readonly recipient: DirectAddress } & (
  | { readonly kind: 'consistent' }
  | {
      /** `warned` in the mode `warn`: to be delivered, and to be told of. */
      readonly kind: 'refused' | 'warned'
      readonly reason: 'routing-tamper-sender' | 'routing-tamper-recipient'
      readonly detail: string
    }
)

/**
 * Checks per recipient that a message was not put into another envelope on its way (ANSI/DS 2019-01-100-2021): MAIL FROM is
 * an address of From or Sender, and RCPT TO stands in To or Cc of the signed message; Bcc does not count, so that a message
 * captured on the way cannot be replayed to someone else. `<>` is for notices (`isNotice`: a recognised MDN or DSN). A field
 * that cannot be read names nobody, and the detail says which and why.
 */
export function checkRouting(
  header: Header,
  { mailFrom, rcptTo }: Pick<Envelope, 'mailFrom' | 'rcptTo'>,
  isNotice: boolean,
  mode: 'strict' | 'warn' = 'strict',
): readonly RoutingVerdict[] {
  const kind = mode === 'strict' ? 'refused' : 'warned'
  const senders = named(header, 'From', 'Sender')
  const recipients = named(header, 'To', 'Cc')
  const senderFits = mailFrom === null ? isNotice : senders.addresses.has(mailFrom)
  return rcptTo.map((recipient): RoutingVerdict => {
    if (!senderFits)
      return {
        recipient,
        kind,
        reason: 'routing-tamper-sender',
        detail:
          mailFrom === null
            ? '<> for a message that is no notice'
            : ['MAIL FROM is neither From nor Sender', ...senders.unreadable].join('; '),
      }
    if (!recipients.addresses.has(recipient))
      return {
        recipient,
        kind,
        reason: 'routing-tamper-recipient',
        detail: ['RCPT TO is neither in To nor in Cc', ...recipients.unreadable].join('; '),
      }
    return { recipient, kind: 'consistent' }
  })
}

/** The addresses that these fields name, and for each field that cannot be read why; never its words. */
function named(
  header: Header,
  ...fields: readonly string[]
): { readonly addresses: ReadonlySet<DirectAddress>; readonly unreadable: readonly string[] } {
  const addresses = new Set<DirectAddress>()
  const unreadable: string[] = []
  for (const field of fields) {
    const read = mailboxesOf(header, field.toLowerCase())
    if (read.kind === 'bad-addresses') unreadable.push(`${field} cannot be read: ${read.detail}`)
    else for (const { address } of read.mailboxes) if (address) addresses.add(address)
  }
  return { addresses, unreadable }
}
