import type { ViewRequest } from '../clinical/view/document.js'
import { pagePolicy } from '../clinical/view/style.js'
import type { Whose } from '../record/item.js'
import type { PatientRecord } from '../record/record.js'
import { StepFailed, StepNotBegun } from './steps.js'

/** Makes a page of a document; it reads a stranger's structure at length, so a worker thread does it. */
export interface Views {
  view(bytes: Uint8Array, request: ViewRequest): Promise<string>
}

export interface ViewPorts {
  readonly record: Pick<PatientRecord, 'document' | 'documentBytes'>
  readonly views: Views
}

export type ViewOutcome =
  /** With the Content-Security-Policy that the page itself has. */
  | { readonly kind: 'page'; readonly html: string; readonly policy: string }
  | { readonly kind: 'missing' }
  /** Its bytes are lost, or making a page of them ended a thread. */
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'busy' }

/**
 * One document of a record as a page for people. `documents` is the path that the SHA-256 of another document of the
 * record is put after. `busy` where too many pages are asked for at once.
 */
export async function viewOfDocument(
  { whose, sha256, documents }: { readonly whose: Whose; readonly sha256: string; readonly documents: string },
  { record, views }: ViewPorts,
): Promise<ViewOutcome> {
  const document = await record.document(whose, sha256)
  if (!document) return { kind: 'missing' }
  const body = await record.documentBytes(whose, sha256)
  if (!body) return { kind: 'unreadable' }
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  const { name, mediaType } = document
  const request = { mediaType, ...(name !== undefined && { name }), documents }
  try {
    return { kind: 'page', html: await views.view(Buffer.concat(chunks), request), policy: pagePolicy }
  } catch (error) {
    if (error instanceof StepNotBegun) return { kind: 'busy' }
    if (error instanceof StepFailed) return { kind: 'unreadable' }
    throw error
  }
}
