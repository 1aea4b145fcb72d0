import type { DirectAddress } from '../direct/address.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Batch, Store } from '../ports/store.js'
import { json, utf8 } from './payload.js'

/** The log of events: every step of every trail in the order in which they became true, in the batches that made them so. */
export const eventLog = 'events'

/** A step of a trail as programs are told of it: ids and words for operators, never what a message says. */
export interface MessageEvent {
  /** Names the row of the trail: a step that is told twice, or again after a restore, has the same id. */
  readonly id: string
  /** Unix milliseconds. */
  readonly at: number
  /** The id of the trail: what `trace` takes, of a submission its own id. */
  readonly message: string
  readonly step: TrailStep['step']
  readonly recipient?: DirectAddress
  /** The mailbox's id of a delivered message. */
  readonly mailboxMessageId?: string
  /** Of a refusal or a failure; of what is undecided, its cause. */
  readonly reason?: string
  /** A line for people; empty where its words may name the holder of a certificate, which `trace` tells. */
  readonly detail: string
}

/** An entry of the log; without an event where only damage explains the bytes. */
export interface LoggedEvent {
  /** 1, 2, 3 … without gaps. */
  readonly sequence: number
  readonly event?: MessageEvent
}

/** The log of events, for whoever tells them on. */
export interface Events {
  /** Events behind this sequence number, in order; `limit` 1 to 10,000. */
  read(after: number, limit: number): Promise<readonly LoggedEvent[]>
  /** The last sequence number, 0 for an empty log. `known` is one that is there, to begin the search at. */
  last(known?: number): Promise<number>
  /**
   * A sequence number behind which every event since that moment (Unix milliseconds) lies, with some older ones: steps of
   * one batch carry the time at which its work began, so that times are not quite in the order of the log.
   */
  before(at: number): Promise<number>
}

export const eventLimits = {
  /** How far times may lie from the order of the log: what is judged for longer has lost its lease many times over. */
  disorderMs: 10 * 60_000,
}

/** What a batch appends for a step whose row is `place` in the trail of `message`. */
export function eventOf(
  message: string,
  place: string,
  { step, recipient, mailboxMessageId, refusal, candidates, detail }: TrailStep,
): NonNullable<Batch['append']>[number] {
  const reason = refusal?.reason ?? (step === 'undecided' ? /^[a-z][a-z-]*(?=: )/.exec(detail)?.[0] : undefined)
  const names = candidates !== undefined && (step === 'refused' || step === 'undecided')
  const told = { message, place, step, recipient, mailboxMessageId, reason, detail: names ? '' : detail }
  return { log: eventLog, value: json(told) }
}

/** Reads what `eventOf` wrote; undefined for anything else. */
export function readEvent(value: Uint8Array): MessageEvent | undefined {
  try {
    const { message, place, ...told } = JSON.parse(utf8(value)) as Omit<MessageEvent, 'id' | 'at'> & { place: unknown }
    if (typeof message !== 'string' || typeof place !== 'string' || !/^\d{15}-/.test(place)) return undefined
    if (typeof told.step !== 'string' || typeof told.detail !== 'string') return undefined
    return { id: `${message}-${place}`, at: Number(place.slice(0, 15)), message, ...told }
  } catch {
    return undefined
  }
}

export function openEvents({ store }: { readonly store: Pick<Store, 'log'> }): Events {
  const entry = async (sequence: number) => (await store.log(eventLog, sequence, 1))[0]
  const last: Events['last'] = async (known = 0) => {
    let [there, step] = [known, 1]
    while (await entry(there + step)) {
      there += step
      step *= 2
    }
    return firstWhere(there, there + step, async (sequence) => !(await entry(sequence))).then((end) => end - 1)
  }
  return {
    async read(after, limit) {
      const page = await store.log(eventLog, after + 1, limit)
      return page.map(({ sequence, value }) => {
        const event = readEvent(value)
        return event ? { sequence, event } : { sequence }
      })
    },
    last,
    async before(at) {
      const early = at - eventLimits.disorderMs
      const late = async (sequence: number) => {
        const found = await entry(sequence)
        return (found && readEvent(found.value)?.at) ?? Number.POSITIVE_INFINITY
      }
      const first = await firstWhere(0, (await last()) + 1, async (sequence) => (await late(sequence)) >= early)
      return first - 1
    },
  }
}

/** The first number above `low`, at most `high`, for which `holds`, which stays so once it does. */
async function firstWhere(low: number, high: number, holds: (at: number) => Promise<boolean>): Promise<number> {
  let [below, above] = [low, high]
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2)
    if (await holds(middle)) above = middle
    else below = middle
  }
  return above
}
