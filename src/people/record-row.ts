import { type AccessRule, permissions } from '../direct/access.js'
import { type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import type { HeldRecord, Membership } from './people.js'
import { type Held, idForm, type PeopleRoom, peopleKeys, readSealed, recordOwner, sealed } from './rows.js'

/** A record with everybody who has it: one row, so that who shares what with whom is always one truth. */
export interface RecordRow {
  readonly id: string
  readonly name: string
  readonly birthDate?: string
  /** Whom it is about, once that person has an account of their own. */
  readonly subject?: string
  readonly state: HeldRecord['state']
  readonly createdAt: number
  /** Until when a deleted record can be brought back, and what state it had. */
  readonly deleted?: { readonly until: number; readonly was: HeldRecord['state'] }
  readonly members: readonly Member[]
  readonly privacy?: Privacy
  /** Since the subject came of age: when others stop being custodians, and whom the subject confirmed. */
  readonly ofAge?: { readonly since: number; readonly until: number; readonly confirmed: readonly string[] }
  /** A custodian declared that an adult's guardianship goes on. */
  readonly guardian?: { readonly by: string; readonly at: number }
}

export interface Member {
  readonly person: string
  readonly custodian: boolean
  readonly relationship: string
  /** Absent: all. */
  readonly rules?: readonly AccessRule[]
  readonly since: number
  readonly until?: number
}

/** What an adolescent keeps from those who care for the record. */
export interface Privacy {
  /** Items flagged personal. */
  readonly personal: boolean
  /** Whole kinds of items. */
  readonly types: readonly RecordItemType[]
}

export async function readRecord(room: PeopleRoom, id: string): Promise<Held<RecordRow> | undefined> {
  return idForm.test(id) ? readSealed<RecordRow>(room, recordOwner(id), peopleKeys.record(id)) : undefined
}

/** A changed record as a part of a batch: refused where it changed since it was read. */
export async function recordChanged(room: PeopleRoom, held: Held<RecordRow>, next: RecordRow) {
  return { require: [held.is], put: [await sealed(room, recordOwner(next.id), held.is.key, next)] }
}

/** Years of age on a day, both ISO 8601; undefined where the birth date is not known. */
export function ageOn(birthDate: string | undefined, now: number): number | undefined {
  if (birthDate === undefined) return undefined
  const today = new Date(now).toISOString().slice(0, 10)
  const years = Number(today.slice(0, 4)) - Number(birthDate.slice(0, 4))
  return today.slice(5) < birthDate.slice(5) ? years - 1 : years
}

/** When somebody reaches an age, at the start of that day (UTC); born on 29 February, on 1 March of other years. */
export function reaches(birthDate: string, years: number): number {
  const [year = 0, month = 1, day = 1] = birthDate.split('-').map(Number)
  return Date.UTC(year + years, month - 1, day)
}

/** Whether a member has the record now, and is one of its custodians now. */
export function isMember({ until }: Member, now: number): boolean {
  return until === undefined || now < until
}

export function isCustodian(record: RecordRow, member: Member, now: number): boolean {
  if (!member.custodian || !isMember(member, now)) return false
  const { ofAge, subject } = record
  if (!ofAge || subject === undefined || member.person === subject) return true
  return now < ofAge.until || ofAge.confirmed.includes(member.person)
}

export function custodiansOf(record: RecordRow, now: number): readonly Member[] {
  return record.members.filter((member) => isCustodian(record, member, now))
}

/** The record as its people know it: read-only for all while nobody may speak for an adult. */
export function heldRecord(record: RecordRow, now: number): HeldRecord {
  const { id, name, birthDate, createdAt, subject, ofAge, guardian } = record
  const orphaned = ofAge !== undefined && subject === undefined && !guardian && now >= ofAge.until
  const state = record.state === 'active' && orphaned ? 'read-only' : record.state
  return { id, name, state, createdAt, ...(birthDate !== undefined && { birthDate }) }
}

/** What a member may do now; undefined where they have no access, or nobody has. */
export function membershipOf(
  room: Pick<PeopleRoom, 'limits'>,
  record: RecordRow,
  member: Member,
  now: number,
): Membership | undefined {
  const held = heldRecord(record, now)
  if (!isMember(member, now) || held.state === 'suspended' || held.state === 'deleted') return undefined
  const custodian = isCustodian(record, member, now)
  const hidden = hiddenFrom(room, record, member, now)
  const rules = narrowed(
    member.rules ?? 'all',
    held.state === 'read-only' || (member.custodian && !custodian),
    hidden?.types ?? [],
  )
  return {
    ...{
      person: member.person,
      record: held,
      custodian,
      relationship: member.relationship,
      rules,
      since: member.since,
    },
    ...(member.until !== undefined && { until: member.until }),
    ...(hidden && (hidden.personal || hidden.types.length > 0) && { confidential: true as const }),
  }
}

/** What an adolescent keeps from a member: from everybody but themselves, between two ages. */
function hiddenFrom({ limits }: Pick<PeopleRoom, 'limits'>, record: RecordRow, member: Member, now: number) {
  const age = ageOn(record.birthDate, now)
  const adolescent = age !== undefined && age >= limits.adolescentYears && age < limits.adultYears
  return adolescent && member.person !== record.subject ? record.privacy : undefined
}

/** Rules without what is hidden, and for reading only where nothing may change. */
function narrowed(
  rules: readonly AccessRule[] | 'all',
  readOnly: boolean,
  hidden: readonly RecordItemType[],
): readonly AccessRule[] | 'all' {
  if (!readOnly && hidden.length === 0) return rules
  const all: readonly AccessRule[] = [{ name: 'all', reason: { en: 'The whole record' }, permissions }]
  return (rules === 'all' ? all : rules).flatMap((rule) => {
    const may = readOnly ? rule.permissions.filter((one) => one === 'read') : rule.permissions
    const types =
      hidden.length === 0 ? rule.types : (rule.types ?? recordItemTypes).filter((type) => !hidden.includes(type))
    if (may.length === 0 || types?.length === 0) return []
    return [{ ...rule, permissions: may, ...(types && { types }) }]
  })
}
