import pg from 'pg'
import type { Address, PostgresTimeouts } from './options.js'
import { passwordFor } from './passwords.js'
import type { Field, Parameter } from './wire.js'

/** A prepared statement: every connection prepares all of them when it opens. */
export interface Statement<Row = unknown> {
  readonly name: string
  readonly text: string
  readonly read?: (fields: readonly Field[]) => Row
}

export interface Call<Row = unknown> {
  readonly statement: Statement<Row>
  readonly values: readonly Parameter[]
}

/** One connection. It does one thing at a time: who asks while another waits for his answer is served next. */
export interface Session {
  /**
   * Sends all calls in one packet, and answers the rows of each. Outside an explicit transaction they are one transaction
   * of their own: all of them happened when this resolves. Rejects with the server's DatabaseError, or with what broke the
   * connection: then what became of them is unknown.
   */
  run(calls: readonly Call[]): Promise<readonly (readonly unknown[])[]>
  /** Makes statements known to this connection; the server refuses here what does not fit its tables. */
  prepare(statements: readonly Statement[]): Promise<void>
  /** Runs statements without parameters that stand in one text, and answers the rows of the last one as text. */
  text(text: string): Promise<readonly (readonly Field[])[]>
  /** Whether an explicit transaction is open and has not failed. */
  inTransaction(): boolean
  /** Lets the server go politely; or at once where it still owes an answer. */
  close(): Promise<void>
  /** Drops the connection; whatever waits for it fails. */
  drop(): void
  /** Resolves when the connection is gone, whoever ended it. */
  readonly ended: Promise<void>
  readonly address: Address
}

/** Rows of a call, typed by its statement. */
export function rowsOf<Row>(_statement: Statement<Row>, rows: readonly unknown[] | undefined): readonly Row[] {
  return (rows ?? []) as readonly Row[]
}

/** True for what the server itself said, so that we know that nothing came of it. */
export function isServerError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError
}

/** Connects and authenticates. Rejects with DatabaseError where the server refuses, with any other error where it is not reached. */
export async function openSession(address: Address, timeouts: PostgresTimeouts): Promise<Session> {
  const client = new pg.Client({
    host: address.host,
    port: address.port,
    user: address.user,
    database: address.database,
    password: () => passwordFor(address),
    ssl: address.tls,
    application_name: 'direct-gateway',
    connectionTimeoutMillis: timeouts.connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  // The calls that wait are told what happened; without a listener Node would end the process besides.
  client.on('error', () => {})
  // Somebody cancelled the wait for a standby: the server then says that the commit is done, though one machine alone has it.
  let alone = false
  client.on('notice', ({ routine }) => {
    alone ||= routine === 'SyncRepWaitForLSN'
  })
  await client.connect()
  // Not before: TLS puts a stream of its own in place of the socket.
  const drop = () => void client.connection.stream.destroy()

  let turn: Promise<unknown> = Promise.resolve()

  function inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const answer = turn.then(() => within(ask))
    turn = answer.catch(() => {})
    return answer
  }

  async function within<T>(ask: () => Promise<T>): Promise<T> {
    const timer = setTimeout(drop, timeouts.answerMs)
    try {
      const answered = await ask()
      if (alone) throw new Error('The server stopped waiting for its standby')
      return answered
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    run: (calls) => inTurn(() => new Promise((settle, fail) => void client.query(burst(calls, settle, fail)))),
    prepare: (statements) =>
      inTurn(() => new Promise((settle, fail) => void client.query(preparing(statements, settle, fail)))),
    async text(text) {
      const answer: unknown = await inTurn(() => client.query({ text, rowMode: 'array', types: asText }))
      const last: unknown = Array.isArray(answer) ? answer.at(-1) : answer
      return (last as { readonly rows: readonly (readonly Field[])[] }).rows
    },
    inTransaction: () => client.getTransactionStatus() === 'T',
    async close() {
      await client.end().catch(() => {})
    },
    drop,
    ended,
    address,
  }
}

const asText = { getTypeParser: () => (field: string) => field }

/**
 * Several calls with one Sync behind them: without BEGIN the server takes them as one transaction and skips what follows an
 * error (PostgreSQL 55.2.4, pipelining), so that a group of commits costs one round trip and can never become half true.
 */
function burst(
  calls: readonly Call[],
  settle: (rows: readonly (readonly unknown[])[]) => void,
  fail: (error: Error) => void,
) {
  const rows: unknown[][] = calls.map(() => [])
  let at = 0
  let trouble: Error | undefined
  return {
    submit(connection: pg.Connection) {
      connection.stream.cork()
      for (const { statement, values } of calls) {
        connection.bind({ statement: statement.name, values: [...values] }, true)
        connection.execute(null, true)
      }
      connection.sync()
      connection.stream.uncork()
    },
    handleRowDescription() {},
    handleDataRow({ fields }: { readonly fields: readonly Field[] }) {
      const read = calls[at]?.statement.read
      try {
        if (read) rows[at]?.push(read(fields))
      } catch (error) {
        // Out of the socket's own event it would end the process.
        trouble ??= error as Error
      }
    },
    handleCommandComplete({ text }: { readonly text: string }) {
      // A COMMIT that the server turned into ROLLBACK is no error to it.
      if (calls[at]?.statement.name === 'commit' && text !== 'COMMIT')
        trouble ??= new Error('The server rolled back instead of committing')
      at++
    },
    handlePortalSuspended() {},
    handleEmptyQuery() {
      at++
    },
    handleReadyForQuery() {
      if (trouble) fail(trouble)
      else settle(rows)
    },
    handleError(error: Error) {
      fail(error)
    },
  }
}

function preparing(statements: readonly Statement[], settle: () => void, fail: (error: Error) => void) {
  return {
    ...burst([], settle, fail),
    submit(connection: pg.Connection) {
      connection.stream.cork()
      for (const { name, text } of statements) connection.parse({ name, text, types: [] }, true)
      connection.sync()
      connection.stream.uncork()
    },
  }
}
