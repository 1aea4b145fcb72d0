import { createServer } from 'node:net'
import type { Config } from '../config/settings.js'
import type { Consents } from '../consent/consent.js'
import { openConsents } from '../consent/consents.js'
import { openPseudonyms } from '../consent/pseudonyms.js'
import { clock, random } from '../house.js'
import { openSlowHash, slowHashLimits } from '../keyring/slow-hash.js'
import { openPeople, type PeopleHouse } from '../people/open.js'
import { peopleQueue } from '../people/rows.js'
import { startWork } from '../pipeline/work.js'
import type { Letters } from '../ports/letters.js'
import { causeOf, type Parts } from './parts.js'

/** What people do with applications, and the applications with them. */
export interface Society {
  /** Where browsers see us. */
  readonly origin: string
  readonly people: PeopleHouse
  readonly consents: Consents
}

/** Signing in and answering codes have a half each: whoever keeps one of them busy keeps nobody from the other. */
export const halfOfSlowHash = { ...slowHashLimits, atOnce: slowHashLimits.atOnce / 2 }

/** Jobs of people done at once: each is one small commit. */
const jobsAtOnce = 4
const leaseMs = 60_000
/** How long one may lie unseen. */
const idleMs = 1000

/** Opens accounts, sessions, records and grants, and does what they leave for later. */
export async function startPeople(parts: Parts, letters: Letters): Promise<Society> {
  const { house, config, log, closers } = parts
  const { store, activity } = house
  const origin = originOf(config)
  const slowHash = openSlowHash(halfOfSlowHash)
  const { secondFactor, idleSeconds, absoluteSeconds, recoveryWaitSeconds, ...ages } = config.people
  const common = { ...house, clock, random, letters }
  const people = openPeople(
    {
      ...{ ...common, slowHash, indexKey: await house.indexKey('people') },
      history: (record, { at, action, by, addressee }) =>
        activity.entry(record, {
          ...{ at, outcome: 'success', action: action === 'unshare' ? 'unshare' : 'share' },
          from: by === 'system' ? { by, avenue: 'page' } : { by: `person:${by}`, avenue: 'page', person: by },
          ...(addressee !== undefined && { addressee }),
        }),
      async erase(record) {
        const by = { by: 'system', avenue: 'page' } as const
        for (const { id } of await consents.ofRecord(record)) await consents.revoke(id, 'operator', by)
        for (const { address } of await house.directory.addresses.ofRecord(record))
          await house.directory.addresses.setDisabled(address, true, 'system')
        await house.record.erase(record)
      },
    },
    {
      ...{ origin, secondFactor, house: config.letters.service },
      limits: {
        ...ages,
        idleMs: idleSeconds * 1000,
        absoluteMs: absoluteSeconds * 1000,
        recoveryWaitMs: recoveryWaitSeconds * 1000,
      },
    },
  )
  const work = startWork({
    ...{ store, clock, queue: peopleQueue, concurrency: jobsAtOnce, leaseMs, idleMs },
    handle: (job) => people.handle(job),
    onError: (error, job) => log.error('people.failed', { cause: causeOf(error), ...(job && { job: job.id }) }),
  })
  closers.push((graceMs) => work.stop(graceMs))
  const consents = openConsents({
    ...{ ...common, people, activity },
    pseudonyms: openPseudonyms(await house.indexKey('pseudonyms')),
    letters: { port: letters, url: `${origin}/account/apps` },
  })
  return { origin, people, consents }
}

function originOf({ http: { publicUrl, port, tls } }: Config): string {
  return publicUrl ?? `${tls.certificateFile ? 'https' : 'http'}://localhost:${port}`
}

/** A configuration whose HTTP port is known before anything is opened, since links, issuers and cookies are made of it. */
export async function withHttpPort(config: Config): Promise<Config> {
  if (config.http.port !== 0) return config
  return { ...config, http: { ...config.http, port: await freePort(config.http.host) } }
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
