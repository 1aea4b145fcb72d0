import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Envelope } from '../../src/direct/envelope.js'
import { keepBlobs } from '../../src/ports/body.js'
import { StoreFailed } from '../../src/ports/store.js'
import { contentId, decodeSpooled, encodeSpooled, spoolId } from '../../src/spool/payload.js'
import { inboundQueue, openSpool } from '../../src/spool/spool.js'
import { openTrail } from '../../src/spool/trail.js'
import { auditOf, openRoom, text } from './room.js'

const a = 'a@gw.example' as DirectAddress
const b = 'b@gw.example' as DirectAddress

function envelope(rcptTo: DirectAddress[], mailFrom = 'x@far.example'): Envelope {
  const peer = { address: '192.0.2.7', helo: 'mx.far.example', tls: true }
  return { mailFrom: mailFrom as DirectAddress, rcptTo, peer, receivedAt: 1 }
}

async function* chunks(...parts: (string | Uint8Array | Error)[]) {
  for (const part of parts) {
    if (part instanceof Error) throw part
    yield Buffer.from(part)
  }
}

async function setUp() {
  const room = await openRoom()
  return { ...room, spool: openSpool(room), trail: openTrail(room) }
}

describe('accepting', () => {
  it('keeps a small message in the job and answers its id', async () => {
    const { spool, store, trail } = await setUp()
    const accepted = await spool.accept(envelope([a, b]), chunks('one ', 'two'))
    expect(accepted.id).toMatch(/^[a-z2-7]{26}$/)
    const [job] = await store.claim(inboundQueue, 10, 1000)
    const spooled = job && spool.read(job)
    expect(spooled).toMatchObject({ id: accepted.id, pending: [a, b], sizeBytes: 7, attempt: 1 })
    expect(spooled && (await text(await spool.bytes(spooled.body)))).toBe('one two')
    expect((await trail.read(accepted.id)).map(({ step }) => step)).toEqual(['accepted'])
    expect(await auditOf(store)).toMatchObject([{ action: 'message.accept', subject: { spool: accepted.id } }])
  })

  it('streams a large message to a blob that the job holds until it is finished', async () => {
    const { spool, store, blobs, clock } = await setUp()
    const bytes = Buffer.alloc(300_000, 'Zm9vYmFy\r\n')
    await spool.accept(envelope([a]), chunks(bytes.subarray(0, 65_536), bytes.subarray(65_536)))
    const [job] = await store.claim(inboundQueue, 1, 1000)
    const spooled = job && spool.read(job)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(spooled).toMatchObject({ body: { kind: 'blob', offset: 32, sizeBytes: 300_000 }, sha256 })
    expect(spooled && (await text(await spool.bytes(spooled.body)))).toBe(bytes.toString('latin1'))
    clock.at += 10 * 24 * 3600_000
    expect(await spool.sweepBlobs()).toBe(0)
    const [again] = await store.claim(inboundQueue, 1, 1000)
    const held = again && spool.read(again)
    if (!held) throw new Error('the job is gone')
    expect(await store.commit(spool.finish(held))).toEqual({ kind: 'committed' })
    expect(await spool.sweepBlobs()).toBe(1)
    expect(blobs.files.size).toBe(0)
  })

  it('answers the same id for the same message and queues it once', async () => {
    const { spool, store, trail } = await setUp()
    const first = await spool.accept(envelope([a, b]), chunks('same'))
    const second = await spool.accept(envelope([b, a]), chunks('sa', 'me'))
    expect(second).toEqual({ kind: 'accepted', id: first.id, duplicate: true })
    expect(await store.jobs(inboundQueue, 10)).toHaveLength(1)
    expect((await trail.read(first.id)).map(({ step }) => step)).toEqual(['accepted', 'duplicate'])
  })

  it('queues a re-send only for the recipients that did not have it', async () => {
    const { spool, store } = await setUp()
    const first = await spool.accept(envelope([a]), chunks('same'))
    const second = await spool.accept(envelope([a, b]), chunks('same'))
    expect(second.id).not.toBe(first.id)
    const jobs = (await store.claim(inboundQueue, 10, 1000)).map((job) => spool.read(job)?.pending)
    expect(jobs).toEqual([[a], [b]])
    expect(await spool.accept(envelope([a, b]), chunks('same'))).toMatchObject({ id: second.id, duplicate: true })
    expect(await spool.accept(envelope([a]), chunks('same'))).toMatchObject({ id: first.id, duplicate: true })
  })

  it('recognises bytes that another sender sends to the same recipient', async () => {
    const { spool } = await setUp()
    const first = await spool.accept(envelope([a]), chunks('same'))
    expect(await spool.accept(envelope([a], 'y@far.example'), chunks('same'))).toMatchObject({ id: first.id })
  })

  it('makes one job of many identical sends at once', async () => {
    const { spool, store } = await setUp()
    const sends = await Promise.all(Array.from({ length: 20 }, () => spool.accept(envelope([a, b]), chunks('race'))))
    expect(new Set(sends.map(({ id }) => id)).size).toBe(1)
    expect(sends.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect(await store.jobs(inboundQueue, 10)).toHaveLength(1)
  })

  it('never leaves a recipient without a job when overlapping sends race', async () => {
    const { spool, store } = await setUp()
    const sets = [[a], [a, b], [b], [b, a], [a]]
    await Promise.all(sets.map((rcpt) => spool.accept(envelope(rcpt), chunks('race'))))
    const pending = (await store.claim(inboundQueue, 10, 1000)).flatMap((job) => spool.read(job)?.pending ?? [])
    expect(pending.toSorted()).toEqual([a, b])
  })

  it('writes down a bounded number of repeats', async () => {
    const { spool, trail, clock } = await setUp()
    const { id } = await spool.accept(envelope([a]), chunks('again'))
    for (let n = 0; n < 30; n++) {
      clock.at += 1
      await spool.accept(envelope([a]), chunks('again'))
    }
    expect(await trail.read(id)).toHaveLength(11)
  })

  it.each([
    ['while it is small', ['short']],
    ['after it went to a blob', [Buffer.alloc(300_000), 'more']],
  ])('keeps nothing when the client vanishes %s', async (_, parts) => {
    const { spool, store, blobs, disk } = await setUp()
    const gone = new Error('the client vanished')
    await expect(spool.accept(envelope([a]), chunks(...parts, gone))).rejects.toBe(gone)
    expect(await store.jobs(inboundQueue, 10)).toEqual([])
    expect(blobs.files.size).toBe(0)
    expect([...disk.contents.keys()].filter((key) => !key.startsWith('meta/'))).toEqual([])
  })

  it('throws what the disk throws', async () => {
    const { spool, blobs, store } = await setUp()
    blobs.failAfter = 0
    await expect(spool.accept(envelope([a]), chunks(Buffer.alloc(300_000)))).rejects.toThrow(StoreFailed)
    expect(await store.jobs(inboundQueue, 10)).toEqual([])
  })

  it('takes bytes as new again after the horizon, swept or not', async () => {
    const { spool, store, clock, disk } = await setUp()
    await spool.accept(envelope([a]), chunks('old'))
    const [job] = await store.claim(inboundQueue, 1, 1000)
    const held = job && spool.read(job)
    if (!held) throw new Error('no job')
    await store.commit(spool.finish(held))
    clock.at += 7 * 24 * 3600_000 + 1
    expect(await spool.accept(envelope([a]), chunks('old'))).toMatchObject({ duplicate: false })
    expect(await spool.sweepSeen()).toBe(0) // the row was renewed with its index
    clock.at += 7 * 24 * 3600_000 + 1
    expect(await spool.sweepSeen()).toBe(1)
    expect([...disk.contents.keys()].filter((key) => key.includes('seen'))).toEqual([])
  })

  it('keeps the bytes of a large message under another name each time it is sent', async () => {
    const { spool, store, blobs } = await setUp()
    const bytes = Buffer.alloc(300_000, 'x')
    await spool.accept(envelope([a]), chunks(bytes))
    await spool.accept(envelope([a, b]), chunks(bytes))
    const jobs = await store.claim(inboundQueue, 10, 1000)
    const bodies = jobs.map((job) => spool.read(job)?.body)
    expect(new Set(bodies.map((body) => body?.kind === 'blob' && body.name)).size).toBe(2)
    expect([...blobs.files.keys()].filter((name) => name === createHash('sha256').update(bytes).digest('hex'))).toEqual(
      [],
    )
  })

  it('keeps no blob of a message that every recipient had', async () => {
    const { spool, blobs } = await setUp()
    for (let n = 0; n < 3; n++) await spool.accept(envelope([a]), chunks(Buffer.alloc(300_000, 'x')))
    expect(blobs.files.size).toBe(1)
  })

  it('reads a blob from before blobs began with a salt', async () => {
    const { spool, store, blobs } = await setUp()
    await spool.accept(envelope([a]), chunks(Buffer.alloc(300_000, 'x')))
    const [job] = await store.claim(inboundQueue, 1, 1000)
    const old = Buffer.from(job?.payload ?? []).toString()
    const name = await blobs.put([Buffer.from('as it came')])
    const payload = Buffer.from(old.replace(/"blob":"[0-9a-f]{64}","blobOffset":32/, `"blob":"${name}"`))
    const body = decodeSpooled(payload)?.body
    expect(body && (await text(await spool.bytes(body)))).toBe('as it came')
  })

  describe('beside the sweep of another process over the same home', () => {
    const bytes = Buffer.alloc(300_000, 'x')
    const slowly = async (turns: number) => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    }

    /** Accepts what was an orphan before, while another process sweeps at its own pace; answers whether its blob is there. */
    async function race(round: number, random: { bytes(size: number): Uint8Array }): Promise<boolean> {
      const room = await openRoom()
      const { store, blobs, clock } = room
      const mine = openSpool({ ...room, random })
      const orphaned = openSpool({ ...room, store: (await openRoom()).store, random })
      await orphaned.accept(envelope([a]), chunks(bytes))
      clock.at += 2 * 24 * 3600_000
      const others = openSpool({
        ...room,
        blobs: {
          ...blobs,
          async *olderThan(ms) {
            const old: string[] = []
            for await (const name of blobs.olderThan(ms)) old.push(name)
            await slowly(round % 40) // the walk saw the blob as old, and comes to it later
            yield* old
          },
          async delete(name) {
            await slowly((round * 7) % 90)
            await blobs.delete(name)
          },
        },
      })
      const [accepted] = await Promise.all([mine.accept(envelope([a]), chunks(bytes)), others.sweepBlobs()])
      expect(accepted.duplicate).toBe(false)
      const [job] = await store.claim(inboundQueue, 1, 1000)
      const body = job && mine.read(job)?.body
      return body?.kind === 'blob' && blobs.files.has(body.name)
    }

    it('loses no message that comes again', async () => {
      const random = { bytes: (size: number) => randomBytes(size) }
      for (let round = 0; round < 200; round++) expect(await race(round, random)).toBe(true)
    })

    it('would lose one if blobs began with the same bytes (seeded bug)', async () => {
      const random = { bytes: (size: number) => new Uint8Array(size) }
      const kept = []
      for (let round = 0; round < 200; round++) kept.push(await race(round, random))
      expect(kept).toContain(false)
    })
  })

  it('sweeps nothing that lost its row while a backup copies, however the two fall together', async () => {
    const { spool, store, blobs, clock } = await setUp()
    await spool.accept(envelope([a]), chunks(Buffer.alloc(300_000, 'x')))
    const [job] = await store.claim(inboundQueue, 1, 1000)
    const held = job && spool.read(job)
    if (!held) throw new Error('no job')
    clock.at += 2 * 24 * 3600_000
    const [again] = await store.claim(inboundQueue, 1, 1000)
    const sweeping = openSpool({
      ...(await openRoom()),
      store,
      clock,
      blobs: {
        ...blobs,
        async *olderThan(ms) {
          for await (const name of blobs.olderThan(ms)) {
            // The sweep is under way: a backup begins and takes its snapshot, and then the message is delivered.
            await store.commit(keepBlobs(clock.at + 60_000))
            await store.commit(spool.finish({ ...held, job: again ?? held.job }))
            yield name
          }
        },
      },
    })
    expect(await sweeping.sweepBlobs()).toBe(0)
    expect(blobs.files.size).toBe(1)
    expect(await spool.sweepBlobs()).toBe(0)
    clock.at += 60_001
    expect(await spool.sweepBlobs()).toBe(1)
  })

  it('begins the sweep anew after a walk that failed', async () => {
    const { clock, ...room } = await setUp()
    await room.blobs.put([Buffer.from('orphan')])
    clock.at += 2 * 24 * 3600_000
    const { olderThan } = room.blobs
    room.blobs.olderThan = async function* () {
      room.blobs.olderThan = olderThan
      yield* []
      throw new StoreFailed('the bucket is away')
    }
    await expect(room.spool.sweepBlobs()).rejects.toThrow('away')
    expect(await room.spool.sweepBlobs()).toBe(1)
  })

  it('goes on with the sweep where the last one ended', async () => {
    const { spool, blobs, clock } = await setUp()
    for (let n = 0; n < 5; n++) await blobs.put([Buffer.from(`orphan ${n}`)])
    clock.at += 2 * 24 * 3600_000
    expect([await spool.sweepBlobs(3), await spool.sweepBlobs(3), await spool.sweepBlobs(3)]).toEqual([3, 2, 0])
  })

  it('sweeps at most what it is told to', async () => {
    const { spool, clock } = await setUp()
    for (let n = 0; n < 10; n++) await spool.accept(envelope([a, b]), chunks(`message ${n}`))
    clock.at += 8 * 24 * 3600_000
    expect(await spool.sweepSeen(15)).toBe(15)
    expect(await spool.sweepSeen(15)).toBe(5)
    expect(await spool.sweepSeen(15)).toBe(0)
  })

  it('dies before or after any call of the store without losing or doubling a message', async () => {
    for (const when of ['beforeCall', 'afterCall']) {
      for (let dieAt = 1; dieAt <= 6; dieAt++) {
        const die = (_: string, n: number) => {
          if (n === dieAt) throw new StoreFailed(`power cut ${when} ${n}`)
        }
        const room = await openRoom({ [when]: die })
        const spool = openSpool(room)
        const send = () => spool.accept(envelope([a, b]), chunks('once'))
        const first = await send().catch(() => undefined)
        const second = await send().catch(() => send())
        expect(second.id).toBe(first?.id ?? second.id)
        const rest = await room.store.jobs(inboundQueue, 10).catch(() => room.store.jobs(inboundQueue, 10))
        expect(rest).toHaveLength(1)
      }
    }
  })
})

describe('working on a job', () => {
  it('gives a job back for fewer recipients', async () => {
    const { spool, store, clock } = await setUp()
    await spool.accept(envelope([a, b]), chunks('partly'))
    const [job] = await store.claim(inboundQueue, 1, 1000)
    const spooled = job && spool.read(job)
    if (!spooled) throw new Error('no job')
    await store.commit(spool.release(spooled, [b], clock.at + 60_000))
    expect(await store.claim(inboundQueue, 1, 1000)).toEqual([])
    clock.at += 60_000
    const [later] = await store.claim(inboundQueue, 1, 1000)
    expect(later && spool.read(later)).toMatchObject({ pending: [b], attempt: 2, envelope: { rcptTo: [a, b] } })
  })

  it('reads nothing from a damaged payload and throws nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeSpooled(bytes)).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
  })

  it('reads back any body it wrote', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        const spooled = {
          id: contentId('x'),
          envelope: envelope([a]),
          pending: [a],
          body: { kind: 'inline', bytes: Buffer.from(bytes) } as const,
          sizeBytes: bytes.length,
          sha256: 'x',
          firstAcceptedAt: 1,
          judgedAgain: 0,
        }
        expect(decodeSpooled(encodeSpooled(spooled))).toEqual(spooled)
      }),
    )
  })
})

describe('the spool id', () => {
  it('is the base32 of the hash', () => {
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
    const bits = BigInt(`0x${createHash('sha256').update('3:abc0:').digest('hex')}`) >> 126n
    const expected = Array.from({ length: 26 }, (_, n) => alphabet[Number((bits >> BigInt(125 - n * 5)) & 31n)]).join(
      '',
    )
    expect(contentId('abc', '')).toBe(expected)
  })

  it('depends on sender, recipients and content, and not on the order of recipients', () => {
    const id = spoolId(envelope([a, b]), 'h')
    expect(spoolId(envelope([b, a]), 'h')).toBe(id)
    expect(spoolId(envelope([a]), 'h')).not.toBe(id)
    expect(spoolId(envelope([a, b]), 'i')).not.toBe(id)
    expect(spoolId({ ...envelope([a, b]), mailFrom: null }, 'h')).not.toBe(id)
    expect(contentId('a', 'bc')).not.toBe(contentId('ab', 'c'))
  })
})
