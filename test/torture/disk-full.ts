import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, patient, type Serving, until } from '../fixtures/process.js'
import { dice } from './dice.js'
import { type Ground, letterWriter, makeGround, newOutbox, sendAll, settleAccounts } from './estate.js'
import { copyProduct, type Plant, plants } from './product.js'
import type { Harness, Measure } from './verdict.js'

/**
 * The data folder on a disk of its own that mail fills up. Senders are told 452 while everything still works, readers go
 * on reading, and once there is room mail is taken again without anybody's hand; the harness plays the supervisor that
 * starts anew what ended with 75.
 */

const diskMiB = 256
const ballastMiB = 110
const againMs = 30_000
/**
 * Room is asked for one and a half of these: less than by default, so that the disk may be small, and more than LevelDB
 * may want at once for what it holds in memory (two write buffers of 32 MiB).
 */
const environment = { DIRECT_GATEWAY_LIMITS_MESSAGE_BYTES: '48000000' }

/** Whether a small disk of our own may be mounted here. */
export function mountable(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'gateway-mount-'))
  const mounted = mount(probe, 1)
  if (mounted) unmount(probe)
  rmSync(probe, { recursive: true, force: true })
  return mounted
}

function mount(folder: string, sizeMiB: number): boolean {
  const argv = ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=0700`, 'tmpfs', folder]
  return spawnSync('mount', argv, { stdio: 'ignore' }).status === 0
}

const unmount = (folder: string) => void spawnSync('umount', ['-l', folder], { stdio: 'ignore' })

interface Found {
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  readonly trouble: readonly string[]
  readonly note: string
  /** What the first sender that was turned away was told. */
  readonly refusal: string
}

async function filled(measure: Measure, ground: Ground, name: string, bug: readonly Plant[]): Promise<Found> {
  const trouble: string[] = []
  const program = join(copyProduct(measure.home, name, bug), 'main.js')
  const data = join(ground.folder, 'data')
  rmSync(data, { recursive: true, force: true })
  mkdirSync(data, { recursive: true, mode: 0o700 })
  if (!mount(data, diskMiB)) throw new Error('the disk could not be mounted')
  try {
    spawnSync('cp', ['-aT', join(ground.folder, 'furnished'), data])
    const ballast = join(data, 'ballast')
    spawnSync('fallocate', ['-l', `${ballastMiB}m`, ballast])
    const outbox = newOutbox()
    const heard = ground.mail.received.length
    const write = letterWriter(ground, name, dice(measure.seed, name), 1)
    const serving = () => ground.serve({ program, env: environment })
    let gateway: Serving | undefined = await serving()
    const more = () => {
      if (outbox.all.length > 2_000) return undefined
      const letter = write()
      outbox.all.push(letter)
      return letter
    }
    const replies = await Promise.all(Array.from({ length: 4 }, () => sendAll(gateway?.smtpPort ?? 0, outbox, more)))
    const refusal = replies.find((reply) => reply?.startsWith('452')) ?? replies.find(Boolean) ?? 'nothing'
    if (!/^452 4\.3\.\d /.test(refusal)) trouble.push(`the first that was turned away was told ${refusal}`)
    const ready = await ask(gateway.url, undefined, '/readyz').catch(() => undefined)
    if (ready?.status === 200) trouble.push('/readyz is green on a full disk')
    const read = await ask(gateway.url, ground.token, `/api/v1/mailboxes/${patient}/messages`).catch(() => undefined)
    if (read?.status !== 200) trouble.push(`reading was answered with ${read?.status ?? 'nothing'}`)

    rmSync(ballast)
    const began = performance.now()
    const accepted = () => outbox.all.filter(({ acknowledged }) => acknowledged).length
    const before = accepted()
    let restarts = 0
    await until(async () => {
      if (!gateway || gateway.process.exitCode !== null || gateway.process.signalCode !== null) {
        if (gateway && gateway.process.exitCode !== 75) trouble.push(`it ended with ${gateway.process.exitCode}`)
        restarts++
        gateway = await serving().catch(() => undefined)
      }
      if (gateway)
        await sendAll(gateway.smtpPort, outbox, () => (accepted() > before ? undefined : outbox.waiting.shift()))
      await sleep(200)
      return accepted() > before ? true : undefined
    }, againMs).catch(() => void trouble.push(`nothing is accepted ${againMs / 1000} s after there was room`))
    const againAfterMs = performance.now() - began
    await gateway?.stop()
    const account = await settleAccounts(ground, outbox, { heard, program, patienceMs: 30_000 })
    const note = `told ${refusal.slice(0, 9)}, accepts again ${Math.round(againAfterMs)} ms after room with ${restarts} restarts`
    return { ...account, trouble: [...trouble, ...account.trouble], note, refusal }
  } finally {
    unmount(data)
  }
}

/** One round whatever is asked: filling a disk takes its time. Seeded bug: nobody looks how much room there is. */
export const diskFull: Harness = async (measure) => {
  if (process.getuid?.() !== 0 || !mountable()) return { skipped: 'a tmpfs cannot be mounted (needs root)' }
  const ground = await makeGround()
  try {
    const { note, refusal: _, ...found } = await filled(measure, ground, 'disk-full', [])
    const bug = await filled(measure, ground, 'no-room-check', plants.noRoomCheck).catch((error: unknown) => ({
      refusal: String(error),
    }))
    return {
      ...found,
      rounds: 1,
      caught: !/^452/.test(bug.refusal),
      notes: [note, `without a look: ${bug.refusal.slice(0, 40)}`],
    }
  } finally {
    ground.close()
  }
}
