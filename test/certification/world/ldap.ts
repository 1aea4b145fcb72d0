import { createServer, type Socket } from 'node:net'
import { enumerated, type Node, octets, partAt, read, sequence, write } from './der.js'

/** A directory server of the far side: just the LDAP (RFC 4511) that certificate look-ups speak, answered byte by byte. */
export interface Entry {
  /** Below `ou=dcdt`. */
  readonly name: string
  /** An address or a domain. */
  readonly mail: string
  /** DER. */
  readonly certificate: Buffer
}

export interface DirectoryServer {
  readonly port: number
  /** Values of `mail` asked for, in order; undefined where the program does not tell. */
  readonly asked: readonly string[] | undefined
  close(): Promise<void>
}

const base = 'ou=dcdt'

/** Starts one with these entries, as ApacheDS answers: the certificate under the plain name of its attribute. */
export async function startDirectory(entries: readonly Entry[]): Promise<DirectoryServer> {
  const asked: string[] = []
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy())
    let held = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk])
      for (let size = sizeOf(held); size !== undefined && held.length >= size; size = sizeOf(held)) {
        const request = read(held.subarray(0, size))
        held = held.subarray(size)
        for (const reply of repliesTo(request, entries, asked)) socket.write(reply)
        if (partAt(request, 1).tag === tags.unbind) socket.end()
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    asked,
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

const tags = { bind: 0x60, unbind: 0x42, search: 0x63, entry: 0x64, done: 0x65, bound: 0x61 }

/** Bytes of the first message, header included; undefined before its length is there. */
function sizeOf(held: Buffer): number | undefined {
  const first = held[1]
  if (first === undefined) return undefined
  if (first < 0x80) return 2 + first
  const more = first & 0x7f
  return held.length < 2 + more ? undefined : 2 + more + held.readUIntBE(2, more)
}

function repliesTo(request: Node, entries: readonly Entry[], asked: string[]): readonly Buffer[] {
  const id = partAt(request, 0)
  const operation = partAt(request, 1)
  const reply = (tag: number, ...parts: readonly Node[]) => write(sequence(id, { tag, parts }))
  const success = [enumerated(0), octets(''), octets('')]
  if (operation.tag === tags.bind) return [reply(tags.bound, ...success)]
  if (operation.tag !== tags.search) return []

  const at = partAt(operation, 0).bytes?.toString() ?? ''
  const scope = partAt(operation, 1).bytes?.[0]
  const found = (dn: string, attributes: Readonly<Record<string, string | Buffer>>) =>
    reply(
      tags.entry,
      octets(dn),
      sequence(
        ...Object.entries(attributes).map(([name, value]) =>
          sequence(octets(name), { tag: 0x31, parts: [octets(value)] }),
        ),
      ),
    )
  if (at === '' && scope === 0) return [found('', { namingContexts: base }), reply(tags.done, ...success)]
  if (at.toLowerCase() !== base) return [reply(tags.done, enumerated(32), octets(''), octets('no such object'))]

  const filter = partAt(operation, 6)
  const mail = mailOf(filter)
  if (mail !== undefined) asked.push(mail)
  const matching = entries.filter((entry) => matches(filter, { mail: entry.mail, usercertificate: entry.certificate }))
  return [
    ...matching.map(({ name, mail: of, certificate }) =>
      found(`cn=${name},${base}`, { mail: of, userCertificate: certificate }),
    ),
    reply(tags.done, ...success),
  ]
}

const filters = { and: 0xa0, or: 0xa1, not: 0xa2, equal: 0xa3, present: 0x87 }

/** RFC 4511 §4.5.1.7, the parts that are used; anything else is undefined and matches nothing. */
function matches(filter: Node, attributes: Readonly<Record<string, string | Buffer>>): boolean {
  const parts = filter.parts ?? []
  switch (filter.tag) {
    case filters.and:
      return parts.every((part) => matches(part, attributes))
    case filters.or:
      return parts.some((part) => matches(part, attributes))
    case filters.not:
      return !parts.some((part) => matches(part, attributes))
    case filters.equal: {
      const value = attributes[nameOf(partAt(filter, 0))]
      return typeof value === 'string' && value.toLowerCase() === partAt(filter, 1).bytes?.toString().toLowerCase()
    }
    case filters.present:
      return nameOf(filter) in attributes
    default:
      return false
  }
}

/** Attribute descriptions without case, and without the option `;binary`: this server keeps none. */
function nameOf(node: Node): string {
  return (node.bytes?.toString() ?? '').toLowerCase().replace(/;binary$/, '')
}

function mailOf(filter: Node): string | undefined {
  if (filter.tag === filters.equal && nameOf(partAt(filter, 0)) === 'mail') return partAt(filter, 1).bytes?.toString()
  for (const part of filter.parts ?? []) {
    const found = part.parts ? mailOf(part) : undefined
    if (found !== undefined) return found
  }
  return undefined
}
