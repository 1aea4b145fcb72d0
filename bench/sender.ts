import { connect, type Socket } from 'node:net'

/** A connection that sends message after message in one session, as a busy peer does. */
export interface Sender {
  /** Sends DATA as it is (CRLF lines, dot-stuffed, without the final dot); answers the reply to its end. */
  send(from: string, to: string, data: Uint8Array): Promise<string>
  close(): void
}

/** Dials loopback and says EHLO, and what else introduces it. Rejects where the listener refuses. */
export async function dial(
  port: number,
  how: { readonly connect?: (port: number) => Socket; readonly introduce?: readonly string[] } = {},
): Promise<Sender> {
  const socket = how.connect?.(port) ?? connect({ host: '127.0.0.1', port })
  socket.setNoDelay(true)
  let held = ''
  let waiting: ((line: string) => void) | undefined
  const lines: string[] = []
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    held += chunk
    for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
      const line = held.slice(0, end)
      held = held.slice(end + 2)
      if (line[3] === '-') continue
      const tell = waiting
      waiting = undefined
      if (tell) tell(line)
      else lines.push(line)
    }
  })
  const reply = () =>
    new Promise<string>((resolve, reject) => {
      socket.once('error', reject)
      const line = lines.shift()
      if (line !== undefined) resolve(line)
      else waiting = resolve
      socket.removeListener('error', reject)
    })
  await reply()
  socket.write('EHLO bench.example\r\n')
  await reply()
  for (const line of how.introduce ?? []) {
    socket.write(`${line}\r\n`)
    const answer = await reply()
    if (!answer.startsWith('2')) throw new Error(answer)
  }
  return {
    async send(from, to, data) {
      socket.write(`MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`) // PIPELINING, RFC 2920
      for (const code of ['250', '250', '354']) {
        const line = await reply()
        if (!line.startsWith(code)) throw new Error(line)
      }
      socket.cork()
      socket.write(data)
      socket.write('\r\n.\r\n')
      socket.uncork()
      return reply()
    },
    close: () => socket.end('QUIT\r\n'),
  }
}
