import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openQueues } from '../../src/pipeline/queue.js'
import { encodeOutbound, type OutboundJob, outboundQueue } from '../../src/spool/outbound.js'
import { inboundQueue } from '../../src/spool/spool.js'
import { keyboard } from './world.js'

const trail = 'a'.repeat(26)

function notice(id: string, to: string): OutboundJob {
  const body = Buffer.from('what it says')
  return { id, trail, kind: 'mdn', from: null, to: [to as DirectAddress], stage: 'sealed', owedAt: 1, tries: 2, body }
}

/** An operator before three notices on their way, one of them with a worker that lets it go when it is told to. */
async function desk() {
  const { run, gateway, operator } = await keyboard()
  const { store, clock } = gateway
  const nudged: string[] = []
  let paused = 0
  const queues = openQueues({
    ...gateway,
    ends: { submission: async () => ({}), outbound: () => ({}), edge: () => ({}) },
    nudge: (queue) => void nudged.push(queue),
    pause: async () => void paused++,
  })
  Object.assign(operator, { queues })
  const jobs = [notice('one', 'a@far.example'), notice('two', 'b@far.example'), notice('other', 'c@other.example')]
  await store.commit({
    enqueue: jobs.map((job, i) => ({
      ...{ queue: outboundQueue, id: job.id, payload: encodeOutbound(job) },
      dueAt: clock.now() + 3_600_000 + i,
    })),
    ...gateway.trail.steps(trail, [{ at: 1, step: 'notice-attempted', detail: 'mx: 451 4.3.0 \u001b[2J later' }]),
  })
  const json = async (...argv: string[]) => JSON.parse((await run(...argv, '--json')).out)
  const ids = async (...argv: string[]) => (await json('queue', 'list', ...argv)).map(({ id }: { id: string }) => id)
  return { run, json, ids, store, clock, nudged, paused: () => paused }
}

describe('the queue at the keyboard', () => {
  it('is listed with what it is and what stands in its way, in safe words, and filtered', async () => {
    const { run, ids, json } = await desk()
    const { out } = await run('queue', 'list')
    expect(out).toMatch(/QUEUE +ID +KIND +STATE +FROM +TO +TRIES +DUE AT +AGE +TROUBLE/)
    expect(out).toMatch(/outbound +one +notice +waiting +<> +a@far\.example +2 +\d{4}-.*Z +\d+d +mx: 451 4\.3\.0/)
    expect(out).not.toContain('\u001b')
    expect(out).not.toContain('what it says')
    expect(await ids('--domain', 'far.example')).toEqual(['one', 'two'])
    expect(await ids('--recipient', 'c@other.example')).toEqual(['other'])
    expect(await ids('--state', 'on-hold')).toEqual([])
    expect(await ids('--queue', 'inbound')).toEqual([])
    expect(await ids('--limit', '2')).toEqual(['one', 'two'])
    const [row] = await json('queue', 'list')
    expect(row).toMatchObject({ id: 'one', trail, tries: 2, ageSeconds: expect.any(Number) })
    for (const wrong of [
      ['--state', 'lost'],
      ['--queue', 'nowhere'],
      ['--limit', '0'],
    ])
      expect((await run('queue', 'list', ...wrong)).code).toBe(2)
  })

  it('shows one with its life', async () => {
    const { run, json } = await desk()
    const { out } = await run('queue', 'show', 'one')
    expect(out).toMatch(/STATE +waiting/)
    expect(out).toMatch(/notice-attempted/)
    expect(await json('queue', 'show', 'one', '--queue', 'outbound')).toMatchObject({ id: 'one', steps: [{}] })
    expect(await run('queue', 'show', 'nothing')).toMatchObject({
      code: 1,
      err: 'error: nothing that waits has the id nothing\n',
    })
  })

  it('puts one on hold, tries it, and cancels it for good', async () => {
    const { run, ids, store, clock, nudged } = await desk()
    expect(await run('queue', 'hold', 'one', '--reason', 'moving')).toMatchObject({
      code: 0,
      out: 'Put on hold: one, to a@far.example.\n',
    })
    expect(await ids('--state', 'on-hold')).toEqual(['one'])
    expect((await run('queue', 'list', '--state', 'on-hold')).out).toMatch(/on-hold +<> +a@far\.example +2 +\d+d/)
    expect((await run('queue', 'hold', 'one')).err).toBe('error: one stays as it is: it is on hold already\n')
    expect((await run('queue', 'retry', 'one')).out).toBe('To be tried at once: one, to a@far.example.\n')
    expect((await store.job(outboundQueue, 'one'))?.dueAt).toBe(clock.now())
    expect((await run('queue', 'release', 'one')).code).toBe(1)
    expect((await run('queue', 'cancel', 'one')).code).toBe(2)
    expect((await run('queue', 'cancel', 'one', '--reason', 'sent in error')).code).toBe(0)
    expect(await ids()).toEqual(['two', 'other'])
    expect(nudged).toEqual([outboundQueue, outboundQueue, outboundQueue])
    const entries = (await readAudit(store, 1, 1000)).flatMap(({ entry }) => entry ?? [])
    expect(entries.filter(({ action }) => action.startsWith('queue.'))).toMatchObject([
      { action: 'queue.hold', actor: 'operator', reason: 'moving' },
      { action: 'queue.retry' },
      { action: 'queue.cancel', reason: 'sent in error' },
    ])
  })

  it('acts on everything for a domain, and tells what it left', async () => {
    const { run, ids, store, json } = await desk()
    await store.claimJob(outboundQueue, 'two', 60_000)
    const held = await run('queue', 'hold', '--domain', 'far.example')
    expect(held).toMatchObject({ code: 1 })
    expect(held.out).toBe('Put on hold: 1 for far.example. 1 are being worked on: again in a moment.\n')
    expect(await ids('--state', 'on-hold')).toEqual(['one'])
    expect(await json('queue', 'release', '--domain', 'far.example')).toEqual({
      ...{ action: 'release', done: ['one'], busy: 1, not: 0, more: false },
    })
    expect(await json('queue', 'cancel', '--domain', 'other.example', '--reason', 'x')).toMatchObject({
      done: ['other'],
    })
    expect((await run('queue', 'retry', '--domain', 'nobody.example')).out).toBe(
      'To be tried at once: 0 for nobody.example.\n',
    )
  })

  it('waits a little for a worker, and then says so', async () => {
    const { run, store, paused } = await desk()
    await store.claimJob(outboundQueue, 'one', 60_000)
    expect(await run('queue', 'retry', 'one')).toMatchObject({
      code: 1,
      err: 'error: one is being worked on; again in a moment\n',
    })
    expect(paused()).toBeGreaterThan(0)
  })

  it('refuses what may not be done with what to do instead, and a command that names nothing or both', async () => {
    const { run, store, clock } = await desk()
    await store.commit({
      enqueue: [{ queue: inboundQueue, id: 'new', payload: Buffer.from('x'), dueAt: clock.now() }],
    })
    const refused = await run('queue', 'cancel', 'new', '--reason', 'x')
    expect(refused).toMatchObject({ code: 1 })
    expect(refused.err).toContain('quarantine')
    for (const argv of [['retry'], ['retry', 'one', '--domain', 'far.example'], ['hold', 'one', '--queue', 'nowhere']])
      expect(await run('queue', ...argv)).toMatchObject({ code: 2, out: '' })
    expect(await run('queue', 'retry', 'nothing')).toMatchObject({ code: 1 })
  })
})
