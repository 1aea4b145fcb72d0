import { emptyRow, type Family, isMoment, jsonOf, type RowFamily, type RowReader, sound } from '../ports/rows.js'
import { idForm, jobKinds, peopleKeys, personOwner, recordOwner, ticketOwner } from './rows.js'

const id = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const digest = '[0-9a-f]{64}'

function entry(name: string, form: string, check: Family<'entry'>['check']): Family<'entry'> {
  return { kind: 'entry', name, form: new RegExp(`^people/${form}$`), check }
}

async function opened({ key, value }: { key: string; value: Uint8Array }, owner: string, { vault }: RowReader) {
  return jsonOf(await vault.open(owner, key, value))
}

const last = (key: string) => key.split('/').at(-1) ?? ''

const person = entry('person', `person/(?<owner>${id})`, async (row, reader) => {
  const { id, email, passkeys, recoveryCodes, createdAt, epoch } = await opened(row, personOwner(last(row.key)), reader)
  sound(id === last(row.key) && typeof email === 'string', 'the account is another one')
  sound(Array.isArray(passkeys) && Array.isArray(recoveryCodes), 'the account has no list of what proves it')
  sound(isMoment(createdAt) && Number.isInteger(epoch), 'the account has no time')
  const all = passkeys as readonly { readonly id: string }[]
  return all.map((one) => ({ kind: 'entry', key: peopleKeys.passkey(String(one.id)) }))
})

/** Both name an account. */
const named: Family<'entry'>['check'] = ({ value }) => {
  const { person } = jsonOf(value)
  sound(typeof person === 'string' && idForm.test(person), 'it names no account')
  return [{ kind: 'entry', key: peopleKeys.person(person) }]
}
const email = entry('e-mail address', `email/${digest}`, named)
const passkey = entry('passkey', `passkey/${digest}`, named)

const session = entry('session', 'session/[0-9a-f]{32}', async (row, reader) => {
  const { digest, person, endsAt } = await opened(row, 'people/sessions', reader)
  sound(String(digest).startsWith(last(row.key)) && isMoment(endsAt), 'the session is another one')
  return [{ kind: 'entry', key: peopleKeys.sessionsOf(String(person)) + last(row.key) }]
})

const sessionsOf = entry('list of sessions', `sessions-of/${id}/[0-9a-f]{32}`, (row) => {
  emptyRow(row)
  return [{ kind: 'entry', key: peopleKeys.session(last(row.key)) }]
})

const ticket = entry('ticket', `ticket/${digest}`, async (row, reader) => {
  const { ticket, expiresAt } = await opened(row, ticketOwner, reader)
  sound(typeof (ticket as { kind?: unknown } | null)?.kind === 'string' && isMoment(expiresAt), 'it is no ticket')
  return []
})

const failures = entry('failures to sign in', `failures/${digest}`, ({ value }) => {
  const { failures, at } = jsonOf(value)
  sound(Number.isInteger(failures) && isMoment(at), 'nothing is counted')
  return []
})

const record = entry('record and who has it', `record/(?<owner>${id})`, async (row, reader) => {
  const { id, members, createdAt } = await opened(row, recordOwner(last(row.key)), reader)
  sound(id === last(row.key) && isMoment(createdAt) && Array.isArray(members), 'the record is another one')
  const all = members as readonly { readonly person: string }[]
  return all.map((one) => ({ kind: 'entry', key: peopleKeys.holds(String(one.person)) + last(row.key) }))
})

const holds = entry('list of records', `holds/${id}/${id}`, (row) => {
  emptyRow(row)
  return [{ kind: 'entry', key: peopleKeys.record(last(row.key)) }]
})

const invitation = entry('invitation', `invitation/${digest}`, async (row, reader) => {
  const { id, record, state } = await opened(row, 'people/invitations', reader)
  sound(last(row.key).startsWith(String(id)) && typeof state === 'string', 'the invitation is another one')
  return [{ kind: 'entry', key: peopleKeys.invitationsOf(String(record)) + last(row.key) }]
})

const listed: Family<'entry'>['check'] = (row) => {
  emptyRow(row)
  return [{ kind: 'entry', key: peopleKeys.invitation(last(row.key)) }]
}
const invited = entry('list of invitations to an address', `invited/${digest}/${digest}`, listed)
const invitationsOf = entry('list of invitations of a record', `invitations-of/${id}/${digest}`, listed)

const endings: Family<'job'> = {
  kind: 'job',
  name: 'what runs out for people',
  form: /^people$/,
  check({ id, payload }) {
    const known: readonly string[] = jobKinds
    sound(known.includes(id.split(' ')[0] ?? ''), 'the job is of no kind')
    jsonOf(payload)
    return []
  },
}

/** Every row that this room writes. */
export const peopleFamilies: readonly RowFamily[] = [
  ...[person, email, passkey, session, sessionsOf, ticket, failures, record, holds, invitation, invited, invitationsOf],
  endings,
]
