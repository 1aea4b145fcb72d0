import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import { openAttempts } from '../../src/delivery/attempt.js'
import { startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { trackingPolicy } from '../../src/pipeline/deadlines.js'
import { edgeOutcomesOf } from '../../src/pipeline/edge.js'
import { onHoldAt, openQueues, type QueueActor, queueLimits } from '../../src/pipeline/queue.js'
import { queueActions, queueNames } from '../../src/pipeline/queue-rules.js'
import { cancelWaiting, track } from '../../src/pipeline/tracking.js'
import type { Work } from '../../src/pipeline/work.js'
import { isMoment } from '../../src/ports/rows.js'
import type { ClaimedJob } from '../../src/ports/store.js'
import type { CertificateDirectory } from '../../src/ports/trust.js'
import {
  begunKey,
  decodeOutbound,
  edgeQueue,
  enqueueOutbound,
  type OutboundJob,
  outboundQueue,
} from '../../src/spool/outbound.js'
import { inboundQueue } from '../../src/spool/spool.js'
import { submissionQueue, trackingQueue } from '../../src/spool/submission.js'
import { loopback, type ScriptedPeer, scriptedPeer } from '../delivery/scripted.js'
import { accept, alice, bob, clinicAuthority, messagesOf, seal, storyOf } from '../fixtures/gateway.js'
import { makeLeaf } from '../fixtures/pki.js'
import { bootSending, newSending, queued, type Sending, sendDue, statesOf, submitTo } from '../fixtures/sending.js'
import { checkHome } from '../upkeep/world.js'

const far = (local: string, domain = 'far.example') => `${local}@${domain}` as DirectAddress
const key = makeLeaf(clinicAuthority, { san: { dns: ['far.example', 'other.example'] } })
const everybody: CertificateDirectory = {
  of: async () => ({
    kind: 'found',
    source: 'dns',
    binding: 'domain',
    certificates: [key.certificate],
    steps: [{ source: 'dns', binding: 'domain', place: 'CERT', outcome: 'found', detail: '' }],
  }),
}
const actor: QueueActor = { by: 'operator', reason: 'the far side is being moved' }
const hour = 3_600_000

const workers: Work[] = []
const peers: ScriptedPeer[] = []
afterEach(async () => {
  for (const work of workers.splice(0)) await work.stop(1000)
  for (const peer of peers.splice(0)) peer.close()
})

/** A gateway that sends, with its queues as operators see them; time passes when it is told to, pauses at once. */
async function world() {
  const { gateway, disk, pass } = await newSending({ discovery: everybody })
  return { ...desk(gateway), disk, pass }
}

function desk(gateway: Sending, pause: (ms: number) => Promise<void> = async () => undefined) {
  const nudged: string[] = []
  const edge = edgeOutcomesOf({ ...gateway, isKnown: () => true })
  const queues = openQueues({
    ...gateway,
    ends: {
      [submissionQueue]: (job, why) => cancelWaiting(job, why, gateway),
      [outboundQueue]: gateway.outcomes,
      [edgeQueue]: edge,
    },
    nudge(queue) {
      nudged.push(queue)
      for (const work of workers) work.nudge()
    },
    pause,
  })
  return { gateway, queues, nudged }
}

async function sent(gateway: Sending, to: readonly DirectAddress[], more: { readonly messageId?: string } = {}) {
  const text = `From: <${alice}>\r\nTo: ${to.map((one) => `<${one}>`).join(', ')}\r\n\r\nAll is well.\r\n`
  const outcome = await submitTo(gateway, alice, to, { text, ...more })
  if (outcome.kind === 'refused') throw new Error(JSON.stringify(outcome))
  await sendDue(gateway)
  return outcome.id
}

const jobOf = async (gateway: Sending, domain = 'far.example') => {
  const found = (await queued(gateway)).find(({ to }) => to[0]?.endsWith(`@${domain}`))
  if (!found) throw new Error(`nothing goes to ${domain}`)
  return found
}

const auditOf = async (gateway: Sending) => {
  const page = await readAudit(gateway.store, 1, 1000)
  return page.flatMap(({ entry }) => (entry?.action.startsWith('queue.') ? [entry] : []))
}

describe('the list of what waits', () => {
  it('tells what it is, from whom to whom, and its last trouble, with nothing of what it says', async () => {
    const { gateway, queues, pass } = await world()
    const id = await sent(gateway, [far('a'), far('b', 'other.example')])
    const [claimed] = await gateway.store.claim(outboundQueue, 1, 1000)
    const job = await jobOf(gateway)
    const parts = await gateway.outcomes(job, [{ kind: 'retry', host: 'mx', detail: '451 4.3.0 later', to: job.to }])
    await gateway.store.commit(parts)
    const page = await queues.list({ queue: outboundQueue })
    if (page.kind !== 'page') throw new Error(page.kind)
    expect(page.next).toBeUndefined()
    expect(page.mail.find(({ to }) => to[0] === far('a'))).toMatchObject({
      ...{ kind: 'message', trail: id, from: alice, to: [far('a')], tries: 0, trouble: 'mx: 451 4.3.0 later' },
    })
    expect(page.mail.find(({ to }) => to[0] === far('b', 'other.example'))?.trouble).toBeUndefined()
    expect(page.mail.map(({ state }) => state).sort()).toEqual(['held', 'waiting'])
    expect(JSON.stringify(page)).not.toMatch(/All is well|Secret/)
    expect(await queues.list({ queue: outboundQueue, state: 'held' })).toMatchObject({ mail: [{ id: claimed?.id }] })
    expect(await queues.list({ queue: outboundQueue, domain: 'Other.Example' })).toMatchObject({
      mail: [{ to: [far('b', 'other.example')] }],
    })
    expect(await queues.list({ queue: outboundQueue, recipient: far('a') })).toMatchObject({
      mail: [{ to: [far('a')] }],
    })
    expect(await queues.list({ recipient: far('nobody') })).toEqual({ kind: 'page', mail: [] })
    pass(hour)
    const shown = await queues.show(outboundQueue, job.id)
    expect(shown?.mail).toMatchObject({ state: 'waiting', trouble: 'mx: 451 4.3.0 later' })
    expect(shown?.steps.map(({ step }) => step)).toContain('attempted')
  })

  it('gives pages that meet every job once, whatever queue it is in', async () => {
    const { gateway, queues } = await world()
    const payload = Buffer.from('{"v":1}')
    const names = [submissionQueue, outboundQueue, inboundQueue]
    await gateway.store.commit({
      enqueue: names.flatMap((queue) =>
        Array.from({ length: 70 }, (_, i) => ({ queue, id: `${queue}-${i}`, payload, dueAt: i % 7 })),
      ),
    })
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await queues.list({}, { limit: 17, cursor })
      if (page.kind !== 'page') throw new Error(page.kind)
      seen.push(...page.mail.map(({ id }) => id))
      expect(page.mail.every(({ kind }) => kind === 'unreadable')).toBe(true)
      cursor = page.next
    } while (cursor !== undefined)
    expect(seen).toHaveLength(210)
    expect(new Set(seen).size).toBe(210)
    for (const bad of ['', 'x', Buffer.from('nowhere 1 x').toString('base64url')])
      expect(await queues.list({}, { cursor: bad })).toEqual({ kind: 'bad-cursor' })
    expect(await queues.list({ queue: 'nowhere' })).toEqual({ kind: 'page', mail: [] })
  })
})

describe('names and cursors of strangers', () => {
  it('never throw, and never find what is not there', async () => {
    const { gateway, queues } = await world()
    await sent(gateway, [far('a')])
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ maxLength: 300 }))
    const cursor = fc.tuple(
      fc.constantFrom(...queueNames, 'x'),
      fc.nat({ max: 2 ** 31 }),
      fc.nat({ max: 9_999_999 }),
      text,
    )
    await fc.assert(
      fc.asyncProperty(text, text, cursor, async (queue, id, [name, high, low, rest]) => {
        expect(await queues.show(queue, id)).toBeUndefined()
        expect(await queues.show(outboundQueue, id)).toBeUndefined()
        expect(await queues.act('retry', outboundQueue, id, { by: queue, reason: id })).toEqual({ kind: 'not-found' })
        const place = Buffer.from(`${name} ${high}${low} ${rest}`).toString('base64url')
        for (const cursor of [place, id]) {
          const page = await queues.list({ all: true, domain: queue }, { cursor })
          expect(page.kind === 'bad-cursor' || page.mail.length === 0).toBe(true)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('mail on hold', () => {
  it('is tried by nobody until it is released, also after a restart, and then at once', async () => {
    const { gateway, queues, nudged, disk, pass } = await world()
    const id = await sent(gateway, [far('a')])
    const job = await jobOf(gateway)
    expect(await queues.act('hold', outboundQueue, job.id, actor)).toMatchObject({
      kind: 'done',
      mail: { state: 'waiting' },
    })
    pass(365 * 24 * hour)
    expect(await gateway.store.claim(outboundQueue, 10, 1000)).toEqual([])
    expect(await gateway.store.nextDue(outboundQueue)).toBe(onHoldAt)
    expect(await queues.list({ state: 'on-hold' })).toMatchObject({ mail: [{ id: job.id, state: 'on-hold' }] })
    expect(await queues.act('hold', outboundQueue, job.id, actor)).toEqual({
      kind: 'not-so',
      detail: 'it is on hold already',
    })
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])

    const again = desk(await bootSending(disk, { discovery: everybody }))
    expect(await again.gateway.store.claim(outboundQueue, 10, 1000)).toEqual([])
    expect(await again.queues.act('release', outboundQueue, job.id, { by: 'operator' })).toMatchObject({ kind: 'done' })
    expect([nudged, again.nudged]).toEqual([[outboundQueue], [outboundQueue]])
    expect((await again.gateway.store.claim(outboundQueue, 10, 1000)).map(({ id }) => id)).toEqual([job.id])
    expect(await storyOf(again.gateway, id)).toEqual(
      expect.arrayContaining([`on-hold ${far('a')}`, `released ${far('a')}`]),
    )
    expect(await auditOf(again.gateway)).toMatchObject([
      { action: 'queue.hold', actor: 'operator', subject: { job: job.id, spool: id }, reason: actor.reason },
      { action: 'queue.release', outcome: 'success' },
    ])
  })

  it('is no excuse: at its deadline a message fails, its copy is gone, and its sender is told once', async () => {
    const { gateway, queues, disk, pass } = await world()
    const id = await sent(gateway, [far('a')])
    const job = await jobOf(gateway)
    await queues.act('hold', outboundQueue, job.id, actor)
    pass(trackingPolicy.processedMs)
    const [deadline] = await gateway.store.claim(trackingQueue, 1, 1000)
    await track(deadline as ClaimedJob, gateway)
    expect(await statesOf(gateway, alice, id)).toEqual({ [far('a')]: 'failed not-processed' })
    expect(await queues.act('release', outboundQueue, job.id, actor)).toEqual({ kind: 'not-found' })
    expect((await messagesOf(gateway, alice)).map(({ notice }) => notice?.finalRecipient)).toEqual([far('a')])
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])
  })

  it('before it is sealed goes on where it stood, once it is released', async () => {
    const { gateway, queues } = await world()
    const text = `From: <${alice}>\r\nTo: <${far('a')}>\r\n\r\nAll is well.\r\n`
    const outcome = await submitTo(gateway, alice, [far('a')], { text })
    const id = outcome.kind === 'submitted' ? outcome.id : ''
    expect(await queues.act('hold', submissionQueue, id, actor)).toMatchObject({ mail: { kind: 'submitted' } })
    expect(await sendDue(gateway)).toBe(0)
    expect(await queues.act('release', submissionQueue, id, actor)).toMatchObject({ kind: 'done' })
    expect(await sendDue(gateway)).toBe(1)
    expect(await statesOf(gateway, alice, id)).toEqual({ [far('a')]: 'queued' })
  })

  it('is only released where it was on hold', async () => {
    const { gateway, queues } = await world()
    await sent(gateway, [far('a')])
    const job = await jobOf(gateway)
    const before = await gateway.store.job(outboundQueue, job.id)
    expect(await queues.act('release', outboundQueue, job.id, actor)).toEqual({
      kind: 'not-so',
      detail: 'it is not on hold',
    })
    expect(await gateway.store.job(outboundQueue, job.id)).toEqual(before)
    expect(await auditOf(gateway)).toEqual([])
  })
})

describe('a retry', () => {
  it('is due now, with its tries counted, whatever a try that was cut off had planned', async () => {
    const { gateway, queues, pass } = await world()
    await sent(gateway, [far('a')])
    const job = await jobOf(gateway)
    const [held] = await gateway.store.claim(outboundQueue, 1, 1000)
    const later = { release: [{ job: held as ClaimedJob, dueAt: Date.now() + 9 * hour }] }
    const begun = {
      key: begunKey(job),
      value: Buffer.from(JSON.stringify({ tries: 3, nextAt: Date.now() + 9 * hour })),
    }
    await gateway.store.commit({ ...later, put: [begun] })
    expect(await queues.act('retry', outboundQueue, job.id, actor)).toMatchObject({ kind: 'done' })
    expect(await gateway.store.get(begun.key)).toBeUndefined()
    expect((await jobOf(gateway)).tries).toBe(3)
    expect(await gateway.store.claim(outboundQueue, 1, 1000)).toHaveLength(1)
    pass(1000)
  })

  it('of what a worker has is refused after a short wait, and never takes it from him', async () => {
    const { gateway } = await world()
    await sent(gateway, [far('a')])
    const job = await jobOf(gateway)
    const [held] = await gateway.store.claim(outboundQueue, 1, 60_000)
    const waits: number[] = []
    const { queues, nudged } = desk(gateway, async (ms) => void waits.push(ms))
    for (const action of queueActions) {
      const outcome = await queues.act(action, outboundQueue, job.id, actor)
      expect(outcome).toEqual({ kind: 'busy' })
    }
    expect(waits).toEqual(queueActions.flatMap(() => Array(queueLimits.busyTries - 1).fill(queueLimits.busyWaitMs)))
    expect(nudged).toEqual([])
    expect(await gateway.store.commit({ ack: [{ job: held as ClaimedJob }] })).toEqual({ kind: 'committed' })
    expect(await queues.act('retry', outboundQueue, job.id, actor)).toEqual({ kind: 'not-found' })
  })

  it('comes to its turn where the worker lets go within the wait', async () => {
    const { gateway } = await world()
    await sent(gateway, [far('a')])
    const [held] = await gateway.store.claim(outboundQueue, 1, 60_000)
    const dueAt = Date.now() + hour
    const { queues } = desk(gateway, async () => {
      await gateway.store.commit({ release: [{ job: held as ClaimedJob, dueAt }] })
    })
    expect(await queues.act('retry', outboundQueue, held?.id ?? '', actor)).toMatchObject({
      kind: 'done',
      mail: { dueAt },
    })
  })
})

describe('what is cancelled', () => {
  it('never leaves, and its sender is told once for each recipient', async () => {
    const { gateway, queues, disk } = await world()
    const id = await sent(gateway, [far('a'), far('c'), far('b', 'other.example')])
    const job = await jobOf(gateway)
    expect(await queues.act('cancel', outboundQueue, job.id, actor)).toMatchObject({ kind: 'done' })
    expect(await queues.act('cancel', outboundQueue, job.id, actor)).toEqual({ kind: 'not-found' })
    expect((await queued(gateway)).map(({ to }) => to)).toEqual([[far('b', 'other.example')]])
    expect(await statesOf(gateway, alice, id)).toEqual({
      [far('a')]: 'failed cancelled',
      [far('c')]: 'failed cancelled',
      [far('b', 'other.example')]: 'queued',
    })
    const told = (await messagesOf(gateway, alice)).flatMap(({ notice }) => notice?.finalRecipient ?? [])
    expect(told.sort()).toEqual([far('a'), far('c')])
    const story = await storyOf(gateway, id)
    for (const step of ['cancelled', 'failed', 'reported']) expect(story).toContain(`${step} ${far('a')}`)
    expect(await auditOf(gateway)).toMatchObject([{ action: 'queue.cancel', reason: actor.reason }])
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])
  })

  it('lets go of the bytes that it held', async () => {
    const { gateway, queues, disk } = await world()
    const text = `From: <${alice}>\r\nTo: <${far('a')}>\r\nContent-Type: text/plain\r\n\r\n${'All is well.\r\n'.repeat(40_000)}`
    await submitTo(gateway, alice, [far('a')], { text })
    await sendDue(gateway)
    const job = await jobOf(gateway)
    expect(job.blob).toBeDefined()
    const holds = async () =>
      (await gateway.store.range({ gte: `blob/${job.blob?.name}`, lt: 'blob0', limit: 10 })).length
    const before = await holds()
    await queues.act('cancel', outboundQueue, job.id, actor)
    expect(await holds()).toBeLessThan(before)
    expect((await checkHome(disk, gateway).findings()).findings).toEqual([])
  })

  it('is a notice of ours: told in its trail and the audit, to nobody else', async () => {
    const { gateway, queues } = await world()
    const notice: OutboundJob = {
      ...{ id: 'notice', trail: 'a'.repeat(26), kind: 'mdn', from: null, to: [far('dr')], stage: 'sealed' },
      ...{ body: Buffer.from('x'), owedAt: 1, tries: 0 },
    }
    await gateway.store.commit(enqueueOutbound(notice, 1))
    expect(await queues.show(outboundQueue, 'notice')).toMatchObject({ mail: { kind: 'notice', from: null } })
    expect(await queues.act('cancel', outboundQueue, 'notice', actor)).toMatchObject({ kind: 'done' })
    expect(await queued(gateway)).toEqual([])
    expect(await storyOf(gateway, notice.trail)).toEqual([`cancelled ${far('dr')}`])
    expect((await auditOf(gateway)).map(({ action }) => action)).toEqual(['queue.cancel'])
    expect(await messagesOf(gateway, alice)).toEqual([])
  })

  it('on its way to a system of ours: no alarm, since somebody wanted it, and the message stays in the mailbox', async () => {
    const { gateway, queues } = await world()
    const mail: OutboundJob = {
      ...{ id: 'edge', trail: 'b'.repeat(26), kind: 'edge', from: null, to: [bob], stage: 'stored', system: 'ehr' },
      ...{ source: { mailbox: 'm', message: 'x' }, body: new Uint8Array(), owedAt: 1, tries: 0 },
    }
    await gateway.store.commit(enqueueOutbound(mail, 1))
    expect(await queues.act('cancel', edgeQueue, 'edge', actor)).toMatchObject({
      kind: 'done',
      mail: { system: 'ehr' },
    })
    expect(await gateway.store.jobs(edgeQueue, 10)).toEqual([])
    const story = await storyOf(gateway, mail.trail)
    for (const step of ['cancelled', 'edge-failed']) expect(story).toContain(`${step} ${bob}`)
    expect(story).not.toContain(`alarm ${bob}`)
  })

  it('cannot be read: refused, as nobody could be told, and left as it was', async () => {
    const { gateway, queues } = await world()
    const dueAt = Date.now()
    await gateway.store.commit({ enqueue: [{ queue: outboundQueue, id: 'x', payload: Buffer.from('?'), dueAt }] })
    expect(await queues.act('cancel', outboundQueue, 'x', actor)).toMatchObject({ kind: 'not-so' })
    expect(await gateway.store.job(outboundQueue, 'x')).toMatchObject({ dueAt, held: false })
    expect(await queues.act('hold', outboundQueue, 'x', actor)).toMatchObject({ kind: 'done' })
  })
})

describe('what is cancelled before it is sealed', () => {
  it('never leaves, and its sender is told of each, once', async () => {
    const { gateway, queues } = await world()
    const outcome = await submitTo(gateway, alice, [far('a'), far('b')])
    const id = outcome.kind === 'submitted' ? outcome.id : ''
    expect(await queues.act('cancel', submissionQueue, id, actor)).toMatchObject({ kind: 'done' })
    expect(await queues.act('cancel', submissionQueue, id, actor)).toEqual({ kind: 'not-found' })
    await sendDue(gateway)
    expect(await gateway.store.jobs(outboundQueue, 10)).toEqual([])
    expect(await statesOf(gateway, alice, id)).toEqual({
      [far('a')]: 'failed cancelled',
      [far('b')]: 'failed cancelled',
    })
    expect(await messagesOf(gateway, alice)).toHaveLength(2)
    expect(await auditOf(gateway)).toMatchObject([{ action: 'queue.cancel' }])
  })
})

describe('what may not be done', () => {
  it('is refused with what to do instead, and changes nothing', async () => {
    const { gateway, queues, nudged } = await world()
    const id = await accept(gateway, seal())
    await submitTo(gateway, alice, [far('a')])
    const [deadline] = await gateway.store.jobs(trackingQueue, 1)
    for (const [action, queue, job] of [
      ['hold', inboundQueue, id],
      ['cancel', inboundQueue, id],
      ['cancel', trackingQueue, deadline?.id ?? ''],
    ] as const) {
      const outcome = await queues.act(action, queue, job, actor)
      expect(outcome).toMatchObject({ kind: 'not-so', detail: expect.stringMatching(/.{20}/) })
    }
    expect(await auditOf(gateway)).toEqual([])
    expect(nudged).toEqual([])
    expect(await queues.act('retry', inboundQueue, id, actor)).toMatchObject({
      kind: 'done',
      mail: { kind: 'accepted' },
    })
    expect(nudged).toEqual([inboundQueue])
  })

  it('to what is not there, in any queue or none', async () => {
    const { queues } = await world()
    for (const queue of [...queueNames, 'nowhere', '__proto__', ''])
      for (const action of queueActions)
        expect(await queues.act(action, queue, 'nothing', actor)).toEqual({ kind: 'not-found' })
    for (const id of ['', 'a\0b', 'x'.repeat(2000)]) {
      expect(await queues.act('retry', outboundQueue, id, actor)).toEqual({ kind: 'not-found' })
      expect(await queues.show(outboundQueue, id)).toBeUndefined()
    }
  })
})

describe('everything for a domain', () => {
  it('is held, released and cancelled together, and nothing for another', async () => {
    const { gateway, queues } = await world()
    for (let i = 0; i < 60; i++) await sent(gateway, [far(`a${i}`), far('b', 'other.example')])
    const [held] = await gateway.store.claim(outboundQueue, 1, 60_000)
    const domain = decodeOutbound(held?.payload ?? new Uint8Array())?.to[0]?.split('@')[1] ?? ''
    const filter = { queue: outboundQueue, domain }
    const outcome = await queues.actOnAll('hold', filter, actor)
    expect(outcome).toMatchObject({ busy: 1, not: 0, more: false })
    expect(outcome.done).toHaveLength(59)
    const page = await queues.list({ state: 'on-hold' }, { limit: 200 })
    if (page.kind !== 'page') throw new Error(page.kind)
    expect(page.mail.every(({ to }) => to[0]?.endsWith(`@${domain}`))).toBe(true)
    expect((await queues.actOnAll('release', filter, actor)).done).toHaveLength(59)
    expect((await queues.actOnAll('cancel', filter, actor)).done).toHaveLength(59)
    expect(await gateway.store.jobs(outboundQueue, 1000)).toHaveLength(61)
    expect((await auditOf(gateway)).length).toBe(3 * 59)
  })
})

describe('with the far side down', () => {
  async function delivering(gateway: Sending, port: number) {
    const attempt = openAttempts({ hostname: 'us.example', exchanges: loopback, port, limits: { idleMs: 2000 } })
    const random = { bytes: () => Buffer.from('7fffffff', 'hex') }
    const work = startDelivery({
      ...gateway,
      ...{ random, attempt, outcomeParts: gateway.outcomes, prepare: gateway.prepare },
    })
    workers.push(work)
    return work
  }
  const until = async (holds: () => Promise<boolean> | boolean) => {
    for (let waited = 0; !(await holds()); waited += 10) {
      if (waited > 10_000) throw new Error('It did not become true')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  it('mail is held, and retried when it is up: it arrives once, at once', async () => {
    const { gateway, queues } = await world()
    const peer = await scriptedPeer({ greeting: '421 4.3.2 down' }, {})
    peers.push(peer)
    const id = await sent(gateway, [far('a')])
    await delivering(gateway, peer.port)
    await until(async () => (await storyOf(gateway, id)).includes(`attempted ${far('a')}`))
    const { id: job } = await jobOf(gateway)
    await until(async () => (await gateway.store.job(outboundQueue, job))?.held === false)
    expect(await queues.act('hold', outboundQueue, job, actor)).toMatchObject({ kind: 'done' })
    expect(peer.connections()).toBe(1)
    // Of a clock that stands still only the operator can make it due.
    expect(await queues.act('retry', outboundQueue, job, actor)).toMatchObject({
      kind: 'done',
      mail: { state: 'on-hold' },
    })
    await until(async () => (await statesOf(gateway, alice, id))[far('a')] === 'sent')
    expect(peer.messages).toHaveLength(1)
    expect(await gateway.store.jobs(outboundQueue, 10)).toEqual([])
  })

  it('mail that is cancelled never arrives, and one notice tells of it', async () => {
    const { gateway, queues, pass } = await world()
    const peer = await scriptedPeer({ greeting: '421 4.3.2 down' }, {})
    peers.push(peer)
    const id = await sent(gateway, [far('a')])
    const work = await delivering(gateway, peer.port)
    await until(async () => (await storyOf(gateway, id)).includes(`attempted ${far('a')}`))
    const { id: job } = await jobOf(gateway)
    await until(async () => (await gateway.store.job(outboundQueue, job))?.held === false)
    expect(await queues.act('cancel', outboundQueue, job, actor)).toMatchObject({ kind: 'done' })
    pass(24 * hour)
    work.nudge()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(peer.messages).toEqual([])
    expect((await messagesOf(gateway, alice)).map(({ notice }) => notice?.finalRecipient)).toEqual([far('a')])
  })

  it('an operator and a worker who reach for the same job never both get it', async () => {
    const { gateway, queues } = await world()
    const peer = await scriptedPeer({})
    peers.push(peer)
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, i) => submitTo(gateway, alice, [far(`a${i}`)], { messageId: `<${i}@x>` })),
    )
    await sendDue(gateway)
    await sendDue(gateway)
    const jobs = await queued(gateway)
    expect(jobs).toHaveLength(ids.length)
    await delivering(gateway, peer.port)
    const outcomes = await Promise.all(jobs.map(({ id }) => queues.act('cancel', outboundQueue, id, actor)))
    await until(async () => (await gateway.store.jobs(outboundQueue, 10)).length === 0)
    const cancelled = outcomes.filter(({ kind }) => kind === 'done').length
    expect(peer.messages.length + cancelled).toBe(ids.length)
    expect(await messagesOf(gateway, alice)).toHaveLength(cancelled)
  })
})

it('is put on hold until a moment that every row may have', () => {
  expect(isMoment(onHoldAt)).toBe(true)
})
