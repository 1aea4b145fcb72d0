import { createHash } from 'node:crypto'
/** A record item; synthetic. */
export function item(id, given = {}) {
  return {
    id,
    content: { type: 'problem', problem: { codings: [], text: `canary condition ${id}` } },
    negated: false,
    identifiers: [],
    provenance: { document: 'd', entry: '/x[1]', authors: [] },
    ...given,
  }
}
/** A document with its items; the bytes make its hash. */
export function readDocument(bytes, items) {
  const body = Buffer.from(bytes)
  const sha256 = createHash('sha256').update(body).digest('hex')
  return {
    bytes: body,
    items,
    diagnostics: [],
    entries: [],
    item: item(`doc-${sha256.slice(0, 8)}`, {
      content: {
        type: 'document',
        mediaType: 'text/xml',
        name: 'ccd.xml',
        sizeBytes: body.length,
        sha256,
        format: 'ccd',
      },
      provenance: { document: sha256, entry: '', authors: [] },
    }),
  }
}
