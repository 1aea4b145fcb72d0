import { together } from '../ports/store.js'
import { creationOptions, type PasskeyCreation, verifiedCreation } from './passkeys.js'
import { judgePassword, normalPassword } from './password.js'
import type { Session } from './people.js'
import { changeLetter, hasSecondFactor, type PersonRow, personChanged, readPerson } from './person.js'
import { type Done, done, type PeopleProblem, type Refused, refused } from './problem.js'
import { newRecoveryCodes, recoveryDigest } from './recovery-codes.js'
import { audited, type Client, json, type PeopleRoom, peopleKeys, settle } from './rows.js'
import { endingAll } from './sessions.js'
import { type SignedIn, signedIn } from './sign-in.js'
import { mustNotHashOften, readLabel } from './sign-up.js'
import { newTicket, readTicket } from './tickets.js'
import { totpSecret, totpStep, totpUri } from './totp.js'

/** What an account is proved by, as its person sees it: never a secret. */
export interface Factors {
  readonly password: boolean
  readonly totp: { readonly addedAt: number } | undefined
  readonly passkeys: readonly {
    readonly id: string
    readonly label: string
    readonly addedAt: number
    readonly backedUp: boolean
  }[]
  readonly recoveryCodesLeft: number
  /** A recovery with the mailbox alone that somebody began. */
  readonly recovery: { readonly begunAt: number; readonly readyAt: number } | undefined
}

/** New codes are shown once, and never again. */
export interface WithCodes<T> {
  readonly kind: 'set-up'
  readonly signedIn: T
  readonly recoveryCodes: readonly string[]
}

export async function factorsOf(room: PeopleRoom, person: string): Promise<Factors | undefined> {
  const held = await readPerson(room, person)
  if (!held) return undefined
  const { password, totp, passkeys, recoveryCodes, recovery } = held.value
  return {
    password: password !== undefined,
    totp: totp && { addedAt: totp.addedAt },
    passkeys: passkeys.map(({ id, label, addedAt, backedUp }) => ({ id, label, addedAt, backedUp })),
    recoveryCodesLeft: recoveryCodes.length,
    recovery: recovery && { begunAt: recovery.begun, readyAt: recovery.readyAt },
  }
}

/** Sets another password, or the first. Every other session ends; this one goes on under a new secret. */
export async function changePassword(
  room: PeopleRoom,
  session: Session,
  password: string,
  client: Client,
): Promise<SignedIn | Refused> {
  const before = await readPerson(room, session.person)
  const problem: PeopleProblem | undefined = before ? judgePassword(password, before.value, room.limits) : 'wrong-proof'
  if (problem) return refused(problem)
  await mustNotHashOften(room, session.person)
  const hash = await room.slowHash.hash(normalPassword(password))
  return settle(room, async () => {
    const held = await readPerson(room, session.person)
    if (!held) return { answer: refused('wrong-proof') }
    const epoch = held.value.epoch + 1
    const person: PersonRow = { ...held.value, password: hash, epoch }
    const ended = await endingAll(room, person.id)
    const told = [
      ended,
      changeLetter(room, person, 'your password'),
      audited(room, 'password-changed', `person:${person.id}`, { client: client.address }),
    ]
    return signedIn(room, { ...held, value: person }, epoch, session.level, client, told)
  })
}

/** Begins to set up an authenticator app: nothing changes before a code of it came back with the ticket. */
export async function beginTotp(
  room: PeopleRoom,
  person: string,
): Promise<{ readonly ticket: string; readonly secret: string; readonly uri: string } | undefined> {
  const held = await readPerson(room, person)
  if (!held) return undefined
  const secret = totpSecret(room.random.bytes(20))
  const ticket = await newTicket(room, { kind: 'totp', person, secret, tries: 0 }, room.limits.stepMs)
  await room.store.commit(ticket.parts)
  return { ticket: ticket.secret, secret, uri: totpUri(secret, room.house, held.value.email) }
}

/** What a ticket for an authenticator app is about, to show the form again. */
export async function awaitedTotp(room: PeopleRoom, person: string, ticket: string) {
  const held = await readTicket(room, ticket, 'totp')
  const row = await readPerson(room, person)
  if (held?.ticket.person !== person || !row) return undefined
  const { secret } = held.ticket
  return { ticket, secret, uri: totpUri(secret, room.house, row.value.email) }
}

/** Takes the authenticator app on, and signs in on both factors. Recovery codes come with the first second factor. */
export async function confirmTotp(
  room: PeopleRoom,
  session: Session,
  { ticket, code }: { readonly ticket: string; readonly code: string },
  client: Client,
): Promise<WithCodes<SignedIn> | Refused> {
  return settle(room, async () => {
    const held = await readTicket(room, ticket, 'totp')
    const person = await readPerson(room, session.person)
    if (!held || !person || held.ticket.person !== session.person || held.ticket.tries >= room.limits.proofs) {
      return { answer: refused('no-such-link') }
    }
    const { secret } = held.ticket
    const step = totpStep(secret, code, room.clock.now(), 0)
    if (step === undefined) {
      return {
        answer: refused('wrong-code'),
        parts: await held.change({ ...held.ticket, tries: held.ticket.tries + 1 }),
      }
    }
    const totp = { secret, lastStep: step, addedAt: room.clock.now() }
    const { row, codes } = withCodes(room, { ...person.value, totp })
    const told = [
      held.end,
      changeLetter(room, row, 'an authenticator app was added'),
      audited(room, 'totp-added', `person:${row.id}`, { client: client.address }),
    ]
    // A passkey or a code proved the account already where there was a second factor; with a password alone this is it.
    const next = await signedIn(room, { ...person, value: row }, row.epoch, 'two-factors', client, told, session.id)
    return setUp(next, codes)
  })
}

export async function removeTotp(room: PeopleRoom, session: Session, client: Client): Promise<Done | Refused> {
  return settle(room, async () => {
    const held = await readPerson(room, session.person)
    if (!held?.value.totp) return { answer: refused('no-such-factor') }
    const { totp: _, ...person } = held.value
    return without(room, held, person, 'totp-removed', 'an authenticator app was removed', client)
  })
}

/** What a browser needs to make another passkey, and the ticket that comes back with its answer. */
export async function passkeyOptions(
  room: PeopleRoom,
  person: string,
): Promise<{ readonly ticket: string; readonly options: PasskeyCreation } | undefined> {
  const held = await readPerson(room, person)
  if (!held) return undefined
  const options = await creationOptions(room, held.value)
  const ticket = { kind: 'passkey-registration', person, challenge: options.challenge } as const
  const made = await newTicket(room, ticket, room.limits.stepMs)
  await room.store.commit(made.parts)
  return { ticket: made.secret, options }
}

export async function addPasskey(
  room: PeopleRoom,
  session: Session,
  made: { readonly ticket: string; readonly response: unknown; readonly label: string },
  client: Client,
): Promise<WithCodes<SignedIn> | Refused> {
  return settle(room, async () => {
    const held = await readTicket(room, made.ticket, 'passkey-registration')
    const person = await readPerson(room, session.person)
    if (!held || !person || held.ticket.person !== session.person) return { answer: refused('no-such-link') }
    if (person.value.passkeys.length >= room.limits.passkeys) return { answer: refused('too-many') }
    const passkey = await verifiedCreation(room, made.response, held.ticket.challenge, readLabel(made.label))
    if (!passkey) return { answer: refused('wrong-proof'), parts: held.end }
    const key = peopleKeys.passkey(passkey.id)
    if (await room.store.get(key)) return { answer: refused('wrong-proof'), parts: held.end }
    const { row, codes } = withCodes(room, { ...person.value, passkeys: [...person.value.passkeys, passkey] })
    const told = [
      held.end,
      { require: [{ key, version: 'absent' as const }], put: [json(key, { person: row.id })] },
      changeLetter(room, row, 'a passkey was added'),
      audited(room, 'passkey-added', `person:${row.id}`, { client: client.address }),
    ]
    const next = await signedIn(room, { ...person, value: row }, row.epoch, 'two-factors', client, told, session.id)
    return setUp(next, codes)
  })
}

export async function removePasskey(
  room: PeopleRoom,
  session: Session,
  id: string,
  client: Client,
): Promise<Done | Refused> {
  return settle(room, async () => {
    const held = await readPerson(room, session.person)
    if (!held?.value.passkeys.some((one) => one.id === id)) return { answer: refused('no-such-factor') }
    const person = { ...held.value, passkeys: held.value.passkeys.filter((one) => one.id !== id) }
    const step = await without(room, held, person, 'passkey-removed', 'a passkey was removed', client)
    const parts = step.parts && together(step.parts, { del: [peopleKeys.passkey(id)] })
    return { answer: step.answer, ...(parts && { parts }) }
  })
}

/** Ten new recovery codes; those before end. */
export async function renewRecoveryCodes(
  room: PeopleRoom,
  session: Session,
  client: Client,
): Promise<readonly string[] | undefined> {
  const codes = newRecoveryCodes(room.random, room.limits.recoveryCodes)
  return settle(room, async () => {
    const held = await readPerson(room, session.person)
    if (!held) return { answer: undefined }
    const recoveryCodes = codes.map((code) => recoveryDigest(room, held.value.id, code))
    const parts = together(
      await personChanged(room, held, { ...held.value, recoveryCodes }),
      changeLetter(room, held.value, 'new recovery codes were made'),
      audited(room, 'recovery-codes-renewed', `person:${held.value.id}`, { client: client.address }),
    )
    return { answer: codes, parts }
  })
}

function withCodes(room: PeopleRoom, row: PersonRow) {
  if (row.recoveryCodes.length > 0) return { row, codes: [] }
  const codes = newRecoveryCodes(room.random, room.limits.recoveryCodes)
  return { row: { ...row, recoveryCodes: codes.map((code) => recoveryDigest(room, row.id, code)) }, codes }
}

function setUp(
  { answer, parts }: Awaited<ReturnType<typeof signedIn>>,
  recoveryCodes: readonly string[],
): { answer: WithCodes<SignedIn> | Refused; parts?: NonNullable<typeof parts> } {
  const told = answer.kind === 'refused' ? answer : ({ kind: 'set-up', signedIn: answer, recoveryCodes } as const)
  return { answer: told, ...(parts && { parts }) }
}

/** The account without a factor; refused where nobody could sign in any more as the house demands. */
async function without(
  room: PeopleRoom,
  held: NonNullable<Awaited<ReturnType<typeof readPerson>>>,
  person: PersonRow,
  action: string,
  what: string,
  client: Client,
) {
  const bySomething = person.passkeys.length > 0 || person.password !== undefined
  const enough = room.secondFactor === 'offered' || hasSecondFactor(person)
  if (!bySomething || !enough) return { answer: refused('last-factor') as Done | Refused }
  const parts = together(
    await personChanged(room, held, person),
    changeLetter(room, person, what),
    audited(room, action, `person:${person.id}`, { client: client.address }),
  )
  return { answer: done as Done | Refused, parts }
}
