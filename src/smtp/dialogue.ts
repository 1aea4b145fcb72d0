import { domainToASCII } from 'node:url'
import type { SMTPServerAddress, SMTPServerOptions, SMTPServerSession } from 'smtp-server'
import { type DirectAddress, parseAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { SmtpLimits } from './limits.js'
import { receiveMessage } from './message.js'
import type { ListenerOptions } from './options.js'
import { asError, openReplyOf, type Reply, replies, replyOf } from './replies.js'
import type { Role, Visitor } from './role.js'
import type { Session } from './session.js'
import { type WireGuard, wireGuard } from './wire.js'

type Dialogue = Required<Pick<SMTPServerOptions, 'onMailFrom' | 'onRcptTo' | 'onData'>>

/** Our answers to MAIL, RCPT and DATA, in the order in which RFC 5321 §3.3 has them; what is let in is the role's to say. */
export function dialogue(
  options: ListenerOptions,
  role: Role,
  limits: SmtpLimits,
  sessionOf: (id: string) => Session | undefined,
): Dialogue {
  const { log } = options

  function visitorOf(session: SMTPServerSession, path = session.envelope.mailFrom): Visitor {
    const account = sessionOf(session.id)?.account()
    const parameters = path ? path.args : false
    const announced = parameters ? parameters['SIZE'] : undefined
    return { ...(account && { account }), ...(typeof announced === 'string' && { announcedBytes: Number(announced) }) }
  }

  async function answerMail(path: SMTPServerAddress, session: SMTPServerSession): Promise<Reply | undefined> {
    const sender = path.address === '' ? null : readPath(path.address)
    if (sender === undefined) return replyOf('bad-address')
    path.address = sender ?? ''
    const parameters = Object.keys(path.args || {})
    if (parameters.some((name) => !role.parameters.includes(name))) return replies.unsupportedParameter
    if (!options.healthy()) return replyOf('store-unavailable')
    if (!(await options.room())) return replyOf('no-room')
    return role.refuseSender(sender, visitorOf(session, path))
  }

  async function answerRcpt(path: SMTPServerAddress, session: SMTPServerSession): Promise<Reply | undefined> {
    // RFC 5321 §4.1.1.3: postmaster stands without a domain.
    const recipient = readPath(/^postmaster$/i.test(path.address) ? `postmaster@${options.hostname}` : path.address)
    if (!recipient) return replyOf('bad-address')
    path.address = recipient
    if (path.args) return replies.unsupportedParameter
    const known = session.envelope.rcptTo
    if (known.length >= limits.recipients && !known.some(({ address }) => address === recipient)) {
      return replyOf('too-many-recipients')
    }
    return role.refuseRecipient(recipient, visitorOf(session))
  }

  function speak(answer: Promise<Reply | undefined>, callback: (error?: Error | null) => void): void {
    answer.then(
      (reply) => callback(reply && asError(reply)),
      (cause) => {
        log.error(`${role.name}.store-unavailable`, { cause: String(cause) })
        callback(asError(replyOf('store-unavailable')))
      },
    )
  }

  async function answerData(
    stream: Parameters<Dialogue['onData']>[0],
    session: SMTPServerSession,
  ): Promise<Reply | { readonly id: string }> {
    const supervised = sessionOf(session.id)
    const visitor = visitorOf(session)
    const envelope = envelopeOf(session, options.clock.now())
    const guard = wireGuard(limits, {
      encryptedOnly: role.encryptedOnly,
      refuseHeader: (block) => role.refuseHeader?.(envelope, block),
    })
    const hangUp = (reply: Reply) => {
      supervised?.hangUp(reply)
      stream.destroy()
    }
    const deadline = dataDeadline(
      limits,
      guard,
      () => stream.readableLength > 0,
      () => hangUp(replyOf('too-slow')),
    )
    stream.on('error', () => undefined) // the iterator reports it
    const outcome = await receiveMessage({
      source: stream,
      guard,
      accept: (data) => role.accept(envelope, data, visitor),
      onEnd() {
        clearInterval(deadline)
        envelope.receivedAt = options.clock.now()
      },
      onExcess(sizeBytes, reason) {
        if (sizeBytes > 2 * limits.messageBytes) hangUp(replyOf(reason))
      },
    })
    clearInterval(deadline)
    role.counts.message(outcome.kind)
    switch (outcome.kind) {
      case 'accepted':
        if (outcome.longestLineBytes > 998) role.counts.longLine()
        return { id: outcome.id }
      case 'refused':
        log.info(`${role.name}.refused`, { reason: outcome.reason, peer: session.remoteAddress })
        // What follows on the line may be commands or the rest of the message, by whose idea of a line: read none of it.
        if (outcome.reason === 'bad-line-ending') supervised?.hangUp(replyOf(outcome.reason), replies.framingLost)
        return role.tellsWhy ? openReplyOf(outcome.reason, outcome.detail) : replyOf(outcome.reason)
      case 'failed':
        log.error(`${role.name}.not-stored`, { cause: String(outcome.cause), peer: session.remoteAddress })
        return replyOf('store-unavailable')
      case 'vanished':
        log.info(`${role.name}.vanished`, { peer: session.remoteAddress, bytes: guard.sizeBytes() })
        return replyOf('store-unavailable') // nobody hears it
    }
  }

  return {
    onMailFrom: (path, session, callback) => speak(answerMail(path, session), callback),
    onRcptTo: (path, session, callback) => speak(answerRcpt(path, session), callback),
    onData(stream, session, callback) {
      sessionOf(session.id)?.startTransfer()
      answerData(stream, session).then((answer) => {
        if ('id' in answer) callback(null, replies.accepted(answer.id))
        else callback(asError(answer))
      })
    },
  }
}

/**
 * An address as it stood in the path. smtp-server shows the domain of `xn--` names in Unicode; since no unprintable
 * command reaches it, putting it back loses nothing.
 */
function readPath(path: string): DirectAddress | undefined {
  const at = path.lastIndexOf('@')
  const domain = path.slice(at + 1)
  const ascii = /^[\x21-\x7e]*$/
  return parseAddress(ascii.test(domain) ? path : `${path.slice(0, at + 1)}${domainToASCII(domain)}`)
}

/** `receivedAt` begins as the time of DATA and is set right at its end. */
function envelopeOf(session: SMTPServerSession, receivedAt: number): Envelope & { receivedAt: number } {
  const { mailFrom, rcptTo } = session.envelope
  const recipients = rcptTo.map(({ address }) => address as DirectAddress)
  return {
    mailFrom: mailFrom && mailFrom.address !== '' ? (mailFrom.address as DirectAddress) : null,
    rcptTo: [...new Set(recipients)],
    peer: { address: session.remoteAddress, helo: session.hostNameAppearsAs || '', tls: session.secure },
    receivedAt,
  }
}

/** Calls `expire` once the client took longer than its bytes allow; time in which bytes wait for us does not count. */
function dataDeadline(
  limits: SmtpLimits,
  guard: WireGuard,
  waitsForUs: () => boolean,
  expire: () => void,
): NodeJS.Timeout {
  const tickMs = Math.max(10, Math.min(1000, limits.dataBaseMs / 10))
  let spentMs = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    if (!waitsForUs()) spentMs += Math.min(now - last, 2 * tickMs) // a tick that comes late was kept by us
    last = now
    if (spentMs < limits.dataBaseMs + (guard.sizeBytes() / limits.dataBytesPerSecond) * 1000) return
    clearInterval(timer)
    expire()
  }, tickMs)
  timer.unref()
  return timer
}
