import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { fastify } from 'fastify'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { audit } from '../src/audit/audit.js'
import { openActivity } from '../src/consent/activity.js'
import { openApps } from '../src/consent/apps.js'
import { openConsents } from '../src/consent/consents.js'
import { openPseudonyms } from '../src/consent/pseudonyms.js'
import { openKeyring } from '../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { openVault } from '../src/keyring/vault.js'
import { openOauth } from '../src/oauth/oauth.js'
import { openLevelStore } from '../src/store/level/level.js'

/**
 * Tokens a second over LevelDB with fsync, one request after another and sixteen at a time: issued to a backend that signs
 * an assertion for each (its own signing left out), introspected, and asked about as the API does for every request.
 * The folder is made below the working directory: a temporary one may be memory.
 * Run: npm run bench -- oauth [requests]
 */

const requests = Number(process.argv[2] ?? 600)
const issuer = 'http://localhost:8080'
const random = { bytes: (size: number) => randomBytes(size) }
const clock = { now: () => Date.now() }
const master = readMasterKey(createMasterKey(random))
if (master.kind !== 'master-key') throw new Error(master.detail)

const folder = await mkdtemp(join(process.cwd(), 'scratch', 'bench-oauth-'))
try {
  const store = await openLevelStore(join(folder, 'store'), clock)
  const vault = openVault({ store, keyring: openKeyring({ current: master.key }, random), random })
  const room = { store, vault, clock, random, audit }
  const people = {
    person: async () => undefined,
    sessions: { current: async () => undefined, isLive: async () => true, end: async () => undefined },
    records: {
      create: async () => ({ kind: 'too-many' as const }),
      get: async () => undefined,
      of: async () => [],
      membership: async () => undefined,
      holders: async () => [],
    },
  }
  const apps = openApps(room)
  const pseudonyms = openPseudonyms(randomBytes(32))
  const consents = openConsents({ ...room, activity: openActivity(room), people, pseudonyms })
  const fetch = async () => ({ kind: 'failed' as const, detail: 'no network' })
  const oauth = await openOauth({ ...room, apps, consents, people, fetch, log: { error: console.error } }, { issuer })
  const server = fastify()
  await server.register(oauth.plugin)

  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k', use: 'sig' }
  const made = await apps.register({ kind: 'clinic', name: 'Bench', jwks: { keys: [jwk] }, may: ['connect'] }, 'bench')
  if (made.kind !== 'registered') throw new Error(JSON.stringify(made))
  const { id } = made.app

  const assertion = async () => ({
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await new SignJWT({ jti: randomBytes(16).toString('hex') })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer(id)
      .setSubject(id)
      .setAudience(`${issuer}/oauth/token`)
      .setExpirationTime('4m')
      .sign(privateKey),
  })
  const post = async (url: string, form: Record<string, string>) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await server.inject({ method: 'POST', url, headers, payload: new URLSearchParams(form).toString() })
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
    return answer.json() as { access_token: string; active: boolean }
  }

  for (const atOnce of [1, 16]) {
    const forms = await Promise.all(Array.from({ length: requests * 2 }, assertion))
    const grant = { grant_type: 'client_credentials', scope: 'connect' }
    const tokens: string[] = []
    await timed('client_credentials issued', atOnce, requests, async () => {
      tokens.push((await post('/oauth/token', { ...grant, ...forms.pop() })).access_token)
    })
    let at = 0
    const next = () => tokens[at++ % tokens.length] ?? ''
    await timed('introspected', atOnce, requests, async () => {
      if (!(await post('/oauth/introspect', { token: next(), ...forms.pop() })).active) throw new Error('inactive')
    })
    await timed('asked about by the API', atOnce, requests * 10, async () => {
      const presented = { scheme: 'Bearer' as const, method: 'GET', path: '/' }
      if (!(await oauth.authenticate(next(), presented))) throw new Error('unknown')
    })
  }
  await server.close()
  await store.close()
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function timed(name: string, atOnce: number, count: number, one: () => Promise<void>): Promise<void> {
  const began = performance.now()
  let left = count
  const worker = async () => {
    while (left-- > 0) await one()
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  const seconds = (performance.now() - began) / 1000
  console.log(`${name}, ${atOnce} at a time: ${Math.round(count / seconds)}/s`)
}
