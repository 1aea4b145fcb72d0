import { createConnection, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { DirectAddress } from '../direct/address.js'
import type { DeliveryLimits } from './limits.js'

/**
 * How STARTTLS is used: `opportunistic` encrypts to anybody where it can, as is usual between exchangers, since the
 * message is encrypted itself; `required` wants a certificate that proves the host's name; `off` is for relays nearby.
 */
export type TlsPolicy = 'opportunistic' | 'required' | 'off'

/** The bytes of DATA before dot-stuffing, CRLF lines: in memory, or read piece by piece, anew for each dialogue. */
export type Wire =
  | Uint8Array
  | {
      readonly sizeBytes: number
      /** Some bytes may be above 127; what was sealed by us is base64 throughout. */
      readonly eightBit?: boolean
      chunks(): AsyncIterable<Uint8Array>
    }

/** SMTP, or LMTP with a reply for each recipient after the message (RFC 2033). */
export type Protocol = 'smtp' | 'lmtp'

/** What a client says who it is with: AUTH PLAIN (RFC 4616), inside TLS only. */
export interface Login {
  readonly username: string
  readonly password: string
}

/** One message to recipients of one domain, in wire form. */
export interface Mail {
  /** null: `<>`. */
  readonly from: DirectAddress | null
  /** At least one. */
  readonly to: readonly DirectAddress[]
  readonly wire: Wire
  /** The system of ours that it goes to, instead of the mail exchangers of the domain. */
  readonly system?: string
}

/** A recipient that fared otherwise than the message: a reply to his RCPT alone. */
export interface Apart {
  readonly recipient: DirectAddress
  readonly kind: 'temporary' | 'permanent'
  readonly detail: string
}

/** One address of one host. */
export interface Dial {
  /** The name the host is known by: for SNI, its certificate, and people. */
  readonly host: string
  /** An IP address, or the path of a socket of this machine. */
  readonly address: string
  readonly port: number
  readonly tls: TlsPolicy
  /** Default: smtp. */
  readonly protocol?: Protocol
  readonly login?: Login
  /** PEM certificates of authorities that may vouch for the host; otherwise those of the system. */
  readonly ca?: string
}

export type DialogueOutcome = {
  /** Recipients for whom the outcome is another one; absent where there are none. */
  readonly apart?: readonly Apart[]
} & (
  | { readonly kind: 'delivered'; readonly reply: string }
  /** The host refused this message for good: a 5xx to MAIL, RCPT, DATA or the message. */
  | { readonly kind: 'permanent'; readonly detail: string }
  /** Not now, or not this host; another may be tried. */
  | { readonly kind: 'temporary'; readonly detail: string }
  /** STARTTLS was offered and failed; in plaintext it might work. */
  | { readonly kind: 'no-tls'; readonly detail: string }
  /** The message was sent and its reply never came: it may have arrived, so nobody else may be tried now. */
  | { readonly kind: 'in-doubt'; readonly detail: string }
)

/** An error of the SMTP client, as far as it says what happened. */
type ClientError = Pick<SMTPConnection.SMTPError, 'message' | 'code' | 'response' | 'responseCode'> & {
  readonly recipient?: unknown
  readonly rejectedErrors?: readonly ClientError[] | undefined
}

/** Holds one dialogue (RFC 5321 §3.3, RFC 2033 §4) with one address of one host. Never throws for what the far side does. */
export async function converse(
  mail: Mail,
  dial: Dial,
  helo: string,
  limits: DeliveryLimits,
  deadline: AbortSignal,
): Promise<DialogueOutcome> {
  let socket: Socket
  try {
    socket = await connect(dial, limits.connectMs, deadline)
  } catch (error) {
    return { kind: 'temporary', detail: `connecting: ${(error as Error).message}` }
  }
  const client = new SMTPConnection({
    ...clientOptions(dial, helo, limits),
    connection: socket,
  })
  let sent = false
  const onSent = () => {
    sent = true
    if (client._socket) client._socket.setTimeout(limits.lastReplyMs)
  }
  let giveUp: () => void = () => undefined
  const outcome = await new Promise<DialogueOutcome>((resolve) => {
    const fail = (error: ClientError) =>
      resolve(readFailure(error, { sent, upgrading: client.upgrading === true }, mail, limits))
    const cut = (detail: string) => resolve({ kind: sent ? 'in-doubt' : 'temporary', detail })
    giveUp = () => cut('the time limit of the attempt was reached')
    deadline.addEventListener('abort', giveUp)
    if (deadline.aborted) giveUp()
    client.on('error', fail)
    // The client closes before it tells why: a turn later it has.
    client.once('end', () => setImmediate(cut, 'the connection was closed'))
    const say = () => {
      const wire = Readable.from(piecesOf(mail.wire, onSent), { objectMode: false })
      client.send(envelopeOf(mail), wire, (error, sending) => {
        if (error) fail(error)
        else resolve(readReplies(sending, mail, dial, limits))
      })
    }
    client.connect((failure) => {
      if (failure) return fail(failure)
      const { login } = dial
      if (!login) return say()
      if (!client.secure) return resolve({ kind: 'temporary', detail: 'without TLS no password is said' })
      const { username: user, password: pass } = login
      client.login({ user, pass, method: 'PLAIN' }, (refusal) => (refusal ? fail(refusal) : say()))
    })
  })
  deadline.removeEventListener('abort', giveUp)
  // QUIT only where the server waits for a command: in the middle of DATA it would become part of the message.
  if (outcome.kind === 'delivered' || outcome.kind === 'permanent') {
    client.quit()
    setTimeout(() => client.close(), quitMs).unref()
  } else client.close()
  return outcome
}

/** How long a server has to answer QUIT. */
const quitMs = 1000

function connect(dial: Dial, connectMs: number, deadline: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { address, port } = dial
    const socket = createConnection(
      address.startsWith('/') ? { path: address } : { host: address, port, noDelay: true },
    )
    const giveUp = (why: string) => socket.destroy(new Error(why))
    const timer = setTimeout(() => giveUp(`no answer within ${connectMs} ms`), connectMs)
    const onAbort = () => giveUp('the time limit of the attempt was reached')
    deadline.addEventListener('abort', onAbort)
    if (deadline.aborted) onAbort()
    const settled = () => {
      clearTimeout(timer)
      deadline.removeEventListener('abort', onAbort)
    }
    socket.on('error', (error) => {
      settled()
      reject(error)
    })
    socket.once('connect', () => {
      settled()
      resolve(socket)
    })
  })
}

function clientOptions(dial: Dial, helo: string, limits: DeliveryLimits): SMTPConnection.Options {
  const required = dial.tls === 'required'
  return {
    host: dial.host,
    port: dial.port,
    secure: false,
    name: helo,
    lmtp: dial.protocol === 'lmtp',
    logger: false, // it would log addresses and, asked to, the message
    ignoreTLS: dial.tls === 'off',
    requireTLS: required,
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: required, ...(dial.ca !== undefined && { ca: dial.ca }) },
    connectionTimeout: limits.greetingMs * 2, // greeting, EHLO and the TLS handshake together
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.idleMs,
    socketCloseTimeout: quitMs,
    maxResponseSize: limits.replyBytes,
  }
}

function envelopeOf({ from, to, wire }: Mail): SMTPConnection.Envelope {
  const [size, use8BitMime] =
    wire instanceof Uint8Array
      ? [wire.length, wire.some((byte) => byte > 0x7f)]
      : [wire.sizeBytes, wire.eightBit === true]
  return { from: from ?? false, to: [...to], size, use8BitMime }
}

const pieceBytes = 65_536

/** The message in pieces; `onSent` once the last one was taken, so that the final dot may be on its way. */
function piecesOf(wire: Wire, onSent: () => void): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  return wire instanceof Uint8Array ? inPieces(wire, onSent) : streamed(wire, onSent)
}

function* inPieces(wire: Uint8Array, onSent: () => void): Generator<Uint8Array> {
  for (let at = 0; at < wire.length; at += pieceBytes) yield wire.subarray(at, at + pieceBytes)
  onSent()
}

async function* streamed(wire: Exclude<Wire, Uint8Array>, onSent: () => void): AsyncGenerator<Uint8Array> {
  let left = wire.sizeBytes
  for await (const chunk of wire.chunks()) {
    left -= chunk.length
    yield chunk
  }
  if (left !== 0) throw new Error('the stored message is not as long as it was')
  onSent()
}

/** What was said after the final dot: one reply by SMTP, one for each recipient by LMTP (RFC 2033 §4.2). */
function readReplies(
  sending: SMTPConnection.SentMessageInfo,
  mail: Mail,
  { protocol }: Dial,
  limits: DeliveryLimits,
): DialogueOutcome {
  const reply = forPeople(sending.response, limits)
  const apart = apartOf(sending.rejectedErrors, mail, limits)
  const taken = apart.length < mail.to.length
  if (protocol !== 'lmtp' || taken) {
    if (protocol !== 'lmtp' && !isTaken(sending.response))
      return { kind: 'in-doubt', detail: `unreadable reply: ${reply}` }
    // By LMTP the last reply may be the refusal of another recipient.
    const words = isTaken(sending.response) ? reply : '250 2.0.0 taken'
    return { kind: 'delivered', reply: words, ...(apart.length > 0 && { apart }) }
  }
  const unreadable = sending.rejectedErrors?.find(({ response }) => !isReply(response))
  if (unreadable)
    return { kind: 'in-doubt', detail: `unreadable reply: ${forPeople(unreadable.response ?? '', limits)}` }
  return together(apart)
}

/** Refusals of all recipients as one outcome, those that differ apart: while one may be tried again, all are not lost. */
function together(refusals: readonly Apart[]): DialogueOutcome {
  const first = refusals.find(({ kind }) => kind === 'temporary') ?? refusals[0]
  if (!first) return { kind: 'temporary', detail: '' }
  const apart = refusals.filter(({ kind, detail }) => kind !== first.kind || detail !== first.detail)
  return { kind: first.kind, detail: first.detail, ...(apart.length > 0 && { apart }) }
}

function isTaken(response: string): boolean {
  return /^2\d\d(?:[ -]|$)/.test(response)
}

function readFailure(
  error: ClientError,
  { sent, upgrading }: { sent: boolean; upgrading: boolean },
  mail: Mail,
  limits: DeliveryLimits,
): DialogueOutcome {
  const detail = forPeople(error.response ?? error.message, limits)
  const aboutTheMessage = error.code === 'EENVELOPE' || error.code === 'EMESSAGE'
  if (aboutTheMessage && error.responseCode === undefined && error.response === undefined) {
    return { kind: 'permanent', detail } // larger than the SIZE the server announced (RFC 1870 §6)
  }
  if (aboutTheMessage && isReply(error.response)) {
    const kind = kindOf(error.response)
    const apart = apartOf(error.rejectedErrors, mail, limits).filter(
      (one) => one.kind !== kind || one.detail !== detail,
    )
    return { kind, detail, ...(apart.length > 0 && { apart }) }
  }
  if (upgrading || error.code === 'ETLS') return { kind: 'no-tls', detail }
  return { kind: sent ? 'in-doubt' : 'temporary', detail }
}

/** 503 says that the dialogue went wrong, 530 to 538 that we did not say who we are as we must (RFC 4954 §6): not the message. */
function kindOf(response: string): 'permanent' | 'temporary' {
  return /^5(?!03|3[0458])/.test(response) ? 'permanent' : 'temporary'
}

/** The recipients that were refused by themselves, each with the reply to his RCPT (RFC 5321 §3.3). */
function apartOf(errors: readonly ClientError[] | undefined, { to }: Mail, limits: DeliveryLimits): Apart[] {
  return (errors ?? []).flatMap((error) => {
    const recipient = to.find((one) => one === error.recipient)
    if (recipient === undefined) return []
    const kind = isReply(error.response) ? kindOf(error.response) : 'temporary'
    return [{ recipient, kind, detail: forPeople(error.response ?? error.message, limits) }]
  })
}

/** A reply as RFC 5321 §4.2 has it: anything else is noise, whatever digit it begins with. */
function isReply(response: string | undefined): response is string {
  return response !== undefined && /^[2-5]\d\d(?:[ -]|$)/.test(response)
}

/** A stranger's text made fit for a trail: one line, no control characters, not too long. */
function forPeople(text: string, limits: DeliveryLimits): string {
  return text
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, limits.replyChars)
}
