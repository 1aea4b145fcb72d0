import { createHash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import { startWork, type Work } from '../pipeline/work.js'
import type { Audit } from '../ports/audit.js'
import { type BodyPorts, bodyRows, gather, keepBody, readBody } from '../ports/body.js'
import type { Letter, Letters, WrittenLetter } from '../ports/letters.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { PlainMail } from '../ports/plain-mail.js'
import { type ClaimedJob, together } from '../ports/store.js'
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

/** What waits: a letter, or mail whose words and attachments lie in a row of their own. `at` in Unix milliseconds. */
type Queued = { readonly to: string; readonly at: number } & (
  | { readonly letter: Letter; readonly language: string }
  | { readonly plain: true }
)

/** Row of the content of plain mail, sealed for the queue; it goes with its job. */
export const plainPrefix = 'letters/plain/'
export const plainOwner = 'letters'

/** What queued letters are wrapped for. */
export const letterPurpose = 'letter'

export const letterLimits = {
  /** Dialogues with the relay at once. */
  atOnce: 4,
  leaseMs: 120_000,
  /** How long one may lie unseen: whoever queues it does not know of this worker. */
  idleMs: 1000,
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

/** Queues mail with health information that a person asked to be sent unprotected; it waits sealed, as letters do. */
export function openPlainMail({
  wrapping,
  clock,
  ...bodies
}: Pick<BodyPorts, 'blobs' | 'vault'> & { readonly wrapping: Wrapping; readonly clock: Clock }): PlainMail {
  return {
    async mail(to, { subject, text, attachments }, once) {
      const id = createHash('sha256').update(once).digest('hex')
      const at = clock.now()
      const files = attachments.map(({ bytes, ...named }) => ({
        ...named,
        base64: Buffer.from(bytes).toString('base64'),
      }))
      const content: PlainContent = { subject, text, files }
      const queued: Queued = { to, at, plain: true }
      const payload = wrapping.wrap(letterPurpose, id, Buffer.from(JSON.stringify(queued)))
      const body = await keepBody(bodies, plainOwner, plainPrefix + id, Buffer.from(JSON.stringify(content)))
      return together(body, { enqueue: [{ queue: lettersQueue, id, payload, dueAt: at }] })
    },
  }
}

interface PlainContent {
  readonly subject: string
  readonly text: string
  readonly files: readonly { readonly name: string; readonly mediaType: string; readonly base64: string }[]
}

export interface LetterWorkOptions extends BodyPorts {
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
    ...{
      store,
      clock,
      queue: lettersQueue,
      concurrency: limits.atOnce,
      leaseMs: limits.leaseMs,
      idleMs: limits.idleMs,
    },
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
  const { store, clock, random, metrics, hostname } = options
  const opened = options.wrapping.unwrap(letterPurpose, job.id, job.payload)
  const queued = JSON.parse(Buffer.from(opened).toString()) as Queued
  const { to, at } = queued
  const kind = 'letter' in queued ? queued.letter.kind : 'plain'
  const words = await wordsOf(options, job, queued)
  if (!words) return ended(options, job, kind, 'failed', 'content-gone')
  try {
    await transport.sendMail({
      ...{ from: options.from, to, ...words },
      // The same at every try, so that a relay that took it twice shows it once.
      messageId: `<${job.id.slice(0, 32)}.letter@${hostname}>`,
      date: new Date(at),
    })
  } catch (error) {
    const code = (error as { readonly responseCode?: unknown }).responseCode
    const forGood = typeof code === 'number' && code >= 500
    const nextAt = Math.round(clock.now() + waitAfter(job.attempt, limits, random))
    if (!forGood && nextAt < at + limits.lifetimeMs) {
      metrics.count('letters_total', { kind, outcome: 'later' })
      await store.commit({ release: [{ job, dueAt: nextAt }] })
      return
    }
    const reason = forGood ? `refused-${String(code)}` : 'not-carried-in-time'
    return ended(options, job, kind, 'failed', reason)
  }
  await ended(options, job, kind, 'success')
}

/** What is said in it, as the mail library takes it; undefined where plain mail lost its content. */
async function wordsOf(options: LetterWorkOptions, job: ClaimedJob, queued: Queued) {
  if ('letter' in queued) {
    const { subject, text, html, language } = options.write(queued.letter, queued.language)
    return { subject, text, html, headers: { 'Auto-Submitted': 'auto-generated', 'Content-Language': language } }
  }
  const body = await readBody(options, plainOwner, plainPrefix + job.id)
  if (!body) return undefined
  const { subject, text, files } = JSON.parse(Buffer.from(await gather(body)).toString()) as PlainContent
  const attachments = files.map(({ name, mediaType, base64 }) => ({
    ...{ filename: name, contentType: mediaType, content: Buffer.from(base64, 'base64') },
  }))
  return { subject, text, attachments }
}

async function ended(
  { store, audit, clock, metrics, log }: LetterWorkOptions,
  job: ClaimedJob,
  kind: string,
  outcome: 'success' | 'failed',
  reason?: string,
): Promise<void> {
  const entry = audit.entry({
    ...{ at: clock.now(), action: 'letter.sent', actor: 'system', subject: { letter: job.id, kind }, outcome },
    ...(reason !== undefined && { reason }),
  })
  const content = kind === 'plain' ? await store.get(plainPrefix + job.id) : undefined
  await store.commit({ ack: [{ job }], append: [entry], ...(content && { del: bodyRows(content) }) })
  metrics.count('letters_total', { kind, outcome })
  if (outcome === 'failed') log.warn('letter.failed', { letter: job.id, kind, reason: reason ?? '' })
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}
