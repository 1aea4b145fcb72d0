import type { Validators } from '../ports/fetch.js'
import type { SourceAnswer } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'

/** What a source gave; moments in Unix milliseconds. */
export interface Copy {
  readonly bytes: Uint8Array
  /** When the source last said that this is what it has. */
  readonly fetchedAt: number
  /** When its author made it, as it says itself; 0 where it does not. */
  readonly madeAt: number
  /** Until then it serves while the source does not answer. */
  readonly validUntil: number
  readonly validators: Validators
}

export type Loaded =
  | ({ readonly kind: 'loaded' } & Omit<Copy, 'fetchedAt'>)
  /** What is held still is what the source has. */
  | { readonly kind: 'unchanged' }
  /** In words, with the host; `until` where it is known already when asking again makes sense. */
  | { readonly kind: 'failed'; readonly detail: string; readonly until?: number }

export interface SourceRules {
  /** A question about an older copy waits for a newer one. */
  readonly refreshMs: number
  /** So long before that a question has a newer copy fetched behind it. */
  readonly aheadMs: number
  /** A source that failed is left alone for so long. */
  readonly failureMs: number
  /** A copy that proved nothing is asked for anew after so long. */
  readonly doubtMs: number
  /** What is kept in memory: copies, and their bytes. */
  readonly held: number
  readonly heldBytes: number
}

/** Where copies lie beyond this process. Neither call throws for a store that does not answer. */
export interface Shelf<Place> {
  read(place: Place): Promise<Copy | undefined>
  /** `bytes` false: the same bytes as before, confirmed anew. */
  write(place: Place, copy: Copy, bytes: boolean): Promise<void>
  /** Other processes may write it too. */
  readonly shared: boolean
}

export interface SourceParts<Place> {
  readonly keyOf: (place: Place) => string
  /** Asks the source, telling it which copy is held. Never throws. */
  readonly load: (place: Place, held: Copy | undefined) => Promise<Loaded>
  readonly shelf?: Shelf<Place>
  readonly clock: Clock
  readonly rules: SourceRules
}

export interface Sources<Place> {
  ask(place: Place): Promise<SourceAnswer>
  /** These bytes proved nothing: their source is asked anew, and whatever it says then is taken. */
  doubt(bytes: Uint8Array): void
  /** Resolves when nothing is under way any more. */
  idle(): Promise<void>
}

/** What is known of one source. */
interface Slot {
  held?: Copy
  /** The shelf was looked at, so that it need not be again unless others write it. */
  looked?: boolean
  doubted?: boolean
  failure?: { readonly detail: string; readonly until: number }
  running?: Promise<void>
}

/**
 * Remembers what sources gave: each is asked by one request at a time however many wait for it, and failures are remembered
 * shortly. A copy serves until its refresh; somewhat before, a newer one is fetched behind the question; after, the question
 * waits for it. While the source fails, the copy goes on to serve as long as it is valid, and is no longer waited for. A
 * copy that its author made earlier than the one held is not taken: it would undo what became known since.
 */
export function openSources<Place>({ keyOf, load, shelf, clock, rules }: SourceParts<Place>): Sources<Place> {
  const slots = new Map<string, Slot>()
  const owners = new WeakMap<Uint8Array, Slot>()
  const pending = new Set<Promise<void>>()
  let heldBytes = 0

  function hold(slot: Slot, copy: Copy): void {
    heldBytes += copy.bytes.length - (slot.held?.bytes.length ?? 0)
    slot.held = copy
    owners.set(copy.bytes, slot)
  }

  function fail(slot: Slot, detail: string, until = clock.now() + rules.failureMs): void {
    slot.failure = { detail, until }
  }

  /** Looks on the shelf, then asks the source; what comes of it stands in the slot. */
  async function renew(place: Place, slot: Slot): Promise<void> {
    if (shelf && (!slot.looked || shelf.shared)) {
      const kept = await shelf.read(place)
      slot.looked = true
      if (kept && kept.fetchedAt > (slot.held?.fetchedAt ?? 0)) {
        const same = slot.held && Buffer.compare(slot.held.bytes, kept.bytes) === 0
        hold(slot, same && slot.held ? { ...kept, bytes: slot.held.bytes } : kept)
        if (!same) slot.doubted = false
      }
      if (!slot.doubted && isFresh(slot, clock.now(), rules.refreshMs - rules.aheadMs)) return
    }
    const before = slot.doubted ? undefined : slot.held
    const loaded = await load(place, before)
    const now = clock.now()
    if (loaded.kind === 'failed') return fail(slot, loaded.detail, loaded.until)
    const same = slot.held && (loaded.kind === 'unchanged' || Buffer.compare(slot.held.bytes, loaded.bytes) === 0)
    if (same && slot.held) {
      if (now > slot.held.validUntil) return fail(slot, 'the source has nothing newer than what is out of date')
      hold(slot, { ...slot.held, ...(loaded.kind === 'loaded' && { validators: loaded.validators }), fetchedAt: now })
      if (slot.doubted) return fail(slot, 'what the source has proves nothing', now + rules.doubtMs)
    } else if (loaded.kind === 'loaded') {
      const { kind, ...copy } = loaded
      if (before && now <= before.validUntil && copy.madeAt < before.madeAt)
        return fail(slot, 'the source gave something older than before')
      hold(slot, { ...copy, fetchedAt: now })
      slot.doubted = false
    } else return fail(slot, 'the source says that nothing changed, and nothing is known')
    delete slot.failure
    if (slot.held && shelf) keep(shelf.write(place, slot.held, !same))
  }

  /** Nobody waits for it but whoever closes. */
  function keep(work: Promise<void>): void {
    const done = work.finally(() => pending.delete(done))
    pending.add(done)
  }

  function start(place: Place, slot: Slot): Promise<void> {
    if (!slot.running) {
      slot.running = renew(place, slot).finally(() => {
        delete slot.running
        trim()
      })
      keep(slot.running)
    }
    return slot.running
  }

  /** Forgets what was not asked for longest. */
  function trim(): void {
    for (const [key, slot] of slots) {
      if (heldBytes <= rules.heldBytes && slots.size <= rules.held) return
      if (slot.running) continue
      slots.delete(key)
      heldBytes -= slot.held?.bytes.length ?? 0
    }
  }

  return {
    async ask(place) {
      const key = keyOf(place)
      const slot = slots.get(key) ?? {}
      slots.delete(key)
      slots.set(key, slot)
      const now = clock.now()
      if (!slot.doubted && isFresh(slot, now, rules.refreshMs - rules.aheadMs)) return answerOf(slot, now)
      if (slot.failure && now < slot.failure.until) return answerOf(slot, now)
      const running = start(place, slot)
      const mayServe = !slot.doubted && (slot.failure || isFresh(slot, now, rules.refreshMs))
      if (mayServe && isValid(slot, now)) return answerOf(slot, now)
      await running
      return answerOf(slot, clock.now())
    },
    doubt(bytes) {
      const slot = owners.get(bytes)
      if (slot?.held?.bytes !== bytes || slot.doubted) return
      slot.doubted = true
      fail(slot, 'what the source has proves nothing', clock.now() + rules.doubtMs)
    },
    async idle() {
      while (pending.size > 0) await Promise.allSettled(pending)
    },
  }
}

function isValid({ held }: Slot, now: number): boolean {
  return held !== undefined && now <= held.validUntil
}

/** Valid, and no older than this; a copy from the future means that the clock was set back. */
function isFresh(slot: Slot, now: number, ageMs: number): boolean {
  const age = now - (slot.held?.fetchedAt ?? 0)
  return isValid(slot, now) && age >= 0 && age < ageMs
}

function answerOf({ held, failure }: Slot, now: number): SourceAnswer {
  if (held && now <= held.validUntil) return { kind: 'bytes', bytes: held.bytes }
  return { kind: 'unavailable', detail: failure?.detail ?? 'the copy ran out while it was asked for' }
}
