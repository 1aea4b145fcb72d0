import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import process from 'node:process'
import { audit } from '../src/audit/audit.js'
import { openPackages } from '../src/connect/package/packages.js'
import { openUploads } from '../src/connect/package/uploads.js'
import type { KindRules, RequestKind } from '../src/connect/request.js'
import { openRequests } from '../src/connect/requests.js'
import { readLink } from '../src/connect/shl/link.js'
import { openLinks } from '../src/connect/shl/links.js'
import { openKeyring } from '../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { openSlowHash } from '../src/keyring/slow-hash.js'
import { openVault } from '../src/keyring/vault.js'
import type { Blobs } from '../src/ports/blobs.js'
import { openLevelStore } from '../src/store/level/level.js'

/**
 * What pickup codes cost, over LevelDB with every commit synced: creating requests, opening a code, and answering rightly
 * and wrongly with Argon2id as it is configured by default; then answers at once. Then packages, which are opened with every
 * answer, and manifests of SMART Health Links with and without a passcode. The folder is made below the working
 * directory: a temporary one may be memory.
 * Run: npm run bench -- connect [requests]
 */

const count = Number(process.argv[2] ?? 40)
const clock = { now: () => Date.now() }
const random = { bytes: (size: number) => randomBytes(size) }
const master = readMasterKey(createMasterKey(random))
if (master.kind !== 'master-key') throw new Error(master.detail)

/** Nothing here is large enough for a blob. */
const noBlobs: Blobs = {
  put: async () => {
    throw new Error('A blob')
  },
  get: async () => undefined,
  del: async () => undefined,
  list: async function* () {},
} as never

const folder = await mkdtemp('bench-connect-')
const store = await openLevelStore(folder, clock)
try {
  const vault = openVault({ store, keyring: openKeyring({ current: master.key }, random), random })
  const rules: { [kind in RequestKind]?: KindRules } = {}
  const slowHash = openSlowHash()
  const common = { store, vault, clock, random, audit, slowHash, indexKey: random.bytes(32), blobs: noBlobs }
  const requests = openRequests(common, { rules })
  const from = (i: number) => ({ network: `n${i}`, holder: 'session:1', by: 'person:1' })
  const codes: string[] = []

  await timed('create, one after the other', count, async (i) => {
    const asked = { friendlyName: 'Anna', question: 'Which bird?', answer: 'Parakeet', externalId: `MRN ${i}` }
    const made = await requests.create({ ...asked, kind: 'connect', owner: 'clinic' })
    if (made.kind !== 'created') throw new Error(made.problem)
    await store.commit(made.parts)
    codes.push(made.code)
  })
  const code = (i: number) => codes[i % codes.length] ?? ''
  await timed('open a code', count * 20, async (i) => void (await requests.open(code(i), from(i))))
  await timed('right answer', count, async (i) => void (await requests.answer(code(i), 'parakeet', from(i))))
  await timed('wrong answer', count, async (i) => void (await requests.answer(code(i), 'wrong bird', from(i))))
  await timed('code that is not there', 20, async (i) => void (await requests.answer('', 'parakeet', from(i))))
  const startedAt = performance.now()
  await Promise.all(codes.map((code, i) => requests.answer(code, 'parakeet', from(i))))
  console.log(
    `${codes.length} right answers at once: ${((codes.length / (performance.now() - startedAt)) * 1000).toFixed(0)}/s`,
  )

  const packages = openPackages({ ...common, requests, uploads: openUploads(common) })
  rules.package = packages.rules
  const left: string[] = []
  await timed('package of one item', count, async (i) => {
    const content = { kind: 'open', answer: 'Parakeet', items: [{ n: i }], files: [] } as const
    const words = { friendlyName: 'Anna', question: 'Which bird?', externalId: `MRN ${i}` }
    const made = await packages.create('clinic', { ...words, content }, 'bench')
    if (made.kind !== 'created') throw new Error(made.kind)
    left.push(made.code)
  })
  await timed('right answer to a package', count, async (i) => {
    const right = await requests.answer(left[i] ?? '', 'parakeet', from(i))
    if (right.kind !== 'right') throw new Error(right.kind)
  })

  const links = openLinks({ ...common, base: 'https://gw.example' })
  const bytes = Buffer.from(JSON.stringify({ resourceType: 'Bundle', text: 'x'.repeat(50_000) }))
  const by = { by: 'bench', avenue: 'page' } as const
  for (const passcode of [undefined, 'tulips']) {
    const files = [{ contentType: 'application/fhir+json', bytes } as const]
    const made = await links.create('record', { files, ...(passcode !== undefined && { passcode }) }, by)
    if (made.kind !== 'created') throw new Error(made.problem)
    await store.commit(made.parts)
    const read = readLink(made.uri)
    const secret = read.kind === 'link' ? read.link.url.slice('https://gw.example/shl/'.length) : ''
    await timed(`manifest ${passcode === undefined ? 'without' : 'with'} a passcode`, count, async () => {
      const given = await links.manifest(secret, { recipient: 'x', ...(passcode !== undefined && { passcode }) })
      if (given.kind !== 'manifest') throw new Error(given.kind)
    })
  }
} finally {
  await store.close()
  await rm(folder, { recursive: true, force: true })
}

async function timed(name: string, rounds: number, work: (i: number) => Promise<void>): Promise<void> {
  const times: number[] = []
  for (let i = 0; i < rounds; i++) {
    const startedAt = performance.now()
    await work(i)
    times.push(performance.now() - startedAt)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const perSecond = (rounds / times.reduce((sum, one) => sum + one, 0)) * 1000
  console.log(`${name}: median ${median.toFixed(2)} ms, ${perSecond.toFixed(0)}/s`)
}
