import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import type { Store } from '../ports/store.js'
import { type Vault, VaultFailed } from '../ports/vault.js'
import type { Random } from '../ports/world.js'
import { openDataKeys } from './data-keys.js'
import { openFrames, sealFrames } from './frames.js'
import type { Keyring } from './keyring.js'
import { derived } from './master-key.js'
import { joined, nonceBytes, open, seal, tagBytes } from './sealed.js'

/**
 * Sealed bytes: version (1), flags (1), nonce (12), ciphertext, tag. Flag 1: the plaintext is its length (4) and its
 * raw deflate. A sealed stream: version (1), flags (1, none yet), salt (32), frames.
 */
const sealVersion = 1
const streamVersion = 2
const deflated = 1
const headerBytes = 2
const saltBytes = 32

export const vaultLimits = {
  /** Below this deflating saves a disk block or none, and costs a turn of another thread: record items are about 1 KB. */
  deflateOverBytes: 8 * 1024,
  /** Above this deflating is a stream's business: one call would hold several copies in memory. */
  deflateUpToBytes: 4 * 1024 * 1024,
} as const

const deflate = promisify<Uint8Array, { level: number }, Buffer>(deflateRaw)
const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw)

/**
 * Opens the vault: data keys in the store, wrapped by the keyring. With `deflate`, bodies that shrink are deflated before
 * they are sealed; their length then tells a little of their content to whoever reads the disk, as it does without.
 */
export function openVault(ports: {
  readonly store: Store
  readonly keyring: Keyring
  readonly random: Random
  readonly deflate?: boolean
}): Vault {
  const { random } = ports
  const keys = openDataKeys(ports)

  async function sealOne(owner: string, context: string, plaintext: Uint8Array): Promise<Uint8Array> {
    const key = await keys.forSealing(owner)
    const smaller = ports.deflate ? await deflatedBody(plaintext) : undefined
    const header = Buffer.of(sealVersion, smaller ? deflated : 0)
    const nonce = random.bytes(nonceBytes)
    const sealed = seal(key, nonce, joined(header, owner, context), smaller ?? plaintext)
    return Buffer.concat([header, nonce, sealed])
  }

  async function openOne(owner: string, context: string, sealed: Uint8Array): Promise<Uint8Array> {
    if (sealed.length < headerBytes + nonceBytes + tagBytes) throw new VaultFailed('Sealed bytes are too short')
    const header = sealed.subarray(0, headerBytes)
    const flags = checkedFlags(header, sealVersion, deflated)
    const key = await keys.forOpening(owner)
    const nonce = sealed.subarray(headerBytes, headerBytes + nonceBytes)
    const body = open(key, nonce, joined(header, owner, context), sealed.subarray(headerBytes + nonceBytes))
    if (!body) throw new VaultFailed('Sealed bytes were changed or moved')
    return flags & deflated ? inflatedBody(body) : body
  }

  async function* sealStream(
    owner: string,
    context: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const header = Buffer.of(streamVersion, 0)
    const salt = random.bytes(saltBytes)
    const key = derived(await keys.forSealing(owner), 'stream', salt)
    yield Buffer.concat([header, salt])
    yield* sealFrames(key, joined(header, owner, context), chunks)
  }

  async function* openStream(
    owner: string,
    context: string,
    sealed: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const iterator = sealed[Symbol.asyncIterator]()
    try {
      const { lead, rest } = await leading(iterator, headerBytes + saltBytes)
      const header = lead.subarray(0, headerBytes)
      checkedFlags(header, streamVersion, 0)
      const key = derived(await keys.forOpening(owner), 'stream', lead.subarray(headerBytes))
      yield* openFrames(key, joined(header, owner, context), rest)
    } finally {
      await iterator.return?.()
    }
  }

  return { seal: sealOne, open: openOne, sealStream, openStream }
}

function checkedFlags(header: Uint8Array, version: number, known: number): number {
  const flags = header[1] ?? 0
  if (header[0] !== version || flags & ~known)
    throw new VaultFailed('Sealed bytes have a version or flag this build does not know')
  return flags
}

async function deflatedBody(plaintext: Uint8Array): Promise<Uint8Array | undefined> {
  if (plaintext.length < vaultLimits.deflateOverBytes || plaintext.length > vaultLimits.deflateUpToBytes)
    return undefined
  const body = await deflate(plaintext, { level: 1 })
  if (body.length + 4 >= plaintext.length) return undefined
  const length = Buffer.alloc(4)
  length.writeUInt32BE(plaintext.length)
  return Buffer.concat([length, body])
}

/** Inflates to exactly the length that was sealed with it, never more. */
async function inflatedBody(body: Uint8Array): Promise<Uint8Array> {
  const length = body.length < 4 ? 0 : Buffer.from(body.buffer, body.byteOffset, 4).readUInt32BE()
  if (length === 0 || length > vaultLimits.deflateUpToBytes) throw new VaultFailed('Deflated bytes have a wrong length')
  const plaintext = await inflate(body.subarray(4), { maxOutputLength: length }).catch(() => undefined)
  if (plaintext?.length !== length) throw new VaultFailed('Deflated bytes do not inflate to their length')
  return plaintext
}

/** Reads the first `size` bytes off a stream, and what follows them. */
async function leading(iterator: AsyncIterator<Uint8Array>, size: number) {
  let lead = Buffer.alloc(0)
  while (lead.length < size) {
    const next = await iterator.next()
    if (next.done) throw new VaultFailed('A sealed stream was cut off in its header')
    lead = Buffer.concat([lead, next.value])
  }
  async function* rest() {
    yield lead.subarray(size)
    while (true) {
      const next = await iterator.next()
      if (next.done) return
      yield next.value
    }
  }
  return { lead: lead.subarray(0, size), rest: rest() }
}
