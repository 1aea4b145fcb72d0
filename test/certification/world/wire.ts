import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

/** One connection to a server of lines and counted bytes (SMTP, LMTP, IMAP, POP3), byte for byte: nothing is mended on its way. */
export interface Wire {
  /** The next line without its CRLF, as latin1; `gone` or `silent` where there is none. */
  line(withinMs?: number): Promise<string>
  /** The next so many bytes; rejects where they do not come. */
  take(count: number, withinMs?: number): Promise<Buffer>
  write(bytes: string | Uint8Array): void
  /** Turns it into TLS from here on, checked against these authorities (PEM). Rejects where that fails. */
  secure(ca: string | Buffer): Promise<void>
  /** The protocol of TLS, `TLSv1.3`; undefined before it. */
  protocol(): string | undefined
  close(): void
}

/** What stands for a line that did not come; no protocol here has lines like these. */
export const gone = '(closed)'
export const silent = '(silence)'

export interface WireOptions {
  /** TLS from the first byte, checked against these authorities (PEM). */
  readonly tls?: string | Buffer
  /** Where we come from: another 127.0.0.0/8 address makes us a stranger to servers that trust their own machine. */
  readonly from?: string
}

const patienceMs = 20_000

/** Connects. Rejects where nobody listens. */
export async function openWire(port: number, { tls, from = '127.0.0.2' }: WireOptions = {}): Promise<Wire> {
  const plain = connect({ host: '127.0.0.1', port, localAddress: from, noDelay: true })
  await new Promise<void>((resolve, reject) => plain.once('connect', resolve).once('error', reject))
  let socket: Socket = plain
  let secured: TLSSocket | undefined
  let held = Buffer.alloc(0)
  let over = false
  let wake: () => void = () => undefined

  const onData = (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    wake()
  }
  const onEnd = () => {
    over = true
    wake()
  }
  function listenTo(stream: Socket): void {
    stream.on('data', onData).on('error', onEnd).on('close', onEnd)
  }
  listenTo(plain)

  /** Waits until `find` finds something in what is held; undefined where nothing more comes. */
  async function awaited<T>(find: () => T | undefined, withinMs: number): Promise<T | typeof gone | typeof silent> {
    const end = Date.now() + withinMs
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      if (over) return gone
      const leftMs = end - Date.now()
      if (leftMs <= 0) return silent
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, leftMs)
        wake = () => {
          clearTimeout(late)
          resolve()
        }
      })
    }
  }

  async function secure(ca: string | Buffer): Promise<void> {
    socket.off('data', onData)
    // What came in the clear says nothing about what is said inside.
    held = Buffer.alloc(0)
    const inside = connectTls({ socket, ca, servername: 'localhost' })
    await new Promise<void>((resolve, reject) => inside.once('secureConnect', resolve).once('error', reject))
    secured = inside
    socket = inside
    listenTo(inside)
  }

  const wire: Wire = {
    line: (withinMs = patienceMs) =>
      awaited(() => {
        const end = held.indexOf('\r\n')
        if (end < 0) return undefined
        const text = held.subarray(0, end).toString('latin1')
        held = held.subarray(end + 2)
        return text
      }, withinMs),
    async take(count, withinMs = patienceMs) {
      const found = await awaited(() => {
        if (held.length < count) return undefined
        const bytes = Buffer.from(held.subarray(0, count))
        held = held.subarray(count)
        return bytes
      }, withinMs)
      if (typeof found === 'string') throw new Error(`${found} before ${count} bytes had come`)
      return found
    },
    write: (bytes) => void socket.write(bytes),
    secure,
    protocol: () => secured?.getProtocol() ?? undefined,
    close: () => void socket.destroy(),
  }
  if (tls !== undefined) await secure(tls)
  return wire
}
