import { networkOf } from '../direct/network.js'
import { SlowHashBusy } from '../ports/slow-hash.js'
import { together } from '../ports/store.js'
import { readEmail } from './email.js'
import { deviceCookie, takeTurn } from './failures.js'
import { creationOptions, type PasskeyCreation, verifiedCreation } from './passkeys.js'
import { judgePassword, normalPassword } from './password.js'
import { emailDigest, emailPut, letterTo, type PersonRow, personByEmail, readEmailRow } from './person.js'
import { type PeopleProblem, type Refused, refused } from './problem.js'
import {
  audited,
  type Client,
  digestOf,
  json,
  newId,
  type PeopleRoom,
  peopleKeys,
  personOwner,
  sealed,
  settle,
} from './rows.js'
import { beginSession } from './sessions.js'
import { from, type SignedIn } from './sign-in.js'
import { type HeldTicket, newTicket, readTicket, type TicketOf } from './tickets.js'

export interface NewPerson {
  readonly email: string
  readonly name: string
  readonly language: string
  readonly birthDate?: string
}

/** What somebody signs in with from now on. */
export type FirstFactor =
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'passkey'; readonly ticket: string; readonly response: unknown; readonly label: string }

/**
 * Asks for an account: a link goes to the address, and nothing else happens. The answer is the same whether somebody has the
 * address or not; who has it is told so by mail. No password is chosen yet: only who reads the mail chooses it, so that
 * nobody prepares an account for somebody else's address.
 */
export async function signUp(
  room: PeopleRoom,
  wanted: NewPerson,
  client: Client,
): Promise<{ readonly kind: 'sent' } | Refused> {
  const email = readEmail(wanted.email)
  const name = readName(wanted.name)
  if (email === undefined) return refused('bad-email')
  if (name === undefined) return refused('bad-name')
  if (wanted.birthDate !== undefined && !isBirthDate(wanted.birthDate, room.clock.now()))
    return refused('bad-birth-date')
  const known = await personByEmail(room, email)
  const language = readLanguage(wanted.language)
  const ticket = await newTicket(
    room,
    { kind: 'confirm', email, name, language, ...(wanted.birthDate !== undefined && { birthDate: wanted.birthDate }) },
    room.limits.confirmMs,
  )
  const letter = known
    ? letterTo(room, known.value, { kind: 'account-exists', url: `${room.origin}/sign-in` })
    : letterTo(
        room,
        { email, language },
        { kind: 'confirm-email', url: `${room.origin}/sign-up/confirm?code=${ticket.secret}` },
      )
  // Beyond what may be written nothing is kept, or a stranger would fill the store; the answer tells nothing of it.
  if (!(await mayWriteTo(room, email, client))) return { kind: 'sent' }
  // The ticket is written for a known address too, so that both cost the same; nobody ever learns its secret.
  await room.store.commit(together(ticket.parts, letter, audited(room, 'sign-up', 'anonymous', from(client))))
  return { kind: 'sent' }
}

/** Whether another letter may go to an address that a stranger named: so many a day from a network, and so many in all. */
export async function mayWriteTo(room: PeopleRoom, email: string, client: Client): Promise<boolean> {
  const digest = emailDigest(room, email)
  const network = networkOf(client.address)
  const counts = [
    { name: `letter ${digest} ${network}`, free: room.limits.lettersOfNetwork },
    { name: `letter ${digest}`, free: room.limits.lettersOfAddress },
    { name: `letters ${network}`, free: room.limits.lettersOfNetworkInAll },
  ]
  return (await takeTurn(room, counts)).kind === 'go'
}

/** Refuses to hash for one link or one person again and again, which would keep everybody else from signing in. */
export async function mustNotHashOften(room: PeopleRoom, who: string): Promise<void> {
  const turn = await takeTurn(room, [{ name: `hash ${who}`, free: room.limits.hashings }])
  if (turn.kind === 'wait') throw new SlowHashBusy('Asked for too often')
}

/** What the link of a confirmation stands for, to be shown before a password is chosen. */
export async function awaitedConfirmation(room: PeopleRoom, secret: string): Promise<NewPerson | undefined> {
  const held = await readTicket(room, secret, 'confirm')
  if (!held) return undefined
  const { kind: _, ...wanted } = held.ticket
  return wanted
}

/** What a browser needs to make the first passkey of an account that is about to be. */
export async function firstPasskeyOptions(
  room: PeopleRoom,
  secret: string,
): Promise<{ readonly ticket: string; readonly options: PasskeyCreation } | undefined> {
  const held = await readTicket(room, secret, 'confirm')
  if (!held) return undefined
  const { email, name } = held.ticket
  const person = newId(room.random)
  const options = await creationOptions(room, { id: person, email, name, passkeys: [] })
  const ticket = { kind: 'passkey-registration', person, challenge: options.challenge } as const
  const made = await newTicket(room, ticket, room.limits.stepMs)
  await room.store.commit(made.parts)
  return { ticket: made.secret, options }
}

/** Opens the account and signs its person in. The link ends with it. */
export async function confirmSignUp(
  room: PeopleRoom,
  secret: string,
  factor: FirstFactor,
  client: Client,
  nameNow?: string,
): Promise<SignedIn | Refused> {
  const first = await readTicket(room, secret, 'confirm')
  if (!first) return refused('no-such-link')
  const name = nameNow === undefined ? first.ticket.name : readName(nameNow)
  if (name === undefined) return refused('bad-name')
  const made = await factorOf(room, factor, { email: first.ticket.email, name, link: digestOf(secret) })
  if (made.kind === 'refused') return made
  return settle<SignedIn | Refused>(room, async () => {
    const held = await readTicket(room, secret, 'confirm')
    const address = held && (await readEmailRow(room, held.ticket.email))
    // Somebody else may have opened it by another link meanwhile, or it is kept for whoever had it.
    if (!held || !address || address.row) return { answer: refused('no-such-link') }
    return opening(room, { ...held, ticket: { ...held.ticket, name } }, address.is, made, client)
  })
}

type Made =
  | {
      readonly kind: 'made'
      readonly id: string
      readonly factors: Pick<PersonRow, 'password' | 'passkeys'>
      readonly end?: HeldTicket<unknown>
    }
  | Refused

async function factorOf(
  room: PeopleRoom,
  factor: FirstFactor,
  who: { email: string; name: string; link: string },
): Promise<Made> {
  if (factor.kind === 'password') {
    const problem: PeopleProblem | undefined = judgePassword(factor.password, who, room.limits)
    if (problem) return refused(problem)
    await mustNotHashOften(room, who.link)
    const password = await room.slowHash.hash(normalPassword(factor.password))
    return { kind: 'made', id: newId(room.random), factors: { password, passkeys: [] } }
  }
  const end = await readTicket(room, factor.ticket, 'passkey-registration')
  const passkey = end && (await verifiedCreation(room, factor.response, end.ticket.challenge, readLabel(factor.label)))
  if (!end || !passkey) return refused('wrong-proof')
  return { kind: 'made', id: end.ticket.person, factors: { passkeys: [passkey] }, end }
}

async function opening(
  room: PeopleRoom,
  held: HeldTicket<TicketOf<'confirm'>>,
  address: { readonly key: string; readonly version: number | 'absent' },
  made: Exclude<Made, Refused>,
  client: Client,
) {
  const { kind: _, ...wanted } = held.ticket
  const id = made.id
  const person: PersonRow = {
    ...{ id, ...wanted, state: 'active', createdAt: room.clock.now(), epoch: 0, recoveryCodes: [] },
    ...made.factors,
  }
  const passkeys = made.factors.passkeys.map((one) => peopleKeys.passkey(one.id))
  const begun = await beginSession(room, person, passkeys.length > 0 ? 'two-factors' : 'one-factor', client)
  const key = peopleKeys.person(id)
  const parts = together(
    held.end,
    made.end?.end ?? {},
    {
      require: [address, ...[key, ...passkeys].map((one) => ({ key: one, version: 'absent' as const }))],
      put: [
        emailPut(address.key, { person: id }),
        await sealed(room, personOwner(id), key, person),
        ...passkeys.map((one) => json(one, { person: id })),
      ],
    },
    begun.parts,
    audited(room, 'account-opened', `person:${id}`, { ...from(client), session: begun.session.id }),
  )
  const answer: SignedIn = {
    ...{ kind: 'signed-in', secret: begun.secret, session: begun.session, device: deviceCookie(room, id, 0) },
  }
  return { answer, parts }
}

/** A name as it is kept: without control characters and with single spaces; undefined where nothing is left, or too much. */
export function readName(text: string, mostCharacters = 200): string | undefined {
  const name = text
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return name === '' || [...name].length > mostCharacters ? undefined : name
}

export function readLabel(text: string): string {
  return readName(text.slice(0, 100)) ?? 'Passkey'
}

/** BCP 47 as far as it matters here; English for what is no language. */
export function readLanguage(text: string): string {
  return /^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,3}$/.test(text) ? text : 'en'
}

/** A day that there was, not before 1870 and not in the future. */
export function isBirthDate(text: string, now: number): boolean {
  const at = Date.parse(`${text}T00:00:00Z`)
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(at)) return false
  return new Date(at).toISOString().slice(0, 10) === text && text >= '1870-01-01' && at <= now
}
