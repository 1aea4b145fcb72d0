import { setTimeout as sleep } from 'node:timers/promises'
import { verifyChain } from '../../src/audit/audit.js'
import { defaultSchedule, type Schedule } from '../../src/delivery/schedule.js'
import { startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { encodeOutbound, type OutboundJob, outboundQueue } from '../../src/spool/outbound.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { accept, alice, boot, furnish, messagesOf, newDisk, refusalsOf, seal, work } from '../fixtures/gateway.js'
import { type Dice, dice } from './dice.js'
import { surplus } from './estate.js'
import type { Harness } from './verdict.js'

/**
 * A clock that jumps: by an hour, a day, ten years, forwards and backwards, and over a leap day. A gateway in memory, with
 * everything real but the clock; nothing waits for real time.
 */

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const year = 365 * day
const jumps: readonly (readonly [name: string, ms: number])[] = [
  ['an hour', hour],
  ['a day', day],
  ['ten years', 10 * year],
  ['an hour back', -hour],
  ['a day back', -day],
  ['ten years back', -10 * year],
]

interface Seen {
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  readonly trouble: readonly string[]
}

/** Mail that was accepted before the jump, in the middle of it, and after it; then the clock is right again. */
async function inbound(name: string, jumpMs: number): Promise<Seen> {
  const trouble: string[] = []
  const time = { at: Date.now() }
  const disk = newDisk({ now: () => time.at })
  let gateway = await boot(disk)
  await furnish(gateway)
  const ids: string[] = []
  const take = async (id: string) => void ids.push(await accept(gateway, seal({ id })))
  await take('before-1')
  await take('before-2')
  time.at += jumpMs
  await take('after')
  await work(gateway)
  const valid = Math.abs(jumpMs) < year && jumpMs > -day
  const refused = await refusalsOf(gateway, ids[2] ?? '')
  // Certificates are valid from a day ago for a year: what is judged far from that is refused, whatever it is.
  if (!valid && Object.keys(refused).length === 0 && Math.abs(jumpMs) > day)
    trouble.push(`${name}: a certificate was taken for valid by a clock that is ${name} off`)
  gateway = await boot(disk)
  time.at = Date.now() + minute
  for (let rounds = 0; rounds < 5; rounds++) await work(gateway)
  const delivered = (await messagesOf(gateway, alice)).map(({ messageId }) => messageId ?? '')
  const quarantined = await Promise.all(ids.map(async (id) => Object.keys(await refusalsOf(gateway, id)).length))
  const ends = delivered.length + quarantined.filter((count) => count > 0).length
  const waits = (await gateway.store.jobs('inbound', 100)).length
  if (valid && delivered.length !== ids.length)
    trouble.push(`${name}: ${delivered.length} of ${ids.length} were delivered, ${waits} wait`)
  const chain = await verifyChain(gateway.store)
  if (chain.kind !== 'whole') trouble.push(`${name}: the audit log is ${chain.kind}`)
  return { acknowledged: ids.length, lost: ids.length - ends - waits, duplicated: surplus(delivered), trouble }
}

const jobs = 40
const stepMs = 5 * minute
const steps = 30

interface Attempts {
  /** In the busiest step before the jump, the first hour left out, and after it. */
  readonly steady: number
  readonly burst: number
  /** The most that one job was tried in one step after the jump. */
  readonly perJob: number
  readonly gaveUp: number
  /** Given up although never tried again after the jump. */
  readonly gaveUpUntried: number
  readonly tried: number
}

/** Mail that nobody takes, through a jump in the middle: who is tried when, and who is given up. */
async function outbound(jumpMs: number, schedule: Schedule, chance: Dice, startAt = Date.now()): Promise<Attempts> {
  const time = { at: startAt }
  const clock = { now: () => time.at }
  const store = await openMemoryStore({ clock })
  let step = new Map<string, number>()
  const after = new Set<string>()
  let jumped = false
  const gaveUp = new Set<string>()
  const delivery = startDelivery({
    store,
    clock,
    random: { bytes: (size) => chance.bytes(size) },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
    async attempt({ to: [to = ''] }) {
      step.set(to, (step.get(to) ?? 0) + 1)
      if (jumped) after.add(to)
      return { kind: 'temporary', detail: 'nobody is at home' }
    },
    prepare: async () => ({ kind: 'sealed', wire: new Uint8Array() }),
    outcomeParts(_job, results) {
      for (const { kind, to } of results) if (kind === 'expired') for (const one of to) gaveUp.add(one)
      return {}
    },
    schedule,
    concurrency: jobs,
    idleMs: 1,
  })
  for (let n = 0; n < jobs; n++) {
    const to = `dr@far-${n}.example` as DirectAddress
    const job: OutboundJob = {
      ...{ id: `job-${n}`, trail: `trail-${n}`, kind: 'message', from: null, to: [to], stage: 'sealed' },
      ...{ body: Buffer.from('x'), owedAt: time.at, tries: 0 },
    }
    await store.commit({
      enqueue: [{ queue: outboundQueue, id: job.id, payload: encodeOutbound(job), dueAt: time.at }],
    })
  }
  let [steady, burst, perJob] = [0, 0, 0]
  for (let n = 0; n < 2 * steps; n++) {
    step = new Map()
    jumped = n >= steps
    time.at += n === steps ? jumpMs : stepMs
    delivery.nudge()
    await sleep(4)
    while (delivery.running() > 0) await sleep(1)
    const tried = [...step.values()].reduce((sum, count) => sum + count, 0)
    if (n >= 12 && n < steps) steady = Math.max(steady, tried)
    if (jumped) {
      burst = Math.max(burst, tried)
      perJob = Math.max(perJob, ...step.values())
    }
  }
  await delivery.stop(1_000)
  await store.close()
  const gaveUpUntried = [...gaveUp].filter((to) => !after.has(to)).length
  return { steady, burst, perJob, gaveUp: gaveUp.size, gaveUpUntried, tried: after.size }
}

/** What a jump may do to mail on its way out, by the lifetime of four days. */
function faultsOf(name: string, jumpMs: number, found: Attempts): string[] {
  const faults: string[] = []
  if (jumpMs <= day && found.gaveUp > 0) faults.push(`${name}: ${found.gaveUp} of ${jobs} were given up early`)
  if (found.gaveUpUntried > 0) faults.push(`${name}: ${found.gaveUpUntried} were given up without another try`)
  if (found.burst > 10 * Math.max(1, found.steady)) faults.push(`${name}: ${found.burst} tries after ${found.steady}`)
  if (found.perJob > 1) faults.push(`${name}: one was tried ${found.perJob} times in ${stepMs / minute} minutes`)
  return faults
}

/** Seeded bug: a lifetime of twelve hours, so that a day's jump is the end of all mail. */
export const clock: Harness = async (measure) => {
  const trouble: string[] = []
  const stuck: string[] = []
  let [acknowledged, lost, duplicated] = [0, 0, 0]
  for (const [name, jumpMs] of jumps) {
    const seen = await inbound(name, jumpMs)
    acknowledged += seen.acknowledged
    lost += seen.lost
    duplicated += seen.duplicated
    const found = await outbound(jumpMs, defaultSchedule, dice(measure.seed, name))
    trouble.push(...seen.trouble, ...faultsOf(name, jumpMs, found))
    if (found.tried < jobs) stuck.push(`${name} ${jobs - found.tried}`)
    measure.tell(`clock ${name}: ${JSON.stringify(found)} ${seen.trouble.join('; ')}`)
  }
  const leap = await outbound(stepMs, defaultSchedule, dice(measure.seed, 'leap'), Date.UTC(2028, 1, 28, 21, 30))
  trouble.push(...faultsOf('leap day', 0, leap))
  const short: Schedule = { ...defaultSchedule, lifetimeMs: { message: day / 2, mdn: day / 2 } }
  const bug = await outbound(day, short, dice(measure.seed, 'bug'))
  const notes = [`not tried within ${(steps * stepMs) / hour} h of the jump: ${stuck.join(', ') || 'none'} of ${jobs}`]
  return {
    ...{ rounds: jumps.length + 1, acknowledged, lost, duplicated, trouble },
    caught: faultsOf('a day', day, bug).length > 0,
    notes,
  }
}
