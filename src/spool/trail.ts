import { createHash } from 'node:crypto'
import type { TrailStep } from '../direct/verdict.js'
import type { Batch, Store } from '../ports/store.js'
import { within } from '../ports/store.js'
import { json, timeKey, utf8 } from './payload.js'

/** Other names under which a message's trail is found. */
export interface TrailNames {
  /** The mailbox's id of a delivered message. */
  readonly mailboxMessageId?: string
  /** The RFC 5322 Message-ID as written; kept only as a hash. */
  readonly messageId?: string
}

/** The life of each message, step by step, for people: `direct-gateway trace`. */
export interface Trail {
  /** Parts that append steps in order. Writing the same steps twice keeps one. */
  steps(spoolId: string, steps: readonly TrailStep[]): Batch
  /** Parts that make the trail found under further names. */
  names(spoolId: string, names: TrailNames): Batch
  /** Steps in order of time, at most `limit` (default 1,000). */
  read(spoolId: string, limit?: number): Promise<readonly TrailStep[]>
  /** Spool ids known under this name, at most 100. */
  find(name: TrailNames): Promise<readonly string[]>
}

export const trailLimits = {
  /** Steps read at once: a message for 100 recipients that waited for days has fewer. */
  steps: 1000,
  /** Trails one name answers: a Message-ID may be re-used by a careless sender. */
  found: 100,
  /** A step's detail is a line for people. */
  detailChars: 500,
}

export function openTrail({ store }: { readonly store: Store }): Trail {
  return {
    steps: trailSteps,
    names: trailNames,
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

/** Parts that append steps to a trail, in order; the key ends in a hash of the step, so a repeated step is one row. */
export function trailSteps(spoolId: string, steps: readonly TrailStep[]): Batch {
  return {
    put: steps.map((step, ordinal) => {
      const value = json({ ...step, detail: step.detail.slice(0, trailLimits.detailChars) })
      const hash = createHash('sha256').update(value).digest('hex').slice(0, 8)
      const place = `${rank(step)}${String(ordinal).padStart(4, '0')}`
      return { key: `trail/${spoolId}/${timeKey(step.at)}-${place}-${hash}`, value }
    }),
  }
}

/** Steps of different batches within one millisecond: a life begins with being accepted, and being put back ends a round of it. */
function rank({ step }: TrailStep): number {
  if (step === 'accepted') return 0
  return step === 'judged-again' ? 2 : 1
}

/** Parts that make a trail found under further names. */
export function trailNames(spoolId: string, names: TrailNames): Batch {
  return { put: nameKeys(names).map((prefix) => ({ key: prefix + spoolId, value: new Uint8Array() })) }
}

function nameKeys({ mailboxMessageId, messageId }: TrailNames): string[] {
  const keys: string[] = []
  if (mailboxMessageId !== undefined) keys.push(`trail-name/mailbox/${mailboxMessageId}/`)
  if (messageId !== undefined) {
    keys.push(`trail-name/message-id/${createHash('sha256').update(messageId).digest('hex')}/`)
  }
  return keys
}
