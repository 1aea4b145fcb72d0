import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Envelope } from '../../src/direct/envelope.js'
import { together } from '../../src/ports/store.js'
import { openQuarantine } from '../../src/spool/quarantine.js'
import { inboundQueue, openSpool } from '../../src/spool/spool.js'
import { openTrail } from '../../src/spool/trail.js'
import { auditOf, openRoom, text } from './room.js'

const a = 'a@gw.example' as DirectAddress
const b = 'b@gw.example' as DirectAddress
const c = 'c@gw.example' as DirectAddress

function envelope(...rcptTo: DirectAddress[]): Envelope {
  const peer = { address: '192.0.2.7', helo: 'mx.far.example', tls: true }
  return { mailFrom: 'x@far.example' as DirectAddress, rcptTo, peer, receivedAt: 1 }
}

function noAnchor(recipient: DirectAddress) {
  return { recipient, reason: 'no-anchor', detail: '' } as const
}

async function* once(body: string | Uint8Array) {
  yield Buffer.from(body)
}

async function setUp() {
  const room = await openRoom()
  const spool = openSpool(room)
  const quarantine = openQuarantine(room)
  /** Takes the next job. */
  async function work() {
    const [job] = await room.store.claim(inboundQueue, 1, 1000)
    const spooled = job && spool.read(job)
    if (!spooled) throw new Error('no job')
    return spooled
  }
  /** Accepts a message and refuses it for all its recipients. */
  async function refuse(body: string | Uint8Array, ...rcpt: DirectAddress[]) {
    await spool.accept(envelope(...rcpt), once(body))
    const spooled = await work()
    await room.store.commit(together(spool.finish(spooled), await quarantine.keep(spooled, rcpt.map(noAnchor))))
    return spooled.id
  }
  return { ...room, spool, quarantine, work, refuse }
}

describe('the quarantine', () => {
  it('keeps refused mail with its reasons and its bytes', async () => {
    const { quarantine, refuse } = await setUp()
    const id = await refuse('ciphertext', a)
    expect(await quarantine.get(id)).toMatchObject({ spoolId: id, refused: [{ recipient: a, reason: 'no-anchor' }] })
    const body = await quarantine.body(id)
    expect(body?.kind === 'inline' && Buffer.from(body.bytes).toString()).toBe('ciphertext')
    expect(await quarantine.get('aaaa')).toBeUndefined()
  })

  it('adds recipients that are refused later to the same entry', async () => {
    const { quarantine, spool, store, work } = await setUp()
    await spool.accept(envelope(a, b), once('x'))
    const first = await work()
    await store.commit(together(spool.release(first, [b], 0), await quarantine.keep(first, [noAnchor(a)])))
    const second = await work()
    await store.commit(together(spool.finish(second), await quarantine.keep(second, [noAnchor(b)])))
    const page = await quarantine.list({})
    expect(page).toMatchObject({ entries: [{ refused: [{ recipient: a }, { recipient: b }] }] })
  })

  it('keeps a large body alive after the job, and lets it go with the entry', async () => {
    const { quarantine, refuse, spool, clock, blobs, store } = await setUp()
    const id = await refuse(Buffer.alloc(300_000, 'x'), a)
    clock.at += 40 * 24 * 3600_000
    expect(await spool.sweepBlobs()).toBe(0)
    expect(await quarantine.purge(30 * 24 * 3600_000)).toBe(1)
    expect(await quarantine.get(id)).toBeUndefined()
    expect(await spool.sweepBlobs()).toBe(1)
    expect(blobs.files.size).toBe(0)
    expect((await auditOf(store)).at(-1)).toMatchObject({ action: 'quarantine.purge', subject: { spool: id } })
  })

  it('lists newest first in pages that new entries do not disturb', async () => {
    const { quarantine, refuse, clock } = await setUp()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) {
      clock.at += 1000
      ids.unshift(await refuse(`message ${n}`, a))
    }
    const first = await quarantine.list({ limit: 2 })
    if (first.kind !== 'page' || !first.next) throw new Error('no page')
    expect(first.entries.map(({ spoolId }) => spoolId)).toEqual(ids.slice(0, 2))
    clock.at += 1000
    await refuse('late', a)
    const second = await quarantine.list({ limit: 10, cursor: first.next })
    expect(second).toMatchObject({ entries: ids.slice(2).map((spoolId) => ({ spoolId })) })
    expect(second).not.toHaveProperty('next')
    expect(await quarantine.list({ cursor: 'garbage' })).toEqual({ kind: 'bad-cursor' })
  })

  it('puts a message back for its refused recipients, once', async () => {
    const { quarantine, refuse, store, work, spool } = await setUp()
    const id = await refuse(Buffer.alloc(300_000, 'x'), a, b)
    const parts = await quarantine.judgeAgain(id)
    const twin = await quarantine.judgeAgain(id)
    if (!parts || !twin) throw new Error('not in quarantine')
    expect(await store.commit(parts)).toEqual({ kind: 'committed' })
    expect(await store.commit(twin)).toMatchObject({ kind: 'conflict' })
    expect(await quarantine.get(id)).toBeUndefined()
    const again = await work()
    expect(again).toMatchObject({ id, pending: [a, b], judgedAgain: 1 })
    expect((await text(await spool.bytes(again.body)))?.length).toBe(300_000)
    expect((await openTrail({ store }).read(id)).map(({ step }) => step)).toEqual(['accepted', 'judged-again'])
    expect(await quarantine.judgeAgain(id)).toBeUndefined()
  })

  it('does not lose recipients when a message is put back twice while jobs of it wait', async () => {
    const { quarantine, spool, store, work, clock } = await setUp()
    await spool.accept(envelope(a, b, c), once('x'))
    const first = await work()
    await store.commit(together(spool.release(first, [b, c], clock.at), await quarantine.keep(first, [noAnchor(a)])))
    await store.commit((await quarantine.judgeAgain(first.id)) ?? {})
    const job = (await store.claim(inboundQueue, 10, 1000)).map((one) => spool.read(one))
    const original = job.find((one) => one?.job.id === first.id)
    if (!original) throw new Error('no job')
    await store.commit(together(spool.release(original, [c], clock.at), await quarantine.keep(original, [noAnchor(b)])))
    await store.commit((await quarantine.judgeAgain(first.id)) ?? {})
    clock.at += 2000
    const pending = (await store.claim(inboundQueue, 10, 1000)).flatMap((one) => spool.read(one)?.pending ?? [])
    expect(pending.toSorted()).toEqual([a, b, c])
  })
})

describe('the trail', () => {
  it('is read in order of time and found by other names', async () => {
    const { store } = await setUp()
    const trail = openTrail({ store })
    const id = 'a'.repeat(26)
    await store.commit(
      together(
        trail.steps(id, [
          { at: 20, step: 'opened', detail: 'x' },
          { at: 20, step: 'verified', detail: 'x' },
        ]),
        trail.steps(id, [{ at: 10, step: 'accepted', detail: 'y'.repeat(2000) }]),
        trail.names(id, { mailboxMessageId: 'm1', messageId: '<1@far.example>' }),
      ),
    )
    const steps = await trail.read(id)
    expect(steps.map(({ step }) => step)).toEqual(['accepted', 'opened', 'verified'])
    expect(steps[0]?.detail).toHaveLength(500)
    expect(await trail.find({ mailboxMessageId: 'm1' })).toEqual([id])
    expect(await trail.find({ messageId: '<1@far.example>' })).toEqual([id])
    expect(await trail.find({ messageId: '<1@far' })).toEqual([])
  })

  it('keeps one row of a step that is written twice', async () => {
    const { store } = await setUp()
    const trail = openTrail({ store })
    const parts = trail.steps('b'.repeat(26), [{ at: 1, step: 'delivered', detail: '' }])
    await store.commit(parts)
    await store.commit(parts)
    expect(await trail.read('b'.repeat(26))).toHaveLength(1)
  })
})
