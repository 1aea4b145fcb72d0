import { type DirectAddress, parseAddress } from '../direct/address.js'
import type { Directory } from '../directory/directory.js'
import type { NewJob, Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { certificateQueue, type Registrations } from './registration.js'

export interface FirstCertificatePorts {
  readonly directory: Pick<Directory, 'addresses' | 'keys'>
  readonly registrations: Pick<Registrations, 'begin' | 'list'>
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
}

export const firstCertificateLimits = {
  /** The job waits while who activated the address asks himself. */
  afterMs: 60_000,
  /** Somebody is being proofed, or there is no authority yet. */
  againMs: 3_600_000,
}

/** The job that gets an address its first certificate; put in the queue in the commit that makes the address. */
export function firstCertificateJob(
  owner: DirectAddress,
  at: number,
  afterMs: number = firstCertificateLimits.afterMs,
): NewJob {
  const payload = Buffer.from(JSON.stringify({ kind: 'first', owner }))
  return { queue: certificateQueue, id: `first ${owner}`, dueAt: at + afterMs, payload }
}

/**
 * Asks for a certificate of the address alone, unless it has one or waits for one (an individual certificate for each address
 * that a patient controls: Blue Button+ §Direct). Answers when to come again, undefined where nothing is left to do.
 */
export async function firstCertificate(
  owner: DirectAddress | string,
  by: string,
  { directory, registrations, clock }: FirstCertificatePorts,
): Promise<number | undefined> {
  const address = parseAddress(owner)
  const standing = address && (await directory.addresses.standing(address))
  // Who enables it again puts the job back.
  if (!address || standing === undefined || standing === 'disabled') return undefined
  const again = clock.now() + firstCertificateLimits.againMs
  if (standing === 'awaiting-proofing') return again
  if ((await directory.keys.list(address)).some(({ retired }) => !retired)) return undefined
  if ((await registrations.list()).some((one) => one.owner === address)) return undefined
  const asked = await registrations.begin({ owner: address }, by)
  return asked.kind === 'refused' ? again : undefined
}
