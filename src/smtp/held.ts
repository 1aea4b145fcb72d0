/** What all messages in transfer may take of memory together. */
export interface Budget {
  /** Takes so many bytes, or nothing and false. */
  take(bytes: number): boolean
  give(bytes: number): void
  taken(): number
}

export function openBudget(bytes: number): Budget {
  let taken = 0
  return {
    take(more) {
      if (taken + more > bytes) return false
      taken += more
      return true
    },
    give(back) {
      taken -= back
    },
    taken: () => taken,
  }
}

/** A message in memory, until it is released. */
export interface Gathered {
  readonly message: Uint8Array
  release(): void
}

/**
 * Gathers a message into one piece that the budget allows, of the announced size or growing by doubling; undefined once the
 * budget is spent. What was taken is given back on every way out but a message.
 */
export async function gather(
  data: AsyncIterable<Uint8Array>,
  budget: Budget,
  firstBytes: number,
): Promise<Gathered | undefined> {
  let capacity = 0
  let held = Buffer.alloc(0)
  let length = 0
  const release = () => {
    budget.give(capacity)
    capacity = 0
  }

  function grow(needed: number): boolean {
    const wanted = Math.max(needed, firstBytes, 2 * capacity)
    // Doubling is for speed: where only that is too much, what is needed will do.
    const next = budget.take(wanted - capacity) ? wanted : budget.take(needed - capacity) ? needed : undefined
    if (next === undefined) return false
    capacity = next
    const larger = Buffer.allocUnsafeSlow(capacity)
    held.copy(larger, 0, 0, length)
    held = larger
    return true
  }

  let whole = false
  try {
    for await (const chunk of data) {
      if (length + chunk.length > capacity && !grow(length + chunk.length)) return undefined
      held.set(chunk, length)
      length += chunk.length
    }
    whole = true
    budget.give(capacity - length)
    capacity = length
    return { message: held.subarray(0, length), release }
  } finally {
    if (!whole) release()
  }
}
