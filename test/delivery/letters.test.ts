import { randomBytes } from 'node:crypto'
import { SMTPServer } from 'smtp-server'
import { afterEach, expect, it } from 'vitest'
import { audit, decodeEntry } from '../../src/audit/audit.js'
import {
  type letterLimits,
  lettersQueue,
  openLetters,
  openPlainMail,
  plainPrefix,
  startLetters,
} from '../../src/delivery/letters.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import { openVault } from '../../src/keyring/vault.js'
import { writeLetter } from '../../src/notices/letters/letter.js'
import { openMetrics } from '../../src/observe/metrics.js'
import type { Letter } from '../../src/ports/letters.js'
import { within } from '../../src/ports/store.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const random = { bytes: (size: number) => randomBytes(size) }
const clock = { now: () => Date.now() }

function keyring() {
  const master = readMasterKey(createMasterKey(random))
  if (master.kind !== 'master-key') throw new Error(master.detail)
  return openKeyring({ current: master.key }, random)
}

/** A relay that answers DATA as told, and keeps what it took. */
async function relay(reply: () => Error | undefined = () => undefined) {
  const taken: { readonly to: readonly string[]; readonly text: string }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const refused = reply()
        if (!refused)
          taken.push({ to: envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(chunks).toString() })
        done(refused ?? null)
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise<void>((resolve) => server.close(resolve)))
  const { port } = server.server.address() as { port: number }
  return { taken, port }
}

async function office(port: number, limits: Partial<typeof letterLimits> = {}) {
  const store = await openMemoryStore({ clock })
  const wrapping = keyring()
  const missed: string[] = []
  const letters = openLetters({ wrapping, clock, carried: true, missing: (kind) => missed.push(kind) })
  const logged: string[] = []
  const note = (event: string, fields?: object) => {
    logged.push(`${event} ${JSON.stringify(fields ?? {})}`)
  }
  const blobs = createMemoryBlobs(clock)
  const vault = openVault({ store, keyring: wrapping, random })
  const plainMail = openPlainMail({ blobs, vault, wrapping, clock })
  const work = startLetters({
    ...{ store, blobs, vault, clock, random, audit, wrapping, limits },
    log: { info: note, warn: note, error: note },
    metrics: openMetrics({ process: false }),
    relay: { host: '127.0.0.1', port, tls: 'off' },
    from: 'Message Center <no-reply@gw.example>',
    write: (letter, language) => writeLetter(letter, language, 'Message Center'),
    hostname: 'gw.example',
  })
  closers.push(() => work.stop(1000))
  async function send(letter: Letter, once = 'one') {
    await store.commit(letters.letter({ email: 'robin@home.example', language: 'en' }, letter, once))
    work.nudge()
  }
  async function told() {
    const entries = await store.log('audit', 1, 100)
    return entries.map(({ value }) => decodeEntry(value))
  }
  async function sendPlain(bytes: Uint8Array) {
    const attachments = [{ name: 'summary.xml', mediaType: 'application/xml', bytes }]
    await store.commit(await plainMail.mail('robin@home.example', { subject: 'S', text: 'T', attachments }, 'once'))
    work.nudge()
  }
  return { store, blobs, work, send, sendPlain, told, logged }
}

async function until(true_: () => boolean | Promise<boolean>) {
  for (let tries = 0; tries < 500; tries++) {
    if (await true_()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come true')
}

const letter: Letter = {
  kind: 'drop-off',
  clinic: 'North Clinic',
  url: 'https://gw.example/pickup',
  code: 'JKYZ-QNMN-VHRX-ZGNR-GZNH',
}

it('hands a letter to the relay once, and audits it without address and code', async () => {
  const { taken, port } = await relay()
  const { send, told, store } = await office(port)
  await send(letter)
  await send(letter)
  await until(async () => (await told()).length > 0)
  expect(taken).toHaveLength(1)
  expect(taken[0]?.to).toEqual(['robin@home.example'])
  expect(taken[0]?.text).toContain('Auto-Submitted: auto-generated')
  expect(taken[0]?.text).toContain('JKYZ-QNMN-VHRX-ZGNR-GZNH')
  expect(taken[0]?.text).toMatch(/multipart\/alternative/)
  const [entry] = await told()
  expect(entry).toMatchObject({ action: 'letter.sent', outcome: 'success', subject: { kind: 'drop-off' } })
  expect(JSON.stringify(entry)).not.toMatch(/JKYZ|robin/)
  expect(await store.jobs(lettersQueue, 10)).toEqual([])
})

it('keeps what waits sealed', async () => {
  const store = await openMemoryStore({ clock })
  const letters = openLetters({ wrapping: keyring(), clock, carried: true, missing: () => undefined })
  await store.commit(letters.letter({ email: 'robin@home.example', language: 'en' }, letter, 'one'))
  const [job] = await store.jobs(lettersQueue, 10)
  expect(Buffer.from(job?.payload ?? []).toString('latin1')).not.toMatch(/robin|JKYZ|North/)
})

it('tries again after a reply that is not for good, with the same Message-ID', async () => {
  let busy = true
  const ids: string[] = []
  const { taken, port } = await relay(() => {
    if (!busy) return undefined
    busy = false
    return Object.assign(new Error('later'), { responseCode: 451 })
  })
  const { send } = await office(port, { retryMs: [10] })
  await send(letter)
  await until(() => taken.length === 1)
  for (const { text } of taken) ids.push(/^Message-ID: (.+)$/im.exec(text)?.[1] ?? '')
  expect(ids[0]).toMatch(/^<[0-9a-f]{32}\.letter@gw\.example>/)
})

it.each([
  ['a refusal for good', 550, {}, 'refused-550'],
  ['the end of its lifetime', 451, { lifetimeMs: 1 }, 'not-carried-in-time'],
])('ends at %s, and says so', async (_, responseCode, limits, reason) => {
  const { port } = await relay(() => Object.assign(new Error('no'), { responseCode }))
  const { send, told, store, logged } = await office(port, limits)
  await send(letter)
  await until(async () => (await told()).length > 0)
  expect((await told())[0]).toMatchObject({ action: 'letter.sent', outcome: 'failed', reason })
  expect(await store.jobs(lettersQueue, 10)).toEqual([])
  expect(logged.join()).not.toMatch(/robin|JKYZ/)
})

it('queues nothing where no relay is configured, and says so', () => {
  const missed: string[] = []
  const letters = openLetters({ wrapping: keyring(), clock, carried: false, missing: (kind) => missed.push(kind) })
  expect(letters.letter({ email: 'robin@home.example', language: 'en' }, letter, 'one')).toEqual({})
  expect(missed).toEqual(['drop-off'])
})

it.each([
  ['small', 1000],
  ['large', 1_500_000],
])('sends a %s document as ordinary mail where a person asked for it, and keeps nothing of it', async (_, size) => {
  const { taken, port } = await relay()
  const { sendPlain, told, store } = await office(port)
  const bytes = randomBytes(size)
  await sendPlain(bytes)
  await until(async () => (await told()).length > 0)
  expect(await told()).toMatchObject([{ action: 'letter.sent', outcome: 'success', subject: { kind: 'plain' } }])
  const [mail] = taken
  const base64 = mail?.text.split(/filename=summary\.xml[\s\S]*?\r\n\r\n/)[1]?.split('\r\n--')[0] ?? ''
  expect(Buffer.from(base64, 'base64').equals(bytes)).toBe(true)
  expect(await store.range({ ...within(plainPrefix), limit: 10 })).toEqual([])
  expect(await store.range({ ...within('blob/'), limit: 10 })).toEqual([])
})
