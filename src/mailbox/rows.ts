import type { Entry } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Message } from './message.js'

/**
 * Rows of a mailbox. The message row holds all that a list shows, so that a page is one range scan:
 *
 * | key                                  | value                                        |
 * |--------------------------------------|----------------------------------------------|
 * | `mailbox/<mailbox>/id/<id>`          | key of the message row                       |
 * | `mailbox/<mailbox>/mail/<time>/<id>` | the message without its original, sealed     |
 * | `mailbox/<mailbox>/original/<id>`    | the original, sealed (see ports/body)        |
 * | log `mailbox/<mailbox>`              | one line a change; the sequence is the state |
 */
const timeDigits = 15

/** Whether a text could be the id of a message: what could not be is not looked up. */
export function isMessageId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

/** Absent until a message is delivered: what makes a second delivery a conflict. */
export function deliveryKey(mailbox: string, id: string): string {
  return `mailbox/${mailbox}/id/${id}`
}

export function mailPrefix(mailbox: string): string {
  return `mailbox/${mailbox}/mail/`
}

/** Time first, so that keys sort as the mailbox does; Unix milliseconds in 15 digits. */
export function mailKey(mailbox: string, receivedAt: number, id: string): string {
  return `${mailPrefix(mailbox)}${timeText(receivedAt)}/${id}`
}

export function timeText(at: number): string {
  return String(Math.min(Math.max(0, Math.trunc(at)), 10 ** timeDigits - 1)).padStart(timeDigits, '0')
}

export function originalKey(mailbox: string, id: string): string {
  return `mailbox/${mailbox}/original/${id}`
}

export function changeLog(mailbox: string): string {
  return `mailbox/${mailbox}`
}

/** Owner of the mailbox's data key. */
export function ownerOf(mailbox: string): string {
  return `mailbox/${mailbox}`
}

export async function sealMail(vault: Vault, mailbox: string, key: string, message: Message): Promise<Uint8Array> {
  return vault.seal(ownerOf(mailbox), key, Buffer.from(JSON.stringify(message)))
}

/** Throws VaultFailed where the row was changed or moved. */
export async function openMail(vault: Vault, mailbox: string, row: Entry): Promise<Message> {
  const plain = await vault.open(ownerOf(mailbox), row.key, row.value)
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString('utf8')) as Message
}
