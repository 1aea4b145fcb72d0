import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { Letters } from '../ports/letters.js'
import { type SlowHash, SlowHashBusy } from '../ports/slow-hash.js'
import type { Batch, Entry, NewJob, Store } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import type { PeopleLimits } from './limits.js'

/**
 * Rows of people. What tells who somebody is stands sealed; keys hold random ids, digests of secrets, and keyed digests of
 * e-mail addresses.
 *
 * | key                                        | value                                                     |
 * |--------------------------------------------|-----------------------------------------------------------|
 * | `people/person/<id>`                       | the account with its factors, sealed for the person       |
 * | `people/email/<digest>`                    | whose address it is; or kept free for whoever left it     |
 * | `people/passkey/<digest>`                  | whose passkey it is                                       |
 * | `people/session/<id>`                      | a session; the id is half the digest of its secret        |
 * | `people/sessions-of/<person>/<id>`         | empty                                                     |
 * | `people/ticket/<digest>`                   | what a link or a step between two forms stands for, sealed |
 * | `people/failures/<digest>`                 | how often somebody failed from somewhere, and when        |
 * | `people/record/<id>`                       | a record and who has it, sealed for the record            |
 * | `people/holds/<person>/<record>`           | empty                                                     |
 * | `people/invitation/<digest>`               | an invitation, sealed for the record                      |
 * | `people/invited/<digest of e-mail>/<digest>` | empty                                                   |
 * | `people/invitations-of/<record>/<digest>`  | empty                                                     |
 *
 * Jobs of the queue `people` end what runs out: see `work.ts`.
 */
export const peopleQueue = 'people'

export interface PeoplePorts {
  readonly store: Store
  readonly vault: Pick<Vault, 'seal' | 'open'>
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly slowHash: SlowHash
  readonly letters: Letters
  /** 32 bytes derived from the master key: e-mail addresses and codes are found by digests under it. */
  readonly indexKey: Uint8Array
  /** Adds a line to the history that a record's people read; without it there is none. */
  history?(record: string, line: HistoryLine): Promise<Batch>
  /** Ends what stands for a record and takes away what it holds, before nobody has it any more. May be called again. */
  erase?(record: string): Promise<void>
}

export interface HistoryLine {
  readonly at: number
  readonly action: 'share' | 'unshare' | 'invite' | 'rename' | 'delete' | 'restore' | 'privacy'
  /** A person's id, or `system`. */
  readonly by: string
  readonly addressee?: string
}

export interface PeopleOptions {
  /** Where browsers see us, `https://gw.example`: in links, and for passkeys. */
  readonly origin: string
  /** What the house is called, in authenticators. */
  readonly house: string
  /** With `required`, a password alone reaches the account only, until a second factor is set up. */
  readonly secondFactor: 'required' | 'offered'
  readonly limits: PeopleLimits
}

/** Ports and options of every function in this room. */
export interface PeopleRoom extends PeoplePorts, PeopleOptions {}

/** Where somebody is when he asks. */
export interface Client {
  readonly address: string
  /** The cookie of a browser in which somebody signed in before. */
  readonly device?: string
  /** What the browser says of itself: for the list of sessions. */
  readonly agent?: string
}

export const peopleKeys = {
  person: (id: string) => `people/person/${id}`,
  email: (digest: string) => `people/email/${digest}`,
  passkey: (credential: string) => `people/passkey/${digestOf(credential)}`,
  session: (id: string) => `people/session/${id}`,
  sessionsOf: (person: string) => `people/sessions-of/${person}/`,
  ticket: (digest: string) => `people/ticket/${digest}`,
  failures: (digest: string) => `people/failures/${digest}`,
  record: (id: string) => `people/record/${id}`,
  holds: (person: string) => `people/holds/${person}/`,
  invitation: (digest: string) => `people/invitation/${digest}`,
  invited: (email: string) => `people/invited/${email}/`,
  invitationsOf: (record: string) => `people/invitations-of/${record}/`,
} as const

export const nothing = new Uint8Array()

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** A digest that nobody without the key can make: for what is short enough to be guessed. */
export function keyedDigest(indexKey: Uint8Array, purpose: string, text: string): string {
  return createHmac('sha256', indexKey).update(`${purpose}\0${text}`).digest('hex')
}

/** 256 random bits for a link, a cookie or a step, 43 characters. */
export function newSecret(random: Random): string {
  return Buffer.from(random.bytes(32)).toString('base64url')
}

export function isSecret(text: string): boolean {
  return /^[\w-]{43}$/.test(text)
}

/** A random id in the form of a UUID (RFC 9562 §5.4). */
export function newId(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

export const idForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

export const personOwner = (id: string) => `person/${id}`
export const recordOwner = (id: string) => `record/${id}`
/** Whose what is that belongs to nobody yet. */
export const ticketOwner = 'people/tickets'

/** A row read, with what must hold for a change of it. */
export interface Held<T> {
  readonly value: T
  readonly is: { readonly key: string; readonly version: number }
}

export async function readSealed<T>(
  { store, vault }: Pick<PeoplePorts, 'store' | 'vault'>,
  owner: string,
  key: string,
): Promise<Held<T> | undefined> {
  const row = await store.get(key)
  return row && { value: await opened<T>(vault, owner, row), is: { key, version: row.version } }
}

export async function opened<T>(vault: Pick<Vault, 'open'>, owner: string, row: Entry): Promise<T> {
  return plain<T>(await vault.open(owner, row.key, row.value))
}

export async function sealed(
  { vault }: Pick<PeoplePorts, 'vault'>,
  owner: string,
  key: string,
  value: unknown,
): Promise<{ readonly key: string; readonly value: Uint8Array }> {
  return { key, value: await vault.seal(owner, key, Buffer.from(JSON.stringify(value))) }
}

export function json(key: string, value: unknown): { readonly key: string; readonly value: Uint8Array } {
  return { key, value: Buffer.from(JSON.stringify(value)) }
}

export function plain<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value).toString('utf8')) as T
}

/** A job of this room; the same id is enqueued once. */
export function job(kind: JobKind, subject: string, dueAt: number): NewJob {
  return { queue: peopleQueue, id: `${kind} ${subject}`, payload: Buffer.from('{}'), dueAt }
}

export const jobKinds = ['forget', 'recovery', 'of-age', 'erase'] as const
export type JobKind = (typeof jobKinds)[number]

/** An audit entry of this room as a part of a batch. */
export function audited(
  { audit, clock }: Pick<PeoplePorts, 'audit' | 'clock'>,
  action: string,
  actor: string,
  subject: Readonly<Record<string, string>> = {},
  outcome: AuditEntry['outcome'] = 'success',
  reason?: string,
): Batch {
  const entry = {
    ...{ at: clock.now(), action: `person.${action}`, actor, subject, outcome },
    ...(reason !== undefined && { reason }),
  }
  return { append: [audit.entry(entry)] }
}

/**
 * Commits what `step` answers, and runs it again where somebody else wrote first. A step without parts is an answer alone.
 * Throws SlowHashBusy where others were always faster.
 */
export async function settle<T>(
  { store, limits }: Pick<PeopleRoom, 'store' | 'limits'>,
  step: () => Promise<{ readonly answer: T; readonly parts?: Batch }>,
): Promise<T> {
  for (let round = 0; round < limits.rounds; round++) {
    const { answer, parts } = await step()
    if (!parts || (await store.commit(parts)).kind === 'committed') return answer
  }
  throw new SlowHashBusy('Too many change the same thing')
}
