import { audit } from '../../../src/audit/audit.js'
import { connectFamilies } from '../../../src/connect/families.js'
import type { RequestOptions } from '../../../src/connect/ledger.js'
import { packageFamilies } from '../../../src/connect/package/families.js'
import { packageLimits } from '../../../src/connect/package/limits.js'
import { openPackages, type PackageOptions } from '../../../src/connect/package/packages.js'
import { openUploads, type Uploads } from '../../../src/connect/package/uploads.js'
import { openRequests } from '../../../src/connect/requests.js'
import { openSlowHash, slowHashLimits } from '../../../src/keyring/slow-hash.js'
import type { RowReader } from '../../../src/ports/rows.js'
import { holdFamily } from '../../../src/ports/rows.js'
import { openRoom } from '../../spool/room.js'

/** Argon2 so cheap that a test may ask for hundreds. */
export const quick = { ...slowHashLimits, memoryKiB: 64, passes: 1, lanes: 1 }

export const app = 'clinic-1'
export const holder = 'browser:one'
export const from = { network: '192.0.2.0', holder, by: 'anonymous' }

/** Packages, uploads and the machine of pickup codes over one store in memory. */
export async function openWorld(options: Partial<PackageOptions> = {}, hooks: Parameters<typeof openRoom>[0] = {}) {
  const room = await openRoom(hooks)
  const slowHash = openSlowHash(quick)
  const limits = { ...packageLimits, ...options.limits }
  const uploads = openUploads({ ...room, audit }, limits)
  const rules: RequestOptions['rules'] = {}
  const requests = openRequests(
    { ...room, audit, slowHash, indexKey: new Uint8Array(32).fill(9) },
    { rules, ...(options.answers && { answers: options.answers }) },
  )
  const packages = openPackages({ ...room, audit, slowHash, uploads, requests }, options)
  rules.package = packages.rules
  return { ...room, slowHash, uploads, packages, requests }
}
export type World = Awaited<ReturnType<typeof openWorld>>

/** A finished upload of these bytes. */
export async function uploaded(uploads: Uploads, bytes: Uint8Array, pieceBytes = 1024 * 1024): Promise<string> {
  const { createHash } = await import('node:crypto')
  const begun = await uploads.begin(app, bytes.length, 'test')
  if (begun.kind !== 'begun') throw new Error(begun.problem)
  const { id } = begun.upload
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const got = await uploads.append(app, id, { from: at }, bytes.subarray(at, at + pieceBytes))
    if (got.kind !== 'received') throw new Error(got.problem)
  }
  const value = createHash('sha256').update(bytes).digest('hex')
  const done = await uploads.complete(app, id, { method: 'sha256', value })
  if (done.kind !== 'completed') throw new Error(done.problem)
  return id
}

export const words = { friendlyName: 'Anna', question: 'What was your first dog called?', externalId: 'mrn-1' }
export const answer = 'Rex the dog'

/** A package of one item and of these files. */
export async function left(world: World, files: readonly string[] = [], more: object = {}) {
  const named = files.map((upload, index) => ({ upload, name: `file-${index}.txt`, mediaType: 'text/plain' }))
  const items = [{ secret: 'word' }]
  const content = { kind: 'open' as const, answer, items, files: named }
  const made = await world.packages.create(app, { ...words, content, ...more }, 'test')
  if (made.kind !== 'created') throw new Error(JSON.stringify(made))
  return made
}

/** A right answer, and what the ticket redeems. */
export async function redeemed(world: World, code: string, given = answer) {
  const answered = await world.requests.answer(code, given, from)
  if (answered.kind !== 'right') throw new Error(answered.kind)
  const ticket = await world.requests.redeem(answered.ticket, holder)
  if (!ticket?.secret) throw new Error('nothing redeemed')
  return { ...ticket, secret: ticket.secret, text: answered.ticket }
}

/** What a check of every row finds, and what of it needs what is not there. */
export async function findings(world: World): Promise<readonly string[]> {
  const found: string[] = []
  const reader: RowReader = { vault: world.vault, blobs: world.blobs, unwrap: () => new Uint8Array() }
  for await (const row of world.store.snapshot()) {
    if (row.kind !== 'entry' || row.key.startsWith('data-key') || row.key.startsWith('keyring')) continue
    const family = [...packageFamilies, ...connectFamilies, holdFamily].find(
      (one) => one.kind === 'entry' && one.form.test(row.key),
    )
    if (family?.kind !== 'entry') {
      if (row.key.startsWith('connect/')) found.push(`${row.key}: no family`)
      continue
    }
    try {
      for (const need of await family.check(row, reader)) {
        if (need.kind === 'entry' && !(await world.store.get(need.key))) found.push(`${row.key}: lacks ${need.key}`)
        if (need.kind === 'blob' && !(await world.blobs.get(need.name))) found.push(`${row.key}: lacks a blob`)
      }
    } catch (error) {
      found.push(`${row.key}: ${(error as Error).message}`)
    }
  }
  return found
}
