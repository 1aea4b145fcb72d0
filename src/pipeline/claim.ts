import { createHash } from 'node:crypto'
import { readDocument } from '../clinical/read.js'
import { identified } from '../clinical/reading.js'
import type { ManifestFile } from '../connect/package/manifest.js'
import type { Packages } from '../connect/package/packages.js'
import type { ConnectRequest, Redeemed, Requests } from '../connect/request.js'
import { openJwe } from '../connect/shl/jwe.js'
import type { Activity, ActivityEntry, ActivityFrom } from '../consent/consent.js'
import { permits, type RecordAccess } from '../direct/access.js'
import type { DirectAddress } from '../direct/address.js'
import type { ClinicalDocument, Demographics, RecordItem, RecordItemType } from '../direct/clinical.js'
import type { Agent } from '../direct/datatypes.js'
import { subjectOf } from '../direct/subject.js'
import type { Audit } from '../ports/audit.js'
import { gather } from '../ports/body.js'
import { type Batch, type Store, together } from '../ports/store.js'
import { VaultFailed } from '../ports/vault.js'
import type { Clock } from '../ports/world.js'
import type { AuthoredItem, ReadDocument } from '../record/item.js'
import { matchPatient, type PatientMatch } from '../record/match.js'
import type { PatientRecord } from '../record/record.js'

/** What a package is read with, and where it goes. */
export interface ClaimPorts {
  readonly store: Store
  readonly clock: Clock
  readonly audit: Audit
  readonly requests: Pick<Requests, 'redeem' | 'finish' | 'reject'>
  readonly packages: Pick<Packages, 'open' | 'file'>
  readonly record: Pick<PatientRecord, 'proposal' | 'current'>
  readonly activity?: Pick<Activity, 'entry'>
  /** What custodians say of a record, for one that knows no patient yet. */
  held?(record: string): Promise<{ readonly birthDate?: string } | undefined>
  /** Items as they were sent, read by the schema of the API; undefined where one is not valid. */
  items(sent: readonly unknown[]): readonly AuthoredItem[] | undefined
  /** HealthVault's things as documents; without it they are `malformed`. */
  things?(xml: Uint8Array): Promise<readonly ReadDocument[] | undefined>
  /** A file in FHIR as documents; undefined where it is none. Without it such a file is kept unread. */
  fhir?(bytes: Uint8Array, name: string): Promise<readonly ReadDocument[] | undefined>
  /** How the application is called, for whoever looks at what it brought. */
  nameOf(app: string): Promise<string | undefined>
}

/** One thing of a package, as a person sees it before deciding. */
export interface ClaimedThing {
  readonly kind: 'item' | 'file'
  readonly type: RecordItemType
  /** What it is about, or the name of the file. */
  readonly title?: string
  /** ISO 8601, as precise as it was told. */
  readonly day?: string
  /** Of a file: its media type, its size, and how many items were read from it. */
  readonly mediaType?: string
  readonly sizeBytes?: number
  readonly items?: number
}

export type ClaimContents =
  | {
      readonly kind: 'contents'
      readonly app: string
      readonly friendlyName: string
      readonly createdAt: number
      readonly things: readonly ClaimedThing[]
      /** Of whom it tells, as written, one line each: names and birth dates. */
      readonly about: readonly { readonly name?: string; readonly birthDate?: string }[]
      /** Against the record that is chosen, where one is. */
      readonly match?: PatientMatch
    }
  /** The ticket is over, or not this holder's (HealthVault 74). */
  | { readonly kind: 'gone' }
  /** It opens and does not read (HealthVault 120). The code is not used up. */
  | { readonly kind: 'malformed'; readonly detail: string }

export type ClaimOutcome =
  | { readonly kind: 'claimed'; readonly things: number; readonly items: number; readonly documents: readonly string[] }
  | Exclude<ClaimContents, { readonly kind: 'contents' }>
  /** Of somebody else, as it seems: nothing is done until the person says that it is right. */
  | { readonly kind: 'mismatch'; readonly match: PatientMatch }
  /** The person may not add this to the record. */
  | { readonly kind: 'denied' }

/** What a pickup page asks: what is inside, and to take it. */
export interface Claims {
  /** What the package of a ticket holds; compared with a record where one is chosen. Uses nothing up. */
  contents(ticket: string, holder: string, access?: RecordAccess): Promise<ClaimContents>
  /** Takes all of it into a record, in one commit: the package is claimed if and only if the record has it. */
  claim(
    ticket: string,
    holder: string,
    access: RecordAccess,
    from: ActivityFrom,
    options?: { readonly confirmedMismatch?: boolean },
  ): Promise<ClaimOutcome>
  /** The person does not take it: the code works on until it ends, unless they say `never`. False where the ticket is over. */
  reject(ticket: string, holder: string, never: boolean, by: string): Promise<boolean>
}

export const claimLimits = {
  /** Rounds of trying again where record or request changed meanwhile. */
  rounds: 8,
  /** Things listed for a person; the rest is counted in the files they are of. */
  thingsShown: 500,
}

/** Opens claims of packages left for somebody. */
export function openClaims(ports: ClaimPorts, limits = claimLimits): Claims {
  async function opened(ticket: string, holder: string) {
    const redeemed = await ports.requests.redeem(ticket, holder)
    if (redeemed?.request.kind !== 'package' || !redeemed.secret) return { kind: 'gone' as const }
    const read = await readPackage(ports, redeemed.request, redeemed.secret)
    return read.kind === 'malformed' ? read : { ...read, redeemed }
  }

  return {
    async contents(ticket, holder, access) {
      const found = await opened(ticket, holder)
      if (found.kind !== 'read') return found
      const { request } = found.redeemed
      const match = access && (await matchOf(ports, request, found.documents, access))
      return {
        kind: 'contents',
        ...{ app: request.owner, friendlyName: request.friendlyName, createdAt: request.createdAt },
        things: found.things.slice(0, limits.thingsShown),
        about: patientsOf(request, found.documents).map(told),
        ...(match && { match }),
      }
    },

    async claim(ticket, holder, access, from, { confirmedMismatch = false } = {}) {
      for (let round = 0; round < limits.rounds; round++) {
        const found = await opened(ticket, holder)
        if (found.kind !== 'read') return found
        const { redeemed, documents, things } = found
        if (!mayAdd(access, documents)) return { kind: 'denied' }
        const match = await matchOf(ports, redeemed.request, documents, access)
        if (match.kind === 'mismatch' && !confirmedMismatch) return { kind: 'mismatch', match }
        const parts = await claimParts(ports, redeemed, documents, access, from)
        if (!parts) return { kind: 'gone' }
        if ((await ports.store.commit(parts.batch)).kind !== 'committed') continue
        return { kind: 'claimed', things: things.length, items: parts.items, documents: shasOf(documents) }
      }
      throw new Error(`A claim met ${limits.rounds} other changes`)
    },

    async reject(ticket, holder, never, by) {
      for (let round = 0; round < limits.rounds; round++) {
        const redeemed = await ports.requests.redeem(ticket, holder)
        if (redeemed?.request.kind !== 'package') return false
        const { request } = redeemed
        const subject = { app: request.owner, request: request.id }
        const at = ports.clock.now()
        const entry = ports.audit.entry({ at, action: 'package.rejected', actor: by, subject, outcome: 'success' })
        const { parts } = await ports.requests.reject(redeemed, never)
        if ((await ports.store.commit(together(parts, { append: [entry] }))).kind === 'committed') return true
      }
      throw new Error(`A refusal met ${limits.rounds} other changes`)
    },
  }
}

type ReadPackage =
  | { readonly kind: 'read'; readonly documents: readonly ReadDocument[]; readonly things: readonly ClaimedThing[] }
  | { readonly kind: 'malformed'; readonly detail: string }

async function readPackage(ports: ClaimPorts, request: ConnectRequest, secret: Uint8Array): Promise<ReadPackage> {
  const opened = await ports.packages.open(request, secret)
  if (opened.kind === 'malformed') return opened
  if (opened.kind === 'things') {
    const documents = await ports.things?.(opened.xml)
    if (!documents || documents.length === 0) return { kind: 'malformed', detail: 'things' }
    return { kind: 'read', documents, things: documents.flatMap((one) => thingsOf(one)) }
  }
  const { items, files } = opened.manifest
  const documents: ReadDocument[] = []
  const things: ClaimedThing[] = []
  if (items.length > 0) {
    const read = ports.items(items)
    if (!read) return { kind: 'malformed', detail: 'items' }
    const document = itemsDocument(read, await authorOf(ports, request.owner))
    documents.push(document)
    things.push(...thingsOf(document))
  }
  for (const [index, file] of files.entries()) {
    const bytes = await bytesOf(ports, request, file)
    if (!bytes) return { kind: 'malformed', detail: `files.${index}` }
    const read = await readFile(ports, bytes, file)
    documents.push(...read)
    const count = read.reduce((sum, one) => sum + one.items.length, 0)
    const { name: title, mediaType } = file
    things.push({ kind: 'file', type: 'document', title, mediaType, sizeBytes: bytes.length, items: count })
  }
  return { kind: 'read', documents, things }
}

/** The bytes of a file as they were before its sender encrypted them; undefined where they are not what was named. */
async function bytesOf(
  ports: ClaimPorts,
  request: ConnectRequest,
  file: ManifestFile,
): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array | undefined
  try {
    const stream = await ports.packages.file(request, file)
    bytes = stream && (await gather(stream))
  } catch (error) {
    // A sender who encrypts may name sizes that are not so.
    if (!(error instanceof VaultFailed)) throw error
  }
  if (!bytes || createHash('sha256').update(bytes).digest('hex') !== file.sha256) return undefined
  if (file.jweKey === undefined) return bytes
  const opened = await openJwe(Buffer.from(file.jweKey, 'base64url'), Buffer.from(bytes).toString('latin1'))
  return opened.kind === 'opened' ? opened.plaintext : undefined
}

async function readFile(
  ports: ClaimPorts,
  bytes: Uint8Array,
  { name, mediaType }: ManifestFile,
): Promise<readonly ReadDocument[]> {
  const fhir = /json/i.test(mediaType) ? await ports.fhir?.(bytes, name) : undefined
  return fhir ?? (await readDocument(bytes, { name, mediaType })).documents
}

async function authorOf(ports: ClaimPorts, app: string): Promise<Agent> {
  return { kind: 'organization', text: (await ports.nameOf(app)) ?? app, identifiers: [] }
}

/** Typed items as a document of their own: they are kept as they were sent, and what the record has of them names it. */
export function itemsDocument(items: readonly AuthoredItem[], author: Agent): ReadDocument {
  const bytes = Buffer.from(JSON.stringify({ items }))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const provenance = { authors: [author] }
  const content: ClinicalDocument = {
    type: 'document',
    ...{ mediaType: 'application/json', name: 'items.json', sizeBytes: bytes.length, sha256 },
    format: 'other',
    title: `Items from ${author.text}`,
  }
  const place = (index: number) => `/items[${index + 1}]`
  const read = items.map((one, index) => {
    const { clientId: _, flags: __, related: ___, tags: ____, blobs: _____, endsAt: ______, ...says } = one
    return identified({ ...says, provenance: { ...provenance, entry: place(index) } }, sha256)
  })
  return {
    item: identified({ content, negated: false, identifiers: [], provenance: { ...provenance, entry: '' } }, sha256),
    ...{ bytes, items: read, diagnostics: [] },
    entries: read.map(({ id }, index) => ({ entry: place(index), kind: 'items', items: [id] })),
  }
}

function thingsOf({ items }: ReadDocument): readonly ClaimedThing[] {
  return items.map((item) => {
    const title = titleOf(item)
    const day = (item.when?.value ?? item.when?.low ?? item.when?.high ?? item.recordedAt)?.text
    return { kind: 'item', type: item.content.type, ...(title && { title }), ...(day && { day }) }
  })
}

function titleOf({ content }: RecordItem): string | undefined {
  const concept = subjectOf(content)
  return concept?.text ?? concept?.codings.find(({ display }) => display !== undefined)?.display
}

/** Everybody of whom the package tells, the sender's own word among them. */
function patientsOf({ birthDate }: ConnectRequest, documents: readonly ReadDocument[]): readonly Demographics[] {
  const patients = documents.flatMap(({ items }) =>
    items.flatMap(({ content }) => (content.type === 'demographics' ? [content] : [])),
  )
  return birthDate === undefined ? patients : [...patients, bornOn(birthDate)]
}

function bornOn(text: string): Demographics {
  const birthDate = { text, precision: 'day', offsetMinutes: null, source: text } as const
  const nothing = { names: [], races: [], ethnicities: [], languages: [], addresses: [], telecoms: [], identifiers: [] }
  return { type: 'demographics', ...nothing, birthDate }
}

function told({ names, birthDate }: Demographics) {
  const [first] = names
  const name = first && (first.text ?? [...first.given, first.family ?? ''].join(' ').trim())
  return { ...(name && { name }), ...(birthDate && { birthDate: birthDate.text }) }
}

/** Whether the package is about the patient of the record: one who is clearly not is enough to ask. */
async function matchOf(
  { record, held }: ClaimPorts,
  request: ConnectRequest,
  documents: readonly ReadDocument[],
  access: RecordAccess,
): Promise<PatientMatch> {
  let known: Demographics | undefined
  for await (const { item } of record.current(access.record, { types: ['demographics'] })) {
    if (item.content.type === 'demographics') known ??= item.content
  }
  const birthDate = known ? undefined : (await held?.(access.record))?.birthDate
  if (birthDate !== undefined) known = bornOn(birthDate)
  const matches = patientsOf(request, documents).map((patient) => matchPatient(patient, known))
  const worst = (['mismatch', 'unknown', 'match'] as const).flatMap((kind) =>
    matches.filter((one) => one.kind === kind),
  )
  return worst[0] ?? matchPatient(undefined, known)
}

function mayAdd({ rules }: RecordAccess, documents: readonly ReadDocument[]): boolean {
  const types = new Set(documents.flatMap(({ item, items }) => [item, ...items].map(({ content }) => content.type)))
  return [...types].every((type) => permits(rules, 'create', type))
}

const shasOf = (documents: readonly ReadDocument[]) => documents.map(({ item }) => item.provenance.document)

/** Everything that is true together with a claim; undefined where the request was ended meanwhile. */
async function claimParts(
  { requests, record, activity, audit, clock }: ClaimPorts,
  redeemed: Redeemed,
  documents: readonly ReadDocument[],
  { record: recordId, actor }: RecordAccess,
  from: ActivityFrom,
): Promise<{ readonly batch: Batch; readonly items: number } | undefined> {
  const { request } = redeemed
  if (actor.person === undefined) throw new Error('A package is claimed by a person')
  const finished = await requests.finish(redeemed, { person: actor.person, record: recordId })
  if (finished.kind !== 'changed') return undefined
  const sender = senderOf(request.owner)
  const source = { sender, mailbox: sender, messageId: request.id, spoolId: '' }
  const proposed = await record.proposal(recordId, { documents, ...source, accepted: true })
  const at = clock.now()
  const types = [...new Set(documents.flatMap(({ items }) => items.map(({ content }) => content.type)))]
  const line: ActivityEntry = {
    ...{ at, from, types, count: proposed.addedIds.length, about: { app: request.owner } },
    ...{ action: 'create', outcome: 'success' },
  }
  const subject = { app: request.owner, request: request.id, record: recordId }
  const entry = audit.entry({ at, action: 'package.claimed', actor: from.by, subject, outcome: 'success' })
  const batch = together(finished.parts, proposed.parts, (await activity?.entry(recordId, line)) ?? {}, {
    append: [entry],
  })
  return { batch, items: proposed.addedIds.length }
}

/** A sender's name for documents that came without mail: under a domain that can have none (RFC 6761 §6.4). */
export function senderOf(app: string): DirectAddress {
  return `${app.toLowerCase()}@app.invalid` as DirectAddress
}
