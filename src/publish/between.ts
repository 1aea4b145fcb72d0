import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../ports/observe.js'
import type { Publication, Publications } from '../ports/publish.js'
import type { NameServerLimits } from './limits.js'
import { isWithin, type Name, parentOf } from './wire.js'

/**
 * The names between: `doe.clinic.example` has no record, but `john.doe@clinic.example` is published below it. Such a name
 * exists (RFC 4592 §2.2.2); denying it would deny all below it (RFC 8020), and resolvers that ask label by label
 * (RFC 9156) would never come to the address.
 */
export interface NamesBetween {
  /** Whether something is published below. `unknown` before they were first gathered, and where they are too many. */
  has(name: Name): 'yes' | 'no' | 'unknown'
  /** Notes a published name that was just seen, so that it need not wait for the next gathering. */
  note(published: Name, apex: Name): void
  close(): void
}

export interface BetweenOptions {
  readonly publications: Publications
  readonly apexes: readonly Name[]
  readonly log: Log
  readonly limits: NameServerLimits
}

/** Gathers the names between at the start and again from time to time, page by page with rests, so that other work goes on. */
export async function openNamesBetween({ publications, apexes, log, limits }: BetweenOptions): Promise<NamesBetween> {
  const closed = new AbortController()
  let known: Set<Name> | undefined
  let noted = new Set<Name>()

  const add = (to: Set<Name>, published: Name, apex: Name) => {
    for (let name = parentOf(published); name !== apex && isWithin(name, apex); name = parentOf(name))
      if (to.size <= limits.between) to.add(name)
  }

  async function gather(): Promise<void> {
    const found = new Set<Name>()
    noted = new Set()
    let after: Publication['owner'] | undefined
    do {
      const from = performance.now()
      const page = await publications.all(after)
      for (const { owner } of page) {
        const name = nameOfOwner(owner)
        const apex = apexes.find((each) => isWithin(name, each))
        if (apex !== undefined) add(found, name, apex)
      }
      after = page.at(-1)?.owner
      // At most a third of the time: the gateway has other work.
      if (after !== undefined) await sleep(2 * (performance.now() - from), undefined, { signal: closed.signal })
    } while (after !== undefined)
    for (const name of noted) found.add(name)
    known = found
  }

  const round = () =>
    gather().catch((error: unknown) => {
      if (!closed.signal.aborted) log.warn('dns.names-not-gathered', { reason: String(error) })
    })
  const rest = (ms: number) => sleep(ms, undefined, { signal: closed.signal }).catch(() => undefined)

  const first = round()
  void first.then(async () => {
    for (await rest(limits.betweenEveryMs); !closed.signal.aborted; await rest(limits.betweenEveryMs)) await round()
  })
  await Promise.race([first, rest(limits.betweenFirstMs)])

  return {
    has(name) {
      if (!known || known.size > limits.between) return 'unknown'
      return known.has(name) ? 'yes' : 'no'
    },
    note(published, apex) {
      add(noted, published, apex)
      if (known) add(known, published, apex)
    },
    close: () => closed.abort(),
  }
}

/** The name at which an address or a domain is published (RFC 4398 §3.1 and the Applicability Statement §5.3): `@` reads as a dot. */
export function nameOfOwner(owner: Publication['owner']): Name {
  return owner.replace('@', '.')
}
