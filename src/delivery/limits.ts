/** Bounds on what another gateway may cost us. Overridable one by one. */
export const deliveryLimits = {
  /** RFC 5321 §4.5.3.2 has no figure; a host that does not answer a SYN for so long is down. */
  connectMs: 30_000,
  /** Servers that pause before their greeting do so for seconds (RFC 5321 §4.5.3.2.1 would give 5 minutes). */
  greetingMs: 30_000,
  /** Silence within the dialogue, but for the last reply. */
  idleMs: 60_000,
  /** Silence after the final dot: giving up here sends a message twice (RFC 5321 §4.5.3.2.6, RFC 1047). */
  lastReplyMs: 600_000,
  /** All hosts of one attempt together. */
  attemptMs: 600_000,
  /** Hosts and addresses dialled in one attempt: RFC 5321 §5.1 asks for at least two. */
  dials: 5,
  /** A server's reply is a line or two. */
  replyBytes: 16_384,
  /** How much of a remote reply is kept for people. */
  replyChars: 300,
}

export type DeliveryLimits = typeof deliveryLimits
