import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'

/** An answer as it came. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  json<T>(): T
}

/** What is asked: a body as JSON, as a form, or as bytes of a type. */
export interface Asking {
  readonly token?: string
  readonly json?: unknown
  readonly form?: Readonly<Record<string, string>>
  readonly bytes?: Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/** A client of pages and API over TLS that is verified, with cookies of its own: a browser without scripts, or a program. */
export interface Client {
  ask(method: string, path: string, asking?: Asking): Promise<Answer>
  /** The same where the answer must be one of these; throws with its words else. */
  must(status: number, method: string, path: string, asking?: Asking): Promise<Answer>
  /** Names and values that the server set. */
  readonly cookies: ReadonlyMap<string, string>
  /** For changes under the session of a cookie. */
  csrf: string
}

/** Opens one that comes from an address of loopback; `ca` is PEM, and who answers must be `localhost` by it. */
export function openClient(port: number, ca: Buffer, from = '127.0.0.1'): Client {
  const cookies = new Map<string, string>()
  const client: Client = {
    cookies,
    csrf: '',
    async must(status, method, path, asking) {
      const answer = await client.ask(method, path, asking)
      if (answer.status === status) return answer
      throw new Error(`${method} ${path} answered ${answer.status}: ${answer.bytes.toString().slice(0, 300)}`)
    },
    ask: (method, path, asking = {}) =>
      new Promise((resolve, reject) => {
        const { type, body } = bodyOf(asking)
        const carried = asking.token === undefined ? [...cookies] : []
        const cookie = carried.map(([name, value]) => `${name}=${value}`).join('; ')
        const headers = {
          ...(type !== undefined && { 'content-type': type, 'content-length': body.length }),
          ...(cookie !== '' && { cookie }),
          ...(cookie !== '' && client.csrf !== '' && { 'x-csrf-token': client.csrf }),
          ...(asking.token !== undefined && { authorization: `Bearer ${asking.token}` }),
          ...asking.headers,
        }
        const sent = request(
          {
            host: '127.0.0.1',
            port,
            method,
            path,
            ca,
            servername: 'localhost',
            localAddress: from,
            agent: false,
            headers,
          },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
            response.on('end', () => {
              keep(cookies, response.headers['set-cookie'] ?? [])
              const bytes = Buffer.concat(chunks)
              const { statusCode: status = 0, headers: told } = response
              resolve({ status, headers: told, bytes, json: () => JSON.parse(bytes.toString()) })
            })
          },
        )
        sent.on('error', reject).setTimeout(30_000, () => sent.destroy(new Error(`${method} ${path}: no answer`)))
        sent.end(body)
      }),
  }
  return client
}

function bodyOf({ json, form, bytes }: Asking): { readonly type?: string; readonly body: Buffer } {
  if (json !== undefined) return { type: 'application/json', body: Buffer.from(JSON.stringify(json)) }
  if (bytes) return { type: 'application/octet-stream', body: bytes }
  if (!form) return { body: Buffer.alloc(0) }
  return { type: 'application/x-www-form-urlencoded', body: Buffer.from(new URLSearchParams(form).toString()) }
}

function keep(cookies: Map<string, string>, lines: readonly string[]): void {
  for (const line of lines) {
    const [pair = ''] = line.split(';')
    const at = pair.indexOf('=')
    if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) cookies.delete(pair.slice(0, at))
    else cookies.set(pair.slice(0, at), pair.slice(at + 1))
  }
}
