import { type Entry, type Store, within } from '../ports/store.js'
import { type Vault, VaultFailed } from '../ports/vault.js'
import type { Random } from '../ports/world.js'
import type { Activity, ActivityEntry, ActivityQuery } from './consent.js'
import { consentLimits } from './limits.js'
import { activityPrefix, recordOwner, timeText } from './rows.js'

/** The history of a record, as long as the record: nothing here ends before the audit log does. */
export function openActivity(ports: {
  readonly store: Pick<Store, 'range'>
  readonly vault: Vault
  readonly random: Random
}): Activity {
  const { store, vault, random } = ports
  let count = 0

  async function opened(record: string, { key, value }: Entry): Promise<ActivityEntry | undefined> {
    try {
      const plain = await vault.open(recordOwner(record), key, value)
      return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString('utf8')) as ActivityEntry
    } catch (error) {
      if (error instanceof VaultFailed || error instanceof SyntaxError) return undefined
      throw error
    }
  }

  return {
    async entry(record, entry) {
      // Lines of one millisecond stay in the order in which this process wrote them.
      count = (count + 1) % 2 ** 32
      const place = `${timeText(entry.at)}-${count.toString(16).padStart(8, '0')}${Buffer.from(random.bytes(4)).toString('hex')}`
      const key = activityPrefix(record) + place
      return { put: [{ key, value: await vault.seal(recordOwner(record), key, Buffer.from(JSON.stringify(entry))) }] }
    },

    async list(record, query) {
      const prefix = activityPrefix(record)
      const position = query.before === undefined ? undefined : readCursor(query.before)
      if (query.before !== undefined && position === undefined) return undefined
      const size = Math.min(Math.max(1, Math.trunc(query.limit)), consentLimits.page)
      const gte = query.from === undefined ? prefix : prefix + timeText(query.from)
      let lt = query.to === undefined ? within(prefix).lt : prefix + timeText(query.to)
      if (position !== undefined && prefix + position < lt) lt = prefix + position

      const entries: ActivityEntry[] = []
      let unreadable = 0
      for (let budget: number = consentLimits.rowsPerPage; budget > 0; ) {
        const asked = Math.min(budget, size - entries.length + 1)
        const rows = gte < lt ? await store.range({ gte, lt, limit: asked, reverse: true }) : []
        const read = await Promise.all(rows.map((row) => opened(record, row)))
        for (const [index, row] of rows.entries()) {
          const entry = read[index]
          if (entry && matches(entry, query)) {
            // One more than the page tells that there is a next one: it begins below the last row before this one.
            if (entries.length === size) return { entries, unreadable, next: cursor(lt.slice(prefix.length)) }
            entries.push(entry)
          } else if (!entry) unreadable++
          lt = row.key
        }
        if (rows.length < asked) return { entries, unreadable }
        budget -= rows.length
      }
      return { entries, unreadable, next: cursor(lt.slice(prefix.length)) }
    },
  }
}

function matches({ action, from, about }: ActivityEntry, query: ActivityQuery): boolean {
  if (query.action !== undefined && action !== query.action) return false
  return query.app === undefined || [from.app, from.masterApp, about?.app].includes(query.app)
}

function cursor(position: string): string {
  return Buffer.from(position).toString('base64url')
}

function readCursor(text: string): string | undefined {
  const position = Buffer.from(text, 'base64url').toString('latin1')
  return /^\d{15}-[0-9a-f]{16}$/.test(position) ? position : undefined
}

const columns = ['time', 'action', 'outcome', 'who', 'application', 'way', 'address', 'count', 'kinds', 'sent to']

/** A line of a file in CSV (RFC 4180) for each entry; without entries the heading. `name` tells ids in words. */
export function activityCsv(entries: readonly ActivityEntry[], name: (id: string | undefined) => string): string {
  return entries.map((entry) => `${row(entry, name).map(csvField).join(',')}\r\n`).join('')
}

export const activityCsvHeading = `${columns.join(',')}\r\n`

function row(
  { at, action, outcome, from, about, count, types = [], addressee = '' }: ActivityEntry,
  name: (id: string | undefined) => string,
): readonly string[] {
  const who = from.person === undefined ? from.by : name(from.person)
  const { avenue, address = '' } = from
  return [
    ...[new Date(at).toISOString(), action, outcome, who, name(from.app ?? about?.app), avenue, address],
    ...[String(count ?? ''), types.join(' '), addressee === '' ? name(about?.person) : addressee],
  ]
}

/** Quoted where it must be; what a spreadsheet would take for a formula is made text. */
function csvField(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
