import type { Directory, KeyRecord, Owner } from '../directory/directory.js'
import type { Audit } from '../ports/audit.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { Registration, Registrations } from './registration.js'

export interface RenewalPolicy {
  /** How long before its end a certificate is renewed; one that lives shortly, in the last third of its life. */
  readonly beforeMs: number
  /** How long the old certificate stays in use beside the new one: peers remember what they found. */
  readonly overlapMs: number
}

export const renewalPolicy: RenewalPolicy = {
  beforeMs: 30 * 86_400_000,
  overlapMs: 14 * 86_400_000,
}

export interface RenewalPorts {
  readonly directory: Pick<Directory, 'domains' | 'addresses' | 'keys'>
  readonly registrations: Pick<Registrations, 'begin' | 'list' | 'withdraw'>
  readonly store: Pick<Store, 'commit'>
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

export interface RenewalCounts {
  readonly renewed: number
  readonly waiting: number
  readonly failed: number
  readonly retired: number
}

/** Who the audit log names for what happens by itself. */
const renewer = 'renewal'

/**
 * Renews what we registered ourselves and what ends soon, each with a new key, and retires what a newer one has stood
 * beside for long enough. A retired key still opens old mail. For the queue, once a day: what failed is told and tried
 * again the next day.
 */
export async function renew(ports: RenewalPorts, policy: RenewalPolicy = renewalPolicy): Promise<RenewalCounts> {
  const counts = { renewed: 0, waiting: 0, failed: 0, retired: 0 }
  const open = new Map<string, Registration>()
  for (const registration of await ports.registrations.list())
    if (registration.renews !== undefined) open.set(registration.renews, registration)
  for await (const keys of keysByOwner(ports.directory)) {
    for (const key of keys) {
      if (!key.registered || key.retired) continue
      const newer = successorOf(key, keys)
      if (newer) counts.retired += await retireAfter(ports, key, newer, policy.overlapMs)
      else if (isDue(key, ports.clock.now(), policy)) counts[await renewOne(ports, key, open.get(key.id))]++
    }
  }
  return counts
}

/** Whether a certificate ends soon, by its own measure: one for 20 days would else be renewed on the day it is made. */
function isDue({ notBefore, notAfter }: KeyRecord, now: number, { beforeMs }: RenewalPolicy): boolean {
  return notAfter - now <= Math.min(beforeMs, (notAfter - notBefore) / 3)
}

/** The keys of each owner that has any, owner by owner: a gateway has more of them than fit in memory at once. */
export async function* keysByOwner({
  domains,
  addresses,
  keys,
}: Pick<Directory, 'domains' | 'addresses' | 'keys'>): AsyncIterable<readonly KeyRecord[]> {
  const ofOwner = async (owner: Owner) => {
    const found = await keys.list(owner)
    return found.length > 0 ? [found] : []
  }
  for (const { domain } of await domains.list()) yield* await ofOwner(domain)
  for (let after: string | undefined; ; ) {
    const page = await addresses.list({ limit: 1_000, ...(after !== undefined && { after }) })
    for (const { address } of page.items) yield* await ofOwner(address)
    if (page.next === undefined) return
    after = page.next
  }
}

/** The key that took the place of another: for the same use, in use, and good for longer. */
export function successorOf(key: KeyRecord, all: readonly KeyRecord[]): KeyRecord | undefined {
  return all.find(
    (other) =>
      other.id !== key.id &&
      !other.retired &&
      other.notAfter > key.notAfter &&
      (other.maySign || !key.maySign) &&
      (other.mayEncrypt || !key.mayEncrypt),
  )
}

async function retireAfter(
  { directory, clock }: RenewalPorts,
  key: KeyRecord,
  newer: KeyRecord,
  overlapMs: number,
): Promise<number> {
  const now = clock.now()
  // Not before the new one is good itself; and at the end of the old one at the latest.
  if (newer.notBefore > now || (now < newer.addedAt + overlapMs && now <= key.notAfter)) return 0
  const done = await directory.keys.retire(key.owner, key.id, renewer)
  return done.kind === 'done' ? 1 : 0
}

async function renewOne(
  ports: RenewalPorts,
  key: KeyRecord,
  open: Registration | undefined,
): Promise<'renewed' | 'waiting' | 'failed'> {
  if (open && open.state !== 'refused') return 'waiting'
  if (open) await ports.registrations.withdraw(open.id, renewer)
  const { registrar, use, kind } = key.registered ?? { registrar: '', use: 'both', kind: 'rsa-2048' }
  const asked = { owner: key.owner, use, kind, registrar, renews: key.id }
  const outcome = await ports.registrations.begin(asked, renewer)
  if (outcome.kind === 'registered') return 'renewed'
  if (outcome.kind === 'waiting' && outcome.registration.state !== 'refused') return 'waiting'
  await alarm(ports, key, outcome.kind === 'waiting' ? outcome.registration.detail : outcome.detail)
  return 'failed'
}

async function alarm({ store, audit, clock, log, metrics }: RenewalPorts, key: KeyRecord, detail: string) {
  const subject = { owner: key.owner, certificate: key.id }
  const at = clock.now()
  const action = 'certificate.renewal-failed'
  await store.commit({ append: [audit.entry({ at, action, actor: renewer, subject, outcome: 'failed' })] })
  log.error(action, { owner: key.owner, certificate: key.id, cause: detail })
  metrics.count('certificate_renewals_failed_total')
}
