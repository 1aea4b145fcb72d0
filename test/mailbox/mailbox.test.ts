import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { openMailbox } from '../../src/mailbox/mailbox.js'
import type { NewMessage } from '../../src/mailbox/message.js'
import { mailboxLimits } from '../../src/mailbox/message.js'
import type { MessageQuery } from '../../src/mailbox/query.js'
import { VaultFailed } from '../../src/ports/vault.js'
import { openRoom, text } from '../spool/room.js'
import { box, newMessage } from './new-message.js'

const other = '9b1d5c10-52f3-4b53-8a4d-0a7c1d9f1b22'

async function setUp() {
  const room = await openRoom()
  const mailbox = openMailbox({
    ...room,
    readPart: async (message, path) => (path === '2' ? Buffer.from(message).subarray(0, 3) : undefined),
  })
  async function deliver(given: Partial<NewMessage> = {}) {
    const { id, parts } = await mailbox.delivery(newMessage(given))
    return { id, outcome: await room.store.commit(parts) }
  }
  /** Delivers n messages a second apart; answers their ids, newest first. */
  async function fill(n: number, given: (index: number) => Partial<NewMessage> = () => ({})) {
    const ids: string[] = []
    for (let index = 0; index < n; index++) {
      const original = Buffer.from(`message ${index}`)
      ids.unshift((await deliver({ receivedAt: 1000 * (index + 1), original, ...given(index) })).id)
    }
    return ids
  }
  async function page(query: MessageQuery) {
    const answer = await mailbox.list(box, query)
    if (answer.kind !== 'page') throw new Error(answer.kind)
    return { ids: answer.messages.map(({ message }) => message.id), next: answer.next }
  }
  return { ...room, mailbox, deliver, fill, page }
}

describe('delivering', () => {
  it('keeps a message and its original', async () => {
    const { mailbox, deliver } = await setUp()
    const { id } = await deliver()
    const stored = await mailbox.get(box, id)
    expect(stored?.message).toMatchObject({
      id,
      subject: 'Visit summary',
      flags: { seen: false, flagged: false, answered: false, archived: false },
    })
    expect(stored?.message).not.toHaveProperty('original')
    expect(await text(await mailbox.original(box, id))).toBe(Buffer.from(newMessage().original).toString())
  })

  it('keeps a large original as a blob, sealed', async () => {
    const { mailbox, deliver, blobs } = await setUp()
    const original = Buffer.alloc(300_000, 'canary text\r\n')
    const { id } = await deliver({ original })
    expect(blobs.files.size).toBe(1)
    expect(await text(await mailbox.original(box, id))).toBe(original.toString())
  })

  it('leaves no words of a message on the disk', async () => {
    const { deliver, disk, blobs } = await setUp()
    await deliver({ subject: 'canaryone', preview: 'canarytwo', original: Buffer.alloc(100_000, 'canarythree') })
    await deliver({ original: Buffer.from('canaryfour') })
    const all = [...disk.contents].map(([key, value]) => key + Buffer.from(value).toString('latin1'))
    for (const { bytes } of blobs.files.values()) all.push(Buffer.from(bytes).toString('latin1'))
    expect(all.filter((row) => row.includes('canary'))).toEqual([])
  })

  it('conflicts when the same bytes are delivered to the mailbox again', async () => {
    const { mailbox, deliver } = await setUp()
    const first = await deliver()
    const second = await deliver({ receivedAt: 5, spoolId: 'b'.repeat(26) })
    expect(second).toMatchObject({ id: first.id, outcome: { kind: 'conflict' } })
    expect(await mailbox.has(box, first.id)).toBe(true)
    expect(await mailbox.has(other, first.id)).toBe(false)
    expect((await deliver({ mailbox: other })).outcome).toEqual({ kind: 'committed' })
  })

  it('cuts what a sender makes long', async () => {
    const { mailbox, deliver } = await setUp()
    const many = Array.from({ length: 5000 }, (_, n) => `r${n}`)
    const { id } = await deliver({ to: many, references: many, subject: 's'.repeat(9999), preview: 'p'.repeat(9999) })
    const message = (await mailbox.get(box, id))?.message
    expect(message?.to).toHaveLength(500)
    expect(message?.references.at(-1)).toBe('r4999')
    expect([message?.references.length, message?.subject.length, message?.preview.length]).toEqual([100, 998, 200])
  })

  it('does not open a message that was moved to another mailbox', async () => {
    const { mailbox, deliver, disk, store } = await setUp()
    const { id } = await deliver()
    const rows = [...disk.contents.keys()].filter((key) => key.includes(`${box}/`) && key.startsWith('data/'))
    for (const key of rows.map((row) => row.slice(5))) {
      const row = await store.get(key)
      const value = key.includes('/id/')
        ? Buffer.from(String(Buffer.from(row?.value ?? '')).replace(box, other))
        : row?.value
      await store.commit({ put: [{ key: key.replace(box, other), value: value ?? Buffer.from('') }] })
    }
    await deliver({ mailbox: other, original: Buffer.from('so that the other mailbox has a key') })
    await expect(mailbox.get(other, id)).rejects.toThrow(VaultFailed)
    expect(await mailbox.list(other, {})).toMatchObject({ messages: [{}], unreadable: [id] })
  })
})

describe('listing', () => {
  it('is newest first, in pages that arrivals do not disturb', async () => {
    const { fill, page, deliver } = await setUp()
    const ids = await fill(7)
    const first = await page({ limit: 3 })
    expect(first.ids).toEqual(ids.slice(0, 3))
    await deliver({ receivedAt: 10_000, original: Buffer.from('late') })
    const second = await page({ limit: 3, ...(first.next ? { cursor: first.next } : {}) })
    expect(second.ids).toEqual(ids.slice(3, 6))
    const third = await page({ limit: 3, ...(second.next ? { cursor: second.next } : {}) })
    expect(third).toEqual({ ids: ids.slice(6), next: undefined })
  })

  it('has no next page when the last message ends the page', async () => {
    const { fill, page } = await setUp()
    await fill(3)
    expect((await page({ limit: 3 })).next).toBeUndefined()
    expect((await page({ limit: 3, unread: true })).next).toBeUndefined()
  })

  it.each<[string, MessageQuery, number[]]>([
    ['unread', { unread: true }, [4, 3, 2, 0]],
    ['read', { unread: false }, [1]],
    ['flagged', { flagged: true }, [1]],
    ['a sender', { from: 'other@far.example' as DirectAddress }, [2]],
    ['an attachment', { hasAttachment: false }, [3]],
    ['words in the subject', { subject: 'LAB Résult' }, [4]],
    ['since, inclusive', { since: 3000 }, [4, 3, 2]],
    ['until, exclusive', { until: 3000 }, [1, 0]],
    ['both', { since: 2000, until: 4000, unread: true }, [2]],
    ['nothing', { since: 9000, until: 1000 }, []],
  ])('filters by %s', async (_, query, expected) => {
    const { fill, page, mailbox, store } = await setUp()
    const ids = await fill(5, (index) => ({
      ...(index === 2 ? { from: 'other@far.example' as DirectAddress } : {}),
      ...(index === 3 ? { attachments: [] } : {}),
      ...(index === 4 ? { subject: 'Your lab re\u0301sults' } : {}),
    }))
    const byIndex = ids.toReversed()
    const change = await mailbox.changeFlags(box, byIndex[1] ?? '', { seen: true, flagged: true })
    if (change.kind === 'change') await store.commit(change.parts)
    expect((await page(query)).ids).toEqual(expected.map((index) => byIndex[index]))
  })

  it('finds every match once over pages, whatever the page size and the filter', async () => {
    const { fill, page } = await setUp()
    const wanted = (index: number) => index % 7 === 0 || index % 11 === 3
    const ids = await fill(120, (index) => ({ subject: wanted(index) ? 'wanted' : 'other' }))
    const expected = ids.filter((_, position) => wanted(119 - position))
    for (const limit of [1, 2, 5, 17, 200]) {
      const found: string[] = []
      let cursor: string | undefined
      do {
        const { ids: some, next } = await page({ limit, subject: 'wanted', ...(cursor ? { cursor } : {}) })
        expect(some.length).toBeLessThanOrEqual(limit)
        found.push(...some)
        cursor = next
      } while (cursor)
      expect(found).toEqual(expected)
    }
  })

  it('ends a page early, with a cursor, when few of many rows pass', async () => {
    const room = await openRoom()
    const limits = { ...mailboxLimits, rowsPerPage: 10 }
    const mailbox = openMailbox({ ...room, readPart: async () => undefined }, limits)
    for (let n = 0; n < 25; n++) {
      const subject = n === 0 ? 'needle' : 'hay'
      await room.store.commit(
        (await mailbox.delivery(newMessage({ receivedAt: n, original: Buffer.from(`${n}`), subject }))).parts,
      )
    }
    const lengths: number[] = []
    let cursor: string | undefined
    do {
      const page = await mailbox.list(box, { subject: 'needle', ...(cursor ? { cursor } : {}) })
      if (page.kind !== 'page') throw new Error('bad cursor')
      lengths.push(page.messages.length)
      cursor = page.next
    } while (cursor)
    expect(lengths).toEqual([0, 0, 1])
  })

  it('refuses cursors that no list gave out and throws for none', async () => {
    const { mailbox } = await setUp()
    await fc.assert(
      fc.asyncProperty(fc.string(), async (cursor) => {
        expect(await mailbox.list(box, { cursor })).toEqual({ kind: 'bad-cursor' })
      }),
      { numRuns: 2000 },
    )
    const outside = Buffer.from('000000000000000/../../record').toString('base64url')
    expect(await mailbox.list(box, { cursor: outside })).toEqual({ kind: 'bad-cursor' })
  })

  it('shows nothing of another mailbox', async () => {
    const { fill, mailbox } = await setUp()
    await fill(3)
    expect(await mailbox.list(other, {})).toEqual({ kind: 'page', messages: [], unreadable: [] })
    expect(await mailbox.list(box.slice(0, -1), {})).toMatchObject({ messages: [] })
  })
})

describe('flags and attachments', () => {
  it('changes named flags only, fenced by the version', async () => {
    const { mailbox, deliver, store } = await setUp()
    const { id } = await deliver()
    const version = (await mailbox.get(box, id))?.version ?? 0
    const change = await mailbox.changeFlags(box, id, { seen: true }, version)
    const rival = await mailbox.changeFlags(box, id, { flagged: true }, version)
    if (change.kind !== 'change' || rival.kind !== 'change') throw new Error('no change')
    expect(change.message.flags).toEqual({ seen: true, flagged: false, answered: false, archived: false })
    expect(await store.commit(change.parts)).toEqual({ kind: 'committed' })
    expect(await store.commit(rival.parts)).toMatchObject({ kind: 'conflict' })
    expect(await mailbox.changeFlags(box, id, { seen: false }, version)).toMatchObject({ kind: 'stale' })
    expect(await mailbox.changeFlags(box, 'f'.repeat(32), { seen: true })).toEqual({ kind: 'missing' })
  })

  it('counts changes as the state of the mailbox', async () => {
    const { mailbox, fill, store } = await setUp()
    expect(await mailbox.state(box)).toBe(0)
    for (const n of [1, 2, 3, 5]) {
      const before = await mailbox.state(box)
      await fill(n, (index) => ({ original: Buffer.from(`${n} ${index}`) }))
      expect(await mailbox.state(box)).toBe(before + n)
    }
    const [id = ''] = (await mailbox.changes(box, 0, 1)).map((change) => change.id)
    const change = await mailbox.changeFlags(box, id, { seen: true })
    if (change.kind === 'change') await store.commit(change.parts)
    expect(await mailbox.changes(box, 10, 100)).toEqual([
      { state: 11, id: expect.any(String), change: 'created' },
      { state: 12, id, change: 'flags' },
    ])
    const same = await mailbox.changeFlags(box, id, { seen: true })
    if (same.kind === 'change') await store.commit(same.parts)
    expect(await mailbox.state(box)).toBe(12)
  })

  it('reads an attachment again from the original', async () => {
    const { mailbox, deliver } = await setUp()
    const { id } = await deliver()
    const found = await mailbox.attachment(box, id, 0)
    expect(found).toMatchObject({ attachment: { name: 'summary.xml' } })
    expect(Buffer.from(found?.bytes ?? []).toString()).toBe('Sub')
    expect(await mailbox.attachment(box, id, 1)).toBeUndefined()
    expect(await mailbox.attachment(other, id, 0)).toBeUndefined()
  })
})
