import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { type BackupPorts, backup } from '../../src/upkeep/backup.js'
import { BackupDamaged, decodeRows, encodeRow, frameWriter, readFrames } from '../../src/upkeep/frames.js'
import { readMark } from '../../src/upkeep/mark.js'
import { proved, restore } from '../../src/upkeep/restore.js'
import { accept, newDisk, seal, work } from '../fixtures/gateway.js'
import { busyGateway, checkHome, contentsOf, during, keyringOf, rowsOf } from './world.js'

type Busy = Awaited<ReturnType<typeof busyGateway>>

/** A backup in memory. */
async function backedUp(ports: BackupPorts): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let ended = false
  const sink = {
    write: async (bytes: Uint8Array) => void chunks.push(Uint8Array.from(bytes)),
    end: async () => {
      ended = true
    },
  }
  const made = await backup(ports, sink)
  const file = Buffer.concat(chunks)
  expect(ended && made.bytes === file.length && file.subarray(-32).toString('hex') === made.digest).toBe(true)
  return file
}

const backupOf = ({ gateway, keyring, disk }: Busy) => backedUp({ ...gateway, keyring, clock: disk.clock })

/** An empty home under the master key of another one. */
async function emptyHome({ disk }: Pick<Busy, 'disk'>, under = createMemoryDisk()) {
  const blobs = new Map<string, { readonly bytes: Uint8Array; at: number }>()
  const open = () => openMemoryStore({ clock: disk.clock, disk: under })
  const home = {
    store: await open(),
    blobs: createMemoryBlobs(disk.clock, blobs),
    clock: disk.clock,
    keyring: keyringOf(disk),
  }
  return { ...home, under, open, contents: blobs }
}

async function* inPieces(file: Uint8Array, size = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size)
}

describe('a backup', () => {
  it('restores to the same rows, jobs, logs and blobs, which are whole', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    const home = await emptyHome(busy)
    expect(await restore(home, () => inPieces(file))).toMatchObject({ kind: 'restored' })
    const store = await home.open()
    expect(await contentsOf(store)).toEqual(await contentsOf(busy.gateway.store))
    expect([...home.contents.keys()].sort()).toEqual(
      [...busy.disk.blobs.keys()].filter((name) => home.contents.has(name)).sort(),
    )
    expect(home.contents.size).toBe(3)
    expect((await checkHome(busy.disk, { store, blobs: home.blobs }).findings()).findings).toEqual([])
    expect(await readMark(store)).toBeUndefined()
  })

  it('taken while mail comes and goes restores to one moment of it', async () => {
    const busy = await busyGateway()
    const traffic = async (i: number) => {
      const id = await accept(busy.gateway, seal({ id: `traffic-${i}`, body: 'x'.repeat(i % 2 === 0 ? 400_000 : 10) }))
      await work(busy.gateway)
      const again = await busy.gateway.quarantine.judgeAgain(id)
      if (again && i % 3 === 0) await busy.gateway.store.commit(again)
      await busy.gateway.quarantine.purge(-1, 3)
      await busy.gateway.spool.sweepBlobs()
    }
    await during(traffic, async () => {
      for (let round = 0; round < 4; round++) {
        const file = await backupOf(busy)
        const home = await emptyHome(busy)
        expect(await restore(home, () => inPieces(file))).toMatchObject({ kind: 'restored' })
        const restored = checkHome(busy.disk, { store: await home.open(), blobs: home.blobs })
        const { findings, verified } = await restored.findings()
        expect(findings).toEqual([])
        const live = await busy.gateway.store.log('audit', verified.head.sequence, 1)
        expect(Buffer.from(live[0]?.link ?? []).toString('hex')).toBe(verified.head.link)
      }
    })
  })

  it('keeps the sweep away while it runs, and no longer', async () => {
    const busy = await busyGateway()
    const orphan = await busy.gateway.blobs.put([Buffer.from('nobody names this')])
    busy.pass(3 * 86_400_000)
    const swept: number[] = []
    let frames = 0
    const sink = {
      // The line and the header come before the snapshot; what was swept until then is no harm.
      write: async () => {
        if (++frames > 2) swept.push(await busy.gateway.spool.sweepBlobs())
      },
      end: async () => {},
    }
    await backup({ ...busy.gateway, keyring: busy.keyring, clock: busy.disk.clock }, sink)
    expect({ swept: Math.max(...swept), orphan: await busy.gateway.blobs.size(orphan) }).toEqual({
      swept: 0,
      orphan: 17,
    })
    expect(await busy.gateway.spool.sweepBlobs()).toBeGreaterThan(0)
  })

  it('is not made of an installation that lost a blob', async () => {
    const busy = await busyGateway()
    busy.disk.blobs.delete([...busy.disk.blobs.keys()][0] ?? '')
    await expect(backupOf(busy)).rejects.toThrow(/is named by a row and is not there/)
  })

  it('never holds the master key, nor what a record says', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    for (const form of ['latin1', 'hex', 'base64'] as const)
      expect(file.includes(Buffer.from(busy.disk.master.secret).toString(form), 0, 'latin1')).toBe(false)
    expect(file.includes('All is well.')).toBe(false)
  })
})

describe('restoring', () => {
  it('refuses a file with any byte flipped, and leaves the home empty', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    const ports = { keyring: busy.keyring }
    await proved(ports, inPieces(file))
    // Every byte of the first frame; of the others a sample, and of the last more.
    const places = new Set([...Array(400).keys(), ...[...Array(40).keys()].map((i) => file.length - 1 - 10 * i)])
    for (let at = 400; at < file.length; at += Math.ceil(file.length / 40)) places.add(at)
    for (const at of places) {
      const altered = Buffer.from(file)
      altered[at] = (altered[at] ?? 0) ^ 0x10
      await expect(proved(ports, inPieces(altered, 1 << 20)), `byte ${at}`).rejects.toBeInstanceOf(BackupDamaged)
    }
    const home = await emptyHome(busy)
    const altered = Buffer.from(file)
    altered[file.length >> 1] = (altered[file.length >> 1] ?? 0) ^ 1
    const outcome = await restore(home, () => inPieces(altered))
    expect(outcome).toMatchObject({ kind: 'damaged', offset: expect.any(Number) })
    if (outcome.kind === 'damaged') {
      expect(outcome.offset).toBeLessThanOrEqual(file.length >> 1)
      expect(outcome.offset).toBeGreaterThan((file.length >> 1) - 300_000)
    }
    expect(await rowsOf(home.store)).toEqual([])
  }, 60_000)

  it('refuses a file that was cut anywhere, or has more after its end', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    const cuts = [0, 1, 23, 24, 25, 30, file.length >> 1, file.length - 1, file.length - 32, file.length - 33]
    for (const at of cuts)
      await expect(proved(busy, inPieces(file.subarray(0, at), 1 << 20)), `cut at ${at}`).rejects.toBeInstanceOf(
        BackupDamaged,
      )
    await expect(proved(busy, inPieces(Buffer.concat([file, Buffer.of(0)]), 1 << 20))).rejects.toBeInstanceOf(
      BackupDamaged,
    )
    await expect(proved(busy, inPieces(Buffer.concat([file, file]), 1 << 20))).rejects.toBeInstanceOf(BackupDamaged)
  })

  it('refuses another master key, and a file that somebody without it put together anew', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    const other = newDisk(busy.disk.clock)
    expect(await restore({ ...(await emptyHome(busy)), keyring: keyringOf(other) }, () => inPieces(file))).toEqual({
      kind: 'wrong-key',
    })
    // The same frames without the last rows, every digest right, the end as it was.
    const writer = frameWriter()
    const forged: Uint8Array[] = [file.subarray(0, 24)]
    const frames = []
    for await (const frame of readFrames(inPieces(file))) frames.push(frame)
    const rows = frames.filter(({ kind }) => kind === 'r')
    for (const frame of frames) if (frame !== rows.at(-1)) forged.push(writer.frame(frame.kind, frame.content))
    expect(await restore(await emptyHome(busy), () => inPieces(Buffer.concat(forged)))).toEqual({ kind: 'wrong-key' })
  })

  it('refuses a home that holds anything', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    expect(await restore({ ...busy.gateway, keyring: busy.keyring }, () => inPieces(file))).toEqual({
      kind: 'not-empty',
    })
  })

  it('that is interrupted leaves a mark, and is run again from its beginning', async () => {
    const busy = await busyGateway()
    const file = await backupOf(busy)
    const home = await emptyHome(busy)
    let reads = 0
    async function* dying() {
      reads++
      yield* inPieces(reads === 1 ? file : file.subarray(0, file.length >> 1))
      if (reads > 1) throw new Error('the disk went away')
    }
    await expect(restore(home, dying)).rejects.toThrow(/disk/)
    const again = await emptyHome(busy, home.under)
    expect(await readMark(again.store)).toMatchObject({ state: 'restoring' })
    expect(await restore({ ...again, blobs: home.blobs }, () => inPieces(file))).toMatchObject({ kind: 'restored' })
    const store = await again.open()
    expect((await checkHome(busy.disk, { store, blobs: home.blobs }).findings()).findings).toEqual([])
  })
})

describe('frames', () => {
  const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
  const plain = (row: object) => ({
    ...row,
    ...('value' in row && { value: Buffer.from(row.value as Uint8Array) }),
    ...('payload' in row && { payload: Buffer.from(row.payload as Uint8Array) }),
    ...('link' in row && { link: Buffer.from(row.link as Uint8Array) }),
  })
  const count = fc.maxSafeNat()
  const value = fc.uint8Array({ maxLength: 300 })
  const rows = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('entry' as const), key: text, version: count, value }),
      fc.record({
        kind: fc.constant('job' as const),
        queue: text,
        id: text,
        dueAt: count,
        attempt: count,
        payload: value,
      }),
      fc.record({
        kind: fc.constant('log' as const),
        log: text,
        sequence: count,
        value,
        link: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      }),
    ),
    { maxLength: 20 },
  )

  it('give back the rows they were made of', () => {
    fc.assert(
      fc.property(rows, (given) => {
        const content = Buffer.concat(given.map(encodeRow))
        expect([...decodeRows({ kind: 'r', content, offset: 0, before: new Uint8Array() })].map(plain)).toEqual(
          given.map(plain),
        )
      }),
    )
  })

  it('of any bytes end in an outcome, never in another error', async () => {
    const good = frameWriter()
    const frame = (content: Uint8Array) =>
      Buffer.concat([Buffer.from('direct-gateway backup 1\n'), good.frame('r', content)])
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        for (const file of [bytes, Buffer.concat([Buffer.from('direct-gateway backup 1\n'), bytes]), frame(bytes)])
          await expect(proved(await keys, inPieces(file, 7))).rejects.toBeInstanceOf(BackupDamaged)
        try {
          for (const _ of decodeRows({ kind: 'r', content: bytes, offset: 0, before: bytes }));
        } catch (error) {
          expect(error).toBeInstanceOf(BackupDamaged)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('have the digests that anybody can compute who reads how they are made', async () => {
    const writer = frameWriter()
    const made = Buffer.from(writer.frame('c', Buffer.from('hello')))
    const line = createHash('sha256').update('direct-gateway backup 1\n').digest()
    const head = Buffer.from([0x63, 0, 0, 0, 5])
    expect(made).toEqual(
      Buffer.concat([
        head,
        Buffer.from('hello'),
        createHash('sha256').update(line).update(head).update('hello').digest(),
      ]),
    )
  })

  const keys = (async () => ({ keyring: keyringOf(newDisk({ now: () => 0 })) }))()
})
