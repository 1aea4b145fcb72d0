import { createHash, createHmac } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import { type BodyPorts, bodyRows, gather, keepBody, readBody } from '../ports/body.js'
import { type Batch, type Entry, together, within } from '../ports/store.js'
import type { NewMessage } from './message.js'

/**
 * Mail for somebody who has no address here yet, held until they prove to be meant:
 *
 * | key                          | value                                                         |
 * |------------------------------|---------------------------------------------------------------|
 * | `held/<id>`                  | how it stands; what a delivery needs besides the message, sealed |
 * | `held/<id>/message`          | the message, sealed (see ports/body); gone once it has ended     |
 * | `held-for/<digest>/<id>`     | empty: how much waits for one e-mail address                     |
 */
export const heldLimits = {
  /** Messages that wait for one e-mail address: a clinic sends one for each visit, and nobody is buried in letters. */
  perEmail: 20,
}

/** What is known of a held message; `notices` is what its sender will be told from, kept for whoever tells him. */
export interface HeldMail<Facts>
  extends Pick<NewMessage, 'spoolId' | 'receivedAt' | 'from' | 'messageId' | 'outerFields' | 'protection'> {
  /** The address that took it. */
  readonly recipient: DirectAddress
  /** What it is about, without what stood before it for the gateway. */
  readonly subject: string
  readonly facts?: Facts
  /** The sender asked to be told of its delivery. */
  readonly asked: boolean
}

export interface NewHeld<Facts> extends HeldMail<Facts> {
  readonly id: string
  readonly email: string
  readonly message: Uint8Array
}

export type HeldState = 'held' | 'claimed' | 'failed'

export type StoredHeld<Facts> = {
  readonly id: string
  /** Digest of the e-mail address that it waits for. */
  readonly email: string
  readonly version: number
} & ({ readonly state: 'held'; readonly mail: HeldMail<Facts> } | { readonly state: 'claimed' | 'failed' })

export interface Held<Facts> {
  /** The id that this message has when it is held, however often it is sent. */
  idOf(recipient: DirectAddress, message: Uint8Array): string
  /** How a message stands, also after it ended; undefined for one that was never held, or long ago. */
  get(id: string): Promise<StoredHeld<Facts> | undefined>
  /** Whether as much waits for an e-mail address as may. */
  isFull(email: string): Promise<boolean>
  /** Parts that hold a message; a conflict where it is held already. */
  hold(mail: NewHeld<Facts>): Promise<Batch>
  /** The message, while it is held. */
  message(id: string): Promise<Uint8Array | undefined>
  /** Parts that end it: what it was made of is gone, that it was there stays. A conflict where somebody else ended it. */
  end(held: StoredHeld<Facts>, state: 'claimed' | 'failed'): Promise<Batch>
  /** Parts that forget that it ever was. */
  forget(held: StoredHeld<Facts>): Batch
}

/** Vault owner of what is held. */
const owner = 'held'
export const heldKey = (id: string) => `held/${id}`
export const heldMessageKey = (id: string) => `held/${id}/message`
const forKey = (digest: string, id: string) => `held-for/${digest}/${id}`
const isHeldId = (text: string) => /^[0-9a-f]{32}$/.test(text)

interface HeldRow {
  readonly state: HeldState
  /** Digest of the e-mail address. */
  readonly email: string
  /** Sealed, base64; while it is held. */
  readonly mail?: string
}

/** Opens the place where mail for newcomers waits. `indexKey` keeps e-mail addresses out of the names of rows. */
export function openHeld<Facts>(ports: BodyPorts, indexKey: Uint8Array, limits = heldLimits): Held<Facts> {
  const { store, vault } = ports
  if (indexKey.length < 32) throw new Error('The key of the index needs 32 bytes')
  const digestOf = (email: string) =>
    createHmac('sha256', indexKey)
      .update(`held-for\0${email.normalize('NFKC').toLowerCase()}`)
      .digest('hex')

  async function opened(id: string, { version, value }: Entry): Promise<StoredHeld<Facts>> {
    const { state, email, mail } = JSON.parse(Buffer.from(value).toString()) as HeldRow
    if (state !== 'held') return { id, email, version, state }
    const plain = await vault.open(owner, heldKey(id), Buffer.from(mail ?? '', 'base64'))
    return { id, email, version, state, mail: JSON.parse(Buffer.from(plain).toString()) as HeldMail<Facts> }
  }

  return {
    idOf: (recipient, message) =>
      createHash('sha256').update(`held ${recipient}\n`).update(message).digest('hex').slice(0, 32),
    async get(id) {
      const row = isHeldId(id) ? await store.get(heldKey(id)) : undefined
      return row && opened(id, row)
    },
    async isFull(email) {
      const prefix = forKey(digestOf(email), '')
      return (await store.range({ ...within(prefix), limit: limits.perEmail })).length >= limits.perEmail
    },
    async hold({ id, email, message, ...mail }) {
      const key = heldKey(id)
      const digest = digestOf(email)
      const sealed = await vault.seal(owner, key, Buffer.from(JSON.stringify(mail)))
      const row: HeldRow = { state: 'held', email: digest, mail: Buffer.from(sealed).toString('base64') }
      return together(await keepBody(ports, owner, heldMessageKey(id), message), {
        require: [{ key, version: 'absent' }],
        put: [
          { key, value: json(row) },
          { key: forKey(digest, id), value: new Uint8Array() },
        ],
      })
    },
    async message(id) {
      const chunks = isHeldId(id) ? await readBody(ports, owner, heldMessageKey(id)) : undefined
      return chunks && gather(chunks)
    },
    async end({ id, email, version }, state) {
      const row: HeldRow = { state, email }
      return {
        require: [{ key: heldKey(id), version }],
        put: [{ key: heldKey(id), value: json(row) }],
        del: [...(await bodyKeys(id)), forKey(email, id)],
      }
    },
    forget: ({ id, version }) => ({ require: [{ key: heldKey(id), version }], del: [heldKey(id)] }),
  }

  /** The rows of a body: itself, and what keeps its blob alive. */
  async function bodyKeys(id: string): Promise<readonly string[]> {
    const key = heldMessageKey(id)
    const row = await store.get(key)
    return row ? bodyRows(row) : []
  }
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))
