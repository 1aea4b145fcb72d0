import { networkOf } from '../direct/network.js'
import { type Batch, together } from '../ports/store.js'
import { foldedEmail, readEmail } from './email.js'
import { countsOf, deviceCookie, isKnownDevice, takeTurn } from './failures.js'
import { namedIn, type PasskeyRequest, requestOptions, verifiedRequest } from './passkeys.js'
import { normalPassword } from './password.js'
import type { Session } from './people.js'
import { changeLetter, type PersonRow, personByEmail, personChanged, readPerson } from './person.js'
import { type Refused, refused, type Waiting } from './problem.js'
import { recoveryDigest } from './recovery-codes.js'
import { audited, type Client, type Held, keyedDigest, type PeopleRoom, peopleKeys, plain, settle } from './rows.js'
import { beginSession } from './sessions.js'
import { newTicket, readTicket } from './tickets.js'
import { totpStep } from './totp.js'

/** Somebody proved who he is: the secret and the device's name are for cookies. */
export interface SignedIn {
  readonly kind: 'signed-in'
  readonly secret: string
  readonly device: string
  readonly session: Session
}

/** The password was right; a code or a passkey is still to come, with the ticket. */
export interface SecondFactor {
  readonly kind: 'second-factor'
  readonly ticket: string
  readonly ways: readonly ('totp' | 'passkey' | 'recovery-code')[]
}

/** A proof beside the password. */
export type Proof =
  | { readonly kind: 'totp'; readonly code: string }
  | { readonly kind: 'recovery-code'; readonly code: string }
  | { readonly kind: 'passkey'; readonly ticket: string; readonly response: unknown }

/**
 * The first step with a password. Unknown, closed, without a password or wrong: one answer, in one time. Each try is counted
 * before it is looked at.
 */
export async function signIn(
  room: PeopleRoom,
  { email: text, password }: { readonly email: string; readonly password: string },
  client: Client,
): Promise<SignedIn | SecondFactor | Refused | Waiting> {
  const email = readEmail(text)
  const held = email === undefined ? undefined : await personByEmail(room, email)
  const person = held?.value
  const known = person !== undefined && isKnownDevice(room, person.id, person.epoch, client.device)
  const account = keyedDigest(room.indexKey, 'email', foldedEmail(email ?? text.slice(0, 320)))
  const turn = await takeTurn(room, countsOf(room, 'password', account, client, known))
  // Not audited: what led to the wait was, and a stranger could go on for ever.
  if (turn.kind === 'wait') return turn
  const mayTry = password.length <= 4 * room.limits.passwordMaxCharacters
  const right = await room.slowHash.verify(person?.password, mayTry ? normalPassword(password) : '')
  if (!right || !mayTry || !person || person.state !== 'active') {
    await room.store.commit(audited(room, 'sign-in', actorOf(person), from(client), 'refused', 'wrong-proof'))
    return refused('wrong-proof')
  }
  if (person.totp || person.passkeys.length > 0) {
    const { id, epoch } = person
    const next = await newTicket(room, { kind: 'second-factor', person: id, epoch, tries: 0 }, room.limits.stepMs)
    await room.store.commit(
      together(next.parts, turn.forgiven, audited(room, 'password-right', `person:${id}`, from(client))),
    )
    return { kind: 'second-factor', ticket: next.secret, ways: waysOf(person) }
  }
  return settle(room, async () =>
    signedIn(room, await readPerson(room, person.id), person.epoch, 'one-factor', client, [turn.forgiven]),
  )
}

/** The second step, with the ticket of the first. Five wrong ones end the ticket. */
export async function secondFactor(
  room: PeopleRoom,
  ticket: string,
  proof: Proof,
  client: Client,
): Promise<SignedIn | Refused | Waiting> {
  const first = await readTicket(room, ticket, 'second-factor')
  const person = first && (await readPerson(room, first.ticket.person))
  if (!first || !person || person.value.epoch !== first.ticket.epoch) return refused('no-such-link')
  const { id, epoch } = person.value
  // Only who knows the password comes here: the count is of the account as a whole, but for its own browsers.
  const known = isKnownDevice(room, id, epoch, client.device)
  const count = { name: `second ${id} ${known ? client.device : ''}`, free: room.limits.freeFailures }
  const turn = await takeTurn(room, [count])
  if (turn.kind === 'wait') return turn
  return settle(room, async () => {
    const held = await readTicket(room, ticket, 'second-factor')
    const now = await readPerson(room, id)
    if (!held || !now || held.ticket.tries >= room.limits.proofs) return { answer: refused('no-such-link') }
    const proved = await prove(room, now, proof)
    if (!proved) {
      const parts = together(
        await held.change({ ...held.ticket, tries: held.ticket.tries + 1 }),
        audited(room, 'sign-in', `person:${id}`, from(client), 'refused', `wrong-${proof.kind}`),
      )
      return { answer: refused('wrong-code'), parts }
    }
    const parts = [held.end, turn.forgiven, proved.parts]
    return signedIn(room, { ...now, value: proved.person }, epoch, 'two-factors', client, parts)
  })
}

/** What a browser needs to sign in with a passkey, and the ticket that comes back with its answer. */
export async function passkeySignInOptions(
  room: PeopleRoom,
): Promise<{ readonly ticket: string; readonly options: PasskeyRequest }> {
  const options = await requestOptions(room)
  const made = await newTicket(room, { kind: 'passkey-challenge', challenge: options.challenge }, room.limits.stepMs)
  await room.store.commit(made.parts)
  return { ticket: made.secret, options }
}

/** Signs in with a passkey alone: the authenticator verified its user, so that it counts as two factors. */
export async function passkeySignIn(
  room: PeopleRoom,
  proof: { readonly ticket: string; readonly response: unknown },
  client: Client,
): Promise<SignedIn | Refused> {
  const named = namedIn(proof.response)
  const row = named && (await room.store.get(peopleKeys.passkey(named.credential)))
  const id = row && plain<{ person: string }>(row.value).person
  const person = id === undefined ? undefined : (await readPerson(room, id))?.value
  const known = person !== undefined && isKnownDevice(room, person.id, person.epoch, client.device)
  // Nobody guesses a passkey; what is counted is what each try has us write.
  const mine = known ? `device ${client.device}` : `* ${networkOf(client.address)}`
  const turn = await takeTurn(room, [{ name: `passkey ${mine}`, free: room.limits.freeFailuresOfNetwork }])
  if (turn.kind === 'wait') return refused('wrong-proof')
  // The authenticator's word for whose passkey it is must be ours (WebAuthn §7.2, step 6).
  if (!id || (named.user !== undefined && named.user !== id)) {
    await room.store.commit(audited(room, 'sign-in', 'anonymous', from(client), 'refused', 'wrong-passkey'))
    return refused('wrong-proof')
  }
  return settle(room, async () => {
    const held = await readPerson(room, id)
    const proved = held && (await prove(room, held, { kind: 'passkey', ...proof }))
    if (!held || !proved) {
      return {
        answer: refused('wrong-proof'),
        parts: audited(room, 'sign-in', `person:${id}`, from(client), 'refused', 'wrong-passkey'),
      }
    }
    return signedIn(room, { ...held, value: proved.person }, held.value.epoch, 'two-factors', client, [
      proved.parts,
      turn.forgiven,
    ])
  })
}

/**
 * Proves again who somebody is, for what is dangerous: his password and, where he has one, a code; or a passkey. The session
 * goes on under a new secret.
 */
export async function proveAgain(
  room: PeopleRoom,
  session: Session,
  proof:
    | { readonly password: string; readonly code?: string }
    | { readonly ticket: string; readonly response: unknown },
  client: Client,
): Promise<SignedIn | Refused | Waiting> {
  const before = await readPerson(room, session.person)
  if (!before) return refused('wrong-proof')
  const { id, epoch } = before.value
  const turn = await takeTurn(room, [{ name: `again ${id} ${session.id}`, free: room.limits.freeFailures }])
  if (turn.kind === 'wait') return turn
  const password = 'password' in proof ? await checkPassword(room, before.value, proof.password) : undefined
  return settle(room, async () => {
    const held = await readPerson(room, id)
    const wrong = {
      answer: refused('wrong-proof'),
      parts: audited(room, 'prove', `person:${id}`, from(client), 'refused', 'wrong-proof'),
    }
    if (!held || password === false) return wrong
    const needs = 'response' in proof ? ({ kind: 'passkey', ...proof } as const) : held.value.totp && codeOf(proof.code)
    const proved = needs ? await prove(room, held, needs) : { person: held.value, parts: {} }
    if (!proved) return wrong
    const level = needs ? 'two-factors' : session.level
    const parts = [turn.forgiven, proved.parts]
    return signedIn(room, { ...held, value: proved.person }, epoch, level, client, parts, session.id)
  })
}

/** Whether a password is this account's. */
export async function checkPassword(room: PeopleRoom, { password }: PersonRow, text: string): Promise<boolean> {
  const mayTry = text.length <= 4 * room.limits.passwordMaxCharacters
  return (await room.slowHash.verify(password, mayTry ? normalPassword(text) : '')) && mayTry
}

/**
 * Whether a proof is right: the account after it (a step taken, a code gone, a counter grown) and what ends with it.
 * Undefined where it is not.
 */
export async function prove(
  room: PeopleRoom,
  { value: person }: Pick<Held<PersonRow>, 'value'>,
  proof: Proof,
): Promise<{ readonly person: PersonRow; readonly parts: Batch } | undefined> {
  if (person.state !== 'active') return undefined
  switch (proof.kind) {
    case 'totp': {
      const step = person.totp && totpStep(person.totp.secret, proof.code, room.clock.now(), person.totp.lastStep)
      if (!person.totp || step === undefined) return undefined
      return { person: { ...person, totp: { ...person.totp, lastStep: step } }, parts: {} }
    }
    case 'recovery-code': {
      const digest = recoveryDigest(room, person.id, proof.code.slice(0, 64))
      if (!person.recoveryCodes.includes(digest)) return undefined
      return {
        person: { ...person, recoveryCodes: person.recoveryCodes.filter((one) => one !== digest) },
        parts: together(
          audited(room, 'recovery-code-used', `person:${person.id}`),
          changeLetter(room, person, 'a recovery code was used to sign in'),
        ),
      }
    }
    case 'passkey': {
      const held = await readTicket(room, proof.ticket, 'passkey-challenge')
      const passkey = person.passkeys.find(({ id }) => id === namedIn(proof.response)?.credential)
      const after = held && passkey && (await verifiedRequest(room, proof.response, held.ticket.challenge, passkey))
      if (!after) return undefined
      const passkeys = person.passkeys.map((one) => (one.id === after.id ? after : one))
      return { person: { ...person, passkeys }, parts: held.end }
    }
  }
}

/** The answer and the parts of signing in: the account as it is after its proof, a new session, and no recovery that waits. */
export async function signedIn(
  room: PeopleRoom,
  held: Held<PersonRow> | undefined,
  epoch: number,
  level: Session['level'],
  client: Client,
  parts: readonly Batch[],
  replaces?: string,
): Promise<{ readonly answer: SignedIn | Refused; readonly parts?: Batch }> {
  if (held?.value.state !== 'active' || held.value.epoch !== epoch) return { answer: refused('wrong-proof') }
  // Who can sign in needs no recovery, and whoever began it was somebody else.
  const { recovery, ...rest } = held.value
  const ended = recovery !== undefined && level === 'two-factors'
  const person = ended ? rest : held.value
  const begun = await beginSession(room, person, level, client, replaces)
  return {
    answer: {
      ...{ kind: 'signed-in', secret: begun.secret, session: begun.session },
      device: deviceCookie(room, person.id, person.epoch),
    },
    parts: together(
      await personChanged(room, held, person),
      begun.parts,
      ...parts,
      ...(ended
        ? [changeLetter(room, person, 'a recovery that had been started was stopped, because you signed in')]
        : []),
      audited(room, replaces === undefined ? 'sign-in' : 'prove', `person:${person.id}`, {
        ...from(client),
        ...{ session: begun.session.id, level },
      }),
    ),
  }
}

export function waysOf({ totp, passkeys, recoveryCodes }: PersonRow): SecondFactor['ways'] {
  return [
    ...(totp ? (['totp'] as const) : []),
    ...(passkeys.length > 0 ? (['passkey'] as const) : []),
    ...(recoveryCodes.length > 0 ? (['recovery-code'] as const) : []),
  ]
}

function codeOf(code = ''): Proof {
  return /^[\d\s]{6,8}$/.test(code) ? { kind: 'totp', code } : { kind: 'recovery-code', code }
}

export const from = ({ address }: Client) => ({ client: address })

function actorOf(person: PersonRow | undefined): string {
  return person ? `person:${person.id}` : 'anonymous'
}
