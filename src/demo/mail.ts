import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** The far side's mail system, just large enough: one dialogue out, and a listener that keeps what comes in. Plain sockets. */

/** Sends one message and answers the reply to its end of DATA, or the first reply that is no success. */
export async function sendMail(port: number, from: string, to: readonly string[], wire: Uint8Array): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    const replies = createInterface({ input: socket })[Symbol.asyncIterator]()
    const reply = async (): Promise<string> => {
      for (;;) {
        const { value, done } = await replies.next()
        if (done) return '000 connection closed'
        if (value[3] !== '-') return value
      }
    }
    let answer = await reply()
    for (const command of [
      'EHLO hisp.hospital.example',
      `MAIL FROM:<${from}>`,
      ...to.map((address) => `RCPT TO:<${address}>`),
      'DATA',
    ]) {
      if (!/^[23]/.test(answer)) return answer
      socket.write(`${command}\r\n`)
      answer = await reply()
    }
    if (!answer.startsWith('3')) return answer
    socket.write(dotStuffed(wire))
    answer = await reply()
    socket.write('QUIT\r\n')
    return answer
  } finally {
    socket.destroySoon()
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
    void converse(socket, received)
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
  for await (const line of createInterface({ input: socket.setEncoding('latin1') })) {
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
