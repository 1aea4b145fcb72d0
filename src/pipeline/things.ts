import { Buffer } from 'node:buffer'
import { readDocument } from '../clinical/read.js'
import type { ReadDocument } from '../record/item.js'
import { childrenOf, elements } from '../xml/node.js'
import { parseXml } from '../xml/parse.js'

/** Documents within one package of things: a clinic that left more did not leave it for one person. */
const documentsMost = 100

/** A document of its own inside a thing: a root that no document has twice, from its first tag to its last. */
const within = /<((?:[\w.-]{1,40}:)?(?:ContinuityOfCareRecord|ClinicalDocument))[\s>][\s\S]*?<\/\1\s*>/g

/**
 * HealthVault's things, as its envelope has them: one after the other, without an element around them. They are kept as one
 * document, as they came; each CCR or CDA among them is read as the document that it is. Undefined where they are not
 * well-formed, or no things (HealthVault 120).
 */
export async function readThings(xml: Uint8Array): Promise<readonly ReadDocument[] | undefined> {
  const around = ['<things>', '</things>'].map((text) => Buffer.from(text)) as [Buffer, Buffer]
  const bytes = Buffer.concat([around[0], xml, around[1]])
  const parsed = parseXml(bytes)
  if (parsed.kind !== 'tree') return undefined
  const things = childrenOf(parsed.root, 'thing', '')
  if (things.length === 0 || things.length !== elements(parsed.root).length) return undefined

  const all = await readDocument(bytes, { name: 'things.xml', mediaType: 'application/xml' })
  const documents: ReadDocument[] = [...all.documents]
  const text = Buffer.from(xml).toString('utf8')
  for (const [inner] of text.matchAll(within)) {
    if (documents.length > documentsMost) return undefined
    documents.push(...(await readDocument(Buffer.from(inner), { mediaType: 'text/xml' })).documents)
  }
  return documents
}
