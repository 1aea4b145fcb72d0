import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import { SMTPServer } from 'smtp-server'
import { serverTls } from '../ports/tls.js'
import { dialogue } from './dialogue.js'
import { connectionGate, type Gate } from './gate.js'
import { type SmtpLimits, smtpLimits } from './limits.js'
import type { ListenerOptions, ServerCertificate, SmtpListener, SmtpOptions } from './options.js'
import { type Reply, replies, replyOf } from './replies.js'
import { gatewayRole, type Role } from './role.js'
import { mechanisms } from './sasl.js'
import { type Session, superviseConnection } from './session.js'

/** Off for every session: proxies' and sendmail's jokes. AUTH belongs to the listeners for our own clinics. */
const disabledCommands = ['XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL']

/** How long clients that were told to go may take to close their side, once everything else is done. */
const lingerMs = 500

/** Starts the listener for mail between HISPs (RFC 5321); see startListener. */
export async function startSmtp(options: SmtpOptions): Promise<SmtpListener> {
  const limits: SmtpLimits = { ...smtpLimits, ...options.limits }
  return startListener(options, gatewayRole(options), limits, connectionGate(limits))
}

/**
 * Starts a listener in a role over smtp-server, which waits a fixed 100 ms before each greeting to catch early talkers: a
 * client that opens a connection for every message sends about 9 a second. Listeners may share a gate, which counts their
 * connections together. Rejects where the port cannot be had or the certificate does not load.
 */
export async function startListener(
  options: ListenerOptions,
  role: Role,
  limits: SmtpLimits,
  gate: Gate,
): Promise<SmtpListener> {
  const { name, counts } = role
  const { log, clock } = options
  const sessions = new Map<string, Session>()
  const leaving = new Map<string, () => void>()
  let draining = false

  const server = new SMTPServer({
    ...libraryOptions(options.hostname, limits, role),
    ...dialogue(options, role, limits, (id) => sessions.get(id)),
    onConnect(session, callback) {
      session.disabledCommands = disabledIn(session.secure)
      callback()
    },
    onSecure(_socket, session, callback) {
      session.disabledCommands = disabledIn(true)
      callback()
    },
    onClose(session) {
      sessions.get(session.id)?.stopCommandPhase()
      sessions.delete(session.id)
      leaving.get(session.id)?.()
      leaving.delete(session.id)
      counts.openConnections(gate.open())
    },
  })
  /** AUTH is announced, and known, over TLS only (RFC 4954 §4). */
  function disabledIn(secure: boolean): string[] {
    const disabled = certificate.loaded() ? [...disabledCommands] : [...disabledCommands, 'STARTTLS']
    return secure && role.authenticate ? disabled : [...disabled, 'AUTH']
  }

  const certificate = reloadable(server, options)
  certificate.refresh()
  server.on('error', (error) => log.info(`${name}.connection-error`, { code: codeOf(error) }))
  server.server.maxConnections = limits.connections * 2 // beyond that not even a 421

  /** Keeps the certificate in step; whether a session in this role can begin with it. */
  function ready(): boolean {
    try {
      certificate.refresh()
    } catch (error) {
      log.error(`${name}.certificate-not-loaded`, { cause: String(error) })
    }
    return role.tls === 'offered' || certificate.loaded()
  }

  function turnAway(socket: Socket, reply: Reply): void {
    counts.refusedConnection()
    socket.on('error', () => undefined)
    if (role.tls !== 'implicit') socket.end(line(reply), () => socket.destroy())
    else socket.destroy() // words in the clear would be no TLS
  }

  const connect = server.connect.bind(server)
  server.connect = (socket, socketOptions) => {
    if (socket.destroyed) return // gone before it was counted
    const leave = draining ? undefined : gate.enter(socket.remoteAddress ?? '', clock.now())
    if (!leave || !socketOptions?.id) return turnAway(socket, draining ? replies.shuttingDown : tooMany)
    if (!ready()) {
      leave()
      return turnAway(socket, replies.noTls)
    }
    leaving.set(socketOptions.id, leave)
    connect(socket, socketOptions)
    for (const connection of server.connections) {
      if (connection.id === socketOptions.id) sessions.set(connection.id, superviseConnection(connection, limits, role))
    }
    counts.openConnections(gate.open())
  }

  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.server.off('error', reject)
      resolve()
    })
  })
  const bound = server.server.address() as AddressInfo
  log.info(`${name}.listening`, { address: bound.address, port: bound.port })

  return {
    port: bound.port,
    address: bound.address,
    connections: () => gate.open(),
    async close(graceMs) {
      draining = true
      for (const session of sessions.values()) if (!session.transferring()) session.hangUp(replies.shuttingDown)
      const deadline = performance.now() + graceMs
      while (transferring(sessions) && performance.now() < deadline) await sleep(10)
      for (const session of sessions.values()) session.hangUp(replies.shuttingDown)
      const closed = new Promise<void>((resolve) => server.close(resolve))
      const lingering = setTimeout(() => {
        for (const { connection } of sessions.values()) connection._socket.destroy()
      }, lingerMs)
      await closed
      clearTimeout(lingering)
      for (const { stopCommandPhase } of sessions.values()) stopCommandPhase() // the library tells of the last ones later
      for (const leave of leaving.values()) leave()
      leaving.clear()
    },
  }
}

const tooMany = replyOf('too-many-connections')

function line(reply: Reply): string {
  return `${reply.code} ${reply.text}\r\n`
}

/**
 * The settings of smtp-server that differ from its defaults. Left at their defaults, that is off: PROXY, XCLIENT, XFORWARD,
 * LMTP, DSN and REQUIRETLS (neither is carried through S/MIME and MDN). TLS from the first byte is an upgrade like that of
 * STARTTLS, so that a handshake is counted, and limited in time, as every session is.
 */
function libraryOptions(hostname: string, limits: SmtpLimits, role: Role) {
  return {
    name: hostname,
    heloResponse: '%s', // nothing about the client, nothing about the software
    logger: false, // it logs commands with addresses
    disabledCommands,
    secure: role.tls === 'implicit',
    needsUpgrade: role.tls === 'implicit',
    authMethods: mechanisms, // announced by the library, spoken by us
    authOptional: true, // what an account is needed for, we say ourselves
    disableReverseLookup: true, // costs a query for each connection, and tells the name servers of others who writes to us
    size: limits.messageBytes,
    rejectOversized: false, // it would answer 552 after the message was handed over as complete; the wire guard decides
    hideSMTPUTF8: true, // Direct addresses are ASCII (internationalised domains in their xn-- form)
    hide8BITMIME: false, // bytes are kept as they come
    hidePIPELINING: false,
    hideENHANCEDSTATUSCODES: false,
    maxCommandLength: limits.commandBytes,
    socketTimeout: limits.idleMs,
    lenientAddressParsing: true, // our own parser decides, and is stricter
    ...serverTls,
  }
}

/** Keeps the TLS context of the server in step with the certificate in hand. */
function reloadable(server: SMTPServer, options: Pick<ListenerOptions, 'tls'>) {
  let current: ServerCertificate | undefined
  return {
    loaded: () => current !== undefined,
    /** Throws where the new pair does not fit together; the old one stays in use. */
    refresh() {
      const next = options.tls?.()
      if (next?.key === current?.key && next?.cert === current?.cert) return
      if (next) {
        createSecureContext({ key: next.key, cert: next.cert })
        server.updateSecureContext({ key: next.key, cert: next.cert })
      }
      current = next
    },
  }
}

function transferring(sessions: ReadonlyMap<string, Session>): boolean {
  for (const session of sessions.values()) if (session.transferring()) return true
  return false
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function codeOf(error: Error & { code?: unknown }): string {
  return typeof error.code === 'string' ? error.code : error.name
}
