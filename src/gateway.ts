import { readFileSync } from 'node:fs'
import { createSecureContext, type Server } from 'node:tls'
import { buildApi, listenApi } from './api/api.js'
import { listenForCommands } from './cli/control.js'
import { runCommand } from './cli/program.js'
import type { Config } from './config/settings.js'
import { type Attempt, openAttempts } from './delivery/attempt.js'
import { startDelivery } from './delivery/worker.js'
import { clock, type House, random } from './house.js'
import type { MasterKey } from './keyring/master-key.js'
import { watchEventLoop } from './observe/event-loop.js'
import { openHealth } from './observe/health.js'
import { openMetrics } from './observe/metrics.js'
import { watchQueues } from './observe/queues.js'
import { operatorOf } from './operator.js'
import { receive } from './pipeline/inbound.js'
import { openNotices } from './pipeline/notices.js'
import { startWork } from './pipeline/work.js'
import type { Blobs } from './ports/blobs.js'
import type { Log } from './ports/observe.js'
import { StoreFailed } from './ports/store.js'
import { aiaIssuers } from './resolve/aia.js'
import { openEvidence } from './resolve/evidence.js'
import { openExchanges } from './resolve/mx.js'
import { startSmtp } from './smtp/server.js'
import { outboundQueue } from './spool/outbound.js'
import { inboundQueue } from './spool/spool.js'
import { levelLimits } from './store/level/level.js'
import { openRevocation, type Unavailable } from './trust/revocation.js'
import { startPool } from './workers/pool.js'

export interface Gateway {
  readonly smtpPort: number
  /** `http://127.0.0.1:8080`, without a slash at the end. */
  readonly httpUrl: string
  /** Takes no more mail, finishes what is in hand within the grace (the configured one by default), closes everything but the store. */
  close(graceMs?: number): Promise<void>
}

/** Why the gateway does not start, in one line for the operator. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart'
  /** It may pass by itself: another process ends, an interface comes up. */
  readonly passing: boolean

  constructor(message: string, passing = false) {
    super(message)
    this.passing = passing
  }
}

const sweepEveryMs = 10 * 60_000
const renewEveryMs = 60_000
/** How long another gateway over the same database may go on with an anchor, a token or an address that was removed. */
const refreshEveryMs = 1_000
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
    return await start(house, config, masterKey, log, world, closers)
  } catch (error) {
    await closeAll(closers, 0, log)
    throw error
  }
}

/** Ends one part within its grace. */
type Closer = (graceMs: number) => unknown

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

/** What every part of the running gateway is given. */
interface Parts {
  readonly house: House
  readonly config: Config
  readonly masterKey: MasterKey
  readonly log: Log
  readonly metrics: ReturnType<typeof openMetrics>
  readonly health: ReturnType<typeof openHealth>
  /** Whether the next message fits. */
  readonly room: () => Promise<boolean>
  readonly closers: Closer[]
}

async function start(
  house: House,
  config: Config,
  masterKey: MasterKey,
  log: Log,
  world: { readonly attempt?: Attempt },
  closers: Closer[],
): Promise<Gateway> {
  const { store, blobs } = house
  const metrics = openMetrics()
  const health = openHealth()
  const room = recent(async () => hasRoom(await blobs.room(), config), roomEveryMs)
  health.add('store', () => store.healthy())
  health.add('disk', room)
  checkedCertificate('smtp', config.smtp.tls)
  checkedCertificate('http', config.http.tls)
  closers.push(watchEventLoop({ log, metrics }))

  const parts: Parts = { house, config, masterKey, log, metrics, health, room, closers }
  const { nudge } = startWorkers(parts, world)
  const httpUrl = await startHttp(parts)
  const smtpPort = await startMail(parts, nudge)
  const operator = operatorOf(house, nudge, { config, running: true })
  const control = await listenForCommands({ dataDir: config.dataDir, operator, run: runCommand, log })
  closers.push(() => control.close())
  startTimers(parts)
  log.info('gateway.started', { smtpPort, httpUrl })

  return {
    smtpPort,
    httpUrl,
    async close(graceMs = config.shutdown.graceSeconds * 1000) {
      health.drain()
      await closeAll(closers, graceMs, log)
      log.info('gateway.stopped')
    },
  }
}

/** Judging and delivering; answers how to tell that something was accepted. */
function startWorkers(
  { house, config, masterKey, log, metrics, closers }: Parts,
  world: { readonly attempt?: Attempt },
): { nudge(): void } {
  const { store, directory, spool, trail, audit } = house
  const steps = startPool({
    masterKey: masterKey.secret,
    ...(config.workers.threads > 0 && { threads: config.workers.threads }),
    heapMiB: config.workers.memoryMiB,
    log,
  })
  closers.push(() => steps.close())
  const reach = { timeoutMs: config.fetch.timeoutMs, allowPrivate: config.fetch.allowPrivateAddresses }
  const evidence = openEvidence({ reach, store, clock, metrics })
  closers.push(() => evidence.close())
  const issuers = aiaIssuers({ imported: directory.issuers, evidence })
  const onUnavailable = silenceAlarm(house, log)
  const revocation = openRevocation({ sources: evidence.revocation, issuers, clock, onUnavailable })
  const notices = openNotices({ directory, vault: house.vault, trail, audit, steps, revocation, issuers, clock })

  const { outbound } = config
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
      retryMs: outbound.scheduleSeconds.map((seconds) => seconds * 1000),
      lifetimeMs: { message: outbound.lifetimeSeconds * 1000, mdn: outbound.noticeLifetimeSeconds * 1000 },
      jitter: 0.1,
    },
    concurrency: outbound.concurrency,
    perDomain: outbound.connectionsPerDomain,
  })
  closers.push((graceMs) => delivery.stop(graceMs))

  const inboundPorts = { ...house, revocation, issuers, steps, notices, clock, log, metrics }
  const waiting = {
    deadlineMs: config.undecided.deadlineSeconds * 1000,
    retryMs: config.undecided.retrySeconds.map((seconds) => seconds * 1000),
  }
  const inbound = startWork({
    store,
    queue: inboundQueue,
    concurrency: config.inbound.concurrency,
    leaseMs: config.inbound.leaseSeconds * 1000,
    clock,
    async handle(job) {
      const spooled = spool.read(job)
      if (!spooled) throw new Error(`the spooled job ${job.id} cannot be read`)
      await receive(spooled, inboundPorts, waiting)
      delivery.nudge()
    },
    onError: (error, job) =>
      log.error('inbound.failed', { ...(job && { job: job.id, attempt: job.attempt }), cause: causeOf(error) }),
  })
  closers.push((graceMs) => inbound.stop(graceMs))
  closers.push(watchQueues({ store, metrics, log, clock }, [inboundQueue, outboundQueue]))
  return inbound
}

/** Tells that nobody says whether certificates are revoked: an alarm, as under `soft` mail goes on without the answer. */
function silenceAlarm({ store, audit }: House, log: Log): (told: Unavailable) => void {
  return ({ host, certificate, detail }) => {
    const reason = 'revocation-unavailable'
    log.error('alarm', { reason, host, certificate, detail })
    const subject = { domain: host, certificate }
    const entry = { at: clock.now(), action: 'alarm', actor: 'system', subject, outcome: 'failed' as const, reason }
    store.commit({ append: [audit.entry(entry)] }).catch((error: unknown) => {
      log.error('alarm.not-kept', { cause: causeOf(error) })
    })
  }
}

async function startHttp({ house, config, log, metrics, health, closers }: Parts): Promise<string> {
  const { http } = config
  const tls = certificateOf(http.tls)
  const behind = { ...(tls && { tls }), behindTlsProxy: http.behindTlsProxy }
  const api = await buildApi(
    {
      ...house,
      ...{ addresses: house.directory.addresses, clock, log, metrics },
      authenticate: (secret) => house.directory.tokens.authenticate(secret, clock.now()),
      checks: () => health.ready(),
      exposition: () => metrics.exposition(),
    },
    { ...behind, metrics: http.metrics, trustedProxies: http.trustedProxies },
  )
  closers.push((graceMs) => closeApi(api, graceMs))
  const url = await listening('http', http, () => listenApi(api, { host: http.host, port: http.port }, behind))
  closers.push(renewing(api.server, config, tls, log))
  return url
}

async function startMail({ house, config, log, metrics, room, closers }: Parts, accepted: () => void): Promise<number> {
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

/** Sweeping, and where other processes may change the directory, looking whether they did. */
function startTimers({ house, config, log, closers }: Parts): void {
  const every = (ms: number, failed: string, work: () => Promise<unknown>) => {
    const timer = setInterval(() => void work().catch((error) => log.error(failed, { cause: causeOf(error) })), ms)
    closers.push(() => clearInterval(timer))
  }
  every(sweepEveryMs, 'sweep.failed', () => sweep(house, config))
  if (house.store.shared) every(refreshEveryMs, 'directory.not-refreshed', () => house.directory.refresh())
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

/** Why a listener has no port, in words. */
const listenFaults: Readonly<Record<string, { readonly words: string; readonly passing: boolean }>> = {
  EADDRINUSE: { words: 'another program has that port', passing: true },
  EADDRNOTAVAIL: { words: 'this machine has no such address', passing: true },
  EACCES: { words: 'this user may not have it; take a port above 1023 and forward to it', passing: false },
  ENOTFOUND: { words: 'no such host', passing: false },
}

async function listening<T>(
  section: 'smtp' | 'http',
  { host, port }: { readonly host: string; readonly port: number },
  listen: () => Promise<T>,
): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const fault = listenFaults[codeOf(error)]
    const words = fault?.words ?? (error instanceof Error ? error.message : String(error))
    const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    throw new CannotStart(`cannot listen on ${place} (${section}.host, ${section}.port): ${words}`, fault?.passing)
  }
}

/** Ends what answers nobody now, waits for the others within the grace, then cuts them off. */
async function closeApi(
  api: { readonly server: { closeAllConnections(): void }; close(): PromiseLike<unknown> },
  graceMs: number,
): Promise<void> {
  const late = setTimeout(() => api.server.closeAllConnections(), graceMs)
  try {
    await api.close()
  } finally {
    clearTimeout(late)
  }
}

type ServerCertificate = { readonly cert: string; readonly key: string }

/** Keeps the HTTP listener's certificate in step with its files; answers how to stop. The SMTP listener looks for itself. */
function renewing(server: object, { http }: Config, first: ServerCertificate | undefined, log: Log): () => void {
  let current = first
  const timer = setInterval(() => {
    try {
      const next = certificateOf(http.tls)
      if (!next || !('setSecureContext' in server) || (next.cert === current?.cert && next.key === current?.key)) return
      createSecureContext(next)
      ;(server as Server).setSecureContext(next)
      current = next
      log.info('http.certificate-renewed')
    } catch (error) {
      log.error('http.certificate-not-loaded', { cause: causeOf(error) })
    }
  }, renewEveryMs)
  return () => clearInterval(timer)
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
  await quarantine.purge(retention.quarantineDays * 86_400_000)
  // Last: a bucket or a shared disk may be away while the store is there.
  await spool.sweepBlobs()
}

/**
 * Room for the next message: one and a half of the largest (as Postfix keeps `queue_minfree`), what the store may write by
 * itself, and a twentieth of the disk, in bytes as in inodes.
 */
function hasRoom(room: Awaited<ReturnType<Blobs['room']>>, { limits, store }: Config): boolean {
  if (!room) return true
  // LevelDB turns both of its buffers into tables without asking.
  const storeBytes = store.kind === 'level' ? 2 * levelLimits.writeBufferBytes : 0
  const wantedBytes = Math.max(1.5 * limits.messageBytes, storeBytes, 0.05 * room.totalBytes)
  return room.freeBytes >= wantedBytes && room.freeInodes >= 0.05
}

/** The certificate as its files are now, so that a renewed one needs no restart. */
function certificateOf({ certificateFile, keyFile }: Config['smtp']['tls']): ServerCertificate | undefined {
  if (!certificateFile || !keyFile) return undefined
  return { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
}

/** The certificate of a listener, or why it does not load. */
function checkedCertificate(section: 'smtp' | 'http', files: Config['smtp']['tls']): ServerCertificate | undefined {
  try {
    const certificate = certificateOf(files)
    if (certificate) createSecureContext(certificate)
    return certificate
  } catch (error) {
    throw new CannotStart(
      `the certificate of ${section}.tls does not load: ${error instanceof Error ? error.message : 'unknown'}`,
    )
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function causeOf(error: unknown): string {
  return error instanceof StoreFailed
    ? error.message
    : error instanceof Error
      ? `${error.name}: ${error.message}`
      : 'unknown'
}
