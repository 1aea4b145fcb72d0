/** Runs work in turns: what `take` is given begins when a place is free. */
export interface Turns {
  take<Value>(work: () => Promise<Value>): Promise<Value>
}

/** At most `places` at a time, in the order in which they came. */
export function openTurns(places: number): Turns {
  const waiting: (() => void)[] = []
  let free = places
  return {
    async take(work) {
      if (free > 0) free -= 1
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next) next()
        else free += 1
      }
    },
  }
}

/** At most `places` at a time for each key; a key that nobody works for takes no room. */
export function openTurnsByKey(places: number): (key: string) => Turns {
  const keys = new Map<string, { readonly turns: Turns; users: number }>()
  return (key) => ({
    async take(work) {
      const held = keys.get(key) ?? { turns: openTurns(places), users: 0 }
      keys.set(key, held)
      held.users += 1
      try {
        return await held.turns.take(work)
      } finally {
        held.users -= 1
        if (held.users === 0) keys.delete(key)
      }
    },
  })
}
