import { createReadStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Sink } from './backup.js'

/** A new file that its owner alone may read, whole and synced with its folder once `end` answers. Refuses (throws) an existing one. */
export async function createFile(path: string): Promise<Sink & { discard(): Promise<void> }> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(path, 'wx', 0o600)
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
    },
    async end() {
      await file.sync()
      await file.close()
      const folder = await open(dirname(path), 'r')
      await folder.sync().finally(() => folder.close())
    },
    async discard() {
      await file.close().catch(() => undefined)
      await rm(path, { force: true })
    },
  }
}

/** Reads a file in chunks of 256 KiB. */
export function readFileOf(path: string): AsyncIterable<Uint8Array> {
  return createReadStream(path, { highWaterMark: 256 * 1024 })
}
