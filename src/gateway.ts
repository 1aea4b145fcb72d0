import { readFileSync } from 'node:fs'
import { buildApi, listenApi } from './api/api.js'
import { type Control, listenForCommands } from './cli/control.js'
import { runCommand } from './cli/program.js'
import type { Config } from './config/settings.js'
import { type Attempt, openAttempts } from './delivery/attempt.js'
import { startDelivery } from './delivery/worker.js'
import { clock, type House, random } from './house.js'
import type { MasterKey } from './keyring/master-key.js'
import { watchEventLoop } from './observe/event-loop.js'
import { openHealth } from './observe/health.js'
import { openMetrics } from './observe/metrics.js'
import { operatorOf } from './operator.js'
import { receive } from './pipeline/inbound.js'
import { openNotices } from './pipeline/notices.js'
import { startWork } from './pipeline/work.js'
import type { Log } from './ports/observe.js'
import { StoreFailed } from './ports/store.js'
import { aiaIssuers } from './resolve/aia.js'
import { crlRevocation } from './resolve/crl.js'
import { fetchWithin } from './resolve/fetch.js'
import { openExchanges } from './resolve/mx.js'
import { startSmtp } from './smtp/server.js'
import { inboundQueue } from './spool/spool.js'
import { startPool } from './workers/pool.js'

export interface Gateway {
  readonly smtpPort: number
  /** `http://127.0.0.1:8080`, without a slash at the end. */
  readonly httpUrl: string
  /** Resolves when the store has failed: only a new process may open it again. */
  readonly failed: Promise<void>
  /** Takes no more mail, finishes what is in hand within the configured grace, closes everything but the store. */
  close(): Promise<void>
}

const sweepEveryMs = 10 * 60_000
/** /readyz must be red within a second of a failed write, and the process ends soon after. */
const watchEveryMs = 500

/** Starts every listener and worker over an open house. `world.attempt` stands in for the network when mail goes out: for measuring what comes before. */
export async function startGateway(
  house: House,
  config: Config,
  masterKey: MasterKey,
  log: Log,
  world: { readonly attempt?: Attempt } = {},
): Promise<Gateway> {
  const { store, blobs, directory, spool, trail, quarantine, mailbox, record, audit } = house
  const { smtp, http, limits } = config
  const metrics = openMetrics()
  const health = openHealth()
  const unwatchLoop = watchEventLoop({ log, metrics })

  const steps = startPool({
    masterKey: masterKey.secret,
    ...(config.workers.threads > 0 && { threads: config.workers.threads }),
    heapMiB: config.workers.memoryMiB,
  })
  const fetch = fetchWithin({ timeoutMs: config.fetch.timeoutMs, allowPrivate: config.fetch.allowPrivateAddresses })
  const revocation = crlRevocation({ fetch, clock })
  const issuers = aiaIssuers({ fetch, clock, imported: directory.issuers })
  const notices = openNotices({ directory, vault: house.vault, trail, audit, steps, revocation, issuers, clock })

  const waiting = {
    deadlineMs: config.undecided.deadlineSeconds * 1000,
    retryMs: config.undecided.retrySeconds.map((seconds) => seconds * 1000),
  }
  const inboundPorts = {
    store,
    blobs,
    spool,
    trail,
    quarantine,
    directory,
    mailbox,
    record,
    revocation,
    issuers,
    steps,
    notices,
    audit,
    clock,
    log,
    metrics,
  }
  const delivery = startDelivery({
    store,
    clock,
    random,
    log,
    metrics,
    attempt: world.attempt ?? attemptsOf(config),
    prepare: notices.prepare,
    outcomeParts: notices.outcome,
    schedule: {
      retryMs: config.outbound.scheduleSeconds.map((seconds) => seconds * 1000),
      lifetimeMs: {
        message: config.outbound.lifetimeSeconds * 1000,
        mdn: config.outbound.noticeLifetimeSeconds * 1000,
      },
      jitter: 0.1,
    },
    concurrency: config.outbound.concurrency,
    perDomain: config.outbound.connectionsPerDomain,
  })
  const inbound = startWork({
    store,
    queue: inboundQueue,
    concurrency: config.inbound.concurrency,
    leaseMs: config.inbound.leaseSeconds * 1000,
    clock,
    idleMs: 30_000,
    async handle(job) {
      const spooled = spool.read(job)
      if (!spooled) throw new Error(`the spooled job ${job.id} cannot be read`)
      await receive(spooled, inboundPorts, waiting)
      delivery.nudge()
    },
    onError: (error, job) =>
      log.error('inbound.failed', { ...(job && { job: job.id, attempt: job.attempt }), cause: causeOf(error) }),
  })

  const room = async () => roomFor(await blobs.room(), limits.messageBytes)
  health.add('store', () => store.healthy())
  health.add('disk', room)

  const listener = await startSmtp({
    host: smtp.host,
    port: smtp.port,
    hostname: config.hostname,
    tls: () => certificateOf(smtp.tls),
    limits: {
      ...limits,
      limitLoopback: smtp.limitLoopback,
      idleMs: smtp.idleSeconds * 1000,
      commandPhaseMs: smtp.commandPhaseSeconds * 1000,
      dataBaseMs: smtp.dataBaseSeconds * 1000,
    },
    isServed: (address) => directory.addresses.isServed(address),
    async accept(envelope, data) {
      const accepted = await spool.accept(envelope, data)
      inbound.nudge()
      return accepted
    },
    room,
    healthy: () => store.healthy(),
    log,
    metrics,
    clock,
  })

  const tls = certificateOf(http.tls)
  const api = await buildApi(
    {
      ...{ mailbox, record, trail, quarantine, addresses: directory.addresses, store, audit, clock, log, metrics },
      authenticate: (secret) => directory.tokens.authenticate(secret, clock.now()),
      checks: () => health.ready(),
      exposition: () => metrics.exposition(),
    },
    {
      ...(tls && { tls }),
      behindTlsProxy: http.behindTlsProxy,
      metrics: http.metrics,
      trustedProxies: http.trustedProxies,
    },
  )
  const httpUrl = await listenApi(
    api,
    { host: http.host, port: http.port },
    { ...(tls && { tls }), behindTlsProxy: http.behindTlsProxy },
  )
  const control: Control = await listenForCommands({
    dataDir: config.dataDir,
    operator: operatorOf(house, () => inbound.nudge()),
    run: runCommand,
    log,
  })

  const sweeping = setInterval(
    () => void sweep(house, config).catch((error: unknown) => log.error('sweep.failed', { cause: causeOf(error) })),
    sweepEveryMs,
  )
  let watching: NodeJS.Timeout | undefined
  const failed = new Promise<void>((resolve) => {
    watching = setInterval(() => {
      if (!store.healthy()) resolve()
    }, watchEveryMs)
  })
  log.info('gateway.started', { smtpPort: listener.port, httpUrl })

  return {
    smtpPort: listener.port,
    httpUrl,
    failed,
    async close() {
      const graceMs = config.shutdown.graceSeconds * 1000
      clearInterval(sweeping)
      clearInterval(watching)
      health.drain()
      await control.close()
      await listener.close(graceMs)
      await Promise.all([inbound.stop(graceMs), delivery.stop(graceMs), api.close()])
      await steps.close()
      unwatchLoop()
      log.info('gateway.stopped')
    },
  }
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

/** Work that keeps the house small; each call is bounded, and what is left waits for the next. */
async function sweep({ spool, quarantine }: House, { retention }: Config): Promise<void> {
  await spool.sweepSeen()
  await spool.sweepBlobs()
  await quarantine.purge(retention.quarantineDays * 86_400_000)
}

/** Room for the next message: one and a half of the largest, and a twentieth of the disk (as Postfix keeps `queue_minfree`). */
function roomFor(
  room: { readonly freeBytes: number; readonly totalBytes: number; readonly freeInodes: number } | undefined,
  messageBytes: number,
): boolean {
  return !room || (room.freeBytes >= Math.max(1.5 * messageBytes, 0.05 * room.totalBytes) && room.freeInodes >= 0.05)
}

/** The certificate as its files are now, so that a renewed one needs no restart. */
function certificateOf({ certificateFile, keyFile }: Config['smtp']['tls']): { cert: string; key: string } | undefined {
  if (!certificateFile || !keyFile) return undefined
  return { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
}

function causeOf(error: unknown): string {
  return error instanceof StoreFailed
    ? error.message
    : error instanceof Error
      ? `${error.name}: ${error.message}`
      : 'unknown'
}
