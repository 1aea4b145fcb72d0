import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import dnsPacket, { type Answer, type Packet, type Question } from 'dns-packet'
import { freePort } from './ports.js'
import { certData, origin, type ZoneRecord } from './zone.js'

/** A question as it came. */
export interface Asked {
  readonly name: string
  readonly type: string
  readonly over: 'udp' | 'tcp'
}

export interface NameServer {
  readonly port: number
  /** The questions so far; undefined where the program does not tell. */
  readonly asked: readonly Asked[] | undefined
  close(): Promise<void>
}

/**
 * A name server as DCDT has one: at most 512 bytes over UDP, the rest by TCP; no data for AAAA, NOTIMP for types it does
 * not know, REFUSED for other zones.
 */
export async function startNameServer(records: readonly ZoneRecord[]): Promise<NameServer> {
  const zone = new Map<string, ZoneRecord[]>()
  for (const record of records) zone.set(record.name, [...(zone.get(record.name) ?? []), record])
  const asked: Asked[] = []
  const port = await freePort()

  const answer = (bytes: Buffer, over: Asked['over']): Buffer | undefined => {
    const query = decoded(bytes)
    const question = query?.questions?.[0]
    if (!query || !question) return undefined
    asked.push({ name: question.name.toLowerCase(), type: question.type, over })
    const full = dnsPacket.encode(answerTo(query, question, zone))
    if (over === 'tcp' || full.length <= 512) return full
    return dnsPacket.encode({ ...emptyAnswer(query, question, 0), flags: flags | dnsPacket.TRUNCATED_RESPONSE })
  }

  const udp = createSocket('udp4')
  udp.on('message', (bytes, from) => {
    const said = answer(bytes, 'udp')
    if (said) udp.send(said, from.port, from.address)
  })
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))

  const open = new Set<Socket>()
  const tcp = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy())
    let held = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const size = held.readUInt16BE(0)
        const said = answer(held.subarray(2, 2 + size), 'tcp')
        held = held.subarray(2 + size)
        if (said) socket.write(Buffer.concat([Buffer.from([said.length >> 8, said.length & 0xff]), said]))
      }
    })
  })
  await new Promise<void>((resolve) => tcp.listen(port, '127.0.0.1', resolve))

  return {
    port,
    asked,
    async close() {
      for (const socket of open) socket.destroy()
      await Promise.all([
        new Promise<void>((resolve) => udp.close(() => resolve())),
        new Promise<void>((resolve) => tcp.close(() => resolve())),
      ])
    },
  }
}

const flags = dnsPacket.AUTHORITATIVE_ANSWER
const [refused, notImplemented, nameError] = [5, 4, 3]
const known = new Set(['A', 'AAAA', 'MX', 'NS', 'SRV', 'CERT', 'SOA', 'TXT'])

function decoded(bytes: Buffer): Packet | undefined {
  try {
    return dnsPacket.decode(bytes)
  } catch {
    return undefined
  }
}

function emptyAnswer(query: Packet, question: Question, rcode: number): Packet {
  return {
    type: 'response',
    ...(query.id !== undefined && { id: query.id }),
    flags: flags | rcode,
    questions: [question],
  }
}

function answerTo(query: Packet, question: Question, zone: ReadonlyMap<string, readonly ZoneRecord[]>): Packet {
  const name = question.name.toLowerCase()
  if (name !== origin && !name.endsWith(`.${origin}`)) return emptyAnswer(query, question, refused)
  if (!known.has(question.type)) return emptyAnswer(query, question, notImplemented)
  const here = zone.get(name) ?? []
  const answers = here.filter(({ type }) => type === question.type).map((record) => answerOf(record, question.name))
  if (answers.length > 0) return { ...emptyAnswer(query, question, 0), answers }
  const exists = here.length > 0 || [...zone.keys()].some((other) => other.endsWith(`.${name}`))
  return { ...emptyAnswer(query, question, exists ? 0 : nameError), authorities: [start] }
}

const start: Answer = {
  name: origin,
  type: 'SOA',
  ttl: 300,
  data: {
    mname: `ns.${origin}`,
    rname: `hostmaster.${origin}`,
    serial: 1,
    refresh: 300,
    retry: 300,
    expire: 300,
    minimum: 300,
  },
}

function answerOf(record: ZoneRecord, name: string): Answer {
  const ttl = 300
  switch (record.type) {
    case 'A':
      return { name, ttl, type: 'A', data: record.address }
    case 'MX':
      return { name, ttl, type: 'MX', data: { preference: 10, exchange: record.exchange } }
    case 'NS':
      return { name, ttl, type: 'NS', data: record.host }
    case 'SRV': {
      const { priority, weight, port, target } = record
      return { name, ttl, type: 'SRV', data: { priority, weight, port, target } }
    }
    case 'CERT':
      // The package has no words for this type, and takes its data as bytes.
      return { name, ttl, type: 'CERT', data: certData(record.certificate) } as unknown as Answer
  }
}
