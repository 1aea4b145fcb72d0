import { type Family, isMoment, jsonOf, type Need, type RowFamily, sound } from '../ports/rows.js'
import { appEventFamily } from './app-events.js'
import { requestStates } from './request.js'
import { codeKey, connectQueue, externalKey, listKey, openStored, requestKey, ticketJob } from './rows.js'

const kinds: readonly unknown[] = ['connect', 'package', 'message']
const hex64 = /^[0-9a-f]{64}$/

const request: Family<'entry'> = {
  kind: 'entry',
  name: 'pickup request',
  form: /^connect\/request\/[0-9a-f]{32}$/,
  async check(entry, { vault }) {
    const { v, id, of, state, used, wrong, attempts, createdAt, expiresAt, code, tickets } = jsonOf(entry.value)
    sound(v === 1 && entry.key === requestKey(String(id)), 'the key names another request')
    sound(kinds.includes(of) && (requestStates as readonly unknown[]).includes(state), 'it is of no kind or no state')
    sound(
      [used, wrong, attempts].every(Number.isInteger) && Number(used) >= Number(wrong),
      'its attempts do not add up',
    )
    sound(isMoment(createdAt) && isMoment(expiresAt) && hex64.test(String(code)), 'it has no time, or no code')
    sound(Array.isArray(tickets), 'it has no list of tickets')
    const { row, words } = await openStored(vault, entry)
    sound(typeof words.friendlyName === 'string' && Array.isArray(words.pickups), 'its words do not read')
    const needs: Need[] = [
      { kind: 'entry', key: codeKey(row.code) },
      { kind: 'entry', key: listKey(row) },
      { kind: 'job', queue: connectQueue, id: row.id },
    ]
    if (row.external === undefined || row.state === 'withdrawn') return needs
    return [...needs, { kind: 'entry', key: externalKey(row.of, row.owner, row.external, row.id) }]
  },
}

/** An entry whose value is the id of a request. */
function pointer(name: string, form: RegExp): Family<'entry'> {
  return {
    ...{ kind: 'entry', name, form },
    check({ value }) {
      const id = Buffer.from(value).toString('latin1')
      sound(/^[0-9a-f]{32}$/.test(id), 'the value is the id of no request')
      return [{ kind: 'entry', key: requestKey(id) }]
    },
  }
}

const code = pointer('pickup code', /^connect\/code\/[0-9a-f]{64}$/)
const external = pointer(
  'external id of a pickup',
  /^connect\/external\/[a-z]+\/[A-Za-z0-9._-]{1,64}\/[0-9a-f]{64}(\/[0-9a-f]{32})?$/,
)

const listed: Family<'entry'> = {
  kind: 'entry',
  name: 'pickup in a list',
  form: /^connect\/of\/[a-z]+\/[A-Za-z0-9._-]{1,64}\/\d{15}-[0-9a-f]{32}$/,
  check({ key, value }) {
    sound(value.length === 0, 'the value is not empty')
    return [{ kind: 'entry', key: requestKey(key.slice(-32)) }]
  },
}

const authorized: Family<'entry'> = {
  kind: 'entry',
  name: 'authorized pickup',
  form: /^connect\/authorized\/[A-Za-z0-9._-]{1,64}\/\d{15}-[0-9a-f]{32}-[0-9a-f]{16}$/,
  check({ key, value }) {
    sound(value.length === 0, 'the value is not empty')
    return [{ kind: 'entry', key: requestKey(key.slice(-49, -17)) }]
  },
}

const ticket: Family<'entry'> = {
  kind: 'entry',
  name: 'pickup ticket',
  form: /^connect\/ticket\/[0-9a-f]{64}$/,
  check({ key, value }) {
    const { request, holder, endsAt } = jsonOf(value)
    sound(hex64.test(String(holder)) && isMoment(endsAt), 'the ticket is of nobody, or of no time')
    return [
      { kind: 'entry', key: requestKey(String(request)) },
      { kind: 'job', queue: connectQueue, id: ticketJob(key.slice('connect/ticket/'.length)) },
    ]
  },
}

const job: Family<'job'> = {
  kind: 'job',
  name: 'pickup to end',
  form: /^connect$/,
  check({ id, payload }) {
    sound(/^(ticket-[0-9a-f]{64}|[0-9a-f]{32})$/.test(id) && payload.length === 0, 'the job names no request')
    return []
  },
}

/** Every row that the machine of this room writes; packages have families of their own. */
export const connectFamilies: readonly RowFamily[] = [
  request,
  code,
  external,
  listed,
  authorized,
  ticket,
  job,
  appEventFamily,
]
