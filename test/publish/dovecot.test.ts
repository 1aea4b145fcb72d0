import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { type DovecotReport, type ReadingAccount, startDovecotPublishing } from '../../src/publish/dovecot.js'

const folder = mkdtempSync(join(tmpdir(), 'dovecot-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const sha256 = 'ab'.repeat(32)
const one: ReadingAccount = { name: 'ehr-north', reads: 'dr.sample@clinic.example', sha256 }

/** Publishes once; what came of it, and the file. */
async function published(
  accounts: readonly ReadingAccount[] | Error,
  more: { limits?: { accounts: number }; heard?: DovecotReport[] } = {},
) {
  const usersFile = join(folder, 'users')
  const publishing = startDovecotPublishing({
    usersFile,
    accounts: async () => {
      if (accounts instanceof Error) throw accounts
      return accounts
    },
    log: { info() {}, warn() {}, error() {} },
    metrics: { count() {}, gauge() {}, observe() {} },
    ...(more.heard && { onReport: (report) => void more.heard?.push(report) }),
    limits: { everyMs: 600_000, ...more.limits },
  })
  const report = await publishing.sync()
  await publishing.close()
  return { report, text: readFileSync(usersFile, 'utf8') }
}

describe('the accounts file of Dovecot', () => {
  test('has one line for each account, with the address that it becomes', async () => {
    const { text } = await published([one, { ...one, name: 'EHR.South', reads: "o'neil%x@clinic.example" }])
    expect(text).toBe(
      `ehr-north:{SHA256.HEX}${sha256}::::::user=dr.sample@clinic.example\n` +
        `ehr.south:{SHA256.HEX}${sha256}::::::user=o'neil%%x@clinic.example\n`,
    )
  })

  test('is empty where nobody reads, so that Dovecot knows nobody', async () => {
    expect((await published([])).text).toBe('')
  })

  test('stays as it was where the accounts cannot be read', async () => {
    const before = await published([one])
    const heard: DovecotReport[] = []
    const after = await published(new Error('the store is closed'), { heard })
    expect(after.report).toEqual({ kind: 'failed', detail: 'Error: the store is closed' })
    expect(heard.every(({ kind }) => kind === 'failed') && heard.length > 0).toBe(true)
    expect(after.text).toBe(before.text)
  })

  test('has room for so many, and names the others', async () => {
    const many = ['a', 'b', 'c'].map((name) => ({ ...one, name }))
    const { report } = await published(many, { limits: { accounts: 2 } })
    expect(report).toMatchObject({ accounts: 2, left: ['c'] })
  })

  test('never tells one account as two, nor with an address that is not its own, whatever the names are', async () => {
    const words = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[a-z:#\n\r\t %={}!@/-]{1,12}$/),
      fc.constantFrom(
        'a',
        'A',
        'b:x',
        'c\nroot:x',
        'd user=x',
        '#e',
        'dr@c.example',
        'a/../b@c.example',
        'x%{pw}@c.example',
      ),
    )
    const accounts = fc.array(fc.record({ name: words, reads: words, sha256: fc.oneof(fc.constant(sha256), words) }))
    await fc.assert(
      fc.asyncProperty(accounts, async (some) => {
        const { report, text } = await published(some)
        const lines = text.split('\n').slice(0, -1)
        expect(report).toMatchObject({ kind: 'synced', accounts: lines.length })
        for (const line of lines) {
          const [, name = '', digest = '', reads = ''] =
            /^([a-z0-9._@+-]+):\{SHA256\.HEX\}([0-9a-f]{64})::::::user=(\S+)$/.exec(line) ?? []
          const told = { name, reads: reads.replaceAll('%%', '%'), sha256: digest }
          expect(some.map((each) => ({ ...each, name: each.name.toLowerCase() }))).toContainEqual(told)
          expect(reads.replaceAll('%%', '')).not.toMatch(/[%/:\s]/)
        }
        expect(new Set(lines.map((line) => line.split(':')[0])).size).toBe(lines.length)
      }),
      { numRuns: 200 },
    )
  })
})
