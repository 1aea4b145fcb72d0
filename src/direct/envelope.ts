import type { DirectAddress } from './address.js'

/** What the SMTP dialogue said about a message, apart from the message (RFC 5321 §2.3.1). */
export interface Envelope {
  /** The reverse-path; null for `<>`, which notices use. */
  readonly mailFrom: DirectAddress | null
  /** The forward-paths we accepted, each once. */
  readonly rcptTo: readonly DirectAddress[]
  /** Where it came from, for the trail: address of the peer and the name it gave in EHLO. */
  readonly peer: {
    readonly address: string
    readonly helo: string
    readonly tls: boolean
  }
  /** When the last byte of DATA had arrived, in Unix milliseconds. */
  readonly receivedAt: number
}
