import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import type { Batch, NewJob, Store } from '../ports/store.js'
import { eventLog } from '../spool/events.js'

/** One job for each endpoint, held by whichever process tells it of events; its id is the endpoint's name. */
export const webhookQueue = 'webhook'

/** How far an endpoint has come. */
export interface EndpointState {
  /** It has taken every event up to this sequence number that is for it. */
  readonly cursor: number
  /** Set while nothing is told: by an operator, or because it answered 410. */
  readonly paused?: 'operator' | 'gone'
  /** Tries in a row that failed, since when (Unix milliseconds), why the last one did, and when the next one is due. */
  readonly failures?: number
  readonly failingSince?: number
  readonly lastError?: string
  readonly nextAt?: number
  /** People were told that it fails. */
  readonly alarmed?: true
  readonly deliveredAt?: number
  /** Since when no process has it in its configuration. */
  readonly removedAt?: number
}

/** A state with the version that a change of it takes as its precondition. */
export interface StoredState {
  readonly name: string
  readonly state: EndpointState
  readonly version: number | 'absent'
}

export function stateKey(name: string): string {
  return `webhook/${name}`
}

/** The state of an endpoint; undefined where there never was one of this name. */
export async function readState(store: Pick<Store, 'get'>, name: string): Promise<StoredState | undefined> {
  const row = await store.get(stateKey(name))
  return row && { name, state: decode(row.value), version: row.version }
}

/** Parts that put another state in the place of the stored one; a conflict where somebody else did. */
export function changed({ name, version }: Omit<StoredState, 'state'>, state: EndpointState): Batch {
  const value = Buffer.from(JSON.stringify({ v: 1, ...state }))
  return { require: [{ key: stateKey(name), version }], put: [{ key: stateKey(name), value }] }
}

/** A state without the story of its last failures. */
export function wellAgain({ cursor, deliveredAt }: EndpointState): EndpointState {
  return { cursor, ...(deliveredAt !== undefined && { deliveredAt }) }
}

export function webhookJob(name: string, dueAt: number): NewJob {
  return { queue: webhookQueue, id: name, payload: new Uint8Array(), dueAt }
}

export function decode(value: Uint8Array): EndpointState {
  const { v: _, ...state } = JSON.parse(Buffer.from(value).toString('utf8')) as EndpointState & { readonly v: number }
  return state
}

const state: Family<'entry'> = {
  kind: 'entry',
  name: 'state of a webhook',
  form: /^webhook\/[a-z0-9][a-z0-9.-]{0,63}$/,
  check({ key, value }) {
    const { v, cursor, paused, removedAt } = jsonOf(value)
    sound(
      v === 1 && Number.isSafeInteger(cursor) && Number(cursor) >= 0,
      `the state has no place in the log ${eventLog}`,
    )
    sound(removedAt === undefined || isMoment(removedAt), 'it was removed at no time')
    const name = key.slice('webhook/'.length)
    const waits = paused === undefined && removedAt === undefined
    return waits ? [{ kind: 'job', queue: webhookQueue, id: name }] : []
  },
}

const job: Family<'job'> = {
  kind: 'job',
  name: 'webhook',
  form: /^webhook$/,
  check({ id, payload }) {
    sound(payload.length === 0, 'the payload is not empty')
    return [{ kind: 'entry', key: stateKey(id) }]
  },
}

/** The rows that webhooks keep. */
export const webhookFamilies: readonly RowFamily[] = [state, job]
