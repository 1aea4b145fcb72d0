import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAttempts } from '../../src/delivery/attempt.js'
import { startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openQueues, type Queues } from '../../src/pipeline/queue.js'
import type { Store } from '../../src/ports/store.js'
import type { CertificateDirectory } from '../../src/ports/trust.js'
import { outboundQueue } from '../../src/spool/outbound.js'
import { openPostgresStore } from '../../src/store/postgres/postgres.js'
import { loopback, scriptedPeer } from '../delivery/scripted.js'
import { alice, clinicAuthority, furnish, messagesOf, newDisk } from '../fixtures/gateway.js'
import { makeLeaf } from '../fixtures/pki.js'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { bootSending, queued, type Sending, sendDue, submitTo } from '../fixtures/sending.js'

const to = (i: number) => `to${i}@far.example` as DirectAddress
const key = makeLeaf(clinicAuthority, { san: { dns: ['far.example'] } })
const discovery: CertificateDirectory = {
  of: async () => ({ kind: 'found', source: 'dns', binding: 'domain', certificates: [key.certificate], steps: [] }),
}
const actor = { by: 'operator', reason: 'test' }
const count = 24

describe.skipIf(!postgresPrograms)('queues of two nodes over PostgreSQL (skipped where none is installed)', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.destroy())

  /** Two nodes with mail on its way, and a far side that takes it; the second node delivers once it is told to. */
  async function world() {
    const url = await cluster.createDatabase()
    const disk = newDisk({ now: () => Date.now() })
    const node = async () => {
      const store = await openPostgresStore({ urls: [url] })
      return bootSending(disk, { discovery }, () => store)
    }
    const a = await node()
    await furnish(a)
    const b = await node()
    const peer = await scriptedPeer({})
    for (let i = 0; i < count; i++) {
      const text = `From: <${alice}>\r\nTo: <${to(i)}>\r\n\r\nAll is well.\r\n`
      const outcome = await submitTo(a, alice, [to(i)], { text })
      if (outcome.kind === 'refused') throw new Error(JSON.stringify(outcome))
    }
    while ((await sendDue(a)) > 0);
    const work = () =>
      startDelivery({
        ...b,
        random: { bytes: () => Buffer.from('7fffffff', 'hex') },
        attempt: openAttempts({ hostname: 'us.example', exchanges: loopback, port: peer.port }),
        outcomeParts: b.outcomes,
        prepare: b.prepare,
        idleMs: 50,
      })
    const close = async () => {
      peer.close()
      await Promise.all([a.close(), b.close()])
    }
    return { a, b, peer, work, close }
  }

  const queuesOf = (gateway: Sending, store: Store = gateway.store): Queues =>
    openQueues({
      ...gateway,
      store,
      ends: { submission: async () => ({}), outbound: gateway.outcomes, edge: () => ({}) },
      nudge: () => undefined,
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    })

  async function until(holds: () => Promise<boolean>) {
    for (let waited = 0; !(await holds()); waited += 20) {
      if (waited > 30_000) throw new Error('It did not become true')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Cancels everything at one node while the other delivers it; what arrived, and of how many the sender was told. */
  async function raced(operator: (a: Sending) => Queues) {
    const { a, peer, work, close } = await world()
    const jobs = await queued(a)
    expect(jobs).toHaveLength(count)
    const delivering = work()
    try {
      const queues = operator(a)
      const outcomes = await Promise.all(jobs.map(({ id }) => queues.act('cancel', outboundQueue, id, actor)))
      await until(async () => (await a.store.jobs(outboundQueue, 10)).length === 0)
      const cancelled = outcomes.filter(({ kind }) => kind === 'done').length
      return { arrived: peer.messages.length, cancelled, told: (await messagesOf(a, alice)).length }
    } finally {
      await delivering.stop(5000)
      await close()
    }
  }

  it('are acted on at one while the other delivers: each message arrives or is cancelled, and never both', async () => {
    const { arrived, cancelled, told } = await raced((a) => queuesOf(a))
    expect(arrived + cancelled).toBe(count)
    expect(told).toBe(cancelled)
  })

  it('are put on hold at one, and the other leaves them alone until they are released', async () => {
    const { a, b, peer, work, close } = await world()
    const filter = { queue: outboundQueue, domain: 'far.example' }
    expect((await queuesOf(a).actOnAll('hold', filter, actor)).done).toHaveLength(count)
    const delivering = work()
    try {
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(peer.connections()).toBe(0)
      const page = await queuesOf(b).list({ state: 'on-hold' })
      expect(page.kind === 'page' && page.mail.length).toBe(count)
      expect((await queuesOf(b).actOnAll('release', filter, actor)).done).toHaveLength(count)
      await until(async () => (await a.store.jobs(outboundQueue, 10)).length === 0)
      expect(peer.messages).toHaveLength(count)
      expect(await messagesOf(a, alice)).toEqual([])
    } finally {
      await delivering.stop(5000)
      await close()
    }
  })

  it('would lose that with a claim that takes what a worker has (seeded bug)', async () => {
    /** An operator's store that takes any job, whoever has it. */
    const greedy = (store: Store): Store => ({
      ...store,
      async claimJob(queue, id, leaseMs) {
        const job = await store.job(queue, id)
        const found = await store.claimJob(queue, id, leaseMs)
        if (found !== 'held' || !job) return found
        return { ...job, queue, token: 'taken', leaseUntil: Date.now() + leaseMs }
      },
      commit: (batch) => store.commit({ ...batch, ack: batch.ack?.filter(({ job }) => job.token !== 'taken') ?? [] }),
    })
    // A race need not be lost each time.
    let lost = false
    for (let roundsLeft = 8; roundsLeft > 0 && !lost; roundsLeft--) {
      const { arrived, cancelled } = await raced((a) => queuesOf(a, greedy(a.store)))
      lost = arrived + cancelled !== count
    }
    expect(lost).toBe(true)
  })
})
