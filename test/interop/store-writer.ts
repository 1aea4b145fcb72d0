import { join } from 'node:path'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { openLevelStore } from '../../src/store/level/level.js'

/**
 * The process that store-kill.test.ts kills: eight writers commit a key, a log entry and a job together and say so on
 * standard output, one line a commit. Arguments: directory, first number, `honest` or the seeded bug
 * `reply-first`, and after how many commits each writer stops, where it should.
 */
const [, , directory = '', from = '0', manner = 'honest', count = 'Infinity'] = process.argv
const store = await openLevelStore(join(directory, 'level'), { now: () => Date.now() })
const body = new Uint8Array(4000).fill(1)
// A pipe that is written synchronously: what the parent reads was said before we died.
const say = (id: string) => process.stdout.write(`${id}\n`)

async function write(writer: number) {
  for (let n = Number(from); n < Number(from) + Number(count); n++) {
    const id = `${writer}-${n}`
    if (manner === 'reply-first') {
      say(id)
      // What reached the kernel survives a kill, so that the bug needs a moment to show.
      await setTimeout(10)
    }
    await store.commit({
      put: [{ key: `written/${id}`, value: body }],
      append: [{ log: 'written', value: Buffer.from(id) }],
      enqueue: [{ queue: 'written', id, payload: Buffer.from(id), dueAt: n }],
    })
    if (manner !== 'reply-first') say(id)
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
