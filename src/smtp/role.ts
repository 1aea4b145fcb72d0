import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { RefusalReason } from '../direct/refusal.js'
import type { EdgeAccount } from '../directory/directory.js'
import { isForNewcomer, tellsAnswer } from '../pipeline/newuser-subject.js'
import type { Acceptance, SmtpOptions } from './options.js'
import { type Reply, replyOf } from './replies.js'
import type { Credentials } from './sasl.js'

/** Who is at the other end of a session. */
export interface Visitor {
  /** Who authenticated. */
  readonly account?: EdgeAccount
  /** SIZE of MAIL, where it was said (RFC 1870). */
  readonly announcedBytes?: number
}

export type Authentication =
  | { readonly kind: 'account'; readonly account: EdgeAccount }
  | { readonly kind: 'refused'; readonly reply: Reply }

/** Its metrics. */
export interface Counts {
  /** A message at the end of DATA. */
  message(outcome: string): void
  /** A line over 998 octets in one that was accepted. */
  longLine(): void
  openConnections(count: number): void
  refusedConnection(): void
}

/** What a listener is for: all in which mail between gateways and mail of our own clinics differ. */
export interface Role {
  /** What its log events begin with. */
  readonly name: 'smtp' | 'submission'
  readonly counts: Counts
  /** STARTTLS where there is a certificate; STARTTLS before anything of worth; or TLS from the first byte (RFC 8314). */
  readonly tls: 'offered' | 'demanded' | 'implicit'
  /** Whether a message must be an encrypted S/MIME entity. */
  readonly encryptedOnly: boolean
  /** Whether a refused sender is told the name of a reason that has no words of its own: not to strangers. */
  readonly tellsWhy: boolean
  /** Parameters of MAIL that are understood. */
  readonly parameters: readonly string[]
  /** Absent: AUTH is an unknown command. Present: nobody sends mail without. */
  authenticate?(credentials: Credentials, address: string): Promise<Authentication>
  /** What speaks against mail from this sender; null is the null reverse-path. */
  refuseSender(sender: DirectAddress | null, visitor: Visitor): Promise<Reply | undefined>
  /** What speaks against mail to this recipient. */
  refuseRecipient(recipient: DirectAddress, visitor: Visitor): Promise<Reply | undefined>
  /** What speaks against the header block of a message, which travels in the clear; nothing where absent. */
  refuseHeader?(envelope: Envelope, headerBlock: string): RefusalReason | undefined
  /** Makes a message durable; see SmtpOptions.accept. */
  accept(envelope: Envelope, data: AsyncIterable<Uint8Array>, visitor: Visitor): Promise<Acceptance>
}

/** Mail from other gateways to addresses of ours: from anybody, encrypted, and nothing for others. */
export function gatewayRole({ isServed, accept, metrics }: Pick<SmtpOptions, 'isServed' | 'accept' | 'metrics'>): Role {
  return {
    name: 'smtp',
    counts: {
      message: (outcome) => {
        metrics.count('smtp_messages', { outcome })
      },
      longLine: () => {
        metrics.count('smtp_long_lines')
      },
      openConnections: (count) => {
        metrics.gauge('smtp_connections', count)
      },
      refusedConnection: () => {
        metrics.count('smtp_refused_connections')
      },
    },
    tls: 'offered',
    encryptedOnly: true,
    tellsWhy: false,
    parameters: ['SIZE', 'BODY'],
    refuseSender: async () => undefined,
    refuseRecipient: async (recipient) => ((await isServed(recipient)) ? undefined : replyOf('unknown-recipient')),
    // Whoever is on the way would have the answer that a newcomer proves himself with: refused before it is stored.
    refuseHeader: ({ rcptTo }, headerBlock) =>
      rcptTo.some(isForNewcomer) && tellsAnswer(headerBlock) ? 'answer-in-clear' : undefined,
    accept,
  }
}
