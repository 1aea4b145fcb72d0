import { createConnection, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { Envelope } from '../../src/direct/envelope.js'
import type { Log, Metrics } from '../../src/ports/observe.js'
import type { Acceptance, SmtpListener, SmtpOptions } from '../../src/smtp/options.js'
import { startSmtp } from '../../src/smtp/server.js'

export const quiet: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }
export const uncounted: Metrics = { count: () => undefined, observe: () => undefined, gauge: () => undefined }

export const header = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'

/** What reached `accept`: kept messages, and those whose data threw before the end. */
export interface Kept {
  readonly envelope: Envelope
  readonly text: string
}

export interface Fixture {
  readonly listener: SmtpListener
  readonly kept: Kept[]
  readonly aborted: string[]
  /** Handlers that have not answered. */
  running(): number
}

/** A listener on a free port that keeps mail for anybody at `served.example`. */
export async function listening(options: Partial<SmtpOptions> = {}): Promise<Fixture> {
  const kept: Kept[] = []
  const aborted: string[] = []
  let running = 0
  async function accept(envelope: Envelope, data: AsyncIterable<Uint8Array>): Promise<Acceptance> {
    running++
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of data) chunks.push(chunk)
      kept.push({ envelope: { ...envelope }, text: Buffer.concat(chunks).toString('latin1') })
      return { kind: 'accepted', id: `id-${kept.length}` }
    } catch (error) {
      aborted.push(String(error))
      throw error
    } finally {
      running--
    }
  }
  const listener = await startSmtp({
    host: '127.0.0.1',
    port: 0,
    hostname: 'mx.served.example',
    isServed: async (address) => address.endsWith('@served.example'),
    accept,
    room: async () => true,
    healthy: () => true,
    log: quiet,
    metrics: uncounted,
    clock: { now: Date.now },
    ...options,
  })
  return { listener, kept, aborted, running: () => running }
}

/** A client that says exactly what it is told to. */
export interface Peer {
  readonly socket: Socket
  /** The next whole reply, or `closed`. */
  reply(): Promise<string>
  write(text: string): void
  /** Writes a line and waits for its reply. */
  say(line: string): Promise<string>
  /** EHLO up to the 354 of DATA. */
  toData(to?: string): Promise<void>
  /** Waits until the server closed; all that was said and not yet read. */
  closed(): Promise<string>
  /** STARTTLS: a peer over the encrypted connection. */
  secure(): Promise<Peer>
}

export async function peer(port: number): Promise<Peer> {
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
  const wrapped = wrap(socket)
  await wrapped.reply()
  return wrapped
}

/** A peer that does not wait for the greeting. */
export function rudePeer(port: number): Peer {
  return wrap(createConnection({ port, host: '127.0.0.1', noDelay: true }))
}

/** A client that speaks TLS from the first byte. */
export async function securePeer(port: number): Promise<Peer> {
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  const wrapped = wrap(socket)
  await wrapped.reply()
  return wrapped
}

function wrap(socket: Socket): Peer {
  let buffered = ''
  let gone = false
  let wake: () => void = () => undefined
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    buffered += chunk
    wake()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    gone = true
    wake()
  })
  const changed = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })

  const self: Peer = {
    socket,
    async reply() {
      for (;;) {
        const whole = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(buffered)
        if (whole) {
          buffered = buffered.slice(whole[0].length)
          return whole[0].trimEnd()
        }
        if (gone) return 'closed'
        await changed()
      }
    },
    write: (text) => void socket.write(text, 'latin1'),
    async say(line) {
      self.write(`${line}\r\n`)
      return self.reply()
    },
    async toData(to = 'to@served.example') {
      for (const line of ['EHLO peer.example', 'MAIL FROM:<from@peer.example>', `RCPT TO:<${to}>`, 'DATA']) {
        const answer = await self.say(line)
        if (!/^[23]/.test(answer)) throw new Error(`${line}: ${answer}`)
      }
    },
    async closed() {
      while (!gone) await changed()
      return buffered
    },
    async secure() {
      const secured = tlsConnect({ socket, rejectUnauthorized: false })
      socket.removeAllListeners('data')
      await new Promise<void>((resolve, reject) => secured.once('secureConnect', resolve).once('error', reject))
      return wrap(secured)
    },
  }
  return self
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Waits until it is so, for at most two seconds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 2000) throw new Error('It did not become true')
    await sleep(5)
  }
}
