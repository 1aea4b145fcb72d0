import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gone, listenForMail, openMail } from '../../src/demo/mail.js'
import {
  ask,
  type Estate,
  furnished,
  letter,
  mustRun,
  patient,
  run,
  sender,
  serve,
  tell,
  until,
} from '../fixtures/process.js'

/** The data folder on a disk of its own, which can be filled: needs root, and a system that lets us mount. */
let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
let disk: string

const probe = `/tmp/dg-mount-probe-${process.pid}`
mkdirSync(probe, { recursive: true })
const mountable = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe]).status === 0
if (mountable) spawnSync('umount', ['-l', probe])
rmSync(probe, { recursive: true, force: true })

beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
})
afterAll(() => {
  if (disk) spawnSync('umount', ['-l', disk])
  mail.close()
  estate.remove()
})

describe.skipIf(!mountable)('a disk that fills up (SKIPPED where a tmpfs cannot be mounted)', () => {
  it('is told to senders, turns /readyz red, ends the process with 75 when a write fails; nothing acknowledged is lost', async () => {
    const on = ['--config', 'gateway.yaml']
    const create = ['token', 'create', '--address', '*', '--scope', 'messages:read', ...on]
    const token = (await mustRun(estate.folder, ...create)).trim()
    const data = join(estate.folder, 'data')
    disk = join(estate.folder, 'data')
    spawnSync('cp', ['-a', data, `${data}.kept`])
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256m,mode=0700', 'tmpfs', disk]).status).toBe(0)
    spawnSync('cp', ['-aT', `${data}.kept`, data])

    const gateway = await serve(estate.folder)
    const session = await openMail(gateway.smtpPort)
    const wires = await Promise.all(Array.from({ length: 12 }, (_, n) => letter(estate, `full-${n}`)))
    const acknowledged: string[] = []
    const replies: string[] = []
    const send = async (n: number, over = session) => {
      const reply = await over.send(sender, [patient], wires[n] ?? Buffer.alloc(0))
      replies.push(reply)
      if (reply.startsWith('250')) acknowledged.push(`<full-${n}@direct.hospital.example>`)
      return reply
    }
    for (const n of [0, 1, 2, 3]) expect(await send(n)).toMatch(/^250 /)

    // Little room is left: not enough to promise anything, so the sender is told to come again, and nothing fails.
    const ballast = join(disk, 'ballast')
    spawnSync('fallocate', ['-l', '230m', ballast])
    await until(async () => ((await ask(gateway.url, undefined, '/readyz')).status === 503 ? true : undefined), 5_000)
    expect((await ask(gateway.url, undefined, '/readyz')).json()).toMatchObject({ ready: false })
    const refused = await openMail(gateway.smtpPort)
    expect(await send(4, refused)).toMatch(/^45[12] 4\.3\.\d /)
    refused.close()
    expect((await ask(gateway.url, token, `/api/v1/mailboxes/${patient}/messages`)).status).toBe(200)
    rmSync(ballast)
    await until(async () => ((await ask(gateway.url, undefined, '/readyz')).status === 200 ? true : undefined), 30_000)
    const again = await openMail(gateway.smtpPort)
    expect(await send(4, again)).toMatch(/^250 /)

    // No room at all, between the look at the disk and the write: the write fails.
    spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'])
    const red = until(async () => {
      const answer = await ask(gateway.url, undefined, '/readyz').catch(() => undefined)
      if (answer === undefined) return performance.now()
      const { checks = [] } = answer.json<{ checks?: { name: string; ok: boolean }[] }>()
      return checks.some(({ name, ok }) => name === 'store' && !ok) ? performance.now() : undefined
    })
    // Changes by the operator need no room promised: they write, and once the last page is full a write fails.
    const many = Array.from({ length: 100 }, (_, n) => `more-${n}@patients.example`)
    const change = await run(estate.folder, 'address', 'add', ...many, ...on)
    expect(change.code).toBe(1)
    const failedAt = performance.now()
    const redMs = (await red) - failedAt
    const { code, err } = await gateway.ended
    tell(
      `the store is red ${Math.round(redMs)} ms, the end ${Math.round(performance.now() - failedAt)} ms after the failure`,
    )
    expect(redMs).toBeLessThan(1_000)
    expect(performance.now() - failedAt).toBeLessThan(5_000)
    expect(code).toBe(75)
    expect(err).toContain('"store-unavailable"')
    expect(await again.send(sender, [patient], wires[5] ?? Buffer.alloc(0))).toSatisfy(
      (reply: string) => reply === gone || /^4\d\d /.test(reply),
    )

    // Room again and a new process: all that was acknowledged is there.
    rmSync(ballast)
    const restarted = await serve(estate.folder)
    const later = await openMail(restarted.smtpPort)
    for (const n of [5, 6, 7]) expect(await send(n, later)).toMatch(/^250 /)
    later.close()
    const messages = await until(async () => {
      const answer = await ask(restarted.url, token, `/api/v1/mailboxes/${patient}/messages?limit=100`)
      const page = answer.json<{ messages: { messageId: string }[] }>()
      return page.messages.length >= acknowledged.length ? page.messages : undefined
    })
    expect(messages.map(({ messageId }) => messageId).sort()).toEqual([...acknowledged].sort())
    expect((await restarted.stop()).code).toBe(0)
    expect(await mustRun(estate.folder, 'audit', 'verify', ...on)).toMatch(/^Intact/)
  })
})
