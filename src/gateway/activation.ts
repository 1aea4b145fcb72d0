import { clock, random } from '../house.js'
import { type Activation, activationLimits, openActivation } from '../pipeline/activation.js'
import type { Certificates } from '../pipeline/certificates.js'
import { every, type Parts } from './parts.js'

/** A domain that was opened meanwhile has a certificate for newcomers by then. */
const prepareEveryMs = 60_000

/** Taking addresses for records; every domain that is open to it can be written to by newcomers' senders. */
export async function startActivation(parts: Parts, { registrations }: Certificates): Promise<Activation> {
  const { house, config, log } = parts
  const activation = openActivation(
    { ...{ directory: house.directory, store: house.store, clock, random }, registrations },
    { ...activationLimits, perRecord: config.records.addresses },
  )
  const prepare = () => activation.prepare()
  every(parts, prepareEveryMs, 'activation.not-prepared', prepare)
  await prepare().catch((error: unknown) => log.warn('activation.not-prepared', { cause: String(error) }))
  return activation
}
