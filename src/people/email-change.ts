import { together } from '../ports/store.js'
import { foldedEmail, readEmail } from './email.js'
import { changeLetter, emailPut, letterTo, personByEmail, personChanged, readEmailRow, readPerson } from './person.js'
import { type Done, done, type Refused, refused } from './problem.js'
import { audited, type Client, job, type PeopleRoom, settle } from './rows.js'
import { endingAll } from './sessions.js'
import { from } from './sign-in.js'
import { mayWriteTo } from './sign-up.js'
import { newTicket, readTicket } from './tickets.js'

/** Asks the new address whether it is the person's; the same answer where somebody has it already. */
export async function changeEmail(
  room: PeopleRoom,
  person: string,
  text: string,
  client: Client,
): Promise<{ readonly kind: 'sent' } | Refused> {
  const email = readEmail(text)
  const held = await readPerson(room, person)
  if (email === undefined || !held) return refused('bad-email')
  const { language, epoch } = held.value
  const ticket = await newTicket(room, { kind: 'email', person, email, epoch }, room.limits.confirmMs)
  const taken = await personByEmail(room, email)
  const url = `${room.origin}/account/email/confirm?code=${ticket.secret}`
  const letter = taken
    ? letterTo(room, taken.value, { kind: 'account-exists', url: `${room.origin}/sign-in` })
    : letterTo(room, { email, language }, { kind: 'confirm-change', url })
  const parts = (await mayWriteTo(room, email, client)) ? together(ticket.parts, letter) : {}
  await room.store.commit(together(parts, audited(room, 'email-asked', `person:${person}`, from(client))))
  return { kind: 'sent' }
}

/** Makes the new address the person's. The old one is told, can undo it for a week, and is kept for nobody else so long. */
export async function confirmEmail(room: PeopleRoom, secret: string, client: Client): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const ticket = await readTicket(room, secret, 'email')
    const held = ticket && (await readPerson(room, ticket.ticket.person))
    if (!ticket || held?.value.state !== 'active' || held.value.epoch !== ticket.ticket.epoch) {
      return { answer: refused('no-such-link') }
    }
    // Who leaves a mailbox leaves what was sent there: a recovery that waits, or was ready, ends.
    const { recovery: _, ...person } = held.value
    const { id, email: old, language } = person
    const { email } = ticket.ticket
    const [before, after] = [await readEmailRow(room, old), await readEmailRow(room, email)]
    const sameKey = foldedEmail(old) === foldedEmail(email)
    if (!sameKey && after.row && after.row.person !== id) return { answer: refused('no-such-link') }
    const undo = await newTicket(
      room,
      { kind: 'email-undo', person: id, email: old, from: email },
      room.limits.emailUndoMs,
    )
    const url = `${room.origin}/account/email/undo?code=${undo.secret}`
    const keptUntil = room.clock.now() + room.limits.emailUndoMs
    const parts = together(
      await personChanged(room, held, { ...person, email }),
      ticket.end,
      undo.parts,
      {
        require: sameKey ? [after.is] : [before.is, after.is],
        put: [
          ...(sameKey ? [] : [emailPut(before.is.key, { person: id, kept: keptUntil })]),
          emailPut(after.is.key, { person: id }),
        ],
        enqueue: sameKey ? [] : [job('forget', before.is.key, keptUntil)],
      },
      letterTo(room, { email: old, language }, { kind: 'account-changed', what: 'your e-mail address', url }),
      audited(room, 'email-changed', `person:${id}`, from(client)),
    )
    return { answer: done, parts }
  })
}

/** Gives the account back to its old address: all sessions end, since whoever changed it may be another. */
export async function undoEmail(room: PeopleRoom, secret: string, client: Client): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const ticket = await readTicket(room, secret, 'email-undo')
    const held = ticket && (await readPerson(room, ticket.ticket.person))
    if (!ticket || !held) return { answer: refused('no-such-link') }
    const { id, email: now } = held.value
    const { email } = ticket.ticket
    const [before, after] = [await readEmailRow(room, now), await readEmailRow(room, email)]
    if (after.row && after.row.person !== id) return { answer: refused('no-such-link') }
    const sameKey = before.is.key === after.is.key
    // Links that went to the other address end with the epoch; so does everything that is signed in.
    const person = { ...held.value, email, epoch: held.value.epoch + 1 }
    const parts = together(
      await personChanged(room, held, person),
      ticket.end,
      {
        require: sameKey ? [after.is] : [before.is, after.is],
        put: [emailPut(after.is.key, { person: id })],
        del: sameKey ? [] : [before.is.key],
      },
      await endingAll(room, id),
      changeLetter(room, person, 'the change of your e-mail address was undone'),
      audited(room, 'email-undone', `link of person:${id}`, { ...from(client), person: id }),
    )
    return { answer: done, parts }
  })
}
