import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import nodemailer from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import type { Caught } from './sink.js'
import type { TlsPair } from './tls.js'

/** A clinic's own system (EHR): hands mail in by SMTP with an account, and takes what is pushed to it. */

/** One message that was pushed, and over what. */
export interface Pushed extends Caught {
  readonly encrypted: boolean
  readonly user: string
}

export interface EdgeSystem {
  readonly port: number
  readonly caught: readonly Pushed[]
  readonly login: { readonly username: string; readonly password: string }
  close(): Promise<void>
}

/**
 * Where the gateway pushes mail: STARTTLS, then AUTH PLAIN, then mail. Recipients whose local part begins with `refused`
 * are refused for good, as by a system that does not know them.
 */
export async function startEdgeSystem(tls: TlsPair): Promise<EdgeSystem> {
  const caught: Pushed[] = []
  const login = { username: 'gateway', password: 'of-no-use-elsewhere' }
  const server = new SMTPServer({
    key: readFileSync(tls.keyPath),
    cert: readFileSync(tls.certificatePath),
    authMethods: ['PLAIN'],
    disableReverseLookup: true,
    onAuth({ username, password }, _session, done) {
      if (username === login.username && password === login.password) done(null, { user: username })
      else done(new Error('wrong password'))
    },
    onRcptTo({ address }, _session, done) {
      const refused = /^refused/i.test(address)
      done(refused ? Object.assign(new Error('5.1.1 No such patient'), { responseCode: 550 }) : null)
    },
    onData(stream, session, done) {
      buffer(stream).then((wire) => {
        const { mailFrom, rcptTo } = session.envelope
        caught.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          wire,
          at: Date.now(),
          encrypted: session.secure,
          user: String(session.user ?? ''),
        })
        done()
      }, done)
    },
  })
  // A gateway that ends in the middle of a message is none of the system's business.
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    caught,
    login,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

export interface Submitter {
  /** Hands one message in; answers the reply to its end, or the refusal. Never rejects. */
  submit(from: string, to: readonly string[], message: string): Promise<string>
  close(): void
}

/** A system that submits: STARTTLS verified against the certificate it was given, AUTH PLAIN, one connection. */
export function newSubmitter(
  port: number,
  certificatePath: string,
  { username, password }: { readonly username: string; readonly password: string },
): Submitter {
  const transport = nodemailer.createTransport({
    pool: true,
    maxConnections: 2,
    maxMessages: Number.POSITIVE_INFINITY,
    host: '127.0.0.1',
    port,
    requireTLS: true,
    authMethod: 'PLAIN',
    auth: { user: username, pass: password },
    tls: { ca: readFileSync(certificatePath), servername: 'localhost', minVersion: 'TLSv1.2' },
  })
  return {
    async submit(from, to, message) {
      try {
        const { response } = await transport.sendMail({ envelope: { from, to: [...to] }, raw: message })
        return response
      } catch (error) {
        const said = error instanceof Error ? error : new Error(String(error))
        return ('response' in said && String(said.response)) || `000 ${said.message}`
      }
    },
    close: () => transport.close(),
  }
}
