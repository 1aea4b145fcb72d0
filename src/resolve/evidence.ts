import { hash } from 'node:crypto'
import { Asn1Error, element, whole } from '../asn1/reader.js'
import type { Validators } from '../ports/fetch.js'
import type { Metrics } from '../ports/observe.js'
import type { Store } from '../ports/store.js'
import type { RevocationSources } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { certificatesIn } from '../x509/bundle.js'
import { readCertificate } from '../x509/certificate.js'
import { readCrl } from '../x509/crl.js'
import { ocspLimits, readOcsp } from '../x509/ocsp.js'
import { recent } from '../x509/recent.js'
import { type Copy, type Loaded, openSources, type Shelf, type SourceRules } from './copies.js'
import { type Fetch, type Fetched, type FetchRules, fetchWithin } from './fetch.js'
import { type EvidenceKind, openShelf, type ShelfRules } from './shelf.js'

const hourMs = 3_600_000
const minuteMs = 60_000
const mebibyte = 1024 * 1024

export const evidenceLimits = {
  /**
   * Lists are asked for again within the hour even if they promise to be valid for a month: revocations do not wait. 10 MiB
   * is a list of 280,000 entries; an authority has a handful of lists.
   */
  list: {
    refreshMs: hourMs,
    aheadMs: 15 * minuteMs,
    held: 1_000,
    heldBytes: 64 * mebibyte,
    kept: 2_000,
    keptBytes: 256 * mebibyte,
  },
  /** An answer is 2 KB, and there is one for each certificate. */
  ocsp: {
    refreshMs: hourMs,
    aheadMs: 15 * minuteMs,
    held: 10_000,
    heldBytes: 32 * mebibyte,
    kept: 20_000,
    keptBytes: 64 * mebibyte,
  },
  /** Issuers change with their keys, every few years. Anybody's certificate makes us fetch them, so little is kept of them. */
  issuer: {
    refreshMs: 24 * hourMs,
    aheadMs: hourMs,
    held: 1_000,
    heldBytes: 8 * mebibyte,
    kept: 2_000,
    keptBytes: 32 * mebibyte,
  },
  /** A dead server is asked twice a minute, not once a message. */
  failureMs: 30_000,
  /** What proved nothing is fetched anew: whoever gave it may have been corrected, or somebody on the way is gone. */
  doubtMs: 5 * minuteMs,
  /** How far ahead the clock of an authority may be; what claims to be from later would never be superseded. */
  skewMs: 5 * minuteMs,
  /** How long an answer of a responder serves that does not say when the next one comes (RFC 6960 §4.2.2.1). */
  withoutNextUpdateMs: 10 * minuteMs,
  /** How long issuers serve while their server does not answer; whether they are valid their dates say. */
  issuerMs: 30 * 24 * hourMs,
  /** Certificates taken from one answer. */
  certificates: 20,
  /** Hosts of which is remembered that they said nothing. */
  silentHosts: 1_000,
}

/** What may be fetched of each kind: a list of 280,000 entries, an answer with its chain, twenty certificates. */
export const evidenceFetchRules: Readonly<Record<EvidenceKind, Partial<FetchRules>>> = {
  list: { sizeBytes: 10 * mebibyte },
  ocsp: { sizeBytes: ocspLimits.sizeBytes },
  issuer: { sizeBytes: 512 * 1024 },
}

export interface EvidenceParts {
  /** What else the fetches may and may not do: time, addresses. */
  readonly reach: Partial<FetchRules>
  /** In place of the network: for tests. */
  readonly fetch?: Fetch
  /** Where copies outlive the process; without it they live in memory only. */
  readonly store?: Store
  readonly clock: Clock
  readonly metrics?: Pick<Metrics, 'count'>
  readonly limits?: typeof evidenceLimits
}

export type CertificatesAnswer =
  | { readonly kind: 'certificates'; readonly certificates: readonly Uint8Array[] }
  | { readonly kind: 'unavailable'; readonly detail: string }

/** Everything that is fetched on the word of a certificate, remembered in memory and in the store. */
export interface Evidence {
  readonly revocation: RevocationSources
  /** Certificates at a caIssuers URL (RFC 5280 §4.2.2.1): DER, PEM or certificates-only CMS; the DER of those that parse. */
  certificates(url: string): Promise<CertificatesAnswer>
  /** Waits for what is under way, so that the store may be closed. */
  close(): Promise<void>
}

interface OcspPlace {
  readonly url: string
  readonly request: Uint8Array
}

/**
 * Opens what fetches lists, OCSP answers and issuers, and remembers them across processes. Nothing here judges: bytes are
 * only refused for being none of what was asked for, out of date, or older than what is known.
 */
export function openEvidence(parts: EvidenceParts): Evidence {
  const { reach, store, clock, metrics, limits = evidenceLimits } = parts
  const counted = metrics ? { metrics } : {}
  const fetchOf = (kind: EvidenceKind): Fetch =>
    counting(
      sparing(parts.fetch ?? fetchWithin({ ...evidenceFetchRules[kind], ...reach }), clock, limits),
      kind,
      parts.metrics,
    )
  const rulesOf = (kind: EvidenceKind): SourceRules => ({
    ...limits[kind],
    failureMs: limits.failureMs,
    doubtMs: limits.doubtMs,
  })
  function shelfOf<Place>(
    kind: EvidenceKind,
    keyOf: (place: Place) => string,
    wordsOf: (place: Place) => string,
  ): { shelf?: Shelf<Place> } {
    const rules: ShelfRules = limits[kind]
    return store ? { shelf: openShelf({ store, clock, kind, keyOf, wordsOf, rules, ...counted }) } : {}
  }
  const byUrl = (url: string) => url
  const byQuestion = ({ url, request }: OcspPlace) => `${url} ${hash('sha256', request, 'base64')}`

  const [listFetch, ocspFetch, issuerFetch] = [fetchOf('list'), fetchOf('ocsp'), fetchOf('issuer')]
  const lists = openSources<string>({
    ...{ keyOf: byUrl, clock, rules: rulesOf('list'), ...shelfOf('list', byUrl, byUrl) },
    load: async (url, held) => loadedList(await listFetch(url, known(held)), url, clock.now(), limits),
  })
  const answers = openSources<OcspPlace>({
    ...{ keyOf: byQuestion, clock, rules: rulesOf('ocsp') },
    ...shelfOf<OcspPlace>('ocsp', byQuestion, ({ url }) => url),
    load: async ({ url, request }) => {
      const post = { type: 'application/ocsp-request', body: request }
      return loadedAnswer(await ocspFetch(url, { post }), url, clock.now(), limits)
    },
  })
  const issuers = openSources<string>({
    ...{ keyOf: byUrl, clock, rules: rulesOf('issuer'), ...shelfOf('issuer', byUrl, byUrl) },
    load: async (url, held) => loadedIssuers(await issuerFetch(url, known(held)), url, clock.now(), limits),
  })

  return {
    revocation: {
      list: lists.ask,
      ocsp: (url, request) => answers.ask({ url, request }),
      doubt(bytes) {
        lists.doubt(bytes)
        answers.doubt(bytes)
      },
    },
    async certificates(url) {
      const got = await issuers.ask(url)
      return got.kind === 'bytes' ? { kind: 'certificates', certificates: split(got.bytes) } : got
    },
    async close() {
      await Promise.all([lists.idle(), answers.idle(), issuers.idle()])
    },
  }
}

function known(held: Copy | undefined): { readonly known?: Validators } {
  return held ? { known: held.validators } : {}
}

const failed = (detail: string): Loaded => ({ kind: 'failed', detail })

function loadedList(fetched: Fetched, url: string, now: number, limits: typeof evidenceLimits): Loaded {
  if (fetched.kind !== 'fetched') return withoutBytes(fetched)
  const crl = readCrl(fetched.body)
  if (crl.kind === 'malformed') return failed(`${hostOf(url)} gave what is not a CRL: ${crl.detail}`)
  // A list without an end, or past it, proves nothing; asking again soon is all that can be done.
  if (crl.nextUpdate === undefined) return failed(`the CRL of ${hostOf(url)} has no nextUpdate`)
  if (crl.nextUpdate < now) return failed(`the CRL of ${hostOf(url)} is out of date`)
  if (crl.thisUpdate > now + limits.skewMs) return failed(`the CRL of ${hostOf(url)} is not in force yet`)
  return {
    kind: 'loaded',
    bytes: fetched.body,
    madeAt: crl.thisUpdate,
    validUntil: crl.nextUpdate,
    validators: fetched.validators ?? {},
  }
}

function loadedAnswer(fetched: Fetched, url: string, now: number, limits: typeof evidenceLimits): Loaded {
  if (fetched.kind !== 'fetched') return withoutBytes(fetched)
  const response = readOcsp(fetched.body)
  if (response.kind === 'malformed')
    return failed(`${hostOf(url)} gave what is not an OCSP response: ${response.detail}`)
  if (response.kind === 'declined') return failed(`${hostOf(url)} answered ${response.status}`)
  if (response.producedAt > now + limits.skewMs) return failed(`the answer of ${hostOf(url)} is not in force yet`)
  const ends = response.answers
    .map(({ thisUpdate, nextUpdate }) => nextUpdate ?? thisUpdate + limits.withoutNextUpdateMs)
    .filter((end) => end >= now)
  if (ends.length === 0) return failed(`the answer of ${hostOf(url)} is out of date`)
  const { producedAt: madeAt } = response
  return { kind: 'loaded', bytes: fetched.body, madeAt, validUntil: Math.min(...ends), validators: {} }
}

/** Of what came only certificates that parse are kept, one behind the other: whatever else a stranger's server gives is not stored. */
function loadedIssuers(fetched: Fetched, url: string, now: number, limits: typeof evidenceLimits): Loaded {
  if (fetched.kind !== 'fetched') return withoutBytes(fetched)
  const found = certificatesIn(fetched.body, limits.certificates).filter(
    (der) => readCertificate(der).kind === 'certificate',
  )
  // A login page with status 200 is no answer either.
  if (found.length === 0) return failed(`the answer of ${hostOf(url)} has no certificates`)
  return {
    kind: 'loaded',
    bytes: Buffer.concat(found),
    madeAt: 0,
    validUntil: now + limits.issuerMs,
    validators: fetched.validators ?? {},
  }
}

function withoutBytes(fetched: Exclude<Fetched, { kind: 'fetched' }>): Loaded {
  return fetched.kind === 'unchanged' ? { kind: 'unchanged' } : failed(fetched.detail)
}

const splits = new WeakMap<Uint8Array, readonly Uint8Array[]>()

/** Certificates that stand one behind the other. */
function split(bytes: Uint8Array): readonly Uint8Array[] {
  const before = splits.get(bytes)
  if (before) return before
  const found: Uint8Array[] = []
  try {
    for (let at = 0; at < bytes.length; ) {
      const one = element(bytes, at)
      found.push(whole(one))
      at = one.next
    }
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
  }
  splits.set(bytes, found)
  return found
}

/**
 * A fetch that leaves a host alone for a while that said nothing at all: with OCSP every certificate is a question of its
 * own, and each would wait for the same dead server.
 */
function sparing(fetch: Fetch, clock: Clock, limits: typeof evidenceLimits): Fetch {
  const silent = recent<number>(limits.silentHosts)
  return async (url, request) => {
    const host = URL.canParse(url) ? new URL(url).origin : ''
    const until = silent.get(host)
    if (until !== undefined && clock.now() < until)
      return { kind: 'unreachable', detail: `${hostOf(url)} did not answer shortly before` }
    const got = await fetch(url, request)
    if (got.kind === 'unreachable' && got.silent) silent.set(host, clock.now() + limits.failureMs)
    else silent.delete(host)
    return got
  }
}

function counting(fetch: Fetch, kind: EvidenceKind, metrics: Pick<Metrics, 'count'> | undefined): Fetch {
  return async (url, request) => {
    const got = await fetch(url, request)
    metrics?.count('evidence_fetches_total', { kind, outcome: got.kind })
    return got
  }
}

/** The host of a URL with its port, for people. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : '(no URL)'
}
