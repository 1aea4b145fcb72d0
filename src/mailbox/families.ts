import { createHash } from 'node:crypto'
import { checkBody, emptyRow, type Family, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { heldKey, heldMessageKey } from './held.js'
import { deliveryKey, isMessageId, mailKey, originalKey, ownerOf } from './rows.js'

/** Mailbox and last part of a key of this room; the mailbox is an id without a slash. */
function partsOf(key: string): { readonly mailbox: string; readonly id: string } {
  return { mailbox: key.split('/')[1] ?? '', id: key.slice(key.lastIndexOf('/') + 1) }
}

const delivered: Family<'entry'> = {
  kind: 'entry',
  name: 'delivered message',
  form: /^mailbox\/(?<owner>[^/]+)\/id\/[0-9a-f]{32}$/,
  check({ key, value }) {
    const { mailbox, id } = partsOf(key)
    const mail = Buffer.from(value).toString()
    const at = Number(mail.split('/')[3])
    sound(mail === mailKey(mailbox, at, id), 'the row points to another message')
    return [
      { kind: 'entry', key: mail },
      { kind: 'entry', key: originalKey(mailbox, id) },
    ]
  },
}

const mail: Family<'entry'> = {
  kind: 'entry',
  name: 'mailbox message',
  form: /^mailbox\/(?<owner>[^/]+)\/mail\/\d{15}\/[0-9a-f]{32}$/,
  async check({ key, value }, { vault }) {
    const { mailbox, id } = partsOf(key)
    const message = jsonOf(await vault.open(ownerOf(mailbox), key, value))
    sound(message['id'] === id && message['mailbox'] === mailbox, 'the message is another one')
    return [{ kind: 'entry', key: deliveryKey(mailbox, id) }]
  },
}

/** The id of a message comes from its mailbox and its bytes. */
const original: Family<'entry'> = {
  kind: 'entry',
  name: 'original of a message',
  form: /^mailbox\/(?<owner>[^/]+)\/original\/[0-9a-f]{32}$/,
  async check(row, reader) {
    const { mailbox, id } = partsOf(row.key)
    const hash = createHash('sha256').update(`${mailbox}\n`)
    let read = false
    const needs = await checkBody(row, ownerOf(mailbox), reader, (chunk) => {
      read = true
      hash.update(chunk)
    })
    sound(!read || hash.digest('hex').startsWith(id), 'the bytes are of another message')
    return [{ kind: 'entry', key: deliveryKey(mailbox, id) }, ...needs]
  },
}

/** No message is ever taken out of a mailbox again. */
const change: Family<'log'> = {
  kind: 'log',
  name: 'mailbox change',
  form: /^mailbox\/(?<owner>[^/]+)$/,
  check({ log, value }) {
    const { id, change } = jsonOf(value)
    sound(typeof id === 'string' && isMessageId(id), 'the change is of no message')
    sound(change === 'created' || change === 'flags', 'the change is of no kind')
    return [{ kind: 'entry', key: deliveryKey(log.slice('mailbox/'.length), id) }]
  },
}

const held: Family<'entry'> = {
  kind: 'entry',
  name: 'held message',
  form: /^held\/[0-9a-f]{32}$/,
  async check({ key, value }, { vault }) {
    const { state, email, mail } = jsonOf(value)
    sound(typeof email === 'string' && /^[0-9a-f]{64}$/.test(email), 'it waits for nobody')
    if (state !== 'held') {
      sound((state === 'claimed' || state === 'failed') && mail === undefined, 'it is in no state')
      return []
    }
    const { from, recipient } = jsonOf(await vault.open('held', key, Buffer.from(String(mail), 'base64')))
    sound(typeof from === 'string' && typeof recipient === 'string', 'it is from nobody, or for nobody')
    const id = key.slice('held/'.length)
    return [
      { kind: 'entry', key: heldMessageKey(id) },
      { kind: 'entry', key: `held-for/${email}/${id}` },
    ]
  },
}

const heldMessage: Family<'entry'> = {
  kind: 'entry',
  name: 'bytes of a held message',
  form: /^held\/[0-9a-f]{32}\/message$/,
  async check(row, reader) {
    const needs = await checkBody(row, 'held', reader, () => undefined)
    return [{ kind: 'entry', key: heldKey(row.key.split('/')[1] ?? '') }, ...needs]
  },
}

const heldFor: Family<'entry'> = {
  kind: 'entry',
  name: 'who a held message is for',
  form: /^held-for\/[0-9a-f]{64}\/[0-9a-f]{32}$/,
  check(row) {
    emptyRow(row)
    return [{ kind: 'entry', key: heldKey(row.key.slice(row.key.lastIndexOf('/') + 1)) }]
  },
}

/** Every row that this room writes. */
export const mailboxFamilies: readonly RowFamily[] = [delivered, mail, original, change, held, heldMessage, heldFor]
