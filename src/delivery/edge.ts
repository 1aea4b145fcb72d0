import { readFile } from 'node:fs/promises'
import type { Mailbox } from '../mailbox/mailbox.js'
import type { Message } from '../mailbox/message.js'
import type { Exchanges } from '../ports/exchange.js'
import type { OutboundJob } from '../spool/outbound.js'
import { type Attempt, type AttemptOutcome, tryInTurn } from './attempt.js'
import type { Dial, Login, Protocol, TlsPolicy, Wire } from './dialogue.js'
import { type DeliveryLimits, deliveryLimits } from './limits.js'

/** A system of our own clinics that gets mail from the mailboxes of its people. */
export interface EdgeSystem {
  readonly protocol: Protocol
  /** A name, an IP address, or the path of a socket of this machine. */
  readonly host: string
  /** Default: 25 for SMTP, 24 for LMTP. */
  readonly port?: number | undefined
  readonly tls: TlsPolicy
  /** PEM certificates of authorities that may vouch for it; otherwise those of the system. */
  readonly caFile?: string | undefined
  readonly username?: string | undefined
  readonly passwordFile?: string | undefined
}

export interface EdgeAttemptOptions {
  /** Our name in EHLO and LHLO. */
  readonly hostname: string
  readonly exchanges: Pick<Exchanges, 'host'>
  readonly systems: Readonly<Record<string, EdgeSystem>>
  readonly limits?: Partial<DeliveryLimits>
}

const usualPort: Readonly<Record<Protocol, number>> = { smtp: 25, lmtp: 24 }

/**
 * Attempts that hand mail to the system that `Mail.system` names, wherever its addresses lead: certificates and passwords are
 * read anew each time, so that new ones need no restart. What is wrong on our side (a system that is configured no more, a
 * file that does not open, a name that does not resolve) is no reason to give up mail: `temporary`. A password is said inside
 * TLS only.
 */
export function openEdgeAttempts({ hostname, exchanges, systems, ...options }: EdgeAttemptOptions): Attempt {
  const limits = { ...deliveryLimits, ...options.limits }
  return async (mail) => {
    const name = mail.system ?? ''
    const system = Object.hasOwn(systems, name) ? systems[name] : undefined
    if (!system) return { kind: 'temporary', detail: `edge.systems has no ${name || 'system of no name'}` }
    const secrets = await secretsOf(system)
    if ('kind' in secrets) return secrets
    const { protocol, host, port = usualPort[protocol] } = system
    // What a login must not do without, it does not do without.
    const tls = secrets.login && system.tls === 'opportunistic' ? 'required' : system.tls
    const dial = (name: string, address: string): Dial => ({ host: name, address, port, tls, protocol, ...secrets })
    if (host.startsWith('/')) return tryInTurn(mail, [dial('localhost', host)], hostname, limits)
    const answer = await exchanges.host(host)
    if (answer.kind !== 'hosts') return { kind: 'temporary', host, detail: answer.detail }
    const dials = answer.hosts.flatMap(({ name, addresses }) => addresses.map((address) => dial(name, address)))
    return tryInTurn(mail, dials, hostname, limits)
  }
}

/** What the files of a system hold now. */
async function secretsOf({
  caFile,
  username,
  passwordFile,
}: EdgeSystem): Promise<{ readonly ca?: string; readonly login?: Login } | AttemptOutcome> {
  try {
    const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
    if (username === undefined) return { ...(ca !== undefined && { ca }) }
    if (passwordFile === undefined) return { kind: 'temporary', detail: `${username} has no passwordFile` }
    const password = (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '')
    return { ...(ca !== undefined && { ca }), login: { username, password } }
  } catch (error) {
    const { code = 'unreadable', path = '' } = error as NodeJS.ErrnoException
    return { kind: 'temporary', detail: `${path}: ${code}` }
  }
}

export interface StoredMailPorts {
  readonly mailbox: Pick<Mailbox, 'get' | 'original'>
  /** Our name in the trace field. */
  readonly hostname: string
  /** Further header fields in front of a stored message, CRLF lines: what only its envelope said. */
  readonly fieldsOf?: (message: Message) => Uint8Array
}

/**
 * Reads the message of an `edge` job from its mailbox: as it was verified, byte for byte, behind a trace field. That says
 * when the message was owed, so that each try sends the same bytes. Undefined where the message is gone.
 */
export function storedMail({
  mailbox,
  hostname,
  fieldsOf,
}: StoredMailPorts): (job: OutboundJob) => Promise<Wire | undefined> {
  return async (job) => {
    const { source } = job
    if (!source) return undefined
    const stored = await mailbox.get(source.mailbox, source.message)
    const read = () => mailbox.original(source.mailbox, source.message)
    let ahead = stored && (await read())
    if (!stored || !ahead) return undefined
    const fields = fieldsOf?.(stored.message) ?? new Uint8Array()
    const front = Buffer.concat([traceField(job, hostname), fields])
    return {
      sizeBytes: front.length + stored.message.sizeBytes,
      eightBit: true,
      async *chunks() {
        const chunks = ahead ?? (await read())
        ahead = undefined
        yield front
        if (chunks) yield* chunks
      },
    }
  }
}

/**
 * RFC 5321 §4.4: what came in sealed was opened here, and goes on from here. No Return-Path: only the last system of all
 * writes that.
 */
function traceField({ trail, to, owedAt }: OutboundJob, hostname: string): Buffer {
  const date = new Date(owedAt).toUTCString().replace('GMT', '+0000')
  const lines = [`Received: from ${hostname} (sealed)`, ` by ${hostname} (direct-gateway)`, ` id ${trail}`]
  return Buffer.from(`${[...lines, ` for <${to[0]}>`].join('\r\n')}; ${date}\r\n`)
}
