import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** The far side's mail system, just large enough: one dialogue out, and a listener that keeps what comes in. Plain sockets. */

/** A connection to a listener, greeted; one message after the other. */
export interface MailSession {
  /** Sends one message and answers the reply to its end of DATA, or the first reply that is no success. */
  send(from: string, to: readonly string[], wire: Uint8Array): Promise<string>
  close(): void
}

/** What stands for a reply where the other side is gone. */
export const gone = '000 connection closed'

/** Connects and says EHLO. Never rejects: where nobody answers, every reply is `gone`. */
export async function openMail(port: number): Promise<MailSession> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true }).on('error', () => undefined)
  const replies = repliesOf(socket)
  const say = async (line: string) => {
    socket.write(`${line}\r\n`)
    return (await replies.next()).value ?? gone
  }
  await replies.next()
  await say('EHLO hisp.hospital.example')
  return {
    async send(from, to, wire) {
      for (const command of [`MAIL FROM:<${from}>`, ...to.map((address) => `RCPT TO:<${address}>`), 'DATA']) {
        const answer = await say(command)
        if (!/^[23]/.test(answer)) {
          await say('RSET')
          return answer
        }
      }
      socket.write(dotStuffed(wire))
      return (await replies.next()).value ?? gone
    },
    close: () => socket.end('QUIT\r\n'),
  }
}

/** The last line of each reply, until the connection ends. */
async function* repliesOf(socket: Socket): AsyncGenerator<string, void, undefined> {
  let rest = ''
  try {
    for await (const chunk of socket.setEncoding('latin1') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\r\n')
      rest = lines.pop() ?? ''
      yield* lines.filter((line) => line[3] !== '-')
    }
  } catch {
    // Cut off: there are no more replies.
  }
}

/** DATA as RFC 5321 §4.5.2 wants it on the wire. */
function dotStuffed(wire: Uint8Array): Buffer {
  const text = Buffer.from(wire).toString('latin1').replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..')
  return Buffer.from(`${text.endsWith('\r\n') ? text : `${text}\r\n`}.\r\n`, 'latin1')
}

export interface ReceivedMail {
  readonly from: string
  readonly to: string
  readonly wire: Buffer
}

/** Listens on a free loopback port and keeps every message it is given. */
export async function listenForMail(): Promise<{
  readonly port: number
  readonly received: readonly ReceivedMail[]
  close(): void
}> {
  const received: ReceivedMail[] = []
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy()))
    // A peer that is cut off leaves what it had handed over whole; the rest was never kept.
    converse(socket, received).catch(() => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    received,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

async function converse(socket: Socket, received: ReceivedMail[]): Promise<void> {
  const say = (line: string) => socket.write(`${line}\r\n`)
  let from = ''
  let to = ''
  let lines: string[] | undefined
  say('220 hisp.hospital.example ESMTP')
  const read = createInterface({ input: socket.setEncoding('latin1') })
  // Errors of its input are emitted again here, and end the process where nobody listens.
  read.on('error', () => socket.destroy())
  for await (const line of read) {
    if (lines) {
      if (line !== '.') {
        lines.push(line.startsWith('.') ? line.slice(1) : line)
        continue
      }
      received.push({ from, to, wire: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') })
      lines = undefined
      say('250 2.0.0 kept')
    } else if (/^EHLO/i.test(line)) say('250 hisp.hospital.example')
    else if (/^MAIL FROM:/i.test(line)) {
      from = /<(.*)>/.exec(line)?.[1] ?? ''
      say('250 2.1.0 ok')
    } else if (/^RCPT TO:/i.test(line)) {
      to = /<(.*)>/.exec(line)?.[1] ?? ''
      say('250 2.1.5 ok')
    } else if (/^DATA/i.test(line)) {
      lines = []
      say('354 go on')
    } else if (/^QUIT/i.test(line)) {
      say('221 2.0.0 bye')
      socket.end()
      return
    } else say('250 2.0.0 ok')
  }
}
