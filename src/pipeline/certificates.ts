import { type AuthoritySettings, openAuthority } from '../authority/authority.js'
import { handRegistrar, ownRegistrar } from '../authority/registrar.js'
import { parseAddress, parseDomain } from '../direct/address.js'
import type { Directory } from '../directory/directory.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { Audit } from '../ports/audit.js'
import type { CertificateAuthority } from '../ports/authority.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Registrar } from '../ports/registrar.js'
import type { ClaimedJob, Store } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { type Ending, type ExpiryPorts, endings, measureEndings, warnOfEndings } from './expiry.js'
import { firstCertificate } from './first-certificate.js'
import { certificateQueue, openRegistrations, type Registrations } from './registration.js'
import { type RenewalPolicy, renew, renewalPolicy } from './renewal.js'
import { startWork } from './work.js'

export interface CertificatePorts {
  readonly store: Store
  readonly directory: Directory
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
  readonly arithmetic: KeyArithmetic
  readonly log: Log
  readonly metrics: Metrics
  /** What ends outside the store: TLS files. */
  readonly outside?: () => Promise<readonly Ending[]>
  /** Authorities outside that speak a protocol, beside our own and the one that works by hand. */
  readonly registrars?: readonly Registrar[]
}

export interface CertificateSettings {
  readonly authority?: Partial<AuthoritySettings>
  readonly renewal?: RenewalPolicy
}

/** Certificates of our own, from the request to the end. */
export interface Certificates {
  readonly authority: CertificateAuthority
  readonly registrations: Registrations
  /** Everything that ends. */
  endings(): AsyncIterable<Ending>
  /** Sets the gauges of this process. */
  measure(): Promise<void>
  /** Does one job of the queue and ends it. */
  handle(job: ClaimedJob): Promise<void>
}

export const certificateWork = {
  /** One after the other: none is urgent, and each takes a worker thread. */
  concurrency: 1,
  /** A registrar outside may take its time. */
  leaseMs: 120_000,
  dailyMs: 86_400_000,
}

/** What waits in the queue: renewing and warning, revocation lists, one registrar to be asked, one address without any. */
export type CertificateJob =
  | { readonly kind: 'daily' }
  | { readonly kind: 'lists' }
  | { readonly kind: 'ask'; readonly owner: string; readonly id: string }
  /** An address that a person took has none yet. */
  | { readonly kind: 'first'; readonly owner: string }

/** Brings the parts together; nothing runs by itself until `startCertificates`. */
export function openCertificates(ports: CertificatePorts, settings: CertificateSettings = {}): Certificates {
  const { store, clock, outside = async () => [] } = ports
  const authority = openAuthority(ports, settings.authority)
  const registrars = [ownRegistrar(authority, 'registration'), handRegistrar, ...(ports.registrars ?? [])]
  const registrations = openRegistrations({ ...ports, registrars })
  const expiry: ExpiryPorts = { ...ports, authority, outside }

  /** When the job is due again; undefined where it is done for good. */
  async function dueAgain(job: CertificateJob): Promise<number | undefined> {
    const tomorrow = clock.now() + certificateWork.dailyMs
    switch (job.kind) {
      case 'daily':
        // First, so that after a long stop nobody is warned of what is mended in the same minute.
        await authority.renewLists()
        await renew({ ...ports, registrations }, settings.renewal ?? renewalPolicy)
        await warnOfEndings(expiry)
        return tomorrow
      case 'lists':
        // An authority that is made meanwhile comes with a list that is good for longer than a day.
        return Math.min((await authority.renewLists()) ?? tomorrow, tomorrow)
      case 'ask': {
        const owner = parseAddress(job.owner) ?? parseDomain(job.owner)
        return owner && registrations.advance(owner, job.id)
      }
      case 'first':
        return firstCertificate(job.owner, 'system', { ...ports, registrations })
    }
  }

  return {
    authority,
    registrations,
    endings: () => endings(expiry),
    measure: () => measureEndings(expiry),
    async handle(job) {
      const dueAt = await dueAgain(JSON.parse(Buffer.from(job.payload).toString()) as CertificateJob)
      await store.commit(dueAt === undefined ? { ack: [{ job }] } : { release: [{ job, dueAt }] })
    },
  }
}

/** Renews, warns and signs lists from now on, on one node at a time. `close` waits for what is under way, at most `graceMs`. */
export async function startCertificates(
  certificates: Certificates,
  { store, clock, log }: Pick<CertificatePorts, 'store' | 'clock' | 'log'>,
): Promise<{ close(graceMs?: number): Promise<boolean> }> {
  const dueAt = clock.now()
  const standing = (['daily', 'lists'] as const).map((kind) => {
    return { queue: certificateQueue, id: kind, dueAt, payload: Buffer.from(JSON.stringify({ kind })) }
  })
  await store.commit({ enqueue: standing })
  const work = startWork({
    store,
    queue: certificateQueue,
    concurrency: certificateWork.concurrency,
    leaseMs: certificateWork.leaseMs,
    clock,
    handle: certificates.handle,
    onError: (error, job) =>
      log.error('certificates.failed', { ...(job && { job: job.id, attempt: job.attempt }), cause: String(error) }),
  })
  return { close: (graceMs = 5_000) => work.stop(graceMs) }
}
