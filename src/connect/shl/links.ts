import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Activity, ActivityEntry, ActivityFrom } from '../../consent/consent.js'
import type { Audit } from '../../ports/audit.js'
import type { Blobs } from '../../ports/blobs.js'
import { bodyRows, gather, keepBody, readBody } from '../../ports/body.js'
import { type SlowHash, SlowHashBusy } from '../../ports/slow-hash.js'
import { type Batch, type Entry, type Store, together, within } from '../../ports/store.js'
import type { Vault } from '../../ports/vault.js'
import type { Clock, Random } from '../../ports/world.js'
import { sealJwe } from './jwe.js'
import { type LinkLimits, linkLimits } from './limits.js'
import { writeLink } from './link.js'

/**
 * SMART Health Links that records are shared by. The link itself, with its key, is shown once: here are the files under that
 * key, which opens nothing without the link, and of its address the digest alone.
 *
 * | key                                   | value                                                          |
 * |---------------------------------------|----------------------------------------------------------------|
 * | `connect/shl/<digest>`                | the link: record, term, passcode's hash, wrong tries; sealed   |
 * | `connect/shl-of/<record>/<time>-<id>` | its digest, for the list of a record                           |
 * | `connect/shl-file/<digest>/<n>`       | a file as a JWE, sealed (see ports/body)                       |
 */
export const fileTypes = ['application/fhir+json', 'application/smart-health-card'] as const
export type FileType = (typeof fileTypes)[number]

export interface LinkFile {
  readonly contentType: FileType
  readonly bytes: Uint8Array
}

export interface LinkPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly slowHash: SlowHash
  /** The history that the people of a record read: who shared, who opened. */
  readonly activity?: Pick<Activity, 'entry'>
  /** 32 bytes or more that are not in the store; addresses of files are signed with it. */
  readonly indexKey: Uint8Array
  /** `https://…`, as others reach us, without a final slash. */
  readonly base: string
}

/** A link as the people of its record see it. */
export interface StandingLink {
  readonly id: string
  readonly label?: string
  readonly createdAt: number
  readonly endsAt: number
  readonly by: string
  readonly passcode: boolean
  readonly state: 'active' | 'expired' | 'revoked' | 'locked'
  readonly opened: number
  /** Wrong passcodes that are left, where there is one. */
  readonly attemptsLeft?: number
  /** The last who opened it, by their own word. */
  readonly recipient?: string
}

interface LinkRow {
  readonly id: string
  readonly record: string
  readonly by: string
  readonly createdAt: number
  readonly endsAt: number
  readonly label?: string
  /** Argon2id. */
  readonly passcode?: string
  readonly direct: boolean
  readonly wrong: number
  readonly opened: number
  readonly recipient?: string
  readonly revokedAt?: number
  readonly files: readonly { readonly contentType: FileType; readonly chars: number }[]
}

export interface NewLink {
  readonly label?: string
  readonly passcode?: string
  readonly termMs?: number
  /** One file, by GET, without a manifest (flag U). */
  readonly direct?: boolean
  readonly files: readonly LinkFile[]
  /** For the history: how many items, of which kinds. */
  readonly count?: number
  readonly types?: readonly string[]
}

export type CreatedLink =
  | { readonly kind: 'created'; readonly link: StandingLink; readonly uri: string; readonly parts: Batch }
  | { readonly kind: 'refused'; readonly problem: 'bad-passcode' | 'bad-label' | 'bad-term' | 'bad-files' | 'too-many' }

export interface ManifestFile {
  readonly contentType: FileType
  readonly embedded?: string
  readonly location?: string
  readonly lastUpdated: string
  readonly status: 'finalized'
  readonly fhirVersion?: string
}

export type ManifestAnswer =
  | { readonly kind: 'manifest'; readonly record: string; readonly id: string; readonly files: readonly ManifestFile[] }
  /** Unknown, ended, or locked: all the same to whoever asks. */
  | { readonly kind: 'inactive' }
  | { readonly kind: 'wrong-passcode'; readonly remainingAttempts: number }
  | { readonly kind: 'busy' }

export interface ManifestRequest {
  /** Who asks, by their own word. */
  readonly recipient: string
  readonly passcode?: string
  readonly embeddedLengthMax?: number
  /** Of the client, for the history. */
  readonly address?: string
}

export interface Links {
  /** A link and what must be committed; the URI is never shown again. */
  create(record: string, link: NewLink, from: ActivityFrom): Promise<CreatedLink>
  list(record: string): Promise<readonly StandingLink[]>
  /** Ends a link at once, in one commit with `told`. False where the record has none such. */
  revoke(record: string, id: string, from: ActivityFrom, told?: () => Batch): Promise<boolean>
  /** A manifest request (POST). Wrong passcodes are counted before they are looked at, for ever. */
  manifest(secret: string, request: ManifestRequest): Promise<ManifestAnswer>
  /** The only file of a direct link (GET). */
  direct(
    secret: string,
    request: Pick<ManifestRequest, 'recipient' | 'address'>,
  ): Promise<{ readonly jwe: string; readonly record: string; readonly id: string } | undefined>
  /** A file at an address that a manifest gave, which holds for an hour at most. */
  file(location: string): Promise<string | undefined>
  /** Forgets files of links that ended, and later the links. */
  sweep(): Promise<number>
}

const rowPrefix = 'connect/shl/'
const listPrefix = 'connect/shl-of/'
const filePrefix = 'connect/shl-file/'
const owner = 'shl'

/** Opens the links of records. */
export function openLinks(ports: LinkPorts, limits: LinkLimits = linkLimits): Links {
  const { store, vault, clock, random, slowHash, audit, base } = ports
  const turns = openTurns(limits.waiting)

  async function load(digest: string): Promise<{ readonly entry: Entry; readonly row: LinkRow } | undefined> {
    const entry = await store.get(rowPrefix + digest)
    if (!entry) return undefined
    const plain = await vault.open(owner, entry.key, entry.value)
    return { entry, row: JSON.parse(Buffer.from(plain).toString()) as LinkRow }
  }

  async function sealed(key: string, row: LinkRow) {
    return { key, value: await vault.seal(owner, key, Buffer.from(JSON.stringify(row))) }
  }

  /** Changes a row until nobody was first; undefined where it is gone or `change` says so. */
  async function changing(
    digest: string,
    change: (row: LinkRow) => LinkRow | undefined,
    more: Batch = {},
  ): Promise<LinkRow | undefined> {
    for (;;) {
      const found = await load(digest)
      const next = found && change(found.row)
      if (!found || !next) return undefined
      const { entry } = found
      const fence = { require: [{ key: entry.key, version: entry.version }], put: [await sealed(entry.key, next)] }
      if ((await store.commit(together(fence, more))).kind === 'committed') return next
    }
  }

  const isActive = ({ endsAt, revokedAt, wrong }: LinkRow) =>
    revokedAt === undefined && clock.now() < endsAt && wrong < limits.attempts

  function standing(row: LinkRow): StandingLink {
    const { id, createdAt, endsAt, by, label, opened, recipient, passcode, wrong, revokedAt } = row
    const ended = revokedAt !== undefined ? 'revoked' : wrong >= limits.attempts ? 'locked' : 'expired'
    return {
      ...{ id, createdAt, endsAt, by, opened, passcode: passcode !== undefined },
      state: isActive(row) ? 'active' : ended,
      ...(label !== undefined && { label }),
      ...(passcode !== undefined && { attemptsLeft: Math.max(0, limits.attempts - wrong) }),
      ...(recipient !== undefined && { recipient }),
    }
  }

  async function rowsOf(record: string) {
    const entries = await store.range({ ...within(`${listPrefix}${encodeURIComponent(record)}/`), limit: 1000 })
    const rows = await Promise.all(
      entries.map(async ({ key, value }) => ({ key, digest: Buffer.from(value).toString('latin1') })),
    )
    const all = await Promise.all(rows.map(async (one) => ({ ...one, found: await load(one.digest) })))
    return all.flatMap(({ key, digest, found }) => (found ? [{ key, digest, row: found.row }] : []))
  }

  /** The line of the history of a record that a link is of. */
  async function line(
    { record }: LinkRow,
    action: ActivityEntry['action'],
    from: ActivityFrom,
    more: Pick<ActivityEntry, 'addressee' | 'count' | 'types'> = {},
    outcome: ActivityEntry['outcome'] = 'success',
  ): Promise<Batch> {
    return (await ports.activity?.entry(record, { at: clock.now(), action, from, ...more, outcome })) ?? {}
  }

  const create: Links['create'] = async (record, link, from) => {
    const { by } = from
    const refused = faultOf(link, limits)
    if (refused) return { kind: 'refused', problem: refused }
    if ((await rowsOf(record)).filter(({ row }) => isActive(row)).length >= limits.linksPerRecord)
      return { kind: 'refused', problem: 'too-many' }
    const secret = Buffer.from(random.bytes(32)).toString('base64url')
    const key = random.bytes(32)
    const digest = digestOf(secret)
    const createdAt = clock.now()
    const endsAt = createdAt + (link.termMs ?? limits.termMs)
    const { label, passcode, direct = false, count, types } = link
    const files = await Promise.all(
      link.files.map(async ({ contentType, bytes }) => {
        // One key, and a nonce of its own for every file; text in JSON deflates to a tenth.
        const jwe = await sealJwe(key, random.bytes(12), { cty: contentType }, bytes, true)
        return { contentType, jwe }
      }),
    )
    const row: LinkRow = {
      ...{ id: Buffer.from(random.bytes(8)).toString('hex'), record, by, createdAt, endsAt, direct },
      ...{ wrong: 0, opened: 0, files: files.map(({ contentType, jwe }) => ({ contentType, chars: jwe.length })) },
      ...(label !== undefined && { label }),
      ...(passcode !== undefined && { passcode: await slowHash.hash(passcode) }),
    }
    const bodies = await Promise.all(
      files.map(({ jwe }, index) => keepBody(ports, owner, fileKey(digest, index), Buffer.from(jwe))),
    )
    const place = `${listPrefix}${encodeURIComponent(record)}/${String(createdAt).padStart(15, '0')}-${row.id}`
    const addressee = label === undefined ? 'link' : `link: ${label}`
    const shared = { addressee, ...(count !== undefined && { count }), ...(types && { types }) }
    const parts = together(...bodies, await line(row, 'share', from, shared), {
      require: [{ key: rowPrefix + digest, version: 'absent' }],
      put: [await sealed(rowPrefix + digest, row), { key: place, value: Buffer.from(digest) }],
      append: [audit.entry(told('shl.created', by, row))],
    })
    const flags = [...(passcode === undefined ? [] : (['P'] as const)), ...(direct ? (['U'] as const) : [])]
    const url = `${base}/shl/${secret}`
    const exp = Math.floor(endsAt / 1000)
    const uri = writeLink({ url, key, flags, exp, ...(label !== undefined && { label }) })
    return { kind: 'created', link: standing(row), uri, parts }
  }

  function told(action: string, by: string, { id, record }: LinkRow, outcome: 'success' | 'refused' = 'success') {
    return { at: clock.now(), action, actor: by, subject: { link: id, record }, outcome }
  }

  /** Whether a passcode is right: an attempt is taken out first, and given back where it is. */
  async function checked(digest: string, { passcode, ...request }: ManifestRequest): Promise<ManifestAnswer | 'right'> {
    const taken = await changing(digest, (row) => (isActive(row) ? { ...row, wrong: row.wrong + 1 } : undefined))
    if (!taken) return { kind: 'inactive' }
    const right = await slowHash
      .verify(taken.passcode, (passcode ?? '').slice(0, limits.passcodeMost + 1))
      .catch(async (error: unknown) => {
        if (!(error instanceof SlowHashBusy)) throw error
        await changing(digest, (row) => ({ ...row, wrong: row.wrong - 1 }))
        return 'busy' as const
      })
    if (right === 'busy') return { kind: 'busy' }
    if (right)
      return (await changing(digest, (row) => ({ ...row, wrong: row.wrong - 1 }))) ? 'right' : { kind: 'inactive' }
    const refused = { append: [audit.entry(told('shl.passcode', 'anonymous', taken, 'refused'))] }
    await store.commit(together(refused, await seen(taken, request, 'refused')))
    return { kind: 'wrong-passcode', remainingAttempts: limits.attempts - taken.wrong }
  }

  /** What the history tells of somebody who came with the link, by their own word. */
  function seen(
    row: LinkRow,
    { recipient, address }: Pick<ManifestRequest, 'recipient' | 'address'>,
    outcome: ActivityEntry['outcome'],
  ): Promise<Batch> {
    const from: ActivityFrom = { by: 'anonymous', avenue: 'link', ...(address !== undefined && { address }) }
    return line(row, 'download', from, { addressee: plain(recipient, limits) }, outcome)
  }

  /** Counts an opening, in one commit with what audit log and history say of it: what cannot be told does not happen. */
  async function opened(
    digest: string,
    found: LinkRow,
    request: Pick<ManifestRequest, 'recipient' | 'address'>,
  ): Promise<LinkRow | undefined> {
    const recipient = plain(request.recipient, limits)
    const more = together(await seen(found, request, 'success'), {
      append: [audit.entry(told('shl.opened', 'anonymous', found))],
    })
    return changing(digest, (row) => (isActive(row) ? { ...row, opened: row.opened + 1, recipient } : undefined), more)
  }

  async function jweAt(digest: string, index: number): Promise<string | undefined> {
    const body = await readBody(ports, owner, fileKey(digest, index))
    return body && Buffer.from(await gather(body)).toString('latin1')
  }

  const manifest: Links['manifest'] = async (secret, request) => {
    const digest = digestOf(secret)
    const found = await load(digest)
    if (!found || !isActive(found.row) || found.row.direct) return { kind: 'inactive' }
    if (found.row.passcode !== undefined) {
      const outcome = await turns(digest, () => checked(digest, request))
      if (outcome === undefined) return { kind: 'busy' }
      if (outcome !== 'right') return outcome
    }
    const row = await opened(digest, found.row, request)
    if (!row) return { kind: 'inactive' }
    const most = Math.min(request.embeddedLengthMax ?? limits.embeddedChars, limits.embeddedChars)
    const until = Math.min(clock.now() + limits.locationMs, row.endsAt)
    const files = await Promise.all(
      row.files.map(async ({ contentType, chars }, index): Promise<ManifestFile> => {
        const jwe = chars <= most ? await jweAt(digest, index) : undefined
        return {
          contentType,
          ...(jwe === undefined ? { location: locationOf(ports, digest, index, until) } : { embedded: jwe }),
          ...{ lastUpdated: new Date(row.createdAt).toISOString(), status: 'finalized' },
          ...(contentType === 'application/fhir+json' && { fhirVersion: '4.0.1' }),
        }
      }),
    )
    return { kind: 'manifest', record: row.record, id: row.id, files }
  }

  return {
    create,
    manifest,
    list: async (record) => (await rowsOf(record)).map(({ row }) => standing(row)).toReversed(),
    async revoke(record, id, from, more = () => ({})) {
      const found = (await rowsOf(record)).find(({ row }) => row.id === id)
      if (!found) return false
      const revokedAt = clock.now()
      const gone = await forgotten(found.digest, found.row)
      const entry = audit.entry(told('shl.revoked', from.by, found.row))
      const parts = together(gone, await line(found.row, 'unshare', from), more(), { append: [entry] })
      const row = await changing(found.digest, (now) => ({ revokedAt, ...now }), parts)
      return row !== undefined
    },
    async direct(secret, request) {
      const digest = digestOf(secret)
      const found = await load(digest)
      if (!found?.row.direct) return undefined
      const row = await opened(digest, found.row, request)
      const jwe = row && (await jweAt(digest, 0))
      return jwe === undefined ? undefined : { jwe, record: row?.record ?? '', id: row?.id ?? '' }
    },
    async file(location) {
      const place = readLocation(ports, location)
      const found = place && (await load(place.digest))
      if (!place || !found || clock.now() >= place.until || !isActive(found.row)) return undefined
      return jweAt(place.digest, place.index)
    },
    async sweep() {
      let swept = 0
      const { gte, lt } = within(listPrefix)
      for (let from = gte; ; ) {
        const entries = await store.range({ gte: from, lt, limit: 500 })
        for (const { key, value } of entries) {
          const digest = Buffer.from(value).toString('latin1')
          const found = await load(digest)
          if (!found || isActive(found.row)) continue
          const over = clock.now() > found.row.endsAt + limits.keptMs
          const gone = await forgotten(digest, found.row)
          if (!over && gone.del?.length === 0) continue
          const rows = over ? { del: [key, found.entry.key] } : {}
          const fence = { require: [{ key: found.entry.key, version: found.entry.version }] }
          if ((await store.commit(together(fence, gone, rows))).kind === 'committed') swept++
        }
        const last = entries.at(-1)
        if (!last || entries.length < 500) return swept
        from = `${last.key}\0`
      }
    },
  }

  /** What must be committed so that no file of a link is left. */
  async function forgotten(digest: string, { files }: LinkRow): Promise<Batch> {
    const entries = await Promise.all(files.map((_, index) => store.get(fileKey(digest, index))))
    return { del: entries.flatMap((entry) => (entry ? bodyRows(entry) : [])) }
  }
}

function faultOf(link: NewLink, limits: LinkLimits) {
  const { label, passcode, termMs = limits.termMs, direct, files } = link
  const badLabel = label !== undefined && (label.length > limits.labelChars || /\p{Cc}/u.test(label))
  if (badLabel) return 'bad-label'
  const length = passcode?.length
  if (length !== undefined && (length < limits.passcodeLeast || length > limits.passcodeMost)) return 'bad-passcode'
  // The standard forbids both at once: a direct file has nobody who could count.
  if (direct && passcode !== undefined) return 'bad-passcode'
  if (!(termMs > 0 && termMs <= limits.termMostMs)) return 'bad-term'
  if (files.length === 0 || files.length > limits.filesPerLink || (direct && files.length > 1)) return 'bad-files'
  return files.some(({ bytes }) => bytes.length > limits.fileBytes) ? 'bad-files' : undefined
}

function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

function fileKey(digest: string, index: number): string {
  return `${filePrefix}${digest}/${index}`
}

/** A name of a recipient as it is kept: one line, of their own word. */
function plain(recipient: string, { recipientChars }: LinkLimits): string {
  return recipient.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').slice(0, recipientChars)
}

function locationOf({ base, indexKey }: LinkPorts, digest: string, index: number, until: number): string {
  const place = `${digest}.${index}.${until}`
  return `${base}/shl-file/${place}.${signed(indexKey, place)}`
}

function readLocation({ indexKey }: LinkPorts, location: string) {
  const [digest = '', index = '', until = '', mac = '', more] = location.split('.', 5)
  if (more !== undefined || !/^[0-9a-f]{64}$/.test(digest) || !/^\d{1,2}$/.test(index) || !/^\d{13,15}$/.test(until))
    return undefined
  const right = Buffer.from(signed(indexKey, `${digest}.${index}.${until}`))
  const given = Buffer.from(mac)
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  return { digest, index: Number(index), until: Number(until) }
}

function signed(indexKey: Uint8Array, place: string): string {
  return createHmac('sha256', indexKey).update(`shl-file\n${place}`).digest('base64url')
}

/** One at a time by name; undefined for who would be one too many in the line. */
function openTurns(waiting: number) {
  const lines = new Map<string, { last: Promise<unknown>; length: number }>()
  return async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    const line = lines.get(name) ?? { last: Promise.resolve(), length: 0 }
    if (line.length >= waiting) return undefined
    lines.set(name, line)
    line.length++
    const turn = line.last.then(work, work)
    line.last = turn
    try {
      return await turn
    } finally {
      if (--line.length === 0) lines.delete(name)
    }
  }
}
