import { type Batch, type ClaimedJob, type CommitResult, type Range, type Store, StoreFailed } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { checkBatch, checkLimit } from './check.js'
import { keysToJudge, type LogHead, openGroup } from './group.js'
import {
  checkedKey,
  checkedMoment,
  checkedName,
  dataKey,
  dueIndex,
  dueIndexEnd,
  dueKey,
  duePrefix,
  formatVersion,
  jobKey,
  logKey,
  logPrefix,
  metaFormat,
  metaVersion,
  prefixEnd,
  readDueKey,
  readDueQueue,
  readEntry,
  readSequence,
  readVarint,
  storeLimits,
  tryKey,
  varint,
} from './keys.js'
import { type Leases, openLeases } from './leases.js'
import type { Change, OrderedHome } from './ordered.js'
import { loadRows, rowsOf } from './rows.js'

interface Waiting {
  readonly batch: Batch
  readonly settle: (result: CommitResult) => void
  readonly fail: (error: StoreFailed) => void
}

interface WaitingClaim {
  readonly queue: string
  /** Takes what is claimed out of the waiting jobs. */
  readonly choose: (now: number) => readonly { readonly dueAt: number; readonly id: string }[]
  readonly leaseMs: number
  readonly settle: (jobs: readonly ClaimedJob[]) => void
  readonly fail: (error: StoreFailed) => void
}

/**
 * A Store over an ordered home that this process alone owns. Commits that arrive while the disk is busy wait and become
 * durable together in the next synced write (group commit). Claims take turns with groups, so that no job is handed out
 * while its end is being written.
 *
 * How often a job was claimed is written at the claim, without syncing and without waiting: it survives the death of the process, so that a
 * job that kills us is counted; a power cut may forget the last few claims, which only shortens a back-off.
 *
 * `token` gives the part of lease tokens that tells this opening of the store from every other.
 * Throws StoreFailed where the home was written by a newer build.
 */
export async function openCommitter(home: OrderedHome, clock: Clock, token: string): Promise<Store> {
  let version = await prepare(home)
  const leases = openLeases()
  await loadQueues(home, leases)
  const heads = new Map<string, LogHead>()
  const commits: Waiting[] = []
  const claims: WaitingClaim[] = []
  let claimed = 0
  let failure: StoreFailed | undefined
  let lose: (failure: StoreFailed) => void = () => {}
  const lost = new Promise<StoreFailed>((resolve) => {
    lose = resolve
  })
  /** The counts of the last claim on their way to the disk: what ends those jobs must come behind them. */
  let counting: Promise<void> = Promise.resolve()
  let closing: Promise<void> | undefined
  let turning = false
  let turns: Promise<void> = Promise.resolve()

  /** A failed write leaves the disk in doubt: nothing more is written until somebody reopens the store. */
  function failed(cause: unknown): StoreFailed {
    failure ??= new StoreFailed('A write or read of the store failed', { cause })
    lose(failure)
    return failure
  }

  async function reading<T>(read: Promise<T>): Promise<T> {
    try {
      return await read
    } catch (cause) {
      throw new StoreFailed('The store could not be read', { cause })
    }
  }

  function turn() {
    if (turning) return
    turning = true
    turns = takeTurns()
  }

  async function takeTurns() {
    while (claims.length > 0 || commits.length > 0) {
      for (const claim of claims.splice(0)) await serve(claim)
      if (commits.length > 0) await commitGroup(nextGroup(commits))
    }
    // In the same step as the last look: whoever comes between the two would wait for ever.
    turning = false
  }

  async function commitGroup(waiting: readonly Waiting[]) {
    try {
      if (failure) throw failure
      const results = await writeGroup(waiting.map(({ batch }) => batch))
      for (const [i, { settle }] of waiting.entries()) settle(results[i] as CommitResult)
    } catch (cause) {
      const error = failed(cause)
      for (const { fail } of waiting) fail(error)
    }
  }

  async function writeGroup(batches: readonly Batch[]): Promise<readonly CommitResult[]> {
    const keys = [...new Set(batches.flatMap(keysToJudge))]
    const found = keys.length > 0 ? await home.getMany(keys) : []
    const values = new Map(keys.map((key, i) => [key, found[i]]))
    for (const { log } of batches.flatMap(({ append }) => append ?? [])) await loadHead(log)
    const group = openGroup({ values, heads, leases, version, now: clock.now() })
    const results = batches.map(group.admit)
    const changes = group.changes()
    await counting
    if (failure) throw failure
    if (changes.length > 0) await home.write(changes, true)

    const effects = group.effects()
    version = effects.version
    for (const [log, head] of effects.heads) heads.set(log, head)
    leases.end(effects.ended)
    for (const { queue, key } of effects.due) leases.appeared(queue, key)
    forgetHeads()
    return results
  }

  async function loadHead(log: string) {
    if (heads.has(log)) return
    const prefix = logPrefix(log)
    const [last] = await home.scan({ gte: prefix, lt: prefixEnd(prefix), limit: 1, reverse: true })
    if (last) heads.set(log, { sequence: readSequence(last[0]), link: last[1].slice(0, 32) })
  }

  function forgetHeads() {
    for (const log of heads.keys()) {
      if (heads.size <= storeLimits.logHeads) return
      heads.delete(log)
    }
  }

  async function serve(claim: WaitingClaim) {
    try {
      if (failure) throw failure
      const jobs = await take(claim)
      // Nobody gets a job whose attempt is not written down; meanwhile the next group may be written.
      void counting.then(() => (failure ? claim.fail(failure) : claim.settle(jobs)))
    } catch (cause) {
      claim.fail(failed(cause))
    }
  }

  async function take({ queue, choose, leaseMs }: WaitingClaim): Promise<readonly ClaimedJob[]> {
    const now = clock.now()
    const due = choose(now)
    if (due.length === 0) return []
    const found = await home.getMany(due.flatMap(({ id }) => [jobKey(queue, id), tryKey(queue, id)]))
    const jobs: ClaimedJob[] = []
    const counts: Change[] = []
    for (const [i, { id, dueAt }] of due.entries()) {
      const payload = found[2 * i]
      if (!payload) throw new Error(`The due index names a job that is not there: ${queue} ${id}`)
      const before = found[2 * i + 1]
      const attempt = (before ? readVarint(before).value : 0) + 1
      counts.push({ type: 'put', key: tryKey(queue, id), value: varint(attempt) })
      jobs.push({ queue, id, payload, dueAt, attempt, token: `${token}.${++claimed}`, leaseUntil: now + leaseMs })
    }
    counting = home.write(counts, false).catch((cause: unknown) => void failed(cause))
    for (const job of jobs) leases.take(job)
    return jobs
  }

  /** Puts a claim in the line, behind whoever asked before. */
  function claiming<T>(
    queue: string,
    leaseMs: number,
    claim: (settle: (answer: T) => void) => Pick<WaitingClaim, 'choose' | 'settle'>,
  ): Promise<T> {
    return new Promise((settle, fail) => {
      if (!(leaseMs > 0)) throw new RangeError('A lease is longer than nothing')
      if (failure) throw failure
      if (closing) throw new StoreFailed('The store is closed')
      claims.push({ queue: checkedName(queue), leaseMs, fail, ...claim(settle) })
      turn()
    })
  }

  /** What the due index names, as it stands. */
  async function standing(queue: string, due: readonly { readonly dueAt: number; readonly id: string }[]) {
    const found = await reading(home.getMany(due.flatMap(({ id }) => [jobKey(queue, id), tryKey(queue, id)])))
    return due.flatMap(({ id, dueAt }, i) => {
      const payload = found[2 * i]
      const tried = found[2 * i + 1]
      // A job that ended between the reads is simply gone.
      if (!payload) return []
      return {
        id,
        payload,
        dueAt,
        attempt: tried ? readVarint(tried).value : 0,
        held: leases.held(queue, id, clock.now()),
      }
    })
  }

  return {
    shared: false,
    async get(key) {
      const stored = await reading(home.get(dataKey(checkedKey(key))))
      return stored && readEntry(key, stored)
    },
    async range({ gte, lt, limit, reverse }: Range) {
      checkLimit(limit)
      const page = await reading(
        home.scan({ gte: dataKey(gte), lt: dataKey(lt), limit, ...(reverse === undefined ? {} : { reverse }) }),
      )
      return page.map(([key, stored]) => readEntry(key.slice(dataKey('').length), stored))
    },
    commit(batch) {
      return new Promise((settle, fail) => {
        checkBatch(batch)
        if (failure) throw failure
        if (closing) throw new StoreFailed('The store is closed')
        commits.push({ batch, settle, fail })
        turn()
      })
    },
    async claim(queue, n, leaseMs) {
      checkLimit(n)
      return claiming(queue, leaseMs, (settle) => ({ choose: (now) => leases.due(queue, n, now), settle }))
    },
    async claimJob(queue, id, leaseMs) {
      checkedKey(id)
      let held = false
      return claiming(queue, leaseMs, (settle) => ({
        choose(now) {
          const found = leases.one(queue, id, now)
          held = found === 'held'
          return found === undefined || found === 'held' ? [] : [found]
        },
        settle: ([job]) => settle(held ? 'held' : job),
      }))
    },
    async extend(job, leaseMs) {
      return leases.extend(job, leaseMs, clock.now())
    },
    async nextDue(queue) {
      return leases.nextDue(checkedName(queue), clock.now())
    },
    async jobs(queue, limit, after) {
      checkLimit(limit)
      const prefix = duePrefix(checkedName(queue))
      const gte = after ? `${dueKey(queue, checkedMoment(after.dueAt), checkedKey(after.id))}\0` : prefix
      const page = await reading(home.scan({ gte, lt: prefixEnd(prefix), limit }))
      return standing(
        queue,
        page.map(([key]) => readDueKey(queue, key)),
      )
    },
    async job(queue, id) {
      const key = leases.keyOf(checkedName(queue), checkedKey(id))
      const [job] = key === undefined ? [] : await standing(queue, [readDueKey(queue, key)])
      return job
    },
    async log(name, from, limit) {
      checkLimit(limit)
      const prefix = logPrefix(checkedName(name))
      const first = logKey(name, Math.max(1, Math.floor(from)))
      const page = await reading(home.scan({ gte: first, lt: prefixEnd(prefix), limit }))
      return page.map(([key, stored]) => ({
        sequence: readSequence(key),
        value: stored.subarray(32),
        link: stored.subarray(0, 32),
      }))
    },
    snapshot: () => rowsOf(home.snapshot()),
    load: (changes) => loadRows(home, changes).catch((cause: unknown) => Promise.reject(failed(cause))),
    healthy: () => failure === undefined && closing === undefined,
    lost,
    close() {
      closing ??= turns.then(() => home.close())
      return closing
    },
  }
}

/** Reads the due index of every queue into memory: all jobs wait, since the leases of a process die with it. */
async function loadQueues(home: OrderedHome, leases: Leases): Promise<void> {
  const pageKeys = 10_000
  for (let from = dueIndex; ; ) {
    const page = await home.scan({ gte: from, lt: dueIndexEnd, limit: pageKeys })
    for (const [key] of page) leases.appeared(readDueQueue(key), key)
    const last = page.at(-1)
    if (!last || page.length < pageKeys) return
    from = `${last[0]}\0`
  }
}

/** Checks the format and answers the last version given; a new home is marked with ours. */
async function prepare(home: OrderedHome): Promise<number> {
  const format = await home.get(metaFormat)
  if (!format) {
    await home.write([{ type: 'put', key: metaFormat, value: Buffer.from(String(formatVersion)) }], true)
    return 0
  }
  const found = Buffer.from(format).toString()
  if (!/^[1-9][0-9]{0,8}$/.test(found) || Number(found) > formatVersion) {
    await home.close()
    throw new StoreFailed(
      `The data directory has format ${JSON.stringify(found.slice(0, 20))}, this build reads formats 1 to ${formatVersion}: start the newer build that wrote it`,
    )
  }
  const version = await home.get(metaVersion)
  return version ? readVarint(version).value : 0
}

/** Takes what one synced write may carry from the front of the line. */
export function nextGroup<T extends { readonly batch: Batch }>(commits: T[]): T[] {
  let bytes = 0
  let count = 0
  for (const { batch } of commits) {
    if (count > 0 && (count >= storeLimits.groupCommits || bytes >= storeLimits.groupBytes)) break
    for (const { value } of batch.put ?? []) bytes += value.length
    for (const { payload } of batch.enqueue ?? []) bytes += payload.length
    count++
  }
  return commits.splice(0, count)
}
