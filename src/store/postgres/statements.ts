import type { StandingJob } from '../../ports/store.js'
import type { Statement } from './session.js'
import { type Field, readBytes, readFlag, readNumber, readText } from './wire.js'

/** The server's clock in Unix milliseconds, or the moment given as the first parameter. */
const now = `coalesce($1::int8, (extract(epoch from clock_timestamp()) * 1000)::int8)`

/** Ends the transaction with an error (22012) unless a count is as expected: a guard that needs no round trip of its own. */
const holds = (count: string, expected: string) => `SELECT 1 / (CASE WHEN ${count} = ${expected} THEN 1 ELSE 0 END)`

export const begin = { name: 'begin', text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' }
export const beginSnapshot = { name: 'begin_snapshot', text: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' }
export const commit = { name: 'commit', text: 'COMMIT' }
export const rollback = { name: 'rollback', text: 'ROLLBACK' }

export interface FoundEntry {
  readonly key: string
  readonly version: number
  readonly value: Uint8Array
}

const entryOf = ([key, version, value]: readonly Field[]): FoundEntry => ({
  key: readText(key),
  version: readNumber(version),
  value: readBytes(value),
})

export const getEntries = {
  name: 'get_entries',
  text: 'SELECT key, version, value FROM entry WHERE key = ANY($1::bytea[])',
  read: entryOf,
} satisfies Statement<FoundEntry>

export const rangeUp = {
  name: 'range_up',
  text: 'SELECT key, version, value FROM entry WHERE key >= $1::bytea AND key < $2::bytea ORDER BY key LIMIT $3::int8',
  read: entryOf,
} satisfies Statement<FoundEntry>

export const rangeDown = {
  name: 'range_down',
  text: 'SELECT key, version, value FROM entry WHERE key >= $1::bytea AND key < $2::bytea ORDER BY key DESC LIMIT $3::int8',
  read: entryOf,
} satisfies Statement<FoundEntry>

/** Locks what is there of the keys, in order, so that two nodes never wait for one another. */
export const lockEntries = {
  name: 'lock_entries',
  text: 'SELECT key, version FROM entry WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE',
  read: ([key, version]) => ({ key: readText(key), version: readNumber(version) }),
} satisfies Statement<{ readonly key: string; readonly version: number }>

/** The same with a guard: `$3` keys have the versions of `$2`; a null there is locked only. */
export const guardEntries = {
  name: 'guard_entries',
  text: `${holds('count(*) FILTER (WHERE found)', '$3::int8')} FROM (
    SELECT entry.version = expected.version AS found
    FROM unnest($1::bytea[], $2::int8[]) AS expected(key, version) JOIN entry ON entry.key = expected.key
    ORDER BY entry.key FOR UPDATE OF entry) AS locked`,
} satisfies Statement

/** Keys that must be absent: a twin (23505) ends the transaction, one that is being written is waited for. */
export const insertEntries = {
  name: 'insert_entries',
  text: 'INSERT INTO entry (key, version, value) SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bytea[])',
} satisfies Statement

export const putEntries = {
  name: 'put_entries',
  text: `INSERT INTO entry (key, version, value) SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bytea[])
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value`,
} satisfies Statement

export const deleteEntries = {
  name: 'delete_entries',
  text: 'DELETE FROM entry WHERE key = ANY($1::bytea[])',
} satisfies Statement

export interface FoundJob {
  readonly queue: string
  readonly id: string
  readonly payload: Uint8Array
  readonly dueAt: number
  readonly attempt: number
  readonly heldUntil: number
}

/**
 * Takes due jobs, oldest first, and never waits for one that somebody else is taking or ending. The lock is followed by a
 * second look at the row as it is then (READ COMMITTED), so that what was just taken is passed over.
 */
export const claimJobs = {
  name: 'claim_jobs',
  text: `WITH moment AS MATERIALIZED (SELECT ${now} AS now), due AS MATERIALIZED (
      SELECT queue, id FROM job
      WHERE queue = $2::bytea AND due_at <= (SELECT now FROM moment) AND held_until <= (SELECT now FROM moment)
      ORDER BY due_at, id LIMIT $3::int8 FOR UPDATE SKIP LOCKED)
    UPDATE job SET held_until = moment.now + $4::int8, attempt = job.attempt + 1, token = $5::bytea
    FROM due, moment WHERE job.queue = due.queue AND job.id = due.id
    RETURNING job.queue, job.id, job.payload, job.due_at, job.attempt, job.held_until`,
  read: ([queue, id, payload, dueAt, attempt, heldUntil]) => ({
    queue: readText(queue),
    id: readText(id),
    payload: readBytes(payload),
    dueAt: readNumber(dueAt),
    attempt: readNumber(attempt),
    heldUntil: readNumber(heldUntil),
  }),
} satisfies Statement<FoundJob>

export interface AskedJob {
  /** Which of those who asked, from 1. */
  readonly place: number
  /** Undefined where somebody else has it. */
  readonly taken?: Omit<FoundJob, 'queue' | 'id'>
}

/**
 * Takes jobs by their ids, due or not; answers only those that are there. As `claimJobs` it never waits: a row that
 * somebody is taking or ending is as good as held.
 */
export const claimAsked = {
  name: 'claim_asked',
  text: `WITH moment AS MATERIALIZED (SELECT ${now} AS now), asked AS MATERIALIZED (
      SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::int8[]) WITH ORDINALITY AS asked(queue, id, lease, place)
    ), free AS MATERIALIZED (
      SELECT asked.place, asked.lease, job.queue, job.id FROM asked JOIN job ON job.queue = asked.queue AND job.id = asked.id
      WHERE job.held_until <= (SELECT now FROM moment) FOR UPDATE OF job SKIP LOCKED
    ), taken AS (
      UPDATE job SET held_until = moment.now + free.lease, attempt = job.attempt + 1, token = $5::bytea
      FROM free, moment WHERE job.queue = free.queue AND job.id = free.id
      RETURNING free.place, job.payload, job.due_at, job.attempt, job.held_until)
    SELECT asked.place, taken.payload, taken.due_at, taken.attempt, taken.held_until
    FROM asked JOIN job ON job.queue = asked.queue AND job.id = asked.id LEFT JOIN taken ON taken.place = asked.place`,
  read: ([place, payload, dueAt, attempt, heldUntil]): AskedJob => ({
    place: readNumber(place),
    ...(payload && {
      taken: {
        payload: readBytes(payload),
        dueAt: readNumber(dueAt),
        attempt: readNumber(attempt),
        heldUntil: readNumber(heldUntil),
      },
    }),
  }),
} satisfies Statement<AskedJob>

const fenced = `job.queue = held.queue AND job.id = held.id AND job.token = held.token AND job.held_until > ${now}`

export const extendLeases = {
  name: 'extend_leases',
  text: `UPDATE job SET held_until = greatest(job.held_until, ${now} + held.lease)
    FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::int8[]) WITH ORDINALITY AS held(queue, id, token, lease, place)
    WHERE ${fenced} RETURNING held.place`,
  read: ([place]) => readNumber(place),
} satisfies Statement<number>

/** Locks jobs whose leases still stand, and tells which. */
export const lockJobs = {
  name: 'lock_jobs',
  text: `SELECT job.queue, job.id, job.token FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS held(queue, id, token)
    JOIN job ON ${fenced} ORDER BY job.queue, job.id FOR UPDATE OF job`,
  read: ([queue, id, token]) => ({ queue: readText(queue), id: readText(id), token: readText(token) }),
} satisfies Statement<{ readonly queue: string; readonly id: string; readonly token: string }>

export const endJobs = {
  name: 'end_jobs',
  text: `WITH ended AS (DELETE FROM job USING unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS held(queue, id, token)
      WHERE ${fenced} RETURNING 1)
    ${holds('count(*)', 'cardinality($2::bytea[])')} FROM ended`,
} satisfies Statement

export const releaseJobs = {
  name: 'release_jobs',
  text: `WITH released AS (UPDATE job SET due_at = held.due_at, held_until = 0, token = NULL,
        payload = coalesce(held.payload, job.payload)
      FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::int8[], $6::bytea[]) AS held(queue, id, token, due_at, payload)
      WHERE ${fenced} RETURNING 1)
    ${holds('count(*)', 'cardinality($2::bytea[])')} FROM released`,
} satisfies Statement

export const enqueueJobs = {
  name: 'enqueue_jobs',
  text: `INSERT INTO job (queue, id, due_at, payload)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[]) ON CONFLICT (queue, id) DO NOTHING`,
} satisfies Statement

export const nextDue = {
  name: 'next_due',
  text: `SELECT due_at FROM job WHERE queue = $2::bytea AND held_until <= ${now} ORDER BY due_at LIMIT 1`,
  read: ([dueAt]) => readNumber(dueAt),
} satisfies Statement<number>

const standingOf = ([id, payload, dueAt, attempt, held]: readonly Field[]): StandingJob => ({
  id: readText(id),
  payload: readBytes(payload),
  dueAt: readNumber(dueAt),
  attempt: readNumber(attempt),
  held: readFlag(held),
})

export const listJobs = {
  name: 'list_jobs',
  text: `SELECT id, payload, due_at, attempt, held_until > ${now} FROM job
    WHERE queue = $2::bytea AND (due_at, id) > ($3::int8, $4::bytea) ORDER BY due_at, id LIMIT $5::int8`,
  read: standingOf,
} satisfies Statement<StandingJob>

export const getJob = {
  name: 'get_job',
  text: `SELECT id, payload, due_at, attempt, held_until > ${now} FROM job WHERE queue = $2::bytea AND id = $3::bytea`,
  read: standingOf,
} satisfies Statement<StandingJob>

export interface FoundHead {
  readonly log: string
  readonly sequence: number
  readonly link: Uint8Array
}

const headOf = ([name, sequence, link]: readonly Field[]): FoundHead => ({
  log: readText(name),
  sequence: readNumber(sequence),
  link: readBytes(link),
})

export const readHeads = {
  name: 'read_heads',
  text: 'SELECT name, sequence, link FROM log_head WHERE name = ANY($1::bytea[])',
  read: headOf,
} satisfies Statement<FoundHead>

/** Heads for logs that begin here, so that there is a row to lock. */
export const makeHeads = {
  name: 'make_heads',
  text: `INSERT INTO log_head (name, sequence, link) SELECT name, 0, decode(repeat('00', 32), 'hex')
    FROM unnest($1::bytea[]) AS made(name) ON CONFLICT (name) DO NOTHING`,
} satisfies Statement

export const lockHeads = {
  name: 'lock_heads',
  text: 'SELECT name, sequence, link FROM log_head WHERE name = ANY($1::bytea[]) ORDER BY name FOR UPDATE',
  read: headOf,
} satisfies Statement<FoundHead>

/** Moves heads on, guarded by where they were: one chain a log, whichever node writes. */
export const moveHeads = {
  name: 'move_heads',
  text: `WITH moved AS (UPDATE log_head SET sequence = next.sequence, link = next.link
      FROM unnest($1::bytea[], $2::int8[], $3::int8[], $4::bytea[]) AS next(name, before, sequence, link)
      WHERE log_head.name = next.name AND log_head.sequence = next.before RETURNING 1)
    ${holds('count(*)', 'cardinality($1::bytea[])')} FROM moved`,
} satisfies Statement

export const appendLogs = {
  name: 'append_logs',
  text: 'INSERT INTO log (name, sequence, link, value) SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bytea[], $4::bytea[])',
} satisfies Statement

export const readLog = {
  name: 'read_log',
  text: 'SELECT sequence, value, link FROM log WHERE name = $1::bytea AND sequence >= $2::int8 ORDER BY sequence LIMIT $3::int8',
  read: ([sequence, value, link]) => ({
    sequence: readNumber(sequence),
    value: readBytes(value) as Uint8Array,
    link: readBytes(link) as Uint8Array,
  }),
} satisfies Statement

/** Every statement that a session of the store may run. */
export const storeStatements: readonly Statement[] = [
  begin,
  commit,
  rollback,
  getEntries,
  rangeUp,
  rangeDown,
  lockEntries,
  guardEntries,
  insertEntries,
  putEntries,
  deleteEntries,
  claimJobs,
  claimAsked,
  extendLeases,
  lockJobs,
  endJobs,
  releaseJobs,
  enqueueJobs,
  nextDue,
  listJobs,
  getJob,
  readHeads,
  makeHeads,
  lockHeads,
  moveHeads,
  appendLogs,
  readLog,
]
