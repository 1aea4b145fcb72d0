import { createHash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Audit } from '../ports/audit.js'
import type { Blobs } from '../ports/blobs.js'
import { blobsAreKept, bodyLimits, holdKey } from '../ports/body.js'
import type { Batch, ClaimedJob, Entry, Store } from '../ports/store.js'
import { together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { decodeSpooled, encodeSpooled, json, seenKey, spoolId, timeKey, utf8 } from './payload.js'
import type { SpoolBody, Spooled, SpooledJob } from './spooled.js'
import { openBlobSweep, sweepSeen } from './sweep.js'
import type { TrailWriter } from './trail.js'

export interface SpoolPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly clock: Clock
  readonly audit: Audit
  readonly random: Random
  readonly trail: TrailWriter
}

/** The queue of messages that wait for their verdict. */
export const inboundQueue = 'inbound'

export const spoolLimits = {
  /** Senders retry for 4 to 5 days (RFC 5321 §4.5.4.1); after this a re-send is a new message. */
  seenHorizonMs: 7 * 24 * 60 * 60 * 1000,
  /** Work of one sweep call. */
  sweepRows: 1000,
  /** Re-sends that leave a trail step; later ones are still answered, and not written down. */
  duplicateSteps: 10,
  /** Between a put and the batch that names it pass seconds; clocks of several nodes and of a storage server differ by minutes. */
  orphanMs: 24 * 60 * 60 * 1000,
  /** Two identical sends at once conflict once each; more rounds than this is a bug. */
  acceptRounds: 8,
}

export interface Accepted {
  readonly kind: 'accepted'
  /** Derived from sender, recipients and content: the same message sent again answers the same id. */
  readonly id: string
  /** True when every recipient had these bytes already, so nothing new was queued. */
  readonly duplicate: boolean
}

/** What lies between 250 and the verdict. */
export interface Spool {
  /**
   * Makes a message durable and answers its id: after this the gateway owns it. Recipients that had the same bytes
   * within the horizon are not queued again (RFC 1047). When `data` throws, nothing is kept and its error is thrown on.
   * Throws StoreFailed when the message could not be made durable.
   */
  accept(envelope: Envelope, data: AsyncIterable<Uint8Array>): Promise<Accepted>
  /** Reads a claimed job of `inboundQueue`; undefined where the payload cannot be read, which only damage explains. */
  read(job: ClaimedJob): SpooledJob | undefined
  /** The bytes of a spooled message; undefined where its blob is gone. */
  bytes(body: SpoolBody): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Parts that end the job: every recipient has its verdict. */
  finish(spooled: SpooledJob): Batch
  /** Parts that give the job back as it is now, for the recipients still pending, due again at `dueAt`. */
  release(spooled: SpooledJob, pending: readonly DirectAddress[], dueAt: number): Batch
  /** Forgets duplicate-suppression rows beyond the horizon, at most `limit`; answers how many. */
  sweepSeen(limit?: number): Promise<number>
  /** Looks at up to `limit` blobs older than `spoolLimits.orphanMs`, deletes those that no row names, none while a backup runs; answers how many. */
  sweepBlobs(limit?: number): Promise<number>
}

export function openSpool(ports: SpoolPorts, limits = spoolLimits): Spool {
  const { store, blobs, clock } = ports
  const sweepBlobs = openBlobSweep(ports, limits.orphanMs)
  return {
    async accept(envelope, data) {
      if (envelope.rcptTo.length === 0) throw new Error('A message without recipients cannot be accepted')
      const collected = await collect(ports, data)
      const accepted = await remember(ports, limits, envelope, collected)
      // Nobody else can name this copy. A sender that repeats itself must not fill the home until the sweep.
      if (accepted.duplicate && collected.body.kind === 'blob') await blobs.delete(collected.body.name).catch(() => {})
      return accepted
    },
    read(job) {
      const spooled = decodeSpooled(job.payload)
      return spooled && { ...spooled, job, attempt: job.attempt }
    },
    async bytes(body) {
      if (body.kind === 'inline') return only(body.bytes)
      const blob = await blobs.get(body.name)
      return blob && from(body.offset, blob)
    },
    finish({ job, body }) {
      return { ack: [{ job }], del: body.kind === 'blob' ? [jobHold(body.name, job.id)] : [] }
    },
    release({ job, attempt: _, ...spooled }, pending, dueAt) {
      return { release: [{ job, dueAt, payload: encodeSpooled({ ...spooled, pending }) }] }
    },
    sweepSeen: (limit = limits.sweepRows) => sweepSeen(store, clock.now() - limits.seenHorizonMs, limit),
    sweepBlobs: async (limit = limits.sweepRows) => ((await blobsAreKept(store, clock.now())) ? 0 : sweepBlobs(limit)),
  }
}

/** Parts that put a message in the queue under a job id of its own, its blob held by the job. */
export function enqueueSpooled(jobId: string, spooled: Spooled, dueAt: number): Batch {
  return {
    enqueue: [{ queue: inboundQueue, id: jobId, payload: encodeSpooled(spooled), dueAt }],
    put: spooled.body.kind === 'blob' ? [{ key: jobHold(spooled.body.name, jobId), value: new Uint8Array() }] : [],
  }
}

function jobHold(blob: string, jobId: string): string {
  return holdKey(blob, `spool/${jobId}`)
}

interface Collected {
  readonly body: SpoolBody
  readonly sizeBytes: number
  readonly sha256: string
}

/** Random bytes in front of DATA in a blob: the same message sent again is another blob, as `Blobs.put` asks. */
const saltBytes = 32

/** Reads all of DATA: in memory while it is small, else through to a blob. An error of `data` is thrown as it is. */
async function collect(
  { blobs, random }: Pick<SpoolPorts, 'blobs' | 'random'>,
  data: AsyncIterable<Uint8Array>,
): Promise<Collected> {
  const source = data[Symbol.asyncIterator]()
  const hash = createHash('sha256')
  const head: Uint8Array[] = []
  let sizeBytes = 0
  let broken: { readonly error: unknown } | undefined

  async function next(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await source.next()
      if (done) return undefined
      hash.update(value)
      sizeBytes += value.length
      return value
    } catch (error) {
      broken = { error }
      throw error
    }
  }
  async function* salted(): AsyncIterable<Uint8Array> {
    yield random.bytes(saltBytes)
    yield* head.splice(0)
    for (let chunk = await next(); chunk; chunk = await next()) yield chunk
  }

  for (let chunk = await next(); chunk; chunk = await next()) {
    head.push(chunk)
    if (sizeBytes <= bodyLimits.inlineBytes) continue
    try {
      const name = await blobs.put(salted())
      return { body: { kind: 'blob', name, offset: saltBytes, sizeBytes }, sizeBytes, sha256: hash.digest('hex') }
    } catch (error) {
      if (broken) throw broken.error // the client's doing, whatever the blob store made of it
      await source.return?.()
      throw error
    }
  }
  return { body: { kind: 'inline', bytes: Buffer.concat(head) }, sizeBytes, sha256: hash.digest('hex') }
}

/** What a recipient's seen row says. */
interface Seen {
  readonly id: string
  readonly at: number
  /** How often the bytes came again. */
  readonly again: number
}

/** One synced commit: the job, the rows that recognise a re-send, the trail and the audit. Racing twins conflict and read again. */
async function remember(
  ports: Required<SpoolPorts>,
  limits: typeof spoolLimits,
  envelope: Envelope,
  collected: Collected,
): Promise<Accepted> {
  const { store, clock } = ports
  const id = spoolId(envelope, collected.sha256)
  const recipients = [...new Set(envelope.rcptTo)]
  for (let round = 0; round < limits.acceptRounds; round++) {
    const now = clock.now()
    const rows = await Promise.all(recipients.map((recipient) => store.get(seenKey(recipient, collected.sha256))))
    const seen = rows.map((row) => row && readSeen(row, now - limits.seenHorizonMs))
    const pending = recipients.filter((_, index) => !seen[index])

    if (pending.length === 0) return repeated(ports, limits, envelope, { id, recipients, rows, seen, now })

    const spooled: Spooled = {
      id,
      envelope: { ...envelope, rcptTo: recipients },
      pending,
      ...collected,
      firstAcceptedAt: now,
      judgedAgain: 0,
    }
    const outcome = await store.commit(
      together(
        enqueueSpooled(id, spooled, now),
        seenParts(spooled, rows, seen, now),
        ports.trail.steps(id, acceptedSteps(spooled, seen, now)),
        { append: [ports.audit.entry(auditOf('message.accept', envelope, id, now))] },
      ),
    )
    if (outcome.kind === 'committed') return { kind: 'accepted', id, duplicate: false }
  }
  throw new Error(`Accepting ${id} conflicted ${limits.acceptRounds} times`)
}

function readSeen(row: Entry, horizon: number): Seen | undefined {
  const seen = JSON.parse(utf8(row.value)) as Seen
  return seen.at >= horizon ? seen : undefined
}

/** A seen row for each pending recipient, found again by time; a row beyond the horizon is replaced with its index. */
function seenParts(
  { id, pending, envelope, sha256 }: Spooled,
  rows: readonly (Entry | undefined)[],
  seen: readonly (Seen | undefined)[],
  now: number,
): Batch {
  const parts = pending.map((recipient): Batch => {
    const key = seenKey(recipient, sha256)
    const old = rows[envelope.rcptTo.indexOf(recipient)]
    const value = json({ id, at: now, again: 0 } satisfies Seen)
    return {
      require: [{ key, version: old?.version ?? 'absent' }],
      put: [
        { key, value },
        { key: `seen-by-time/${timeKey(now)}/${key}`, value: new Uint8Array() },
      ],
      del: old ? [`seen-by-time/${timeKey((JSON.parse(utf8(old.value)) as Seen).at)}/${key}`] : [],
    }
  })
  // Recipients left out must still be seen when the batch lands, or nobody would be queued for them.
  const relied = envelope.rcptTo.flatMap((_, index) => {
    const row = rows[index]
    return row && seen[index] ? [{ key: row.key, version: row.version }] : []
  })
  return together(...parts, { require: relied })
}

function acceptedSteps(spooled: Spooled, seen: readonly (Seen | undefined)[], at: number): TrailStep[] {
  const { envelope, sizeBytes, pending } = spooled
  const detail = `${sizeBytes} bytes for ${pending.length} of ${envelope.rcptTo.length} recipients from ${peerOf(envelope)}`
  const repeats = envelope.rcptTo.flatMap((recipient, index): TrailStep[] => {
    const first = seen[index]
    return first ? [{ at, step: 'duplicate', recipient, detail: `had these bytes as ${first.id}` }] : []
  })
  return [{ at, step: 'accepted', detail }, ...repeats]
}

/** Every recipient had these bytes: answer the id they had them under, and write down the first few repeats only. */
async function repeated(
  { store, audit, trail }: Required<SpoolPorts>,
  limits: typeof spoolLimits,
  envelope: Envelope,
  found: {
    readonly id: string
    readonly recipients: readonly DirectAddress[]
    readonly rows: readonly (Entry | undefined)[]
    readonly seen: readonly (Seen | undefined)[]
    readonly now: number
  },
): Promise<Accepted> {
  const index = Math.max(
    0,
    found.seen.findIndex((row) => row?.id === found.id),
  )
  const [row, seen] = [found.rows[index], found.seen[index]]
  const id = seen?.id ?? found.id
  if (row && seen && seen.again < limits.duplicateSteps) {
    const step: TrailStep = { at: found.now, step: 'duplicate', detail: `sent again from ${peerOf(envelope)}` }
    await store.commit(
      together(trail.steps(id, [step]), {
        require: [{ key: row.key, version: row.version }],
        put: [{ key: row.key, value: json({ ...seen, again: seen.again + 1 }) }],
        append: [audit.entry(auditOf('message.duplicate', envelope, id, found.now))],
      }),
    ) // a conflict means that a twin wrote the same step
  }
  return { kind: 'accepted', id, duplicate: true }
}

function auditOf(action: string, { mailFrom, rcptTo, peer }: Envelope, id: string, at: number) {
  const subject = { spool: id, from: mailFrom ?? '<>', to: rcptTo.join(' '), peer: peer.address }
  return { at, action, actor: 'system', subject, outcome: 'success' } as const
}

/** The peer as a line for people: what it called itself is its own word, cut and in plain ASCII. */
function peerOf({ peer }: Envelope): string {
  const helo = peer.helo.replace(/[^\x21-\x7e]/g, '?').slice(0, 100)
  return `${peer.address} (${helo})${peer.tls ? ' over TLS' : ''}`
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

async function* from(offset: number, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let skip = offset
  for await (const chunk of chunks) {
    if (chunk.length > skip) yield chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
  }
}
