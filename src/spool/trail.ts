import { createHash } from 'node:crypto'
import type { TrailStep } from '../direct/verdict.js'
import type { Batch, Store } from '../ports/store.js'
import { within } from '../ports/store.js'
import { eventOf } from './events.js'
import { json, timeKey, utf8 } from './payload.js'

/** Other names under which a message's trail is found. */
export interface TrailNames {
  /** The mailbox's id of a delivered message. */
  readonly mailboxMessageId?: string
  /** The RFC 5322 Message-ID as written; kept only as a hash. */
  readonly messageId?: string
}

/** The life of each message, step by step: for people (`direct-gateway trace`), and for programs as events. */
export interface Trail {
  /**
   * Parts that append steps in order. Writing the same steps twice keeps one; where events are kept, each writing appends
   * them, under the same ids.
   */
  steps(spoolId: string, steps: readonly TrailStep[]): Batch
  /** Parts that make the trail found under further names. */
  names(spoolId: string, names: TrailNames): Batch
  /** Steps in order of time, at most `limit` (default 1,000). */
  read(spoolId: string, limit?: number): Promise<readonly TrailStep[]>
  /** Spool ids known under this name, at most 100. */
  find(name: TrailNames): Promise<readonly string[]>
}

/** What rooms need that write steps: there is no other way to write them, so that no step is kept from the events. */
export type TrailWriter = Pick<Trail, 'steps' | 'names'>

export const trailLimits = {
  /** Steps read at once: a message for 100 recipients that waited for days has fewer. */
  steps: 1000,
  /** Trails one name answers: a Message-ID may be re-used by a careless sender. */
  found: 100,
  /** A step's detail is a line for people. */
  detailChars: 500,
}

/** With `events` every step also goes to the log of events, in the same batch: asked for where somebody reads that log. */
export function openTrail({ store, events = false }: { readonly store: Store; readonly events?: boolean }): Trail {
  return {
    steps(spoolId, steps) {
      const rows = steps.map((step, ordinal) => rowOf(step, ordinal))
      const put = rows.map(({ place, value }) => ({ key: `trail/${spoolId}/${place}`, value }))
      if (!events) return { put }
      return { put, append: rows.map(({ step, place }) => eventOf(spoolId, place, step)) }
    },
    names: (spoolId, names) => ({
      put: nameKeys(names).map((prefix) => ({ key: prefix + spoolId, value: new Uint8Array() })),
    }),
    async read(spoolId, limit = trailLimits.steps) {
      const rows = await store.range({ ...within(`trail/${spoolId}/`), limit })
      return rows.map((row) => JSON.parse(utf8(row.value)) as TrailStep)
    },
    async find(name) {
      const found = new Set<string>()
      for (const prefix of nameKeys(name)) {
        const rows = await store.range({ ...within(prefix), limit: trailLimits.found })
        for (const row of rows) found.add(row.key.slice(prefix.length))
      }
      return [...found].slice(0, trailLimits.found)
    },
  }
}

/** The value of a step, and its place in the trail, which ends in a hash of it, so that a repeated step is one row. */
function rowOf(given: TrailStep, ordinal: number) {
  const step = { ...given, detail: given.detail.slice(0, trailLimits.detailChars) }
  const value = json(step)
  const hash = createHash('sha256').update(value).digest('hex').slice(0, 8)
  return { step, value, place: `${timeKey(step.at)}-${rank(step)}${String(ordinal).padStart(4, '0')}-${hash}` }
}

/** Steps of different batches within one millisecond: a life begins with being accepted, and being put back ends a round of it. */
function rank({ step }: TrailStep): number {
  if (step === 'accepted') return 0
  return step === 'judged-again' ? 2 : 1
}

function nameKeys({ mailboxMessageId, messageId }: TrailNames): string[] {
  const keys: string[] = []
  if (mailboxMessageId !== undefined) keys.push(`trail-name/mailbox/${mailboxMessageId}/`)
  if (messageId !== undefined) {
    keys.push(`trail-name/message-id/${createHash('sha256').update(messageId).digest('hex')}/`)
  }
  return keys
}
