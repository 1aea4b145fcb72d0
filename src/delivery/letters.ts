import { createHash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import { startWork, type Work } from '../pipeline/work.js'
import type { Audit } from '../ports/audit.js'
import type { Letter, Letters, WrittenLetter } from '../ports/letters.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type ClaimedJob, type Store, together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import type { Login } from './dialogue.js'
import { waitAfter } from './schedule.js'

export const lettersQueue = 'letters'

/** The mail server that carries ordinary mail for us. */
export interface Relay {
  readonly host: string
  readonly port: number
  /** `starttls` and `implicit` want a certificate for the host's name; `off` is for a relay on this machine. */
  readonly tls: 'starttls' | 'implicit' | 'off'
  readonly login?: Login
  /** PEM certificates of authorities that may vouch for the host; otherwise those of the system. */
  readonly ca?: string
}

/** Seals what waits in the queue: it has addresses of people and codes (see Keyring). */
export interface Wrapping {
  wrap(purpose: string, id: string, plaintext: Uint8Array): Uint8Array
  unwrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array
}

interface Queued {
  readonly to: string
  readonly language: string
  readonly letter: Letter
  /** Unix milliseconds. */
  readonly at: number
}

/** What queued letters are wrapped for. */
export const letterPurpose = 'letter'

export const letterLimits = {
  /** Dialogues with the relay at once. */
  atOnce: 4,
  leaseMs: 120_000,
  /** Connecting, greeting, and silence. */
  patienceMs: 30_000,
  /** Waits between tries; the last one repeats. */
  retryMs: [30_000, 120_000, 600_000, 1_800_000, 3_600_000] as readonly number[],
  /** Codes outlive it, links do not: who was not reached by then is told of by nobody. */
  lifetimeMs: 4 * 86_400_000,
  jitter: 0.1,
}

/** Queues letters. Without a relay none is queued: `missing` is told of each. */
export function openLetters(ports: {
  readonly wrapping: Wrapping
  readonly clock: Clock
  /** Whether somebody carries them. */
  readonly carried: boolean
  missing(kind: Letter['kind']): void
}): Letters {
  return {
    letter({ email, language }, letter, once) {
      if (!ports.carried) {
        ports.missing(letter.kind)
        return {}
      }
      const id = createHash('sha256').update(once).digest('hex')
      const at = ports.clock.now()
      const queued: Queued = { to: email, language, letter, at }
      const payload = ports.wrapping.wrap(letterPurpose, id, Buffer.from(JSON.stringify(queued)))
      return { enqueue: [{ queue: lettersQueue, id, payload, dueAt: at }] }
    },
  }
}

export interface LetterWorkOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly log: Log
  readonly metrics: Metrics
  readonly wrapping: Wrapping
  readonly relay: Relay
  /** `Name <address>` or an address: From of every letter. */
  readonly from: string
  /** The letter in words, in a language or the next best. */
  readonly write: (letter: Letter, language: string) => WrittenLetter
  readonly hostname: string
  readonly limits?: Partial<typeof letterLimits>
}

/** Hands letters to the relay until it takes them. A refusal for good, or a lifetime without an end, is audited. */
export function startLetters(options: LetterWorkOptions): Work {
  const limits = { ...letterLimits, ...options.limits }
  const { store, clock, log } = options
  const transport = transportOf(options.relay, options.hostname, limits)
  const work = startWork({
    ...{ store, clock, queue: lettersQueue, concurrency: limits.atOnce, leaseMs: limits.leaseMs },
    handle: (job) => send(options, limits, transport, job),
    onError: (error, job) => log.error('letter.error', { cause: nameOf(error), ...(job && { letter: job.id }) }),
  })
  return {
    ...work,
    async stop(graceMs) {
      const inTime = await work.stop(graceMs)
      transport.close()
      return inTime
    },
  }
}

type Transport = ReturnType<typeof transportOf>

function transportOf({ host, port, tls, login, ca }: Relay, hostname: string, limits: typeof letterLimits) {
  return createTransport({
    ...{ host, port, name: hostname, pool: true, maxConnections: limits.atOnce },
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'off',
    tls: { minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) },
    ...(login && { auth: { user: login.username, pass: login.password } }),
    connectionTimeout: limits.patienceMs,
    greetingTimeout: limits.patienceMs,
    socketTimeout: limits.patienceMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
}

async function send(
  options: LetterWorkOptions,
  limits: typeof letterLimits,
  transport: Transport,
  job: ClaimedJob,
): Promise<void> {
  const { store, clock, random, metrics, write, hostname } = options
  const opened = options.wrapping.unwrap(letterPurpose, job.id, job.payload)
  const { to, language, letter, at } = JSON.parse(Buffer.from(opened).toString()) as Queued
  const written = write(letter, language)
  try {
    await transport.sendMail({
      from: options.from,
      to,
      ...{ subject: written.subject, text: written.text, html: written.html },
      // The same at every try, so that a relay that took it twice shows it once.
      messageId: `<${job.id.slice(0, 32)}.letter@${hostname}>`,
      date: new Date(at),
      headers: { 'Auto-Submitted': 'auto-generated', 'Content-Language': written.language },
    })
  } catch (error) {
    const code = (error as { readonly responseCode?: unknown }).responseCode
    const forGood = typeof code === 'number' && code >= 500
    const nextAt = Math.round(clock.now() + waitAfter(job.attempt, limits, random))
    if (!forGood && nextAt < at + limits.lifetimeMs) {
      metrics.count('letters_total', { kind: letter.kind, outcome: 'later' })
      await store.commit({ release: [{ job, dueAt: nextAt }] })
      return
    }
    const reason = forGood ? `refused-${String(code)}` : 'not-carried-in-time'
    return ended(options, job, letter, 'failed', reason)
  }
  await ended(options, job, letter, 'success')
}

async function ended(
  { store, audit, clock, metrics, log }: LetterWorkOptions,
  job: ClaimedJob,
  { kind }: Letter,
  outcome: 'success' | 'failed',
  reason?: string,
): Promise<void> {
  const subject = { letter: job.id, kind }
  const entry = audit.entry({
    ...{ at: clock.now(), action: 'letter.sent', actor: 'system', subject, outcome },
    ...(reason !== undefined && { reason }),
  })
  await store.commit(together({ ack: [{ job }] }, { append: [entry] }))
  metrics.count('letters_total', { kind, outcome })
  if (outcome === 'failed') log.warn('letter.failed', { letter: job.id, kind, reason: reason ?? '' })
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}
