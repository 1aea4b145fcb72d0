import type { Look } from '../finding.js'
import { type Notes, notes } from './notes.js'
import {
  arrived,
  type Entry,
  entries,
  handedOver,
  letterTo,
  mailbox,
  patientLogin,
  type RegulatoryWorld,
} from './regulatory-world.js'

/** 45 CFR 170.315(d)(3): what happened in a period, sorted by each datum that an entry has (§170.210(e)(1)), both ways. */
export async function reportCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  await patientLogin(world)
  await readMail(world)
  const all = [...(await entries(world, 'order=ascending&to=2100-01-01T00:00:00Z'))]
  if (all.length < 20) heard.wrong.push(`only ${all.length} entries to report on`)
  await periods(world, all, heard)
  await orders(world, all, heard)
  await byCommand(world, all, heard)
  const nobody = await world.fresh().ask('GET', '/api/v1/audit', { token: world.tokens.reading })
  heard.hear('whoever is not the operator', String(nobody.status), /^403$/)
  heard.seen.push(`${all.length} entries`)
  return heard.look()
}

/** A message that comes and is read. */
async function readMail(world: RegulatoryWorld): Promise<void> {
  const reply = await handedOver(world, mailbox, await letterTo(world, mailbox, 'to be reported'))
  if (!reply.startsWith('250')) throw new Error(reply)
  const message = await arrived(world, mailbox, 'to be reported')
  const path = `/api/v1/mailboxes/${encodeURIComponent(mailbox)}/messages/${message}`
  await world.fresh().must(200, 'GET', path, { token: world.tokens.mailbox })
}

const sequences = (some: readonly Entry[]) => some.map(({ sequence }) => sequence).join()

/** From the first moment on, and before the last. */
async function periods(world: RegulatoryWorld, all: readonly Entry[], { wrong }: Notes): Promise<void> {
  for (const [from, to] of [
    [0.25, 0.75],
    [0, 0.5],
    [0.5, 1],
    [0.4, 0.4],
  ] as const) {
    const at = (part: number) => all[Math.min(all.length - 1, Math.floor(all.length * part))]?.at ?? ''
    const [first, last] = [at(from), at(to)]
    const found = await entries(world, `order=ascending&from=${first}&to=${last}`)
    const must = all.filter((one) => one.at >= first && one.at < last)
    if (sequences(found) !== sequences(must))
      wrong.push(`from ${first} to ${last} there are ${found.length} entries, not ${must.length}`)
  }
  const later = await entries(world, 'from=2100-01-01T00:00:00Z')
  if (later.length > 0) wrong.push(`${later.length} entries of times to come`)
}

/** What an entry is sorted by: date and time, action, user, how it ended and why, patient, message, source. */
const data = ['at', 'action', 'actor', 'outcome', 'reason', 'record', 'message', 'client'] as const

function datumOf(entry: Entry, field: (typeof data)[number]): string {
  if (field === 'record' || field === 'message' || field === 'client') return entry.subject[field] ?? ''
  return entry[field] ?? ''
}

async function orders(world: RegulatoryWorld, all: readonly Entry[], { wrong }: Notes): Promise<void> {
  if (lateMs(all) > 5_000) wrong.push(`as it was written, an entry stands ${lateMs(all)} ms too late`)
  const last = all.at(-1)?.at ?? ''
  const before = all.filter(({ at }) => at < last)
  for (const field of data) {
    const kinds = new Set(before.map((entry) => datumOf(entry, field))).size
    if (kinds < 2) wrong.push(`every entry has the same ${field}: no order is to be seen`)
    for (const order of ['ascending', 'descending'] as const) {
      const must = inOrder(before, field, order)
      const asked = `sort=${field}&order=${order}&to=${last}`
      const found = await entries(world, asked).catch((error: Error) => error.message)
      if (typeof found === 'string') wrong.push(`sorted by ${field}: ${found}`)
      else if (sequences(found) !== sequences(must)) wrong.push(`sorted by ${field}, ${order}, it is in another order`)
    }
  }
}

/**
 * In the order of a datum. By time, the first first, is as it was written: what was done at the same moment by several stands
 * in the order in which it became true, which a few milliseconds do not change.
 */
function inOrder(some: readonly Entry[], field: (typeof data)[number], order: 'ascending' | 'descending'): Entry[] {
  const way = order === 'ascending' ? 1 : -1
  if (field === 'at' && way === 1) return some.toSorted((a, b) => a.sequence - b.sequence)
  return some.toSorted((a, b) => way * (compared(a, b, field) || a.sequence - b.sequence))
}

/** The farthest that an entry stands behind a later moment. */
function lateMs(some: readonly Entry[]): number {
  let [latest, late] = [0, 0]
  for (const { at } of some) {
    latest = Math.max(latest, Date.parse(at))
    late = Math.max(late, latest - Date.parse(at))
  }
  return late
}

function compared(a: Entry, b: Entry, field: (typeof data)[number]): number {
  const [one, other] = [datumOf(a, field), datumOf(b, field)]
  return one === other ? 0 : one < other ? -1 : 1
}

/** The command tells the same. */
async function byCommand({ gateway }: RegulatoryWorld, all: readonly Entry[], { wrong }: Notes): Promise<void> {
  const [from, to] = [all[5]?.at ?? '', all[15]?.at ?? '']
  const must = all.filter(({ at }) => at >= from && at < to)
  const words = ['audit', 'list', '--from', from, '--to', to, '--sort', 'actor', '--descending', '--json']
  const found = JSON.parse(await gateway.command(...words)) as readonly Entry[]
  const sorted = must.toSorted((a, b) => -(compared(a, b, 'actor') || a.sequence - b.sequence))
  if (sequences(found) !== sequences(sorted)) wrong.push('`audit list` tells another order than the API')
}
