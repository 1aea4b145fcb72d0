import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { PostOutcome } from '../ports/webhooks.js'
import { signatureHeaders, type WebhookEndpoint, type WebhookMessage } from './webhook-endpoint.js'

export const webhookPostLimits = {
  /** From looking up the name to the last header of the answer. */
  timeoutMs: 10_000,
  /** An answer is a status; of its body so much is read, for people to see what is wrong. */
  answerBytes: 1024,
  /** For that much of a body to come, once its status is known. */
  bodyMs: 1000,
  /** Node's default. */
  headerBytes: 16 * 1024,
  /** What is kept of an answer for people. */
  wordsChars: 200,
}

/** A connection to one endpoint, kept open between deliveries. */
export interface WebhookLine {
  /** Delivers one message, signed now. Never throws for what the far side does. */
  post(message: WebhookMessage, now: number, signal?: AbortSignal): Promise<PostOutcome>
  close(): void
}

/** Which places deliveries may go to, where somebody else than the operator chose them. */
export interface Outward {
  /** Fails for names at addresses that are out of bounds; the address that it answers is the one connected to. */
  readonly lookup: LookupFunction
  isBarred(hostname: string): boolean
}

/**
 * Opens the line to an endpoint. One socket: deliveries come one after the other. Redirects are not followed. Without
 * `outward` it goes wherever the endpoint is.
 */
export function openWebhookLine(endpoint: WebhookEndpoint, limits = webhookPostLimits, outward?: Outward): WebhookLine {
  const secure = endpoint.url.protocol === 'https:'
  const kept = { keepAlive: true, maxSockets: 1 }
  const tls = { rejectUnauthorized: true, minVersion: 'TLSv1.2' as const, ...(endpoint.ca && { ca: endpoint.ca }) }
  const agent = secure ? new HttpsAgent({ ...kept, ...tls }) : new HttpAgent(kept)

  function attempt(message: WebhookMessage, now: number, signal: AbortSignal): Promise<PostOutcome | 'stale'> {
    return new Promise((resolve) => {
      const request: ClientRequest = (secure ? httpsRequest : httpRequest)(endpoint.url, {
        method: 'POST',
        ...{ agent, signal, maxHeaderSize: limits.headerBytes },
        ...(outward && { lookup: outward.lookup }),
        headers: {
          ...signatureHeaders(message, endpoint.secrets, now),
          'content-type': 'application/json',
          'content-length': message.body.length,
          'user-agent': 'direct-gateway',
        },
      })
      let answered = false
      request.on('response', (response) => {
        answered = true
        void firstOf(response, limits).then((words) => resolve(outcomeOf(response, words)))
      })
      request.on('upgrade', (_, socket) => {
        socket.destroy()
        resolve({ kind: 'failed', detail: 'answered 101; nobody asked for another protocol' })
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        // A server may close a socket that was kept open just as it is used again.
        if (answered) return
        const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
        resolve(stale ? 'stale' : { kind: 'failed', detail: causeOf(error, limits) })
      })
      request.on('close', () => {
        if (!answered) resolve({ kind: 'failed', detail: 'the connection was closed without an answer' })
      })
      request.end(message.body)
    })
  }

  return {
    async post(message, now, given) {
      if (outward?.isBarred(endpoint.url.hostname)) return { kind: 'failed', detail: 'not at a public address' }
      const timeout = AbortSignal.timeout(limits.timeoutMs)
      const signal = given ? AbortSignal.any([given, timeout]) : timeout
      for (let round = 0; round < 2; round++) {
        const outcome = await attempt(message, now, signal)
        if (outcome === 'stale') continue
        return timeout.aborted && outcome.kind === 'failed'
          ? { kind: 'failed', detail: `no answer within ${limits.timeoutMs / 1000} seconds` }
          : outcome
      }
      return { kind: 'failed', detail: 'the connection was closed without an answer' }
    },
    close: () => agent.destroy(),
  }
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage, words: string): PostOutcome {
  const answered = `answered ${statusCode}`
  if (statusCode >= 200 && statusCode < 300) return { kind: 'taken', detail: answered }
  if (statusCode === 410) return { kind: 'gone', detail: answered }
  if (statusCode >= 300 && statusCode < 400)
    return { kind: 'failed', detail: `${answered}; redirects are not followed` }
  const seconds = headers['retry-after'] ?? ''
  return {
    kind: 'failed',
    detail: words === '' ? answered : `${answered}: ${words}`,
    ...(/^\d{1,6}$/.test(seconds) && { waitMs: Number(seconds) * 1000 }),
  }
}

/** The beginning of a body as a line for people. One that ends within the limits leaves its socket for the next delivery. */
function firstOf(response: IncomingMessage, limits: typeof webhookPostLimits): Promise<string> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = []
    let bytes = 0
    const done = () => {
      clearTimeout(late)
      if (!response.complete) response.destroy()
      resolve(line(Buffer.concat(pieces).toString('utf8'), limits))
    }
    const late = setTimeout(done, limits.bodyMs)
    response.on('data', (piece: Buffer) => {
      pieces.push(piece.subarray(0, Math.max(0, limits.answerBytes - bytes)))
      bytes += piece.length
      if (bytes > limits.answerBytes) done()
    })
    response.on('end', done)
    response.on('error', done)
    response.on('close', done)
  })
}

function causeOf(error: NodeJS.ErrnoException, limits: typeof webhookPostLimits): string {
  return line(error.message === '' ? (error.code ?? 'failed') : error.message, limits)
}

function line(text: string, { wordsChars }: typeof webhookPostLimits): string {
  return text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, wordsChars)
}
