import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import * as dns from 'dns-packet'
import type { DirectDomain } from '../../src/direct/address.js'
import type { Publication, Publications } from '../../src/ports/publish.js'
import type { NameServerLimits } from '../../src/publish/limits.js'
import { type NameServer, startNameServer } from '../../src/publish/name-server.js'
import type { ZoneSettings } from '../../src/publish/zone.js'

/** Publications from a table, and what was asked of them. A test changes the table while a server answers from it. */
export function tablePublications(domains: readonly string[], table: Map<string, readonly Uint8Array[]>) {
  const asked: string[] = []
  const publications: Publications = {
    domains: async () => domains as readonly DirectDomain[],
    async certificatesOf(owner) {
      asked.push(owner)
      return table.get(owner) ?? []
    },
    async all(after) {
      const owners = [...table.keys()].filter((owner) => (table.get(owner) ?? []).length > 0).sort()
      const page = owners.filter((owner) => after === undefined || owner > after).slice(0, 3)
      return page.map((owner) => ({ owner, certificates: table.get(owner) ?? [] }) as Publication)
    },
  }
  return { publications, asked, table }
}

export const zone: ZoneSettings = {
  name: 'clinic.example',
  nameServers: ['ns1.clinic.example', 'ns2.elsewhere.example'],
  contact: 'hostmaster@clinic.example',
  records: [
    '@ MX 10 mail',
    '@ MX 20 mail.elsewhere.example.',
    '@ TXT "v=spf1 mx -all"',
    '@ CAA 0 issue "ca.example"',
    'ns1 A 192.0.2.1',
    'ns1 AAAA 2001:db8::1',
    'mail 600 A 192.0.2.2',
    'www CNAME web',
    'web A 192.0.2.3',
    'out CNAME www.elsewhere.example.',
    'round CNAME about',
    'about CNAME round',
    '_ldap._tcp SRV 0 0 389 ldap',
    '_ldap._tcp SRV 1 0 389 ldap.elsewhere.example.',
    'ldap A 192.0.2.4',
    'a.deep.one TXT "x"',
  ],
}

export interface Told {
  readonly events: string[]
  readonly counts: string[]
}

/** A server on loopback over a table, with a log and metrics that can be read. */
export async function serveNames(options: {
  readonly publications: Publications
  readonly zones?: readonly ZoneSettings[]
  readonly limits?: Partial<NameServerLimits>
  readonly now?: () => number
}): Promise<NameServer & Told> {
  const events: string[] = []
  const counts: string[] = []
  const note = (event: string) => void events.push(event)
  const server = await startNameServer({
    host: '127.0.0.1',
    port: 0,
    zones: options.zones ?? [zone],
    publications: options.publications,
    clock: { now: options.now ?? Date.now },
    log: { info: note, warn: note, error: note },
    metrics: {
      count: (name, labels) => void counts.push(`${name} ${Object.values(labels ?? {}).join(' ')}`),
      observe: () => undefined,
      gauge: () => undefined,
    },
    ...(options.limits && { limits: options.limits }),
  })
  return { ...server, events, counts }
}

export interface Question {
  readonly name: string
  readonly type: string
  readonly class?: string
  /** Size of datagrams taken, for EDNS. */
  readonly edns?: number
  readonly id?: number
}

/** A query in bytes, by another encoder than ours. */
export function query({ name, type, class: asked = 'IN', edns, id = 4711 }: Question): Buffer {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns, flags: 0, options: [] } as unknown as dns.OptAnswer
  return dns.encode({
    type: 'query',
    id,
    flags: 0,
    questions: [{ name, type: type as dns.RecordType, class: asked as dns.RecordClass }],
    additionals: edns === undefined ? [] : [opt],
  })
}

/** One datagram there, and the first that comes back; undefined for silence. */
export async function overUdp(port: number, bytes: Uint8Array, waitMs = 300): Promise<Buffer | undefined> {
  const socket = createSocket('udp4')
  try {
    socket.send(bytes, port, '127.0.0.1')
    const came = once(socket, 'message').then(([message]) => message as Buffer)
    return await Promise.race([came, sleep(waitMs, undefined)])
  } finally {
    socket.close()
  }
}

export function framed(...messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => [Buffer.from([message.length >> 8, message.length & 255]), message]),
  )
}

/** Whole messages out of what came over TCP. */
export function messagesIn(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) break
    found.push(bytes.subarray(at + 2, end))
    at = end
  }
  return found
}

/** A connection that gathers what comes. */
export async function dial(port: number): Promise<{ socket: Socket; came(): Buffer; closed: Promise<unknown> }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => undefined)
  const closed = new Promise((resolve) => socket.once('close', resolve).once('end', resolve))
  await once(socket, 'connect')
  return { socket, came: () => Buffer.concat(chunks), closed }
}

/** All answers to the given queries over one connection, which says at once that it has no more. */
export async function overTcp(port: number, ...queries: readonly Uint8Array[]): Promise<Buffer[]> {
  const { socket, came } = await dial(port)
  socket.end(framed(...queries))
  await once(socket, 'end')
  return messagesIn(came())
}

/** An answer as the other decoder reads it, with code and flags in words; unknown record types stay bytes. */
export function read(bytes: Buffer | undefined) {
  if (!bytes) throw new Error('no answer')
  const packet = dns.decode(bytes) as dns.DecodedPacket & { readonly rcode: string; readonly flags: number }
  const told = (records: readonly dns.Answer[] | undefined) => (records ?? []).filter(({ type }) => type !== 'OPT')
  return {
    rcode: packet.rcode,
    aa: packet.flag_aa,
    tc: packet.flag_tc,
    ra: packet.flag_ra,
    id: packet.id ?? 0,
    questions: packet.questions ?? [],
    answers: told(packet.answers),
    authority: told(packet.authorities),
    additional: told(packet.additionals),
    opt: (packet.additionals ?? []).find(({ type }) => type === 'OPT') as
      | (dns.OptAnswer & { ednsVersion: number })
      | undefined,
    bytes,
  }
}

/** DER out of a CERT record, with what stands before it. */
export function certOf(record: dns.Answer | undefined) {
  const data = (record as { readonly data: Buffer } | undefined)?.data
  if (!Buffer.isBuffer(data)) throw new Error('no CERT record')
  return { type: data.readUInt16BE(0), keyTag: data.readUInt16BE(2), algorithm: data[4], der: data.subarray(5) }
}
