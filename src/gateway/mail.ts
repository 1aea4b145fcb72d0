import type { Config } from '../config/settings.js'
import { type Attempt, openAttempts } from '../delivery/attempt.js'
import { homeFirst } from '../delivery/local.js'
import { startDelivery } from '../delivery/worker.js'
import { clock, random } from '../house.js'
import { watchQueues } from '../observe/queues.js'
import { receive } from '../pipeline/inbound.js'
import { openNotices } from '../pipeline/notices.js'
import { send } from '../pipeline/outbound.js'
import { outcomesOf } from '../pipeline/sent.js'
import type { Steps } from '../pipeline/steps.js'
import { startWork } from '../pipeline/work.js'
import type { ClaimedJob } from '../ports/store.js'
import { openExchanges } from '../resolve/mx.js'
import { startSmtp } from '../smtp/server.js'
import { outboundQueue } from '../spool/outbound.js'
import { inboundQueue } from '../spool/spool.js'
import { submissionQueue } from '../spool/submission.js'
import { causeOf, certificateOf, listening, type Parts } from './parts.js'
import type { Reach } from './reach.js'

/** The work on mail: tells it that there is some. */
export interface MailWork {
  /** A message was accepted: judge it now. */
  accepted(): void
  /** A message was submitted: send it now. */
  submitted(): void
}

/** Starts judging what came in, sending what was submitted, and delivering what is sealed. */
export function startMailWork(
  { house, config, log, metrics, closers }: Parts,
  reach: Reach,
  steps: Steps,
  world: { readonly attempt?: Attempt },
): MailWork {
  const { store, blobs, directory, spool } = house
  const asked = { ...house, ...reach, steps, clock, log, metrics }
  const notices = openNotices(asked)
  const waiting = {
    deadlineMs: config.undecided.deadlineSeconds * 1000,
    retryMs: config.undecided.retrySeconds.map((seconds) => seconds * 1000),
  }
  /** What a queue of ours is worked off with; errors are told without what the job is about. */
  const queue = (name: string, handle: (job: ClaimedJob) => Promise<void>) =>
    startWork({
      ...{ store, clock, handle },
      queue: name,
      concurrency: config.inbound.concurrency,
      leaseMs: config.inbound.leaseSeconds * 1000,
      onError: (error, job) =>
        log.error(`${name}.failed`, { ...(job && { job: job.id, attempt: job.attempt }), cause: causeOf(error) }),
    })

  const { outbound } = config
  const delivery = startDelivery({
    ...{ store, blobs, clock, random, log, metrics },
    attempt: homeFirst(world.attempt ?? attemptsOf(config), {
      isOurs: async (domain) => (await directory.domains.get(domain)) !== undefined,
      isServed: (address) => directory.addresses.isServed(address),
      async accept(envelope, data) {
        const accepted = await spool.accept(envelope, data)
        inbound.nudge()
        return accepted
      },
      clock,
    }),
    prepare: notices.prepare,
    outcomeParts: outcomesOf({ ...asked, notices }),
    schedule: {
      retryMs: outbound.scheduleSeconds.map((seconds) => seconds * 1000),
      lifetimeMs: { message: outbound.lifetimeSeconds * 1000, mdn: outbound.noticeLifetimeSeconds * 1000 },
      jitter: 0.1,
    },
    concurrency: outbound.concurrency,
    perDomain: outbound.connectionsPerDomain,
  })
  closers.push((graceMs) => delivery.stop(graceMs))

  const sending = queue(submissionQueue, async (job) => {
    await send(job, asked, waiting)
    delivery.nudge()
  })
  closers.push((graceMs) => sending.stop(graceMs))

  const inbound = queue(inboundQueue, async (job) => {
    const spooled = spool.read(job)
    if (!spooled) throw new Error(`the spooled job ${job.id} cannot be read`)
    await receive(spooled, { ...asked, notices }, waiting)
    delivery.nudge()
  })
  closers.push((graceMs) => inbound.stop(graceMs))
  closers.push(watchQueues({ store, metrics, log, clock }, [inboundQueue, submissionQueue, outboundQueue]))
  return { accepted: () => inbound.nudge(), submitted: () => sending.nudge() }
}

/** The listener for mail from other gateways; answers its port. */
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
      limits: {
        ...config.limits,
        limitLoopback: smtp.limitLoopback,
        idleMs: smtp.idleSeconds * 1000,
        commandPhaseMs: smtp.commandPhaseSeconds * 1000,
        dataBaseMs: smtp.dataBaseSeconds * 1000,
      },
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

function attemptsOf({ hostname, outbound, dns }: Config): Attempt {
  return openAttempts({
    hostname,
    exchanges: openExchanges({ servers: dns.servers, timeoutMs: dns.timeoutMs, attempts: dns.attempts, random }),
    routes: outbound.routes,
    ...(outbound.defaultRoute && { defaultRoute: outbound.defaultRoute }),
    port: outbound.port,
    tls: outbound.tls,
    limits: { attemptMs: outbound.attemptSeconds * 1000 },
  })
}
