import { createHash, createHmac } from 'node:crypto'
import type { Batch, Entry } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { AnswerMode } from './answer.js'
import type { ConnectRequest, Pickup, RequestKind, RequestState } from './request.js'

/**
 * Rows of this room. No key and no open part of a value tells of a person:
 *
 * | key                                          | value                                                     |
 * |----------------------------------------------|-----------------------------------------------------------|
 * | `connect/request/<id>`                       | where it stands, and the rest sealed                      |
 * | `connect/code/<digest>`                      | id of the request                                         |
 * | `connect/external/<kind>/<owner>/<digest>…`  | id; of packages and messages the key ends in `/<id>`      |
 * | `connect/of/<kind>/<owner>/<time>-<id>`      | nothing                                                   |
 * | `connect/ticket/<digest>`                    | what was answered, by whom                                |
 * | queue `connect`                              | one job a request, due when it ends; one a ticket         |
 */
export interface RequestRow {
  readonly id: string
  readonly of: RequestKind
  readonly owner: string
  readonly state: RequestState
  /** Attempts taken out, and answers found wrong: what is between is being verified, or was when a process died. */
  readonly used: number
  readonly wrong: number
  readonly attempts: number
  readonly createdAt: number
  readonly termMs: number
  readonly expiresAt: number
  readonly rejectedAt?: number
  readonly endedAt?: number
  readonly code: string
  readonly external?: string
  readonly mode: AnswerMode
  readonly tickets: readonly { readonly digest: string; readonly endsAt: number }[]
}

/** What is sealed of a request. */
export interface RequestWords {
  readonly friendlyName: string
  readonly question?: string
  readonly externalId?: string
  readonly birthDate?: string
  readonly email?: string
  readonly language?: string
  readonly payload: Readonly<Record<string, string>>
  readonly pickups: readonly Pickup[]
  /** Argon2id in PHC form. */
  readonly verifier?: string
}

export interface Stored {
  readonly row: RequestRow
  readonly words: RequestWords
  readonly version: number
}

export interface TicketRow {
  readonly request: string
  readonly holder: string
  readonly endsAt: number
  /** Sealed under the ticket itself, base64. */
  readonly secret?: string
}

export const connectQueue = 'connect'

export const requestKey = (id: string) => `connect/request/${id}`
export const codeKey = (digest: string) => `connect/code/${digest}`
export const ticketKey = (digest: string) => `connect/ticket/${digest}`
export const ticketJob = (digest: string) => `ticket-${digest}`

export const listPrefix = (of: RequestKind, owner: string) => `connect/of/${of}/${checked(owner)}/`
export const listKey = ({ of, owner, createdAt, id }: Pick<RequestRow, 'of' | 'owner' | 'createdAt' | 'id'>) =>
  `${listPrefix(of, owner)}${timeText(createdAt)}-${id}`

/** Of all requests of an owner for one external id. */
export const externalPrefix = (of: RequestKind, owner: string, digest: string) =>
  `connect/external/${of}/${checked(owner)}/${digest}`

/** Patient Connect has one request for an external id; the key itself sees to it. */
export const externalKey = (of: RequestKind, owner: string, digest: string, id: string) =>
  externalPrefix(of, owner, digest) + (of === 'connect' ? '' : `/${id}`)

export function externalDigest(indexKey: Uint8Array, owner: string, externalId: string): string {
  return createHmac('sha256', indexKey).update(`external-id\0${owner}\0${externalId}`).digest('hex')
}

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

export function timeText(at: number): string {
  return String(at).padStart(15, '0')
}

const ownerForm = /^[A-Za-z0-9._-]{1,64}$/

/** Owners are ids that we made. Throws for anything else: a slash would reach another's rows. */
function checked(owner: string): string {
  if (!ownerForm.test(owner)) throw new Error('The owner of a request is no id')
  return owner
}

/** Whose data key seals the words: an application's end with it. */
export function vaultOwner({ owner, of }: Pick<RequestRow, 'owner' | 'of'>): string {
  return of === 'message' ? 'connect' : `app/${checked(owner)}`
}

export async function openStored(vault: Pick<Vault, 'open'>, { key, value, version }: Entry): Promise<Stored> {
  const {
    v: _,
    sealed,
    ...row
  } = JSON.parse(Buffer.from(value).toString('utf8')) as RequestRow & {
    readonly v: number
    readonly sealed: string
  }
  const plain = await vault.open(vaultOwner(row), key, Buffer.from(sealed, 'base64'))
  return { row, words: JSON.parse(Buffer.from(plain).toString('utf8')) as RequestWords, version }
}

/** Parts that put a request in the place of the version that was read. */
export async function storing(
  vault: Pick<Vault, 'seal'>,
  row: RequestRow,
  words: RequestWords,
  version: number | 'absent',
): Promise<Batch> {
  const key = requestKey(row.id)
  const sealed = await vault.seal(vaultOwner(row), key, Buffer.from(JSON.stringify(words)))
  const value = Buffer.from(JSON.stringify({ v: 1, ...row, sealed: Buffer.from(sealed).toString('base64') }))
  return { require: [{ key, version }], put: [{ key, value }] }
}

/** Whether a code opens its request now. */
export function isOpen({ state, used, attempts, expiresAt }: RequestRow, now: number): boolean {
  return (state === 'pending' || state === 'authorized') && used < attempts && now < expiresAt
}

/** Where a request stands now: what ends by itself has ended, whether anybody swept or not. */
export function stateAt({ state, used, attempts, expiresAt }: RequestRow, now: number): RequestState {
  if (state === 'pending' && used >= attempts) return 'locked'
  if ((state === 'pending' || state === 'allocated') && now >= expiresAt) return 'expired'
  return state
}

/** A request as its owner is told of it. */
export function told({ row, words }: Pick<Stored, 'row' | 'words'>, now: number): ConnectRequest {
  const { id, of, owner, used, attempts, createdAt, expiresAt, rejectedAt, endedAt } = row
  const { verifier: _, ...rest } = words
  return {
    ...{ id, kind: of, owner, state: stateAt(row, now), attemptsLeft: Math.max(0, attempts - used) },
    ...{ createdAt, expiresAt },
    ...(rejectedAt !== undefined && { rejectedAt }),
    ...(endedAt !== undefined && { endedAt }),
    ...rest,
  }
}
