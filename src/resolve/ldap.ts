import { connect, type Socket } from 'node:net'
import { Asn1Error } from '../asn1/reader.js'
import {
  type Attribute,
  bindBytes,
  type Filter,
  type LdapMessage,
  ldapMessageLimits,
  messageSize,
  readLdapMessage,
  type Search,
  searchBytes,
  unbindBytes,
} from './ldap-message.js'
import { type Patience, within } from './patience.js'

export const ldapLimits = {
  connectMs: 3_000,
  /** From the connection to the last answer of one server. */
  searchMs: 5_000,
  /** Naming contexts of one server that are searched; servers have one, or two. */
  bases: 4,
  baseCharacters: 1_024,
  /** Entries that may come for one name: nobody shares an address. */
  entries: 16,
  /** Certificates taken from one server. */
  certificates: 64,
  /** Messages and bytes of one conversation. */
  messages: 256,
  bytes: 4 * 1024 * 1024,
}

export interface LdapServer {
  /** IP address to connect to. */
  readonly address: string
  readonly port: number
}

export type LdapAnswer =
  /** Values of userCertificate, DER as published, unread. */
  | { readonly kind: 'found'; readonly certificates: readonly Uint8Array[] }
  | { readonly kind: 'none' }
  /** The server was not reached, failed, or talked nonsense. */
  | { readonly kind: 'unavailable'; readonly detail: string }

/** Asks one LDAP server for the certificates of entries whose `mail` is the given address or domain. */
export type LdapSearch = (server: LdapServer, mail: string, patience: Patience) => Promise<LdapAnswer>

/**
 * Opens our way to LDAP servers: anonymous bind, bases from the root DSE (RFC 4512 §5.1), subtree search. Referrals and
 * references are not followed: they would lead a stranger's search wherever he likes. Never throws for what servers do.
 */
export function openLdap(options: { readonly limits?: Partial<typeof ldapLimits> } = {}): LdapSearch {
  const limits = { ...ldapLimits, ...options.limits }
  return async (server, mail, patience) => {
    const conversation = converse(server, limits, patience)
    try {
      await conversation.bind()
      const root = await conversation.search(rootSearch(limits))
      const certificates: Uint8Array[] = []
      for (const base of basesIn(root.attributes, limits)) {
        const found = await conversation.search(certificateSearch(base, mail, limits))
        for (const { description, values } of found.attributes)
          if (isCertificate(description)) certificates.push(...values)
        if (found.endless) break
      }
      if (certificates.length === 0) return { kind: 'none' }
      return { kind: 'found', certificates: certificates.slice(0, limits.certificates) }
    } catch (error) {
      if (error instanceof LdapFailed || error instanceof Asn1Error)
        return { kind: 'unavailable', detail: error.message }
      throw error
    } finally {
      conversation.close()
    }
  }
}

/** Why a conversation ended early. Thrown and caught in this file: every step of it can end so. */
class LdapFailed extends Error {
  override readonly name = 'LdapFailed'
}

function rootSearch({ searchMs }: typeof ldapLimits): Search {
  return {
    base: '',
    scope: 'base',
    filter: { kind: 'present', attribute: 'objectClass' },
    attributes: ['namingContexts', 'defaultNamingContext'],
    sizeLimit: 1,
    timeLimitSeconds: Math.ceil(searchMs / 1_000),
  }
}

/** The filter that certification expects; the address is a value in it, whatever characters it has. */
export function certificateFilter(mail: string): Filter {
  return {
    kind: 'and',
    parts: [
      { kind: 'equals', attribute: 'mail', value: mail },
      {
        kind: 'or',
        parts: [
          { kind: 'present', attribute: 'userCertificate;binary' },
          { kind: 'present', attribute: 'userCertificate' },
        ],
      },
    ],
  }
}

function certificateSearch(base: string, mail: string, { entries, searchMs }: typeof ldapLimits): Search {
  return {
    base,
    scope: 'subtree',
    filter: certificateFilter(mail),
    attributes: ['userCertificate;binary', 'userCertificate'],
    sizeLimit: entries,
    timeLimitSeconds: Math.ceil(searchMs / 1_000),
  }
}

/** RFC 4523 §4.1: with the option that OpenLDAP wants, and without, as others answer; by name or by number. */
function isCertificate(description: string): boolean {
  return /^(?:usercertificate|2\.5\.4\.36)(?:;binary)?$/.test(description)
}

/** Where to search: every naming context, else the default one, else from the root of all. */
function basesIn(attributes: readonly Attribute[], limits: typeof ldapLimits): readonly string[] {
  const valuesOf = (name: string) =>
    attributes
      .filter(({ description }) => description === name)
      .flatMap(({ values }) => values)
      .map((value) => Buffer.from(value).toString())
      .filter((base) => base.length <= limits.baseCharacters)
  const contexts = valuesOf('namingcontexts')
  const bases = contexts.length > 0 ? contexts : valuesOf('defaultnamingcontext')
  return bases.length > 0 ? [...new Set(bases)].slice(0, limits.bases) : ['']
}

/** RFC 4511 §4.1.9. */
const success = 0
const sizeLimitExceeded = 4
const noSuchObject = 32

interface Conversation {
  bind(): Promise<void>
  /** Attributes of all entries, in a row; `endless` where the server keeps to no limit, and the conversation is over. */
  search(search: Search): Promise<{ readonly attributes: readonly Attribute[]; readonly endless: boolean }>
  close(): void
}

function converse(server: LdapServer, limits: typeof ldapLimits, patience: Patience): Conversation {
  const socket = connect({ host: server.address, port: server.port, noDelay: true })
  const stop = (detail: string) => socket.destroy(new LdapFailed(detail))
  let timer = setTimeout(stop, within(patience, limits.connectMs), 'not reached in time')
  socket.on('connect', () => {
    clearTimeout(timer)
    timer = setTimeout(stop, within(patience, limits.searchMs), 'took too long')
  })
  // Whoever reads hears of it; after that nobody needs to.
  socket.on('error', () => {})
  const messages = messagesOf(socket, limits)
  let id = 0

  async function next(): Promise<LdapMessage> {
    const { value, done } = await messages.next()
    if (done) throw new LdapFailed('broke off')
    // RFC 4511 §4.4: a message of nobody's asking says that the server ends the conversation.
    if (value.id !== id) throw new LdapFailed(value.id === 0 ? 'ended the conversation' : 'answered something else')
    return value
  }

  return {
    async bind() {
      id += 1
      socket.write(bindBytes(id))
      const answer = await next()
      if (answer.kind !== 'bound') throw new LdapFailed('answered something else')
      if (answer.code !== success) throw new LdapFailed(`takes no anonymous bind (result ${answer.code})`)
    },
    async search(search) {
      id += 1
      socket.write(searchBytes(id, search))
      const attributes: Attribute[] = []
      for (let entries = 0; ; ) {
        const answer = await next()
        if (answer.kind === 'entry') {
          entries += 1
          if (entries > search.sizeLimit) return { attributes, endless: true }
          attributes.push(...answer.attributes)
        } else if (answer.kind === 'done') {
          const enough = answer.code === sizeLimitExceeded && entries > 0
          if (answer.code === success || answer.code === noSuchObject || enough) return { attributes, endless: false }
          throw new LdapFailed(`the search ended with result ${answer.code}`)
        } else if (answer.kind === 'bound') throw new LdapFailed('answered something else')
      }
    },
    close() {
      clearTimeout(timer)
      if (!socket.destroyed && socket.writable) socket.end(unbindBytes(id + 1))
      // What still comes is not waited for; by then the farewell is with the kernel.
      setImmediate(() => socket.destroy())
    },
  }
}

/** The messages of a server as they come, within limits; throws LdapFailed where the connection ends badly. */
async function* messagesOf(socket: Socket, limits: typeof ldapLimits): AsyncGenerator<LdapMessage, void> {
  let left = limits.messages
  let bytes = 0
  let chunks: Buffer[] = []
  let held = 0
  let wanted = 2
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > limits.bytes) throw new LdapFailed('sends too much')
      chunks.push(chunk)
      held += chunk.length
      while (held >= wanted) {
        const begun = Buffer.concat(chunks)
        const size = messageSize(begun, ldapMessageLimits)
        if (size === undefined || size > begun.length) {
          chunks = [begun]
          wanted = size ?? begun.length + 1
          break
        }
        left -= 1
        if (left < 0) throw new LdapFailed('sends too many messages')
        yield readLdapMessage(begun.subarray(0, size))
        chunks = [begun.subarray(size)]
        held = begun.length - size
        wanted = 2
      }
    }
  } catch (error) {
    if (error instanceof LdapFailed || error instanceof Asn1Error) throw error
    throw new LdapFailed(error instanceof Error ? error.message : String(error))
  }
}
