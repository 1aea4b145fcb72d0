/**
 * What a stranger may make grow, in one place. The rooms keep the same figures as their own defaults; `main.ts` hands
 * them these. Each row: the default, the least and the most that make sense, and why.
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
    max: 1024 * MiB,
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
    max: 10 * MiB,
    why: 'Header block of a message. Real ones of Direct messages are under 4 KiB.',
  },
  headerFields: { default: 1_000, min: 50, max: 100_000, why: 'Fields of one header block; each costs an object.' },
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
  mimeDepth: { default: 20, min: 4, max: 60, why: "Nested multiparts; people's mail stays under 6." },
  mimeParts: { default: 500, min: 10, max: 20_000, why: 'Parts of one message; each costs a header parse.' },
  cmsRecipients: { default: 2_000, min: 1, max: 10_000, why: 'RecipientInfos of one encrypted message.' },
  cmsCertificates: { default: 20, min: 1, max: 200, why: 'Certificates that come with one signature.' },
  pathCertificates: { default: 8, min: 2, max: 20, why: 'Certificates of one path, signer and anchor included.' },
  xmlBytes: {
    default: 64 * MiB,
    min: 64 * 1024,
    max: 512 * MiB,
    why: 'One XML document. The largest real one seen has 10 MB; the tree costs about ten times its source.',
  },
  xmlDepth: { default: 64, min: 20, max: 256, why: 'Nested elements; real documents nest at most 20 deep.' },
  xmlElements: {
    default: 500_000,
    min: 1_000,
    max: 5_000_000,
    why: 'Elements of one document; the largest real one seen has 150,000.',
  },
  zipEntries: { default: 200, min: 1, max: 10_000, why: 'Entries of one XDM archive.' },
  zipBytes: { default: 100 * MiB, min: MiB, max: 1024 * MiB, why: 'Bytes that one archive may unpack to.' },
  zipRatio: {
    default: 100,
    min: 2,
    max: 1_000,
    why: 'How much larger an entry may be unpacked; repetitive XML stays under 40, bombs start at 1,000.',
  },
  queuedMessages: {
    default: 100_000,
    min: 10,
    max: 10_000_000,
    why: 'Messages that wait for their verdict; above it senders are asked to come again.',
  },
  fetchBytes: {
    default: 10 * MiB,
    min: 64 * 1024,
    max: 256 * MiB,
    why: 'One download: a revocation list or an issuer certificate.',
  },
  httpBodyBytes: {
    default: 64 * 1024,
    min: 4 * 1024,
    max: 512 * MiB,
    why: 'Body of one API request; the largest is a change of four flags.',
  },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits
