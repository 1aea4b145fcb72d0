/**
 * The process that is killed: eight writers commit a key, a log entry and a job together, now and then a blob before them,
 * and say so on standard output, one line a commit. Arguments: the folder that stands for dist/, the data folder, the first
 * number, `honest` or the planted bug `reply-first`, and after how many commits each writer stops, where it should.
 */
import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const [, , dist = '', directory = '', from = '0', manner = 'honest', count = 'Infinity'] = process.argv
const product = (path) => import(pathToFileURL(join(dist, path)).href)
const { openLevelStore } = await product('store/level/level.js')
const { openFileBlobs } = await product('store/blobs.js')
const clock = { now: () => Date.now() }

function failed(error) {
  process.stderr.write(`${error.name}: ${error.message}\n`)
  process.exit(error.name === 'StoreFailed' ? 75 : 1)
}

const store = await openLevelStore(join(directory, 'store'), clock).catch(failed)
const blobs = await openFileBlobs(join(directory, 'blobs'), clock).catch(failed)
// Written before we die, or not at all: what the parent reads was said.
function say(id) {
  for (;;) {
    try {
      return writeSync(1, `${id}\n`)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error // a slow parent: the pipe is full for a moment
    }
  }
}

/** A blob that could not be kept is nobody's; undefined then, and what it was for is written as a row. */
async function put(bytes) {
  try {
    return await blobs.put([bytes])
  } catch (error) {
    if (error.name !== 'StoreFailed') throw error
    process.stderr.write(`${error.message}\n`)
    return undefined
  }
}

async function write(writer) {
  for (let n = Number(from); n < Number(from) + Number(count); n++) {
    const id = `${writer}-${n}`
    if (manner === 'reply-first') {
      say(id)
      // What reached the kernel survives a kill, so that the bug needs a moment to show.
      await setTimeout(10)
    }
    const blob = (writer + n) % 8 === 0 ? await put(randomBytes(1 + ((n * 7919) % 120_000))) : undefined
    await store.commit({
      put: [{ key: `written/${id}`, value: blob ? Buffer.from(blob) : randomBytes(4000) }],
      append: [{ log: 'written', value: Buffer.from(id) }],
      enqueue: [{ queue: 'written', id, payload: Buffer.from(id), dueAt: n }],
    })
    if (manner !== 'reply-first') say(id)
  }
}

/** A failed writer says so; what others had begun may still end. */
const ends = await Promise.allSettled(Array.from({ length: 8 }, (_, writer) => write(writer)))
const rejected = ends.find(({ status }) => status === 'rejected')
if (rejected) failed(rejected.reason)
await store.close()
