import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { AuthorityRecord, IssuedRecord, RevocationReason } from '../ports/authority.js'
import type { KeyUse } from '../ports/registrar.js'
import { type Entry, type Store, within } from '../ports/store.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'

/** The purpose under which keys of our authorities are wrapped; their id is the SHA-256 of the public key. */
export const authorityKeyPurpose = 'authority-key'

export interface AuthorityRow {
  /** Base64 of DER. */
  readonly certificate: string
  /** Base64. */
  readonly wrapped: string
  readonly closed: boolean
  readonly within: readonly DirectDomain[]
  readonly createdAt: number
}

/** The list that is served now. */
export interface ListRow {
  readonly number: number
  readonly thisUpdate: number
  readonly nextUpdate: number
  /** Base64 of DER. */
  readonly list: string
}

export interface IssuedRow {
  readonly owner: DirectAddress | DirectDomain
  readonly use: KeyUse
  readonly certificate: string
  readonly issuedAt: number
  readonly revoked?: IssuedRecord['revoked']
}

/** One line of the list to come; kept apart, so that a list is made without reading all that was issued. */
export interface RevokedRow {
  readonly at: number
  readonly reason: RevocationReason
  readonly notAfter: number
}

export const authorityPrefix = 'authority/ca/'
export const issuedPrefix = 'authority/issued/'
export const authorityKey = (id: string) => authorityPrefix + id
export const listKey = (id: string) => `authority/list/${id}`
export const issuedKey = (id: string, serial: string) => `${issuedPrefix}${id}/${serial}`
export const revokedPrefix = (id: string) => `authority/revoked/${id}/`
/** Where a request finds what it was answered before: by the digest of key, owner and use. */
export const askedKey = (id: string, digest: string) => `authority/asked/${id}/${digest}`

export interface Row<T> {
  readonly key: string
  readonly value: T
  readonly version: number
}

export function rowOf<T>({ key, value, version }: Entry): Row<T> {
  return { key, value: JSON.parse(Buffer.from(value).toString()) as T, version }
}

export async function getRow<T>(store: Store, key: string): Promise<Row<T> | undefined> {
  const entry = await store.get(key)
  return entry && rowOf<T>(entry)
}

/** All rows of a prefix, however many, read in pages. */
export async function walkRows<T>(store: Store, prefix: string, pageRows = 1_000): Promise<readonly Row<T>[]> {
  const { gte, lt } = within(prefix)
  const found: Row<T>[] = []
  for (let from = gte; ; from = `${found.at(-1)?.key}\0`) {
    const page = await store.range({ gte: from, lt, limit: pageRows })
    found.push(...page.map((entry) => rowOf<T>(entry)))
    if (page.length < pageRows) return found
  }
}

export const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'))

/** A certificate that we made before we stored it, in base64. */
export function storedCertificate(text: string): Certificate {
  const read = readCertificate(bytes(text))
  if (read.kind === 'malformed') throw new Error(`A stored certificate does not read any more: ${read.detail}`)
  return read
}

export function authorityRecord({ key, value }: Row<AuthorityRow>, list: ListRow): AuthorityRecord {
  const certificate = storedCertificate(value.certificate)
  return {
    id: key.slice(authorityPrefix.length),
    subject: nameText(certificate.subject),
    fingerprint: certificate.fingerprint,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    createdAt: value.createdAt,
    closed: value.closed,
    list: { number: list.number, thisUpdate: list.thisUpdate, nextUpdate: list.nextUpdate },
    certificate: certificate.der,
  }
}

export function issuedRecord({ key, value }: Row<IssuedRow>): IssuedRecord {
  const [authority = '', serial = ''] = key.slice(issuedPrefix.length).split('/')
  const certificate = storedCertificate(value.certificate)
  return {
    authority,
    serial,
    owner: value.owner,
    use: value.use,
    notAfter: certificate.notAfter,
    issuedAt: value.issuedAt,
    ...(value.revoked && { revoked: value.revoked }),
    certificate: certificate.der,
  }
}
