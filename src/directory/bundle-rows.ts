import type { DirectDomain } from '../direct/address.js'
import type { Anchor, Direction } from '../ports/trust.js'
import type { Certificate } from '../x509/certificate.js'
import {
  base64,
  described,
  isAuthority,
  once,
  readNew,
  readOne,
  stored,
  type TestOnlyPolicy,
  validityWarnings,
} from './certificate.js'
import type { BundleAnchor, BundleContent, BundleCopy, BundleSource, BundleStatus, BundleUse } from './directory.js'
import { type DirectoryRefusal, problem } from './problem.js'
import { directoryLimits, type Row, type RowChange, type Rows } from './rows.js'

/** One job for each bundle with a URL, due when it is to be loaded again. */
export const bundleQueue = 'bundles'

/** How often a bundle is loaded again. */
export const bundleIntervals = {
  defaultMs: 24 * 3_600_000,
  leastMs: 60_000,
  /** Trust Bundle Distribution IG: at least daily, so that who was removed is not trusted for longer. */
  mostMs: 24 * 3_600_000,
}

/** The head of a bundle; its anchors, its uses and its status are rows of their own. */
export interface BundleRow {
  readonly url?: string
  readonly refreshMs: number
  /** Base64 of DER. */
  readonly signer?: string
  readonly addedAt: number
  readonly job: string
  readonly copy?: BundleCopy
}

/** One anchor of one bundle, under its fingerprint. */
export interface AnchorRow {
  /** Base64 of DER. */
  readonly certificate: string
  readonly addedAt: number
}

/** That a domain uses a bundle. */
export interface UseRow {
  readonly direction: Direction
  readonly addedAt: number
}

export const headPrefix = 'directory/bundle/'
export const headKey = (name: string) => headPrefix + name
export const anchorPrefix = (name: string) => `directory/bundle-anchor/${name} `
export const usesPrefix = 'directory/bundle-use/'
export const useKey = (domain: string, name: string) => `${usesPrefix}${domain} ${name}`
/** Written with every try, so it stands apart from what is remembered: nobody forgets his anchors for it. */
export const statusKey = (name: string) => `directory/bundle-status/${name}`

/** What a bundle may be called. */
export const bundleName = /^[a-z0-9][a-z0-9.-]{0,63}$/
/** What a use may say. */
export const directions: readonly string[] = ['in', 'out', 'both'] satisfies Direction[]

/** What the anchors of an address are made of where its domain uses bundles. */
export interface BundleAnchors {
  /** The anchors of every bundle that the domain uses in this direction; each list the same one while nothing changed. */
  of(domain: DirectDomain, direction: 'in' | 'out'): Promise<readonly (readonly Anchor[])[]>
}

/** Reads the anchors of bundles for `Anchors.of`, through what is remembered of the rows. */
export function openBundleAnchors(rows: Rows): BundleAnchors {
  const decode = once((found: readonly Row<AnchorRow>[]): readonly Anchor[] => {
    const bundle = found[0]?.key.slice('directory/bundle-anchor/'.length).split(' ')[0] ?? ''
    return found.map(({ value }) => ({
      bundle,
      certificate: stored(value.certificate).certificate.der,
      direction: 'both',
    }))
  })
  return {
    async of(domain, direction) {
      const uses = await rows.list<UseRow>(`${usesPrefix}${domain} `, directoryLimits.bundlesPerDomain)
      const serving = uses.filter(({ value }) => value.direction === direction || value.direction === 'both')
      return Promise.all(
        serving.map(async ({ key }) =>
          decode(
            await rows.list<AnchorRow>(
              anchorPrefix(key.slice(key.lastIndexOf(' ') + 1)),
              directoryLimits.anchorsPerBundle,
            ),
          ),
        ),
      )
    },
  }
}

/** The change of rows that a load amounts to. */
export interface Difference extends Required<Pick<RowChange, 'put' | 'del'>> {
  readonly kind: 'difference'
  readonly copy: BundleCopy
  /** Fingerprints. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** Everything about the job is in its id. */
export const noPayload = Buffer.from('{}')

/** The row of a status, for a batch. */
export function statusPut(name: string, status: BundleStatus) {
  return { key: statusKey(name), value: Buffer.from(JSON.stringify(status)) }
}

/** The row that a source makes, or what is wrong with it. */
export function rowOf({
  url,
  signer,
  refreshMs = bundleIntervals.defaultMs,
}: BundleSource): Pick<BundleRow, 'url' | 'signer' | 'refreshMs'> | DirectoryRefusal {
  if (url !== undefined && !isFetchable(url)) return problem('bad-url', url.slice(0, 100))
  if (!Number.isInteger(refreshMs) || refreshMs < bundleIntervals.leastMs || refreshMs > bundleIntervals.mostMs)
    return problem('bad-interval', String(refreshMs))
  if (signer === undefined) return { ...(url !== undefined && { url }), refreshMs }
  const read = readOne(signer)
  if (read.kind === 'refused') return read
  return { ...(url !== undefined && { url }), refreshMs, signer: base64(read.certificate.der) }
}

function isFetchable(text: string): boolean {
  if (text.length > 2_000 || !URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === ''
}

/** The certificates that may be kept, each once. What vouches for nobody is left out, not a reason to trust nobody. */
export function keptOf({ certificates }: BundleContent, policy: TestOnlyPolicy) {
  const kept = new Map<string, Certificate>()
  let testOnly = 0
  for (const der of certificates) {
    const read = readNew(der, policy)
    if (read.kind === 'read') kept.set(read.certificate.fingerprint, read.certificate)
    else if (read.problem === 'test-only') testOnly++
  }
  return { certificates: [...kept.values()], testOnly }
}

/** What the audit log says of a change of anchors: ids only, the first of them where there are very many. */
export function changeWords({ added, removed, copy }: Difference): Readonly<Record<string, string>> {
  const named = (ids: readonly string[]) => ids.slice(0, directoryLimits.auditedAnchors).join(' ')
  return {
    digest: copy.digest,
    anchors: String(copy.certificates),
    ...(added.length > 0 && { added: String(added.length), addedIds: named(added) }),
    ...(removed.length > 0 && { removed: String(removed.length), removedIds: named(removed) }),
  }
}

/** Who is concerned, for the audit log. */
export function usesWords(uses: readonly BundleUse[]): Readonly<Record<string, string>> {
  return uses.length > 0 ? { domains: uses.map(({ domain, direction }) => `${domain}:${direction}`).join(' ') } : {}
}

/** The use that a row tells of. */
export function useOf({ key, value }: Row<UseRow>): BundleUse {
  return { domain: key.slice(usesPrefix.length, key.lastIndexOf(' ')) as DirectDomain, direction: value.direction }
}

/** What people are told of an anchor, with what is wrong with it at `now`. */
export function bundleAnchor({ certificate, addedAt }: AnchorRow, now: number): BundleAnchor {
  const read = stored(certificate).certificate
  const warnings = [...validityWarnings(read, now), ...(isAuthority(read) ? [] : ['not-an-authority' as const])]
  return { ...described(read), addedAt, warnings }
}
