import { setTimeout as sleep } from 'node:timers/promises'
import { openFailures } from './failures.js'
import { connectionGate } from './gate.js'
import { type Budget, gather, openBudget } from './held.js'
import { type SubmissionListenerLimits, submissionListenerLimits } from './limits.js'
import type { Acceptance, SmtpListener, SubmissionListener, SubmissionOptions } from './options.js'
import { replies, replyOf } from './replies.js'
import type { Authentication, Role } from './role.js'
import { startListener } from './server.js'

/**
 * Starts the listeners for mail of systems of our own clinics (RFC 6409): TLS, then AUTH with an account, then messages in
 * the clear, which are signed and encrypted here. The ports named share all limits. Rejects where none is named, where one
 * cannot be had, and without a certificate that loads.
 */
export async function startSubmission(options: SubmissionOptions): Promise<SubmissionListener> {
  const { port, implicitTlsPort } = options
  if (port === undefined && implicitTlsPort === undefined) throw new Error('No port for submission')
  if (!options.tls()) throw new Error('Submission needs a certificate: nobody says a password in the clear')
  const limits: SubmissionListenerLimits = { ...submissionListenerLimits, ...options.limits }
  const gate = connectionGate(limits)
  const role = submissionRole(options, limits)
  const started: SmtpListener[] = []
  const start = async (at: number | undefined, tls: Role['tls']) => {
    if (at === undefined) return undefined
    const listener = await startListener({ ...options, port: at }, { ...role, tls }, limits, gate)
    started.push(listener)
    return listener.port
  }
  const close = async (graceMs: number) => {
    await Promise.all(started.map((listener) => listener.close(graceMs)))
  }
  try {
    const open = await start(port, 'demanded')
    const secure = await start(implicitTlsPort, 'implicit')
    return {
      ...(open !== undefined && { port: open }),
      ...(secure !== undefined && { implicitTlsPort: secure }),
      close,
      connections: () => gate.open(),
    }
  } catch (error) {
    await close(0)
    throw error
  }
}

/** Who may submit, as whom, and what becomes of the message. */
function submissionRole(options: SubmissionOptions, limits: SubmissionListenerLimits): Omit<Role, 'tls'> {
  const { accounts, submit, metrics } = options
  const budget = openBudget(limits.heldBytes)
  const tellHeld = () => {
    metrics.gauge('submission_held_bytes', budget.taken())
  }
  return {
    name: 'submission',
    counts: {
      message: (outcome) => {
        metrics.count('submission_messages', { outcome })
      },
      longLine: () => {
        metrics.count('submission_long_lines')
      },
      openConnections: (count) => {
        metrics.gauge('submission_connections', count)
      },
      refusedConnection: () => {
        metrics.count('submission_refused_connections')
      },
    },
    encryptedOnly: false,
    tellsWhy: true,
    parameters: ['SIZE', 'BODY', 'AUTH'], // RFC 4954 §5: AUTH is understood where it is announced, and believed by nobody
    authenticate: authentication(options, limits),
    async refuseSender(sender, { account, announcedBytes = 0 }) {
      if (!account) return replies.authFirst
      if (announcedBytes > limits.heldBytes - budget.taken()) return replyOf('no-room')
      // The null reverse-path is for notices; From decides who speaks.
      return sender === null || (await accounts.maySendAs(account, sender)) ? undefined : replies.notYourAddress
    },
    refuseRecipient: async () => undefined,
    async accept({ mailFrom, rcptTo: recipients }, data, { account, announcedBytes }): Promise<Acceptance> {
      if (!account) return { kind: 'refused', reason: 'unknown-sender' }
      const held = await gather(data, counted(budget, tellHeld), announcedBytes ?? limits.firstBytes)
      if (!held) return { kind: 'refused', reason: 'no-room' }
      try {
        const outcome = await submit({ account, mailFrom, recipients, message: held.message })
        return outcome.kind === 'submitted' ? { kind: 'accepted', id: outcome.id } : outcome
      } finally {
        held.release()
      }
    },
  }
}

function counted(budget: Budget, tell: () => void): Budget {
  return {
    ...budget,
    take(bytes) {
      const taken = budget.take(bytes)
      if (taken) tell()
      return taken
    },
    give(bytes) {
      budget.give(bytes)
      tell()
    },
  }
}

/**
 * Whether credentials are right. What is wrong with them, nobody learns, neither from words nor from time; who was wrong too
 * often, is not even asked about.
 */
function authentication(
  { accounts, clock, log, metrics }: SubmissionOptions,
  limits: SubmissionListenerLimits,
): NonNullable<Role['authenticate']> {
  const failures = openFailures(limits)
  const tell = (outcome: string) => {
    metrics.count('submission_authentications', { outcome })
  }

  return async function authenticate({ name, secret }, peer): Promise<Authentication> {
    const began = performance.now()
    const attempt = failures.begin(name, peer, clock.now())
    if (!attempt) {
      tell('limited')
      log.warn('submission.authentication-limited', { peer })
      return { kind: 'refused', reply: replies.tooManyFailures }
    }
    try {
      const account = await accounts.authenticate(name, secret)
      if (account) {
        attempt.succeeded()
        tell('accepted')
        log.info('submission.authenticated', { account: account.name, peer })
        return { kind: 'account', account }
      }
    } catch (cause) {
      attempt.undecided()
      tell('failed')
      log.error('submission.store-unavailable', { cause: String(cause) })
      return { kind: 'refused', reply: replies.authUnavailable }
    }
    tell('refused')
    // Not the name: people type passwords there.
    log.warn('submission.authentication-failed', { peer })
    await sleep(Math.max(0, limits.refusalMs - (performance.now() - began)))
    return { kind: 'refused', reply: replies.wrongCredentials }
  }
}
