import { appEventQueue, readWaiting } from '../connect/app-events.js'
import { startWork, type Work } from '../pipeline/work.js'
import type { Audit } from '../ports/audit.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type ClaimedJob, type Store, together } from '../ports/store.js'
import type { PostOutcome } from '../ports/webhooks.js'
import type { Clock, Random } from '../ports/world.js'
import { waitAfter } from './schedule.js'
import { readEndpoint } from './webhook-endpoint.js'
import { type Outward, openWebhookLine, webhookPostLimits } from './webhook-post.js'

export const appWebhookLimits = {
  /** Applications told at once: one that does not answer holds a place for ten seconds. */
  concurrency: 8,
  leaseMs: 60_000,
  /** How long one may lie unseen: whoever queues it does not know of this worker. */
  idleMs: 1000,
  /** Waits between tries; the last one repeats. */
  retryMs: [5_000, 60_000, 600_000, 3_600_000, 4 * 3_600_000],
  jitter: 0.1,
  /** HealthVault's ten days: whoever missed it by then finds it by polling. */
  giveUpMs: 10 * 86_400_000,
}

export interface AppWebhookOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly log: Log
  readonly metrics: Metrics
  /** Where an application is told now, and what its notices are signed with; undefined where it has no webhook. */
  webhook(app: string): Promise<{ readonly url: string; readonly secret: string } | undefined>
  /** Certificates of authorities that may vouch for the endpoints, in PEM; those of the system where absent. */
  readonly ca?: string
  /** Keeps notices out of the operator's own network: their places are chosen by the makers of applications. */
  readonly outward: Outward
  readonly limits?: Partial<typeof appWebhookLimits>
}

/**
 * Tells applications what waits for them: signed as Standard Webhooks has it, at least once, under the same id, over the
 * lines and by the endpoint rules of the operator's webhooks. What is not taken within ten days is let go, and audited.
 */
export function startAppWebhooks(options: AppWebhookOptions): Work {
  const { store, clock, log } = options
  const limits = { ...appWebhookLimits, ...options.limits }
  return startWork({
    ...{
      store,
      clock,
      queue: appEventQueue,
      concurrency: limits.concurrency,
      leaseMs: limits.leaseMs,
      idleMs: limits.idleMs,
    },
    handle: (job) => tell(options, limits, job),
    onError: (error) => log.error('app-webhook.error', { cause: String(error) }),
  })
}

async function tell(options: AppWebhookOptions, limits: typeof appWebhookLimits, job: ClaimedJob): Promise<void> {
  const { store, clock, random, audit, metrics, log } = options
  const { app, type, at, data } = readWaiting(job.payload)
  const webhook = await options.webhook(app)
  const outcome = webhook ? await post(options, { app, ...webhook }, job.id, { type, at, data }) : undefined
  metrics.count('app_webhook_deliveries_total', { outcome: outcome?.kind ?? 'none' })
  if (!outcome || outcome.kind === 'taken') {
    await store.commit({ ack: [{ job }] })
    return
  }
  const now = clock.now()
  if (outcome.kind === 'gone' || now - at >= limits.giveUpMs) {
    const reason = outcome.kind === 'gone' ? 'webhook-gone' : 'webhook-failing'
    const told = { at: now, action: 'app.event-dropped', actor: 'system', subject: { app, event: job.id } }
    await store.commit(together({ ack: [{ job }] }, { append: [audit.entry({ ...told, outcome: 'failed', reason })] }))
    log.warn('app-webhook.dropped', { app, reason })
    return
  }
  const wait = waitAfter(job.attempt, { retryMs: limits.retryMs, jitter: limits.jitter }, random)
  await store.commit({ release: [{ job, dueAt: now + Math.round(Math.max(wait, outcome.waitMs ?? 0)) }] })
  log.warn('app-webhook.failed', { app, tries: job.attempt })
}

async function post(
  { clock, ca, outward }: AppWebhookOptions,
  { app, url, secret }: { readonly app: string; readonly url: string; readonly secret: string },
  id: string,
  { type, at, data }: { readonly type: string; readonly at: number; readonly data: object },
): Promise<PostOutcome> {
  const read = readEndpoint({ name: app.toLowerCase(), url, secret, ca })
  if (read.kind === 'refused') return { kind: 'failed', detail: read.detail }
  const timestamp = new Date(at).toISOString()
  const body = Buffer.from(JSON.stringify({ type, timestamp, data: { id, at: timestamp, ...data } }))
  const line = openWebhookLine(read.endpoint, webhookPostLimits, outward)
  try {
    return await line.post({ id, body }, clock.now())
  } finally {
    line.close()
  }
}
