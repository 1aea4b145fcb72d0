import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Blobs } from '../../src/ports/blobs.js'
import { gather } from '../../src/ports/body.js'
import { openSpool } from '../../src/spool/spool.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { openPostgresBlobs } from '../../src/store/postgres/blobs.js'
import { openS3Blobs } from '../../src/store/s3/blobs.js'
import { accept, alice, messagesOf, newGateway, refusalsOf, seal, work } from '../fixtures/gateway.js'
import { postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { startStubS3, stubCredentials } from '../fixtures/s3.js'

const clock = { now: Date.now }
const random = { bytes: (size: number) => new Uint8Array(randomBytes(size)) }
const closing: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'gateway-message-'))
  closing.push(() => rm(path, { recursive: true, force: true }))
  return path
}

const homes: Readonly<Record<string, () => Promise<Blobs>>> = {
  files: async () => openFileBlobs(join(await directory(), 'blobs'), clock),
  async 'an S3 bucket'() {
    const stub = await startStubS3()
    const { endpoint } = stub
    const where = { endpoint, bucket: 'mail', forcePathStyle: true, draftDirectory: await directory() }
    const blobs = await openS3Blobs({ ...where, ...stubCredentials }, clock)
    closing.push(
      () => stub.close(),
      () => blobs.close(),
    )
    return blobs
  },
  async PostgreSQL() {
    const cluster = await startCluster()
    const blobs = await openPostgresBlobs({ urls: [await cluster.createDatabase()] })
    closing.push(
      () => cluster.destroy(),
      () => blobs.close(),
    )
    return blobs
  },
}

const body = `${'A long letter. '.repeat(4)}\r\n`.repeat(20_000)

async function gatewayOver(home: string) {
  const blobs = await homes[home]?.()
  if (!blobs) throw new Error(`no home named ${home}`)
  const { gateway } = await newGateway()
  return { ...gateway, blobs, spool: openSpool({ ...gateway, blobs, random }) }
}

describe.each(Object.keys(homes))('a large message whose bytes lie in %s', (home) => {
  const missing = home === 'PostgreSQL' && !postgresPrograms
  it.skipIf(missing)(
    `is opened once, and kept once, when it comes twice${missing ? ' (skipped: no PostgreSQL here)' : ''}`,
    async () => {
      const gateway = await gatewayOver(home)
      const wire = seal({ body })
      expect(wire.length).toBeGreaterThan(1_000_000)
      await accept(gateway, wire)
      await accept(gateway, wire)
      expect(await work(gateway)).toBe(1)
      const [message, ...others] = await messagesOf(gateway, alice)
      expect(others).toEqual([])
      expect(message?.sizeBytes).toBeGreaterThan(body.length)
      const names = await gather(bytesOf(gateway.blobs.olderThan(-60_000)))
      expect(
        Buffer.from(names)
          .toString()
          .match(/[0-9a-f]{64}/g),
      ).toHaveLength(1)
    },
  )
})

describe('a large message in files', () => {
  it('is refused as damaged, not misread, when a byte of it changed on the disk', async () => {
    const gateway = await gatewayOver('files')
    const id = await accept(gateway, seal({ body }))
    for await (const name of gateway.blobs.olderThan(-60_000)) {
      const file = await open(gateway.blobs.path(name) ?? '', 'r+')
      await file.write('#', 700_000)
      await file.close()
    }
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'spool-damaged' })
  })
})

async function* bytesOf(names: AsyncIterable<string>): AsyncIterable<Uint8Array> {
  for await (const name of names) yield Buffer.from(`${name}\n`)
}
