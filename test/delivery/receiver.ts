import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { readEndpoint, type WebhookEndpoint } from '../../src/delivery/webhook-endpoint.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { TrailStep } from '../../src/direct/verdict.js'
import type { Store } from '../../src/ports/store.js'
import { openTrail } from '../../src/spool/trail.js'
import { auditOf } from '../spool/room.js'

export const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

export interface Got {
  readonly id: string
  readonly timestamp: string
  readonly signature: string
  readonly body: string
  /** By the test's own arithmetic. */
  readonly genuine: boolean
  readonly sequence: number
  readonly step: string
}

/** A program that is told of events: keeps all it gets, and answers as `answer` does (204 by default). */
export async function openReceiver(
  answer: (response: ServerResponse, n: number, got: Got) => unknown = (response) => response.writeHead(204).end(),
) {
  const all: Got[] = []
  const sockets = new Set<Socket>()
  const server = createServer(async (request, response) => {
    const got = await read(request)
    all.push(got)
    await answer(response, all.length, got)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  let connections = 0
  server.on('connection', () => connections++)
  const port = await listening(server)
  return {
    all,
    url: `http://127.0.0.1:${port}/hook`,
    connections: () => connections,
    taken: () => all.map(({ sequence }) => sequence),
    close: () => ended(server, sockets),
  }
}

export type Receiver = Awaited<ReturnType<typeof openReceiver>>

/** A server that speaks as it likes. */
export async function openRaw(speak: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createRawServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.once('data', () => speak(socket))
  })
  const port = await listening(server)
  return { url: `http://127.0.0.1:${port}/`, close: () => ended(server, sockets) }
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

function ended(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy()
  return new Promise((resolve) => server.close(() => resolve()))
}

async function read(request: IncomingMessage): Promise<Got> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  const body = Buffer.concat(pieces).toString()
  const header = (name: string) => String(request.headers[name] ?? '')
  const [id, timestamp, signature] = [header('webhook-id'), header('webhook-timestamp'), header('webhook-signature')]
  const { data } = JSON.parse(body) as { data: { sequence: number; step: string } }
  return { id, timestamp, signature, body, genuine: isGenuine(id, timestamp, body, signature), ...data }
}

/** What the documentation tells a receiver to do, in its own words. */
export function isGenuine(id: string, timestamp: string, body: string, signature: string, key = secret): boolean {
  const mac = createHmac('sha256', Buffer.from(key.slice('whsec_'.length), 'base64'))
  const expected = mac.update(`${id}.${timestamp}.${body}`).digest()
  return signature.split(' ').some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ''), 'base64')
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
}

export function endpointOf(url: string, more: Partial<Parameters<typeof readEndpoint>[0]> = {}): WebhookEndpoint {
  const read = readEndpoint({ name: 'ehr', url, secret, ...more })
  if (read.kind === 'refused') throw new Error(read.detail)
  return read.endpoint
}

/** Writes steps into a trail, each in a batch of its own. */
export async function happen(store: Store, count: number, step: TrailStep['step'] = 'sent', message = 'm') {
  const trail = openTrail({ store, events: true })
  for (let i = 0; i < count; i++) {
    const recipient = `r${i}@far.example` as DirectAddress
    await store.commit(trail.steps(message, [{ at: Date.now(), step, recipient, detail: `${step} ${i}` }]))
  }
}

export { auditOf }

/** Waits until it is so; a busy machine has time. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'it'): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${what} never came`)
}

export const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
