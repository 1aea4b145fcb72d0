import type { Clock } from '../ports/world.js'

/** What was loaded from a source, and how long it serves; moments in Unix milliseconds. */
export interface Loaded<Value> {
  readonly kind: 'loaded'
  readonly value: Value
  readonly sizeBytes: number
  /** Until then nobody asks again. */
  readonly freshUntil: number
  /** Until then it serves while the source does not answer. */
  readonly validUntil: number
}

export interface LoadFailed {
  readonly kind: 'failed'
  readonly detail: string
}

export const sourceLimits = {
  /** A dead server is asked twice a minute, not once a message. */
  failureMs: 30_000,
  /** What all sources of one kind may keep in memory. */
  keptBytes: 64 * 1024 * 1024,
  kept: 1_000,
}

interface Source<Value> {
  loaded?: Loaded<Value>
  failure?: { readonly detail: string; readonly until: number }
  running?: Promise<Loaded<Value> | LoadFailed>
}

/**
 * Remembers what URLs gave: each is loaded by one request at a time however many wait for it, failures are remembered
 * shortly, and what is past its freshness but still valid serves at once while a newer one is fetched behind it.
 */
export function sources<Value>(
  load: (url: string) => Promise<Loaded<Value> | LoadFailed>,
  clock: Clock,
  limits = sourceLimits,
): (url: string) => Promise<Loaded<Value> | LoadFailed> {
  const known = new Map<string, Source<Value>>()

  const start = (url: string, source: Source<Value>): Promise<Loaded<Value> | LoadFailed> => {
    source.running ??= load(url)
      .then((result) => {
        if (result.kind === 'loaded') {
          source.loaded = result
          delete source.failure
        } else source.failure = { detail: result.detail, until: clock.now() + limits.failureMs }
        return result
      })
      .finally(() => {
        delete source.running
      })
    return source.running
  }

  return async (url) => {
    const source = known.get(url) ?? {}
    known.delete(url)
    known.set(url, source)
    const now = clock.now()
    const usable = source.loaded && now <= source.loaded.validUntil ? source.loaded : undefined
    if (usable && now < usable.freshUntil) return usable
    const failed = source.failure && now < source.failure.until ? source.failure : undefined
    if (failed) return usable ?? { kind: 'failed', detail: failed.detail }
    const running = start(url, source)
    if (usable) return usable
    const result = await running
    trim(known, limits)
    return result
  }
}

function trim<Value>(known: Map<string, Source<Value>>, limits: typeof sourceLimits): void {
  let bytes = 0
  for (const { loaded } of known.values()) bytes += loaded?.sizeBytes ?? 0
  for (const [url, source] of known) {
    if (bytes <= limits.keptBytes && known.size <= limits.kept) return
    if (source.running) continue
    known.delete(url)
    bytes -= source.loaded?.sizeBytes ?? 0
  }
}
