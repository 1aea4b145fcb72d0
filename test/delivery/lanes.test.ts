import { describe, expect, it } from 'vitest'
import { openLanes } from '../../src/delivery/lanes.js'
import type { DirectDomain } from '../../src/direct/address.js'

const there = 'there.example' as DirectDomain
const elsewhere = 'elsewhere.example' as DirectDomain
const soon = { waitingPerLane: 2, waitMs: 20 }
const patient = { waitingPerLane: 2, waitMs: 60_000 }

async function taken(entering: ReturnType<ReturnType<typeof openLanes>['enter']>) {
  const entered = await entering
  if (entered.kind === 'busy') throw new Error('No lane')
  return entered
}

describe('lanes to a destination', () => {
  it('are so many and no more, for each destination by itself', async () => {
    const lanes = openLanes(2, soon)
    await taken(lanes.enter(there, 'a'))
    await taken(lanes.enter(there, 'b'))
    await taken(lanes.enter(elsewhere, 'c'))
    expect(await lanes.enter(there, 'd')).toEqual({ kind: 'busy', before: 1 })
  })

  it('pass from who leaves to who waits longest, and never to two at once', async () => {
    const lanes = openLanes(1, patient)
    const first = await taken(lanes.enter(there, 'a'))
    const order: string[] = []
    const waiting = ['b', 'c'].map(async (job) => {
      const lane = await taken(lanes.enter(there, job))
      order.push(job)
      return lane
    })
    first.leave()
    const second = await waiting[0]
    expect(order).toEqual(['b'])
    second?.leave()
    await waiting[1]
    expect(order).toEqual(['b', 'c'])
  })

  it('keep a short line: who comes behind it, or waits too long, is given back and counted once', async () => {
    const lanes = openLanes(1, soon)
    const first = await taken(lanes.enter(there, 'a'))
    const waiting = [lanes.enter(there, 'b'), lanes.enter(there, 'c')]
    expect(await lanes.enter(there, 'd')).toEqual({ kind: 'busy', before: 1 })
    expect(await lanes.enter(there, 'd')).toEqual({ kind: 'busy', before: 1 })
    expect(await lanes.enter(there, 'e')).toEqual({ kind: 'busy', before: 2 })
    expect((await Promise.all(waiting)).map(({ kind }) => kind)).toEqual(['busy', 'busy'])
    // Nobody waits any more: the lane is free again, and not handed to those who left.
    first.leave()
    await taken(lanes.enter(there, 'd'))
    expect(await lanes.enter(there, 'f')).toMatchObject({ kind: 'busy' })
  })
})
