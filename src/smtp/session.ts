import type { SMTPServer } from 'smtp-server'
import type { EdgeAccount } from '../directory/directory.js'
import { openAuth } from './auth.js'
import type { SmtpLimits } from './limits.js'
import { type Reply, replies, replyOf } from './replies.js'
import type { Role } from './role.js'

/** A connection of smtp-server; its type is not exported by name. */
export type Connection = SMTPServer['connections'] extends Set<infer C> ? C : never

export interface Session {
  readonly connection: Connection
  /** Who authenticated, over this TLS session. */
  account(): EdgeAccount | undefined
  /** A message is on its way, until its reply was said: no time limit of the command phase, and a closing server waits. */
  startTransfer(): void
  transferring(): boolean
  /** Ends the time limit of the command phase: the client is gone. */
  stopCommandPhase(): void
  /** Says the last words and hangs up; nothing that the client sent along is read. */
  hangUp(...lastWords: readonly Reply[]): void
}

type Done = () => void

/** What smtp-server says by itself where our table of refusals has the words; by its context or its text. */
const ourWords: Readonly<Record<string, Reply>> = {
  SENDER_SYNTAX_ERROR: replyOf('bad-address'),
  MAILBOX_SYNTAX_ERROR: replyOf('bad-address'),
  MESSAGE_TOO_BIG: replyOf('message-too-large'),
  'Timeout - closing connection': replyOf('too-slow'),
  'Server shutting down': replies.shuttingDown,
}

/** What a client may say for ever without coming any further. */
const junkVerbs: ReadonlySet<string> = new Set(['EHLO', 'HELO', 'NOOP', 'RSET', 'VRFY', 'EXPN', 'HELP'])

/** What may be said before TLS where TLS is demanded (RFC 3207 §4). */
const beforeTls: ReadonlySet<string> = new Set(['EHLO', 'HELO', 'NOOP', 'RSET', 'QUIT', 'STARTTLS', 'VRFY'])

/** What needs an account where accounts are asked for (RFC 4954 §6). */
const forAccounts: ReadonlySet<string> = new Set(['MAIL', 'RCPT', 'DATA', 'BDAT'])

const enhanced = /^[245]\.\d{1,3}\.\d{1,3} /

/**
 * Puts our rules around one connection of smtp-server, at its two public seams: every command it reads and every reply
 * it writes. Replies that have words in our table get them; commands that are not printable ASCII (SMTPUTF8 is off)
 * are not understood; errors are counted, and so are refused recipients; the command phase has a time limit, which the
 * library lacks (its timeout is reset by every byte). What the role demands first comes first, and AUTH is ours altogether.
 */
export function superviseConnection(connection: Connection, limits: SmtpLimits, role: Role): Session {
  const send = connection.send.bind(connection)
  const onCommand = connection._onCommand.bind(connection)
  let verb = ''
  const auth = role.authenticate && openAuth(limits, connection.remoteAddress, role.authenticate)
  let errors = 0
  let junk = 0
  let refusedRecipients = 0
  let commandPhase: NodeJS.Timeout | undefined
  let holding: Connection['_socket'] | undefined
  let transferring = false

  function startCommandPhase(): void {
    clearTimeout(commandPhase)
    commandPhase = setTimeout(() => session.hangUp(replyOf('too-slow')), limits.commandPhaseMs)
    commandPhase.unref()
  }

  const session: Session = {
    connection,
    account: () => auth?.account(),
    startTransfer() {
      transferring = true
      session.stopCommandPhase()
    },
    transferring: () => transferring,
    stopCommandPhase: () => clearTimeout(commandPhase),
    hangUp(...lastWords) {
      for (const { code, text } of lastWords) send(code, text, false)
      letGo()
      connection.close()
    },
  }

  /**
   * Replies to pipelined commands leave in one write (RFC 2920 §3.2), since a write costs more than a command. Only those
   * that a client may have pipelined behind: never the 220 after which TLS begins, nor last words.
   */
  function holdBack(code: number): void {
    if (holding || (code !== 250 && code !== 354)) return
    holding = connection._socket
    holding.cork()
    setImmediate(letGo)
  }

  function letGo(): void {
    holding?.uncork()
    holding = undefined
  }

  connection.send = (code, data, context) => {
    holdBack(code)
    const words = code < 400 ? undefined : (ourWords[context || ''] ?? ourWords[typeof data === 'string' ? data : ''])
    const ours = words !== undefined || (typeof data === 'string' && enhanced.test(data))
    if (words) send(words.code, words.text, false)
    else send(code, data, ours ? false : context)
    // smtp-server says it when the message was read to its end, which may be later than we know what to say.
    if (transferring && code !== 354) {
      transferring = false
      if (!connection._socket.destroyed) startCommandPhase()
    }
    if (code < 500) return
    // A refused recipient says nothing about the rest of the transaction, and DATA without one follows from it when
    // commands are pipelined (RFC 2920 §3.1): neither may cost the valid recipients their message.
    if (verb === 'RCPT') refusedRecipients++
    else if (verb !== 'DATA' || refusedRecipients === 0) errors++
    if (errors >= limits.errors || refusedRecipients >= limits.refusedRecipients) session.hangUp(replies.tooManyErrors)
  }

  function answer({ code, text }: Reply, done: Done): void {
    if (auth?.account()) connection.session.user = auth.account()?.name // so that EHLO does not announce AUTH again
    connection.send(code, text, false)
    setImmediate(done)
  }

  /** What stands in the way of a command, as the library will read it. */
  function obstacle(command: string, line: Buffer): Reply | undefined {
    if (role.tls === 'demanded' && !connection.secure && !beforeTls.has(command)) return replies.tlsFirst
    if (auth && !auth.account() && forAccounts.has(command)) return replies.authFirst
    return line.length > limits.commandLineBytes && command !== 'AUTH' ? replies.lineTooLong : undefined
  }

  connection._onCommand = (line, done = () => undefined) => {
    // Early talkers, and what came in the clear behind STARTTLS: the library knows what to do with them.
    if (!connection._ready || connection._upgrading) return onCommand(line, done)
    if (auth?.asks()) {
      verb = 'AUTH'
      auth.proceed(line).then((reply) => answer(reply, done))
      return
    }
    verb = line.subarray(0, 4).toString('latin1').toUpperCase()
    if (verb === 'DATA') junk = 0
    else if (junkVerbs.has(verb) && ++junk > limits.junkCommands) return session.hangUp(replies.tooManyErrors)
    const readable = isPrintable(line) ? line : unreadable(verb)
    const command = (readable.toString('latin1').split(' ', 1)[0] ?? '').toUpperCase()
    const reply = obstacle(command, readable)
    if (reply) answer(reply, done)
    else if (auth && command === 'AUTH')
      auth.begin(readable, Boolean(connection.hostNameAppearsAs)).then((said) => answer(said, done))
    else onCommand(readable, done)
  }

  startCommandPhase()
  return session
}

function isPrintable(line: Buffer): boolean {
  return line.every((byte) => byte >= 0x20 && byte < 0x7f)
}

/** A command that fails the way the unprintable one should: as a bad address, or as an unknown command. */
function unreadable(verb: string): Buffer {
  if (verb === 'MAIL') return Buffer.from('MAIL FROM:')
  if (verb === 'RCPT') return Buffer.from('RCPT TO:')
  return Buffer.from('?')
}
