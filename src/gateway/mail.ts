import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/settings.js'
import { appEventQueue } from '../connect/app-events.js'
import { connectQueue } from '../connect/rows.js'
import { type Attempt, openAttempts } from '../delivery/attempt.js'
import { openEdgeAttempts, storedMail } from '../delivery/edge.js'
import { lettersQueue } from '../delivery/letters.js'
import { homeFirst } from '../delivery/local.js'
import { webhookQueue } from '../delivery/webhook-state.js'
import { startDelivery } from '../delivery/worker.js'
import { clock, type House, random } from '../house.js'
import { watchQueues } from '../observe/queues.js'
import { peopleQueue } from '../people/rows.js'
import type { TrackingPolicy } from '../pipeline/deadlines.js'
import { edgeOutcomesOf, unsignedFieldsOf } from '../pipeline/edge.js'
import { type InboundPorts, receive } from '../pipeline/inbound.js'
import { noticeWire } from '../pipeline/notice-wire.js'
import { openNotices } from '../pipeline/notices.js'
import { send } from '../pipeline/outbound.js'
import { openQueues, type Queues } from '../pipeline/queue.js'
import { outcomesOf } from '../pipeline/sent.js'
import type { Steps } from '../pipeline/steps.js'
import { cancelWaiting, track } from '../pipeline/tracking.js'
import { startWork, type Work } from '../pipeline/work.js'
import type { Exchanges } from '../ports/exchange.js'
import type { ClaimedJob } from '../ports/store.js'
import { openExchanges } from '../resolve/mx.js'
import { edgeQueue, outboundQueue } from '../spool/outbound.js'
import { inboundQueue } from '../spool/spool.js'
import { submissionQueue, trackingQueue } from '../spool/submission.js'
import { causeOf, type Parts } from './parts.js'
import type { Reach } from './reach.js'

const milliseconds = (seconds: number) => seconds * 1000

/** When senders here are told that nobody answered. */
export function trackingOf({ tracking }: Config): TrackingPolicy {
  return {
    processedMs: milliseconds(tracking.processedSeconds),
    dispatchedMs: milliseconds(tracking.dispatchedSeconds),
    alarmAfter: tracking.alarmAfter,
  }
}

/** What the end of mail on its way out makes true, by the queue it waits in. */
function endsOf(house: Omit<House, 'close'>, { edge }: Config) {
  const notices = openNotices({ ...house, clock })
  const told = { ...house, notices, clock }
  return {
    notices,
    ends: {
      [submissionQueue]: (job: ClaimedJob, why: string) => cancelWaiting(job, why, told),
      [outboundQueue]: outcomesOf(told),
      [edgeQueue]: edgeOutcomesOf({ ...told, isKnown: (system) => Object.hasOwn(edge.systems, system) }),
    },
  }
}

/** What operators may do to what waits. `nudge` hears of each queue in which something became due. */
export function queuesOf(house: Omit<House, 'close'>, config: Config, nudge: (queue: string) => void): Queues {
  const { ends } = endsOf(house, config)
  return openQueues({ ...house, clock, ends, nudge, pause: (ms) => sleep(ms) })
}

/**
 * Starts judging what came in, sending what was submitted, delivering what is sealed, handing over to systems of our own, and
 * looking after deadlines. Answers how to tell the worker of a queue that there is something to do.
 */
export function startMailWork(
  { house, config, log, metrics, closers }: Parts,
  reach: Reach,
  steps: Steps,
  world: { readonly attempt?: Attempt },
  told: Pick<InboundPorts, 'newcomers' | 'letters' | 'people' | 'links'> & { nudgeLetters(): void },
): (queue: string) => void {
  const { store, blobs, directory, spool } = house
  const { rsaTransport, contentCipher } = config.outbound
  const { notices, ends } = endsOf(house, config)
  const asked = {
    ...{ ...house, ...reach, ...told, steps, notices, clock, log, metrics },
    encryption: { rsaTransport, contentCipher },
  }
  const waiting = {
    deadlineMs: milliseconds(config.undecided.deadlineSeconds),
    retryMs: config.undecided.retrySeconds.map(milliseconds),
  }

  const works = new Map<string, Work>()
  const nudge = (queue: string) => works.get(queue)?.nudge()
  /** Whatever was settled may have made mail to others, to systems of our own, or both. */
  const onward = () => {
    nudge(outboundQueue)
    nudge(edgeQueue)
    told.nudgeLetters()
  }
  const add = (queue: string, work: Work) => {
    works.set(queue, work)
    closers.push((graceMs) => work.stop(graceMs))
  }
  /** What a queue of ours is worked off with; errors are told without what the job is about. */
  const workOff = (queue: string, handle: (job: ClaimedJob) => Promise<void>) =>
    add(
      queue,
      startWork({
        ...{ store, queue, clock },
        concurrency: config.inbound.concurrency,
        leaseMs: milliseconds(config.inbound.leaseSeconds),
        async handle(job) {
          await handle(job)
          onward()
        },
        onError: (error, job) =>
          log.error(`${queue}.failed`, { ...(job && { job: job.id, attempt: job.attempt }), cause: causeOf(error) }),
      }),
    )

  const exchanges = exchangesOf(config)
  const delivering = { store, blobs, clock, random, log, metrics, onConcluded: onward }
  const { outbound, edge } = config
  const lifetimeMs = {
    message: milliseconds(outbound.lifetimeSeconds),
    mdn: milliseconds(outbound.noticeLifetimeSeconds),
    edge: milliseconds(edge.lifetimeSeconds),
    asked: milliseconds(edge.requestedSeconds),
  }
  const scheduleOf = (seconds: readonly number[]) => ({ retryMs: seconds.map(milliseconds), lifetimeMs, jitter: 0.1 })
  add(
    outboundQueue,
    startDelivery({
      ...delivering,
      queue: outboundQueue,
      attempt: homeFirst(world.attempt ?? attemptsOf(config, exchanges), {
        isOurs: async (domain) => (await directory.domains.get(domain)) !== undefined,
        isServed: (address) => directory.addresses.isServed(address),
        async accept(envelope, data) {
          const accepted = await spool.accept(envelope, data)
          nudge(inboundQueue)
          return accepted
        },
        clock,
      }),
      prepare: (job) => noticeWire(job, asked),
      outcomeParts: ends[outboundQueue],
      schedule: scheduleOf(outbound.scheduleSeconds),
      concurrency: outbound.concurrency,
      perDomain: outbound.connectionsPerDomain,
    }),
  )
  add(
    edgeQueue,
    startDelivery({
      ...delivering,
      queue: edgeQueue,
      stored: storedMail({ mailbox: house.mailbox, hostname: config.hostname, fieldsOf: unsignedFieldsOf }),
      attempt: openEdgeAttempts({
        hostname: config.hostname,
        exchanges,
        systems: edge.systems,
        limits: { attemptMs: milliseconds(edge.attemptSeconds) },
      }),
      outcomeParts: ends[edgeQueue],
      schedule: scheduleOf(edge.scheduleSeconds),
      concurrency: edge.concurrency,
      perDomain: edge.connectionsPerSystem,
    }),
  )
  const policy = trackingOf(config)
  workOff(trackingQueue, (job) => track(job, asked, policy))
  workOff(submissionQueue, (job) => send(job, asked, waiting))
  workOff(inboundQueue, async (job) => {
    const spooled = spool.read(job)
    if (!spooled) throw new Error(`the spooled job ${job.id} cannot be read`)
    await receive(spooled, asked, waiting)
  })
  closers.push(
    watchQueues({ store, metrics, log, clock }, [
      ...works.keys(),
      webhookQueue,
      appEventQueue,
      connectQueue,
      lettersQueue,
      peopleQueue,
    ]),
  )
  return nudge
}

function exchangesOf({ dns }: Config): Exchanges {
  return openExchanges({ servers: dns.servers, timeoutMs: dns.timeoutMs, attempts: dns.attempts, random })
}

function attemptsOf({ hostname, outbound }: Config, exchanges: Exchanges): Attempt {
  return openAttempts({
    hostname,
    exchanges,
    routes: outbound.routes,
    ...(outbound.defaultRoute && { defaultRoute: outbound.defaultRoute }),
    port: outbound.port,
    tls: outbound.tls,
    tlsOf: outbound.tlsOf,
    limits: { attemptMs: milliseconds(outbound.attemptSeconds) },
  })
}
