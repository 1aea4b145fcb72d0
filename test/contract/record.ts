import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import { openVault } from '../../src/keyring/vault.js'
import type { Store } from '../../src/ports/store.js'
import { openRecord } from '../../src/record/record.js'
import { readDocument } from '../record/read-document.js'
import { concept, problem, statement } from '../record/statements.js'
import { memoryBlobs } from '../spool/room.js'

export const recordId = 'r'
const sender = 'dr@far.example' as DirectAddress

/** A key that every node of a test has. */
export function recordKey() {
  const random = { bytes: (size: number) => randomBytes(size) }
  const master = readMasterKey(createMasterKey(random))
  if (master.kind !== 'master-key') throw new Error(master.detail)
  return { random, keyring: openKeyring({ current: master.key }, random) }
}

/** A gateway's record over a store: brings documents and decides, again where another node wrote first. */
export function recordNode(store: Store, { random, keyring }: ReturnType<typeof recordKey>) {
  const clock = { now: () => 1_700_000_000_000 }
  const vault = openVault({ store, keyring, random })
  const record = openRecord({ store, vault, clock, blobs: memoryBlobs(clock) })
  return {
    record,
    /** Answers how many rounds it took. */
    async bring(name: string): Promise<number> {
      const document = readDocument(name, [])
      const { document: sha256 } = document.item.provenance
      const item = { ...statement(problem(concept('snomed:386661006')), { document: sha256 }), id: `item-${name}` }
      const documents = [{ ...document, items: [item] }]
      for (let round = 1; ; round++) {
        const from = { sender, mailbox: sender, messageId: 'm', spoolId: 's' }
        const { parts } = await record.proposal(recordId, { documents, ...from })
        if ((await store.commit(parts)).kind === 'committed') return round
      }
    },
    async add(entry: string): Promise<void> {
      for (;;) {
        const outcome = await record.decide(recordId, [{ kind: 'add', entry }], 'test')
        if (outcome.kind !== 'decided') throw new Error(outcome.detail)
        if ((await store.commit(outcome.parts)).kind === 'committed') return
      }
    },
    /** The documents that the one problem of the record appears in, and its state. */
    async told() {
      const page = await record.list(recordId, { type: 'problem' })
      const all = page.kind === 'page' ? page.items : []
      return all.map(({ state, appearances }) => ({ state, from: appearances.map(({ statement: id }) => id).sort() }))
    },
  }
}

/** What a record keeps over every store; `open` twice gives two nodes where the store can have them. */
export function recordContract(
  adapter: string,
  createHome: () => Promise<{ open(): Promise<Store>; destroy(): Promise<void>; nodes: 1 | 2 }>,
) {
  describe(`a record over ${adapter}`, () => {
    let home: Awaited<ReturnType<typeof createHome>>
    let stores: Store[]
    beforeEach(async () => {
      home = await createHome()
      stores = [await home.open()]
      if (home.nodes === 2) stores.push(await home.open())
    })
    afterEach(async () => {
      for (const store of stores) await store.close()
      await home.destroy()
    })

    it('loses and doubles nothing when several write at once, and all see the same', async () => {
      const key = recordKey()
      const [first, second = first] = stores.map((store) => recordNode(store, key))
      if (!first || !second) throw new Error('No store')
      await first.bring('0')
      await Promise.all([
        ...[1, 2, 3].map((n) => first.bring(`${n}`)),
        ...[4, 5, 6].map((n) => second.bring(`${n}`)),
        first.add('item-0'),
        second.bring('1'),
      ])
      const from = [0, 1, 2, 3, 4, 5, 6].map((n) => `item-${n}`)
      for (const node of [first, second]) expect(await node.told()).toEqual([{ state: 'current', from }])
      expect(await first.record.decisions(recordId)).toHaveLength(1)
    })

    it('keeps ledgers of several pages, and adds to their end', async () => {
      const key = recordKey()
      const [store] = stores
      if (!store) throw new Error('No store')
      const node = recordNode(store, key)
      const many = readDocument('many', [])
      const { document } = many.item.provenance
      const items = Array.from({ length: 1200 }, (_, n) => ({
        ...statement(problem(concept(`snomed:${n}`)), { document }),
        id: `n${n}`,
      }))
      const from = { sender, mailbox: sender, messageId: 'm', spoolId: 's' }
      const proposal = await node.record.proposal(recordId, { documents: [{ ...many, items }], ...from })
      expect((await store.commit(proposal.parts)).kind).toBe('committed')
      await node.bring('more')
      await node.add('n3')
      const again = recordNode(store, key)
      expect(await again.record.get(recordId, 'n3')).toMatchObject({ state: 'current' })
      expect(await again.record.get(recordId, 'n1199')).toMatchObject({ state: 'proposed' })
      expect(await again.record.get(recordId, 'item-more')).toMatchObject({ state: 'proposed' })
      expect(
        await store.range({ gte: 'record/r/ledger/problem/', lt: 'record/r/ledger/problem0', limit: 10 }),
      ).toHaveLength(3)
    })
  })
}
