import { createSocket, type Socket } from 'node:dgram'
import { type AddressInfo, type Socket as Connection, createServer, type Server } from 'node:net'
import { type Answer, decode, encode } from 'dns-packet'

/** RDATA of a CERT record: type, key tag, algorithm, and what follows (RFC 4398 §2). */
export function cert(body: Uint8Array | string, type = 1): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255, 0, 0, 8]), Buffer.from(body as Uint8Array)])
}

export type Rows = Readonly<
  Record<string, readonly unknown[] | 'SERVFAIL' | 'REFUSED' | 'NOTIMP' | 'FORMERR' | 'silent' | 'referral'>
>

export interface DnsServer {
  readonly port: number
  /** `udp CERT name`, in the order asked. */
  readonly asked: string[]
  close(): Promise<void>
}

export interface DnsOptions {
  /** Longest answer over UDP, whatever the question allows. */
  readonly udpBytes?: number
  readonly authoritative?: boolean
  /** How questions with EDNS are answered; understood unless told. */
  readonly edns?: 'FORMERR' | 'NOTIMP'
  /** What is sent in place of the answer, in order; nothing for silence. */
  readonly twist?: (reply: Buffer, over: 'udp' | 'tcp', query: Buffer) => readonly Buffer[]
  /** TTL of every record. */
  readonly ttl?: number
}

const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const

/**
 * A real name server on loopback, over UDP and TCP, that answers from rows `TYPE name`. A name with other rows has no data, one
 * without any does not exist; both with a SOA record of 60 seconds.
 */
export async function startDns(rows: Rows | (() => Rows), options: DnsOptions = {}): Promise<DnsServer> {
  const asked: string[] = []
  const reply = (query: Buffer, over: 'udp' | 'tcp') => {
    const said = answerTo(query, typeof rows === 'function' ? rows() : rows, options, over, asked)
    if (!said) return []
    return options.twist ? options.twist(said, over, query) : [said]
  }
  for (let attempt = 0; ; attempt++) {
    const tcp = createServer((connection) => serveTcp(connection, (query) => reply(query, 'tcp')))
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
    const { port } = tcp.address() as AddressInfo
    const udp = createSocket('udp4')
    const bound = await new Promise<boolean>((resolve) => {
      udp.once('error', () => resolve(false))
      udp.bind(port, '127.0.0.1', () => resolve(true))
    })
    if (!bound && attempt < 20) {
      tcp.close()
      continue
    }
    udp.on('message', (query, peer) => {
      for (const bytes of reply(query, 'udp')) udp.send(bytes, peer.port, peer.address)
    })
    return { port, asked, close: () => stop(udp, tcp) }
  }
}

const connections = new Set<Connection>()

function serveTcp(connection: Connection, reply: (query: Buffer) => readonly Buffer[]): void {
  connections.add(connection)
  connection.on('close', () => connections.delete(connection))
  connection.on('error', () => {})
  connection.on('data', (bytes) => {
    for (const answer of reply(bytes.subarray(2)))
      connection.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]))
  })
}

async function stop(udp: Socket, tcp: Server): Promise<void> {
  const { port } = tcp.address() as AddressInfo
  for (const connection of connections) if (connection.localPort === port) connection.destroy()
  udp.close()
  await new Promise((resolve) => tcp.close(resolve))
}

function answerTo(
  query: Buffer,
  rows: Rows,
  { udpBytes = 1232, authoritative = true, edns, ttl = 300 }: DnsOptions,
  over: 'udp' | 'tcp',
  asked: string[],
): Buffer | undefined {
  const { id, questions = [], additionals = [] } = decode(query)
  const [question] = questions
  if (!question) return undefined
  const name = question.name.toLowerCase()
  asked.push(`${over} ${question.type} ${name}`)
  if (edns && additionals.length > 0) return encode({ type: 'response', id: id ?? 0, flags: rcodes[edns], questions })
  const answers: Answer[] = []
  let at = name
  let code: keyof typeof rcodes = 'NOERROR'
  for (let hops = 0; hops < 20; hops++) {
    const row = rows[`${question.type} ${at}`]
    if (row === 'silent') return undefined
    if (row === 'referral') {
      const authorities = [{ type: 'NS', name: 'test', ttl, data: 'ns.elsewhere.test' }] as Answer[]
      return encode({ type: 'response', id: id ?? 0, flags: 0, questions, authorities })
    }
    if (typeof row === 'string') {
      code = row
      break
    }
    if (row) {
      for (const data of row) answers.push({ type: question.type, class: 'IN', name: at, ttl, data } as Answer)
      break
    }
    const alias = rows[`CNAME ${at}`]
    if (!alias || typeof alias === 'string') {
      const inThere = Object.keys(rows).some((key) => key.endsWith(` ${at}`) || key.endsWith(`.${at}`))
      code = inThere ? 'NOERROR' : 'NXDOMAIN'
      break
    }
    answers.push({ type: 'CNAME', class: 'IN', name: at, ttl, data: String(alias[0]) })
    at = String(alias[0])
  }
  const empty = !answers.some(({ type }) => type === question.type) && (code === 'NXDOMAIN' || code === 'NOERROR')
  const start = { mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 60, retry: 60, expire: 60, minimum: 60 }
  const authorities = empty ? ([{ type: 'SOA', name: 'test', ttl: 60, data: start }] as Answer[]) : []
  const flags = (authoritative ? 0x0400 : 0) | 0x0080 | rcodes[code]
  const whole = encode({ type: 'response', id: id ?? 0, flags, questions, answers, authorities })
  if (over === 'tcp' || whole.length <= udpBytes) return whole
  return encode({ type: 'response', id: id ?? 0, flags: flags | 0x0200, questions })
}
