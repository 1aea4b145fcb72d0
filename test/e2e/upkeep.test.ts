import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import { clock } from '../../src/house.js'
import { openLevelStore } from '../../src/store/level/level.js'
import {
  type Estate,
  furnished,
  letter,
  mustRun,
  patient,
  run,
  type Serving,
  sender,
  serve,
  until,
} from '../fixtures/process.js'

const on = ['--config', 'gateway.yaml']

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
let gateway: Serving | undefined

beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
  gateway = await serve(estate.folder)
  const session = await openMail(gateway.smtpPort)
  for (const id of ['one', 'two', 'three']) {
    const content = `Content-Type: text/plain\r\n\r\n${id === 'two' ? 'All is well.\r\n'.repeat(120_000) : 'Well.\r\n'}`
    const { signer } = id === 'three' ? { signer: estate.stranger } : { signer: estate.provider }
    await session.send(sender, [patient], await letter(estate, id, { content, signer }))
  }
  session.close()
  await until(async () => (await listed('queue')).length === 0 && mail.received.length >= 2)
})
afterAll(async () => {
  await gateway?.stop()
  mail.close()
  estate.remove()
})

const listed = async (what: string) =>
  JSON.parse(await mustRun(estate.folder, what, 'list', '--json', ...on)) as unknown[]

/** Another folder with the master key of the estate, configured as `<name>.yaml`. */
function anotherHome(name: string): string[] {
  const { folder } = estate
  mkdirSync(join(folder, name), { mode: 0o700 })
  copyFileSync(join(folder, 'data/master.key'), join(folder, name, 'master.key'))
  const text = readFileSync(join(folder, 'gateway.yaml'), 'utf8').replace('dataDir: data', `dataDir: ${name}`)
  writeFileSync(join(folder, `${name}.yaml`), text)
  return ['--config', `${name}.yaml`]
}

describe('beside a running gateway', () => {
  it('verify finds nothing, stats counts, and what stats tells is a head that verify knows again', async () => {
    const { folder } = estate
    const verified = JSON.parse(await mustRun(folder, 'verify', '--json', ...on))
    expect(verified).toMatchObject({ whole: true, findings: 0, list: [] })
    const stats = JSON.parse(await mustRun(folder, 'stats', '--json', ...on))
    expect(stats.families.find(({ family }: { family: string }) => family === 'mailbox message')).toMatchObject({
      rows: 2,
      owners: 1,
    })
    expect(stats.blobs).toMatchObject({ held: 1, stored: expect.any(Number) })
    expect(await mustRun(folder, 'stats', ...on)).toMatch(/AUDIT HEAD +\d+:[0-9a-f]{64}/)
    expect((await run(folder, 'verify', '--known-head', stats.head, ...on)).code).toBe(0)
    const forged = stats.head.replace(/.$/, (digit: string) => (digit === '0' ? '1' : '0'))
    expect(await run(folder, 'verify', '--known-head', forged, ...on)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/written anew/),
    })
    expect((await run(folder, 'verify', '--known-head', 'nonsense', ...on)).code).toBe(2)
    expect((await run(folder, 'verify', '--progress', ...on)).code).toBe(0)
  })

  it('a backup restores elsewhere under the same key and no other, is refused where it was altered', async () => {
    const { folder } = estate
    const told = await mustRun(folder, 'backup', '--to', 'one.backup', ...on)
    expect(told).toMatch(/^Backed up \d+ rows and 1 blobs: \d+ bytes, digest [0-9a-f]{64}\.$/m)
    const file = join(folder, 'one.backup')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await run(folder, 'backup', '--to', 'one.backup', ...on)).err).toMatch(/EEXIST/)
    expect(statSync(file).size).toBeGreaterThan(10_000)

    const there = anotherHome('restored')
    expect(await mustRun(folder, 'restore', '--from', 'one.backup', ...there)).toMatch(
      /^Restored \d+ rows and 1 blobs of .* whole\.$/m,
    )
    expect((await run(folder, 'restore', '--from', 'one.backup', ...there)).err).toMatch(/an installation already/)
    expect(JSON.parse(await mustRun(folder, 'verify', '--json', ...there))).toMatchObject({ whole: true })

    const altered = readFileSync(file)
    altered[5_000] = (altered[5_000] ?? 0) ^ 1
    writeFileSync(join(folder, 'altered.backup'), altered)
    const empty = anotherHome('empty')
    expect(await run(folder, 'restore', '--from', 'altered.backup', ...empty)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/altered, at byte \d+/),
    })
    writeFileSync(join(folder, 'empty/master.key'), `${Buffer.alloc(32, 'another key').toString('base64')}\n`)
    expect((await run(folder, 'restore', '--from', 'one.backup', ...empty)).err).toMatch(/another master key/)
    expect((await run(folder, 'restore', '--from', 'none.backup', ...empty)).err).toMatch(/ENOENT/)
    await expect(serve(folder, { config: 'restored.yaml' }).then((one) => one.stop())).resolves.toMatchObject({
      code: 0,
    })
  })

  it('a backup to standard output is the same file', async () => {
    const out = await run(estate.folder, 'backup', '--to', '-', ...on)
    expect(out.code).toBe(0)
    expect(out.out.startsWith('direct-gateway backup 1\n')).toBe(true)
    expect(out.err).toMatch(/^Backed up /m)
  })
})

describe('with the gateway stopped', () => {
  it('damaged rows are set aside to a file, and come back from it', async () => {
    const { folder } = estate
    await gateway?.stop()
    gateway = undefined
    const directory = join(folder, 'restored/store')
    const there = ['--config', 'restored.yaml']
    const store = await openLevelStore(directory, clock)
    const [row] = await store.range({ gte: 'mailbox/', lt: 'mailbox0', limit: 1 })
    await store.commit({ put: [{ key: row?.key ?? '', value: Buffer.from('nonsense') }] })
    await store.close()
    const found = await run(folder, 'verify', ...there)
    expect(found).toMatchObject({ code: 1, out: expect.stringMatching(/damaged +delivered message/) })
    expect((await run(folder, 'verify', '--quarantine', ...there)).out).toMatch(/SET ASIDE +1/)
    const [file = ''] = readdirSync(join(folder, 'restored/quarantined-rows'))
    expect(statSync(join(folder, 'restored/quarantined-rows', file)).mode & 0o777).toBe(0o600)
    expect((await run(folder, 'verify', ...there)).out).not.toMatch(/damaged/)
    const back = await mustRun(folder, 'restore', '--from', `restored/quarantined-rows/${file}`, ...there)
    expect(back).toMatch(/Put back 1 of 1 rows/)
    expect((await run(folder, 'verify', ...there)).out).toMatch(/damaged/)
  })

  it('migrate copies beside a running gateway, ends when it has stopped, and the old store starts no more', async () => {
    const { folder } = estate
    const there = anotherHome('moved')
    gateway = await serve(folder)
    expect(await mustRun(folder, 'migrate', '--to', 'moved.yaml', ...on)).toMatch(
      /^Copied \d+ rows and 1 blobs so far/m,
    )
    await expect(serve(folder, { config: 'moved.yaml' })).rejects.toThrow(/being moved into this one/)
    await mustRun(folder, 'address', 'add', 'late.comer@patients.example', ...on)
    await gateway.stop()
    gateway = undefined
    expect(await mustRun(folder, 'migrate', '--to', 'moved.yaml', ...on)).toMatch(
      /^Moved: \d+ rows and 1 blobs are equal/m,
    )
    await expect(serve(folder)).rejects.toThrow(/was moved to moved\.yaml/)
    expect((await run(folder, 'address', 'list', ...on)).err).toMatch(/was moved to moved\.yaml/)
    expect(await mustRun(folder, 'address', 'list', ...there)).toMatch(/late\.comer@/)
    expect(JSON.parse(await mustRun(folder, 'verify', '--json', ...there))).toMatchObject({ whole: true })
    await mustRun(folder, 'migrate', '--undo-mark', ...on)
    expect((await run(folder, 'migrate', '--undo-mark', ...on)).code).toBe(1)
    expect((await run(folder, 'migrate', ...on)).code).toBe(2)
    await mustRun(folder, 'address', 'list', ...on)
    rmSync(join(folder, 'moved'), { recursive: true })
  })
})
