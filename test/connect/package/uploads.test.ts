import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packageLimits } from '../../../src/connect/package/limits.js'
import { gather } from '../../../src/ports/body.js'
import { app, findings, openWorld, uploaded } from './world.js'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const hours = 3_600_000

async function begun(world: Awaited<ReturnType<typeof openWorld>>, sizeBytes: number, whose = app) {
  const made = await world.uploads.begin(whose, sizeBytes, 'test')
  if (made.kind !== 'begun') throw new Error(made.problem)
  return made.upload.id
}

describe('an upload', () => {
  it('is the same bytes however it is cut', async () => {
    const world = await openWorld()
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 5000 }),
        fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1 }),
        async (bytes, sizes) => {
          const id = await begun(world, bytes.length)
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const piece = bytes.subarray(at, at + (sizes[turn % sizes.length] ?? 1))
            const got = await world.uploads.append(app, id, { from: at, total: bytes.length }, piece)
            at += piece.length
            expect(got).toMatchObject({ kind: 'received', upload: { receivedBytes: at } })
          }
          const value = sha256(bytes)
          expect(await world.uploads.complete(app, id, { method: 'sha256', value })).toMatchObject({ sha256: value })
          const taken = await world.uploads.take(app, [id])
          if ('problem' in taken || !taken[0]) throw new Error('not taken')
          expect(Buffer.from(await gather(world.uploads.read(taken[0].file))).equals(bytes)).toBe(true)
          expect(await world.uploads.remove(app, id, 'test')).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
    expect(await findings(world)).toEqual([])
  })

  it('goes on where it was, and takes a piece that comes again for what it is', async () => {
    const world = await openWorld()
    const bytes = randomBytes(1000)
    const id = await begun(world, 1000)
    const append = (from: number, to: number, content = bytes) =>
      world.uploads.append(app, id, { from }, content.subarray(from, to))
    expect(await append(0, 400)).toMatchObject({ upload: { receivedBytes: 400 } })
    expect(await append(500, 600)).toEqual({ kind: 'refused', problem: 'out-of-order', receivedBytes: 400 })
    expect(await append(0, 400)).toMatchObject({ upload: { receivedBytes: 400 } })
    expect(await append(0, 300)).toEqual({ kind: 'refused', problem: 'not-the-same', receivedBytes: 400 })
    expect(await append(0, 400, randomBytes(1000))).toMatchObject({ problem: 'not-the-same' })
    expect(await append(100, 400)).toMatchObject({ problem: 'not-the-same' })
    expect(await world.uploads.get(app, id)).toMatchObject({ receivedBytes: 400, completed: false })
    expect(await append(400, 1000)).toMatchObject({ upload: { receivedBytes: 1000 } })
    expect(await world.uploads.complete(app, id, { method: 'sha256', value: sha256(bytes) })).toMatchObject({
      kind: 'completed',
    })
    expect(await append(400, 1000)).toMatchObject({ kind: 'received' })
  })

  it('keeps one of two pieces that come at once', async () => {
    const world = await openWorld()
    const id = await begun(world, 20)
    const pieces = Array.from({ length: 10 }, () => randomBytes(10))
    const got = await Promise.all(pieces.map((piece) => world.uploads.append(app, id, { from: 0 }, piece)))
    expect(got.filter(({ kind }) => kind === 'received')).toHaveLength(1)
    expect(await world.uploads.get(app, id)).toMatchObject({ receivedBytes: 10 })
    expect(await findings(world)).toEqual([])
  })

  it('says 102 until all of it is there, 111 for another digest, 101 once it was completed', async () => {
    const world = await openWorld()
    const id = await begun(world, 3)
    const right = { method: 'sha256', value: sha256(Buffer.from('abc')) } as const
    expect(await world.uploads.complete(app, id, right)).toMatchObject({ problem: 'incomplete', receivedBytes: 0 })
    await world.uploads.append(app, id, { from: 0 }, Buffer.from('abc'))
    const wrong = { method: 'sha256', value: sha256(Buffer.from('abd')) } as const
    expect(await world.uploads.complete(app, id, wrong)).toMatchObject({ problem: 'hash-mismatch' })
    expect(await world.uploads.complete(app, id, right)).toMatchObject({ kind: 'completed' })
    expect(await world.uploads.complete(app, id, right)).toMatchObject({ problem: 'completed' })
  })

  it("takes HealthVault's digests of blocks of 2 MiB, as a list or as the digest of one", async () => {
    const world = await openWorld()
    const bytes = randomBytes(2 * 1024 * 1024 + 100)
    const blocks = [bytes.subarray(0, 2 * 1024 * 1024), bytes.subarray(2 * 1024 * 1024)].map(sha256)
    const whole = sha256(Buffer.from(blocks.join(''), 'hex'))
    for (const hash of [
      { method: 'sha256-blocks', values: blocks },
      { method: 'sha256-block', value: whole },
    ] as const) {
      const id = await begun(world, bytes.length)
      for (let at = 0; at < bytes.length; at += 700_000)
        await world.uploads.append(app, id, { from: at }, bytes.subarray(at, at + 700_000))
      const other =
        hash.method === 'sha256-blocks' ? { ...hash, values: blocks.slice(1) } : { ...hash, value: blocks[0] ?? '' }
      expect(await world.uploads.complete(app, id, other)).toMatchObject({ problem: 'hash-mismatch' })
      expect(await world.uploads.complete(app, id, hash)).toMatchObject({ kind: 'completed' })
    }
  })

  it('is nobody else’s', async () => {
    const world = await openWorld()
    const id = await uploaded(world.uploads, Buffer.from('abc'))
    await begun(world, 1, 'clinic-2')
    expect(await world.uploads.get('clinic-2', id)).toBeUndefined()
    expect(await world.uploads.append('clinic-2', id, { from: 0 }, Buffer.of(1))).toMatchObject({ problem: 'unknown' })
    expect(await world.uploads.take('clinic-2', [id])).toMatchObject({ problem: 'unknown' })
    expect(await world.uploads.remove('clinic-2', id, 'test')).toBe(false)
    expect(await world.uploads.get(app, '../../x')).toBeUndefined()
  })

  it('has limits: of one piece, one upload, one application', async () => {
    const world = await openWorld({
      limits: { ...packageLimits, uploadsPerApp: 2, uploadedBytesPerApp: 100, uploadBytes: 80 },
    })
    expect(await world.uploads.begin(app, 81, 'test')).toMatchObject({ problem: 'too-large' })
    for (const size of [-1, 0.5, Number.NaN])
      expect(await world.uploads.begin(app, size, 'test')).toMatchObject({ problem: 'too-large' })
    const id = await begun(world, 80)
    expect(await world.uploads.begin(app, 21, 'test')).toMatchObject({ problem: 'too-many' })
    await begun(world, 20)
    expect(await world.uploads.begin(app, 0, 'test')).toMatchObject({ problem: 'too-many' })
    const append = (from: number, size: number, total?: number) =>
      world.uploads.append(app, id, { from, ...(total !== undefined && { total }) }, Buffer.alloc(size))
    expect(await append(0, 81)).toMatchObject({ problem: 'bad-range' })
    expect(await append(0, 0)).toMatchObject({ problem: 'bad-range' })
    expect(await append(0, 10, 79)).toMatchObject({ problem: 'bad-range' })
    expect(await append(0, packageLimits.chunkBytes + 1)).toMatchObject({ problem: 'bad-range' })
  })

  it('is swept after a day, never before, and gives its room back', async () => {
    const world = await openWorld()
    const id = await uploaded(world.uploads, randomBytes(100))
    world.clock.at += 24 * hours
    expect(await world.uploads.sweep()).toBe(0)
    world.clock.at += 1
    expect(await world.uploads.sweep()).toBe(1)
    expect(await world.uploads.get(app, id)).toBeUndefined()
    const rows: string[] = []
    for await (const row of world.store.snapshot()) if (row.kind === 'entry') rows.push(row.key)
    expect(rows.filter((key) => key.startsWith('connect/') || key.startsWith('blob/'))).toEqual([])
  })

  it('is not to be read from the store or the blobs', async () => {
    const world = await openWorld()
    await uploaded(world.uploads, Buffer.from('a very private sentence '.repeat(50)), 400)
    const all = [...world.blobs.files.values()].map(({ bytes }) => Buffer.from(bytes))
    for await (const row of world.store.snapshot()) if (row.kind === 'entry') all.push(Buffer.from(row.value))
    expect(all.some((bytes) => bytes.includes('private'))).toBe(false)
  })

  it('does not open with a piece changed, moved or missing', async () => {
    const world = await openWorld()
    const id = await uploaded(world.uploads, randomBytes(3000), 1000)
    const taken = await world.uploads.take(app, [id])
    if ('problem' in taken || !taken[0]) throw new Error('not taken')
    const { file } = taken[0]
    const read = () => gather(world.uploads.read(file))
    const files = [...world.blobs.files.values()]
    const [one, two] = files
    if (!one || !two) throw new Error('no pieces')
    const kept = one.bytes
    one.bytes = two.bytes
    await expect(read()).rejects.toThrow('changed or moved')
    one.bytes = Buffer.from(kept).fill(1, 20, 21)
    await expect(read()).rejects.toThrow('changed or moved')
    one.bytes = kept.subarray(0, 10)
    await expect(read()).rejects.toThrow('too short')
    one.bytes = kept
    expect((await read()).length).toBe(3000)
    await expect(gather(world.uploads.read({ ...file, sizeBytes: 3001 }))).rejects.toThrow('missing')
  })
})
