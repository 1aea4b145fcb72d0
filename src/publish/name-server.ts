import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import type { Log, Metrics } from '../ports/observe.js'
import type { Publications } from '../ports/publish.js'
import type { Clock } from '../ports/world.js'
import { networkOf, openAllowance } from './allowance.js'
import { type Ask, isMiss, openAnswers } from './answer.js'
import { openNamesBetween } from './between.js'
import { type NameServerLimits, nameServerLimits } from './limits.js'
import { listenTcp, type TcpListener } from './tcp.js'
import { type Answer, bare, type Query, rcodes, readQuery, writeAnswer, writeFault, writeTruncated } from './wire.js'
import { readZone, type Zone, type ZoneSettings } from './zone.js'

export interface NameServerOptions {
  /** An address of this machine; on one with several, a server for each, so that answers leave from where they were asked. */
  readonly host: string
  /** 0: a free one. UDP and TCP have the same. */
  readonly port: number
  readonly zones: readonly ZoneSettings[]
  readonly publications: Publications
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly limits?: Partial<NameServerLimits>
}

export interface NameServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * Starts an authoritative name server on UDP and TCP (RFC 1035, RFC 7766, RFC 6891) for our zones and our certificates.
 * Throws for a zone that cannot be read and for a port that is taken.
 */
export async function startNameServer(options: NameServerOptions): Promise<NameServer> {
  const { publications, clock, log, metrics } = options
  const limits = { ...nameServerLimits, ...options.limits }
  const zones = options.zones.map(zoneOf)
  const apexes = zones.map(({ name }) => name).sort((a, b) => b.length - a.length)
  if (new Set(apexes).size < apexes.length) throw new Error('A zone is there twice')
  const between = await openNamesBetween({ publications, apexes, log, limits })
  const answerTo = openAnswers({ zones, publications, between, clock, limits })
  let toldAt = Number.NEGATIVE_INFINITY

  const ask: Ask = async (query, transport) => {
    const answer = await answerTo(query).catch((error: unknown) => {
      // Strangers decide how often this happens: the log need not hear of each.
      if (Math.abs(clock.now() - toldAt) >= 1000) log.error('dns.answer-failed', { reason: String(error) })
      toldAt = clock.now()
      return bare(rcodes.SERVFAIL)
    })
    metrics.count('dns_answers_total', { transport, rcode: rcodeName(answer) })
    return answer
  }

  try {
    const { socket, tcp } = await bind(options, ask, limits)
    const stop = serveUdp(socket, ask, { clock, log, metrics, limits })
    return {
      port: socket.address().port,
      async close() {
        between.close()
        await Promise.all([stop(), tcp.close()])
      },
    }
  } catch (error) {
    between.close()
    throw error
  }
}

function zoneOf(settings: ZoneSettings): Zone {
  const read = readZone(settings)
  if (read.kind === 'bad') throw new Error(read.detail)
  return read.zone
}

/** Both sockets on one port. A free port for UDP may be taken for TCP: then another is tried. */
async function bind(
  options: NameServerOptions,
  ask: Ask,
  limits: NameServerLimits,
): Promise<{ readonly socket: Socket; readonly tcp: TcpListener }> {
  const { host, port, clock, metrics } = options
  for (let left = port === 0 ? 10 : 1; ; left--) {
    const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 })
    try {
      socket.bind(port, host)
      await once(socket, 'listening')
      return { socket, tcp: await listenTcp({ host, port: socket.address().port, ask, clock, metrics, limits }) }
    } catch (error) {
      await closed(socket)
      if (left === 1 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}

type UdpPorts = Pick<NameServerOptions, 'clock' | 'log' | 'metrics'> & { readonly limits: NameServerLimits }

function serveUdp(socket: Socket, ask: Ask, { clock, log, metrics, limits }: UdpPorts): () => Promise<void> {
  const allowance = openAllowance(limits.udpPerSecond, limits.udpBurst, limits)
  let [second, thisSecond, underWay, limited] = [0, 0, 0, 0]
  let open = true
  socket.on('error', (error) => log.warn('dns.socket-failed', { reason: error.message }))

  /** Datagrams beyond what we have time for are dropped unread. */
  function haveTime(now: number): boolean {
    if (Math.floor(now / 1000) !== second) [second, thisSecond] = [Math.floor(now / 1000), 0]
    return ++thisSecond <= limits.datagramsPerSecond && underWay < limits.underWay
  }

  // Where the answer cannot go there is nobody to tell.
  const send = (bytes: Buffer, { port, address }: RemoteInfo) =>
    open && socket.send(bytes, port, address, () => undefined)
  const drop = (action: string) => metrics.count('dns_limited_total', { transport: 'udp', action })

  socket.on('message', async (bytes, from) => {
    const now = clock.now()
    if (!haveTime(now)) return drop('busy')
    const read = readQuery(bytes, limits)
    if (read.kind === 'ignored') return
    const network = limits.limitLoopback ? (networkOf(from.address) ?? 'loopback') : networkOf(from.address)
    if (network !== undefined && !allowance.take(network, now)) {
      // An answer in somebody else's name is no longer than what asked for it: nothing is gained by asking.
      const slips = read.kind === 'query' && ++limited % limits.slip === 0
      if (slips) send(writeTruncated(read.query, false), from)
      return drop(slips ? 'slip' : 'drop')
    }
    if (read.kind === 'fault') {
      if (network !== undefined) allowance.found(network, now)
      return send(writeFault(read.rcode, read.id, read.flags), from)
    }
    underWay++
    const answer = await ask(read.query, 'udp')
    underWay--
    if (network !== undefined && !isMiss(read.query, answer)) allowance.found(network, now)
    send(writeAnswer(read.query, answer, datagramSize(read.query, limits)), from)
  })
  return () => {
    open = false
    return closed(socket)
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(resolve))
}

/** RFC 6891 §6.2.3: what the client can take, never below 512 nor above what travels in one piece. */
function datagramSize({ edns }: Query, { datagramBytes }: NameServerLimits): number {
  return edns ? Math.max(512, Math.min(edns.sizeBytes, datagramBytes)) : 512
}

function rcodeName({ rcode }: Answer): string {
  return Object.entries(rcodes).find(([, code]) => code === rcode)?.[0] ?? String(rcode)
}
