import { submissionLimits } from '../spool/submission.js'

/** What a stranger may make grow on the listening side. Overridable one by one by `SmtpOptions.limits`. */
export const smtpLimits = {
  /** A 30 MB attachment, base64 inside and outside the encryption, is 56.2 MB on the wire. Announced as SIZE. */
  messageBytes: 62_914_560,
  /** RFC 5321 §4.5.3.1.8 asks for at least 100; a Direct message goes to few people. */
  recipients: 100,
  /** Recipients refused for good in one connection before it ends: nobody may read our directory by trying names. */
  refusedRecipients: 100,
  /** Postfix's figure. Real header blocks of Direct messages are under 4 KiB. */
  headerBytes: 100 * 1024,
  /** RFC 5322 §2.1.1 says 998, but some senders write base64 in one line; longer than this is no mail. CRLF excluded. */
  lineBytes: 65_536,
  /** RFC 5321 §4.5.3.1.4 asks for 512; extensions add to it. */
  commandBytes: 2048,
  /** Longer lines are answered 500 and the session goes on; over `commandBytes` nobody knows where the command ends. */
  commandLineBytes: 1000,
  /** A line of an AUTH exchange, RFC 4954 §4. */
  authLineBytes: 12_288,
  /** One descriptor and about 100 KB each. */
  connections: 500,
  /** Peers are few and large; one of them needs several connections, not hundreds. */
  connectionsPerAddress: 20,
  /** Above what a busy peer opens; below what makes TLS handshakes a burden. */
  newPerAddressPerSecond: 10,
  /** Loopback is this machine (a relay, a check, a bench): it would only slow down ourselves. */
  limitLoopback: false,
  /** Silence. RFC 5321 §4.5.3.2.7 says 5 minutes; Postfix shortens to 10 s under stress. HISPs are machines. */
  idleMs: 60_000,
  /** All commands between two messages together, so that a byte a minute does not hold a connection. */
  commandPhaseMs: 600_000,
  /** DATA may take this long, plus the bytes received so far divided by `dataBytesPerSecond` (Postfix smtpd_min_data_rate). */
  dataBaseMs: 60_000,
  dataBytesPerSecond: 500,
  /** Commands answered 5xx in one connection before 421; refused recipients have their own count. */
  errors: 3,
  /** Commands that move nothing (EHLO, NOOP, RSET …) since the last message. Postfix's figure; pipelined by the thousand they cost us seconds. */
  junkCommands: 100,
}

export type SmtpLimits = typeof smtpLimits

/** What differs where systems of our own clinics hand mail in: few, known, and they send the message itself. */
export const submissionListenerLimits = {
  ...smtpLimits,
  /** What submit takes: sealed and in base64 it is 1.37 times as large. Announced as SIZE. */
  messageBytes: submissionLimits.messageBytes,
  recipients: submissionLimits.recipients,
  /** Room for a line of an AUTH exchange, so that one that is too long can be answered. */
  commandBytes: 16_384,
  /** Messages in transfer and being submitted, all connections together. */
  heldBytes: 256 * 1024 * 1024,
  /** What is held of a message whose size was not announced, at first; it doubles. */
  firstBytes: 64 * 1024,
  /** Wrong credentials under one name from one /24 (or /64) within `failureWindowMs`: then nobody is asked any more. */
  failuresPerAccount: 10,
  /** The same under all names together: a clinic has several systems behind one address, and none tries names. */
  failuresPerNetwork: 30,
  failureWindowMs: 15 * 60_000,
  /** Names and networks remembered; the oldest are forgotten first. About 200 bytes each. */
  rememberedFailures: 20_000,
  /** A refusal of credentials takes no less, whatever was wrong with them. */
  refusalMs: 300,
}

export type SubmissionListenerLimits = typeof submissionListenerLimits
