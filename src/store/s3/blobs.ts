import type { IncomingMessage } from 'node:http'
import type { Blobs } from '../../ports/blobs.js'
import { StoreFailed } from '../../ports/store.js'
import type { Clock } from '../../ports/world.js'
import { openDrafts, roomOf } from '../drafts.js'
import { bodyText, codeOf, openS3Client } from './client.js'
import { type Listing, listingLimits, readListing } from './listing.js'
import { checkedEndpoint, type S3Limits, type S3Options, s3Limits } from './options.js'

const form = /^[0-9a-f]{64}$/

export interface S3Blobs extends Blobs {
  /** Ends the connections that are kept. */
  close(): void
}

/**
 * Blobs as objects of an S3 bucket, named by prefix and SHA-256. A blob is written to a local draft first, since its
 * digest is its name and goes with the request: the server refuses bytes that are not those, and what it acknowledged is
 * durable by its own promise. Any number of processes may share a bucket. Throws StoreFailed where an option is wrong or
 * the bucket does not answer a listing.
 */
export async function openS3Blobs(options: S3Options, clock: Clock): Promise<S3Blobs> {
  const endpoint = checkedEndpoint(options)
  const limits = { ...s3Limits, ...options.limits }
  const prefix = options.prefix ?? ''
  const drafts = await openDrafts(options.draftDirectory, clock)
  const client = openS3Client(options, endpoint, limits)

  async function page(names: number, token?: string): Promise<Listing> {
    const query = {
      'list-type': '2',
      'max-keys': String(names),
      ...(prefix && { prefix }),
      ...(token !== undefined && { 'continuation-token': token }),
    }
    const { found, body } = await client.send({ method: 'GET', query })
    if (!found) throw new StoreFailed('The blob bucket is not there')
    const text = await bodyText(body, listingLimits.pageBytes, limits.answerMs).catch((cause: unknown) => {
      throw new StoreFailed(`The blob bucket broke off a listing: ${codeOf(cause)}`, { cause })
    })
    const listing = text === undefined ? undefined : readListing(text)
    if (!listing) throw new StoreFailed('The blob bucket answered a listing that cannot be read')
    return listing
  }

  async function* olderThan(olderThanMs: number): AsyncGenerator<string> {
    await drafts.clear()
    const before = clock.now() - olderThanMs
    let token: string | undefined
    for (let pages = 0; pages < limits.pages; pages++) {
      const { objects, next } = await page(1000, token)
      for (const { key, modifiedAt } of objects) {
        const name = key.startsWith(prefix) ? key.slice(prefix.length) : ''
        if (form.test(name) && modifiedAt < before) yield name
      }
      if (next === undefined) return
      if (next === token) break
      token = next
    }
    throw new StoreFailed('The blob bucket answered a listing without end')
  }

  async function get(name: string) {
    if (!form.test(name)) return undefined
    const { found, body } = await client.send({ method: 'GET', key: prefix + name })
    return found ? wholeBody(body, limits) : undefined
  }

  async function size(name: string): Promise<number | undefined> {
    if (!form.test(name)) return undefined
    const { found, body } = await client.send({ method: 'HEAD', key: prefix + name })
    body.resume()
    return found ? lengthOf(body) : undefined
  }

  try {
    await page(1)
  } catch (error) {
    client.close()
    throw error
  }
  return {
    put: (chunks) =>
      drafts.write(
        chunks,
        async () => {},
        async ({ path, name, sizeBytes }) => {
          const { body } = await client.send({
            method: 'PUT',
            key: prefix + name,
            body: { path, sizeBytes, sha256: name },
          })
          body.resume()
          return name
        },
      ),
    get,
    path: () => undefined,
    size,
    async delete(name) {
      if (form.test(name)) (await client.send({ method: 'DELETE', key: prefix + name })).body.resume()
    },
    olderThan,
    room: () => roomOf(options.draftDirectory),
    close: () => client.close(),
  }
}

function lengthOf({ headers }: IncomingMessage): number {
  const length = headers['content-length']
  if (length === undefined || !/^\d{1,15}$/.test(length))
    throw new StoreFailed('The blob bucket did not say how long a blob is')
  return Number(length)
}

/**
 * All bytes of an answer, as many as it said, in chunks that the port allows; StoreFailed where it breaks off, or nothing
 * comes for `answerMs`. The time a reader takes for itself does not count; one that never begins loses the connection.
 */
function wholeBody(body: IncomingMessage, limits: S3Limits): AsyncIterable<Uint8Array> {
  let missing: number
  try {
    missing = lengthOf(body)
  } catch (error) {
    body.destroy()
    throw error
  }
  const late = () => body.destroy(new Error('no answer in time'))
  const unread = setTimeout(late, limits.answerMs).unref()
  body.on('error', () => {}) // whoever reads is told by the reading
  async function* read(): AsyncGenerator<Uint8Array> {
    clearTimeout(unread)
    const chunks = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    try {
      while (true) {
        const timer = setTimeout(late, limits.answerMs)
        const { done, value } = await chunks.next().finally(() => clearTimeout(timer))
        if (done) break
        missing -= value.length
        for (let at = 0; at < value.length; at += limits.readBytes) yield value.subarray(at, at + limits.readBytes)
      }
    } catch (cause) {
      throw new StoreFailed(`The blob bucket broke off a blob: ${codeOf(cause)}`, { cause })
    } finally {
      body.destroy()
    }
    if (missing !== 0) throw new StoreFailed('The blob bucket answered a blob of another length than it said')
  }
  return read()
}
