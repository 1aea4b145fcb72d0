import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { p7b, p7m } from '../fixtures/bundles.js'
import { makeAuthority, makeLeaf, pem } from '../fixtures/pki.js'
import { keyboard } from './world.js'

const [one, two] = [makeAuthority({ name: 'One' }), makeAuthority({ name: 'Two\u001b[2J' })]
const community = makeAuthority({ name: 'Community' })
const signer = makeLeaf(community, { keyType: 'p256' })
const domain = 'clinic.test'
const files = {
  'open.p7b': p7b([one, two], '<TrustBundle><Profile>Pilots</Profile></TrustBundle>'),
  'signed.p7m': p7m(p7b([one]), signer),
  'forged.p7m': p7m(p7b([one]), makeLeaf(makeAuthority(), { keyType: 'p256' })),
  'next.pem': Buffer.from(pem('PKCS7', p7b([two]))),
  'signer.pem': signer.certificatePem,
  'page.html': '<html>sign in</html>',
}

async function served() {
  const at = await keyboard(files)
  expect((await at.run('domain', 'add', domain)).code).toBe(0)
  const run = async (...argv: string[]) => {
    const ran = await at.run('bundle', ...argv)
    return ran
  }
  const trusted = async () => {
    const anchors = await at.gateway.directory.anchors.of(`a@${domain}` as DirectAddress, 'in')
    return 'kind' in anchors ? -1 : anchors.length
  }
  return { ...at, run, trusted }
}

describe('bundle', () => {
  it('adds a file for a domain, shows it, and takes its trust away again', async () => {
    const { run, trusted } = await served()
    const added = await run('add', 'pilots', '--file', 'open.p7b', '--for', domain, '--direction', 'in')
    expect([added.code, added.err]).toEqual([0, ''])
    expect(await trusted()).toBe(2)
    const list = JSON.parse((await run('list', '--json')).out)
    expect(list).toMatchObject([{ name: 'pilots', from: 'file', anchors: 2, uses: [`${domain}:in`] }])
    const shown = await run('show', 'pilots')
    expect(shown.out).toContain('Pilots')
    expect(shown.out).toContain(one.fingerprint)
    expect(shown.out).not.toContain('\u001b')
    const whole = JSON.parse((await run('show', 'pilots', '--json')).out)
    expect(whole).toMatchObject({
      name: 'pilots',
      copy: { metadata: { profile: 'Pilots' }, certificates: 2 },
      status: { failures: 0 },
      anchors: [{ warnings: [] }, { warnings: [] }],
    })
    expect(whole.copy.loadedAt).toMatch(/^\d{4}-.*Z$/)
    expect((await run('detach', 'pilots', '--for', domain)).out).toBe(`${domain} trusts pilots no more.\n`)
    expect(await trusted()).toBe(0)
    expect((await run('attach', 'pilots', '--for', domain)).code).toBe(0)
    expect(await trusted()).toBe(2)
    expect((await run('change', 'pilots', '--file', 'next.pem')).code).toBe(0)
    expect(await trusted()).toBe(1)
    expect((await run('remove', 'pilots', '--json')).out).toBe('{"removed":"pilots"}\n')
    expect([await trusted(), (await run('list')).out]).toEqual([0, 'No trust bundles.\n'])
  })

  it('takes what the signer signed, and says why it takes nothing else', async () => {
    const { run } = await served()
    const add = (name: string, ...more: string[]) => run('add', name, ...more)
    expect((await add('signed', '--file', 'signed.p7m', '--signer', 'signer.pem')).code).toBe(0)
    const refused = async (...more: string[]) => {
      const { code, err, out } = await add('bad', ...more)
      expect([code, out]).toEqual([1, ''])
      return err
    }
    expect(await refused('--file', 'open.p7b', '--signer', 'signer.pem')).toContain('is not signed')
    expect(await refused('--file', 'forged.p7m', '--signer', 'signer.pem')).toContain('not signed by whom it should be')
    expect(await refused('--file', 'page.html')).toContain('What came is no trust bundle.')
    // The URL of an operator may be of his own network, once the configuration says that fetches may go there.
    expect(await refused('--url', 'http://127.0.0.1:9/bundle.p7b')).toContain('could not be fetched')
    expect((await add('loose', '--file', 'signed.p7m')).err).toContain('name its signer with --signer')
    expect((await add('Bad Name', '--file', 'open.p7b')).err).toContain('The name of a bundle')
    expect((await add('later', '--url', 'https://community.test/b.p7b', '--later', '--refresh', '6h')).code).toBe(0)
    expect((await run('show', 'later')).out).toContain('6h')
    expect((await run('refresh', 'signed')).err).toContain('http')
    expect((await run('refresh', 'nobody')).code).toBe(1)
    expect((await run('show', 'nobody')).code).toBe(1)
  })

  it('answers 2 for what it does not understand', async () => {
    const { run } = await served()
    expect((await run('add', 'pilots')).code).toBe(2)
    expect((await run('add', 'pilots', '--url', 'https://a.test/b', '--file', 'open.p7b')).code).toBe(2)
    expect((await run('add', 'pilots', '--file', 'open.p7b', '--refresh', 'often')).code).toBe(2)
    expect((await run('attach', 'pilots', '--for', domain, '--direction', 'up')).code).toBe(2)
  })
})
