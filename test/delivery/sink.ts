import { SMTPServer } from 'smtp-server'
import type { ServerCertificate } from '../../src/smtp/options.js'

/** What a system of a clinic looks like from outside: it wants TLS and a password, and keeps what it is given. */
export interface Sink {
  readonly port: number
  readonly kept: readonly Kept[]
  /** Dialogues that were begun. */
  readonly sessions: () => number
  close(): Promise<void>
}

export interface Kept {
  readonly from: string
  readonly to: readonly string[]
  readonly bytes: Buffer
  readonly user: string | undefined
  readonly tls: boolean
}

export interface SinkOptions {
  /** 0, or none: a free one. */
  readonly port?: number
  readonly lmtp?: boolean
  readonly certificate?: ServerCertificate
  readonly login?: { readonly username: string; readonly password: string }
  /** The reply to a recipient after the message, where it is no 250: `550 5.2.2 full`. */
  readonly answer?: (recipient: string) => string | undefined
}

/** Takes mail at 127.0.0.1, by smtp-server, until it is closed. */
export async function edgeSink({
  port = 0,
  lmtp = false,
  certificate,
  login,
  answer,
}: SinkOptions = {}): Promise<Sink> {
  const kept: Kept[] = []
  let sessions = 0
  const server = new SMTPServer({
    lmtp,
    ...(certificate ?? {}),
    authOptional: login === undefined,
    disabledCommands: [...(certificate ? [] : ['STARTTLS']), ...(login ? [] : ['AUTH'])],
    logger: false,
    closeTimeout: 100,
    onConnect(_session, callback) {
      sessions++
      callback()
    },
    onAuth({ username, password }, _session, callback) {
      if (username === login?.username && password === login?.password) callback(null, { user: username })
      else callback(refusal('535 5.7.8 no'))
    },
    onData(stream, { envelope, user, secure }, callback) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const all = envelope.rcptTo.map(({ address }) => address)
        const taken = all.filter((one) => answer?.(one) === undefined)
        const from = envelope.mailFrom ? envelope.mailFrom.address : ''
        const who = typeof user === 'string' ? user : undefined
        if (taken.length > 0) kept.push({ from, to: taken, bytes: Buffer.concat(chunks), user: who, tls: secure })
        const replies = all.map((one) => {
          const said = answer?.(one)
          return said === undefined ? '2.0.0 kept' : refusal(said)
        })
        if (lmtp) return callback(null, replies as unknown as string)
        const refused = replies.find((reply) => reply instanceof Error)
        if (refused instanceof Error) callback(refused)
        else callback(null, '2.0.0 kept')
      })
    },
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  const address = server.server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    kept,
    sessions: () => sessions,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function refusal(reply: string): Error {
  return Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) })
}
