import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { RefusalReason } from '../direct/refusal.js'
import { holdKey } from '../ports/body.js'
import type { Batch, Entry, Store } from '../ports/store.js'
import { together, within } from '../ports/store.js'
import { contentId, decodeSpooled, encodeSpooled, json, timeKey, utf8 } from './payload.js'
import type { SpoolPorts } from './spool.js'
import { enqueueSpooled } from './spool.js'
import type { SpoolBody, Spooled } from './spooled.js'
import type { TrailWriter } from './trail.js'

export interface RefusedRecipient {
  readonly recipient: DirectAddress
  readonly reason: RefusalReason
  readonly detail: string
}

/** A message we acknowledged and then refused for some recipients. The ciphertext is kept as it came. */
export interface Quarantined {
  readonly spoolId: string
  /** Unix milliseconds of the first refusal: the order of the list. */
  readonly at: number
  readonly envelope: Envelope
  readonly refused: readonly RefusedRecipient[]
  readonly sizeBytes: number
  readonly sha256: string
  readonly firstAcceptedAt: number
  readonly judgedAgain: number
}

export type QuarantinePage =
  | { readonly kind: 'page'; readonly entries: readonly Quarantined[]; readonly next?: string }
  | { readonly kind: 'bad-cursor' }

/** Refused mail, kept so that a wrong trust setting can be put right and the mail judged again. */
export interface Quarantine {
  /** Parts that keep the message for these recipients, added to those refused before. On a conflict call it again. */
  keep(spooled: Spooled, refused: readonly RefusedRecipient[]): Promise<Batch>
  get(spoolId: string): Promise<Quarantined | undefined>
  body(spoolId: string): Promise<SpoolBody | undefined>
  /** Newest first. */
  list(query: { readonly limit?: number; readonly cursor?: string }): Promise<QuarantinePage>
  /** Parts that take the message out and queue it again for its refused recipients; undefined where there is none. */
  judgeAgain(spoolId: string): Promise<Batch | undefined>
  /** Removes what was refused more than `olderThanMs` ago, at most `limit` messages, with an audit entry each; answers how many. */
  purge(olderThanMs: number, limit?: number): Promise<number>
}

export const quarantineLimits = {
  /** Page size when none is asked for, and at most. */
  pageDefault: 50,
  pageMax: 200,
  /** Work of one purge call. */
  purgeMessages: 200,
}

const byTime = 'quarantine-by-time/'

export function openQuarantine(
  ports: Pick<SpoolPorts, 'store' | 'clock' | 'audit' | 'trail'>,
  limits = quarantineLimits,
): Quarantine {
  const { store, clock, trail } = ports
  return {
    keep: (spooled, refused) => keep(store, spooled, refused, clock.now()),
    async get(spoolId) {
      const row = await store.get(rowKey(spoolId))
      return row && read(row)
    },
    async body(spoolId) {
      return (await storedBody(store, spoolId))?.body
    },
    async list({ limit = limits.pageDefault, cursor }) {
      const before = cursor === undefined ? within(byTime).lt : afterCursor(cursor)
      if (before === undefined) return { kind: 'bad-cursor' }
      const size = Math.min(Math.max(1, limit), limits.pageMax)
      const index = await store.range({ gte: byTime, lt: before, limit: size + 1, reverse: true })
      const shown = index.slice(0, size)
      const rows = await Promise.all(shown.map(({ key }) => store.get(rowKey(key.slice(byTime.length + 16)))))
      const entries = rows.flatMap((row) => (row ? [read(row)] : []))
      const last = shown.at(-1)
      return index.length > size && last
        ? { kind: 'page', entries, next: Buffer.from(last.key.slice(byTime.length)).toString('base64url') }
        : { kind: 'page', entries }
    },
    judgeAgain: (spoolId) => judgeAgain({ store, trail }, spoolId, clock.now()),
    purge: (olderThanMs, limit = limits.purgeMessages) => purge(ports, clock.now() - olderThanMs, limit),
  }
}

function rowKey(spoolId: string): string {
  return `quarantine/${spoolId}`
}

function bodyKey(spoolId: string): string {
  return `quarantine-body/${spoolId}`
}

function indexKey({ at, spoolId }: Quarantined): string {
  return `${byTime}${timeKey(at)}/${spoolId}`
}

function read(row: Entry): Quarantined {
  return JSON.parse(utf8(row.value)) as Quarantined
}

/** Where the page after this cursor ends, or undefined for text that no list gave out. */
function afterCursor(cursor: string): string | undefined {
  const position = Buffer.from(cursor, 'base64url').toString('latin1')
  return /^\d{15}\/[a-z2-7]{26}$/.test(position) ? byTime + position : undefined
}

async function keep(store: Store, spooled: Spooled, refused: readonly RefusedRecipient[], now: number): Promise<Batch> {
  const { id: spoolId, envelope, sizeBytes, sha256, firstAcceptedAt, judgedAgain, body } = spooled
  const row = await store.get(rowKey(spoolId))
  const before = row && read(row)
  const again = new Set(refused.map(({ recipient }) => recipient))
  const entry: Quarantined = {
    spoolId,
    at: before?.at ?? now,
    envelope,
    refused: [...(before?.refused ?? []).filter(({ recipient }) => !again.has(recipient)), ...refused],
    sizeBytes,
    sha256,
    firstAcceptedAt,
    judgedAgain: Math.max(judgedAgain, before?.judgedAgain ?? 0),
  }
  const parts: Batch = {
    require: [{ key: rowKey(spoolId), version: row?.version ?? 'absent' }],
    put: [{ key: rowKey(spoolId), value: json(entry) }],
  }
  if (row) return parts
  const held = body.kind === 'blob' ? [{ key: holdKey(body.name, rowKey(spoolId)), value: new Uint8Array() }] : []
  return together(parts, {
    put: [
      { key: indexKey(entry), value: new Uint8Array() },
      { key: bodyKey(spoolId), value: encodeSpooled({ ...spooled, pending: [] }) },
      ...held,
    ],
  })
}

async function storedBody(store: Store, spoolId: string): Promise<Spooled | undefined> {
  const row = await store.get(bodyKey(spoolId))
  return row && decodeSpooled(row.value)
}

/** Parts that remove every row of an entry, fenced by the version it was read at. */
function removal(row: Entry, entry: Quarantined, body: SpoolBody | undefined): Batch {
  return {
    require: [{ key: row.key, version: row.version }],
    del: [
      row.key,
      indexKey(entry),
      bodyKey(entry.spoolId),
      ...(body?.kind === 'blob' ? [holdKey(body.name, row.key)] : []),
    ],
  }
}

/** The job gets an id of its own: one for other recipients of the same message may still be in the queue. */
async function judgeAgain(
  { store, trail }: { readonly store: Store; readonly trail: TrailWriter },
  spoolId: string,
  now: number,
): Promise<Batch | undefined> {
  const row = await store.get(rowKey(spoolId))
  const kept = row && (await storedBody(store, spoolId))
  if (!row || !kept) return undefined
  const entry = read(row)
  const pending = entry.refused.map(({ recipient }) => recipient)
  const judgedAgain = entry.judgedAgain + 1
  const jobId = `${spoolId}.${contentId(String(now), ...pending).slice(0, 8)}`
  const detail = `put back for ${pending.length} recipients`
  return together(
    removal(row, entry, kept.body),
    enqueueSpooled(jobId, { ...kept, pending, judgedAgain, judgedAgainAt: now, stepFailures: {} }, now),
    trail.steps(spoolId, [{ at: now, step: 'judged-again', detail }]),
  )
}

async function purge(
  { store, clock, audit }: Pick<SpoolPorts, 'store' | 'clock' | 'audit'>,
  before: number,
  limit: number,
): Promise<number> {
  const index = await store.range({ gte: byTime, lt: `${byTime}${timeKey(before)}`, limit })
  let purged = 0
  for (const { key } of index) {
    const spoolId = key.slice(byTime.length + 16)
    const row = await store.get(rowKey(spoolId))
    if (!row) continue
    const body = (await storedBody(store, spoolId))?.body
    const outcome = await store.commit(
      together(removal(row, read(row), body), {
        append: [
          audit.entry({
            at: clock.now(),
            action: 'quarantine.purge',
            actor: 'system',
            subject: { spool: spoolId },
            outcome: 'success',
          }),
        ],
      }),
    )
    if (outcome.kind === 'committed') purged += 1
  }
  return purged
}
