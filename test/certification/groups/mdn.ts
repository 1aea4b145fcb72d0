import { complete, type RunGroup, wants } from '../finding.js'
import { offShapes } from '../world/reports.js'
import { findingsOf, tracked } from './tracked.js'
import { offSpecDrafts } from './tracked-letters.js'
import { openTracked } from './tracked-world.js'

/** Notices of others that are slightly off: which count all the same, and which do not. */
const timers = { processed: 12, dispatched: 16 }

/** Runs the group: every off-spec answer to a message that asks nothing, and to one that asks for final delivery. */
export const mdn: RunGroup = async (measure) => {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openTracked(measure, 'mdn', { timers, edges: ['smtp'] }, closers)
    const drafts = offSpecDrafts(offShapes).filter(({ caseId }) => wants(measure, caseId))
    return complete('mdn', measure, findingsOf(await tracked(world, drafts)))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
