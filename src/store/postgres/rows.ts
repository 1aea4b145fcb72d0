import { type RowChange, type StoredRow, StoreFailed } from '../../ports/store.js'
import { checkedMoment } from '../keys.js'
import type { Link } from './link.js'
import { type PostgresTimeouts, postgresLimits } from './options.js'
import { type Call, rowsOf, type Session, type Statement } from './session.js'
import { beginSnapshot, deleteEntries, putEntries } from './statements.js'
import { byteaArray, int8Array, readBytes, readNumber, readText, textBytes, textBytesArray } from './wire.js'

/** Rows of one page: as many as fit, and one at least. The sizes are known without fetching the values. */
const page = (columns: string, table: string, value: string, after: string, order: string) =>
  `SELECT ${columns} FROM (
     SELECT *, sum(octet_length(${value})) OVER (ORDER BY ${order}) - octet_length(${value}) AS before
     FROM (SELECT * FROM ${table} WHERE ${after} ORDER BY ${order} LIMIT ${postgresLimits.pageRows}) AS next
   ) AS sized WHERE before <= ${postgresLimits.pageBytes} ORDER BY ${order}`

const pageEntries = {
  name: 'page_entries',
  text: page('key, version, value', 'entry', 'value', 'key > $1::bytea', 'key'),
  read: ([key, version, value]) => ({
    kind: 'entry',
    key: readText(key),
    version: readNumber(version),
    value: readBytes(value),
  }),
} satisfies Statement<StoredRow>

const pageJobs = {
  name: 'page_jobs',
  text: page(
    'queue, id, due_at, attempt, payload',
    'job',
    'payload',
    '(queue, id) > ($1::bytea, $2::bytea)',
    'queue, id',
  ),
  read: ([queue, id, dueAt, attempt, payload]) => ({
    kind: 'job',
    queue: readText(queue),
    id: readText(id),
    dueAt: readNumber(dueAt),
    attempt: readNumber(attempt),
    payload: readBytes(payload),
  }),
} satisfies Statement<StoredRow>

const pageLogs = {
  name: 'page_logs',
  text: page(
    'name, sequence, value, link',
    'log',
    'value',
    '(name, sequence) > ($1::bytea, $2::int8)',
    'name, sequence',
  ),
  read: ([log, sequence, value, link]) => ({
    kind: 'log',
    log: readText(log),
    sequence: readNumber(sequence),
    value: readBytes(value),
    link: readBytes(link),
  }),
} satisfies Statement<StoredRow>

/** Everything as it is when the first row is asked for: one read-only transaction on a connection of its own, page by page. */
export async function* snapshotRows(link: Link, { snapshotIdleMs }: PostgresTimeouts): AsyncGenerator<StoredRow> {
  const session = await link.open()
  try {
    await session.text(`SET idle_in_transaction_session_timeout = ${snapshotIdleMs}`)
    await session.prepare([beginSnapshot, pageEntries, pageJobs, pageLogs])
    await session.run([{ statement: beginSnapshot, values: [] }])
    yield* pages(session, pageEntries, [textBytes('')], ({ key }) => [textBytes(key)])
    yield* pages(session, pageJobs, [textBytes(''), textBytes('')], ({ queue, id }) => [
      textBytes(queue),
      textBytes(id),
    ])
    yield* pages(session, pageLogs, [textBytes(''), '0'], ({ log, sequence }) => [textBytes(log), String(sequence)])
  } catch (cause) {
    throw cause instanceof StoreFailed ? cause : new StoreFailed('The store could not be read', { cause })
  } finally {
    await session.close()
  }
}

async function* pages<Row extends StoredRow>(
  session: Session,
  statement: Statement<Row>,
  first: Call['values'],
  behind: (last: Row) => Call['values'],
): AsyncGenerator<Row> {
  for (let from = first; ; ) {
    const [answer] = await session.run([{ statement, values: from }])
    const rows = rowsOf(statement, answer)
    yield* rows
    const last = rows.at(-1)
    if (!last) return
    from = behind(last)
  }
}

const putJobs = {
  name: 'put_jobs',
  text: `INSERT INTO job (queue, id, due_at, attempt, payload)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::int8[], $5::bytea[])
    ON CONFLICT (queue, id) DO UPDATE SET due_at = excluded.due_at, attempt = excluded.attempt, payload = excluded.payload,
      held_until = 0, token = NULL`,
} satisfies Statement

const deleteJobs = {
  name: 'delete_jobs',
  text: `DELETE FROM job USING unnest($1::bytea[], $2::bytea[]) AS gone(queue, id)
    WHERE job.queue = gone.queue AND job.id = gone.id`,
} satisfies Statement

const putLogs = {
  name: 'put_logs',
  text: `INSERT INTO log (name, sequence, link, value) SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bytea[], $4::bytea[])
    ON CONFLICT (name, sequence) DO UPDATE SET link = excluded.link, value = excluded.value`,
} satisfies Statement

const deleteLogs = {
  name: 'delete_logs',
  text: `DELETE FROM log USING unnest($1::bytea[], $2::int8[]) AS gone(name, sequence)
    WHERE log.name = gone.name AND log.sequence = gone.sequence`,
} satisfies Statement

const forgetHeads = {
  name: 'forget_heads',
  text: 'DELETE FROM log_head WHERE name = ANY($1::bytea[])',
} satisfies Statement

const findHeads = {
  name: 'find_heads',
  text: `INSERT INTO log_head (name, sequence, link) SELECT touched.name, last.sequence, last.link
    FROM unnest($1::bytea[]) AS touched(name) CROSS JOIN LATERAL (
      SELECT sequence, link FROM log WHERE log.name = touched.name ORDER BY sequence DESC LIMIT 1) AS last`,
} satisfies Statement

/** Writes rows in steps, each a transaction; the heads of the logs are those of their last rows after every step. */
export async function loadRows(link: Link, changes: AsyncIterable<RowChange> | Iterable<RowChange>): Promise<void> {
  const session = await link.open()
  /** The last word on each row, since one statement may not touch a row twice. */
  const pending = new Map<string, RowChange>()
  let sizeBytes = 0
  const flush = async () => {
    const calls = loadCalls([...pending.values()])
    if (calls.length > 0) await session.run(calls)
    pending.clear()
    sizeBytes = 0
  }
  try {
    await session.prepare([putJobs, deleteJobs, putLogs, deleteLogs, forgetHeads, findHeads])
    for await (const change of changes) {
      pending.set(nameOf(change.row), change)
      sizeBytes += sizeOf(change.row)
      if (sizeBytes >= postgresLimits.loadBytes || pending.size >= postgresLimits.loadRows) await flush()
    }
    await flush()
  } catch (cause) {
    throw cause instanceof StoreFailed
      ? cause
      : new StoreFailed('The store could not be loaded; what was written so far is there', { cause })
  } finally {
    await session.close()
  }
}

function loadCalls(changes: readonly RowChange[]): Call[] {
  const of = <K extends StoredRow['kind']>(kind: RowChange['kind'], row: K) =>
    changes.flatMap((change) =>
      change.kind === kind && change.row.kind === row ? [change.row as Extract<StoredRow, { kind: K }>] : [],
    )
  const calls: Call[] = []
  const add = (count: number, statement: Statement, values: () => Call['values']) => {
    if (count > 0) calls.push({ statement, values: values() })
  }
  const goneEntries = of('del', 'entry')
  add(goneEntries.length, deleteEntries, () => [textBytesArray(goneEntries.map(({ key }) => key))])
  const entries = of('put', 'entry')
  add(entries.length, putEntries, () => [
    textBytesArray(entries.map(({ key }) => key)),
    int8Array(entries.map(({ version }) => version)),
    byteaArray(entries.map(({ value }) => value)),
  ])
  const goneJobs = of('del', 'job')
  add(goneJobs.length, deleteJobs, () => [
    textBytesArray(goneJobs.map(({ queue }) => queue)),
    textBytesArray(goneJobs.map(({ id }) => id)),
  ])
  const jobs = of('put', 'job')
  add(jobs.length, putJobs, () => [
    textBytesArray(jobs.map(({ queue }) => queue)),
    textBytesArray(jobs.map(({ id }) => id)),
    int8Array(jobs.map(({ dueAt }) => checkedMoment(dueAt))),
    int8Array(jobs.map(({ attempt }) => attempt)),
    byteaArray(jobs.map(({ payload }) => payload)),
  ])
  const goneLogs = of('del', 'log')
  add(goneLogs.length, deleteLogs, () => [
    textBytesArray(goneLogs.map(({ log }) => log)),
    int8Array(goneLogs.map(({ sequence }) => sequence)),
  ])
  const logs = of('put', 'log')
  add(logs.length, putLogs, () => [
    textBytesArray(logs.map(({ log }) => log)),
    int8Array(logs.map(({ sequence }) => sequence)),
    byteaArray(logs.map(({ link }) => link)),
    byteaArray(logs.map(({ value }) => value)),
  ])
  const touched = [...new Set([...goneLogs, ...logs].map(({ log }) => log))]
  for (const statement of [forgetHeads, findHeads]) add(touched.length, statement, () => [textBytesArray(touched)])
  return calls
}

function nameOf(row: StoredRow): string {
  if (row.kind === 'entry') return `entry ${row.key}`
  if (row.kind === 'job') return `job ${row.queue}\0${row.id}`
  return `log ${row.log}\0${row.sequence}`
}

function sizeOf(row: StoredRow): number {
  return 100 + (row.kind === 'job' ? row.payload.length : row.value.length)
}
