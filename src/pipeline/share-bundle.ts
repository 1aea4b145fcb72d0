import { instantAt } from '../clinical/fhir/datatypes.js'
import { binaryOf } from '../clinical/fhir/document.js'
import type { Json, JsonObject, Resource } from '../clinical/fhir/json.js'
import { writeJson } from '../clinical/fhir/json.js'
import type { Sourced } from '../clinical/fhir/make.js'
import { draft, type Mapped, patientDraft } from '../clinical/fhir/map.js'
import { type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import { gather } from '../ports/body.js'
import { dayOf } from '../record/rows.js'
import { mayRead, maySeeResource } from './fhir-access.js'
import { type FhirPlace, type FhirPorts, openItems, openPauses } from './fhir-items.js'

/** What of a record is handed on: everything, or what meets all that is said. */
export interface Selection {
  readonly types?: readonly RecordItemType[]
  /** Clinical days, ISO 8601, both inclusive; what has no day is in only where neither is said. */
  readonly from?: string
  readonly to?: string
  /** Entries by their ids; each must be there. */
  readonly ids?: readonly string[]
}

export const shareLimits = {
  /** Entries read for one Bundle: as FHIR reads for one answer. */
  entries: 20_000,
  /** Entries that are named one by one. */
  ids: 500,
  /** The Bundle as JSON: one file of a link. */
  bundleBytes: 16 * 1024 * 1024,
  /** Bytes of documents that the Bundle carries; they become a third more in base64. Others are named and not carried. */
  documentBytes: 8 * 1024 * 1024,
}

export type BundleOutcome =
  | {
      readonly kind: 'bundle'
      readonly bytes: Uint8Array
      readonly items: number
      readonly types: readonly RecordItemType[]
      /** Documents that were named and not carried, for their size. */
      readonly notCarried: number
    }
  /** An id that the caller does not see. */
  | { readonly kind: 'unknown-item' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'too-large' }

/**
 * A Bundle (`collection`) of what the caller may read and chose, with the Patient first, that whoever has it needs no server
 * for: documents are within. `place.access.told` is the name of the Patient in it.
 */
export async function recordBundle(
  ports: FhirPorts,
  place: FhirPlace,
  selection: Selection,
  at: number,
  limits = shareLimits,
): Promise<BundleOutcome> {
  const { access } = place
  const items = openItems(ports, limits)
  const { items: seen, cut } = await items.gather(access, selection.types ?? recordItemTypes, { reading: 'by-search' })
  if (cut) return { kind: 'too-large' }
  const wanted = selection.ids && new Set(selection.ids)
  const chosen = seen.filter((one) => isChosen(one, selection, wanted))
  if (wanted && chosen.length < wanted.size) return { kind: 'unknown-item' }
  if (chosen.length === 0) return { kind: 'nothing' }

  const context = { ...(await items.contextAt(place)), documents: documentsOf(chosen) }
  const patient = mayRead(access.rules, 'Patient', 'by-search')
    ? (await items.gather(access, ['demographics'], { resource: 'Patient', reading: 'by-search' })).items
    : undefined
  const drafts = [...(patient ? [patientDraft(patient, context)] : []), ...draft(chosen, context).drafts]
  const pause = openPauses(ports)
  const carry = carrier(ports, place, limits)
  const entries: Json[] = []
  let resources = 0
  for (const one of drafts) {
    await pause()
    for (const mapped of one.make()) {
      if (!maySeeResource(access, mapped, 'by-search')) continue
      if (mapped.resource.resourceType !== 'Patient') resources++
      entries.push(await entryOf(mapped, place, carry))
    }
  }
  if (resources === 0) return { kind: 'nothing' }
  const bundle = { resourceType: 'Bundle', type: 'collection', timestamp: instantAt(at), entry: entries }
  const bytes = Buffer.from(writeJson(bundle))
  if (bytes.length > limits.bundleBytes) return { kind: 'too-large' }
  const types = [...new Set(chosen.map(({ item }) => item.content.type))]
  return { kind: 'bundle', bytes, items: chosen.length, types, notCarried: carry.notCarried() }
}

function isChosen({ item }: Sourced, { from, to }: Selection, wanted: ReadonlySet<string> | undefined): boolean {
  if (wanted) return wanted.has(item.id)
  if (from === undefined && to === undefined) return true
  const day = dayOf(item)
  if (day.startsWith('0000')) return false
  return (from === undefined || day >= from.slice(0, day.length)) && (to === undefined || day <= to)
}

function documentsOf(chosen: readonly Sourced[]): ReadonlyMap<string, string> {
  return new Map(
    chosen.flatMap(({ item: { id, content } }) => (content.type === 'document' ? [[content.sha256, id] as const] : [])),
  )
}

type Carry = ReturnType<typeof carrier>

async function entryOf({ resource }: Mapped, { base }: FhirPlace, { carried }: Carry): Promise<JsonObject> {
  const sha256 = binaryOf(resource)
  const whole = sha256 === undefined ? resource : withBytes(resource, await carried(sha256))
  return { fullUrl: `${base}/${resource.resourceType}/${resource.id}`, resource: whole }
}

/** Bytes of documents, as many as go along. */
function carrier({ record }: FhirPorts, { access }: FhirPlace, limits: typeof shareLimits) {
  let left = limits.documentBytes
  let not = 0
  return {
    notCarried: () => not,
    async carried(sha256: string): Promise<Uint8Array | undefined> {
      const stored = await record.document(access.record, sha256)
      const fits = stored !== undefined && stored.sizeBytes <= left && mayRead(access.rules, 'Binary', 'by-id')
      const stream = fits ? await record.documentBytes(access.record, sha256) : undefined
      if (!stored || !stream) {
        not++
        return undefined
      }
      left -= stored.sizeBytes
      return gather(stream)
    },
  }
}

/** A DocumentReference with its document in it, and without the address at which nobody else gets it. */
function withBytes(resource: Resource, bytes: Uint8Array | undefined): Resource {
  const [content] = resource['content'] as readonly JsonObject[]
  const { url: _, ...attachment } = (content?.['attachment'] ?? {}) as JsonObject & { readonly url?: Json }
  const data = bytes && { data: Buffer.from(bytes).toString('base64') }
  return { ...resource, content: [{ ...content, attachment: { ...attachment, ...data } }] }
}
