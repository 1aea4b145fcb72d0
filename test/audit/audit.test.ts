import { describe, expect, it } from 'vitest'
import { audit, type ChainHead, decodeEntry, encodeEntry, readAudit, verifyChain } from '../../src/audit/audit.js'
import type { AuditEntry } from '../../src/ports/audit.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'

const entry = (n: number): AuditEntry => ({
  at: n,
  action: 'message.delivered',
  actor: 'system',
  subject: { message: `m-${n}` },
  outcome: 'success',
})

async function logged(count: number) {
  const disk = createMemoryDisk()
  const store = await openMemoryStore({ clock: { now: () => 0 }, disk })
  for (let n = 1; n <= count; n++) await store.commit({ append: [audit.entry(entry(n))] })
  const key = (n: number) => [...disk.contents.keys()].filter((key) => key.startsWith('log/audit'))[n - 1] as string
  return { store, disk, key, verify: (known: ChainHead[] = []) => verifyChain(store, { known, pageEntries: 7 }) }
}

describe('audit entries', () => {
  it('have one encoding whatever the order of their words', () => {
    const a = encodeEntry({ ...entry(1), subject: { a: '1', b: '2' }, reason: 'revoked' })
    const b = encodeEntry({ reason: 'revoked', ...entry(1), subject: { b: '2', a: '1' } })
    expect(Buffer.from(a)).toEqual(Buffer.from(b))
    expect(Buffer.from(a).toString()).toBe(
      '{"action":"message.delivered","actor":"system","at":1,"outcome":"success","reason":"revoked","subject":{"a":"1","b":"2"}}',
    )
  })

  it('come back as they were, on one line, whatever a stranger put in', () => {
    const hostile = { ...entry(1), subject: { address: 'x\r\n{"action":"forged"}', __proto__x: 'y' } }
    const bytes = encodeEntry(hostile)
    expect(Buffer.from(bytes).toString()).not.toMatch(/[\r\n]/)
    expect(decodeEntry(bytes)).toEqual(hostile)
    expect(encodeEntry({ ...entry(1), subject: { long: 'x'.repeat(1e6) } }).length).toBeLessThan(1000)
    expect(decodeEntry(Buffer.from('not json'))).toBeUndefined()
    expect(decodeEntry(Buffer.from('null'))).toBeUndefined()
  })
})

describe('the audit chain', () => {
  it('is whole when nobody touched it, and its head can be written down', async () => {
    const { verify, store } = await logged(30)
    const verdict = await verify()
    expect(verdict).toMatchObject({ kind: 'whole', head: { sequence: 30 } })
    if (verdict.kind !== 'whole') return
    await store.commit({ append: [audit.entry(entry(31))] })
    expect(await verify([verdict.head])).toMatchObject({ kind: 'whole', head: { sequence: 31 } })
    expect((await readAudit(store, 31, 10)).map(({ entry }) => entry?.subject['message'])).toEqual(['m-31'])
  })

  it('is whole when it is empty', async () => {
    expect(await (await logged(0)).verify()).toEqual({ kind: 'whole', head: { sequence: 0, link: '0'.repeat(64) } })
  })

  it('breaks at an entry that was edited in any byte, value or link', async () => {
    for (const n of [1, 7, 15]) {
      for (let at = 0; at < 60; at += 5) {
        const { verify, disk, key } = await logged(15)
        const value = Uint8Array.from(disk.contents.get(key(n)) ?? [])
        value[at] = (value[at] ?? 0) ^ 1
        await disk.write([{ type: 'put', key: key(n), value }], true)
        expect(await verify()).toMatchObject({ kind: 'broken', sequence: n })
      }
    }
  })

  it('breaks where an entry was dropped', async () => {
    for (const n of [1, 8, 14]) {
      const { verify, disk, key } = await logged(15)
      await disk.write([{ type: 'del', key: key(n) }], true)
      expect(await verify()).toMatchObject({ kind: 'broken', sequence: n, detail: `Entry ${n} is missing` })
    }
  })

  it('breaks where two entries changed places', async () => {
    const { verify, disk, key } = await logged(15)
    const [a, b] = [disk.contents.get(key(3)), disk.contents.get(key(4))] as [Uint8Array, Uint8Array]
    await disk.write(
      [
        { type: 'put', key: key(3), value: b },
        { type: 'put', key: key(4), value: a },
      ],
      true,
    )
    expect(await verify()).toMatchObject({ kind: 'broken', sequence: 3 })
  })

  it('shows a cut end and a log written anew to whoever wrote a head down', async () => {
    const { verify, disk, key } = await logged(15)
    const before = await verify()
    if (before.kind !== 'whole') throw new Error(before.detail)
    await disk.write([{ type: 'del', key: key(15) }], true)
    expect(await verify()).toMatchObject({ kind: 'whole', head: { sequence: 14 } })
    expect(await verify([before.head])).toMatchObject({ kind: 'broken', sequence: 15 })
    const forged = await openMemoryStore({ clock: { now: () => 0 } })
    for (let n = 1; n <= 15; n++) await forged.commit({ append: [audit.entry(entry(n === 4 ? 99 : n))] })
    expect(await verifyChain(forged, { known: [before.head] })).toMatchObject({ kind: 'broken', sequence: 15 })
  })
})
