import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, until } from '../fixtures/process.js'
import { type Dice, dice } from './dice.js'
import { type Ground, letterWriter, makeGround, newOutbox, sendAll, settleAccounts } from './estate.js'
import { type CuttableDisk, cuttableDisk, type SyncFault, shim } from './power.js'
import { copyProduct, plants } from './product.js'
import { judge, runWriter } from './store.js'
import type { Harness, Measure } from './verdict.js'

/**
 * The Nth sync fails, once or for ever, with EIO or ENOSPC; and what it should have made last is gone for good, as a kernel
 * drops pages that it could not write. Then the power is cut. Nothing that was acknowledged may be missing, the process
 * says so at once and ends with 75.
 */

const lastSync = 200
const limits = { redMs: 1_000, endMs: 5_000 }
const tryAgain = 75

/** Which sync fails in each round: all of them where there are rounds enough, else spread over them. */
function faultsOf(count: number, highest: number, chance: Dice): SyncFault[] {
  return Array.from({ length: count }, (_, round) => {
    const width = highest / Math.min(count, highest)
    const low = Math.floor(((round * width) % highest) + 1)
    const at = chance.between(low, Math.max(low, Math.floor(low + width - 1)))
    return { at, error: round % 2 === 0 ? 'EIO' : 'ENOSPC', forever: round % 3 === 2 }
  })
}

interface Tally {
  rounds: number
  acknowledged: number
  lost: number
  duplicated: number
  readonly trouble: string[]
}

const none = (): Tally => ({ rounds: 0, acknowledged: 0, lost: 0, duplicated: 0, trouble: [] })

function wordsOf({ at, error, forever }: SyncFault): string {
  return `sync ${at} ${forever ? 'and all after it ' : ''}fails with ${error}`
}

/** The bare store and blobs: one writer a fault, then a cut. */
async function storeRounds(measure: Measure, dist: string, faults: readonly SyncFault[], untilLost = false) {
  const tally = none()
  for (const [round, fault] of faults.entries()) {
    const beside = join(measure.home, `store-${round}`)
    const folder = join(beside, 'data')
    mkdirSync(folder, { recursive: true })
    const disk = cuttableDisk(folder, beside)
    // A store that fails as it is first made holds nothing yet: it may have to be removed by hand, as the docs say.
    await runWriter(dist, folder, 1_000_000, { env: disk.powered(), count: 1 })
    const end = await runWriter(dist, folder, 0, { env: disk.powered(fault), count: 40 })
    const failed = disk.failed()
    const blobOnly = failed.every((path) => `${path}/`.startsWith(join(folder, 'blobs/')))
    if (end.code !== tryAgain && !(end.code === 0 && blobOnly))
      tally.trouble.push(
        `${wordsOf(fault)}: the writer ended with ${end.code ?? end.signal}: ${end.words.slice(0, 100)}`,
      )
    disk.cut(dice(measure.seed, 'failing-sync', round))
    tally.rounds++
    tally.acknowledged += end.acknowledged.length
    await judge(folder, new Set(end.acknowledged), tally, wordsOf(fault))
    rmSync(beside, { recursive: true, force: true })
    if (untilLost && tally.lost > 0) break
  }
  return tally
}

interface Times {
  readonly redMs: number[]
  readonly endMs: number[]
}

/** One life of the gateway whose disk fails, and the account of it by the next one. */
async function gatewayRound(
  ground: Ground,
  disk: CuttableDisk,
  program: string,
  fault: SyncFault,
  round: number,
  chance: Dice,
  tally: Tally,
  times: Times,
): Promise<void> {
  ground.renew()
  const outbox = newOutbox()
  const heard = ground.mail.received.length
  const env = disk.powered(fault)
  const say = (words: string) => void tally.trouble.push(`${wordsOf(fault)}: ${words}`)
  const gateway = await ground.serve({ program, env }).catch(String)
  if (typeof gateway === 'string') {
    if (!gateway.includes(`"code":${tryAgain}`))
      say(`it did not start, and not with ${tryAgain}: ${gateway.slice(0, 200)}`)
  } else {
    const write = letterWriter(ground, `fault-${round}`, chance)
    let written = 0
    let failedAt: number | undefined
    const next = () => {
      if (failedAt !== undefined && performance.now() - failedAt > 500) return undefined
      const again = outbox.waiting.shift()
      if (again || written++ >= 120) return again
      const letter = write()
      outbox.all.push(letter)
      return letter
    }
    const traffic = Array.from({ length: 4 }, () => sendAll(gateway.smtpPort, outbox, next))
    await until(() => (disk.failed().length > 0 ? true : undefined), 4_000).catch(() => undefined)
    const failed = disk.failed()
    failedAt = performance.now()
    const inBlobs = failed.every((path) => path.startsWith(join(disk.folder, 'blobs/')))
    if (failed.length > 0 && !inBlobs) {
      const red = await until(async () => {
        const answer = await ask(gateway.url, undefined, '/readyz').catch(() => undefined)
        return answer?.status === 200 ? undefined : performance.now()
      }, 10_000).catch(() => undefined)
      const ended = await Promise.race([gateway.ended, sleep(10_000).then(() => undefined)])
      const endMs = performance.now() - failedAt
      const redMs = (red ?? Number.POSITIVE_INFINITY) - failedAt
      times.redMs.push(redMs)
      times.endMs.push(endMs)
      if (redMs > limits.redMs) say(`/readyz was red after ${Math.round(redMs)} ms`)
      if (!ended || endMs > limits.endMs) say(`it did not end within ${limits.endMs} ms`)
      else if (ended.code !== tryAgain) say(`it ended with ${ended.code ?? ended.signal}`)
    }
    await gateway.stop('SIGKILL')
    await Promise.all(traffic)
    for (const letter of outbox.all)
      if (!letter.acknowledged && !outbox.waiting.includes(letter)) outbox.waiting.push(letter)
  }
  disk.cut(chance)
  const account = await settleAccounts(ground, outbox, { heard, program, patienceMs: 5_000 })
  tally.rounds++
  tally.acknowledged += account.acknowledged
  tally.lost += account.lost
  tally.duplicated += account.duplicated
  for (const words of account.trouble) say(words)
}

async function gatewayRounds(
  measure: Measure,
  ground: Ground,
  name: string,
  faults: readonly SyncFault[],
  bug = plants.swallowed as readonly (typeof plants.swallowed)[number][],
  untilLost = false,
) {
  const tally = none()
  const times: Times = { redMs: [], endMs: [] }
  const home = join(measure.home, name)
  const program = join(copyProduct(home, 'product', bug), 'main.js')
  const disk = cuttableDisk(join(ground.folder, 'data'), home)
  for (const [round, fault] of faults.entries()) {
    await gatewayRound(ground, disk, program, fault, round, dice(measure.seed, name, round), tally, times)
    measure.tell(
      `${name}: ${wordsOf(fault)}: ${tally.acknowledged} acknowledged, ${tally.lost} lost, ${tally.trouble.length} troubles`,
    )
    if (untilLost && tally.lost > 0) break
  }
  return { tally, times }
}

/** The whole gateway, a third of the rounds: each takes seconds. Seeded bug: a failed write taken for a good one. */
export const failingSync: Harness = async (measure) => {
  if (shim() === undefined) return { skipped: 'no C compiler for the shim' }
  const ground = await makeGround()
  try {
    const faults = faultsOf(Math.min(Math.ceil(measure.rounds / 3), lastSync), lastSync, dice(measure.seed, 'faults'))
    const { tally, times } = await gatewayRounds(measure, ground, 'failing-sync', faults, [])
    const late: SyncFault[] = [40, 50, 60, 70, 80].map((at) => ({ at, error: 'EIO' }))
    const bug = await gatewayRounds(measure, ground, 'swallowed', late, plants.swallowed, true)
    const worst = (of: readonly number[]) => Math.round(Math.max(0, ...of))
    return {
      ...tally,
      caught: bug.tally.lost > 0,
      notes: [`red after at most ${worst(times.redMs)} ms, ended after at most ${worst(times.endMs)} ms`],
    }
  } finally {
    ground.close()
  }
}

/** The bare store and blobs. Seeded bug: a sync asked for again after it failed. */
export const failingSyncStore: Harness = async (measure) => {
  if (shim() === undefined) return { skipped: 'no C compiler for the shim' }
  const count = Math.min(measure.rounds, lastSync)
  const dist = copyProduct(measure.home, 'honest')
  const tally = await storeRounds(measure, dist, faultsOf(count, lastSync, dice(measure.seed, 'faults')))
  const retrying = copyProduct(measure.home, 'retrying', plants.retriedSync)
  const early = Array.from({ length: 30 }, (_, at): SyncFault => ({ at: at + 6, error: 'EIO' }))
  const bug = await storeRounds(measure, retrying, early, true)
  return { ...tally, caught: bug.lost > 0, notes: [`a sync asked for again lost ${bug.lost} in ${bug.rounds} rounds`] }
}
