import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Look } from '../finding.js'
import type { Client } from '../world/client.js'
import { atMost } from '../world/openssl.js'
import { notes } from './notes.js'
import { appToken } from './regulatory-app.js'
import { codeOf, mailbox, plainOf, type RegulatoryWorld, signedIn } from './regulatory-world.js'

/** 45 CFR 170.315(d)(1): nobody is two people, nobody comes in unknown, and nobody does what he is not there for. */
export async function accessCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  await everyRoute(world, heard)
  await roles(world, heard)
  await nobodyTwice(world, heard)
  return heard.look()
}

type Notes = ReturnType<typeof notes>

interface Operation {
  readonly method: string
  readonly path: string
  readonly scope: string
}

/** Every route of the description of the API that is not for everybody. */
function operations(): readonly Operation[] {
  const file = fileURLToPath(new URL('../../../docs/api/openapi.json', import.meta.url))
  const { paths } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly 'x-scope'?: string }>>>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { 'x-scope': scope }]) =>
      scope === undefined ? [] : [{ method: method.toUpperCase(), path: path.replace(/\{[^}]+\}/g, 'x'), scope }],
    ),
  )
}

/** Nobody: 401. Somebody whose token is for other things: 403. Both before anything else is read. */
async function everyRoute(world: RegulatoryWorld, { wrong, seen }: Notes): Promise<void> {
  const all = operations()
  const several = atMost(8)
  const clients = Array.from({ length: 8 }, () => world.fresh())
  const askedBy = async (at: number, { method, path }: Operation, token?: string) => {
    for (;;) {
      const client = clients[at % clients.length] as Client
      const answer = await client.ask(method, path, { ...(token !== undefined && { token }) })
      if (answer.status !== 429) return answer
      await sleep(Number(answer.headers['retry-after'] ?? 1) * 1000)
    }
  }
  const refused = all.map((one, at) =>
    several(async () => {
      const other = one.scope === 'operator' ? world.tokens.reading : world.tokens.operator
      const [nobody, known] = [await askedBy(at, one), await askedBy(at, one, other)]
      const name = `${one.method} ${one.path}`
      if (nobody.status !== 401) wrong.push(`${name} answers nobody with ${nobody.status}`)
      if (!/^Bearer /.test(String(nobody.headers['www-authenticate'])))
        wrong.push(`${name} does not say how to come in`)
      if (known.status !== 403) wrong.push(`${name} answers a token for other things with ${known.status}`)
    }),
  )
  await Promise.all(refused)
  const guessed = await world.fresh().ask('GET', '/api/v1/audit', { token: `dgt_${'A'.repeat(43)}` })
  if (guessed.status !== 401) wrong.push(`a token that nobody made is answered with ${guessed.status}`)
  if (all.length < 100) wrong.push(`only ${all.length} routes are described`)
  seen.push(`${all.length} routes: 401 without a token, 403 with one for other things`)
}

/** The same record for its owner, a reader, a stranger, an application and a mailbox. */
async function roles(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { patient, neighbour, tokens } = world
  const record = `/api/v1/records/${patient.record}`
  const item = { content: { type: 'problem', problem: { codings: [], text: 'A condition' } } }
  const put = { json: { changes: [{ kind: 'create', item }] } }
  const status = async (who: string, client: Client, method: string, path: string, wanted: number, asking = {}) => {
    const answer = await client.ask(method, path, asking)
    heard.hear(`${who}: ${method} ${path.replace(record, '…')}`, String(answer.status), new RegExp(`^${wanted}$`))
    return answer
  }
  await status('owner', patient.client, 'POST', `${record}/items`, 200, put)
  await status('owner', patient.client, 'GET', `${record}/items`, 200)

  const theirs = await status('stranger', neighbour.client, 'GET', `${record}/items`, 404)
  const nobodys = await status('stranger', neighbour.client, 'GET', '/api/v1/records/no-such-record/items', 404)
  if (withoutId(theirs.bytes) !== withoutId(nobodys.bytes))
    heard.wrong.push('a record of others is told from one that is not there')
  await status('stranger', neighbour.client, 'POST', `${record}/items`, 404, put)

  const rule = { name: 'conditions', reason: { en: 'To help' }, permissions: ['read'], types: ['problem'] }
  const invitation = { email: neighbour.email, relationship: 'friend', rules: [rule] }
  await patient.client.must(201, 'POST', `/api/v1/account/records/${patient.record}/invitations`, { json: invitation })
  const code = await codeOf(world.relay, neighbour.email, '/invitation')
  await neighbour.client.must(200, 'POST', '/api/v1/account/invitations/accept', { json: { code } })
  await status('reader', neighbour.client, 'GET', `${record}/items?type=problem`, 200)
  await status('reader', neighbour.client, 'GET', `${record}/items?type=medication`, 403)
  await status('reader', neighbour.client, 'POST', `${record}/items`, 403, put)
  await status('reader', neighbour.client, 'GET', `${record}/activity`, 403)
  const more = { json: { ...invitation, email: 'third@mail.test' } }
  await status('reader', neighbour.client, 'POST', `/api/v1/account/records/${patient.record}/invitations`, 403, more)
  await patient.client.must(200, 'DELETE', `/api/v1/account/records/${patient.record}/members/${neighbour.person}`)
  await status('reader no more', neighbour.client, 'GET', `${record}/items?type=problem`, 404)

  const { token, record: told } = await appToken(world, await signedIn(world, patient), patient.record)
  const its = `/api/v1/records/${told}`
  const app = world.fresh()
  await status('application', app, 'GET', `${its}/items?type=problem`, 200, { token })
  await status('application', app, 'GET', `${its}/items?type=medication`, 403, { token })
  await status('application', app, 'GET', `/api/v1/records/${neighbour.record}/items`, 404, { token })
  await status('application', app, 'POST', `${its}/items`, 403, { token, ...put })
  await status('application', app, 'GET', '/api/v1/audit', 403, { token })

  const other = `/api/v1/mailboxes/${encodeURIComponent(`somebody@${mailbox.split('@')[1]}`)}/messages`
  await status('mailbox', app, 'GET', other, 404, { token: tokens.mailbox })
  await status('mailbox', app, 'GET', `${record}/items`, 403, { token: tokens.mailbox })
}

/** What a refusal says, but for what is new with every request. */
function withoutId(bytes: Buffer): string {
  const { instance: _, ...rest } = JSON.parse(bytes.toString()) as { readonly instance?: string }
  return JSON.stringify(rest)
}

/** Two people never have one account or one address; nobody learns who has one. */
async function nobodyTwice(world: RegulatoryWorld, { wrong, seen, hear }: Notes): Promise<void> {
  const { patient, neighbour, relay } = world
  if (patient.person === neighbour.person) wrong.push('two people have one account')
  const base = '/api/v1/account'
  const ask = (email: string) =>
    world.fresh().ask('POST', `${base}/sign-up`, { json: { email, name: 'Somebody Else' } })
  const confirmed = (code: string) =>
    world.fresh().ask('POST', `${base}/sign-up/confirm`, {
      json: { code, factor: { kind: 'password', password: 'a long enough phrase of words' } },
    })

  const before = relay.caught.length
  const [known, spelled, unknown] = [
    await ask(patient.email),
    await ask(patient.email.toUpperCase()),
    await ask('new@mail.test'),
  ]
  hear(
    'asked for an account',
    new Set([known, spelled, unknown].map(({ bytes }) => bytes.toString())).size.toString(),
    /^1$/,
  )
  const first = await codeOf(relay, 'new@mail.test', '/sign-up/confirm')
  const theirs = relay.caught.slice(before).filter(({ to }) => to.some((one) => one.toLowerCase() === patient.email))
  if (theirs.some(({ wire }) => plainOf(wire).includes('/sign-up/confirm')))
    wrong.push('a second account is offered for an address that somebody has')

  // Two links to one address that nobody has yet: the second opens nothing once the first did.
  await ask('new@mail.test')
  const second = await differing(() => codeOf(relay, 'new@mail.test', '/sign-up/confirm'), first)
  hear('the first link', String((await confirmed(first)).status), /^200$/)
  hear('the second link to one address', String((await confirmed(second)).status), /^404$/)
  hear('the first link again', String((await confirmed(first)).status), /^404$/)
  seen.push('nobody is two people')
}

async function differing(ask: () => Promise<string>, from: string): Promise<string> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const answer = await ask()
    if (answer !== from) return answer
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('no second letter')
}
