import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { leaves } from '../../src/config/leaves.js'
import { describeProblem, loadConfig } from '../../src/config/load.js'
import type { Config } from '../../src/config/settings.js'

type Tree = { readonly [name: string]: Tree } & readonly Tree[]

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const packages = JSON.parse(read('package.json')) as { version: string; scripts: Record<string, string> }
const image = `direct-gateway:${packages.version}`
const dockerfile = read('Dockerfile')

/** What the image itself sets: it wins over a file, as every variable does. */
const ofImage = Object.fromEntries(
  [...dockerfile.matchAll(/\b(DIRECT_GATEWAY_[A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
)

/** What the gateway in the image makes of variables and a file; throws with what is wrong with them. */
async function loaded(env: Record<string, string>, file = ''): Promise<Config> {
  const name = env['DIRECT_GATEWAY_CONFIG']
  const outcome = await loadConfig({
    env: { ...ofImage, ...env },
    cwd: '/app',
    readFile: async () => file,
    ...(name && { file: name }),
  })
  if (outcome.kind === 'problems') throw new Error(outcome.problems.map((p) => describeProblem(p)).join('\n'))
  return outcome.config
}

describe('Dockerfile', () => {
  it('names settings that exist, and the ports that are their defaults', () => {
    const variables = new Set(leaves().map(({ variable }) => variable))
    for (const [name] of dockerfile.matchAll(/DIRECT_GATEWAY_[A-Z_]+/g)) expect(variables).toContain(name)
    const port = (path: string) => leaves().find((leaf) => leaf.path.join('.') === path)?.node.default
    expect(dockerfile).toContain(`EXPOSE ${port('smtp.port')} ${port('http.port')}\n`)
    expect(dockerfile).toContain(`ARG VERSION=${packages.version}\n`)
  })

  it('ends as a user with a number, and takes its packages from the lockfile only', () => {
    expect(dockerfile.match(/^USER .*/gm)).toEqual(['USER 1000:1000'])
    expect(dockerfile).not.toMatch(/npm (i|install)\b/)
    expect(dockerfile.match(/npm ci .*--ignore-scripts/g)).toHaveLength(2)
  })
})

describe('compose.yaml', () => {
  const compose = parse(read('config/compose.yaml')) as Tree
  const gateway = compose['services']?.['gateway'] as Tree
  const database = compose['services']?.['database'] as Tree
  const environment = Object.fromEntries(
    Object.entries(gateway['environment'] ?? {}).map(([name, value]) => [
      name,
      String(value).replace(/^\$\{.*\}$/, 'direct.example.org'),
    ]),
  )

  it('gives the gateway settings that load', async () => {
    const config = await loaded(environment)
    expect(config.store.kind).toBe('postgres')
    expect(gateway['ports']).toEqual([`25:${config.smtp.port}`, `127.0.0.1:${config.http.port}:${config.http.port}`])
    expect(Number.parseInt(String(gateway['stop_grace_period']), 10)).toBeGreaterThan(config.shutdown.graceSeconds)
    expect(String(gateway['image'])).toContain(image)
  })

  it('names a secret for every file that is read from there', () => {
    const files = Object.values(environment).flatMap((value) => /^\/run\/secrets\/(.*)/.exec(value)?.[1] ?? [])
    expect(files.sort()).toEqual([...(gateway['secrets'] as unknown as string[])].sort())
    expect(Object.keys(compose['secrets'] ?? {})).toEqual(expect.arrayContaining(files))
  })

  it('holds no password, and takes from both containers what they need not have', () => {
    expect(Object.keys(database['environment'] ?? {})).not.toContain('POSTGRES_PASSWORD')
    for (const service of [gateway, database])
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(gateway['cap_add']).toBeUndefined()
  })
})

describe('kubernetes.yaml', () => {
  const documents = parseAllDocuments(read('config/kubernetes.yaml'))
  const objects = documents.map((document) => document.toJS() as Tree)
  const one = (kind: string, name = 'direct-gateway') => {
    const found = objects.find(
      (object) => String(object['kind']) === kind && String(object['metadata']?.['name']) === name,
    )
    if (!found) throw new Error(`no ${kind} ${name}`)
    return found
  }
  const pod = one('Deployment')['spec']?.['template']?.['spec'] as Tree
  const container = pod['containers']?.[0] as Tree
  const variables = (container['env'] as unknown as { name: string; value?: string }[]) ?? []
  const settings = () =>
    loaded(
      Object.fromEntries(variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))),
      String(one('ConfigMap')['data']?.['gateway.yaml']),
    )

  it('is YAML throughout, and names neither namespace nor secret values', () => {
    expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([])
    expect(
      objects.filter((object) => object['metadata']?.['namespace'] ?? String(object['kind']) === 'Secret'),
    ).toEqual([])
  })

  it('gives the gateway a file that loads, and no variable over it but its folder and the master key', async () => {
    const config = await settings()
    expect(variables.map(({ name }) => name)).toEqual([
      'DIRECT_GATEWAY_CONFIG',
      'DIRECT_GATEWAY_DATA_DIR',
      'DIRECT_GATEWAY_MASTER_KEY',
    ])
    expect(container['ports']).toEqual([
      { name: 'smtp', containerPort: config.smtp.port },
      { name: 'http', containerPort: config.http.port },
    ])
    // The kubelet asks from another address than the pod's loopback.
    expect(config.http).toMatchObject({ host: '0.0.0.0', behindTlsProxy: true })
    expect(String(container['image'])).toBe(image)
  })

  it('mounts what the settings read, and a place for what they write', async () => {
    const config = await settings()
    const mounts = container['volumeMounts'] as unknown as { mountPath: string }[]
    const files = [
      config.dataDir,
      config.store.postgres.passwordFile,
      config.store.postgres.caFile,
      ...Object.values(config.smtp.tls),
    ]
    for (const file of files)
      expect(
        mounts.some(({ mountPath }) => file?.startsWith(`${mountPath}/`)),
        file,
      ).toBe(true)
  })

  it('waits for the grace, and asks what the gateway answers', async () => {
    const config = await settings()
    const pauseMs =
      Number(/(\d+)_000\)/.exec(String(container['lifecycle']?.['preStop']?.['exec']?.['command']?.[2]))?.[1]) * 1000
    expect(Number(pod['terminationGracePeriodSeconds'])).toBeGreaterThan(pauseMs / 1000 + config.shutdown.graceSeconds)
    const openapi = JSON.parse(read('docs/api/openapi.json')) as { paths: Record<string, unknown> }
    for (const [probe, path] of [
      ['startupProbe', '/livez'],
      ['livenessProbe', '/livez'],
      ['readinessProbe', '/readyz'],
    ] as const) {
      expect(container[probe]?.['httpGet']).toEqual({ path, port: 'http' })
      expect(Object.keys(openapi.paths)).toContain(path)
    }
  })

  it('never has fewer gateways than asked for while it changes them, and no rights in them', () => {
    expect(one('Deployment')['spec']).toMatchObject({ replicas: 2, strategy: { rollingUpdate: { maxUnavailable: 0 } } })
    expect(pod).toMatchObject({
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    })
    expect(container['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })

  it('selects by one set of labels, and shows the peers as they are', () => {
    const labels = one('Deployment')['spec']?.['template']?.['metadata']?.['labels']
    for (const service of ['direct-gateway-smtp', 'direct-gateway-http'])
      expect(one('Service', service)['spec']?.['selector']).toEqual(labels)
    expect(one('PodDisruptionBudget')['spec']?.['selector']?.['matchLabels']).toEqual(labels)
    expect(one('NetworkPolicy')['spec']?.['podSelector']?.['matchLabels']).toEqual(labels)
    expect(one('Service', 'direct-gateway-smtp')['spec']).toMatchObject({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
    })
  })
})
