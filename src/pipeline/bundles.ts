import { bundleIntervals, bundleQueue } from '../directory/bundle-rows.js'
import type {
  BundleContent,
  BundleLoad,
  BundleRecord,
  BundleSource,
  BundleStatus,
  BundleUse,
  Directory,
} from '../directory/directory.js'
import { type DirectoryRefusal, problem } from '../directory/problem.js'
import type { Audit } from '../ports/audit.js'
import type { ConditionalFetch } from '../ports/fetch.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Batch, type ClaimedJob, type Store, together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { bundleLimits } from '../x509/bundle.js'
import {
  type BundleFault,
  type BundleRefused,
  type BundleTrustPorts,
  type BundleWarning,
  judgeBundle,
} from './bundle-content.js'
import { startWork, type Work } from './work.js'

export interface BundlePorts extends BundleTrustPorts {
  readonly directory: Pick<Directory, 'bundles'>
  readonly fetch: ConditionalFetch
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
  readonly log?: Log
  readonly metrics?: Metrics
}

/** What the fetch of a bundle may take; for whoever makes the port. */
export const bundleFetchRules = { sizeBytes: bundleLimits.sizeBytes, timeoutMs: 30_000, redirects: 3 }

export const bundleRefresh = {
  /** The first wait after a failure; doubled each time, up to the interval of the bundle. */
  retryMs: 10 * 60_000,
  /** How much sooner than its interval a bundle is loaded at most, so that gateways do not all ask at once. */
  jitter: 0.1,
  /** A bundle that still fails calls for a person once a day. */
  alarmEveryMs: 24 * 3_600_000,
  /** A copy that its source has not confirmed for so many intervals is old. */
  oldIntervals: 3,
  /** Where the bundle was changed while it was loaded. */
  againMs: 1_000,
  /** Bundles at once; each may take its eight megabytes. */
  concurrency: 2,
  leaseMs: 120_000,
}

export type SourceWarning = BundleWarning | 'fetched-in-the-clear'

/** A bundle as an operator names it: where it is fetched, or the file itself. */
export interface NewBundle extends BundleSource {
  readonly name: string
  readonly uses?: readonly BundleUse[]
  readonly file?: Uint8Array
  /** Keep it without loading it now. */
  readonly later?: boolean
}

export type BundleKept =
  | { readonly kind: 'kept'; readonly bundle: BundleRecord; readonly warnings: readonly SourceWarning[] }
  | DirectoryRefusal
  | BundleRefused

export type Refreshed =
  /** Other anchors, or other words about them, are in force; fingerprints. */
  | {
      readonly kind: 'replaced'
      readonly added: readonly string[]
      readonly removed: readonly string[]
      readonly warnings: readonly BundleWarning[]
    }
  /** The source still has what is in force. */
  | { readonly kind: 'unchanged' }
  /** The copy in force stays. */
  | { readonly kind: 'failed'; readonly fault: BundleFault; readonly detail: string }
  | DirectoryRefusal

export interface Bundles {
  /** Loads a bundle and keeps it. Refuses one that cannot be loaded or does not hold, unless told to load it later. */
  add(bundle: NewBundle, by: string): Promise<BundleKept>
  /** Gives a bundle another source, signer or interval, and loads it so; what is not named stays. Refuses like `add`. */
  change(bundle: Omit<NewBundle, 'uses'>, by: string): Promise<BundleKept>
  /** Loads it now. A failure leaves the copy in force, and is noted as one that happened by itself would be. */
  refresh(name: string, by: string): Promise<Refreshed>
}

export function openBundles(ports: BundlePorts): Bundles {
  const { directory, clock } = ports
  return {
    async add({ file, later, ...bundle }, by) {
      if (file === undefined && bundle.url === undefined) return problem('bad-url')
      const loaded = later && !file ? undefined : await firstLoad(ports, bundle, file)
      if (loaded?.kind === 'refused') return loaded
      const added = await directory.bundles.add(bundle, loaded?.load, by)
      return added.kind === 'refused' ? added : keptAs(added.bundle, loaded?.warnings)
    },
    async change({ file, later, name, ...source }, by) {
      const bundle = await directory.bundles.get(name)
      if (!bundle) return problem('not-found', name)
      const next = { ...sourceOf(bundle), ...source }
      if (file === undefined && next.url === undefined) return problem('bad-url')
      const loaded = later && !file ? undefined : await firstLoad(ports, next, file)
      if (loaded?.kind === 'refused') return loaded
      const changed = await directory.bundles.change(bundle, source, loaded?.load, by)
      return changed.kind === 'refused' ? changed : keptAs(changed.bundle, loaded?.warnings)
    },
    async refresh(name, by) {
      const bundle = await directory.bundles.get(name)
      if (!bundle) return problem('not-found', name)
      const { nextAt } = bundle.status
      return refreshBundle(bundle, ports, by, () => ({ nextAt: nextAt ?? clock.now(), also: {} }))
    },
  }
}

/**
 * Loads bundles when they are due. Every node may run it: the job of a bundle is held by one at a time, and ends in the
 * batch that notes how it went.
 */
export function startBundleRefresh(ports: BundlePorts): Work {
  const { store, clock, directory, log } = ports
  return startWork({
    store,
    queue: bundleQueue,
    concurrency: bundleRefresh.concurrency,
    leaseMs: bundleRefresh.leaseMs,
    clock,
    async handle(job) {
      const [name = ''] = job.id.split(' ')
      const bundle = await directory.bundles.get(name)
      if (bundle?.job !== job.id || bundle.url === undefined) {
        await store.commit({ ack: [{ job }] })
        return
      }
      const done = await refreshBundle(bundle, ports, 'system', (waitMs) => released(job, clock.now() + waitMs))
      if (done.kind === 'refused') await store.commit(released(job, clock.now() + bundleRefresh.againMs).also)
    },
    onError: (error, job) =>
      log?.error('bundle.refresh-failed', {
        ...(job && { bundle: job.id.split(' ')[0] ?? '' }),
        cause: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown',
      }),
  })
}

/** When a bundle is loaded next, and what must become true for that. */
type NextLoad = (waitMs: number) => { readonly nextAt: number; readonly also: Batch }

function released(job: ClaimedJob, nextAt: number) {
  return { nextAt, also: { release: [{ job, dueAt: nextAt }] } }
}

/**
 * Loads one bundle anew, in these steps: fetch if it changed, judge what came, put it in force. Whatever fails (another
 * status than 200, too large, no bundle, empty, not signed by whom it should be, older) leaves the copy in force as it is.
 * Refuses where the bundle was changed or removed meanwhile, and then notes nothing.
 */
async function refreshBundle(bundle: BundleRecord, ports: BundlePorts, by: string, next: NextLoad): Promise<Refreshed> {
  const { directory, clock, random } = ports
  const { name, url, copy, status } = bundle
  if (url === undefined) return problem('bad-url', `${name} came from a file`)

  const answer = await ports.fetch(url, copy ? status.validators : undefined)
  if (answer.kind === 'failed') return fail('not-fetched', answer.detail)
  if (answer.kind === 'not-modified') {
    if (!copy) return fail('not-fetched', 'not modified, says the source, and nothing is here')
    return confirm(status.validators)
  }

  const judged = await judgeBundle({ bytes: answer.bytes, signer: bundle.signer?.certificate, at: clock.now() }, ports)
  if (judged.kind === 'refused') return fail(judged.fault, judged.detail)
  if (judged.content.digest === copy?.digest) return confirm(answer.validators)

  if (isOlder(judged.content, copy, clock.now()))
    return fail('older', `signed ${isoOf(judged.content.signedAt)}, and the copy in force ${isoOf(copy?.signedAt)}`)

  const { nextAt, also } = next(successWait(bundle, random))
  const load: BundleLoad = { content: judged.content, status: succeeded(clock.now(), nextAt, answer.validators) }
  const replaced = await directory.bundles.replace(bundle, load, by, also)
  if (replaced.kind === 'refused')
    return replaced.problem === 'changed-meanwhile' ? replaced : fail('not-kept', replaced.problem)
  tell(ports, name, 'replaced', { added: replaced.added.length, removed: replaced.removed.length })
  return { ...replaced, warnings: judged.warnings }

  async function confirm(validators: BundleStatus['validators']): Promise<Refreshed> {
    const { nextAt, also } = next(successWait(bundle, random))
    const noted = await directory.bundles.note(bundle, succeeded(clock.now(), nextAt, validators), also)
    if (!noted) return problem('changed-meanwhile', name)
    tell(ports, name, 'unchanged')
    return { kind: 'unchanged' }
  }

  async function fail(fault: BundleFault, detail: string): Promise<Refreshed> {
    const now = clock.now()
    const { nextAt, also } = next(failureWait(bundle, random))
    const { status: failing, alarm } = failed(bundle, { at: now, fault, detail: detail.slice(0, 1_000) }, nextAt)
    const noted = await directory.bundles.note(
      bundle,
      failing,
      alarm ? together(also, alarmed(ports, name, fault)) : also,
    )
    if (!noted) return problem('changed-meanwhile', name)
    ports.metrics?.count('bundle_refreshes_total', { outcome: 'failed' })
    ports.log?.[alarm ? 'error' : 'warn'](alarm ? 'alarm' : 'bundle.not-loaded', { bundle: name, reason: fault })
    return { kind: 'failed', fault, detail }
  }
}

/**
 * Whether a bundle was signed before the one in force, by the word of those who signed them. A time that is still to come
 * was a mistake, which must not keep out everything after it.
 */
function isOlder(
  { signedAt }: Pick<BundleContent, 'signedAt'>,
  copy: Pick<BundleContent, 'signedAt'> | undefined,
  now: number,
): boolean {
  const inForce = copy?.signedAt
  return signedAt !== undefined && inForce !== undefined && inForce <= now && signedAt < inForce
}

function isoOf(at: number | undefined): string {
  return at === undefined ? '' : new Date(at).toISOString()
}

async function firstLoad(
  ports: BundlePorts,
  { url, signer, refreshMs = bundleIntervals.defaultMs }: BundleSource,
  file: Uint8Array | undefined,
): Promise<{ kind: 'loaded'; load: BundleLoad; warnings: readonly SourceWarning[] } | BundleRefused> {
  const { clock, random } = ports
  const answer = file || url === undefined ? undefined : await ports.fetch(url)
  if (answer && answer.kind !== 'fetched')
    return { kind: 'refused', fault: 'not-fetched', detail: answer.kind === 'failed' ? answer.detail : 'not modified' }
  const bytes = file ?? answer?.bytes ?? new Uint8Array()
  const judged = await judgeBundle({ bytes, signer, at: clock.now() }, ports)
  if (judged.kind === 'refused') return judged
  const now = clock.now()
  const nextAt = url === undefined ? undefined : now + successWait({ refreshMs }, random)
  const inTheClear = url !== undefined && signer === undefined && !url.toLowerCase().startsWith('https:')
  return {
    kind: 'loaded',
    load: { content: judged.content, status: succeeded(now, nextAt, answer?.validators) },
    warnings: [...judged.warnings, ...(inTheClear ? ['fetched-in-the-clear' as const] : [])],
  }
}

function sourceOf({ url, signer, refreshMs }: BundleRecord): BundleSource {
  return { ...(url !== undefined && { url }), ...(signer && { signer: signer.certificate }), refreshMs }
}

function keptAs(bundle: BundleRecord, warnings: readonly SourceWarning[] = []): BundleKept {
  return { kind: 'kept', bundle, warnings }
}

function succeeded(now: number, nextAt: number | undefined, validators: BundleStatus['validators'] = {}): BundleStatus {
  return { triedAt: now, confirmedAt: now, failures: 0, ...(nextAt !== undefined && { nextAt }), validators }
}

/** The status after a failure, and whether a person is called: at the first, once a day, and when the copy becomes old. */
function failed(
  { status, refreshMs, addedAt }: BundleRecord,
  failure: NonNullable<BundleStatus['failure']>,
  nextAt: number,
): { readonly status: BundleStatus; readonly alarm: boolean } {
  const { at } = failure
  const old = at - (status.confirmedAt ?? addedAt) > bundleRefresh.oldIntervals * refreshMs
  const alarm =
    status.alarmedAt === undefined ||
    at - status.alarmedAt >= bundleRefresh.alarmEveryMs ||
    (old && status.alarmedAsOld !== true)
  return {
    status: {
      ...status,
      triedAt: at,
      failures: status.failures + 1,
      failure,
      nextAt,
      ...(alarm && { alarmedAt: at, alarmedAsOld: old }),
    },
    alarm,
  }
}

function alarmed({ audit, clock }: BundlePorts, bundle: string, reason: BundleFault): Batch {
  const entry = { at: clock.now(), action: 'alarm', actor: 'system', subject: { bundle }, reason }
  return { append: [audit.entry({ ...entry, outcome: 'failed' })] }
}

/** Sooner by up to a tenth, never later: at least daily is what the guide asks. */
function successWait({ refreshMs }: { readonly refreshMs: number }, random: Random): number {
  return Math.round(refreshMs * (1 - bundleRefresh.jitter * fraction(random)))
}

function failureWait({ refreshMs, status }: BundleRecord, random: Random): number {
  const wait = Math.min(refreshMs, bundleRefresh.retryMs * 2 ** Math.min(status.failures, 20))
  return Math.round(wait * (1 - bundleRefresh.jitter * fraction(random)))
}

function fraction(random: Random): number {
  return (random.bytes(1)[0] ?? 0) / 256
}

function tell(
  { log, metrics, clock }: BundlePorts,
  bundle: string,
  outcome: 'replaced' | 'unchanged',
  counts: Readonly<Record<string, number>> = {},
): void {
  metrics?.count('bundle_refreshes_total', { outcome })
  metrics?.gauge('bundle_confirmed_timestamp_seconds', clock.now() / 1000, { bundle })
  log?.info(`bundle.${outcome}`, { bundle, ...counts })
}
