import { createHash } from 'node:crypto'
import type { BodyPorts } from '../ports/body.js'
import { gather, keepBody, readBody } from '../ports/body.js'
import type { Batch, Entry } from '../ports/store.js'
import { together } from '../ports/store.js'
import { listMessages } from './list.js'
import type { Message, MessageAttachment, MessageFlags, NewMessage, StoredMessage } from './message.js'
import { mailboxLimits } from './message.js'
import type { MessagePage, MessageQuery } from './query.js'
import { changeLog, deliveryKey, isMessageId, mailKey, openMail, originalKey, ownerOf, sealMail } from './rows.js'

export interface MailboxPorts extends BodyPorts {
  /** Decoded bytes of one part of a message, by its path; mime/ knows how. Undefined where there is no such part. */
  readPart(message: Uint8Array, path: string): Promise<Uint8Array | undefined>
}

/** One line of a mailbox's change log; its sequence number is the mailbox's state. */
export interface MailboxChange {
  readonly state: number
  readonly id: string
  readonly change: 'created' | 'flags'
}

export type FlagChange =
  /** Nothing is changed yet: the parts are for the caller's batch, the message is what it will be. */
  | { readonly kind: 'change'; readonly message: Message; readonly parts: Batch }
  | { readonly kind: 'missing' }
  /** The version asked for is not the message's any more; `version` is the one it has. */
  | { readonly kind: 'stale'; readonly version: number }

/**
 * The Message Center's store: messages per mailbox, newest first. `mailbox` is the id that the directory gave the
 * address, so that an address that is removed and added again starts empty.
 */
export interface Mailbox {
  /**
   * Seals a message and answers what must be committed to deliver it. Its id comes from mailbox and content; the parts
   * require `deliveryKey(mailbox, id)` to be absent, so that a second delivery is a conflict on that key.
   */
  delivery(message: NewMessage): Promise<{ readonly id: string; readonly parts: Batch }>
  /** True when the message is there already: the pipeline then leaves `delivery` out of its batch. */
  has(mailbox: string, id: string): Promise<boolean>
  /** Newest first; stable while messages arrive. Opens at most `mailboxLimits.rowsPerPage` rows. */
  list(mailbox: string, query: MessageQuery): Promise<MessagePage>
  get(mailbox: string, id: string): Promise<StoredMessage | undefined>
  /** The parts that set the given flags, fenced by `version` (the current one when not given). */
  changeFlags(mailbox: string, id: string, flags: Partial<MessageFlags>, version?: number): Promise<FlagChange>
  /** The verified message, byte for byte. */
  original(mailbox: string, id: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** One attachment and its decoded bytes, read again from the sealed original. */
  attachment(
    mailbox: string,
    id: string,
    index: number,
  ): Promise<{ readonly attachment: MessageAttachment; readonly bytes: Uint8Array } | undefined>
  /** The state of the mailbox: the number of changes it has seen. */
  state(mailbox: string): Promise<number>
  /** Changes after `since`, oldest first. */
  changes(mailbox: string, since: number, limit: number): Promise<readonly MailboxChange[]>
}

export function openMailbox(ports: MailboxPorts, limits = mailboxLimits): Mailbox {
  const { store } = ports
  return {
    delivery: (message) => delivery(ports, message, limits),
    async has(mailbox, id) {
      return isMessageId(id) && (await store.get(deliveryKey(mailbox, id))) !== undefined
    },
    list: (mailbox, query) => listMessages(ports, mailbox, query, limits),
    async get(mailbox, id) {
      const row = await rowOf(ports, mailbox, id)
      return row && { message: await openMail(ports.vault, mailbox, row), version: row.version }
    },
    changeFlags: (mailbox, id, flags, version) => changeFlags(ports, mailbox, id, flags, version),
    async original(mailbox, id) {
      return isMessageId(id) ? readBody(ports, ownerOf(mailbox), originalKey(mailbox, id)) : undefined
    },
    attachment: (mailbox, id, index) => attachment(ports, mailbox, id, index),
    state: (mailbox) => stateOf(ports, mailbox),
    async changes(mailbox, since, limit) {
      const entries = await store.log(changeLog(mailbox), since + 1, limit)
      return entries.map(({ sequence, value }) => ({
        ...(JSON.parse(Buffer.from(value).toString()) as Omit<MailboxChange, 'state'>),
        state: sequence,
      }))
    },
  }
}

const noFlags: MessageFlags = { seen: false, flagged: false, answered: false, archived: false }

async function delivery(
  ports: MailboxPorts,
  { original, ...told }: NewMessage,
  limits: typeof mailboxLimits,
): Promise<{ readonly id: string; readonly parts: Batch }> {
  const { mailbox, receivedAt } = told
  const id = createHash('sha256').update(`${mailbox}\n`).update(original).digest('hex').slice(0, 32)
  const key = mailKey(mailbox, receivedAt, id)
  const message: Message = { ...cut(told, limits), id, sizeBytes: original.length, flags: noFlags }
  const [sealed, body] = await Promise.all([
    sealMail(ports.vault, mailbox, key, message),
    keepBody(ports, ownerOf(mailbox), originalKey(mailbox, id), original),
  ])
  const parts = together(body, {
    require: [{ key: deliveryKey(mailbox, id), version: 'absent' }],
    put: [
      { key: deliveryKey(mailbox, id), value: Buffer.from(key) },
      { key, value: sealed },
    ],
    append: [changed(mailbox, id, 'created')],
  })
  return { id, parts }
}

/** The message with its lists and texts cut to their limits: rows stay small whatever a sender writes. */
function cut<T extends Omit<NewMessage, 'original'>>(message: T, limits: typeof mailboxLimits): T {
  return {
    ...message,
    subject: message.subject.slice(0, limits.subjectChars),
    preview: message.preview.slice(0, limits.previewChars),
    to: message.to.slice(0, limits.addresses),
    cc: message.cc.slice(0, limits.addresses),
    references: message.references.slice(-limits.references), // RFC 5322 §3.6.4: the nearest stand last
    attachments: message.attachments.slice(0, limits.attachments),
    diagnostics: message.diagnostics.slice(0, limits.diagnostics),
  }
}

function changed(mailbox: string, id: string, change: MailboxChange['change']) {
  return { log: changeLog(mailbox), value: Buffer.from(JSON.stringify({ id, change })) }
}

async function rowOf({ store }: MailboxPorts, mailbox: string, id: string): Promise<Entry | undefined> {
  const pointer = isMessageId(id) ? await store.get(deliveryKey(mailbox, id)) : undefined
  return pointer && store.get(Buffer.from(pointer.value).toString())
}

async function changeFlags(
  ports: MailboxPorts,
  mailbox: string,
  id: string,
  flags: Partial<MessageFlags>,
  version: number | undefined,
): Promise<FlagChange> {
  const row = await rowOf(ports, mailbox, id)
  if (!row) return { kind: 'missing' }
  if (version !== undefined && version !== row.version) return { kind: 'stale', version: row.version }

  const before = await openMail(ports.vault, mailbox, row)
  const message: Message = { ...before, flags: { ...before.flags, ...flags } }
  const require = [{ key: row.key, version: row.version }]
  const same = (Object.keys(noFlags) as (keyof MessageFlags)[]).every(
    (flag) => message.flags[flag] === before.flags[flag],
  )
  if (same) return { kind: 'change', message, parts: { require } }
  const value = await sealMail(ports.vault, mailbox, row.key, message)
  return {
    kind: 'change',
    message,
    parts: { require, put: [{ key: row.key, value }], append: [changed(mailbox, id, 'flags')] },
  }
}

async function attachment(ports: MailboxPorts, mailbox: string, id: string, index: number) {
  const row = await rowOf(ports, mailbox, id)
  const message = row && (await openMail(ports.vault, mailbox, row))
  const found = message?.attachments.find((one) => one.index === index)
  const original = found && (await readBody(ports, ownerOf(mailbox), originalKey(mailbox, id)))
  const bytes = original && (await ports.readPart(await gather(original), found.path))
  return bytes && { attachment: found, bytes }
}

/** The last sequence number of the change log, found by doubling and halving: about 2 log2(n) small reads. */
async function stateOf({ store }: MailboxPorts, mailbox: string): Promise<number> {
  const has = async (sequence: number) => (await store.log(changeLog(mailbox), sequence, 1)).length > 0
  let above = 1
  while (await has(above)) above *= 2
  let last = Math.floor(above / 2)
  while (above - last > 1) {
    const middle = Math.floor((last + above) / 2)
    if (await has(middle)) last = middle
    else above = middle
  }
  return last
}
