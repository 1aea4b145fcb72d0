import { setTimeout as wait } from 'node:timers/promises'
import type { Batch, CommitResult } from '../../ports/store.js'
import { storeLimits } from '../keys.js'
import { fenceOf, type Known, type LogHead, leases, openGroup } from './group.js'
import { postgresLimits } from './options.js'
import { isServerError, rowsOf, type Session } from './session.js'
import { begin, commit, lockEntries, lockHeads, lockJobs, makeHeads, readHeads, rollback } from './statements.js'
import { textBytesArray } from './wire.js'

/**
 * Writes groups of batches over one connection. First at their word, in one round trip with guards; where a guard did not
 * hold, because a batch is to be refused or another node was faster, again with everything read and locked before judging.
 * After a failed guess the next groups are read first, the more of them the more often it fails.
 */
export interface GroupWriter {
  write(session: Session, batches: readonly Batch[]): Promise<readonly CommitResult[]>
}

/** Errors after which nothing was written and which another try may not meet: guards, twins, serialization, deadlock. */
const retryable = new Set(['22012', '23505', '40001', '40P01'])
const guessesSkippedMax = 64

export function openGroupWriter(now: () => string | null): GroupWriter {
  const heads = new Map<string, LogHead>()
  let failedGuesses = 0
  let guessesToSkip = 0

  async function write(session: Session, batches: readonly Batch[]): Promise<readonly CommitResult[]> {
    for (let attempt = 1; ; attempt++) {
      const guess = attempt === 1 && guessesToSkip === 0
      if (guessesToSkip > 0 && attempt === 1) guessesToSkip--
      try {
        const results = guess ? await writeAtTheirWord(session, batches) : await writeAsRead(session, batches)
        if (guess) failedGuesses = 0
        return results
      } catch (error) {
        heads.clear()
        if (!isServerError(error) || !retryable.has(error.code ?? '') || attempt >= postgresLimits.attempts) throw error
        if (guess) guessesToSkip = Math.min(2 ** failedGuesses++ - 1, guessesSkippedMax)
        else {
          await session.run([{ statement: rollback, values: [] }])
          await wait(Math.random() * Math.min(2 ** attempt, 100))
        }
      }
    }
  }

  async function writeAtTheirWord(session: Session, batches: readonly Batch[]) {
    const group = openGroup()
    const results = batches.map(group.admit)
    if (group.isEmpty()) return results
    await learnHeads(session, group.logs())
    const appends = group.appends(heads)
    await session.run([...group.calls(now()), ...appends.calls])
    remember(appends.heads)
    return results
  }

  async function writeAsRead(session: Session, batches: readonly Batch[]) {
    const known = await readAndLock(session, batches)
    const group = openGroup(known)
    const results = batches.map(group.admit)
    if (group.isEmpty()) {
      await session.run([{ statement: rollback, values: [] }])
      return results
    }
    const logs = group.logs()
    const calls = group.calls(now())
    if (logs.length === 0) {
      await session.run([...calls, { statement: commit, values: [] }])
      return results
    }
    // The heads last: whoever holds one keeps every other node from appending.
    const names = textBytesArray(logs)
    const answers = await session.run([
      ...calls,
      { statement: makeHeads, values: [names] },
      { statement: lockHeads, values: [names] },
    ])
    inTransaction(session)
    const locked = rowsOf(lockHeads, answers.at(-1))
    const appends = group.appends(new Map(locked.map((head) => [head.log, head])))
    await session.run([...appends.calls, { statement: commit, values: [] }])
    remember(appends.heads)
    return results
  }

  async function readAndLock(session: Session, batches: readonly Batch[]): Promise<Known> {
    const keys = new Set(
      batches.flatMap(({ require = [], put = [], del = [] }) => [
        ...require.map(({ key }) => key),
        ...put.map(({ key }) => key),
        ...del,
      ]),
    )
    const jobs = batches.flatMap(({ ack = [], release = [] }) => [...ack, ...release].map(({ job }) => job))
    const [, entries, held] = await session.run([
      { statement: begin, values: [] },
      { statement: lockEntries, values: [textBytesArray([...keys])] },
      { statement: lockJobs, values: [now(), ...leases(jobs)] },
    ])
    inTransaction(session)
    const versions = new Map(rowsOf(lockEntries, entries).map(({ key, version }) => [key, version]))
    const leased = new Set(rowsOf(lockJobs, held).map(({ queue, id, token }) => `${queue}\0${id}\0${token}`))
    return {
      version: (key) => versions.get(key) ?? 'absent',
      leased: ({ queue, id, token }) => leased.has(`${queue}\0${id}\0${fenceOf(token)}`),
    }
  }

  /** Heads as they were last seen; wrong ones are caught by the guard. */
  async function learnHeads(session: Session, logs: readonly string[]) {
    const unknown = logs.filter((log) => !heads.has(log))
    if (unknown.length === 0) return
    const names = textBytesArray(unknown)
    const [, found] = await session.run([
      { statement: makeHeads, values: [names] },
      { statement: readHeads, values: [names] },
    ])
    for (const { log, sequence, link } of rowsOf(readHeads, found)) heads.set(log, { sequence, link })
  }

  function remember(moved: readonly ({ readonly log: string } & LogHead)[]) {
    for (const { log, sequence, link } of moved) {
      heads.delete(log)
      heads.set(log, { sequence, link })
    }
    for (const log of heads.keys()) {
      if (heads.size <= storeLimits.logHeads) return
      heads.delete(log)
    }
  }

  return { write }
}

function inTransaction(session: Session) {
  if (!session.inTransaction()) throw new Error('The server left the transaction by itself')
}
