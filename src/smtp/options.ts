import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { RefusalReason } from '../direct/refusal.js'
import type { Accounts } from '../directory/directory.js'
import type { HandedIn } from '../pipeline/handed-in.js'
import type { SubmitOutcome } from '../pipeline/submit.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Clock } from '../ports/world.js'
import type { SmtpLimits, SubmissionListenerLimits } from './limits.js'

/** A certificate chain with its key, both PEM. */
export interface ServerCertificate {
  readonly key: string
  readonly cert: string
}

export type Acceptance =
  | { readonly kind: 'accepted'; readonly id: string }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly detail?: string }

/** What every listener needs, whatever it is for. */
export interface ListenerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Our name in the greeting and in EHLO. */
  readonly hostname: string
  /** Asked for each new connection, so that a renewed certificate needs no restart. Undefined: no STARTTLS. */
  readonly tls?: () => ServerCertificate | undefined
  /** Whether there is disk for one more message, asked at MAIL. */
  readonly room: () => Promise<boolean>
  /** Whether writes can succeed, asked at MAIL. */
  readonly healthy: () => boolean
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
}

/** The listener for mail from other gateways. */
export interface SmtpOptions extends ListenerOptions {
  readonly limits?: Partial<SmtpLimits>
  /** Whether mail to the address is ours to take. Nothing else is accepted: no open relay, ever. */
  readonly isServed: (address: DirectAddress) => Promise<boolean>
  /**
   * Makes the message durable. `data` throws instead of ending when the message was refused or the client vanished, so
   * only who saw its end may keep it. `envelope.receivedAt` is final once `data` ended.
   */
  readonly accept: (envelope: Envelope, data: AsyncIterable<Uint8Array>) => Promise<Acceptance>
}

export interface SmtpListener {
  readonly port: number
  readonly address: string
  /**
   * Answers 421 to newcomers and to the idle, lets messages in transfer finish for up to `graceMs`, then closes.
   */
  close(graceMs: number): Promise<void>
  connections(): number
}

/** The listeners for mail of systems of our own clinics, on one port or two. */
export interface SubmissionOptions extends Omit<ListenerOptions, 'port' | 'tls'> {
  /** Where TLS begins with STARTTLS (RFC 6409); 0 takes a free port, undefined none. */
  readonly port?: number | undefined
  /** Where TLS begins with the first byte (RFC 8314 §3.3). */
  readonly implicitTlsPort?: number | undefined
  /** While it answers undefined nobody is let in. */
  readonly tls: () => ServerCertificate | undefined
  readonly limits?: Partial<SubmissionListenerLimits>
  readonly accounts: Pick<Accounts, 'authenticate' | 'maySendAs'>
  /** Makes the message durable and owed to its recipients; its refusal is told to the sender by name. */
  readonly submit: (message: HandedIn) => Promise<SubmitOutcome>
}

export interface SubmissionListener {
  readonly port?: number
  readonly implicitTlsPort?: number
  /** As SmtpListener has it, both ports at once. */
  close(graceMs: number): Promise<void>
  connections(): number
}
