import type { Batch } from '../ports/store.js'
import type { RegistrationTicket } from './passkeys.js'
import { digestOf, isSecret, job, newSecret, opened, type PeopleRoom, peopleKeys, sealed, ticketOwner } from './rows.js'

/** What a link in a mail, or a step between two forms, stands for. */
export type Ticket =
  | {
      readonly kind: 'confirm'
      readonly email: string
      readonly name: string
      readonly language: string
      readonly birthDate?: string
    }
  | { readonly kind: 'second-factor'; readonly person: string; readonly epoch: number; readonly tries: number }
  | { readonly kind: 'passkey-challenge'; readonly challenge: string }
  | RegistrationTicket
  | { readonly kind: 'totp'; readonly person: string; readonly secret: string; readonly tries: number }
  | {
      readonly kind: 'recovery'
      readonly person: string
      /** Where the link went: it ends with the address. */
      readonly email: string
      readonly epoch: number
      readonly tries: number
    }
  | { readonly kind: 'recovery-ready'; readonly person: string; readonly begun: number }
  | { readonly kind: 'recovery-cancel'; readonly person: string; readonly begun: number }
  | { readonly kind: 'email'; readonly person: string; readonly email: string; readonly epoch: number }
  | { readonly kind: 'email-undo'; readonly person: string; readonly email: string; readonly from: string }

export type TicketOf<K extends Ticket['kind']> = Extract<Ticket, { kind: K }>

interface TicketRow {
  readonly ticket: Ticket
  readonly expiresAt: number
}

/** A ticket that was read: what it says, and how it ends or changes. Both hold only while it is as it was read. */
export interface HeldTicket<T> {
  readonly ticket: T
  readonly expiresAt: number
  readonly end: Batch
  change(next: T): Promise<Batch>
}

/** A new ticket: the secret that names it, and what must be committed. It ends by itself. */
export async function newTicket(
  room: PeopleRoom,
  ticket: Ticket,
  lifeMs: number,
): Promise<{ readonly secret: string; readonly parts: Batch }> {
  const secret = newSecret(room.random)
  const key = peopleKeys.ticket(digestOf(secret))
  const expiresAt = room.clock.now() + lifeMs
  const put = [await sealed(room, ticketOwner, key, { ticket, expiresAt } satisfies TicketRow)]
  return { secret, parts: { require: [{ key, version: 'absent' }], put, enqueue: [job('forget', key, expiresAt)] } }
}

/** The ticket of a secret, where it is of one of these kinds and in time. */
export async function readTicket<K extends Ticket['kind']>(
  room: PeopleRoom,
  secret: string,
  ...kinds: readonly K[]
): Promise<HeldTicket<TicketOf<K>> | undefined> {
  if (!isSecret(secret)) return undefined
  const key = peopleKeys.ticket(digestOf(secret))
  const row = await room.store.get(key)
  if (!row) return undefined
  const { ticket, expiresAt } = await opened<TicketRow>(room.vault, ticketOwner, row)
  const known: readonly string[] = kinds
  if (!known.includes(ticket.kind) || room.clock.now() >= expiresAt) return undefined
  const require = [{ key, version: row.version }]
  return {
    ticket: ticket as TicketOf<K>,
    expiresAt,
    end: { require, del: [key] },
    change: async (next) => ({ require, put: [await sealed(room, ticketOwner, key, { ticket: next, expiresAt })] }),
  }
}
