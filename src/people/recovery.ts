import { type Batch, together } from '../ports/store.js'
import { readEmail } from './email.js'
import { takeTurn } from './failures.js'
import { judgePassword, normalPassword } from './password.js'
import { changeLetter, letterTo, type PersonRow, personByEmail, personChanged, readPerson } from './person.js'
import { type Done, done, type Refused, refused, type Waiting } from './problem.js'
import { audited, type Client, type Held, job, type PeopleRoom, peopleKeys, settle } from './rows.js'
import { endingAll } from './sessions.js'
import { from, type Proof, prove, type SecondFactor, type SignedIn, signedIn, waysOf } from './sign-in.js'
import { mayWriteTo } from './sign-up.js'
import { newTicket, readTicket } from './tickets.js'

/**
 * Getting back into an account. A link in the mail is one proof; another is asked for beside it: a recovery code, the
 * authenticator app, a passkey. Who has none left waits, and whoever is signed in or reads the mail can stop it.
 */
export interface RecoveryView {
  readonly ways: SecondFactor['ways']
  /** Nothing else is asked for: the time is over. */
  readonly ready: boolean
  readonly waitsUntil?: number
}

/** Sends a link to a known address, nothing to others; the answer is the same. */
export async function beginRecovery(
  room: PeopleRoom,
  text: string,
  client: Client,
): Promise<{ readonly kind: 'sent' } | Refused> {
  const email = readEmail(text)
  if (email === undefined) return refused('bad-email')
  const held = await personByEmail(room, email)
  const person = held?.value.state === 'active' ? held.value : undefined
  const ticket = await newTicket(
    room,
    {
      ...{ kind: 'recovery', person: person?.id ?? '', email: person?.email ?? '' },
      ...{ epoch: person?.epoch ?? 0, tries: 0 },
    },
    room.limits.recoveryLinkMs,
  )
  if (!(await mayWriteTo(room, email, client))) return { kind: 'sent' }
  const url = `${room.origin}/recovery/continue?code=${ticket.secret}`
  await room.store.commit(
    together(
      ticket.parts,
      person ? letterTo(room, person, { kind: 'recovery', url }) : {},
      audited(room, 'recovery-asked', person ? `person:${person.id}` : 'anonymous', from(client)),
    ),
  )
  return { kind: 'sent' }
}

/** What a link of a recovery opens, before anything is proved. */
export async function awaitedRecovery(room: PeopleRoom, secret: string): Promise<RecoveryView | undefined> {
  const link = await recoveryOf(room, secret)
  if (!link) return undefined
  const { held, ready } = link
  const waitsUntil = held.value.recovery?.readyAt
  return { ways: waysOf(held.value), ready, ...(waitsUntil !== undefined && { waitsUntil }) }
}

/**
 * Sets a new password with the link and a second proof, or after the wait with the link alone: then every other factor is
 * gone with it. All sessions end, and the person is signed in.
 */
export async function finishRecovery(
  room: PeopleRoom,
  secret: string,
  { proof, password }: { readonly proof?: Proof; readonly password: string },
  client: Client,
): Promise<SignedIn | Refused | Waiting> {
  const first = await recoveryOf(room, secret)
  if (!first) return refused('no-such-link')
  const { value: before } = first.held
  const problem = judgePassword(password, before, room.limits)
  if (problem) return refused(problem)
  // Who comes here reads the mail: counted for the account as a whole, so that many links are no more tries than one.
  const turn = await takeTurn(room, [{ name: `recovery ${before.id}`, free: room.limits.freeFailures }])
  if (turn.kind === 'wait') return turn
  const hash = await room.slowHash.hash(normalPassword(password))
  return settle(room, async () => {
    const link = await recoveryOf(room, secret)
    if (!link) return { answer: refused('no-such-link') }
    const proved = link.ready ? afterWait(link.held.value) : proof && (await prove(room, link.held, proof))
    if (!proved) {
      const told = audited(room, 'recovery', `person:${before.id}`, from(client), 'refused', 'wrong-proof')
      return { answer: refused('wrong-proof'), parts: together(await link.missed(), told) }
    }
    return recovered(room, link, proved, { hash, usedCode: proof?.kind === 'recovery-code' }, turn.forgiven, client)
  })
}

async function recovered(
  room: PeopleRoom,
  link: RecoveryLink,
  proved: { readonly person: PersonRow; readonly parts: Batch },
  { hash, usedCode }: { readonly hash: string; readonly usedCode: boolean },
  forgiven: Batch,
  client: Client,
) {
  const { recovery: _, totp, ...rest } = proved.person
  const { id } = rest
  const epoch = rest.epoch + 1
  // A recovery code is for whoever lost the app: it is set up anew. Who proved the app or a passkey keeps all.
  const keepsTotp = totp !== undefined && !usedCode && !link.ready
  const person: PersonRow = { ...rest, password: hash, epoch, ...(keepsTotp && { totp }) }
  const gone = link.held.value.passkeys.filter((one) => !person.passkeys.some((kept) => kept.id === one.id))
  const level = link.ready || usedCode ? 'one-factor' : 'two-factors'
  return signedIn(room, { ...link.held, value: person }, epoch, level, client, [
    link.end,
    proved.parts,
    forgiven,
    { del: gone.map((one) => peopleKeys.passkey(one.id)) },
    await endingAll(room, id),
    changeLetter(
      room,
      person,
      link.ready ? 'the account was recovered after the waiting time' : 'the account was recovered with a new password',
    ),
    audited(room, 'recovered', `person:${id}`, { ...from(client), by: link.ready ? 'wait' : 'proof' }),
  ])
}

/** With nothing left but the mailbox: begins the wait, and says so by letter. Answers when it ends. */
export async function waitForRecovery(
  room: PeopleRoom,
  secret: string,
  client: Client,
): Promise<{ readonly kind: 'waiting'; readonly readyAt: number } | Refused> {
  return settle<{ readonly kind: 'waiting'; readonly readyAt: number } | Refused>(room, async () => {
    const link = await recoveryOf(room, secret)
    if (!link || link.ready) return { answer: refused('no-such-link') }
    const { held } = link
    const { recovery } = held.value
    if (recovery && room.clock.now() < recovery.readyAt + room.limits.recoveryReadyMs) {
      return { answer: { kind: 'waiting', readyAt: recovery.readyAt }, parts: link.end }
    }
    const begun = room.clock.now()
    const readyAt = begun + room.limits.recoveryWaitMs
    const { id } = held.value
    const cancel = await newTicket(
      room,
      { kind: 'recovery-cancel', person: id, begun },
      room.limits.recoveryWaitMs + room.limits.recoveryReadyMs,
    )
    const url = `${room.origin}/recovery/stop?code=${cancel.secret}`
    const waitHours = Math.round(room.limits.recoveryWaitMs / 3_600_000)
    const parts = together(
      await personChanged(room, held, { ...held.value, recovery: { begun, readyAt } }),
      { enqueue: [job('recovery', `${id} ${begun}`, readyAt)] },
      link.end,
      cancel.parts,
      letterTo(room, held.value, { kind: 'recovery', url, waitHours }),
      audited(room, 'recovery-waits', `person:${id}`, from(client)),
    )
    return { answer: { kind: 'waiting', readyAt }, parts }
  })
}

/** Stops a recovery that waits, by the link of its letter. */
export async function stopRecoveryByLink(room: PeopleRoom, secret: string, client: Client): Promise<Done | Refused> {
  const held = await readTicket(room, secret, 'recovery-cancel')
  if (!held) return refused('no-such-link')
  return stop(room, held.ticket.person, `link of person:${held.ticket.person}`, client, held.ticket.begun)
}

/** Stops a recovery that waits, by whoever is signed in. */
export async function stopRecovery(room: PeopleRoom, person: string, client: Client): Promise<Done | Refused> {
  return stop(room, person, `person:${person}`, client)
}

async function stop(
  room: PeopleRoom,
  person: string,
  by: string,
  client: Client,
  begun?: number,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await readPerson(room, person)
    const { recovery, ...rest } = held?.value ?? {}
    if (!held || !recovery || (begun !== undefined && recovery.begun !== begun))
      return { answer: refused('no-such-link') }
    const parts = together(
      await personChanged(room, held, rest as PersonRow),
      changeLetter(room, held.value, 'a recovery that had been started was stopped'),
      audited(room, 'recovery-stopped', by, { ...from(client), person }),
    )
    return { answer: done, parts }
  })
}

/** The end of the wait: a letter with the link that needs nothing beside it. What must be committed. */
export async function recoveryReady(room: PeopleRoom, person: string, begun: number): Promise<Batch> {
  const held = await readPerson(room, person)
  if (held?.value.recovery?.begun !== begun || held.value.state !== 'active') return {}
  const link = await newTicket(room, { kind: 'recovery-ready', person, begun }, room.limits.recoveryReadyMs)
  const url = `${room.origin}/recovery/continue?code=${link.secret}`
  return together(
    { require: [held.is] },
    link.parts,
    letterTo(room, held.value, { kind: 'recovery', url }),
    audited(room, 'recovery-ready', 'system', { person }),
  )
}

interface RecoveryLink {
  readonly held: Held<PersonRow>
  readonly ready: boolean
  readonly end: Batch
  /** A wrong proof, counted. */
  missed(): Promise<Batch>
}

async function recoveryOf(room: PeopleRoom, secret: string): Promise<RecoveryLink | undefined> {
  const link = await readTicket(room, secret, 'recovery', 'recovery-ready')
  const held = link && (await readPerson(room, link.ticket.person))
  if (!link || held?.value.state !== 'active') return undefined
  const { ticket, end } = link
  if (ticket.kind === 'recovery-ready') {
    return held.value.recovery?.begun === ticket.begun
      ? { held, ready: true, end, missed: async () => ({}) }
      : undefined
  }
  if (ticket.epoch !== held.value.epoch || ticket.email !== held.value.email) return undefined
  if (ticket.tries >= room.limits.proofs) return undefined
  return { held, ready: false, end, missed: () => link.change({ ...ticket, tries: ticket.tries + 1 }) }
}

function afterWait({ totp: _, ...person }: PersonRow): { readonly person: PersonRow; readonly parts: Batch } {
  return { person: { ...person, passkeys: [], recoveryCodes: [] }, parts: {} }
}
