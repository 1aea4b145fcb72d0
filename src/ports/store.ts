/**
 * The store: ordered keys, atomic commits with preconditions, chained logs and due-ordered queues, over LevelDB,
 * PostgreSQL or memory. Every repository is written once over this port; every adapter passes test/contract.
 */

export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  /** Changes with every write of the key; opaque, compared for equality by `require`. */
  readonly version: number
}

/** Keys are compared by their UTF-8 bytes. `gte` inclusive, `lt` exclusive. */
export interface Range {
  readonly gte: string
  readonly lt: string
  /** At most this many entries, 1 to 10,000. */
  readonly limit: number
  readonly reverse?: boolean
}

/** A job to be put in a queue in the same batch as what it belongs to. */
export interface NewJob {
  readonly queue: string
  /** Unique in its queue: while a job of this id exists, enqueueing it again changes nothing. */
  readonly id: string
  readonly payload: Uint8Array
  /** Not claimed before this moment, Unix milliseconds of the store's clock. */
  readonly dueAt: number
}

/** A job held by one worker until `leaseUntil`; after that another may claim it and this token ends nothing. */
export interface ClaimedJob {
  readonly queue: string
  readonly id: string
  readonly payload: Uint8Array
  readonly dueAt: number
  /** How often it was claimed, this time included. */
  readonly attempt: number
  readonly token: string
  readonly leaseUntil: number
}

/** A job as it stands in its queue, for people to look at. */
export interface StandingJob {
  readonly id: string
  readonly payload: Uint8Array
  readonly dueAt: number
  readonly attempt: number
  /** A worker has it now. */
  readonly held: boolean
}

/** What must become true together. All of it does, or none. */
export interface Batch {
  /** Refuses the whole batch where one does not hold: the key is absent, or still has this version. */
  readonly require?: readonly {
    readonly key: string
    readonly version: number | 'absent'
  }[]
  readonly put?: readonly {
    readonly key: string
    readonly value: Uint8Array
  }[]
  readonly del?: readonly string[]
  /** Appended to a named log in order; the store assigns the sequence number and links each entry to the one before. */
  readonly append?: readonly {
    readonly log: string
    readonly value: Uint8Array
  }[]
  readonly enqueue?: readonly NewJob[]
  /** Ends claimed jobs, fenced by their tokens. `release` gives one back, due again at `dueAt`, with its new payload. */
  readonly ack?: readonly { readonly job: ClaimedJob }[]
  readonly release?: readonly {
    readonly job: ClaimedJob
    readonly dueAt: number
    readonly payload?: Uint8Array
  }[]
}

export type CommitResult =
  | { readonly kind: 'committed' }
  /** A `require` did not hold: its key. Nothing was written. */
  | { readonly kind: 'conflict'; readonly key: string }
  /** A lease of `ack` or `release` was lost: the job's id. Nothing was written. */
  | { readonly kind: 'lease-lost'; readonly id: string }

export interface LogEntry {
  /** 1, 2, 3 … without gaps. */
  readonly sequence: number
  readonly value: Uint8Array
  /** SHA-256 over (link of the entry before, or 32 zero bytes) followed by `value`. */
  readonly link: Uint8Array
}

/** One thing that lasts, as `snapshot` tells of it. Jobs come as they wait: who holds one does not last. */
export type StoredRow =
  | { readonly kind: 'entry'; readonly key: string; readonly version: number; readonly value: Uint8Array }
  | {
      readonly kind: 'job'
      readonly queue: string
      readonly id: string
      readonly dueAt: number
      readonly attempt: number
      readonly payload: Uint8Array
    }
  | ({ readonly kind: 'log'; readonly log: string } & LogEntry)

export type RowChange =
  | { readonly kind: 'put'; readonly row: StoredRow }
  | { readonly kind: 'del'; readonly row: StoredRow }

export interface Store {
  /** Other processes may write the same store at the same time: what was remembered of it may be old. */
  readonly shared: boolean
  get(key: string): Promise<Entry | undefined>
  range(range: Range): Promise<readonly Entry[]>
  /**
   * Resolves only when the batch would survive a power cut. Throws StoreFailed when the disk or server failed: whether the
   * batch is there is then unknown, and nothing is written until the store was opened again, by itself or by a new process.
   */
  commit(batch: Batch): Promise<CommitResult>
  /** Takes up to `n` due jobs of a queue, oldest due first, for `leaseMs`; never one that another worker holds. */
  claim(queue: string, n: number, leaseMs: number): Promise<readonly ClaimedJob[]>
  /**
   * Takes one job by its id for `leaseMs`, due or not: fenced and counted as every claim. `held` where another worker has
   * it, or is just taking or ending it; undefined where there is none.
   */
  claimJob(queue: string, id: string, leaseMs: number): Promise<ClaimedJob | 'held' | undefined>
  /** Lengthens a lease from now; false when it was already lost. */
  extend(job: ClaimedJob, leaseMs: number): Promise<boolean>
  /** When the next job of the queue that nobody holds becomes due; undefined where none waits. */
  nextDue(queue: string): Promise<number | undefined>
  /** Jobs of a queue in order of due time, then id, held ones included; with `after`, those behind that place. */
  jobs(queue: string, limit: number, after?: Pick<StandingJob, 'dueAt' | 'id'>): Promise<readonly StandingJob[]>
  /** One job of a queue, held or not; undefined where there is none. */
  job(queue: string, id: string): Promise<StandingJob | undefined>
  log(name: string, from: number, limit: number): Promise<readonly LogEntry[]>
  /**
   * Everything as it was at one moment, while the store goes on: entries by key, then jobs by queue and id, then logs by
   * name and sequence. For backup, verification and moving.
   */
  snapshot(): AsyncIterable<StoredRow>
  /**
   * Writes rows as another store had them, versions, attempts and links included, and deletes others; durable when it
   * resolves, in steps on the way. For restoring and moving only: nobody else may use the store meanwhile, and it must be
   * opened again afterwards.
   */
  load(changes: AsyncIterable<RowChange> | Iterable<RowChange>): Promise<void>
  /** True while writes can succeed. A store that lost its server is healthy again once it has it back. */
  healthy(): boolean
  /** Resolves with the cause once nothing but opening the store again helps. */
  readonly lost: Promise<StoreFailed>
  close(): Promise<void>
}

/** The disk or the database failed; what was being written may or may not be there. Never retried in place. */
export class StoreFailed extends Error {
  override readonly name = 'StoreFailed'
}

/** A key prefix as a range bound: everything that starts with it. */
export function within(prefix: string): { gte: string; lt: string } {
  return { gte: prefix, lt: `${prefix}\u{10ffff}` }
}

/** Several batches as one, in order: how the parts that repositories answer become a single commit. */
export function together(...parts: readonly Batch[]): Batch {
  return {
    require: parts.flatMap((part) => part.require ?? []),
    put: parts.flatMap((part) => part.put ?? []),
    del: parts.flatMap((part) => part.del ?? []),
    append: parts.flatMap((part) => part.append ?? []),
    enqueue: parts.flatMap((part) => part.enqueue ?? []),
    ack: parts.flatMap((part) => part.ack ?? []),
    release: parts.flatMap((part) => part.release ?? []),
  }
}
