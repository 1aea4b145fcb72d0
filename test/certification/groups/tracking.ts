import { complete, type Measure, type RunGroup, wants } from '../finding.js'
import { findingsOf, type Tracked, tracked } from './tracked.js'
import { received } from './tracked-inbound.js'
import { killedDrafts, trackedDrafts } from './tracked-letters.js'
import { openTracked, type TrackedWorld } from './tracked-world.js'

/** What edges are told of what they sent, and others of what they sent us: once each, the truth, and in time. */

/** Two different waits, so that a notice at the wrong one is seen; longer where all groups run at once, so that none is missed. */
const timersOf = ({ peers }: Measure) =>
  peers === 'own' ? { processed: 16, dispatched: 26 } : { processed: 9, dispatched: 15 }
/** How long after the last message was handed in the gateway is killed: answers are on their way. */
const killAfterMs = 1_000

/** Runs the group: everything at once through one gateway, and a few messages through another that is killed meanwhile. */
export const tracking: RunGroup = async (measure) => {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const timers = timersOf(measure)
    const drafts = trackedDrafts(timers.dispatched).filter(({ caseId }) => wants(measure, caseId))
    const killed = killedDrafts(timers.dispatched).filter(({ caseId }) => wants(measure, caseId))
    const edges = (['smtp', 'imap', 'pop'] as const).filter(
      (edge) => edge === 'smtp' || drafts.some((one) => one.edge === edge),
    )
    const judged = await Promise.all([
      openTracked(measure, 'steady', { timers, edges, receives: true }, closers).then(async (world) => {
        const both = await Promise.all([tracked(world, drafts), received(world)])
        return both.flat()
      }),
      killed.length > 0
        ? openTracked(measure, 'killed', { timers, edges: ['smtp'] }, closers).then((world) => afterKill(world, killed))
        : [],
    ])
    return complete('tracking', measure, findingsOf(judged.flat()))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function afterKill(world: TrackedWorld, drafts: Parameters<typeof tracked>[1]): Promise<readonly Tracked[]> {
  return tracked(world, drafts, async () => {
    await new Promise((resolve) => setTimeout(resolve, killAfterMs))
    await world.restart()
  })
}
