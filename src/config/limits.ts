/**
 * What a stranger may make grow on the wire. Each row: the default, the least and the most that make sense, and why. Bounds
 * on what is read later (CMS, MIME, XML, archives) are no settings: the code relies on them, and they stand with their
 * reasons in the rooms that read. No setting may allow what a room behind it refuses.
 */
export interface Limit {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly why: string
}

const MiB = 1024 * 1024

export const limits = {
  messageBytes: {
    default: 60 * MiB,
    min: 64 * 1024,
    max: 60 * MiB,
    why: 'Largest message on the wire, announced as SIZE. A 30 MB attachment is base64-encoded twice, once inside and once outside the encryption, and arrives as 56.2 MB.',
  },
  recipients: {
    default: 100,
    min: 1,
    max: 2_000,
    why: 'Recipients of one transaction. RFC 5321 §4.5.3.1.8 asks for at least 100; a Direct message goes to few people.',
  },
  refusedRecipients: {
    default: 100,
    min: 1,
    max: 10_000,
    why: 'Recipients refused for good in one connection before it ends, so that nobody reads our directory by trying names.',
  },
  headerBytes: {
    default: 100 * 1024,
    min: 4 * 1024,
    max: 100 * 1024,
    why: 'Header block of a message. Real ones of Direct messages are under 4 KiB.',
  },
  lineBytes: {
    default: 65_536,
    min: 998,
    max: MiB,
    why: 'One line of a message. RFC 5322 §2.1.1 says 998, but some senders write base64 in one line.',
  },
  commandBytes: {
    default: 2_048,
    min: 512,
    max: 65_536,
    why: 'One SMTP command. RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it.',
  },
  connections: {
    default: 500,
    min: 1,
    max: 100_000,
    why: 'Open SMTP connections: a descriptor and about 100 KB each.',
  },
  connectionsPerAddress: {
    default: 20,
    min: 1,
    max: 100_000,
    why: 'Open SMTP connections of one address. Peers are few and large: they need several, not hundreds.',
  },
  newPerAddressPerSecond: {
    default: 10,
    min: 1,
    max: 100_000,
    why: 'New SMTP connections of one address in a second; more makes TLS handshakes a burden.',
  },
  errors: { default: 3, min: 1, max: 1_000, why: 'Commands answered 5xx in one connection before it ends.' },
  dataBytesPerSecond: {
    default: 500,
    min: 1,
    max: MiB,
    why: 'Least rate of a message in transfer, after a minute of grace: slower senders are cut off.',
  },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits
