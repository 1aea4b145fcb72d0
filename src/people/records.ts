import { recordItemTypes } from '../direct/clinical.js'
import { type Batch, together, within } from '../ports/store.js'
import type { Membership, Records } from './people.js'
import { changeLetter, readPerson } from './person.js'
import { type Done, done, type Refused, refused } from './problem.js'
import {
  ageOn,
  custodiansOf,
  heldRecord,
  isCustodian,
  isMember,
  membershipOf,
  type Privacy,
  type RecordRow,
  reaches,
  readRecord,
  recordChanged,
} from './record-row.js'
import {
  audited,
  type Held,
  type HistoryLine,
  idForm,
  job,
  newId,
  nothing,
  type PeopleRoom,
  peopleKeys,
  recordOwner,
  sealed,
  settle,
} from './rows.js'
import { isBirthDate, readName } from './sign-up.js'

/** Opens what other rooms need of records. */
export function openRecords(room: PeopleRoom): Records {
  const { clock, limits } = room
  return {
    async create(person, { name, relationship, birthDate }, by) {
      const held = await room.store.range({ ...within(peopleKeys.holds(person)), limit: limits.recordsOfPerson })
      if (held.length >= limits.recordsOfPerson) return { kind: 'too-many' }
      const now = clock.now()
      const id = newId(room.random)
      const key = peopleKeys.record(id)
      const row: RecordRow = {
        ...{ id, name, state: 'active', createdAt: now },
        ...(birthDate !== undefined && { birthDate }),
        ...(relationship === 'self' && { subject: person }),
        members: [{ person, custodian: true, relationship, since: now }],
      }
      const parts = together(
        {
          require: [{ key, version: 'absent' }],
          put: [await sealed(room, recordOwner(id), key, row), holdOf(person, id)],
          enqueue: comingOfAge(room, row),
        },
        audited(room, 'record-created', by, { record: id, person }),
      )
      return { kind: 'created', record: id, parts }
    },
    async get(record) {
      const held = await readRecord(room, record)
      return held && heldRecord(held.value, clock.now())
    },
    of: (person) => membershipsOf(room, person),
    membership: (person, record) => readMembership(room, person, record),
    async holders(record) {
      const held = await readRecord(room, record)
      if (!held) return []
      const now = clock.now()
      return held.value.members.flatMap((member) => membershipOf(room, held.value, member, now) ?? [])
    },
  }
}

export function holdOf(person: string, record: string) {
  return { key: peopleKeys.holds(person) + record, value: nothing }
}

async function readMembership(room: PeopleRoom, person: string, record: string): Promise<Membership | undefined> {
  const held = await readRecord(room, record)
  const member = held?.value.members.find((one) => one.person === person)
  return held && member && membershipOf(room, held.value, member, room.clock.now())
}

async function membershipsOf(room: PeopleRoom, person: string): Promise<readonly Membership[]> {
  if (!idForm.test(person)) return []
  const all = await Promise.all((await heldIds(room, person)).map((id) => readMembership(room, person, id)))
  return all.flatMap((one) => one ?? []).sort((a, b) => a.since - b.since || (a.record.id < b.record.id ? -1 : 1))
}

async function heldIds(room: PeopleRoom, person: string): Promise<readonly string[]> {
  const prefix = peopleKeys.holds(person)
  const rows = await room.store.range({ ...within(prefix), limit: 2 * room.limits.recordsOfPerson })
  return rows.map(({ key }) => key.slice(prefix.length))
}

/** Records that a person may still bring back, newest deletion first. */
export async function deletedRecords(room: PeopleRoom, person: string) {
  const now = room.clock.now()
  const rows = await Promise.all((await heldIds(room, person)).map((id) => readRecord(room, id)))
  return rows
    .flatMap((held) => (held?.value.deleted ? [{ row: held.value, until: held.value.deleted.until }] : []))
    .filter(({ row }) => custodiansOf(row, now).some((one) => one.person === person))
    .map(({ row: { id, name }, until }) => ({ id, name, until }))
    .sort((a, b) => b.until - a.until)
}

/** Runs a change that only a custodian may make; whoever has not the record at all is told that there is none. */
export async function asCustodian<T>(
  room: PeopleRoom,
  person: string,
  record: string,
  change: (held: Held<RecordRow>) => Promise<{ readonly answer: T | Refused; readonly parts?: Batch }>,
  { deletedToo = false }: { readonly deletedToo?: boolean } = {},
): Promise<T | Refused> {
  return settle<T | Refused>(room, async () => {
    const held = await readRecord(room, record)
    const now = room.clock.now()
    const member = held?.value.members.find((one) => one.person === person)
    const hidden = held?.value.state === 'suspended' || (held?.value.state === 'deleted' && !deletedToo)
    if (!held || !member || !isMember(member, now) || hidden) return { answer: refused('no-such-record') }
    if (!isCustodian(held.value, member, now)) return { answer: refused('not-custodian') }
    return change(held)
  })
}

/** A change of a record with its audit entry and its line of history. */
export async function recordStep(
  room: PeopleRoom,
  held: Held<RecordRow>,
  next: RecordRow,
  by: string,
  action: HistoryLine['action'],
  more: { readonly subject?: Readonly<Record<string, string>>; readonly addressee?: string } = {},
): Promise<Batch> {
  const line = { at: room.clock.now(), action, by, ...(more.addressee !== undefined && { addressee: more.addressee }) }
  return together(
    await recordChanged(room, held, next),
    audited(room, `record-${action}`, by === 'system' ? by : `person:${by}`, { record: next.id, ...more.subject }),
    (await room.history?.(next.id, line)) ?? {},
  )
}

/** Changes the name of a record, or the birth date of whom it is about. */
export async function describeRecord(
  room: PeopleRoom,
  person: string,
  record: string,
  { name: text, birthDate }: { readonly name?: string; readonly birthDate?: string },
): Promise<Done | Refused> {
  const name = text === undefined ? undefined : readName(text, room.limits.labelCharacters)
  if (text !== undefined && name === undefined) return refused('bad-name')
  if (birthDate !== undefined && !isBirthDate(birthDate, room.clock.now())) return refused('bad-birth-date')
  return asCustodian<Done>(room, person, record, async (held) => {
    // Nobody makes an adult a child again, nor keeps a child from growing up, but the person themselves.
    const { subject, ofAge } = held.value
    const moves = birthDate !== undefined && birthDate !== held.value.birthDate && held.value.birthDate !== undefined
    if (moves && (ofAge || subject !== undefined) && subject !== person) return { answer: refused('not-for-you') }
    const next = { ...held.value, ...(name !== undefined && { name }), ...(birthDate !== undefined && { birthDate }) }
    const parts = await recordStep(room, held, next, person, 'rename')
    return { answer: done, parts: together(parts, { enqueue: comingOfAge(room, next) }) }
  })
}

/** Deletes a record for everybody; for a time its custodians can bring it back. */
export async function deleteRecord(room: PeopleRoom, person: string, record: string): Promise<Done | Refused> {
  return asCustodian<Done>(room, person, record, async (held) => {
    const until = room.clock.now() + room.limits.deletedMs
    const next: RecordRow = { ...held.value, state: 'deleted', deleted: { until, was: held.value.state } }
    const parts = await recordStep(room, held, next, person, 'delete')
    const letters = await lettersTo(room, held.value, `the record “${held.value.name}” was deleted`)
    return { answer: done, parts: together(parts, letters, { enqueue: [job('erase', record, until)] }) }
  })
}

export async function restoreRecord(room: PeopleRoom, person: string, record: string): Promise<Done | Refused> {
  const change = async (held: Held<RecordRow>) => {
    const { deleted, ...rest } = held.value
    if (!deleted || room.clock.now() >= deleted.until) return { answer: refused('no-such-record') }
    return { answer: done, parts: await recordStep(room, held, { ...rest, state: deleted.was }, person, 'restore') }
  }
  return asCustodian<Done>(room, person, record, change, { deletedToo: true })
}

/** For the operator: a record that nobody reads, or nobody writes, or that is as it was. */
export async function setRecordState(
  room: PeopleRoom,
  record: string,
  state: 'active' | 'read-only' | 'suspended',
  by: string,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await readRecord(room, record)
    if (!held || held.value.state === 'deleted') return { answer: refused('no-such-record') }
    const parts = together(
      await recordChanged(room, held, { ...held.value, state }),
      audited(room, 'record-state', by, { record, state }),
    )
    return { answer: done, parts }
  })
}

/**
 * What is kept from proxies while the subject is an adolescent. The subject sets it as they like; a custodian can only keep
 * more from proxies, never less, or a parent could undo it.
 */
export async function setPrivacy(
  room: PeopleRoom,
  person: string,
  record: string,
  wanted: Privacy,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await readRecord(room, record)
    const now = room.clock.now()
    const member = held?.value.members.find((one) => one.person === person)
    if (!held || !member || !membershipOf(room, held.value, member, now)) return { answer: refused('no-such-record') }
    const own = held.value.subject === person
    if (!own && !isCustodian(held.value, member, now)) return { answer: refused('not-custodian') }
    const known = held.value.privacy ?? { personal: false, types: [] }
    const stricter = (wanted.personal || !known.personal) && known.types.every((type) => wanted.types.includes(type))
    if (!own && !stricter) return { answer: refused('not-for-you') }
    const types = recordItemTypes.filter((type) => wanted.types.includes(type))
    const next = { ...held.value, privacy: { personal: wanted.personal, types } }
    return { answer: done, parts: await recordStep(room, held, next, person, 'privacy') }
  })
}

/** The job that looks at a record when whom it is about comes of age; none where that is past. */
export function comingOfAge({ clock, limits }: PeopleRoom, { id, birthDate }: RecordRow) {
  if (birthDate === undefined) return []
  const dueAt = reaches(birthDate, limits.adultYears)
  // Named by its day as well: another birth date is another job.
  return dueAt > clock.now() ? [job('of-age', `${id} ${birthDate}`, dueAt)] : []
}

/** Whom the record is about is an adult now: custodians are told, and have so long to be confirmed. */
export async function cameOfAge(room: PeopleRoom, record: string, birthDate: string): Promise<Batch> {
  const held = await readRecord(room, record)
  const row = held?.value
  if (!held || !row || row.birthDate !== birthDate || row.ofAge) return {}
  if ((ageOn(birthDate, room.clock.now()) ?? 0) < room.limits.adultYears) return {}
  const since = room.clock.now()
  const next: RecordRow = { ...row, ofAge: { since, until: since + room.limits.ofAgeMs, confirmed: [] } }
  return together(
    await recordChanged(room, held, next),
    await lettersTo(room, row, `whom the record “${row.name}” is about is an adult now; see under sharing what to do`),
    audited(room, 'record-of-age', 'system', { record }),
  )
}

/** The adult lets somebody go on as a custodian. */
export async function confirmCustodian(
  room: PeopleRoom,
  person: string,
  record: string,
  other: string,
): Promise<Done | Refused> {
  return asCustodian<Done>(room, person, record, async (held) => {
    const { ofAge, subject, members } = held.value
    if (subject !== person || !ofAge) return { answer: refused('not-for-you') }
    if (!members.some((one) => one.person === other && one.custodian)) return { answer: refused('no-such-member') }
    const confirmed = [...new Set([...ofAge.confirmed, other])]
    const next = { ...held.value, ofAge: { ...ofAge, confirmed } }
    return { answer: done, parts: await recordStep(room, held, next, person, 'share', { subject: { member: other } }) }
  })
}

/** A custodian declares to be the guardian of an adult who has no account: the record stays as it is. */
export async function declareGuardian(room: PeopleRoom, person: string, record: string): Promise<Done | Refused> {
  return asCustodian<Done>(room, person, record, async (held) => {
    if (held.value.subject !== undefined || !held.value.ofAge) return { answer: refused('not-for-you') }
    const next = { ...held.value, guardian: { by: person, at: room.clock.now() } }
    const letters = await lettersTo(room, held.value, `guardianship was declared for the record “${held.value.name}”`)
    const parts = await recordStep(room, held, next, person, 'share', { subject: { guardian: person } })
    return { answer: done, parts: together(parts, letters) }
  })
}

/** A deleted record whose time is over: what it holds is taken away, then nobody has it any more. */
export async function eraseRecord(room: PeopleRoom, record: string): Promise<Batch> {
  const held = await readRecord(room, record)
  if (!held?.value.deleted || room.clock.now() < held.value.deleted.until) return {}
  await room.erase?.(record)
  const holds = held.value.members.map(({ person }) => peopleKeys.holds(person) + record)
  return together(
    { require: [held.is], del: [held.is.key, ...holds] },
    audited(room, 'record-erased', 'system', { record }),
  )
}

/** A letter to every custodian. */
export async function lettersTo(room: PeopleRoom, record: RecordRow, what: string): Promise<Batch> {
  const people = await Promise.all(custodiansOf(record, room.clock.now()).map((one) => readPerson(room, one.person)))
  return together(...people.map((held) => (held ? changeLetter(room, held.value, what) : {})))
}

/** Who shares a record, as a member of it sees that; and what an adolescent or an adult of age may still decide. */
export interface SharingView {
  readonly members: readonly (Membership & {
    readonly name: string
    readonly subject: boolean
    readonly confirmed: boolean
  })[]
  readonly custodian: boolean
  readonly subject: boolean
  readonly privacy: Privacy
  readonly ofAge?: { readonly since: number; readonly until: number }
  readonly guardian: boolean
}

export async function sharingOf(room: PeopleRoom, person: string, record: string): Promise<SharingView | undefined> {
  const held = await readRecord(room, record)
  const now = room.clock.now()
  const row = held?.value
  const mine = row?.members.find((one) => one.person === person)
  const me = row && mine && membershipOf(room, row, mine, now)
  if (!row || !me) return undefined
  const members = await Promise.all(
    row.members.map(async (member) => {
      const membership = membershipOf(room, row, member, now)
      const who = membership && (await readPerson(room, member.person))
      if (!membership || !who) return []
      const confirmed = row.ofAge?.confirmed.includes(member.person) ?? false
      return [{ ...membership, name: who.value.name, subject: row.subject === member.person, confirmed }]
    }),
  )
  return {
    members: members.flat().filter((one) => me.custodian || one.person === person || one.custodian),
    ...{ custodian: me.custodian, subject: row.subject === person, guardian: row.guardian !== undefined },
    privacy: row.privacy ?? { personal: false, types: [] },
    ...(row.ofAge && { ofAge: { since: row.ofAge.since, until: row.ofAge.until } }),
  }
}
