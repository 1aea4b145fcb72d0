import { createHash } from 'node:crypto'
import { type ReadBundle, readFhirBundle } from '../clinical/fhir/read/bundle.js'
import { readDocument } from '../clinical/read.js'
import { identified } from '../clinical/reading.js'
import type { ClinicalDocument, Diagnostic } from '../direct/clinical.js'
import type { Agent } from '../direct/datatypes.js'
import type { ReadDocument } from '../record/item.js'

/** What is known of a file in FHIR beside its bytes. */
export interface FhirFile {
  readonly name: string
  readonly title?: string
  /** Who stands behind it where its resources name nobody. */
  readonly author?: Agent
}

/**
 * A Bundle of FHIR R4, or one resource, as documents: itself with the items that were read from it, and each document that it
 * carries whole. Undefined where it is no FHIR, is about several patients, or says nothing that a record keeps. Never throws.
 */
export async function readFhirFile(bytes: Uint8Array, file: FhirFile): Promise<readonly ReadDocument[] | undefined> {
  const text = textOf(bytes)
  const bundle = text === undefined ? undefined : readFhirBundle(text)
  if (!bundle || (!bundle.patient && bundle.items.length + bundle.documents.length === 0)) return undefined
  const carried: ReadDocument[] = []
  for (const { bytes, mediaType, title } of bundle.documents) {
    const hints = { mediaType, ...(title !== undefined && { name: title }) }
    carried.push(...(await readDocument(bytes, hints)).documents)
  }
  return [documentOf(bytes, bundle, file), ...carried]
}

function documentOf(bytes: Uint8Array, bundle: ReadBundle, { name, title, author }: FhirFile): ReadDocument {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const content: ClinicalDocument = {
    type: 'document',
    ...{ mediaType: 'application/fhir+json', name, sizeBytes: bytes.length, sha256 },
    format: 'other',
    ...(title !== undefined && { title }),
  }
  const place = (index: number) => `/items[${index + 1}]`
  const behind = author ? [author] : []
  const said = [...(bundle.patient ? [bundle.patient] : []), ...bundle.items]
  const items = said.map(({ authors, ...says }, index) => {
    const provenance = { authors: authors.length > 0 ? authors : behind, entry: place(index) }
    return identified({ ...says, provenance }, sha256)
  })
  const own = { content, negated: false, identifiers: [], provenance: { authors: behind, entry: '' } }
  return {
    ...{ item: identified(own, sha256), bytes, items },
    diagnostics: bundle.diagnostics.map(diagnosticOf),
    entries: items.map(({ id }, index) => ({ entry: place(index), kind: 'items', items: [id] })),
  }
}

function diagnosticOf({ expression, detail }: ReadBundle['diagnostics'][number]): Diagnostic {
  return { code: 'unmapped-entry', where: expression.slice(0, 200), detail }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
