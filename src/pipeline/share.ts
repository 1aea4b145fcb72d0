import { createHash } from 'node:crypto'
import { type AcceptedFile, acceptLink } from '../connect/shl/accept.js'
import { type LinkLimits, linkLimits } from '../connect/shl/limits.js'
import { readLink } from '../connect/shl/link.js'
import type { CreatedLink, Links, StandingLink } from '../connect/shl/links.js'
import type { Activity, ActivityFrom } from '../consent/consent.js'
import { permits, type RecordAccess } from '../direct/access.js'
import type { DirectAddress } from '../direct/address.js'
import type { Agent } from '../direct/datatypes.js'
import type { LinkFetch } from '../ports/fetch.js'
import { type Batch, type Store, together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import type { ReadDocument } from '../record/item.js'
import type { PatientMatch } from '../record/match.js'
import type { PatientRecord } from '../record/record.js'
import type { FhirPorts } from './fhir-items.js'
import { type BundleOutcome, recordBundle, type Selection, shareLimits } from './share-bundle.js'
import { readFhirFile } from './shl-read.js'

/** What links are made of, and where what somebody pasted goes. */
export interface SharePorts extends Omit<FhirPorts, 'record'> {
  readonly links: Links
  readonly record: Omit<FhirPorts['record'], 'document'> & Pick<PatientRecord, 'document' | 'proposal'>
  /** For links that somebody pasted: https only, public addresses only, within sizes and times. */
  readonly fetch: LinkFetch
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  readonly random: Random
  readonly activity?: Pick<Activity, 'entry'>
  /** `https://…`, as others reach us, without a final slash. */
  readonly base: string
  /** How this house calls itself to whom it asks for a link. */
  readonly house: string
}

export interface NewShare extends Selection {
  readonly label?: string
  readonly passcode?: string
  readonly termMs?: number
  /** One file by GET, without a manifest and without a passcode (flag U). */
  readonly direct?: boolean
}

export type Shared =
  | {
      readonly kind: 'shared'
      readonly link: StandingLink
      /** Shown once. */
      readonly uri: string
      readonly items: number
      readonly notCarried: number
    }
  | Exclude<BundleOutcome, { readonly kind: 'bundle' }>
  | Exclude<CreatedLink, { readonly kind: 'created' }>

export type Taken =
  | {
      readonly kind: 'taken'
      readonly label?: string
      readonly items: number
      /** SHA-256 of each document, with what is known of its patient. */
      readonly documents: readonly { readonly sha256: string; readonly match: PatientMatch['kind'] }[]
      /** Of health cards: who says that he issued it, and whether his key says so too. */
      readonly issuers: readonly { readonly url: string; readonly verified: boolean; readonly detail: string }[]
      /** What was left out, and why. */
      readonly notes: readonly string[]
    }
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'passcode'; readonly remainingAttempts?: number }
  | { readonly kind: 'inactive' }
  | { readonly kind: 'unreachable'; readonly detail: string }
  /** It opened, and nothing in it is for a record. */
  | { readonly kind: 'nothing'; readonly notes: readonly string[] }
  | { readonly kind: 'denied' }

/** Handing a part of a record on by a link, and taking what a link of somebody else holds. */
export interface Shares extends Pick<Links, 'list' | 'revoke' | 'manifest' | 'direct' | 'file'> {
  /** A link over what the caller may read and chose, as it is now. `told` is committed with it. */
  share(access: RecordAccess, asked: NewShare, from: ActivityFrom, told: () => Batch): Promise<Shared>
  /**
   * Follows a link and proposes what it holds to a record: looked through as documents of any sender are, so that what
   * seems to be of somebody else waits for a person. `told` is committed with it.
   */
  take(
    access: RecordAccess,
    asked: { readonly link: string; readonly passcode?: string },
    from: ActivityFrom,
    told: () => Batch,
  ): Promise<Taken>
}

/** Rounds of trying again where the record changed meanwhile. */
const rounds = 8

/** Opens sharing by links. */
export function openShares(ports: SharePorts, limits = shareLimits, ofLinks: LinkLimits = linkLimits): Shares {
  const { links, record, store, clock, random, base } = ports
  return {
    list: links.list,
    revoke: links.revoke,
    manifest: links.manifest,
    direct: links.direct,
    file: links.file,

    async share(access, { label, passcode, termMs, direct, ...selection }, from, told) {
      // Whoever has one link does not learn by it what another one is of.
      const unnamed = { ...access, told: Buffer.from(random.bytes(16)).toString('hex') }
      const place = { access: unnamed, base: `${base}/fhir` }
      const bundle = await recordBundle(ports, place, selection, clock.now(), limits)
      if (bundle.kind !== 'bundle') return bundle
      const { bytes, items, types, notCarried } = bundle
      const created = await links.create(
        access.record,
        {
          files: [{ contentType: 'application/fhir+json', bytes }],
          ...{ count: items, types },
          ...(label !== undefined && { label }),
          ...(passcode !== undefined && { passcode }),
          ...(termMs !== undefined && { termMs }),
          ...(direct !== undefined && { direct }),
        },
        from,
      )
      if (created.kind === 'refused') return created
      const done = await store.commit(together(created.parts, told()))
      if (done.kind !== 'committed') throw new Error('A new link met another of its name')
      return { kind: 'shared', link: created.link, uri: created.uri, items, notCarried }
    },

    async take(access, { link, passcode }, from, told) {
      const asked = { recipient: ports.house, ...(passcode !== undefined && { passcode }) }
      const got = await acceptLink({ ask: ports.fetch, now: clock.now }, link, asked, ofLinks)
      if (got.kind !== 'files') return got
      const url = urlOf(link, ofLinks)
      const host = url?.hostname ?? ''
      const { documents, notes } = await readFiles(got.files, host)
      const all = [...got.notes, ...notes]
      if (documents.length === 0) return { kind: 'nothing', notes: all }
      if (!mayAdd(access, documents)) return { kind: 'denied' }
      const items = await propose(ports, access, documents, { host, of: url?.href ?? '' }, from, told)
      const standings = await Promise.all(
        documents.map(async ({ item }) => {
          const sha256 = item.provenance.document
          const stored = await record.document(access.record, sha256)
          return { sha256, match: stored?.match.kind ?? ('unknown' as const) }
        }),
      )
      const issuers = got.files.flatMap(({ issuer }) => (issuer ? [issuer] : []))
      const label = got.label === undefined ? {} : { label: got.label }
      return { kind: 'taken', ...label, items, documents: standings, issuers, notes: all }
    },
  }
}

async function readFiles(files: readonly AcceptedFile[], host: string) {
  const documents: ReadDocument[] = []
  const notes: string[] = []
  for (const [index, { bytes, contentType, issuer }] of files.entries()) {
    const author: Agent = { kind: 'organization', text: issuer?.verified ? issuer.url : host, identifiers: [] }
    const title = contentType === 'application/smart-health-card' ? 'SMART Health Card' : 'SMART Health Link'
    const read = await readFhirFile(bytes, { name: `link-${index + 1}.json`, title, author })
    if (read) documents.push(...read)
    else notes.push(`file ${index + 1} holds nothing of one patient that a record keeps`)
  }
  // The same document twice is one.
  const byDigest = new Map(documents.map((one) => [one.item.provenance.document, one]))
  return { documents: [...byDigest.values()], notes }
}

/** Proposes documents in one commit with the history and what the caller tells; answers how many items are new. */
async function propose(
  { record, store, activity, clock }: SharePorts,
  access: RecordAccess,
  documents: readonly ReadDocument[],
  { host, of }: { readonly host: string; readonly of: string },
  from: ActivityFrom,
  told: () => Batch,
): Promise<number> {
  // Under a domain that can have no mail (RFC 6761 §6.4).
  const sender = `${host.replace(/[^a-z0-9.-]/g, '')}@link.invalid` as DirectAddress
  const messageId = createHash('sha256').update(of).digest('hex').slice(0, 32)
  const source = { sender, mailbox: sender, messageId, spoolId: '' }
  const types = [...new Set(documents.flatMap(({ items }) => items.map(({ content }) => content.type)))]
  for (let round = 0; round < rounds; round++) {
    const proposed = await record.proposal(access.record, { documents, ...source })
    const count = proposed.addedIds.length
    const line = {
      at: clock.now(),
      action: 'receive',
      from,
      types,
      count,
      addressee: host,
      outcome: 'success',
    } as const
    const parts = together(proposed.parts, (await activity?.entry(access.record, line)) ?? {}, told())
    if ((await store.commit(parts)).kind === 'committed') return count
  }
  throw new Error(`What a link held met ${rounds} other changes`)
}

function mayAdd({ rules }: RecordAccess, documents: readonly ReadDocument[]): boolean {
  const types = new Set(documents.flatMap(({ item, items }) => [item, ...items].map(({ content }) => content.type)))
  return [...types].every((type) => permits(rules, 'create', type))
}

/** Where a link that read leads: who it came from, as far as anybody knows. */
function urlOf(link: string, limits: LinkLimits): URL | undefined {
  const read = readLink(link, limits)
  return read.kind === 'link' ? new URL(read.link.url) : undefined
}
