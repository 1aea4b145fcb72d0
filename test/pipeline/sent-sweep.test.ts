import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openSentSweep, sentSweepLimits } from '../../src/spool/sent-sweep.js'
import { moved, type RecipientState, submissionQueue, trackingQueue } from '../../src/spool/submission.js'
import { alice, bob, storyOf } from '../fixtures/gateway.js'
import { bootSending, newSending, type Sending, submitTo } from '../fixtures/sending.js'
import { checkHome } from '../upkeep/world.js'

const far = (local: string) => `${local}@far.example` as DirectAddress
const day = 86_400_000

async function mailboxOf(gateway: Sending, address: DirectAddress): Promise<string> {
  return (await gateway.directory.addresses.get(address))?.mailbox ?? ''
}

function sweepOf(gateway: Sending, ...whose: DirectAddress[]) {
  return openSentSweep({
    ...gateway,
    async *mailboxes() {
      for (const address of whose) yield await mailboxOf(gateway, address)
    },
  })
}

/** A message that was sent, and came so far for each of its recipients; nothing looks after it any more. */
async function sentLong(
  gateway: Sending,
  from: DirectAddress,
  states: readonly RecipientState['state'][],
  { large = false, header = '' } = {},
): Promise<string> {
  const to = states.map((_, i) => far(`to${i}`))
  const names = to.map((one) => `<${one}>`).join(', ')
  const body = large ? 'All is well.\r\n'.repeat(30_000) : 'All is well.\r\n'
  const random = Array.from({ length: 200 }, () => Math.random().toString(36)).join('\r\n')
  const text = `From: <${from}>\r\nTo: ${names}\r\n${header}\r\n${body}${large ? random.repeat(40) : ''}`
  const outcome = await submitTo(gateway, from, to, { text })
  if (outcome.kind === 'refused') throw new Error(JSON.stringify(outcome))
  await come(gateway, from, outcome.id, states)
  return outcome.id
}

async function come(gateway: Sending, from: DirectAddress, id: string, states: readonly RecipientState['state'][]) {
  const stored = await gateway.submissions.get(await mailboxOf(gateway, from), id)
  if (!stored) throw new Error('there is no such submission')
  const { submission } = stored
  const recipients = submission.recipients.map((one, i) => moved(one, states[i] ?? 'failed', gateway.clock.now()))
  const acks = []
  for (const queue of [submissionQueue, trackingQueue]) {
    const job = await gateway.store.claimJob(queue, id, 1000)
    if (job && job !== 'held') acks.push({ job })
  }
  const changed = await gateway.submissions.change(stored, { ...submission, recipients })
  await gateway.store.commit({ ...changed, ack: acks })
}

const rowsOf = async (gateway: Sending, prefix: string) =>
  (await gateway.store.range({ gte: prefix, lt: `${prefix}\u{10ffff}`, limit: 10_000 })).map(({ key }) => key)

describe('the sweep of what was sent', () => {
  it('forgets what is old and at its end, with every row of it, and keeps its trail', async () => {
    const { gateway, disk, pass } = await newSending()
    const notify = `Disposition-Notification-To: <${bob}>\r\n`
    const old = await sentLong(gateway, alice, ['processed', 'failed'], { large: true, header: notify })
    const failed = await sentLong(gateway, alice, ['failed'])
    pass(400 * day)
    const young = await sentLong(gateway, alice, ['processed'])
    const sweep = sweepOf(gateway, alice)
    expect(await sweep(gateway.clock.now() - 365 * day, 1000)).toBe(2)
    const mailbox = await mailboxOf(gateway, alice)
    for (const id of [old, failed]) {
      expect(await gateway.submissions.get(mailbox, id)).toBeUndefined()
      expect((await rowsOf(gateway, 'submission/')).filter((key) => key.includes(id))).toEqual([])
      expect((await rowsOf(gateway, 'blob/')).filter((key) => key.includes(id))).toEqual([])
      expect(await storyOf(gateway, id)).toContain('accepted')
    }
    expect((await gateway.submissions.get(mailbox, young))?.submission.id).toBe(young)
    const page = await gateway.submissions.list(mailbox, {})
    expect(page.kind === 'page' && page.submissions.map(({ id }) => id)).toEqual([young])
    const swept = (await readAudit(gateway.store, 1, 1000)).flatMap(({ entry }) =>
      entry?.action === 'sent.swept' ? [entry] : [],
    )
    expect(swept).toMatchObject([{ actor: 'system', subject: { count: '2' }, outcome: 'success' }])
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])
  })

  it('keeps what somebody waits for, what a job looks after, and what is in other mailboxes', async () => {
    const { gateway, pass } = await newSending()
    await sentLong(gateway, alice, ['failed', 'queued'])
    await sentLong(gateway, alice, ['waiting'])
    await sentLong(gateway, alice, ['sent'])
    await sentLong(gateway, bob, ['failed'])
    // Its deadline is looked at once more.
    const watched = await sentLong(gateway, alice, ['failed'])
    const job = { queue: trackingQueue, id: watched, payload: Buffer.from('{}'), dueAt: 0 }
    await gateway.store.commit({ enqueue: [job] })
    pass(400 * day)
    const before = await rowsOf(gateway, 'submission/')
    const sweep = sweepOf(gateway, alice)
    for (let round = 0; round < 3; round++) expect(await sweep(gateway.clock.now(), 1000)).toBe(0)
    expect(await rowsOf(gateway, 'submission/')).toEqual(before)
  })

  it('forgets what former versions sent, once their gateways took it', async () => {
    const { gateway, pass } = await newSending()
    const id = await sentLong(gateway, alice, ['sent'])
    const mailbox = await mailboxOf(gateway, alice)
    const stored = await gateway.submissions.get(mailbox, id)
    if (!stored) throw new Error('gone')
    const { tracked: _, ...former } = stored.submission
    await gateway.store.commit(await gateway.submissions.change(stored, former))
    pass(400 * day)
    expect(await sweepOf(gateway, alice)(gateway.clock.now(), 10)).toBe(1)
  })

  it('looks at no more than it is told to in a round, and comes round to everything, whatever stays', async () => {
    const { gateway, pass } = await newSending()
    const count = sentSweepLimits.together + 20
    for (let i = 0; i < count; i++) await sentLong(gateway, alice, [i % 3 === 0 ? 'queued' : 'failed'])
    pass(400 * day)
    const sweep = sweepOf(gateway, alice, bob)
    const rounds: number[] = []
    for (let i = 0; i < 30; i++) rounds.push(await sweep(gateway.clock.now(), 7))
    expect(Math.max(...rounds)).toBeLessThanOrEqual(7)
    const open = Math.ceil(count / 3)
    expect(rounds.reduce((sum, n) => sum + n, 0)).toBe(count - open)
    expect((await rowsOf(gateway, `submission/${await mailboxOf(gateway, alice)}/state/`)).length).toBe(open)
  })

  it('leaves to the next walk what is changed at the same moment', async () => {
    const { gateway, disk, pass } = await newSending()
    const id = await sentLong(gateway, alice, ['failed'])
    pass(400 * day)
    let changing = true
    const racing: Sending = {
      ...gateway,
      store: {
        ...gateway.store,
        async commit(batch) {
          if (changing) {
            changing = false
            await come(gateway, alice, id, ['failed'])
          }
          return gateway.store.commit(batch)
        },
      },
    }
    const sweep = sweepOf(racing, alice)
    expect(await sweep(gateway.clock.now(), 10)).toBe(0)
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])
    expect(await sweep(gateway.clock.now(), 10)).toBe(1)
  })

  it('leaves everything whole wherever the process dies, and another ends it', async () => {
    let deaths = 0
    for (let k = 1; k <= 12; k++)
      for (const when of ['beforeCall', 'afterCall'] as const) {
        const { gateway, disk, pass } = await newSending()
        for (let i = 0; i < 3; i++) await sentLong(gateway, alice, ['failed'])
        pass(400 * day)
        let [calls, begun, dead] = [0, false, false]
        const dying = await bootSending(disk, {
          [when]: () => {
            if (dead || !begun || ++calls < k) return
            dead = true
            throw new Error('dead')
          },
        })
        begun = true
        await sweepOf(dying, alice)(gateway.clock.now(), 10).catch(() => undefined)
        if (dead) deaths++
        const after = await bootSending(disk)
        expect((await checkHome(disk, after).findings()).findings).toEqual([])
        await sweepOf(after, alice)(gateway.clock.now(), 10)
        expect(await rowsOf(after, 'submission/')).toEqual([])
      }
    expect(deaths).toBeGreaterThan(20)
  })
})
