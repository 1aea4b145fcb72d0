import type { AuthoredItem, recordLimits } from './item.js'
import { isId } from './rows.js'

/**
 * Why what somebody wrote cannot be kept, whatever the record says; undefined where it can. Types are the caller's: here
 * stand the bounds of what lies beside the content, and what a document must have.
 */
export function authoredProblem(item: AuthoredItem, limits: typeof recordLimits): string | undefined {
  const { content, clientId, related = [], tags = [], blobs = [], endsAt } = item
  if (clientId !== undefined && !isName(clientId, limits.nameChars))
    return 'the client id is empty, too long or not text'
  if (tags.length > limits.tagsPerItem || !tags.every((tag) => isName(tag, limits.tagChars)))
    return `at most ${limits.tagsPerItem} tags of ${limits.tagChars} characters`
  if (
    related.length > limits.relatedPerItem ||
    !related.every((one) => isId(one.item) && isName(one.kind, limits.nameChars))
  )
    return `at most ${limits.relatedPerItem} related items, each an id and a kind`
  if (endsAt !== undefined && !isDay(endsAt)) return 'the day on which it ends is no ISO 8601 day'
  if (blobs.length > limits.blobsPerItem) return `at most ${limits.blobsPerItem} blobs`
  if (new Set(blobs.map(({ name }) => name)).size < blobs.length) return 'two blobs have one name'
  for (const { name, mediaType, sha256, sizeBytes } of blobs) {
    if (name !== '' && !isName(name, limits.nameChars))
      return `a name of a blob has at most ${limits.nameChars} characters`
    if (!/^[\w.+-]{1,127}\/[\w.+-]{1,127}(;[\x20-\x7e]{1,200})?$/.test(mediaType)) return 'a blob has no media type'
    if (!/^[0-9a-f]{64}$/.test(sha256) || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      return 'a blob is named by its SHA-256 and its size'
  }
  if (content.type !== 'document') return undefined
  const own = blobs.find(({ name }) => name === '')
  return own && own.sha256 === content.sha256 && own.sizeBytes === content.sizeBytes
    ? undefined
    : 'a document has its bytes as the blob without a name'
}

function isName(text: string, mostChars: number): boolean {
  return text.length > 0 && text.length <= mostChars && !/\p{Cs}/u.test(text) && !/\p{Cc}/u.test(text)
}

function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}
