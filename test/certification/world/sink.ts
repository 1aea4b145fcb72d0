import { buffer } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'

export interface Caught {
  readonly from: string
  readonly to: readonly string[]
  readonly wire: Buffer
  /** Unix milliseconds. */
  readonly at: number
}

export interface Sink {
  readonly port: number
  readonly caught: readonly Caught[]
  close(): Promise<void>
}

/** Where all mail to the far side ends: takes everything, keeps everything. */
export async function startSink(): Promise<Sink> {
  const caught: Caught[] = []
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    onData(stream, session, done) {
      buffer(stream).then((wire) => {
        const from = session.envelope.mailFrom ? session.envelope.mailFrom.address : ''
        caught.push({ from, to: session.envelope.rcptTo.map(({ address }) => address), wire, at: Date.now() })
        done()
      }, done)
    },
  })
  // A gateway that ends in the middle of a message is none of the sink's business.
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    caught,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
