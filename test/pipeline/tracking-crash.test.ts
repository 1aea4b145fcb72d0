import { describe, expect, it } from 'vitest'
import { readAudit, verifyChain } from '../../src/audit/audit.js'
import { track } from '../../src/pipeline/tracking.js'
import type { Store } from '../../src/ports/store.js'
import { decodeOutbound, outboundQueue } from '../../src/spool/outbound.js'
import { trackingQueue } from '../../src/spool/submission.js'
import { accept, alice, furnish, newDisk, type World, work } from '../fixtures/gateway.js'
import { bootSending, type Sending, statesOf } from '../fixtures/sending.js'
import { discovery, far, farNotice, policy, sending, told } from '../fixtures/tracking.js'

/** The process dies: nothing after this happens in it. */
class Death extends Error {}

/** A process that dies at the k-th call of its store, before it or after it took effect; every later call dies too. */
function dyingAt(k: number, when: 'before' | 'after'): World & { died(): boolean; arm(): void } {
  let [count, armed, dead] = [0, false, false]
  const hook = (moment: 'before' | 'after') => () => {
    if (!armed) return
    if (dead) throw new Death()
    if (moment === 'before') count++
    if (count >= k && moment === when) {
      dead = true
      throw new Death()
    }
  }
  return {
    beforeCall: hook('before'),
    afterCall: hook('after'),
    died: () => dead,
    arm: () => {
      armed = true
    },
  }
}

const sent = far('sent')
const queued = far('queued', 'other.example')
const answers = far('answers', 'third.example')
const unknown = far('x', 'unknown.example')
const all = [sent, queued, answers, unknown]
type Life = (gateway: Sending) => Promise<void>

/** What happens at the deadline: the answer of one comes, and then whoever is left fails. */
const atTheDeadline: Life = async (gateway) => {
  await work(gateway)
  for (const job of await gateway.store.claim(trackingQueue, 10, 1000)) await track(job, gateway, policy)
}

/** A message is on its way as far as told; at the deadline a process dies at its k-th call, and another comes to the end. */
async function lifeWithDeath(k: number, when: 'before' | 'after', life: Life, behind?: (store: Store) => Store) {
  const time = { at: Date.now() }
  const disk = newDisk({ now: () => time.at })
  const first = await bootSending(disk, { discovery })
  await furnish(first)
  const id = await sending(first, { to: all, asks: 'dispatched', until: 'queued' })
  await firstTry(first)
  await accept(first, farNotice('dispatched', { from: answers }), [alice], null)
  time.at += policy.processedMs

  const death = dyingAt(k, when)
  const dying = await bootSending(disk, { ...death, discovery }, behind)
  death.arm()
  try {
    await life(dying)
  } catch (error) {
    if (!(error instanceof Death)) throw error
  }
  // Leases run out, also those on copies.
  time.at += policy.processedMs
  const after = await bootSending(disk, { discovery })
  await atTheDeadline(after)
  time.at += policy.processedMs
  await atTheDeadline(after)
  for (const late of [sent, answers]) await accept(after, farNotice('dispatched', { from: late }), [alice], null)
  await work(after)
  return { after, id, died: death.died() }
}

/** Two arrive, and the third waits for its next try, which is far away. */
async function firstTry(gateway: Sending): Promise<void> {
  for (const job of await gateway.store.claim(outboundQueue, 100, 60_000)) {
    const mail = decodeOutbound(job.payload)
    if (!mail) throw new Error('unreadable job')
    const { to } = mail
    const isLate = to.includes(queued)
    const parts = await gateway.outcomes(mail, [
      isLate
        ? { kind: 'retry', host: 'mx', detail: '451 later', to }
        : { kind: 'delivered', host: 'mx', reply: '250 ok', to },
    ])
    const ending = isLate ? { release: [{ job, dueAt: job.dueAt + 100 * policy.processedMs }] } : { ack: [{ job }] }
    await gateway.store.commit({ ...parts, ...ending })
  }
}

async function endingOf(gateway: Sending, id: string): Promise<object> {
  const audited = (await readAudit(gateway.store, 1, 1000)).map(({ entry }) => entry?.action ?? '')
  return {
    states: await statesOf(gateway, alice, id),
    told: (await told(gateway)).sort(),
    left: [...(await gateway.store.jobs(outboundQueue, 10)), ...(await gateway.store.jobs(trackingQueue, 10))].length,
    failures: audited.filter((one) => one === 'message.track').length,
    chain: (await verifyChain(gateway.store)).kind,
  }
}

const ending = {
  states: {
    [sent]: 'failed not-processed',
    [queued]: 'failed not-processed',
    [answers]: 'dispatched',
    [unknown]: 'failed not-processed',
  },
  told: [`dsn failed ${queued}`, `dsn failed ${sent}`, `dsn failed ${unknown}`, `mdn dispatched ${answers}`].sort(),
  left: 0,
  failures: 3,
  chain: 'whole',
}

async function everyDeath(
  when: 'before' | 'after',
  behind?: (store: Store) => Store,
  life = atTheDeadline,
  most = 200,
) {
  const wrong: number[] = []
  let points = 0
  for (let k = 1; k < 200; k++) {
    const { after, id, died } = await lifeWithDeath(k, when, life, behind)
    if (JSON.stringify(sorted(await endingOf(after, id))) !== JSON.stringify(sorted(ending))) wrong.push(k)
    if (!died || wrong.length >= most) break
    points++
  }
  return { wrong, points }
}

const sorted = (value: object) =>
  Object.entries(value).map(([name, one]) => [
    name,
    Array.isArray(one) || typeof one !== 'object' ? one : Object.entries(one as object).sort(),
  ])

describe('a process that dies at any call of its store', () => {
  it.each(['before', 'after'] as const)(
    'at a deadline, %s the call, tells everybody once and all the same',
    async (when) => {
      const { after, id } = await lifeWithDeath(10_000, when, atTheDeadline)
      expect(await endingOf(after, id)).toEqual(ending)
      const { wrong, points } = await everyDeath(when)
      expect(wrong).toEqual([])
      expect(points).toBeGreaterThanOrEqual(15)
      expect(points).toBeLessThan(199)
    },
  )

  it('lets a late answer through, and this test sees it, where an answer finds everybody still waiting for one (seeded bug)', async () => {
    const { wrong } = await everyDeath(
      'before',
      undefined,
      async ({ submissions, ...gateway }) => {
        const answering: typeof submissions.answering = async (...asked) =>
          (await submissions.answering(...asked)).map(({ submission, ...stored }) => {
            const recipients = submission.recipients.map((one) => ({ ...one, state: 'sent' as const }))
            return { ...stored, submission: { ...submission, recipients } }
          })
        await work({ ...gateway, submissions: { ...submissions, answering } })
      },
      1,
    )
    expect(wrong.length).toBeGreaterThan(0)
  })

  it('tells twice, and this test sees it, where a state is written without looking at its version (seeded bug)', async () => {
    const { wrong } = await everyDeath(
      'before',
      (store) => ({
        ...store,
        async commit({ put = [], require = [], ...batch }) {
          // First the notices and the rest, then, apart from them, the states that they follow from.
          const isState = ({ key }: { readonly key: string }) => /^submission\/[^/]+\/state\//.test(key)
          const result = await store.commit({
            ...batch,
            require: require.filter((one) => !isState(one)),
            put: put.filter((one) => !isState(one)),
          })
          if (result.kind === 'committed' && put.some(isState)) await store.commit({ put: put.filter(isState) })
          return result
        },
      }),
      atTheDeadline,
      1,
    )
    expect(wrong.length).toBeGreaterThan(0)
  })
})
