import type { ViewRequest } from '../clinical/view/document.js'
import type { PatientRecord } from '../record/record.js'

/** Makes a page of a document; it reads a stranger's structure at length, so a worker thread does it. */
export interface Views {
  view(bytes: Uint8Array, request: ViewRequest): Promise<string>
}

export interface ViewPorts {
  readonly record: Pick<PatientRecord, 'document' | 'documentBytes'>
  readonly views: Views
}

export type ViewOutcome =
  | { readonly kind: 'page'; readonly html: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable' }

/**
 * One document of a record as a page for people. `documents` is the path that the SHA-256 of another document of the
 * record is put after. `missing` where the record has no such document, `unreadable` where its bytes are lost.
 */
export async function viewOfDocument(
  { recordId, sha256, documents }: { readonly recordId: string; readonly sha256: string; readonly documents: string },
  { record, views }: ViewPorts,
): Promise<ViewOutcome> {
  const document = await record.document(recordId, sha256)
  if (!document) return { kind: 'missing' }
  const body = await record.documentBytes(recordId, sha256)
  if (!body) return { kind: 'unreadable' }
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  const { name, mediaType } = document
  const html = await views.view(Buffer.concat(chunks), { mediaType, ...(name !== undefined && { name }), documents })
  return { kind: 'page', html }
}
