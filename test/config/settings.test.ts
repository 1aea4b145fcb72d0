import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { leaves } from '../../src/config/leaves.js'
import { limits } from '../../src/config/limits.js'
import { settings } from '../../src/config/settings.js'
import { mimeLimits } from '../../src/mime/limits.js'
import { smimeLimits } from '../../src/smime/policy.js'
import { smtpLimits } from '../../src/smtp/limits.js'

const source = fileURLToPath(new URL('../../src', import.meta.url))

describe('settings and the rooms that obey them', () => {
  it('has no setting that nobody reads', () => {
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
    const wiring = files.filter(
      (file) => !file.includes('/') || file.startsWith('gateway/') || file === 'config/load.ts',
    )
    const text = wiring.map((file) => readFileSync(join(source, file), 'utf8')).join('\n')
    // A setting is read by its name, or with its whole section: `config.trust`, `...limits`.
    const read = (path: readonly string[]) =>
      new RegExp(`\\b${path.at(-1)}\\b`).test(text) ||
      new RegExp(`\\bconfig\\.${path[0]}\\b(?!\\.)|\\.\\.\\.${path[0]}\\b(?!\\.)`).test(text)
    expect(read(['nobodyReadsThis'])).toBe(false)
    expect(
      leaves()
        .map(({ path }) => path)
        .filter((path) => !read(path))
        .map((path) => path.join('.')),
    ).toEqual([])
  })

  it('calls limits by the names and gives the defaults of the SMTP listener', () => {
    const { limits } = settings.parse({})
    expect(smtpLimits).toMatchObject(limits)
  })

  it.each([
    ['https://records.clinic.example', true],
    ['https://records.clinic.example:8443', true],
    ['http://localhost:8080', true],
    ['http://[::1]:8080', true],
    ['http://records.clinic.example', false],
    ['http://localhost.clinic.example', false],
    ['https://Records.clinic.example', false],
    ['https://records.clinic.example:443', false],
    ['https://somebody@records.clinic.example', false],
    ['https://records.clinic.example/path', false],
    ['javascript://records.clinic.example', false],
  ])('takes an address of itself that links and tokens can be made of: %s, %s', (publicUrl, taken) => {
    expect(settings.safeParse({ http: { publicUrl } }).success).toBe(taken)
  })

  it('allows nothing on the wire that a room behind it refuses', () => {
    expect(limits.messageBytes.max).toBeLessThanOrEqual(smimeLimits.messageBytes)
    expect(limits.headerBytes.max).toBeLessThanOrEqual(mimeLimits.headerBytes)
  })
})
