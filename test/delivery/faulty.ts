import { createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import type { ServerCertificate } from '../../src/smtp/options.js'

/** Places in a dialogue where a server may fail. `handshake` is TLS itself, `dot` the reply after the message. */
export const places = [
  'greeting',
  'EHLO',
  'STARTTLS',
  'handshake',
  'EHLO again',
  'AUTH',
  'MAIL',
  'RCPT',
  'DATA',
  'dot',
  'QUIT',
] as const
export type Place = (typeof places)[number]

/**
 * What it does there in place of its reply. `lost`: nothing is said, the connection is reset; after the final dot the message
 * was taken all the same. `then-reset`: it answers as it should, and the connection is reset.
 */
export const faults = ['4xx', '5xx', 'garbage', 'half', 'silence', 'close', 'lost', 'then-reset', '421'] as const
export type Fault = (typeof faults)[number]

export interface FaultyOptions {
  readonly lmtp?: boolean
  readonly pipelining?: boolean
  /** STARTTLS is offered with this. */
  readonly certificate?: ServerCertificate
  /** AUTH is wanted. */
  readonly login?: boolean
  /** At the first `times` connections (default 1) it fails at this place; afterwards it is whole. */
  readonly fault?: { readonly place: Place; readonly fault: Fault; readonly times?: number }
}

export interface FaultyPeer {
  readonly port: number
  /** What it has taken over, as it came. */
  readonly taken: readonly string[]
  connections(): number
  close(): void
}

const usual: Readonly<Record<Exclude<Place, 'handshake' | 'EHLO' | 'EHLO again'>, string>> = {
  greeting: '220 peer.example ESMTP',
  STARTTLS: '220 2.0.0 go',
  AUTH: '235 2.7.0 ok',
  MAIL: '250 2.1.0 ok',
  RCPT: '250 2.1.5 ok',
  DATA: '354 go',
  dot: '250 2.0.0 taken',
  QUIT: '221 2.0.0 bye',
}

/** A server that fails at one place of the dialogue in one way, over real sockets. */
export async function faultyPeer(options: FaultyOptions = {}): Promise<FaultyPeer> {
  const taken: string[] = []
  const open = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    const { fault } = options
    const failing = fault && connections < (fault.times ?? 1) ? fault : undefined
    connections++
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    speak(socket, { ...options, failing, taken })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    taken,
    connections: () => connections,
    close() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}

interface Dialogue extends FaultyOptions {
  readonly failing: FaultyOptions['fault'] | undefined
  readonly taken: string[]
}

function speak(plain: Socket, { failing, taken, certificate, login, lmtp, pipelining }: Dialogue): void {
  let socket: Socket = plain
  let buffered = ''
  let secured = false
  let inMessage = false
  let refused = false
  let dead = false
  plain.on('error', () => undefined)

  const reset = () => {
    dead = true
    plain.resetAndDestroy()
  }
  /** Says what belongs to a place, or fails there; true where it said what it should and lives. */
  function at(place: Place, reply: string): boolean {
    if (failing?.place !== place) {
      socket.write(`${reply}\r\n`)
      return true
    }
    switch (failing.fault) {
      case '4xx':
        socket.write('451 4.3.0 later\r\n')
        return false
      case '421':
        socket.end('421 4.3.2 closing\r\n')
        return false
      case '5xx':
        socket.write('554 5.3.0 never\r\n')
        return false
      case 'garbage':
        socket.write('HTTP/1.1 400 Bad Request\r\n')
        return false
      case 'half':
        socket.write('2')
        return false
      case 'silence':
        return false
      case 'close':
        dead = true
        socket.end()
        return false
      case 'lost':
        reset()
        return false
      case 'then-reset':
        socket.write(`${reply}\r\n`, () => setTimeout(reset, 20))
        return false
    }
  }
  const hello = (place: 'EHLO' | 'EHLO again') => {
    const extensions = [
      ...(certificate && !secured ? ['STARTTLS'] : []),
      ...(login && secured ? ['AUTH PLAIN'] : []),
      ...(pipelining ? ['PIPELINING'] : []),
      'SIZE 10000000',
    ]
    at(place, ['250-peer.example', ...extensions.map((one) => `250-${one}`), '250 8BITMIME'].join('\r\n'))
  }

  function secure(): void {
    plain.removeAllListeners('data')
    if (failing?.place === 'handshake') {
      plain.once('data', () => at('handshake', ''))
      return
    }
    if (!certificate) return
    const tls = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(certificate) })
    tls.on('error', () => undefined)
    secured = true
    socket = tls
    listen(tls)
  }

  function message(text: string): void {
    inMessage = false
    const kept = at('dot', usual.dot)
    // Whoever was cut off after the last byte, or answered as he should, has it.
    if (kept || failing?.fault === 'then-reset' || failing?.fault === 'lost') taken.push(text)
  }

  function command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase()
    if (verb === 'EHLO' || verb === 'LHLO' || verb === 'HELO') {
      if ((verb === 'LHLO') !== (lmtp === true)) socket.write('500 5.5.1 another protocol\r\n')
      else hello(secured ? 'EHLO again' : 'EHLO')
    } else if (line.toUpperCase() === 'STARTTLS') {
      if (at('STARTTLS', usual.STARTTLS)) secure()
    } else if (verb === 'AUTH') at('AUTH', usual.AUTH)
    else if (verb === 'MAIL') refused = !at('MAIL', usual.MAIL)
    else if (refused && verb !== 'QUIT') socket.write('503 5.5.1 not now\r\n')
    else if (verb === 'RCPT') refused = !at('RCPT', usual.RCPT)
    else if (verb === 'DATA') inMessage = at('DATA', usual.DATA) || failing?.fault === 'then-reset'
    else if (verb === 'QUIT') {
      if (at('QUIT', usual.QUIT)) socket.end()
    } else socket.write('500 5.5.1 what?\r\n')
  }

  function listen(from: Socket): void {
    from.on('data', (chunk: Buffer) => {
      buffered += chunk.toString('latin1')
      while (!dead) {
        const end = buffered.indexOf(inMessage ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const text = buffered.slice(0, end)
        buffered = buffered.slice(end + (inMessage ? 5 : 2))
        if (inMessage) message(text)
        else command(text)
      }
    })
  }
  listen(plain)
  at('greeting', usual.greeting)
}
