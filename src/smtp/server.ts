import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import { SMTPServer } from 'smtp-server'
import { dialogue } from './dialogue.js'
import { connectionGate } from './gate.js'
import { type SmtpLimits, smtpLimits } from './limits.js'
import type { ServerCertificate, SmtpListener, SmtpOptions } from './options.js'
import { type Reply, replies, replyOf } from './replies.js'
import { type Session, superviseConnection } from './session.js'

/** Off for every session: the edge has its own listener for AUTH; the others are proxies' and sendmail's jokes. */
const disabledCommands = ['AUTH', 'XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL']

/** How long clients that were told to go may take to close their side, once everything else is done. */
const lingerMs = 500

/**
 * Starts the listener for mail between HISPs (RFC 5321) over smtp-server, which waits a fixed 100 ms before each
 * greeting to catch early talkers: a client that opens a connection for every message sends about 9 a second.
 * Rejects where the port cannot be had or the certificate does not load.
 */
export async function startSmtp(options: SmtpOptions): Promise<SmtpListener> {
  const limits: SmtpLimits = { ...smtpLimits, ...options.limits }
  const { log, metrics, clock } = options
  const sessions = new Map<string, Session>()
  const leaving = new Map<string, () => void>()
  const gate = connectionGate(limits)
  let draining = false

  const server = new SMTPServer({
    ...libraryOptions(options.hostname, limits),
    ...dialogue(options, limits, (id) => sessions.get(id)),
    onConnect(session, callback) {
      session.disabledCommands = certificate.loaded() ? disabledCommands : [...disabledCommands, 'STARTTLS']
      callback()
    },
    onClose(session) {
      sessions.get(session.id)?.stopCommandPhase()
      sessions.delete(session.id)
      leaving.get(session.id)?.()
      leaving.delete(session.id)
      metrics.gauge('smtp_connections', gate.open())
    },
  })
  const certificate = reloadable(server, options)
  certificate.refresh()
  server.on('error', (error) => log.info('smtp.connection-error', { code: codeOf(error) }))
  server.server.maxConnections = limits.connections * 2 // beyond that not even a 421

  const connect = server.connect.bind(server)
  server.connect = (socket, socketOptions) => {
    if (socket.destroyed) return // gone before it was counted
    const leave = draining ? undefined : gate.enter(socket.remoteAddress ?? '', clock.now())
    if (!leave || !socketOptions?.id) {
      metrics.count('smtp_refused_connections')
      socket.on('error', () => undefined)
      socket.end(line(draining ? replies.shuttingDown : tooMany), () => socket.destroy())
      return
    }
    leaving.set(socketOptions.id, leave)
    try {
      certificate.refresh()
    } catch (error) {
      log.error('smtp.certificate-not-loaded', { cause: String(error) })
    }
    connect(socket, socketOptions)
    for (const connection of server.connections) {
      if (connection.id === socketOptions.id) sessions.set(connection.id, superviseConnection(connection, limits))
    }
    metrics.gauge('smtp_connections', gate.open())
  }

  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.server.off('error', reject)
      resolve()
    })
  })
  const bound = server.server.address() as AddressInfo
  log.info('smtp.listening', { address: bound.address, port: bound.port })

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
 * The settings of smtp-server that differ from its defaults. Left at their defaults, that is off: implicit TLS, PROXY,
 * XCLIENT, XFORWARD, LMTP, DSN and REQUIRETLS (neither is carried through S/MIME and MDN).
 */
function libraryOptions(hostname: string, limits: SmtpLimits) {
  return {
    name: hostname,
    heloResponse: '%s', // nothing about the client, nothing about the software
    logger: false, // it logs commands with addresses
    disabledCommands,
    authMethods: [],
    authOptional: true,
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
    minVersion: 'TLSv1.2' as const, // RFC 8996
  }
}

/** Keeps the TLS context of the server in step with the certificate in hand. */
function reloadable(server: SMTPServer, options: SmtpOptions) {
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
