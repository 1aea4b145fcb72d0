import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import type { LinkFetch } from '../../ports/fetch.js'
import { jweLimits, openJwe } from './jwe.js'
import { type LinkLimits, linkLimits } from './limits.js'
import { type HealthLink, readLink } from './link.js'

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw)

/** Something that a link held: a FHIR resource, on its own or out of a SMART Health Card. */
export interface AcceptedFile {
  readonly contentType: 'application/fhir+json' | 'application/smart-health-card'
  /** FHIR as JSON. */
  readonly bytes: Uint8Array
  /** Of a card: who says that he issued it, and whether his key says so too. */
  readonly issuer?: { readonly url: string; readonly verified: boolean; readonly detail: string }
}

export type AcceptOutcome =
  | {
      readonly kind: 'files'
      readonly label?: string
      readonly files: readonly AcceptedFile[]
      /** Files that were left out, and why: never a word of them. */
      readonly notes: readonly string[]
    }
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'passcode'; readonly remainingAttempts?: number }
  /** The far side knows of no such link, or no more. */
  | { readonly kind: 'inactive' }
  | { readonly kind: 'unreachable'; readonly detail: string }

export interface AcceptPorts {
  readonly ask: LinkFetch
  /** Unix milliseconds. */
  now(): number
}

/** Follows a link that somebody pasted, as far as its files. `recipient` is told to whoever shares it. */
export async function acceptLink(
  { ask, now }: AcceptPorts,
  pasted: string,
  { recipient, passcode }: { readonly recipient: string; readonly passcode?: string },
  limits: LinkLimits = linkLimits,
): Promise<AcceptOutcome> {
  const read = readLink(pasted, limits)
  if (read.kind === 'refused') return read
  const { link } = read
  if (link.exp !== undefined && link.exp * 1000 < now()) return { kind: 'inactive' }
  if (link.flags.includes('P') && !passcode) return { kind: 'passcode' }
  const found = link.flags.includes('U')
    ? await directFile(ask, link, recipient)
    : await manifestFiles(ask, link, { recipient, ...(passcode !== undefined && { passcode }) }, limits)
  if (found.kind !== 'jwes') return found

  const files: AcceptedFile[] = []
  const notes: string[] = [...found.notes]
  let left = limits.acceptedBytes
  for (const [index, { jwe, contentType }] of found.jwes.entries()) {
    const opened = await openJwe(link.key, jwe, { ...jweLimits, plaintextBytes: limits.fileBytes })
    if (opened.kind !== 'opened') {
      notes.push(`file ${index + 1} does not open`)
      continue
    }
    const type = opened.header['cty'] ?? contentType
    left -= opened.plaintext.length
    if (left < 0) return { kind: 'refused', detail: 'its files are too large together' }
    if (type === 'application/smart-health-card') {
      const cards = await readCards(ask, opened.plaintext, limits)
      if (cards.length === 0) notes.push(`file ${index + 1} is no card that reads`)
      files.push(...cards)
    } else if (type === 'application/fhir+json') files.push({ contentType: type, bytes: opened.plaintext })
    else notes.push(`file ${index + 1} is of a type that is not read`)
  }
  return { kind: 'files', files, notes, ...(link.label !== undefined && { label: link.label }) }
}

type Jwes =
  | {
      readonly kind: 'jwes'
      readonly jwes: readonly { readonly jwe: string; readonly contentType?: string }[]
      readonly notes: readonly string[]
    }
  | Exclude<AcceptOutcome, { readonly kind: 'files' }>

async function directFile(ask: LinkFetch, { url }: HealthLink, recipient: string): Promise<Jwes> {
  const target = new URL(url)
  target.searchParams.set('recipient', recipient)
  const got = await ask(target.href)
  if (got.kind === 'failed') return { kind: 'unreachable', detail: got.detail }
  return { kind: 'jwes', jwes: [{ jwe: textOf(got.bytes) }], notes: [] }
}

async function manifestFiles(
  ask: LinkFetch,
  { url }: HealthLink,
  asked: { readonly recipient: string; readonly passcode?: string },
  limits: LinkLimits,
): Promise<Jwes> {
  const request = { ...asked, embeddedLengthMax: limits.embeddedChars }
  const got = await ask(url, { type: 'application/json', body: Buffer.from(JSON.stringify(request)) })
  if (got.kind === 'failed') {
    if (got.status === 404) return { kind: 'inactive' }
    if (got.status !== 401) return { kind: 'unreachable', detail: got.detail }
    const left = objectOf(got.said ?? new Uint8Array())?.['remainingAttempts']
    return { kind: 'passcode', ...(Number.isInteger(left) && { remainingAttempts: Number(left) }) }
  }
  if (got.bytes.length > limits.manifestBytes) return { kind: 'refused', detail: 'its manifest is too large' }
  const files = objectOf(got.bytes)?.['files']
  if (!Array.isArray(files) || files.length === 0) return { kind: 'refused', detail: 'its manifest does not read' }
  if (files.length > limits.filesPerLink) return { kind: 'refused', detail: 'it has too many files' }
  const jwes: { jwe: string; contentType?: string }[] = []
  const notes: string[] = []
  for (const [index, file] of files.entries()) {
    const { contentType, embedded, location } = (typeof file === 'object' && file) || {}
    const type = typeof contentType === 'string' ? { contentType } : {}
    if (typeof embedded === 'string') jwes.push({ jwe: embedded, ...type })
    else if (typeof location === 'string') {
      const fetched = await ask(location)
      if (fetched.kind === 'fetched') jwes.push({ jwe: textOf(fetched.bytes), ...type })
      else notes.push(`file ${index + 1} was not given: ${fetched.detail}`)
    } else notes.push(`file ${index + 1} is nowhere`)
  }
  return { kind: 'jwes', jwes, notes }
}

/** The FHIR bundles of a SMART Health Card file (SMART Health Cards 1.4.0), each with what its issuer's key says of it. */
async function readCards(ask: LinkFetch, bytes: Uint8Array, limits: LinkLimits): Promise<readonly AcceptedFile[]> {
  const cards = objectOf(bytes)?.['verifiableCredential']
  if (!Array.isArray(cards)) return []
  const read: AcceptedFile[] = []
  for (const jws of cards.slice(0, limits.filesPerLink)) {
    const card = typeof jws === 'string' ? await readCard(ask, jws, limits) : undefined
    if (card) read.push(card)
  }
  return read
}

async function readCard(ask: LinkFetch, jws: string, limits: LinkLimits): Promise<AcceptedFile | undefined> {
  const parts = jws.split('.', 4)
  const [head = '', body = '', signature = ''] = parts
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return undefined
  const header = objectOf(Buffer.from(head, 'base64url'))
  const packed = Buffer.from(body, 'base64url')
  const plain =
    header?.['zip'] === 'DEF'
      ? await inflate(packed, { maxOutputLength: limits.fileBytes }).catch(() => undefined)
      : packed
  const claims = plain && objectOf(plain)
  const credential = (claims?.['vc'] as { credentialSubject?: { fhirBundle?: unknown } } | undefined)?.credentialSubject
  const iss = claims?.['iss']
  if (!header || typeof credential?.fhirBundle !== 'object' || typeof iss !== 'string') return undefined
  const key = await issuerKey(ask, iss, header['kid'])
  const right =
    header['alg'] === 'ES256' &&
    key !== undefined &&
    verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    )
  const detail =
    key === undefined ? 'the key of the issuer was not found' : right ? 'signed' : 'the signature is not right'
  return {
    contentType: 'application/smart-health-card',
    bytes: Buffer.from(JSON.stringify(credential.fhirBundle)),
    issuer: { url: iss.slice(0, 500), verified: right, detail },
  }
}

/** The key of an issuer at the place that the standard names, where it is to be had. That it is *his* says nothing of who he is. */
async function issuerKey(ask: LinkFetch, iss: string, kid: unknown): Promise<KeyObject | undefined> {
  if (typeof kid !== 'string' || !/^https:\/\/[^?#\s]+$/.test(iss)) return undefined
  const got = await ask(`${iss}/.well-known/jwks.json`)
  const keys = got.kind === 'fetched' ? objectOf(got.bytes)?.['keys'] : undefined
  if (!Array.isArray(keys)) return undefined
  const jwk = keys.slice(0, 100).find((one) => one?.kid === kid && one?.kty === 'EC' && one?.crv === 'P-256')
  try {
    return jwk && createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: jwk.x, y: jwk.y }, format: 'jwk' })
  } catch {
    return undefined
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1').trim()
}

function objectOf(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const read: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? { ...read } : undefined
  } catch {
    return undefined
  }
}
