import { type DirectAddress, type DirectDomain, parseAddress, parseDomain } from '../direct/address.js'
import type { Directory, KeyRecord, Owner } from '../directory/directory.js'
import type { Publication, Publications } from '../ports/publish.js'
import type { Clock } from '../ports/world.js'

export const publicationLimits = {
  /** Owners of one page of `all`, some 150 KB of certificates. */
  perPage: 100,
  /** Addresses of one read on the way to a page. */
  perRead: 500,
}

export interface PublicationOptions {
  readonly directory: Pick<Directory, 'domains' | 'addresses' | 'keys'>
  readonly clock: Clock
  readonly limits?: typeof publicationLimits
}

/**
 * What the directory may tell strangers (Applicability Statement §5): certificates valid now whose key may encipher, of keys
 * not retired, newest first; of domains and addresses that are served. Keys are looked for first, so that an address
 * without any is passed over like one that is not there.
 */
export function publicationsOf({ directory, clock, limits = publicationLimits }: PublicationOptions): Publications {
  const { domains, addresses, keys } = directory

  async function isServed(owner: Owner): Promise<boolean> {
    const address = parseAddress(owner)
    if (address) return addresses.isServed(address)
    const domain = parseDomain(owner)
    return domain !== undefined && (await domains.get(domain)) !== undefined
  }

  async function certificatesOf(owner: Owner): Promise<readonly Uint8Array[]> {
    const now = clock.now()
    const found = (await keys.asked(owner)).filter((key) => isPublished(key, now))
    if (found.length === 0 || !(await isServed(owner))) return []
    return found.map(({ certificate }) => certificate)
  }

  /** Domains in their order, then addresses in that of the directory. */
  async function* owners(after: Owner | undefined): AsyncGenerator<Owner> {
    const address = after === undefined ? undefined : parseAddress(after)
    if (!address) {
      const names = (await domains.list()).map(({ domain }) => domain).sort()
      yield* names.filter((name) => after === undefined || name > after)
    }
    for (let from: DirectAddress | undefined = address; ; ) {
      const page = await addresses.list({ limit: limits.perRead, ...(from && { after: from }) })
      for (const each of page.items) if (!each.disabled) yield each.address
      from = page.next === undefined ? undefined : parseAddress(page.next)
      if (!from) return
    }
  }

  return {
    certificatesOf,
    domains: async () => (await domains.list()).map(({ domain }): DirectDomain => domain),
    async all(after) {
      const page: Publication[] = []
      for await (const owner of owners(after)) {
        const certificates = await certificatesOf(owner)
        if (certificates.length > 0) page.push({ owner, certificates })
        if (page.length === limits.perPage) break
      }
      return page
    },
  }
}

function isPublished({ mayEncrypt, retired, notBefore, notAfter }: KeyRecord, now: number): boolean {
  return mayEncrypt && !retired && notBefore <= now && now <= notAfter
}
