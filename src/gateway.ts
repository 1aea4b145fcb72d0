import { createSecureContext } from 'node:tls'
import { listenForCommands } from './cli/control.js'
import { runCommand } from './cli/program.js'
import type { Config } from './config/settings.js'
import type { Attempt } from './delivery/attempt.js'
import { startActivation } from './gateway/activation.js'
import { certificatesOf, startBundles, startOwnCertificates, tokenPlace } from './gateway/certificates.js'
import { startConnections } from './gateway/connections.js'
import { startHttp } from './gateway/http.js'
import { startLetterWork } from './gateway/letters.js'
import { type SubmissionPortNumbers, startEdgeSubmission, startMail } from './gateway/listeners.js'
import { queuesOf, startMailWork, trackingOf } from './gateway/mail.js'
import { alarm, CannotStart, type Closer, causeOf, certificateOf, type Parts } from './gateway/parts.js'
import { startPeople, withHttpPort } from './gateway/people.js'
import { startPublishing } from './gateway/publishing.js'
import { openReach } from './gateway/reach.js'
import { hasRoom, startTimers } from './gateway/upkeep.js'
import { openWeb } from './gateway/web.js'
import { startWebhookWork } from './gateway/webhooks.js'
import { clock, type House, keepsEvents, pause, random } from './house.js'
import type { MasterKey } from './keyring/master-key.js'
import { watchEventLoop } from './observe/event-loop.js'
import { openHealth } from './observe/health.js'
import { openMetrics } from './observe/metrics.js'
import { operatorOf } from './operator.js'
import { sheetOf } from './pages/sheet.js'
import { type ExplainQuestion, explain } from './pipeline/explain.js'
import { openExport } from './pipeline/export.js'
import { openFhir } from './pipeline/fhir.js'
import { submitHandedIn } from './pipeline/handed-in.js'
import { type SubmitOutcome, type SubmitRequest, submit } from './pipeline/submit.js'
import { openTransmissions } from './pipeline/transmit.js'
import type { Log } from './ports/observe.js'
import { openEvents } from './spool/events.js'
import { inboundQueue } from './spool/spool.js'
import { submissionQueue, trackingQueue } from './spool/submission.js'
import { startPool } from './workers/pool.js'

export interface Gateway extends SubmissionPortNumbers {
  readonly smtpPort: number
  /** `http://127.0.0.1:8080`, without a slash at the end. */
  readonly httpUrl: string
  /** Takes no more mail, finishes what is in hand within the grace (the configured one by default), closes everything but the store. */
  close(graceMs?: number): Promise<void>
}

/** How old an answer about free disk may be: messages of one interval fit what is kept free many times. */
const roomEveryMs = 500

/**
 * Starts every listener and worker over an open house. `world.attempt` stands in for the network when mail goes out: for
 * measuring what comes before. Throws CannotStart, with everything closed again, where a port or a certificate is not to
 * be had.
 */
export async function startGateway(
  house: House,
  config: Config,
  masterKey: MasterKey,
  log: Log,
  world: { readonly attempt?: Attempt } = {},
): Promise<Gateway> {
  const closers: Closer[] = []
  try {
    return await start(house, await withHttpPort(config), masterKey, log, world, closers)
  } catch (error) {
    await closeAll(closers, 0, log)
    throw error
  }
}

/** Ends the parts, the last started first, all within one grace: a supervisor waits for the whole, not for each. */
async function closeAll(closers: Closer[], graceMs: number, log: Log): Promise<void> {
  const deadline = performance.now() + graceMs
  for (const close of closers.splice(0).reverse()) {
    try {
      await close(Math.max(0, deadline - performance.now()))
    } catch (error) {
      log.error('gateway.close-failed', { cause: causeOf(error) })
    }
  }
}

async function start(
  house: House,
  config: Config,
  masterKey: MasterKey,
  log: Log,
  world: { readonly attempt?: Attempt },
  closers: Closer[],
): Promise<Gateway> {
  const metrics = openMetrics()
  const health = openHealth()
  const room = recent(async () => hasRoom(await house.blobs.room(), config), roomEveryMs)
  health.add('store', () => house.store.healthy())
  health.add('disk', room)
  checkedCertificate('smtp', config.smtp.tls)
  checkedCertificate('http', config.http.tls)
  checkedCertificate('edge.submission', config.edge.submission.tls)
  closers.push(watchEventLoop({ log, metrics }))
  const parts: Parts = { house, config, masterKey, log, metrics, health, room, closers }

  const steps = startSteps(parts)
  const reach = openReach(house, config, {
    metrics,
    // An alarm, as under `soft` mail goes on without the answer.
    onUnavailable: ({ host, certificate, detail }) =>
      alarm(parts, 'revocation-unavailable', { domain: host, certificate }, detail),
  })
  closers.push(() => reach.close())
  const certificates = certificatesOf(house, config, { arithmetic: steps, log, metrics })
  const { letters, plainMail, nudge: nudgeLetters } = startLetterWork(parts)
  const society = await startPeople(parts, letters)
  const { people, consents, origin } = society
  const connections = await startConnections(parts, society, steps, letters)
  const links = { messages: `${origin}/records`, review: `${origin}/records` }
  const nudge = startMailWork(parts, reach, steps, world, {
    ...{ newcomers: connections.newcomers, letters, people, links },
    nudgeLetters,
  })
  const webhooks = startWebhookWork(parts)
  const bundles = startBundles(parts, reach)
  await startOwnCertificates(parts, certificates)
  await startPublishing(parts)
  const submitting = { ...house, clock, random, tracking: trackingOf(config) }
  const submitted = (outcome: SubmitOutcome) => {
    if (outcome.kind === 'submitted') {
      nudge(submissionQueue)
      nudge(trackingQueue)
    }
    return outcome
  }
  const sending = {
    submit: async (request: SubmitRequest) => submitted(await submit(request, submitting)),
    submissions: house.submissions,
  }
  const exports = openExport({
    record: house.record,
    clock,
    writer: steps,
    custodian: { kind: 'organization', text: config.records.custodian, identifiers: [] },
  })
  const activation = await startActivation(parts, certificates)
  const transmissions = openTransmissions({
    ...{ ...house, ...reach, ...sending, exports, clock, random },
    custodian: config.records.custodian,
    ...(plainMail && { plainMail }),
  })
  const web = await openWeb(parts, society, connections, activation)
  const ports = {
    ...{ sending, activation, transmissions, people, accounts: people, consents },
    ...{ ...connections, sheet: (code: Parameters<typeof sheetOf>[0]) => sheetOf(code, config.letters.service) },
    files: certificates.authority,
    views: steps,
    fhir: openFhir({ record: house.record, withheldLabels: config.records.withheldLabels, pause }),
    exports,
    queues: queuesOf(house, config, nudge),
    ...(keepsEvents(config) && { events: openEvents(house) }),
    explain: (question: ExplainQuestion) => explain(question, { ...reach, directory: house.directory, clock }),
  }
  const httpUrl = await startHttp(parts, ports, { ...web, origin })
  const smtpPort = await startMail(parts, () => nudge(inboundQueue))
  const edgePorts = await startEdgeSubmission(parts, async (message) =>
    submitted(await submitHandedIn(message, submitting)),
  )
  const operator = operatorOf(house, {
    config,
    arithmetic: steps,
    running: true,
    nudge,
    bundles,
    webhooks,
    certificates,
    reach,
  })
  const control = await listenForCommands({ dataDir: config.dataDir, operator, run: runCommand, log })
  closers.push(() => control.close())
  startTimers(parts)
  log.info('gateway.started', { smtpPort, ...edgePorts, httpUrl })

  return {
    smtpPort,
    ...edgePorts,
    httpUrl,
    async close(graceMs = config.shutdown.graceSeconds * 1000) {
      health.drain()
      await closeAll(closers, graceMs, log)
      log.info('gateway.stopped')
    },
  }
}

/** The worker threads, which alone do arithmetic with private keys. */
function startSteps({ config, masterKey, log, closers }: Parts): ReturnType<typeof startPool> {
  const { threads, memoryMiB } = config.workers
  const tokens = tokenPlace(config)
  const steps = startPool({
    masterKey: masterKey.secret,
    ...(threads > 0 && { threads }),
    heapMiB: memoryMiB,
    ...(tokens && { tokens }),
    log,
  })
  closers.push(() => steps.close())
  return steps
}

/** Asks at most once an interval, however often it is asked. */
function recent<T>(ask: () => Promise<T>, intervalMs: number): () => Promise<T> {
  let answer: Promise<T> | undefined
  let askedAt = 0
  return () => {
    if (!answer || performance.now() - askedAt > intervalMs) {
      askedAt = performance.now()
      answer = ask()
    }
    return answer
  }
}

/** Throws, in words, where the certificate of a listener does not load. */
function checkedCertificate(section: 'smtp' | 'http' | 'edge.submission', files: Config['smtp']['tls']): void {
  try {
    const certificate = certificateOf(files)
    if (certificate) createSecureContext(certificate)
  } catch (error) {
    throw new CannotStart(
      `the certificate of ${section}.tls does not load: ${error instanceof Error ? error.message : 'unknown'}`,
    )
  }
}
