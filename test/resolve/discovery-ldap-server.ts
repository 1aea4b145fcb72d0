import { type AddressInfo, createServer, type Socket } from 'node:net'
import * as asn1 from '../../src/asn1/reader.js'
import { der, integer, octetString, sequenceOf, setOf } from '../../src/asn1/writer.js'

export interface LdapEntry {
  readonly mail: string
  /** As the server writes it; `userCertificate;binary` unless told. */
  readonly attribute?: string
  readonly values: readonly Uint8Array[]
}

export interface LdapOptions {
  /** Attributes of the root DSE. */
  readonly root?: Readonly<Record<string, readonly string[]>>
  /** Result code of operations, by their name and base: `bind`, `search ou=dcdt`. */
  readonly codes?: Readonly<Record<string, number>>
  /** What is sent for each operation in place of the answer. */
  readonly twist?: (request: { readonly id: number; readonly operation: string }, socket: Socket) => boolean
}

export interface LdapServer {
  readonly port: number
  /** `bind`, `search <base> <mail>`. */
  readonly asked: string[]
  close(): Promise<void>
}

export const ldapResult = (id: number, tag: number, code: number) =>
  sequenceOf(
    integer(id),
    der(tag, der(0x0a, Uint8Array.of(code)), octetString(Buffer.alloc(0)), octetString(Buffer.alloc(0))),
  )

export function ldapEntry(id: number, attributes: Readonly<Record<string, readonly Uint8Array[]>>): Uint8Array {
  const list = Object.entries(attributes).map(([name, values]) =>
    sequenceOf(octetString(Buffer.from(name)), setOf(...values.map(octetString))),
  )
  return sequenceOf(integer(id), der(0x64, octetString(Buffer.from('cn=x,ou=dcdt')), sequenceOf(...list)))
}

/** A real LDAP server on loopback with one naming context, for anonymous searches by `mail`. */
export async function startLdap(
  entries: readonly LdapEntry[] | (() => readonly LdapEntry[]),
  { root = { namingContexts: ['ou=dcdt'] }, codes = {}, twist }: LdapOptions = {},
): Promise<LdapServer> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const message = asn1.element(bytes, at)
        at = message.next
        const [first, operation] = asn1.children(message)
        if (operation) answer(asn1.smallInteger(first), operation, socket)
      }
    })
  })

  function answer(id: number, operation: asn1.Element, socket: Socket): void {
    if (operation.tag === 0x42) return void socket.end()
    const name = operation.tag === 0x60 ? 'bind' : `search ${text(asn1.children(operation)[0])}`
    const mail = operation.tag === 0x63 ? mailIn(asn1.children(operation)[6]) : ''
    asked.push(`${name} ${mail}`.trim())
    if (twist?.({ id, operation: name }, socket)) return
    const code = codes[name] ?? 0
    if (operation.tag === 0x60) return void socket.write(ldapResult(id, 0x61, code))
    if (name === 'search ')
      socket.write(
        ldapEntry(id, Object.fromEntries(Object.entries(root).map(([k, v]) => [k, v.map((x) => Buffer.from(x))]))),
      )
    else
      for (const entry of typeof entries === 'function' ? entries() : entries)
        if (entry.mail.toLowerCase() === mail)
          socket.write(ldapEntry(id, { [entry.attribute ?? 'userCertificate;binary']: entry.values }))
    socket.write(ldapResult(id, 0x65, code))
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const text = (found: asn1.Element | undefined) => (found ? Buffer.from(asn1.content(found)).toString() : '')

/** The value that the filter wants `mail` to be equal to, wherever it stands. */
function mailIn(filter: asn1.Element | undefined): string {
  if (!filter || !(filter.tag & 0x20)) return ''
  const parts = asn1.children(filter)
  if (filter.tag === 0xa3) return text(parts[0]).toLowerCase() === 'mail' ? text(parts[1]).toLowerCase() : ''
  return parts.map(mailIn).find((mail) => mail !== '') ?? ''
}
