import { clock } from '../house.js'
import type { HandedIn } from '../pipeline/handed-in.js'
import type { SubmitOutcome } from '../pipeline/submit.js'
import { startSmtp } from '../smtp/server.js'
import { startSubmission } from '../smtp/submission.js'
import { certificateOf, listening, type Parts } from './parts.js'

/** The listener for mail from other gateways; answers its port. `accepted` hears of each message. */
export async function startMail(
  { house, config, log, metrics, room, closers }: Parts,
  accepted: () => void,
): Promise<number> {
  const { smtp } = config
  const listener = await listening('smtp', smtp, () =>
    startSmtp({
      host: smtp.host,
      port: smtp.port,
      hostname: config.hostname,
      tls: () => certificateOf(smtp.tls),
      limits: { ...config.limits, limitLoopback: smtp.limitLoopback, ...timesOf(smtp) },
      isServed: (address) => house.directory.addresses.isServed(address),
      async accept(envelope, data) {
        const outcome = await house.spool.accept(envelope, data)
        accepted()
        return outcome
      },
      room,
      healthy: () => house.store.healthy(),
      log,
      metrics,
      clock,
    }),
  )
  closers.push((graceMs) => listener.close(graceMs))
  return listener.port
}

/** Where mail of systems of our own is taken in; neither port where none is configured. */
export interface SubmissionPortNumbers {
  readonly submissionPort?: number
  readonly implicitTlsPort?: number
}

/** The listeners for mail of systems of our own, where a port is named for them. */
export async function startEdgeSubmission(
  { house, config, log, metrics, room, closers }: Parts,
  submit: (message: HandedIn) => Promise<SubmitOutcome>,
): Promise<SubmissionPortNumbers> {
  const { submission } = config.edge
  const { host, port, implicitTlsPort, tls, heldMiB } = submission
  const named = port ?? implicitTlsPort
  if (named === undefined) return {}
  const { headerBytes, lineBytes, dataBytesPerSecond, connections, connectionsPerAddress } = config.limits
  const listener = await listening('edge.submission', { host, port: named }, () =>
    startSubmission({
      ...{ host, port, implicitTlsPort },
      hostname: config.hostname,
      tls: () => certificateOf(tls),
      limits: {
        ...{ headerBytes, lineBytes, dataBytesPerSecond, connections, connectionsPerAddress },
        heldBytes: heldMiB * 1024 * 1024,
        limitLoopback: config.smtp.limitLoopback,
        ...timesOf(submission),
      },
      accounts: house.directory.accounts,
      submit,
      room,
      healthy: () => house.store.healthy(),
      log,
      metrics,
      clock,
    }),
  )
  closers.push((graceMs) => listener.close(graceMs))
  return {
    ...(listener.port !== undefined && { submissionPort: listener.port }),
    ...(listener.implicitTlsPort !== undefined && { implicitTlsPort: listener.implicitTlsPort }),
  }
}

function timesOf(times: {
  readonly idleSeconds: number
  readonly commandPhaseSeconds: number
  readonly dataBaseSeconds: number
}) {
  return {
    idleMs: times.idleSeconds * 1000,
    commandPhaseMs: times.commandPhaseSeconds * 1000,
    dataBaseMs: times.dataBaseSeconds * 1000,
  }
}
