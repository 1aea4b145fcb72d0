/**
 * Why the gateway did not accept a message, a recipient or a certificate. One row a reason: the words an operator reads
 * in `trace`, log, API and CLI (`help`), and the SMTP reply where the refusal is spoken in the dialogue (`reply`).
 * A refusal after 250 is silent outside (Applicability Statement for Secure Health Transport §3.0).
 */
export const refusals = {
  // Spoken in the SMTP dialogue. Enhanced codes: RFC 3463 §3.
  'unknown-recipient': {
    reply: '550 5.1.1 No such Direct address here',
    help: 'The address is not one this gateway serves; add it with `direct-gateway address add`.',
  },
  'bad-address': {
    reply: '553 5.1.3 Not a valid address',
    help: 'The path in MAIL or RCPT is not a plain addr-spec.',
  },
  'too-many-recipients': {
    reply: '452 4.5.3 Too many recipients',
    help: 'One transaction named more recipients than limits.recipients allows; the sender may send the rest again.',
  },
  'message-too-large': {
    reply: '552 5.3.4 Message size exceeds fixed limit',
    help: 'The message is larger than limits.messageBytes; nothing of it was stored.',
  },
  'bad-line-ending': {
    reply: '550 5.6.0 Bare CR, bare LF or NUL is not accepted',
    help: 'Lines must end in CRLF (RFC 5321 §2.3.8); anything else can smuggle a second message.',
  },
  'line-too-long': {
    reply: '550 5.6.0 Line too long',
    help: 'A line was longer than limits.lineBytes.',
  },
  'header-too-large': {
    reply: '550 5.6.0 Header block too large',
    help: 'The header block was longer than limits.headerBytes.',
  },
  'not-encrypted': {
    reply: '554 5.6.1 Only S/MIME encrypted messages are accepted',
    help: 'The top-level content is not an encrypted application/pkcs7-mime entity.',
  },
  'answer-in-clear': {
    reply: '554 5.7.0 Message could not be accepted',
    help: 'Mail for a newcomer had question and answer in the Subject that everybody on the way can read; the sender must wrap the message (RFC 8551 §3.1) so that its Subject is encrypted.',
  },
  'too-many-connections': {
    reply: '421 4.7.0 Too many connections, try again later',
    help: 'The client or the server is over limits.connections.',
  },
  'too-slow': {
    reply: '421 4.4.2 Time limit exceeded',
    help: 'The client did not finish within the idle or total time limit.',
  },
  'no-room': {
    reply: '452 4.3.1 Insufficient system storage',
    help: 'Too little free disk space to promise delivery; free space or enlarge the volume.',
  },
  'store-unavailable': {
    reply: '451 4.3.0 Temporary failure, try again later',
    help: 'The store could not make the message durable; see /readyz.',
  },

  // Opening: RFC 5652 §6 and §5.
  'no-key-for-recipient': {
    help: 'No private key of a recipient matches any RecipientInfo: the sender encrypted to another certificate.',
  },
  'malformed-cms': {
    help: 'The CMS structure is truncated, damaged or beyond its limits.',
  },
  'unsupported-algorithm': {
    help: 'The message uses an algorithm this gateway does not implement; the detail names it.',
  },
  'weak-algorithm': {
    help: 'The message uses an algorithm or key size that policy refuses; the detail names it.',
  },
  'decrypt-failed': {
    help: 'Decryption failed: wrong key or damaged ciphertext. The cause is deliberately not told apart.',
  },
  'not-signed': {
    help: 'The decrypted content is not signed; Direct requires sign-then-encrypt.',
  },
  'malformed-signature': {
    help: 'The signature structure is damaged, or the signed entity is not exactly content plus signature.',
  },
  'signature-invalid': {
    help: 'The signature does not match the content: the message changed after it was signed.',
  },
  'weak-digest': {
    help: 'The signature uses a digest that policy refuses (MD5 always, SHA-1 unless allowed).',
  },

  // Reading the signed message: RFC 5322, and the routing rules of ANSI/DS 2019-01-100-2021.
  'malformed-message': {
    help: 'The signed content is not a readable message within the MIME limits; the detail names the limit.',
  },
  'no-sender': {
    help: 'The signed message has no From field with one plain address.',
  },
  'several-senders': {
    help: 'The signed message has several From fields or addresses; which one signed cannot be told.',
  },
  'newcomer-subject': {
    help: 'Mail for a newcomer whose signed Subject is not `Email[;Question;Answer][;Subject]`, or that was not wrapped; the sender was told.',
  },
  'newcomer-unprovable': {
    help: 'Mail for a newcomer without question and answer, and without a document that names one birth date: nobody could prove to be meant. The sender was told.',
  },
  'newcomer-limit': {
    help: 'Too many messages wait for newcomers from this sender or for this e-mail address; the sender was told.',
  },
  'routing-tamper-sender': {
    help: 'MAIL FROM is neither From nor Sender of the signed message: it was re-enveloped on the way.',
  },
  'routing-tamper-recipient': {
    help: 'RCPT TO stands in neither To nor Cc of the signed message: it was re-enveloped on the way, or sent as Bcc.',
  },

  // One signer certificate: RFC 5280 §6.1 and the Direct binding rules.
  'signer-certificate-missing': {
    help: 'A SignerInfo names a certificate that did not come with the message.',
  },
  'signer-not-bound': {
    help: 'No subjectAltName of the certificate is the sender address (rfc822Name) or its domain (dNSName).',
  },
  'malformed-certificate': {
    help: 'The certificate does not parse, or parses beyond its limits.',
  },
  'certificate-expired': {
    help: 'The validity period of the certificate has ended.',
  },
  'certificate-not-yet-valid': {
    help: 'The validity period of the certificate has not begun.',
  },
  'weak-key': {
    help: 'The key is smaller than policy allows (RSA under 2048 bits, or a curve that is not accepted).',
  },
  'key-usage': {
    help: 'The certificate does not allow its key to be used this way (digitalSignature to sign, keyCertSign to issue).',
  },
  'critical-extension': {
    help: 'The certificate has a critical extension that this gateway does not process.',
  },
  'no-anchor': {
    help: 'No path from the certificate ends at a trust anchor of this recipient; add one with `direct-gateway anchor add`, if it deserves trust.',
  },
  'path-signature': {
    help: 'A certificate on the path was not signed by the key of its issuer.',
  },
  'path-not-authority': {
    help: 'A certificate on the path issued another without being a certification authority (basicConstraints).',
  },
  'path-too-long': {
    help: 'The path is longer than a pathLenConstraint or the gateway limit allows.',
  },
  'name-constraints': {
    help: 'A name in the certificate is outside the name constraints of an issuer.',
  },
  revoked: { help: 'The certificate was revoked by its issuer.' },
  'revocation-unknown': {
    help: 'Whether the certificate is revoked could not be learnt, and policy demands to know.',
  },
  'certificate-policy': {
    help: 'A policy rule of this domain excludes the certificate; the detail names the rule.',
  },

  // Sending: taking a message in.
  'unknown-sender': {
    reply: '550 5.1.8 Not an address that may send here',
    help: 'The address that submits is not served here, or is disabled.',
  },
  'not-the-sender': {
    reply: '550 5.7.1 From must be the address that submits',
    help: 'From (or Sender) of the message is not the address that submits it.',
  },
  'no-recipients': {
    reply: '554 5.5.1 No recipients',
    help: 'The message names nobody to send it to.',
  },
  'already-encrypted': {
    reply: '554 5.6.0 Submit the message itself, not an encrypted one',
    help: 'The submitted message is encrypted already: the gateway signs and encrypts, so it must get the message itself.',
  },
  'message-id-reused': {
    reply: '554 5.6.0 Message-ID was used before',
    help: 'This sender has sent another message under the same Message-ID to the same recipients; each message needs its own.',
  },

  // Sending to someone.
  'blind-recipient': {
    help: 'The recipient stands in neither To nor Cc: Direct knows no blind copies, and his gateway would refuse the message.',
  },
  'no-key-for-sender': {
    help: 'No key of the sender may sign now: none was imported, or each is expired, retired, for encryption only, or excluded by a rule of its domain.',
  },
  'sealing-failed': {
    help: 'Signing and encrypting the message ended several times without an answer: it stalls or kills the thread that does it.',
  },
  'not-delivered': {
    help: "The recipient's mail server refused the message for good; the detail has its words.",
  },
  'undelivered-too-long': {
    help: "The recipient's mail server did not take the message until its time was over; the detail has the last trouble.",
  },
  'not-processed': {
    help: "The recipient's gateway did not say in time that it took the message over. It may not trust the sender, may not be able to read what it gets, or was not reached: the detail says how far the message came. Ask the recipient, and send again.",
  },
  'not-dispatched': {
    help: "The recipient's gateway took the message over, and did not say in time that it reached its destination, as was asked for. It may arrive yet: ask the recipient before sending again.",
  },
  'reported-failed': {
    help: "The recipient's gateway says that it could not deliver the message.",
  },
  cancelled: {
    help: 'An operator took the message back before it left.',
  },
  'no-recipient-certificate': {
    help: 'No certificate of the recipient can be encrypted to: none was found, or each has its own reason in the findings. Import one, or ask the recipient to publish it.',
  },

  // The whole message.
  'no-trusted-signer': {
    help: 'No signer is both bound to the sender and trusted by this recipient; each candidate certificate has its own reason.',
  },
  'undecided-too-long': {
    help: 'Something needed for the verdict did not answer until the deadline; the trail names it. An alarm was raised.',
  },
  'opening-failed': {
    help: 'Opening the message ended several times without an answer: it stalls or kills the thread that does it. An alarm was raised.',
  },
  'spool-damaged': {
    help: 'The bytes that were acknowledged are not in the spool any more: look after the disk and ask the sender for the message. An alarm was raised.',
  },
} as const satisfies Record<string, { readonly help: string; readonly reply?: string }>

/** The stable name of a refusal, the same in trail, audit, API and CLI. */
export type RefusalReason = keyof typeof refusals

/** What could not answer now, so that a verdict must wait. */
export type UndecidedCause =
  | 'revocation-unavailable'
  | 'issuer-unavailable'
  | 'certificate-discovery-unavailable'
  | 'key-store-unavailable'
  | 'store-unavailable'

/** A refusal as a value. `detail` is for operators and never holds clinical content. */
export interface Refused {
  readonly kind: 'refused'
  readonly reason: RefusalReason
  readonly detail: string
}

/** A verdict that must wait: neither accepted nor refused. */
export interface Undecided {
  readonly kind: 'undecided'
  readonly cause: UndecidedCause
  readonly detail: string
}

export function refused(reason: RefusalReason, detail = ''): Refused {
  return { kind: 'refused', reason, detail }
}

export function undecided(cause: UndecidedCause, detail = ''): Undecided {
  return { kind: 'undecided', cause, detail }
}
