export const laneLimits = {
  /** Jobs that wait here for each connection, so that it is never idle while there is mail; the others wait in the store. */
  waitingPerLane: 4,
  /** A destination that is slower than this must not hold those who could send elsewhere meanwhile. */
  waitMs: 2_000,
} as const

export type Entered =
  | { readonly kind: 'entered'; leave(): void }
  /** No connection is free, nor will be soon: how many jobs to this destination were given back, this one included. */
  | { readonly kind: 'busy'; readonly before: number }

/** Keeps connections to one destination to `perDomain`, with a short line behind them. */
export interface Lanes {
  /** Takes a connection to a destination (a domain, or a system of ours) for a job, at once or when one frees in time. */
  enter(destination: string, job: string): Promise<Entered>
}

interface Lane {
  dialling: number
  /** Told that a connection is theirs. */
  readonly waiting: (() => void)[]
  readonly givenBack: Set<string>
}

export function openLanes(
  perDomain: number,
  limits: { readonly waitingPerLane: number; readonly waitMs: number } = laneLimits,
): Lanes {
  const lanes = new Map<string, Lane>()

  /** True when a connection was handed over in time. */
  function turn({ waiting }: Lane): Promise<boolean> {
    return new Promise((resolve) => {
      const mine = () => {
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(mine), 1)
        resolve(false)
      }, limits.waitMs)
      waiting.push(mine)
    })
  }

  function leave(destination: string, lane: Lane) {
    const next = lane.waiting.shift()
    if (next) return next()
    lane.dialling--
    if (lane.dialling === 0) lanes.delete(destination)
  }

  return {
    async enter(destination, job) {
      const lane = lanes.get(destination) ?? { dialling: 0, waiting: [], givenBack: new Set() }
      lanes.set(destination, lane)
      if (lane.dialling < perDomain) lane.dialling++
      else if (lane.waiting.length >= perDomain * limits.waitingPerLane || !(await turn(lane)))
        return { kind: 'busy', before: lane.givenBack.add(job).size }
      lane.givenBack.delete(job)
      return { kind: 'entered', leave: () => leave(destination, lane) }
    },
  }
}
