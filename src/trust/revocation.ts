import { Asn1Error } from '../asn1/reader.js'
import type {
  Issuers,
  Revocation,
  RevocationAnswer,
  RevocationQuestion,
  RevocationSources,
  SourceAnswer,
} from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { readCrl } from '../x509/crl.js'
import { ocspRequest, readOcsp } from '../x509/ocsp.js'
import { recent } from '../x509/recent.js'
import { listStatus } from './lists.js'
import { ocspRules, ocspVerdict } from './ocsp.js'

export const revocationLimits = {
  /** Responders asked for one certificate; with the fetch's own deadline this bounds the wait. Real ones name one. */
  responders: 2,
  /** Answers remembered; about 400 bytes each. */
  remembered: 20_000,
  /** How long an answer serves where some source was silent: it may have more to say. */
  partlyKnownMs: 30_000,
  /** How long a revocation told by one kind of source outweighs the other kind saying good: lists lag behind responders. */
  revokedMs: 24 * 3_600_000,
  /** Who looks after the gateway is told of a silent host once an hour, not once a message. */
  tellEveryMs: 3_600_000,
  /** Hosts about which was told; about 100 bytes each. */
  told: 1_000,
}

/** Sources that did not answer, or with nothing that proves anything. */
export interface Unavailable {
  /** Of the distribution points and responders of the certificate. */
  readonly host: string
  /** SHA-256 of the certificate asked about, lower-case hex. */
  readonly certificate: string
  readonly detail: string
}

export interface RevocationParts {
  readonly sources: RevocationSources
  /** For signers of lists that neither the path nor the message has. */
  readonly issuers: Issuers
  readonly clock: Clock
  /** Told at most once an hour for each host: for an alarm, whatever the policy makes of the answer. Must not throw. */
  readonly onUnavailable?: (told: Unavailable) => void
  readonly limits?: typeof revocationLimits
}

/** An answer and all that it rests on. */
interface Remembered {
  readonly answer: RevocationAnswer
  readonly evidence: readonly Evidence[]
  /** It holds between these two, inclusive, as long as the sources hand out the same bytes. */
  readonly from: number
  readonly until: number
}

interface Evidence {
  /** URL. */
  readonly source: string
  readonly bytes: Uint8Array
  /** Asks the same of the same source. */
  readonly again: () => Promise<SourceAnswer>
}

/**
 * Revocation from lists and OCSP together (RFC 5280 §6.3, RFC 6960). Lists first: Direct authorities publish lists, and one
 * list serves every certificate of an authority without telling anybody whose mail arrives. OCSP is asked where lists prove
 * nothing or there are none. Whichever says revoked wins over the other's good. Both are judged at the later of the moment
 * asked about and now: mail that waited is judged by what is known today. An answer is remembered as long as the sources
 * hand out the bytes it rests on, so that a revocation published takes effect with the first question after the sources'
 * own refresh.
 */
export function openRevocation(parts: RevocationParts): Revocation {
  const { sources, issuers, clock, limits = revocationLimits } = parts
  const remembered = recent<Remembered>(limits.remembered)
  const revocations = recent<Told & { readonly until: number }>(limits.remembered)
  const tell = tellOf(parts, limits)

  return {
    async status(question) {
      const read = question.path.map(readCertificate)
      const [certificate, issuer] = read
      if (certificate?.kind !== 'certificate' || issuer?.kind !== 'certificate')
        return { kind: 'unavailable', detail: 'a certificate that does not parse' }
      const at = Math.max(question.at, clock.now())
      const key = read.map((one) => (one.kind === 'certificate' ? one.fingerprint : '')).join() + question.allowSha1
      const known = remembered.get(key)
      if (known && at >= known.from && at <= known.until && (await stands(known))) {
        tellSources(known.evidence, question)
        return known.answer
      }

      const witness = witnessOf(sources, at)
      const told = await ask({ question: { ...question, at }, certificate, issuer, witness, issuers, limits })
      tellSources(witness.evidence, question)
      const answer = weighed(told, revocations.get(key), at)
      if (told.answer.kind === 'revoked') revocations.set(key, { ...told, until: at + limits.revokedMs })
      else if (answer.kind === 'good') revocations.delete(key)
      if (answer.kind === 'unavailable') tell(certificate, answer.detail, at)
      else if (answer === told.answer) {
        const until = Math.min(witness.until(), witness.silent() ? at + limits.partlyKnownMs : Number.POSITIVE_INFINITY)
        remembered.set(key, { answer, evidence: witness.evidence, from: at, until })
      }
      return answer
    },
  }
}

function tellSources(evidence: readonly Evidence[], { onSource }: RevocationQuestion): void {
  if (onSource) for (const { source } of evidence) onSource(source)
}

/** An answer, and which kind of source gave it. */
interface Told {
  readonly by: 'lists' | 'ocsp'
  readonly answer: RevocationAnswer
}

/** The answer in the light of what was told before: silence does not undo a revocation, nor does the other kind of source. */
function weighed(told: Told, before: (Told & { readonly until: number }) | undefined, at: number): RevocationAnswer {
  if (!before || at > before.until || told.answer.kind === 'revoked') return told.answer
  return told.answer.kind === 'good' && told.by === before.by ? told.answer : before.answer
}

interface Asked {
  readonly question: RevocationQuestion
  readonly certificate: Certificate
  readonly issuer: Certificate
  readonly witness: Witness
  readonly issuers: Issuers
  readonly limits: typeof revocationLimits
}

async function ask(asked: Asked): Promise<Told> {
  const { question, certificate, witness, issuers } = asked
  const lists = await listStatus(question, witness, { issuers })
  if (lists.kind === 'unavailable') witness.doubtAll()
  if (lists.kind === 'good' || lists.kind === 'revoked' || certificate.ocspUrls.length === 0)
    return { by: 'lists', answer: lists }
  const ocsp = await askResponders(asked)
  if (ocsp.kind === 'unavailable' && lists.kind === 'unavailable')
    return { by: 'ocsp', answer: { kind: 'unavailable', detail: `${lists.detail}; ${ocsp.detail}` } }
  return { by: 'ocsp', answer: ocsp }
}

/** Asks each responder that the certificate names until one proves something. */
async function askResponders(asked: Asked): Promise<RevocationAnswer> {
  const { question, certificate, issuer, witness, limits } = asked
  const request = requestFor(certificate, issuer)
  if (!request) return { kind: 'unavailable', detail: 'the key of the issuer does not read' }
  const failures: string[] = []
  for (const url of certificate.ocspUrls.slice(0, limits.responders)) {
    const got = await witness.ocsp(url, request)
    if (got.kind === 'unavailable') {
      failures.push(got.detail)
      continue
    }
    const verdict = ocspVerdict(got.bytes, { certificate, issuer, at: question.at, allowSha1: question.allowSha1 })
    const doubt = verdict.kind === 'no-proof' ? verdict.detail : await delegateDoubt(verdict.unchecked, asked)
    if (verdict.kind !== 'no-proof' && doubt === undefined)
      return verdict.kind === 'good' ? { kind: 'good' } : { kind: 'revoked', at: verdict.at, reason: verdict.reason }
    failures.push(`${hostOf(url)}: ${doubt}`)
    witness.doubt(got.bytes)
  }
  const more = certificate.ocspUrls.length - limits.responders
  if (more > 0) failures.push(`${more} more responders were not asked`)
  return { kind: 'unavailable', detail: failures.join('; ') }
}

function requestFor(certificate: Certificate, issuer: Certificate): Uint8Array | undefined {
  try {
    return ocspRequest(certificate, issuer)
  } catch (error) {
    if (error instanceof Asn1Error) return undefined
    throw error
  }
}

/**
 * Why a delegate without id-pkix-ocsp-nocheck is not to be believed: only a list of the issuer excuses him. By list alone, so
 * that no responder vouches for itself, and nothing is asked without end (RFC 6960 §4.2.2.2.1 leaves the way to us).
 */
async function delegateDoubt(
  delegate: Certificate | undefined,
  { question, witness, issuers }: Asked,
): Promise<string | undefined> {
  if (!delegate) return undefined
  const path = [delegate.der, ...question.path.slice(1)]
  const answer = await listStatus({ ...question, path }, witness, { issuers })
  switch (answer.kind) {
    case 'good':
      return undefined
    case 'revoked':
      return 'the certificate of the responder was revoked'
    case 'not-published':
      return 'nobody publishes whether the certificate of the responder was revoked'
    case 'unavailable':
      return `for the certificate of the responder: ${answer.detail}`
  }
}

/** Sources, and what they gave to one question. */
interface Witness extends RevocationSources {
  readonly evidence: readonly Evidence[]
  /** Whether a source gave nothing. */
  silent(): boolean
  /** Until when all that was given is in its time. */
  until(): number
  doubt(bytes: Uint8Array): void
  doubtAll(): void
}

function witnessOf(sources: RevocationSources, at: number): Witness {
  const evidence: Evidence[] = []
  let silent = false
  let until = Number.POSITIVE_INFINITY
  const note = async (source: string, again: () => Promise<SourceAnswer>, endOf: (bytes: Uint8Array) => number) => {
    const got = await again()
    if (got.kind === 'unavailable') silent = true
    else {
      evidence.push({ source, bytes: got.bytes, again })
      const end = endOf(got.bytes)
      // What is past its time already proved nothing, and so limits nothing.
      if (end >= at) until = Math.min(until, end)
    }
    return got
  }
  return {
    evidence,
    silent: () => silent,
    until: () => until,
    list: (url) => note(url, () => sources.list(url), endOfList),
    ocsp: (url, request) => note(url, () => sources.ocsp(url, request), endOfAnswer),
    doubt: (bytes) => sources.doubt?.(bytes),
    doubtAll() {
      for (const { bytes } of evidence) sources.doubt?.(bytes)
    },
  }
}

function endOfList(bytes: Uint8Array): number {
  const list = readCrl(bytes)
  return (list.kind === 'crl' ? list.nextUpdate : undefined) ?? Number.POSITIVE_INFINITY
}

function endOfAnswer(bytes: Uint8Array): number {
  const response = readOcsp(bytes)
  if (response.kind !== 'response') return Number.POSITIVE_INFINITY
  const ends = response.answers.map(
    ({ thisUpdate, nextUpdate }) => nextUpdate ?? thisUpdate + ocspRules.withoutNextUpdateMs,
  )
  return Math.min(...ends)
}

/** Whether all that an answer rests on still is what the sources hand out. */
async function stands({ evidence }: Remembered): Promise<boolean> {
  for (const { bytes, again } of evidence) {
    const got = await again()
    if (got.kind !== 'bytes' || got.bytes !== bytes) return false
  }
  return true
}

/** Tells of each host at most once in a while. */
function tellOf({ onUnavailable }: RevocationParts, limits: typeof revocationLimits) {
  const told = recent<number>(limits.told)
  return (certificate: Certificate, detail: string, at: number) => {
    if (!onUnavailable) return
    const hosts = new Set([...certificate.crlUrls, ...certificate.ocspUrls].map(hostOf))
    for (const host of hosts) {
      const last = told.get(host)
      if (last !== undefined && at - last < limits.tellEveryMs) continue
      told.set(host, at)
      onUnavailable({ host, certificate: certificate.fingerprint, detail })
    }
  }
}

/** The host of a URL with its port, for people; what is no URL is named as such. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host || new URL(url).protocol : '(no URL)'
}
