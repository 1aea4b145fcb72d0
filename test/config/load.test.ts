import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { configurationManual, exampleFile, printConfig, schemaFile } from '../../src/config/document.js'
import { readDuration, writeDuration } from '../../src/config/duration.js'
import { leaves, variableOf } from '../../src/config/leaves.js'
import { describeProblem, type Loaded, loadConfig } from '../../src/config/load.js'
import { nearest } from '../../src/config/nearest.js'
import { settings } from '../../src/config/settings.js'

async function load(yaml: string | undefined, env: Record<string, string> = {}): Promise<Loaded> {
  return loadConfig({
    ...(yaml !== undefined && { file: '/etc/gateway/gateway.yaml' }),
    env,
    cwd: '/home/operator',
    readFile: async () => yaml ?? '',
  })
}

async function config(yaml?: string, env?: Record<string, string>) {
  const loaded = await load(yaml, env)
  if (loaded.kind === 'problems') throw new Error(loaded.problems.map((problem) => describeProblem(problem)).join('\n'))
  return loaded.config
}

async function problems(yaml?: string, env?: Record<string, string>): Promise<readonly string[]> {
  const loaded = await load(yaml, env)
  return loaded.kind === 'problems' ? loaded.problems.map((problem) => describeProblem(problem, 'gateway.yaml')) : []
}

describe('loading the configuration', () => {
  it('needs no file: every setting has its default', async () => {
    const { smtp, http, undecided, limits, outbound, dataDir } = await config()
    expect(smtp).toMatchObject({ port: 2525, idleSeconds: 60, tls: {} })
    expect(http.port).toBe(8080)
    expect(undecided).toEqual({ deadlineSeconds: 2700, retrySeconds: [10, 30, 60, 120, 300] })
    expect(limits.messageBytes).toBe(60 * 1024 * 1024)
    expect(outbound.routes).toEqual({})
    expect(dataDir).toBe('/home/operator/data')
  })

  it('takes an empty file for no settings', async () => {
    expect(await config('')).toMatchObject({ hostname: 'localhost' })
    expect(await config('# nothing\n')).toMatchObject({ hostname: 'localhost' })
  })

  it('reads times as text or as numbers in the unit of their name', async () => {
    const read = await config(
      'undecided: {deadlineSeconds: 1h, retrySeconds: [10s, 60, 1.5m]}\ndns: {timeoutMs: 2s}\nfetch: {timeoutMs: 1500}',
    )
    expect(read.undecided).toEqual({ deadlineSeconds: 3600, retrySeconds: [10, 60, 90] })
    expect(read.dns.timeoutMs).toBe(2000)
    expect(read.fetch.timeoutMs).toBe(1500)
  })

  it('reads routes as host:port or as a map', async () => {
    const { outbound } = await config(
      [
        'outbound:',
        '  routes:',
        '    a.example: 192.0.2.1:2525',
        '    b.example: "[2001:db8::1]:25"',
        '    c.example: {host: mx.c.example, tls: required}',
        '    d.example: mx.d.example',
        '  defaultRoute: relay.example:587',
      ].join('\n'),
    )
    expect(outbound.routes).toEqual({
      'a.example': { host: '192.0.2.1', port: 2525 },
      'b.example': { host: '2001:db8::1', port: 25 },
      'c.example': { host: 'mx.c.example', tls: 'required' },
      'd.example': { host: 'mx.d.example' },
    })
    expect(outbound.defaultRoute).toEqual({ host: 'relay.example', port: 587 })
  })

  it('lets the environment win over the file', async () => {
    const read = await config('smtp: {port: 1}\nlog: {level: warn}', {
      DIRECT_GATEWAY_SMTP_PORT: '0',
      DIRECT_GATEWAY_HTTP_BEHIND_TLS_PROXY: 'true',
      DIRECT_GATEWAY_DNS_SERVERS: '192.0.2.53, [2001:db8::53]:5353',
      DIRECT_GATEWAY_UNDECIDED_RETRY_SECONDS: '5,10s',
      DIRECT_GATEWAY_UNDECIDED_DEADLINE_SECONDS: '45m',
      DIRECT_GATEWAY_HOSTNAME: 'mail.example.org',
      PATH: '/bin',
    })
    expect(read.smtp.port).toBe(0)
    expect(read.log.level).toBe('warn')
    expect(read.http.behindTlsProxy).toBe(true)
    expect(read.dns.servers).toEqual(['192.0.2.53', '[2001:db8::53]:5353'])
    expect(read.undecided).toEqual({ deadlineSeconds: 2700, retrySeconds: [5, 10] })
    expect(read.hostname).toBe('mail.example.org')
  })

  it('counts every file name from the folder of the file, those in maps as well', async () => {
    const read = await config(
      'pkcs11: { module: lib/token.so, pinFile: pin }\nedge: { systems: { ehr: { host: ehr.test, caFile: tls/ca.pem } } }',
    )
    expect(read.pkcs11).toMatchObject({ module: '/etc/gateway/lib/token.so', pinFile: `/etc/gateway/pin` })
    expect(read.edge.systems['ehr']).toMatchObject({ host: 'ehr.test', caFile: '/etc/gateway/tls/ca.pem' })
  })

  it('gives every scalar setting a variable that works', async () => {
    for (const leaf of leaves().filter(({ variable, node }) => variable && node.default !== undefined)) {
      const value = Array.isArray(leaf.node.default) ? leaf.node.default.join(',') : String(leaf.node.default)
      const loaded = await load(undefined, { [leaf.variable ?? '']: value })
      expect(loaded.kind, `${leaf.variable}=${value}`).toBe('loaded')
    }
    const variables = leaves().flatMap(({ variable }) => variable ?? [])
    expect(new Set(variables).size).toBe(variables.length)
    expect(variableOf(['smtp', 'tls', 'keyFile'])).toBe('DIRECT_GATEWAY_SMTP_TLS_KEY_FILE')
  })

  it('counts relative paths of the file from its folder, those of the environment from the working folder', async () => {
    const read = await config(
      'dataDir: ./state\nmasterKey: {file: /run/secrets/master}\nsmtp: {tls: {keyFile: k.pem, certificateFile: c.pem}}',
      {
        DIRECT_GATEWAY_SMTP_TLS_KEY_FILE: 'mine.pem',
      },
    )
    expect(read.dataDir).toBe('/etc/gateway/state')
    expect(read.masterKey.file).toBe('/run/secrets/master')
    expect(read.smtp.tls).toEqual({ keyFile: '/home/operator/mine.pem', certificateFile: '/etc/gateway/c.pem' })
  })

  it('keeps a master key of the environment apart from what can be printed', async () => {
    const loaded = await load(undefined, { DIRECT_GATEWAY_MASTER_KEY: 'AAAAcanaryAAAA\n' })
    expect(loaded).toMatchObject({ kind: 'loaded', masterKey: 'AAAAcanaryAAAA' })
    if (loaded.kind === 'loaded') expect(printConfig(loaded.config)).not.toContain('canary')
  })
})

describe('problems of the configuration', () => {
  const cases: readonly [string, string, string][] = [
    [
      'an unknown setting, with the one that was meant',
      'smtp:\n  prot: 25',
      'gateway.yaml:2 smtp.prot: no such setting; did you mean smtp.port?',
    ],
    ['an unknown section', 'stmp: {}', 'gateway.yaml:1 stmp: no such setting; did you mean smtp?'],
    ['a port out of range', 'smtp: {port: 70000}', 'gateway.yaml:1 smtp.port: expected number to be <=65535'],
    [
      'a word that is no choice',
      'outbound: {tls: maybe}',
      'gateway.yaml:1 outbound.tls: Invalid option: expected one of "required"|"opportunistic"|"off"',
    ],
    [
      'a time without a unit',
      'undecided: {deadlineSeconds: soon}',
      'gateway.yaml:1 undecided.deadlineSeconds: expected a time such as 10s, 45m or 4d, or a number of seconds',
    ],
    [
      'half a certificate',
      'smtp: {tls: {keyFile: a}}',
      'gateway.yaml:1 smtp.tls: needs both certificateFile and keyFile, or neither',
    ],
    [
      'a route without a host',
      'outbound: {routes: {a.example: ":25"}}',
      'gateway.yaml:1 outbound.routes.a.example: expected host:port, or host, port and tls',
    ],
    ['a list instead of settings', '- a', 'gateway.yaml the file must hold settings, one `name: value` a line'],
    ['a scalar where a section stands', 'smtp: 25', 'gateway.yaml:1 smtp: expected object, received number'],
  ]
  it.each(cases)('names %s', async (_, yaml, line) => {
    expect(await problems(yaml)).toEqual([line])
  })

  it('names every problem at once', async () => {
    expect(await problems('a: 1\nb: 2\nsmtp: {port: x}')).toHaveLength(3)
  })

  it('names the line of broken YAML and of a key written twice', async () => {
    expect(await problems('smtp:\n  port: [')).toEqual([expect.stringMatching(/^gateway\.yaml:\d /)])
    expect(await problems('smtp: {}\nsmtp: {}')).toEqual([
      expect.stringContaining('gateway.yaml:2 Map keys must be unique'),
    ])
  })

  it('names the variable, not the file, where the environment is wrong', async () => {
    expect(await problems('smtp: {port: 25}', { DIRECT_GATEWAY_SMTP_PORT: 'x' })).toEqual([
      'DIRECT_GATEWAY_SMTP_PORT smtp.port: expected number, received string',
    ])
    expect(await problems('', { DIRECT_GATEWAY_SMTP_PROT: '25' })).toEqual([
      'DIRECT_GATEWAY_SMTP_PROT no setting has this variable; did you mean DIRECT_GATEWAY_SMTP_PORT?',
    ])
    expect(await problems('smtp: 5', { DIRECT_GATEWAY_SMTP_PORT: '25' })).toHaveLength(1)
  })

  it('does not stumble over what Kubernetes puts into every environment', async () => {
    const env = {
      DIRECT_GATEWAY_SERVICE_HOST: '10.0.0.1',
      DIRECT_GATEWAY_PORT: 'tcp://10.0.0.1:25',
      DIRECT_GATEWAY_PORT_25_TCP_ADDR: '10.0.0.1',
    }
    expect(await problems(undefined, env)).toEqual([])
  })

  it('says that a file cannot be read instead of throwing', async () => {
    const loaded = await loadConfig({
      file: 'nowhere.yaml',
      env: {},
      cwd: '/',
      readFile: () => Promise.reject(new Error('ENOENT')),
    })
    expect(loaded).toEqual({ kind: 'problems', problems: [{ path: '', message: 'cannot be read: ENOENT' }] })
  })

  it('never throws, whatever the file and the environment hold', async () => {
    const names = leaves().map(({ variable }) => variable ?? 'DIRECT_GATEWAY_X')
    const scalar = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.constantFrom('null', '[]', '{}', '*a', '&a [*a]', '!!binary x', '1e999'),
    )
    const line = fc.tuple(
      fc.constantFrom(...leaves().map(({ path }) => path.join(': {')), '__proto__', 'constructor'),
      scalar,
    )
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(line).map((all) => all.map(([path, value]) => `${path}: ${value}`).join('\n')),
        ),
        fc.dictionary(fc.constantFrom(...names), fc.string()),
        async (yaml, env) => {
          const loaded = await load(yaml, env)
          if (loaded.kind === 'problems') for (const problem of loaded.problems) describeProblem(problem)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('refuses aliases that would blow up', async () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]',
      'c: &c [*b,*b,*b,*b,*b,*b]',
      'd: [*c,*c,*c,*c]',
    ].join('\n')
    expect(await problems(bomb)).toEqual([expect.stringContaining('Excessive alias count')])
  })
})

describe('what is generated from the schema', () => {
  it('gives an example file whose settings, uncommented, are the defaults', async () => {
    const withoutDefault = leaves().flatMap(({ path, node }) => (node.default === undefined ? [path.at(-1)] : []))
    const shown = new RegExp(`^#? +(?:${withoutDefault.join('|')}):|routes:`)
    const uncommented = exampleFile()
      .split('\n')
      .filter((line) => !line.startsWith('##') && !line.includes('$schema') && !/^# (Every|Times)/.test(line))
      .filter((line) => !shown.test(line))
      .map((line) => line.replace(/^# /, ''))
      .join('\n')
      .replaceAll(/^ +tls:$/gm, '')
    expect(Object.keys(parse(uncommented))).toContain('smtp')
    expect(await config(uncommented)).toEqual(await config(''))
  })

  it('gives an example file that loads as it is, and with every setting switched on', async () => {
    expect(await config(exampleFile())).toEqual(await config(''))
    const everything = exampleFile()
      .replaceAll(/^##.*\n/gm, '')
      .replaceAll(/^# (?!Every|Times|yaml-)/gm, '')
    expect((await config(everything)).smtp.tls.keyFile).toBe('/etc/gateway/tls/smtp-key.pem')
  })

  it('documents every setting with its reason', () => {
    const manual = configurationManual()
    for (const { path, why } of leaves()) {
      expect(why.length, path.join('.')).toBeGreaterThan(4)
      expect(manual).toContain(`| \`${path.join('.')}\` |`)
    }
    expect(JSON.parse(schemaFile()).properties.smtp.additionalProperties).toBe(false)
  })

  it('prints a configuration that loads again as the same', async () => {
    const first = await config('outbound: {routes: {a.example: "192.0.2.1:25"}}\nundecided: {deadlineSeconds: 90s}')
    expect(await config(printConfig(first))).toEqual(first)
  })
})

describe('times and near words', () => {
  it('writes what it reads', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => readDuration(writeDuration(ms)) === ms))
    expect(readDuration('45m')).toBe(2_700_000)
    expect(readDuration('0.5s')).toBe(500)
    expect(readDuration('-1s')).toBeUndefined()
    expect(readDuration('1 week')).toBeUndefined()
  })

  it('suggests the nearest word, and none for a far one', () => {
    expect(nearest('prot', ['port', 'host'])).toBe('port')
    expect(nearest('completelyDifferent', ['port', 'host'])).toBeUndefined()
  })
})

describe('a configuration that was loaded', () => {
  it('is one that may be loaded, so that a changed copy of it can be checked', async () => {
    const loaded = await config('outbound: { routes: { a.example: "h.example:26" }, defaultRoute: "[::1]:25" }')
    expect(settings.parse(loaded)).toEqual(loaded)
    const { error } = settings.safeParse({ ...loaded, store: { ...loaded.store, kind: 'postgres' } })
    expect(error?.issues.map(({ message }) => message)).toEqual(['needs postgres.url for kind postgres'])
  })
})
