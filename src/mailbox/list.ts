import type { Store } from '../ports/store.js'
import { within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import { VaultFailed } from '../ports/vault.js'
import type { Message, mailboxLimits, StoredMessage } from './message.js'
import type { MessageFilter, MessagePage, MessageQuery } from './query.js'
import { mailPrefix, openMail, timeText } from './rows.js'

/**
 * One page, newest first. The cursor is a position, not a number of rows, so messages that arrive meanwhile neither
 * repeat nor hide one. It is validated, not signed: whatever it says, the scan stays inside the mailbox.
 */
export async function listMessages(
  { store, vault }: { readonly store: Store; readonly vault: Vault },
  mailbox: string,
  query: MessageQuery,
  limits: typeof mailboxLimits,
): Promise<MessagePage> {
  const prefix = mailPrefix(mailbox)
  const position = query.cursor === undefined ? undefined : readCursor(query.cursor)
  if (query.cursor !== undefined && position === undefined) return { kind: 'bad-cursor' }

  const size = Math.min(Math.max(1, Math.trunc(query.limit ?? limits.pageDefault)), limits.pageMax)
  const gte = prefix + (query.since === undefined ? '' : timeText(query.since))
  let lt = query.until === undefined ? within(prefix).lt : prefix + timeText(query.until)
  if (position !== undefined && prefix + position < lt) lt = prefix + position

  const matches = filterOf(query)
  const messages: StoredMessage[] = []
  const unreadable: string[] = []
  let budget = limits.rowsPerPage
  while (budget > 0) {
    const asked = Math.min(budget, matches ? limits.pageMax : size - messages.length + 1)
    const rows = gte < lt ? await store.range({ gte, lt, limit: asked, reverse: true }) : []
    const opened = await Promise.all(rows.map((row) => openMail(vault, mailbox, row).catch(damaged)))
    for (const [index, row] of rows.entries()) {
      const message = opened[index]
      if (message && matches && !matches(message)) {
        lt = row.key
        continue
      }
      // One match beyond the page tells that there is a next one; it starts below the last row looked at before it.
      if (messages.length === size) return { kind: 'page', messages, unreadable, next: cursor(lt.slice(prefix.length)) }
      if (message) messages.push({ message, version: row.version })
      else unreadable.push(row.key.slice(row.key.lastIndexOf('/') + 1))
      lt = row.key
    }
    if (rows.length < asked) return { kind: 'page', messages, unreadable }
    budget -= rows.length
  }
  return { kind: 'page', messages, unreadable, next: cursor(lt.slice(prefix.length)) }
}

function damaged(error: unknown): undefined {
  if (error instanceof VaultFailed || error instanceof SyntaxError) return undefined
  throw error
}

function cursor(position: string): string {
  return Buffer.from(position).toString('base64url')
}

function readCursor(text: string): string | undefined {
  const position = Buffer.from(text, 'base64url').toString('latin1')
  return /^\d{15}\/[0-9a-f]{32}$/.test(position) ? position : undefined
}

/** One test for all conditions that need the message itself; undefined where there are none. */
function filterOf({ unread, flagged, from, hasAttachment, subject }: MessageFilter) {
  const words = subject?.normalize('NFC').toLowerCase()
  const tests: ((message: Message) => boolean)[] = []
  if (unread !== undefined) tests.push(({ flags }) => flags.seen !== unread)
  if (flagged !== undefined) tests.push(({ flags }) => flags.flagged === flagged)
  if (from !== undefined) tests.push((message) => message.from === from)
  if (hasAttachment !== undefined) tests.push(({ attachments }) => attachments.length > 0 === hasAttachment)
  if (words) tests.push((message) => message.subject.normalize('NFC').toLowerCase().includes(words))
  return tests.length === 0 ? undefined : (message: Message) => tests.every((test) => test(message))
}
