import { type Batch, type CommitResult, type Store, StoreFailed } from '../../ports/store.js'
import { checkBatch, checkLimit } from '../check.js'
import { nextGroup } from '../committer.js'
import { checkedKey, checkedMoment, checkedName } from '../keys.js'
import { openClaims } from './claims.js'
import { openLink, type Stay } from './link.js'
import { type PostgresOptions, postgresTimeouts, readAddresses } from './options.js'
import { openReaders } from './readers.js'
import { loadRows, snapshotRows } from './rows.js'
import { getJob, listJobs, nextDue, rangeDown, rangeUp, readLog } from './statements.js'
import { textBytes } from './wire.js'
import { openGroupWriter } from './writer.js'

interface Waiting {
  readonly batch: Batch
  readonly settle: (result: CommitResult) => void
  readonly fail: (error: Error) => void
}

/**
 * Opens the store in a PostgreSQL database, which any number of gateways may share. Commits that arrive while the server is
 * busy wait and become durable together in the next transaction (group commit). A store that lost its server looks for it,
 * or for the one that took its place, and goes on by itself.
 *
 * Throws RangeError for options that no server could serve, and StoreFailed, with what to do about it, where none takes
 * writes, refuses us, or is set so that it may lose what it acknowledged.
 */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const schema = checkedSchema(options.schema ?? 'direct_gateway')
  const link = await openLink({
    addresses: readAddresses(options),
    schema,
    requireStandby: options.requireStandby ?? false,
    timeouts: { ...postgresTimeouts, ...options.timeouts },
    onChange: options.onChange ?? (() => {}),
  })
  const { clock } = options
  const now = () => (clock ? String(Math.floor(clock.now())) : null)
  const readers = openReaders(link, Math.max(1, options.poolSize ?? 4))
  const claims = openClaims(link, now)
  const writer = openGroupWriter(now)
  const commits: Waiting[] = []
  let turning = false
  let turns: Promise<void> = Promise.resolve()
  let closing: Promise<void> | undefined

  async function takeTurns() {
    // What one tick commits goes together.
    await undefined
    while (commits.length > 0) await commitGroup(nextGroup(commits))
    // In the same step as the last look: whoever comes between the two would wait for ever.
    turning = false
  }

  async function commitGroup(waiting: readonly Waiting[]) {
    let stay: Stay | undefined
    try {
      stay = link.stay()
      const results = await writer.write(
        stay.writer,
        waiting.map(({ batch }) => batch),
      )
      for (const [i, { settle }] of waiting.entries()) settle(results[i] as CommitResult)
    } catch (error) {
      const failure = stay ? link.leave(stay, error) : (error as Error)
      for (const { fail } of waiting) fail(failure)
    }
  }

  function open() {
    if (closing) throw new StoreFailed('The store is closed')
    return link.stay()
  }

  return {
    shared: true,
    async get(key) {
      checkedKey(key)
      open()
      return readers.get(key)
    },
    async range({ gte, lt, limit, reverse }) {
      checkLimit(limit)
      open()
      return readers.read(reverse ? rangeDown : rangeUp, [textBytes(gte), textBytes(lt), String(limit)])
    },
    async commit(batch) {
      checkBatch(batch)
      open()
      return new Promise((settle, fail) => {
        commits.push({ batch, settle, fail })
        if (turning) return
        turning = true
        turns = takeTurns()
      })
    },
    async claim(queue, n, leaseMs) {
      checkLimit(n)
      checkedName(queue)
      if (!(leaseMs > 0)) throw new RangeError('A lease is longer than nothing')
      open()
      return claims.claim(queue, n, leaseMs)
    },
    async claimJob(queue, id, leaseMs) {
      checkedName(queue)
      checkedKey(id)
      if (!(leaseMs > 0)) throw new RangeError('A lease is longer than nothing')
      open()
      return claims.claimJob(queue, id, leaseMs)
    },
    async extend(job, leaseMs) {
      open()
      return claims.extend(job, leaseMs)
    },
    async nextDue(queue) {
      const name = textBytes(checkedName(queue))
      open()
      const [dueAt] = await readers.read(nextDue, [now(), name])
      return dueAt
    },
    async jobs(queue, limit, after) {
      checkLimit(limit)
      const name = textBytes(checkedName(queue))
      // No job has an empty id, and none is due before 1970.
      const place = after ? [String(checkedMoment(after.dueAt)), textBytes(checkedKey(after.id))] : ['0', textBytes('')]
      open()
      return readers.read(listJobs, [now(), name, ...place, String(limit)])
    },
    async job(queue, id) {
      const name = [textBytes(checkedName(queue)), textBytes(checkedKey(id))]
      open()
      const [found] = await readers.read(getJob, [now(), ...name])
      return found
    },
    async log(name, from, limit) {
      checkLimit(limit)
      checkedName(name)
      open()
      const first = Math.min(Math.max(1, Math.floor(from)), Number.MAX_SAFE_INTEGER)
      return readers.read(readLog, [textBytes(name), String(first), String(limit)])
    },
    snapshot: () => snapshotRows(link, { ...postgresTimeouts, ...options.timeouts }),
    async load(changes) {
      open()
      await turns
      await loadRows(link, changes)
    },
    healthy: () => link.here() && closing === undefined,
    lost: link.lost,
    close() {
      closing ??= Promise.all([turns, claims.quiet()]).then(() => link.close())
      return closing
    },
  }
}

/** Refuses (throws RangeError) what could not stand between quotation marks as it is. */
export function checkedSchema(schema: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new RangeError('A schema name has lower-case letters, digits and _')
  return schema
}
