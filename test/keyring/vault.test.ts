import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { rewrapDataKeys } from '../../src/keyring/data-keys.js'
import { frameBytes } from '../../src/keyring/frames.js'
import { type Keyring, openKeyring } from '../../src/keyring/keyring.js'
import { openVault } from '../../src/keyring/vault.js'
import type { Store } from '../../src/ports/store.js'
import { type Vault, VaultFailed } from '../../src/ports/vault.js'
import { createMemoryDisk, type MemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { freshKeyring, freshMasterKey, random } from './worlds.js'

const canary = Buffer.from('canary-synthetic-name-4711')
let disk: MemoryDisk
let store: Store
let keyring: Keyring
let vault: Vault

beforeEach(async () => {
  disk = createMemoryDisk()
  store = await openMemoryStore({ clock: { now: () => 0 }, disk })
  keyring = freshKeyring()
  vault = openVault({ store, keyring, random })
})

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(Uint8Array.from(chunk))
  return Buffer.concat(parts)
}
async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('the vault', () => {
  it('opens what it sealed, and so does the next process', async () => {
    const sealed = await vault.seal('mailbox/1', 'message/1', canary)
    expect(Buffer.from(await vault.open('mailbox/1', 'message/1', sealed))).toEqual(canary)
    const next = openVault({ store, keyring, random })
    expect(Buffer.from(await next.open('mailbox/1', 'message/1', sealed))).toEqual(canary)
  })

  it('does not open for another owner or context, nor what was changed', async () => {
    const sealed = await vault.seal('mailbox/1', 'message/1', canary)
    await vault.seal('mailbox/2', 'message/1', canary)
    await expect(vault.open('mailbox/2', 'message/1', sealed)).rejects.toThrow(VaultFailed)
    await expect(vault.open('mailbox/3', 'message/1', sealed)).rejects.toThrow(VaultFailed)
    await expect(vault.open('mailbox/1', 'message/2', sealed)).rejects.toThrow(VaultFailed)
    for (let i = 0; i < sealed.length; i++) {
      const changed = Uint8Array.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 0x41
      await expect(vault.open('mailbox/1', 'message/1', changed)).rejects.toThrow(VaultFailed)
      await expect(vault.open('mailbox/1', 'message/1', sealed.subarray(0, i))).rejects.toThrow(VaultFailed)
    }
  })

  it('makes no data key only because somebody tried to open', async () => {
    await expect(vault.open('nobody', 'c', new Uint8Array(64).fill(1))).rejects.toThrow(VaultFailed)
    expect(await store.get('vault/nobody')).toBeUndefined()
  })

  it('makes one data key for an owner, however many seal at once, in however many processes', async () => {
    const others = [vault, openVault({ store, keyring, random }), openVault({ store, keyring, random })]
    const sealed = await Promise.all(
      Array.from({ length: 30 }, (_, i) => (others[i % 3] as Vault).seal('mailbox/1', String(i), canary)),
    )
    const fresh = openVault({ store, keyring, random })
    for (const [i, bytes] of sealed.entries())
      expect(Buffer.from(await fresh.open('mailbox/1', String(i), bytes))).toEqual(canary)
  })

  it('leaves no plaintext and no key in the bytes of the store', async () => {
    const deflating = openVault({ store, keyring, random, deflate: true })
    const long = Buffer.concat(Array.from({ length: 200 }, () => canary))
    await store.commit({
      put: [
        { key: 'a', value: await vault.seal('mailbox/1', 'a', canary) },
        { key: 'b', value: await deflating.seal('mailbox/1', 'b', long) },
        { key: 'c', value: await all(vault.sealStream('mailbox/1', 'c', [long])) },
        { key: 'control', value: canary },
      ],
    })
    const holding = [...disk.contents].filter(([, value]) => Buffer.from(value).includes(canary)).map(([key]) => key)
    // The control proves that the search would find what is there.
    expect(holding).toEqual(['data/control'])
  })

  it('deflates what shrinks and inflates it to its length only', async () => {
    const deflating = openVault({ store, keyring, random, deflate: true })
    const long = Buffer.alloc(100_000, 'synthetic ')
    const sealed = await deflating.seal('o', 'c', long)
    expect(sealed.length).toBeLessThan(5000)
    // Whoever opens need not be set to deflate.
    expect(Buffer.from(await vault.open('o', 'c', sealed))).toEqual(long)
    const noise = randomBytes(10_000)
    expect(Buffer.from(await deflating.open('o', 'c', await deflating.seal('o', 'c', noise)))).toEqual(noise)
    // The flag is authenticated.
    const unflagged = Uint8Array.from(sealed)
    unflagged[1] = 0
    await expect(vault.open('o', 'c', unflagged)).rejects.toThrow(VaultFailed)
  })

  it('keeps opening old bytes while and after the master key is rotated', async () => {
    const [before, after] = [freshMasterKey(), freshMasterKey()]
    const sealed: Uint8Array[] = []
    const old = openVault({ store, keyring: openKeyring({ current: before }, random), random })
    for (let i = 0; i < 3; i++) sealed.push(await old.seal(`mailbox/${i}`, 'c', canary))
    const both = openKeyring({ current: after, older: [before] }, random)
    expect(await rewrapDataKeys(store, both)).toBe(3)
    expect(await rewrapDataKeys(store, both)).toBe(0)
    const now = openVault({ store, keyring: openKeyring({ current: after }, random), random })
    for (const [i, bytes] of sealed.entries())
      expect(Buffer.from(await now.open(`mailbox/${i}`, 'c', bytes))).toEqual(canary)
  })
})

describe('sealed streams', () => {
  const sizes = [0, 1, frameBytes - 1, frameBytes, frameBytes + 1, 2 * frameBytes, 3 * frameBytes + 17]

  it.each(sizes)('open to the %i bytes they were sealed from, however they are cut', async (size) => {
    const plaintext = randomBytes(size)
    const sealed = await all(vault.sealStream('o', 'c', inPieces(plaintext, 1000)))
    for (const piece of [7777, 1 << 20])
      expect(Buffer.compare(await all(vault.openStream('o', 'c', inPieces(sealed, piece))), plaintext)).toBe(0)
    if (size >= 16) expect(sealed.includes(plaintext.subarray(0, 16))).toBe(false)
  })

  it('hand out nothing that was changed, cut off, moved or repeated', async () => {
    const plaintext = randomBytes(3 * frameBytes)
    const sealed = await all(vault.sealStream('o', 'c', [plaintext]))
    const header = 34
    const frame = frameBytes + 16
    const parts = [0, 1, 2].map((i) => sealed.subarray(header + i * frame, header + (i + 1) * frame))
    const [a, b, c] = parts as [Buffer, Buffer, Buffer]
    const head = sealed.subarray(0, header)
    const damaged = [
      Buffer.concat([head, b, a, c]),
      Buffer.concat([head, a, c]),
      Buffer.concat([head, a, b]),
      Buffer.concat([head, a, b, c, c]),
      Buffer.concat([head, a, a, b, c]),
      Buffer.concat([head, c]),
      head,
      sealed.subarray(0, 20),
      sealed.subarray(0, sealed.length - 1),
      Buffer.concat([sealed, Buffer.of(0)]),
    ]
    for (const bytes of damaged)
      await expect(all(vault.openStream('o', 'c', inPieces(bytes, 50_000)))).rejects.toThrow(VaultFailed)
    await expect(all(vault.openStream('o', 'other', inPieces(sealed, 50_000)))).rejects.toThrow(VaultFailed)
  })

  it('hand out only whole true frames before the first false one', async () => {
    const plaintext = randomBytes(2 * frameBytes + 5)
    const sealed = await all(vault.sealStream('o', 'c', [plaintext]))
    await fc.assert(
      fc.asyncProperty(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = Buffer.from(sealed)
        changed[at] = (changed[at] ?? 0) ^ flip
        let handed = 0
        const reading = async () => {
          for await (const chunk of vault.openStream('o', 'c', inPieces(changed, 40_000))) {
            expect(Buffer.compare(chunk, plaintext.subarray(handed, handed + chunk.length))).toBe(0)
            handed += chunk.length
          }
        }
        await expect(reading()).rejects.toThrow(VaultFailed)
        expect(handed).toBeLessThan(plaintext.length)
      }),
      { numRuns: 60 },
    )
  })

  it('give up their source when the reader stops early', async () => {
    const sealed = await all(vault.sealStream('o', 'c', [randomBytes(5 * frameBytes)]))
    let closed = false
    async function* source() {
      try {
        yield* inPieces(sealed, 10_000)
      } finally {
        closed = true
      }
    }
    for await (const _ of vault.openStream('o', 'c', source())) break
    expect(closed).toBe(true)
  })
})
