import { type ClaimedJob, together } from '../ports/store.js'
import * as emailChange from './email-change.js'
import * as factors from './factors.js'
import { peopleLimits } from './limits.js'
import type { People } from './people.js'
import { personChanged, readPerson, told } from './person.js'
import { type Done, done, type Refused, refused } from './problem.js'
import * as records from './records.js'
import * as recovery from './recovery.js'
import { audited, type PeopleOptions, type PeoplePorts, type PeopleRoom, settle } from './rows.js'
import { ending, endingAll, listSessions, openSessions } from './sessions.js'
import * as sharing from './sharing.js'
import * as signIn from './sign-in.js'
import * as signUp from './sign-up.js'
import { handlePeopleJob } from './work.js'

type Bound<T> = {
  readonly [N in keyof T]: T[N] extends (room: PeopleRoom, ...rest: infer A) => infer R ? (...rest: A) => R : never
}

function bound<T extends Readonly<Record<string, (room: PeopleRoom, ...rest: never[]) => unknown>>>(
  room: PeopleRoom,
  functions: T,
) {
  const all = Object.entries(functions).map(([name, one]) => [name, (...rest: never[]) => one(room, ...rest)])
  return Object.fromEntries(all) as Bound<T>
}

/** Everything that people do here, each function as its own file says, without its first parameter. */
const deeds = {
  signUp: signUp.signUp,
  awaitedConfirmation: signUp.awaitedConfirmation,
  firstPasskeyOptions: signUp.firstPasskeyOptions,
  confirmSignUp: signUp.confirmSignUp,
  signIn: signIn.signIn,
  secondFactor: signIn.secondFactor,
  passkeySignInOptions: signIn.passkeySignInOptions,
  passkeySignIn: signIn.passkeySignIn,
  proveAgain: signIn.proveAgain,
  factorsOf: factors.factorsOf,
  changePassword: factors.changePassword,
  beginTotp: factors.beginTotp,
  awaitedTotp: factors.awaitedTotp,
  confirmTotp: factors.confirmTotp,
  removeTotp: factors.removeTotp,
  passkeyOptions: factors.passkeyOptions,
  addPasskey: factors.addPasskey,
  removePasskey: factors.removePasskey,
  renewRecoveryCodes: factors.renewRecoveryCodes,
  beginRecovery: recovery.beginRecovery,
  awaitedRecovery: recovery.awaitedRecovery,
  finishRecovery: recovery.finishRecovery,
  waitForRecovery: recovery.waitForRecovery,
  stopRecoveryByLink: recovery.stopRecoveryByLink,
  stopRecovery: recovery.stopRecovery,
  changeEmail: emailChange.changeEmail,
  confirmEmail: emailChange.confirmEmail,
  undoEmail: emailChange.undoEmail,
  describeRecord: records.describeRecord,
  deletedRecords: records.deletedRecords,
  deleteRecord: records.deleteRecord,
  restoreRecord: records.restoreRecord,
  setRecordState: records.setRecordState,
  setPrivacy: records.setPrivacy,
  confirmCustodian: records.confirmCustodian,
  declareGuardian: records.declareGuardian,
  sharingOf: records.sharingOf,
  invite: sharing.invite,
  listInvitations: sharing.listInvitations,
  invitationsTo: sharing.invitationsTo,
  awaitedInvitation: sharing.awaitedInvitation,
  acceptInvitation: sharing.acceptInvitation,
  declineInvitation: sharing.declineInvitation,
  withdrawInvitation: sharing.withdrawInvitation,
  removeMember: sharing.removeMember,
  listSessions,
  endSessions,
  newRecord,
  describePerson,
  setPersonState,
}

/** The room as others use it: what it promises them, and all that people do. */
export interface PeopleHouse extends People, Bound<typeof deeds> {
  /** Does one job of the queue `people`. */
  handle(job: ClaimedJob): Promise<void>
}

/** Opens the room. `origin` is where browsers see us; links and passkeys are made for it. */
export function openPeople(
  ports: PeoplePorts,
  options: Omit<PeopleOptions, 'limits'> & { readonly limits?: Partial<typeof peopleLimits> },
): PeopleHouse {
  const room: PeopleRoom = { ...ports, ...options, limits: { ...peopleLimits, ...options.limits } }
  const rowOf = async (id: string) => (await readPerson(room, id))?.value
  return {
    sessions: openSessions(room, rowOf),
    records: records.openRecords(room),
    async person(id) {
      const row = await rowOf(id)
      return row && told(row)
    },
    handle: (job) => handlePeopleJob(room, job),
    ...bound(room, deeds),
  }
}

/** Creates a record and commits it. */
async function newRecord(
  room: PeopleRoom,
  person: string,
  {
    name: text,
    relationship,
    birthDate,
  }: { readonly name: string; readonly relationship: string; readonly birthDate?: string },
): Promise<{ readonly kind: 'created'; readonly record: string } | Refused> {
  const name = signUp.readName(text, room.limits.labelCharacters)
  if (name === undefined) return refused('bad-name')
  if (birthDate !== undefined && !signUp.isBirthDate(birthDate, room.clock.now())) return refused('bad-birth-date')
  return settle<{ readonly kind: 'created'; readonly record: string } | Refused>(room, async () => {
    const wanted = { name, relationship, ...(birthDate !== undefined && { birthDate }) }
    const made = await records.openRecords(room).create(person, wanted, `person:${person}`)
    if (made.kind === 'too-many') return { answer: refused('too-many') }
    return { answer: { kind: 'created', record: made.record }, parts: made.parts }
  })
}

/** Ends one session of a person by its public id, or all but one. */
async function endSessions(
  room: PeopleRoom,
  person: string,
  which: { readonly one: string } | { readonly but: string },
): Promise<Done> {
  return settle(room, async () => {
    const parts =
      'but' in which
        ? await endingAll(room, person, which.but)
        : (await listSessions(room, person)).some(({ id }) => id === which.one)
          ? ending(person, which.one)
          : {}
    const what = 'but' in which ? { but: which.but } : { session: which.one }
    return { answer: done, parts: together(parts, audited(room, 'sessions-ended', `person:${person}`, what)) }
  })
}

/** Changes what a person says of themselves. */
async function describePerson(
  room: PeopleRoom,
  person: string,
  {
    name: text,
    language,
    birthDate,
  }: { readonly name?: string; readonly language?: string; readonly birthDate?: string },
): Promise<Done | Refused> {
  const name = text === undefined ? undefined : signUp.readName(text)
  if (text !== undefined && name === undefined) return refused('bad-name')
  if (birthDate !== undefined && !signUp.isBirthDate(birthDate, room.clock.now())) return refused('bad-birth-date')
  return settle<Done | Refused>(room, async () => {
    const held = await readPerson(room, person)
    if (!held) return { answer: refused('wrong-proof') }
    const more = {
      ...(name !== undefined && { name }),
      ...(language !== undefined && { language: signUp.readLanguage(language) }),
      ...(birthDate !== undefined && { birthDate }),
    }
    const parts = await personChanged(room, held, { ...held.value, ...more })
    return { answer: done, parts: together(parts, audited(room, 'described', `person:${person}`)) }
  })
}

/** For the operator: lets somebody in again, keeps them out, or closes an account for good. Every session ends. */
async function setPersonState(
  room: PeopleRoom,
  person: string,
  state: 'active' | 'suspended' | 'closed',
  by: string,
): Promise<Done | Refused> {
  return settle<Done | Refused>(room, async () => {
    const held = await readPerson(room, person)
    if (!held || held.value.state === 'closed') return { answer: refused('wrong-proof') }
    const changed = await personChanged(room, held, { ...held.value, state, epoch: held.value.epoch + 1 })
    const ended = await endingAll(room, person)
    return { answer: done, parts: together(changed, ended, audited(room, 'state', by, { person, state })) }
  })
}
