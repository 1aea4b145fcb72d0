import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { Metrics } from '../ports/observe.js'
import type { Clock } from '../ports/world.js'
import { networkOf, openAllowance } from './allowance.js'
import { type Ask, isMiss } from './answer.js'
import type { NameServerLimits } from './limits.js'
import { readQuery, writeAnswer, writeFault } from './wire.js'

export interface TcpOptions {
  readonly host: string
  readonly port: number
  readonly ask: Ask
  readonly clock: Clock
  readonly metrics: Metrics
  readonly limits: NameServerLimits
}

export interface TcpListener {
  close(): Promise<void>
}

interface Connection {
  readonly socket: Socket
  readonly network: string | undefined
  /** Bytes of a query not yet complete. */
  rest: Buffer
  underWay: number
  /** The client has said all it will. */
  ended: boolean
  readonly idle: NodeJS.Timeout
}

/** Answers over TCP (RFC 7766): queries one behind the other without waiting, answers as they are ready. */
export async function listenTcp({ host, port, ask, clock, metrics, limits }: TcpOptions): Promise<TcpListener> {
  const allowance = openAllowance(limits.tcpPerSecond, limits.tcpBurst, limits)
  /** The one that was busy last stands last. */
  const connections = new Set<Connection>()
  const perNetwork = new Map<string, number>()
  const limited = (action: string) => metrics.count('dns_limited_total', { transport: 'tcp', action })

  /** Whether there is room for one more; the longest idle one makes it (RFC 7766 §6.2.3). */
  function makeRoom(network: string | undefined): boolean {
    if (network !== undefined && (perNetwork.get(network) ?? 0) >= limits.connectionsPerClient) return false
    if (connections.size < limits.connections) return true
    for (const each of connections) {
      if (each.underWay > 0) continue
      leave(each)
      return true
    }
    return false
  }

  function enter(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const network = limits.limitLoopback ? (networkOf(address) ?? 'loopback') : networkOf(address)
    socket.on('error', () => undefined)
    if (!makeRoom(network)) {
      limited('connection')
      socket.destroy()
      return
    }
    const idle = setTimeout(() => leave(connection), limits.idleMs)
    const whole = setTimeout(() => leave(connection), limits.connectionMs)
    const connection: Connection = { socket, network, rest: Buffer.alloc(0), underWay: 0, ended: false, idle }
    connections.add(connection)
    if (network !== undefined) perNetwork.set(network, (perNetwork.get(network) ?? 0) + 1)
    metrics.gauge('dns_connections', connections.size)
    socket.setNoDelay()
    socket.on('data', (chunk: Buffer) => receive(connection, chunk))
    socket.on('drain', () => goOn(connection))
    socket.once('end', () => {
      connection.ended = true
      finish(connection)
    })
    socket.once('close', () => {
      clearTimeout(whole)
      leave(connection)
    })
  }

  function leave(connection: Connection): void {
    if (!connections.delete(connection)) return
    clearTimeout(connection.idle)
    const { socket, network } = connection
    socket.destroy()
    const left = (perNetwork.get(network ?? '') ?? 0) - 1
    if (left > 0) perNetwork.set(network ?? '', left)
    else perNetwork.delete(network ?? '')
    metrics.gauge('dns_connections', connections.size)
  }

  function receive(connection: Connection, chunk: Buffer): void {
    connection.rest = connection.rest.length === 0 ? chunk : Buffer.concat([connection.rest, chunk])
    goOn(connection)
  }

  /** Takes whole queries from what came, as many as may wait for answers at once and as the client takes answers. */
  function goOn(connection: Connection): void {
    const { socket } = connection
    while (connections.has(connection) && connection.rest.length >= 2) {
      const end = 2 + connection.rest.readUInt16BE(0)
      if (end > 2 + limits.queryBytes) {
        leave(connection)
        return
      }
      if (connection.rest.length < end) break
      if (connection.underWay >= limits.pipelined || socket.writableNeedDrain) {
        socket.pause()
        return
      }
      const message = connection.rest.subarray(2, end)
      connection.rest = connection.rest.subarray(end)
      void reply(connection, message)
    }
    if (socket.isPaused()) socket.resume()
    finish(connection)
  }

  async function reply(connection: Connection, message: Buffer): Promise<void> {
    const { socket, network, idle } = connection
    const now = clock.now()
    const read = readQuery(message, limits)
    // Nobody can be here in another's name, so nothing is owed to who asks too much, or speaks something else.
    if (read.kind === 'ignored') return leave(connection)
    if (network !== undefined && !allowance.take(network, now)) {
      limited('drop')
      return leave(connection)
    }
    idle.refresh()
    connections.delete(connection)
    connections.add(connection)
    if (read.kind === 'fault') {
      if (network !== undefined) allowance.found(network, now)
      return send(socket, writeFault(read.rcode, read.id, read.flags))
    }
    connection.underWay++
    const answer = await ask(read.query, 'tcp')
    connection.underWay--
    if (network !== undefined && !isMiss(read.query, answer)) allowance.found(network, now)
    if (!connections.has(connection)) return
    send(socket, writeAnswer(read.query, answer, 65_535, true))
    goOn(connection)
  }

  /** Ends our side once the client ended its own and has all its answers. */
  function finish({ socket, ended, underWay, rest }: Connection): void {
    const more = rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)
    if (ended && underWay === 0 && !more) socket.end()
  }

  const server = createServer({ allowHalfOpen: true }, enter)
  server.listen({ host, port, backlog: 64 })
  await once(server, 'listening')
  server.on('error', () => undefined)
  return {
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const connection of connections) leave(connection)
      return closed
    },
  }
}

/** Length and message in one piece (RFC 7766 §8). */
function send(socket: Socket, message: Buffer): void {
  const whole = Buffer.alloc(2 + message.length)
  whole.writeUInt16BE(message.length, 0)
  message.copy(whole, 2)
  socket.write(whole)
}
