import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { describeProblem, loadConfig } from '../../src/config/load.js'

type Tree = { readonly [name: string]: Tree } & readonly Tree[]

const at = (path: string) => new URL(`../../config/${path}`, import.meta.url)
const read = (path: string) => readFileSync(at(path), 'utf8')
const configuration = read('dovecot/dovecot.conf')
const dockerfile = read('dovecot/Dockerfile')
const compose = parse(read('compose.dovecot.yaml')) as Tree
const base = parse(read('compose.yaml')) as Tree

describe('the files of the Dovecot beside the gateway', () => {
  it('give the gateway settings that load, and that fit those of Dovecot', async () => {
    const name = String(compose['services']?.['gateway']?.['environment']?.['DIRECT_GATEWAY_CONFIG'])
    const outcome = await loadConfig({
      env: { DIRECT_GATEWAY_CONFIG: name },
      cwd: '/app',
      file: name,
      readFile: async () => read('dovecot/gateway.yaml'),
    })
    if (outcome.kind === 'problems') throw new Error(outcome.problems.map((p) => describeProblem(p)).join('\n'))
    const { edge } = outcome.config
    const { protocol, host, port } = edge.systems['dovecot'] ?? {}
    expect({ protocol, host }).toEqual({ protocol: 'lmtp', host: 'dovecot' })
    expect(compose['services']).toHaveProperty([String(host)])
    expect(configuration).toMatch(
      new RegExp(`inet_listener lmtp \\{\\s+address = 127\\.0\\.0\\.1\\s+port = ${port}\\s`),
    )
    expect(configuration).toContain(` ${edge.dovecot.usersFile}\n`)
  })

  it('put into the containers what the configuration names, and share the accounts alone', () => {
    const dovecot = compose['services']?.['dovecot'] as Tree
    const gateway = compose['services']?.['gateway'] as Tree
    const targets = dovecot['secrets']?.map((secret) => String(secret['target'])) ?? []
    for (const [, path = ''] of configuration.matchAll(/^ssl_\w+ = <(\S+)$/gm)) expect(targets).toContain(path)
    const volumes = (service: Tree) => (service['volumes'] ?? []).map((volume) => String(volume).split(':'))
    const shared = volumes(dovecot).filter(([name]) => volumes(gateway).some(([other]) => other === name))
    expect(shared).toEqual([['accounts', '/run/direct-gateway/dovecot', 'ro']])
    for (const [, path = ''] of volumes(dovecot)) expect(`${configuration}${dockerfile}`).toContain(path)
    for (const [source = ''] of volumes(gateway)) if (source.startsWith('./')) expect(existsSync(at(source))).toBe(true)
    const networks = (service: Tree) => (service['networks'] ?? []).map(String)
    expect(networks(gateway).filter((name) => networks(dovecot).includes(name))).toEqual(['handover'])
    expect(Object.keys(base['networks'] ?? {})).toContain('outside')
  })

  it('build an image of files that are there, with the users that Dovecot runs as', () => {
    for (const [, names = ''] of dockerfile.matchAll(/^COPY (?:--\S+ )?(.+) \S+$/gm))
      for (const name of names.split(' ')) expect(existsSync(at(`dovecot/${name}`))).toBe(true)
    expect(configuration).toContain('uid=vmail gid=vmail home=/srv/mail/')
    expect(dockerfile).toMatch(/useradd .*--home-dir \/srv\/mail .*vmail/)
    expect(read('dovecot/container.conf')).toContain('inet_listener lmtp')
  })
})
