import type { Letter } from '../ports/letters.js'
import type { Batch } from '../ports/store.js'
import { foldedEmail } from './email.js'
import type { Person } from './people.js'
import {
  type Held,
  idForm,
  json,
  keyedDigest,
  newSecret,
  type PeopleRoom,
  peopleKeys,
  personOwner,
  plain,
  readSealed,
  sealed,
} from './rows.js'

/** An account with everything it is proved by. */
export interface PersonRow extends Person {
  readonly createdAt: number
  /** Grows whenever everything that was signed in is out: another password, a recovery. */
  readonly epoch: number
  /** Argon2id in its PHC string. */
  readonly password?: string
  /** Base32; `lastStep` is the step of the last code taken (RFC 6238 §5.2: never twice). */
  readonly totp?: { readonly secret: string; readonly lastStep: number; readonly addedAt: number }
  readonly passkeys: readonly Passkey[]
  /** Keyed digests; each goes when it is used. */
  readonly recoveryCodes: readonly string[]
  /** A recovery with the mailbox alone that waits. */
  readonly recovery?: { readonly begun: number; readonly readyAt: number }
}

export interface Passkey {
  /** Base64url, as browsers name it. */
  readonly id: string
  /** COSE, base64url. */
  readonly publicKey: string
  readonly counter: number
  readonly transports: readonly string[]
  readonly label: string
  readonly addedAt: number
  readonly backedUp: boolean
}

/** Whose an address is; without `kept` he signs in with it. Kept addresses wait for somebody who may undo a change. */
interface EmailRow {
  readonly person: string
  /** Unix milliseconds: until then for nobody else. */
  readonly kept?: number
}

export async function readPerson(room: PeopleRoom, id: string): Promise<Held<PersonRow> | undefined> {
  return idForm.test(id) ? readSealed<PersonRow>(room, personOwner(id), peopleKeys.person(id)) : undefined
}

/** A changed account as a part of a batch: refused where it changed since it was read. */
export async function personChanged(room: PeopleRoom, held: Held<PersonRow>, next: PersonRow): Promise<Batch> {
  return { require: [held.is], put: [await sealed(room, personOwner(next.id), held.is.key, next)] }
}

export function emailDigest({ indexKey }: Pick<PeopleRoom, 'indexKey'>, email: string): string {
  return keyedDigest(indexKey, 'email', foldedEmail(email))
}

export async function readEmailRow(room: PeopleRoom, email: string) {
  const key = peopleKeys.email(emailDigest(room, email))
  const row = await room.store.get(key)
  const is = { key, version: row?.version ?? ('absent' as const) }
  return { is, row: row && plain<EmailRow>(row.value) }
}

export function emailPut(key: string, row: EmailRow) {
  return json(key, row)
}

/** The account that signs in with an address. */
export async function personByEmail(room: PeopleRoom, email: string): Promise<Held<PersonRow> | undefined> {
  const { row } = await readEmailRow(room, email)
  return row && row.kept === undefined ? readPerson(room, row.person) : undefined
}

/** A letter to a person as a part of a batch; each call is another letter. */
export function letterTo(
  room: PeopleRoom,
  to: Pick<Person, 'email' | 'language'>,
  letter: Letter,
  once = newSecret(room.random),
): Batch {
  return room.letters.letter({ email: to.email, language: to.language }, letter, once)
}

/** Tells a person that something of the account's safety changed. */
export function changeLetter(room: PeopleRoom, to: Pick<Person, 'email' | 'language'>, what: string): Batch {
  return letterTo(room, to, { kind: 'account-changed', what, url: `${room.origin}/account` })
}

export function told({ id, name, email, language, birthDate, state }: PersonRow): Person {
  return { id, name, email, language, state, ...(birthDate !== undefined && { birthDate }) }
}

/** Whether there is a second proof beside a password, or something better than both. */
export function hasSecondFactor({ totp, passkeys }: PersonRow): boolean {
  return totp !== undefined || passkeys.length > 0
}
