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

  it('allows nothing on the wire that a room behind it refuses', () => {
    expect(limits.messageBytes.max).toBeLessThanOrEqual(smimeLimits.messageBytes)
    expect(limits.headerBytes.max).toBeLessThanOrEqual(mimeLimits.headerBytes)
  })
})
