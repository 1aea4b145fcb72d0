import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import { track } from '../../src/pipeline/tracking.js'
import { gather } from '../../src/ports/body.js'
import { outboundQueue } from '../../src/spool/outbound.js'
import { silentDomains } from '../../src/spool/silence.js'
import { moved, submissionQueue, trackingQueue } from '../../src/spool/submission.js'
import { alice, messagesOf } from '../fixtures/gateway.js'
import { newSending, queued, type Sending, sendDue, statesOf } from '../fixtures/sending.js'
import {
  answered,
  copies,
  discovery,
  far,
  farNotice,
  policy,
  sending,
  told,
  trackDue,
  world,
} from '../fixtures/tracking.js'
import { checkHome } from '../upkeep/world.js'

const doctor = far('doctor')
const failed = [`dsn failed ${doctor}`]

async function mailboxOf(gateway: Sending): Promise<string> {
  return (await gateway.directory.addresses.get(alice))?.mailbox ?? ''
}

async function actions(gateway: Sending): Promise<string[]> {
  return (await readAudit(gateway.store, 1, 1000)).map(({ entry }) => `${entry?.action} ${entry?.reason ?? ''}`.trim())
}

describe('a deadline', () => {
  it('fails who never said processed, once, not before its time; what comes later is swallowed', async () => {
    for (const asks of ['nothing', 'processed', 'dispatched'] as const) {
      const { gateway, disk, pass } = await newSending(world)
      const id = await sending(gateway, { asks })
      pass(policy.processedMs - 1)
      expect(await trackDue(gateway)).toBe(0)
      expect(await told(gateway)).toEqual([])
      pass(1)
      expect(await trackDue(gateway)).toBe(1)
      expect(await statesOf(gateway, alice, id)).toEqual({ [doctor]: 'failed not-processed' })
      for (const late of ['processed', 'dispatched', 'failed']) await answered(gateway, farNotice(late))
      pass(policy.dispatchedMs)
      await trackDue(gateway)
      expect(await told(gateway), asks).toEqual(failed)
      expect(await gateway.store.jobs(trackingQueue, 10)).toEqual([])
      expect((await actions(gateway)).filter((one) => one === 'notice.swallowed late')).toHaveLength(3)
      expect(await checkHome(disk, gateway).findings()).toMatchObject({ findings: [] })
    }
  })

  it('lets who said processed be, and fails him by the next one where dispatched was asked for', async () => {
    const { gateway, pass } = await newSending(world)
    const first = await sending(gateway, { asks: 'dispatched' })
    const second = await sending(gateway, { asks: 'processed', id: 'm2@x' })
    await answered(gateway, farNotice('processed'))
    await answered(gateway, farNotice('processed', { fields: { 'Original-Message-ID': '<m2@x>' } }))
    pass(policy.processedMs)
    expect(await trackDue(gateway)).toBe(2)
    expect(await statesOf(gateway, alice, first)).toEqual({ [doctor]: 'processed' })
    expect(await gateway.store.jobs(trackingQueue, 10)).toMatchObject([{ id: first }])
    pass(policy.dispatchedMs - policy.processedMs)
    expect(await trackDue(gateway)).toBe(1)
    await answered(gateway, farNotice('dispatched'))
    expect(await statesOf(gateway, alice, first)).toEqual({ [doctor]: 'failed not-dispatched' })
    expect(await statesOf(gateway, alice, second)).toEqual({ [doctor]: 'processed' })
    expect(await told(gateway)).toEqual([`mdn processed ${doctor}`, ...failed])
  })

  it('ends where everybody said what was asked for', async () => {
    const { gateway, pass } = await newSending(world)
    await sending(gateway, { asks: 'dispatched' })
    await answered(gateway, farNotice('dispatched'))
    pass(policy.dispatchedMs)
    await trackDue(gateway)
    expect(await told(gateway)).toEqual([`mdn dispatched ${doctor}`])
    expect(await gateway.store.jobs(trackingQueue, 10)).toEqual([])
  })

  it('cancels the copy that still waits, with the bytes that it holds, and keeps it for those who are no part of it', async () => {
    const { gateway, disk, pass } = await newSending(world)
    const to = [far('a'), far('b'), far('c', 'other.example')]
    const id = await sending(gateway, { to, until: 'queued' })
    await answered(gateway, farNotice('processed', { from: far('a') })) // it arrived, and we died before we wrote so
    pass(policy.processedMs)
    expect(await copies(gateway)).toBe(2)
    await trackDue(gateway)
    expect(await copies(gateway)).toBe(0)
    expect(await statesOf(gateway, alice, id)).toEqual({
      [far('a')]: 'processed',
      [far('b')]: 'failed not-processed',
      [far('c', 'other.example')]: 'failed not-processed',
    })
    expect(await checkHome(disk, gateway).findings()).toMatchObject({ findings: [] })
  })

  it('fails who was not looked up yet, and nothing leaves for him when he is', async () => {
    const silent = far('x', 'unknown.example')
    const { gateway, pass } = await newSending(world)
    const id = await sending(gateway, { to: [silent], until: 'queued' })
    pass(policy.processedMs)
    await trackDue(gateway)
    expect(await statesOf(gateway, alice, id)).toEqual({ [silent]: 'failed not-processed' })
    await sendDue({ ...gateway, discovery: { of: () => discovery.of(doctor) } })
    expect(await copies(gateway)).toBe(0)
    expect(await gateway.store.jobs(submissionQueue, 10)).toEqual([])
    expect(await told(gateway)).toEqual([`dsn failed ${silent}`])
  })

  it('waits for a dialogue that is under way, and takes what it came to', async () => {
    const { gateway, pass } = await newSending(world)
    const id = await sending(gateway, { until: 'queued' })
    const [dialogue] = await gateway.store.claim(outboundQueue, 1, 100 * policy.processedMs)
    if (!dialogue) throw new Error('nothing is on its way')
    pass(policy.processedMs)
    await trackDue(gateway)
    expect(await statesOf(gateway, alice, id)).toEqual({ [doctor]: 'queued' })
    expect(await told(gateway)).toEqual([])
    const [mail] = await queued(gateway)
    if (!mail) throw new Error('nothing is on its way')
    const parts = await gateway.outcomes(mail, [{ kind: 'delivered', host: 'mx', reply: '250', to: [doctor] }])
    await gateway.store.commit({ ...parts, ack: [{ job: dialogue }] })
    pass(2_000)
    await trackDue(gateway)
    expect(await statesOf(gateway, alice, id)).toEqual({ [doctor]: 'failed not-processed' })
    expect(await told(gateway)).toEqual(failed)
  })

  it('loses to an answer that is committed first, and gives the copy that it took back', async () => {
    const { gateway, pass } = await newSending(world)
    const to = [doctor, far('b', 'other.example')]
    const id = await sending(gateway, { to, until: 'queued' })
    pass(policy.processedMs)
    const [job] = await gateway.store.claim(trackingQueue, 1, 60_000)
    if (!job) throw new Error('no deadline is due')
    let raced = false
    const store = {
      ...gateway.store,
      async commit(batch: Parameters<typeof gateway.store.commit>[0]) {
        if (!raced) {
          raced = true
          await answered(gateway, farNotice('processed'))
        }
        return gateway.store.commit(batch)
      },
    }
    await track(job, { ...gateway, store }, policy)
    expect(await statesOf(gateway, alice, id)).toEqual({
      [doctor]: 'processed',
      [far('b', 'other.example')]: 'failed not-processed',
    })
    expect(await told(gateway)).toEqual([`dsn failed ${far('b', 'other.example')}`])
    expect(await copies(gateway)).toBe(0)
  })

  it('overtakes a message that is just being sealed: it leaves for those who are left, and for nobody else', async () => {
    const { gateway, pass } = await newSending(world)
    const to = [doctor, far('b')]
    const id = await sending(gateway, { to, until: 'submitted' })
    const mailbox = await mailboxOf(gateway)
    let raced = false
    const store = {
      ...gateway.store,
      async commit(batch: Parameters<typeof gateway.store.commit>[0]) {
        if (!raced) {
          raced = true
          const stored = await gateway.submissions.get(mailbox, id)
          if (!stored) throw new Error('the submission is gone')
          const recipients = stored.submission.recipients.map((one) =>
            one.recipient === doctor ? moved(one, 'failed', gateway.clock.now(), { reason: 'cancelled' }) : one,
          )
          await gateway.store.commit(await gateway.submissions.change(stored, { ...stored.submission, recipients }))
        }
        return gateway.store.commit(batch)
      },
    }
    await sendDue({ ...gateway, store })
    expect((await queued(gateway)).map((job) => job.to)).toEqual([[far('b')]])
    expect(await statesOf(gateway, alice, id)).toEqual({ [doctor]: 'failed cancelled', [far('b')]: 'queued' })
    expect(await told(gateway)).toEqual([])
    pass(policy.processedMs)
    await trackDue(gateway)
    expect(await told(gateway)).toEqual([`dsn failed ${far('b')}`])
  })

  it('is one commit for two workers at once', async () => {
    const { gateway, pass } = await newSending(world)
    await sending(gateway, { to: [doctor, far('b'), far('c', 'other.example')], until: 'queued' })
    pass(policy.processedMs)
    const [first] = await gateway.store.claim(trackingQueue, 1, 1000)
    pass(1001)
    const [second] = await gateway.store.claim(trackingQueue, 1, 60_000)
    if (!first || !second) throw new Error('the deadline was not claimed twice')
    await Promise.all([track(first, gateway, policy), track(second, gateway, policy)])
    pass(2_000) // the one found a copy in the hands of the other
    await trackDue(gateway)
    expect(await copies(gateway)).toBe(0)
    expect((await told(gateway)).sort()).toEqual([
      `dsn failed ${far('b')}`,
      `dsn failed ${far('c', 'other.example')}`,
      ...failed,
    ])
  })
})

describe('a domain that takes messages and says nothing', () => {
  it('raises one alarm after so many in a row, and is well again with its next notice, however late', async () => {
    const { gateway, disk, pass } = await newSending(world)
    const silence = async () => (await silentDomains(gateway.store, policy.alarmAfter)).map(({ domain }) => domain)
    const alarms = async () => (await actions(gateway)).filter((one) => one === 'alarm domain-silent').length
    for (const n of [1, 2, 3]) {
      await sending(gateway, { id: `m${n}@x`, to: [doctor, far('b')] })
      pass(policy.processedMs)
      await trackDue(gateway)
      expect([await silence(), await alarms()]).toEqual(n < 2 ? [[], 0] : [['far.example'], 1])
    }
    await answered(gateway, farNotice('processed'))
    expect([await silence(), await alarms()]).toEqual([[], 1])
    expect(await actions(gateway)).toContain('domain.heard')
    expect(await checkHome(disk, gateway).findings()).toMatchObject({ findings: [] })
  })

  it('is not a domain that could not be reached', async () => {
    const { gateway, pass } = await newSending(world)
    await sending(gateway, { until: 'queued' })
    pass(policy.processedMs)
    await trackDue(gateway)
    expect(await silentDomains(gateway.store, 1)).toEqual([])
  })
})

describe('the notice of a failure', () => {
  it('names the message as edge systems look for it, says why and what to do, and nothing of what it says', async () => {
    const { gateway, pass } = await newSending(world)
    await sending(gateway)
    pass(policy.processedMs)
    await trackDue(gateway)
    const [message] = await messagesOf(gateway, alice)
    const bytes = await gather((await gateway.mailbox.original(await mailboxOf(gateway), message?.id ?? '')) ?? [])
    const text = Buffer.from(bytes).toString()
    for (const field of ['In-Reply-To: <m1@x>', 'References: <m1@x>', 'Auto-Submitted: auto-replied', 'Date: '])
      expect(text).toContain(`\r\n${field}`)
    expect(text).toMatch(/^From: postmaster@patients\.example\r\n/)
    expect(text.match(/X-Original-Message-ID: <m1@x>/g)).toHaveLength(2) // for people, and for machines
    expect(text).toContain(`Final-Recipient: rfc822;${doctor}\r\nAction: failed\r\nStatus: 5.4.7\r\n`)
    expect(text).toContain('not-processed: his mail server took it (mx: 250 ok)')
    expect(text.replace(/=\r\n/g, '').replace(/\s+/g, ' ')).toContain('Ask the recipient, and send again.')
    expect(text).not.toMatch(/Secret|All is well/)
  })
})
