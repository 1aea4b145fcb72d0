import type { AccessRule } from '../direct/access.js'
import { permissions } from '../direct/access.js'
import { recordItemTypes } from '../direct/clinical.js'
import { type Batch, together, within } from '../ports/store.js'
import { readEmail } from './email.js'
import { takeTurn } from './failures.js'
import { changeLetter, emailDigest, letterTo, readPerson } from './person.js'
import { type Done, done, type Refused, refused } from './problem.js'
import { custodiansOf, isMember, type Member, membershipOf, type RecordRow, readRecord } from './record-row.js'
import { asCustodian, holdOf, recordStep } from './records.js'
import {
  audited,
  digestOf,
  type Held,
  isSecret,
  job,
  newSecret,
  nothing,
  opened,
  type PeopleRoom,
  peopleKeys,
  readSealed,
  sealed,
  settle,
} from './rows.js'
import { readName } from './sign-up.js'

/** What a custodian offers to somebody else. */
export interface NewInvitation {
  readonly email: string
  readonly relationship: string
  readonly custodian: boolean
  /** What a reader may do; a custodian has all. */
  readonly rules: readonly AccessRule[]
  /** Unix milliseconds: when the sharing ends. */
  readonly until?: number
  /** Told by other means: a stolen mailbox alone gets nothing. */
  readonly pin?: string
  readonly message?: string
  /** Whom the record is about: they become its subject. */
  readonly subject?: boolean
}

type InvitationState = 'pending' | 'accepted' | 'declined' | 'withdrawn' | 'locked'

interface InvitationRow extends Omit<NewInvitation, 'pin' | 'subject'> {
  readonly id: string
  readonly record: string
  readonly from: string
  readonly pin?: string
  readonly tries: number
  readonly subject: boolean
  readonly state: InvitationState
  readonly createdAt: number
  readonly expiresAt: number
}

/** An invitation as both sides see it. */
export interface InvitationView {
  readonly id: string
  readonly record: string
  /** Name of the record, and of who invites. */
  readonly recordName: string
  readonly from: string
  readonly email: string
  readonly relationship: string
  readonly custodian: boolean
  readonly subject: boolean
  readonly rules: readonly AccessRule[]
  readonly until?: number
  readonly pin: boolean
  readonly message?: string
  readonly state: InvitationState | 'expired'
  readonly createdAt: number
  readonly expiresAt: number
}

/** Invites somebody by mail; only a custodian does. Answers the invitation's id; its secret is in the letter alone. */
export async function invite(
  room: PeopleRoom,
  person: string,
  record: string,
  wanted: NewInvitation,
): Promise<{ readonly kind: 'invited'; readonly id: string } | Refused> {
  const email = readEmail(wanted.email)
  const relationship = readName(wanted.relationship, room.limits.labelCharacters)
  const problem = wrongWith(room, wanted)
  if (email === undefined) return refused('bad-email')
  if (relationship === undefined) return refused('bad-name')
  if (problem) return refused(problem)
  const held = await readRecord(room, record)
  const mayAsk = held && custodiansOf(held.value, room.clock.now()).some((one) => one.person === person)
  // Their letters have the words of whoever invites: so many a day of one person, and to one address.
  if (mayAsk && (await takeTurn(room, invitingCounts(room, person, email))).kind === 'wait') return refused('too-many')
  const pin = wanted.pin === undefined || !mayAsk ? undefined : await room.slowHash.hash(wanted.pin)
  return asCustodian<{ readonly kind: 'invited'; readonly id: string }>(room, person, record, async (held) => {
    if (held.value.state !== 'active') return { answer: refused('not-active') }
    const pending = (await invitationsOf(room, record)).filter((one) => one.value.state === 'pending')
    if (pending.length >= room.limits.invitations) return { answer: refused('too-many') }
    const from = await readPerson(room, person)
    if (!from || held.value.members.length >= room.limits.members) return { answer: refused('too-many') }
    const now = room.clock.now()
    const secret = newSecret(room.random)
    const digest = digestOf(secret)
    const key = peopleKeys.invitation(digest)
    const message = wanted.message?.trim()
    const row: InvitationRow = {
      ...{ id: idOf(digest), record, from: person, email, relationship, custodian: wanted.custodian },
      ...{ rules: wanted.custodian ? [] : wanted.rules, subject: wanted.subject === true, tries: 0, state: 'pending' },
      ...{ createdAt: now, expiresAt: now + room.limits.invitationMs },
      ...(wanted.until !== undefined && { until: wanted.until }),
      ...(pin !== undefined && { pin }),
      ...(message && { message }),
    }
    const url = `${room.origin}/invitation?code=${secret}`
    const letter = { kind: 'invitation', from: from.value.name, url, ...(message && { message }) } as const
    const parts = together(
      await recordStep(room, held, held.value, person, 'invite', { subject: { invitation: row.id }, addressee: email }),
      {
        require: [{ key, version: 'absent' }],
        put: [
          await sealed(room, invitationOwner, key, row),
          ...indexOf(room, row, digest).map((one) => ({ key: one, value: nothing })),
        ],
        enqueue: [job('forget', key, row.expiresAt + room.limits.deletedMs)],
      },
      letterTo(room, { email, language: from.value.language }, letter),
    )
    return { answer: { kind: 'invited', id: row.id }, parts }
  })
}

/** Invitations of a record, newest first, for its custodians. */
export async function listInvitations(
  room: PeopleRoom,
  person: string,
  record: string,
): Promise<readonly InvitationView[] | Refused> {
  const held = await readRecord(room, record)
  const now = room.clock.now()
  const member = held?.value.members.find((one) => one.person === person)
  if (!held || !member || !membershipOf(room, held.value, member, now)) return refused('no-such-record')
  if (!custodiansOf(held.value, now).includes(member)) return refused('not-custodian')
  const rows = await invitationsOf(room, record)
  const views = await Promise.all(rows.map(({ value }) => viewOf(room, value, held.value)))
  return views.sort((a, b) => b.createdAt - a.createdAt)
}

/** Open invitations to a person's verified address. */
export async function invitationsTo(room: PeopleRoom, person: string): Promise<readonly InvitationView[]> {
  const held = await readPerson(room, person)
  if (!held) return []
  const rows = await readAll(room, peopleKeys.invited(emailDigest(room, held.value.email)))
  const views = await Promise.all(rows.map(({ value }) => viewOf(room, value)))
  return views.filter(({ state }) => state === 'pending').sort((a, b) => b.createdAt - a.createdAt)
}

/** What a link stands for: for whoever has it. Undefined for what cannot be accepted any more. */
export async function awaitedInvitation(room: PeopleRoom, secret: string): Promise<InvitationView | undefined> {
  const held = await bySecret(room, secret)
  const view = held && (await viewOf(room, held.value))
  return view?.state === 'pending' ? view : undefined
}

/** How somebody names an invitation: the secret of a letter, or the id of one to their own verified address. */
export type NamedInvitation = { readonly secret: string } | { readonly id: string }

/**
 * Accepts: with the PIN where there is one. Each try is counted before it is compared; after the last the invitation is locked for
 * the right PIN too.
 */
export async function acceptInvitation(
  room: PeopleRoom,
  person: string,
  named: NamedInvitation,
  pin?: string,
): Promise<{ readonly kind: 'accepted'; readonly record: string } | Refused> {
  const first = await found(room, person, named)
  if (!first) return refused('no-such-invitation')
  if (first.value.pin !== undefined) {
    const counted = await countTry(room, person, named)
    if (counted.kind === 'refused') return counted
    if (!(await room.slowHash.verify(first.value.pin, (pin ?? '').trim().slice(0, 64)))) {
      return refused(counted.tries >= room.limits.pinTries ? 'pin-attempts' : 'pin-mismatch')
    }
  }
  return settle<{ readonly kind: 'accepted'; readonly record: string } | Refused>(room, async () => {
    const held = await found(room, person, named, first.value.pin === undefined ? 'open' : 'tried')
    const record = held && (await readRecord(room, held.value.record))
    if (!held || !record) return { answer: refused('no-such-invitation') }
    const { value } = held
    const joined = joining(room, record.value, value, person)
    if (typeof joined === 'string') return { answer: refused(joined) }
    if ((await heldCount(room, person)) >= room.limits.recordsOfPerson) return { answer: refused('too-many') }
    const me = await readPerson(room, person)
    const inviter = await readPerson(room, value.from)
    const parts = together(
      await ended(room, held, 'accepted'),
      await recordStep(room, record, joined, person, 'share', {
        ...{ subject: { invitation: value.id, by: value.from }, addressee: me?.value.email ?? '' },
      }),
      { put: [holdOf(person, value.record)] },
      inviter && me ? changeLetter(room, inviter.value, `${me.value.name} accepted your invitation`) : {},
    )
    return { answer: { kind: 'accepted', record: value.record }, parts }
  })
}

export async function declineInvitation(
  room: PeopleRoom,
  person: string,
  named: NamedInvitation,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await found(room, person, named)
    if (!held) return { answer: refused('no-such-invitation') }
    const told = audited(room, 'invitation-declined', `person:${person}`, {
      record: held.value.record,
      invitation: held.value.id,
    })
    return { answer: done, parts: together(await ended(room, held, 'declined'), told) }
  })
}

/** Takes an invitation back; any custodian does. */
export async function withdrawInvitation(
  room: PeopleRoom,
  person: string,
  record: string,
  id: string,
): Promise<Done | Refused> {
  return asCustodian<Done>(room, person, record, async (held) => {
    const row = (await invitationsOf(room, record)).find(({ value }) => value.id === id)
    if (!row || row.value.state === 'accepted') return { answer: refused('no-such-invitation') }
    const parts = together(
      { require: [held.is] },
      await ended(room, row, 'withdrawn'),
      audited(room, 'invitation-withdrawn', `person:${person}`, { record, invitation: id }),
    )
    return { answer: done, parts }
  })
}

/** Ends somebody's access at once: a custodian removes others, everybody can leave. The last custodian does not. */
export async function removeMember(
  room: PeopleRoom,
  person: string,
  record: string,
  other: string,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await readRecord(room, record)
    const now = room.clock.now()
    const me = held?.value.members.find((one) => one.person === person)
    if (!held || !me || !membershipOf(room, held.value, me, now)) return { answer: refused('no-such-record') }
    const custodians = custodiansOf(held.value, now)
    if (person !== other && !custodians.includes(me)) return { answer: refused('not-custodian') }
    const gone = held.value.members.find((one) => one.person === other)
    if (!gone) return { answer: refused('no-such-member') }
    // Whose record it is, nobody takes it from; they may leave.
    if (other === held.value.subject && other !== person) return { answer: refused('not-for-you') }
    // One whose own sharing ends some day is no custodian to rely on.
    const rest = custodians.filter((one) => one.person !== other)
    if (custodians.includes(gone) && rest.length === 0) return { answer: refused('last-custodian') }
    const { subject, ...row } = held.value
    const next: RecordRow = {
      ...row,
      ...(subject !== undefined && subject !== other && { subject }),
      members: row.members.filter((one) => one !== gone),
    }
    const them = await readPerson(room, other)
    const parts = together(
      await recordStep(room, held, next, person, 'unshare', {
        ...{ subject: { member: other }, addressee: them?.value.email ?? '' },
      }),
      { del: [peopleKeys.holds(other) + record] },
      them && other !== person
        ? changeLetter(room, them.value, `the record “${row.name}” is no longer shared with you`)
        : {},
    )
    return { answer: done, parts }
  })
}

/** Which custodians' acceptance makes: the record with its new member, or why not. */
function joining(room: PeopleRoom, record: RecordRow, row: InvitationRow, person: string) {
  const now = room.clock.now()
  // What was offered holds as long as whoever offered it could still do so.
  const offered = custodiansOf(record, now).some((one) => one.person === row.from)
  if (record.state !== 'active' || !offered) return 'no-such-invitation'
  const known = record.members.find((one) => one.person === person)
  const grows = row.custodian || row.subject
  if (known && isMember(known, now) && !grows) return 'already-member'
  if (row.subject && record.subject !== undefined && record.subject !== person) return 'no-such-invitation'
  if (record.members.length >= room.limits.members && !known) return 'too-many'
  const custodian = row.custodian || known?.custodian === true
  // Who comes back begins anew: what they granted before their time was over stays over.
  const since = known && isMember(known, now) ? known.since : now
  const member: Member = {
    ...{ person, custodian, relationship: row.relationship, since },
    ...(!custodian && { rules: row.rules }),
    ...(!custodian && row.until !== undefined && { until: row.until }),
  }
  const { ofAge } = record
  // Custodians have their time from when there is somebody who can confirm them.
  const again = row.subject && ofAge && { ofAge: { ...ofAge, until: now + room.limits.ofAgeMs } }
  return {
    ...record,
    ...(row.subject && { subject: person }),
    ...again,
    members: [...record.members.filter((one) => one !== known), member],
  } satisfies RecordRow
}

/** Counts a try of a PIN; refused where there were as many as there may be. */
async function countTry(room: PeopleRoom, person: string, named: NamedInvitation) {
  return settle<{ readonly kind: 'counted'; readonly tries: number } | Refused>(room, async () => {
    const held = await found(room, person, named, 'any')
    if (!held) return { answer: refused('no-such-invitation') }
    if (held.value.tries >= room.limits.pinTries) return { answer: refused('pin-attempts') }
    const tries = held.value.tries + 1
    const next = { ...held.value, tries }
    const parts = together(
      { require: [held.is], put: [await sealed(room, invitationOwner, held.is.key, next)] },
      audited(room, 'invitation-pin', `person:${person}`, {
        record: next.record,
        invitation: next.id,
        tries: String(tries),
      }),
    )
    return { answer: { kind: 'counted', tries }, parts }
  })
}

/** The invitation that somebody names, where it can still be accepted. `tried`: by a PIN that was counted and right. */
async function found(
  room: PeopleRoom,
  person: string,
  named: NamedInvitation,
  which: 'open' | 'tried' | 'any' = 'any',
): Promise<Held<InvitationRow> | undefined> {
  const held = 'secret' in named ? await bySecret(room, named.secret) : await byId(room, person, named.id)
  if (held?.value.state !== 'pending' || room.clock.now() >= held.value.expiresAt) return undefined
  if (which === 'open' && held.value.pin !== undefined) return undefined
  return held
}

async function bySecret(room: PeopleRoom, secret: string): Promise<Held<InvitationRow> | undefined> {
  if (!isSecret(secret)) return undefined
  return readSealed<InvitationRow>(room, invitationOwner, peopleKeys.invitation(digestOf(secret)))
}

async function byId(room: PeopleRoom, person: string, id: string): Promise<Held<InvitationRow> | undefined> {
  const me = await readPerson(room, person)
  if (!me) return undefined
  const rows = await readAll(room, peopleKeys.invited(emailDigest(room, me.value.email)))
  return rows.find(({ value }) => value.id === id)
}

const invitationsOf = (room: PeopleRoom, record: string) => readAll(room, peopleKeys.invitationsOf(record))

async function readAll(room: PeopleRoom, prefix: string): Promise<Held<InvitationRow>[]> {
  const index = await room.store.range({ ...within(prefix), limit: 1000 })
  const rows = await Promise.all(
    index.map(({ key }) => room.store.get(peopleKeys.invitation(key.slice(prefix.length)))),
  )
  const held = rows.map(async (row) =>
    row
      ? [
          {
            value: await opened<InvitationRow>(room.vault, invitationOwner, row),
            is: { key: row.key, version: row.version },
          },
        ]
      : [],
  )
  return (await Promise.all(held)).flat()
}

async function heldCount(room: PeopleRoom, person: string): Promise<number> {
  return (await room.store.range({ ...within(peopleKeys.holds(person)), limit: room.limits.recordsOfPerson })).length
}

async function ended(room: PeopleRoom, { value, is }: Held<InvitationRow>, state: InvitationState): Promise<Batch> {
  const { pin: _, ...rest } = value
  return { require: [is], put: [await sealed(room, invitationOwner, is.key, { ...rest, state })] }
}

/** What goes with an invitation when it is forgotten. */
export async function forgottenInvitation(room: PeopleRoom, key: string): Promise<Batch> {
  const held = await readSealed<InvitationRow>(room, invitationOwner, key)
  if (!held) return {}
  return { require: [held.is], del: [key, ...indexOf(room, held.value, key.slice('people/invitation/'.length))] }
}

function indexOf(room: PeopleRoom, row: InvitationRow, digest: string): readonly string[] {
  return [peopleKeys.invited(emailDigest(room, row.email)) + digest, peopleKeys.invitationsOf(row.record) + digest]
}

async function viewOf(room: PeopleRoom, row: InvitationRow, known?: RecordRow): Promise<InvitationView> {
  const record = known ?? (await readRecord(room, row.record))?.value
  const from = await readPerson(room, row.from)
  const over = room.clock.now() >= row.expiresAt || record?.state !== 'active'
  const locked = row.pin !== undefined && row.tries >= room.limits.pinTries
  const state = row.state !== 'pending' ? row.state : locked ? 'locked' : over ? 'expired' : 'pending'
  const { pin, tries: _, ...told } = row
  return { ...told, recordName: record?.name ?? '', from: from?.value.name ?? '', pin: pin !== undefined, state }
}

function invitingCounts(room: PeopleRoom, person: string, email: string) {
  return [
    { name: `invite ${person}`, free: room.limits.invitationsOfPerson },
    { name: `invite to ${emailDigest(room, email)}`, free: room.limits.lettersOfAddress },
  ]
}

function wrongWith(room: PeopleRoom, { custodian, rules, until, pin, message }: NewInvitation) {
  const { limits } = room
  const digits = new RegExp(`^\\d{${limits.pinMinDigits},${limits.pinMaxDigits}}$`)
  if (pin !== undefined && !digits.test(pin)) return 'bad-pin'
  // A custodian for a time would leave a record without one.
  if (until !== undefined && (custodian || until <= room.clock.now())) return 'bad-until'
  if (message !== undefined && [...message].length > limits.messageCharacters) return 'bad-name'
  if (!custodian && (rules.length < 1 || rules.length > 20 || !rules.every(isRule))) return 'bad-rules'
  if (new Set(rules.map((one) => one.name)).size !== rules.length) return 'bad-rules'
  return undefined
}

function isRule({ name, permissions: may, types, from, to }: AccessRule): boolean {
  const days = [from, to].every((day) => day === undefined || /^\d{4}-\d\d-\d\d$/.test(day))
  const known = (may ?? []).every((one) => permissions.includes(one)) && may.length > 0
  return /^.{1,16}$/u.test(name) && days && known && (types ?? []).every((type) => recordItemTypes.includes(type))
}

const invitationOwner = 'people/invitations'
const idOf = (digest: string) => digest.slice(0, 32)
