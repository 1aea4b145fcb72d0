import { createHash } from 'node:crypto'
import { parseAddress, parseDomain } from '../direct/address.js'
import { holdKey } from '../ports/body.js'
import { checkBody, emptyRow, type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { eventLog, readEvent } from './events.js'
import { decodeSpooled, timeKey } from './payload.js'
import type { Spooled } from './spooled.js'
import {
  answerKey,
  bodyKey,
  isOpen,
  ownerOf,
  recipientStates,
  type Submission,
  stateKey,
  submissionQueue,
  timeRowKey,
  trackingQueue,
} from './submission.js'

const digest = /^[0-9a-f]{64}$/
const afterTime = (key: string, prefix: string) => key.slice(prefix.length + 16)

/** What a payload says, checked as far as every spooled message is alike. */
function spooledOf(payload: Uint8Array): Spooled {
  const spooled = decodeSpooled(payload)
  sound(spooled !== undefined, 'the payload is no spooled message')
  const { id, envelope, pending, firstAcceptedAt, sha256 } = spooled
  sound(typeof id === 'string' && Array.isArray(envelope?.rcptTo), 'the payload has no id or no envelope')
  sound(
    envelope.rcptTo.every((one) => parseAddress(one) === one),
    'a recipient is no address',
  )
  sound(Array.isArray(pending) && pending.every((one) => envelope.rcptTo.includes(one)), 'one waits who was not named')
  sound(isMoment(firstAcceptedAt) && digest.test(sha256), 'a time or a digest does not read')
  return spooled
}

/** The bytes that ride in the payload are those that were hashed as they arrived. */
function sameBytes({ body, sha256 }: Spooled): void {
  if (body.kind === 'inline')
    sound(createHash('sha256').update(body.bytes).digest('hex') === sha256, 'the bytes are not those that arrived')
}

const waiting: Family<'job'> = {
  kind: 'job',
  name: 'spooled message',
  form: /^inbound$/,
  check({ id, payload }) {
    const spooled = spooledOf(payload)
    sound(id === spooled.id || id.startsWith(`${spooled.id}.`), 'the job has the id of another message')
    sameBytes(spooled)
    return spooled.body.kind === 'blob' ? [{ kind: 'entry', key: holdKey(spooled.body.name, `spool/${id}`) }] : []
  },
}

const seen: Family<'entry'> = {
  kind: 'entry',
  name: 'seen message',
  form: /^seen\/(?<owner>.+)\/[0-9a-f]{64}$/,
  check({ key, value }) {
    const { id, at, again } = jsonOf(value)
    sound(typeof id === 'string' && isMoment(at) && Number.isInteger(again), 'the value is not of a seen message')
    return [{ kind: 'entry', key: `seen-by-time/${timeKey(at)}/${key}` }]
  },
}

const seenByTime: Family<'entry'> = {
  kind: 'entry',
  name: 'seen message by time',
  form: /^seen-by-time\/\d{15}\/seen\/.+$/,
  check(row) {
    emptyRow(row)
    return [{ kind: 'entry', key: afterTime(row.key, 'seen-by-time/') }]
  },
}

/** The key ends in a hash of the step, which finds any change of it. */
const trail: Family<'entry'> = {
  kind: 'entry',
  name: 'trail step',
  form: /^trail\/(?<owner>[^/]+)\/\d{15}-\d{5}-[0-9a-f]{8}$/,
  check({ key, value }) {
    const hash = createHash('sha256').update(value).digest('hex').slice(0, 8)
    sound(key.endsWith(`-${hash}`), 'the step is not the one that was written')
    jsonOf(value)
    return []
  },
}

const trailName: Family<'entry'> = {
  kind: 'entry',
  name: 'name of a trail',
  form: /^trail-name\/(mailbox|message-id)\/[^/]+\/[^/]+$/,
  check(row) {
    emptyRow(row)
    return [{ kind: 'some', prefix: `trail/${row.key.slice(row.key.lastIndexOf('/') + 1)}/` }]
  },
}

const refused: Family<'entry'> = {
  kind: 'entry',
  name: 'refused message',
  form: /^quarantine\/[^/]+$/,
  check({ key, value }) {
    const { spoolId, at, refused } = jsonOf(value)
    sound(key === `quarantine/${spoolId}` && isMoment(at), 'the row is of another message, or of no time')
    sound(Array.isArray(refused) && refused.length > 0, 'nobody was refused')
    return [
      { kind: 'entry', key: `quarantine-by-time/${timeKey(at)}/${spoolId}` },
      { kind: 'entry', key: `quarantine-body/${spoolId}` },
    ]
  },
}

const refusedByTime: Family<'entry'> = {
  kind: 'entry',
  name: 'refused message by time',
  form: /^quarantine-by-time\/\d{15}\/[^/]+$/,
  check(row) {
    emptyRow(row)
    return [{ kind: 'entry', key: `quarantine/${afterTime(row.key, 'quarantine-by-time/')}` }]
  },
}

const refusedBody: Family<'entry'> = {
  kind: 'entry',
  name: 'body of a refused message',
  form: /^quarantine-body\/[^/]+$/,
  check({ key, value }) {
    const spooled = spooledOf(value)
    sound(key === `quarantine-body/${spooled.id}`, 'the body is of another message')
    sameBytes(spooled)
    const row = `quarantine/${spooled.id}`
    const hold = spooled.body.kind === 'blob' ? [{ kind: 'entry' as const, key: holdKey(spooled.body.name, row) }] : []
    return [{ kind: 'entry', key: row }, ...hold]
  },
}

const submitted: Family<'entry'> = {
  kind: 'entry',
  name: 'submission',
  form: /^submission\/(?<owner>[^/]+)\/state\/[a-z2-7]{26}$/,
  async check({ key, value }, { vault }) {
    const mailbox = key.split('/')[1] ?? ''
    const plain = jsonOf(await vault.open(ownerOf(mailbox), key, value)) as unknown as Submission
    const { id, messageId, submittedAt, recipients, tracked, untracked } = plain
    sound(key === stateKey(plain.mailbox, id) && isMoment(submittedAt), 'the submission is another one, or of no time')
    sound(Array.isArray(recipients) && recipients.length > 0, 'the submission is to nobody')
    sound(
      recipients.every(({ state, since }) => recipientStates.includes(state) && isMoment(since)),
      'a recipient is in no state, or since no time',
    )
    // What former versions took in is found by no answer, and has no deadlines.
    const answered = tracked || untracked ? [answerKey(mailbox, messageId, id)] : []
    const waiting = recipients.some(({ state }) => state === 'waiting')
    const jobs = new Set(recipients.flatMap(({ state, job }) => (state === 'queued' && job !== undefined ? [job] : [])))
    return [
      { kind: 'entry', key: bodyKey(mailbox, id) },
      { kind: 'entry', key: timeRowKey(plain) },
      ...answered.map((key) => ({ kind: 'entry' as const, key })),
      ...(tracked && recipients.some((one) => isOpen(plain, one))
        ? [{ kind: 'job' as const, queue: trackingQueue, id }]
        : []),
      ...(waiting ? [{ kind: 'job' as const, queue: submissionQueue, id }] : []),
      ...[...jobs].map((job) => ({ kind: 'job' as const, queue: 'outbound', id: job })),
    ]
  },
}

const submittedByTime: Family<'entry'> = {
  kind: 'entry',
  name: 'submission by time',
  form: /^submission\/(?<owner>[^/]+)\/time\/\d{15}\/[a-z2-7]{26}$/,
  check(row) {
    emptyRow(row)
    const [, mailbox = '', , , id = ''] = row.key.split('/')
    return [{ kind: 'entry', key: stateKey(mailbox, id) }]
  },
}

const submittedBody: Family<'entry'> = {
  kind: 'entry',
  name: 'body of a submission',
  form: /^submission\/(?<owner>[^/]+)\/body\/[a-z2-7]{26}$/,
  async check(row, reader) {
    const [, mailbox = '', , id = ''] = row.key.split('/')
    const needs = await checkBody(row, ownerOf(mailbox), reader, () => undefined)
    return [{ kind: 'entry', key: stateKey(mailbox, id) }, ...needs]
  },
}

const answered: Family<'entry'> = {
  kind: 'entry',
  name: 'submission by Message-ID',
  form: /^submission\/(?<owner>[^/]+)\/message-id\/[0-9a-f]{64}\/[a-z2-7]{26}$/,
  check({ key, value }) {
    const mailbox = Buffer.from(value).toString('utf8')
    sound(mailbox.length > 0 && !mailbox.includes('/'), 'the value is no mailbox')
    return [{ kind: 'entry', key: stateKey(mailbox, key.slice(key.lastIndexOf('/') + 1)) }]
  },
}

const submission: Family<'job'> = {
  kind: 'job',
  name: 'submission to be sent',
  form: /^submission$/,
  check({ id, payload }) {
    const { v, id: named, mailbox } = jsonOf(payload)
    sound(v === 1 && named === id && typeof mailbox === 'string', 'the job is about another submission')
    return [{ kind: 'entry', key: stateKey(mailbox, id) }]
  },
}

/** Its step may be gone from the trail one day; the log stays. */
const events: Family<'log'> = {
  kind: 'log',
  name: 'event',
  form: new RegExp(`^${eventLog}$`),
  check({ value }) {
    sound(readEvent(value) !== undefined, 'the value is no event')
    return []
  },
}

const silent: Family<'entry'> = {
  kind: 'entry',
  name: 'silence of a domain',
  form: /^tracking\/domain\/[^/]+$/,
  check({ key, value }) {
    const { missed, at } = jsonOf(value)
    sound(parseDomain(key.slice('tracking/domain/'.length)) !== undefined, 'the key names no domain')
    sound(Number.isInteger(missed) && isMoment(at), 'the value tells of no silence')
    return []
  },
}

const deadline: Family<'job'> = {
  kind: 'job',
  name: 'deadlines of a submission',
  form: /^tracking$/,
  check(row, reader) {
    submission.check(row, reader)
    return [] // it stays until its time, also where everybody came to an end before
  },
}

/** Every row that this room writes. */
export const spoolFamilies: readonly RowFamily[] = [
  waiting,
  seen,
  seenByTime,
  trail,
  trailName,
  events,
  refused,
  refusedByTime,
  refusedBody,
  submitted,
  submittedByTime,
  submittedBody,
  answered,
  submission,
  deadline,
  silent,
]
