import { connect, createServer, type Socket } from 'node:net'

/** A wire between a client and a server of mail, with somebody who listens: what anybody on the network would read. */
export interface Tap {
  readonly port: number
  /** What clients said in each connection, as latin1, in the order in which they came. */
  readonly heard: readonly string[]
  close(): Promise<void>
}

/** Passes connections on to a port of this machine; with none, answers as a server of mail that knows no STARTTLS and takes all. */
export async function startTap(target?: number): Promise<Tap> {
  const heard: string[] = []
  const open = new Set<Socket>()
  const keep = (socket: Socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy())
  }
  const server = createServer((socket) => {
    keep(socket)
    const turn = heard.push('') - 1
    const listen = (chunk: Buffer) => {
      heard[turn] += chunk.toString('latin1')
    }
    if (target === undefined) {
      socket.write('220 plain.test\r\n')
      socket.on('data', (chunk) => {
        listen(chunk)
        for (const line of chunk.toString('latin1').split('\r\n').slice(0, -1))
          socket.write(/^STARTTLS/i.test(line) ? '502 5.5.1 No\r\n' : '250 plain.test\r\n')
      })
      return
    }
    const on = connect(target, '127.0.0.1')
    keep(on)
    socket.on('data', listen).on('close', () => on.destroy())
    on.on('close', () => socket.destroy())
    socket.pipe(on).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    heard,
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
