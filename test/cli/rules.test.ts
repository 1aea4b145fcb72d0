import { describe, expect, it } from 'vitest'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { keyboard } from './world.js'

const leaf = makeLeaf(makeAuthority(), { keyType: 'p256', san: { dns: ['far.test'] } })
const files = {
  'leaf.pem': leaf.certificatePem,
  'both.txt': 'version = 3 # as all are\nand keyUsage has digitalSignature',
  'theirs.pol': '(X509.TBS.EXTENSION.KeyUsage & 32) > 0',
  'bad.pol': 'X509.TBS.Version = 3',
}

async function served() {
  const at = await keyboard(files)
  await at.run('domain', 'add', 'clinic.test')
  return (...argv: string[]) => at.run('rule', ...argv)
}
const added = ['add', '--domain', 'clinic.test'] as const

describe('rule', () => {
  it('adds a text, a file and a preset, lists and removes them', async () => {
    const run = await served()
    expect((await run(...added, '--use', 'trust', '--name', 'v3', 'version=3')).code).toBe(0)
    expect((await run(...added, '--use', 'public', '--name', 'file', '--file', 'both.txt')).code).toBe(0)
    expect((await run(...added, '--preset', 'single-use-keys')).code).toBe(0)
    expect(JSON.parse((await run('list', '--json')).out)).toMatchObject([
      { name: 'v3', use: 'trust', direction: 'both', rule: 'version = 3' },
      { name: 'file', use: 'public', direction: 'out', rule: 'version = 3 and keyUsage has digitalSignature' },
      { name: 'single-use-sign', use: 'private', direction: 'out' },
      { name: 'single-use-decrypt', use: 'private', direction: 'in' },
      { name: 'single-use-encrypt', use: 'public', direction: 'out' },
    ])
    expect((await run('remove', 'v3', '--domain', 'clinic.test')).out).toBe('Removed rule v3 of clinic.test.\n')
    expect((await run('remove', 'v3', '--domain', 'clinic.test')).code).toBe(1)
  })

  it('says where a rule cannot be read, and what else is wrong', async () => {
    const run = await served()
    const refused = await run(...added, '--use', 'trust', '--name', 'bad', 'version = 3 and colour = 3')
    expect([refused.code, refused.err]).toEqual([1, 'error: rule bad, line 1, column 17: no field colour\n'])
    expect((await run(...added, '--use', 'trust', 'version = 3')).code).toBe(2)
    expect((await run(...added)).code).toBe(2)
    expect((await run(...added, '--preset', 'direct-trust', 'version = 3')).code).toBe(2)
    expect((await run(...added, '--use', 'public', '--direction', 'in', '--name', 'a', 'version = 3')).err).toContain(
      'goes out',
    )
    expect((await run('list')).out).toBe('No rules.\n')
  })

  it('tries a rule on a certificate', async () => {
    const run = await served()
    expect((await run('test', 'version = 3', 'leaf.pem')).code).toBe(0)
    const failed = await run('test', 'version = 3 and version = 1', 'leaf.pem')
    expect([failed.code, failed.out]).toEqual([1, expect.stringContaining('does not hold: version = 1')])
    expect((await run('test', 'version', 'leaf.pem')).code).toBe(2)
  })

  it('shows fields and presets, and translates', async () => {
    const run = await served()
    expect((await run('fields')).out).toContain('subjectPublicKeyInfo.size')
    expect((await run('presets')).out).toContain('direct-trust')
    expect((await run('translate', 'theirs.pol')).out).toBe('keyUsage has keyEncipherment\n')
    expect((await run('translate', 'bad.pol')).err).toContain('line 1, column 1: X509.TBS.Version is no field')
  })
})

describe('domain set', () => {
  it('takes what is demanded of certificates and identities', async () => {
    const { run } = await keyboard()
    await run('domain', 'add', 'clinic.test', '--identity-proofing', 'ial2')
    await run('domain', 'set', 'clinic.test', '--required-policies', '1.2.3,1.2.4', '--require-email-protection', 'no')
    const set = await run('domain', 'set', 'clinic.test', '--require-published-revocation', 'yes', '--json')
    expect(JSON.parse(set.out)).toMatchObject({
      ...{ identityProofing: 'ial2', requiredPolicies: ['1.2.3', '1.2.4'] },
      ...{ requireEmailProtection: false, requirePublishedRevocation: true, rules: [] },
    })
    expect((await run('domain', 'set', 'clinic.test', '--required-policies', 'none')).code).toBe(0)
    expect((await run('domain', 'set', 'clinic.test', '--required-policies', 'x')).code).toBe(1)
  })
})
