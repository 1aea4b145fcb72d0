import { compareUtf8 } from './compare.js'

/** Keys of the due index in order, in memory: a queue is looked at far more often than it changes. */
export interface DueKeys {
  add(key: string): void
  /** Takes out up to `n` keys before `end`, the first first. */
  take(end: string, n: number): string[]
  /** Takes one key out, where it is there. */
  remove(key: string): void
  first(): string | undefined
}

/** How many taken keys may lie in front before the array is cut. */
const slack = 1024

export function openDueKeys(): DueKeys {
  let keys: string[] = []
  /** Everything before it was taken. */
  let head = 0

  /** Where the key belongs, looked for from the end: most jobs are due later than those that wait. */
  function place(key: string): number {
    const last = keys.at(-1)
    if (keys.length === head || (last !== undefined && compareUtf8(last, key) < 0)) return keys.length
    let low = head
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareUtf8(keys[middle] as string, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    add(key) {
      const at = place(key)
      if (at === keys.length) keys.push(key)
      else if (keys[at] !== key) keys.splice(at, 0, key)
    },
    take(end, n) {
      let to = head
      while (to < keys.length && to - head < n && compareUtf8(keys[to] as string, end) < 0) to++
      const taken = keys.slice(head, to)
      head = to
      if (head > slack && head > keys.length / 2) {
        keys = keys.slice(head)
        head = 0
      }
      return taken
    },
    remove(key) {
      const at = place(key)
      if (keys[at] === key) keys.splice(at, 1)
    },
    first: () => keys[head],
  }
}
