import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import {
  ask,
  type Estate,
  furnished,
  letter,
  memoryOf,
  mustRun,
  patient,
  type Serving,
  sender,
  serve,
  tell,
  until,
} from '../fixtures/process.js'

/** Rounds of traffic and SIGKILL; a soak raises them. */
const rounds = Number(process.env['KILL_ROUNDS'] ?? 5)
const letters = 12 * rounds
const clients = 4

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
})
afterAll(() => {
  mail.close()
  estate.remove()
})

interface Letter {
  readonly messageId: string
  readonly wire: Buffer
  /** How often it was sent, whatever came of it. */
  tries: number
}

async function written(count: number): Promise<Letter[]> {
  const made: Letter[] = []
  for (let n = 0; n < count; n += clients) {
    const batch = Array.from({ length: Math.min(clients, count - n) }, async (_, k) => {
      const id = `letter-${n + k}`
      return { messageId: `<${id}@direct.hospital.example>`, wire: await letter(estate, id), tries: 0 }
    })
    made.push(...(await Promise.all(batch)))
  }
  return made
}

/** Sends until nothing waits or the gateway is gone; what was not acknowledged waits again, as in a sender's queue. */
async function client(port: number, waiting: Letter[], acknowledged: Set<string>): Promise<void> {
  const session = await openMail(port)
  for (;;) {
    const next = waiting.shift()
    if (!next) break
    next.tries++
    const reply = await session.send(sender, [patient], next.wire)
    if (reply.startsWith('250')) acknowledged.add(next.messageId)
    else {
      waiting.push(next)
      break
    }
  }
  session.close()
}

async function mailbox(gateway: Serving, token: string): Promise<string[]> {
  const found: string[] = []
  for (let cursor = ''; ; ) {
    const answer = await ask(gateway.url, token, `/api/v1/mailboxes/${patient}/messages?limit=100${cursor}`)
    const page = answer.json<{ messages: { messageId: string }[]; next?: string }>()
    found.push(...page.messages.map(({ messageId }) => messageId))
    if (page.next === undefined) return found
    cursor = `&cursor=${encodeURIComponent(page.next)}`
  }
}

interface Notice {
  readonly about: string
  readonly disposition: string
  /** Of the notice itself. */
  readonly messageId: string
}

async function notices(): Promise<Notice[]> {
  const opened: Notice[] = []
  for (const { wire } of mail.received) {
    const text = await estate.openssl.openNotice(wire, estate.provider, estate.authority)
    const field = (name: string, of: string) => new RegExp(`^${name}: *(.*?)\\r?$`, 'im').exec(of)?.[1] ?? '(none)'
    opened.push({
      about: field('Original-Message-ID', text),
      disposition: field('Disposition', text),
      messageId: field('Message-ID', wire.toString('latin1')),
    })
  }
  return opened
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

describe(`a gateway killed ${rounds} times at random moments under traffic`, () => {
  it('has delivered each acknowledged message once, with one notice, and an unbroken audit log', async () => {
    const on = ['--config', 'gateway.yaml']
    const create = ['token', 'create', '--address', '*', '--scope', 'messages:read', ...on]
    const token = (await mustRun(estate.folder, ...create)).trim()
    const all = await written(letters)
    const waiting = [...all]
    const acknowledged = new Set<string>()

    for (let round = 0; round < rounds; round++) {
      const gateway = await serve(estate.folder)
      const share = waiting.splice(0, Math.ceil(letters / rounds) + round)
      const traffic = Array.from({ length: clients }, () => client(gateway.smtpPort, share, acknowledged))
      const before = acknowledged.size
      const waitMs = Math.random() * 200
      const killed = until(() => (acknowledged.size > before ? true : undefined))
        .then(() => sleep(waitMs))
        .then(() => gateway.stop('SIGKILL'))
      await Promise.all([...traffic, killed])
      const { signal } = await gateway.ended
      expect(signal).toBe('SIGKILL')
      waiting.push(...share)
      tell(
        `round ${round}: killed ${Math.round(waitMs)} ms after its first 250, ${acknowledged.size} acknowledged so far`,
      )
    }
    expect(acknowledged.size).toBeGreaterThan(rounds)

    const gateway = await serve(estate.folder)
    while (waiting.length > 0) await client(gateway.smtpPort, waiting, acknowledged)
    expect(acknowledged.size).toBe(letters)
    // A lease that died with its holder's process is void at once: nothing waits for it to run out.
    await until(async () => ((await mailbox(gateway, token)).length >= letters ? true : undefined), 60_000)
    await until(
      async () => (new Set(mail.received.map(({ wire }) => wire.toString())).size >= letters ? true : undefined),
      60_000,
    )
    await until(async () => {
      const left = JSON.parse(await mustRun(estate.folder, 'queue', 'list', '--json', ...on)) as unknown[]
      return left.length === 0 ? true : undefined
    }, 60_000)
    tell(`restarted: ${JSON.stringify(memoryOf(gateway))}`)

    const delivered = await mailbox(gateway, token)
    expect([...delivered].sort()).toEqual(all.map(({ messageId }) => messageId).sort())
    const heard = await notices()
    expect(heard.filter(({ disposition }) => !/;\s*processed$/.test(disposition))).toEqual([])
    const byLetter = countsOf(heard.map(({ about }) => about))
    expect([...byLetter.keys()].sort()).toEqual(all.map(({ messageId }) => messageId).sort())
    // The one window: the far side had taken a notice, and we died before that was written. Then the same notice comes again.
    const again = heard.length - byLetter.size
    expect(new Set(heard.map(({ messageId }) => messageId)).size).toBe(letters)
    expect(again).toBeLessThanOrEqual(rounds * 10)
    tell(`${letters} letters in ${all.reduce((sum, { tries }) => sum + tries, 0)} tries; ${again} notices came again`)

    expect((await gateway.stop()).code).toBe(0)
    expect(await mustRun(estate.folder, 'audit', 'verify', ...on)).toMatch(/^Intact: \d+ entries/)
  })
})
