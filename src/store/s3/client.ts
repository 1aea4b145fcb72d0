import { createReadStream } from 'node:fs'
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import aws4 from 'aws4'
import { StoreFailed } from '../../ports/store.js'
import type { S3Limits, S3Options } from './options.js'

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** Key of an object; the bucket itself where there is none. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  /** A local file to send, and its SHA-256 in lower-case hex, which is signed, so that the server checks it. */
  readonly body?: { readonly path: string; readonly sizeBytes: number; readonly sha256: string }
}

/** An answer of 2xx, whose body must be read or destroyed, or 404. */
export interface S3Answer {
  readonly found: boolean
  readonly body: IncomingMessage
}

export interface S3Client {
  /**
   * Sends a signed request, again where the server or the network failed, within limits: every request of ours may be
   * sent twice. Throws StoreFailed for any answer but 2xx and 404, a redirect too, naming the server's error code.
   */
  send(request: S3Request): Promise<S3Answer>
  close(): void
}

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** Opens a client over connections that are kept; `endpoint` was checked by `checkedEndpoint`. */
export function openS3Client(options: S3Options, endpoint: URL, limits: S3Limits): S3Client {
  const secure = endpoint.protocol === 'https:'
  const pool = { keepAlive: true, maxSockets: limits.connections }
  const agent = secure ? new HttpsAgent({ ...pool, ...(options.ca && { ca: options.ca }) }) : new HttpAgent(pool)
  const host = options.forcePathStyle ? endpoint.host : `${options.bucket}.${endpoint.host}`
  const base = endpoint.pathname.replace(/\/$/, '') + (options.forcePathStyle ? `/${options.bucket}` : '')
  const { accessKeyId, secretAccessKey, sessionToken } = options

  function signed({ method, key, query, body }: S3Request) {
    const search = query ? `?${new URLSearchParams(query)}` : ''
    return aws4.sign(
      {
        service: 's3',
        region: options.region,
        method,
        path: `${base}/${key ?? ''}${search}`,
        headers: {
          host,
          'x-amz-content-sha256': body?.sha256 ?? emptySha256,
          ...(body && { 'content-length': String(body.sizeBytes) }),
        },
      },
      { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    )
  }

  /** One try. Whatever takes longer than `answerMs` without a sign of life is given up. */
  async function attempt(request: S3Request): Promise<IncomingMessage> {
    const { method, path, headers } = signed(request)
    const hostname = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
    const to = { agent, hostname, port: endpoint.port, method, path, headers }
    const sending = secure ? requestHttps(to) : requestHttp(to)
    const late = () => sending.destroy(new Error('no answer in time'))
    let timer = setTimeout(late, limits.answerMs)
    const end = setTimeout(late, limits.sendMs)
    const alive = () => {
      clearTimeout(timer)
      timer = setTimeout(late, limits.answerMs)
    }
    try {
      return await new Promise((resolve, reject) => {
        const sent = request.body
          ? pipeline(createReadStream(request.body.path), (chunks) => each(chunks, alive), sending)
          : Promise.resolve(void sending.end())
        sent.catch(reject)
        sending.on('error', reject)
        sending.on('response', (answer) => {
          // A refusal may come before all was sent; no success can.
          if ((answer.statusCode ?? 0) >= 300) resolve(answer)
          else sent.then(() => resolve(answer), reject)
        })
      })
    } finally {
      clearTimeout(timer)
      clearTimeout(end)
    }
  }

  async function send(request: S3Request): Promise<S3Answer> {
    for (let tries = 1; ; tries++) {
      let failure: StoreFailed
      let again = true
      try {
        const body = await attempt(request)
        const status = body.statusCode ?? 0
        if (status >= 200 && status < 300) return { found: true, body }
        if (status === 404 && request.method !== 'PUT') {
          const code = await errorCode(body, limits)
          if (code !== 'NoSuchBucket') return { found: false, body }
          throw new StoreFailed(`The blob bucket is not there: ${request.method} answered 404 ${code}`)
        }
        const code = await errorCode(body, limits)
        again = status >= 500 || status === 429 || code === 'RequestTimeout'
        failure = new StoreFailed(`The blob bucket refused ${request.method}: ${status} ${code}${hintFor(status)}`)
      } catch (cause) {
        if (cause instanceof StoreFailed) throw cause
        failure = new StoreFailed(`The blob bucket could not be reached: ${codeOf(cause)}`, { cause })
      }
      if (!again || tries >= limits.tries) throw failure
      await wait(limits.retryMs * 2 ** (tries - 1) * (0.5 + Math.random() / 2))
    }
  }

  return { send, close: () => agent.destroy() }
}

async function* each(chunks: AsyncIterable<Uint8Array>, alive: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    alive()
    yield chunk
  }
}

function hintFor(status: number): string {
  if (status >= 300 && status < 400) return ' (a redirect, which is not followed: check region and endpoint)'
  return status === 403 ? ' (check keys, clock, and the rights to read, write, delete and list)' : ''
}

/** The code of an error answer: a word or nothing, since it goes into the log. Never throws; what cannot be read has no code. */
async function errorCode(body: IncomingMessage, limits: S3Limits): Promise<string> {
  const text = await bodyText(body, limits.errorBytes, limits.answerMs).catch(() => undefined)
  return text?.match(/<Code>([A-Za-z0-9.]{1,64})<\/Code>/)?.[1] ?? 'without a code'
}

/** A whole body as text; undefined where it is longer than `maxBytes`. Throws where it breaks off or takes longer than `waitMs`. */
export async function bodyText(body: IncomingMessage, maxBytes: number, waitMs: number): Promise<string | undefined> {
  const timer = setTimeout(() => body.destroy(new Error('no answer in time')), waitMs)
  const parts: Uint8Array[] = []
  let size = 0
  try {
    for await (const part of body as AsyncIterable<Uint8Array>) {
      size += part.length
      if (size > maxBytes) return undefined // leaving the loop destroys the connection
      parts.push(part)
    }
    return Buffer.concat(parts).toString('utf8')
  } finally {
    clearTimeout(timer)
  }
}

/** What a failure of the network is called: its code, or its message, which the platform wrote. */
export function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown'
  return 'code' in cause ? String(cause.code) : cause.message
}
