import { type ApplicationKey, authorizationUrl, call, newKey, newVerifier, signed, tokens } from './application.js'
import type { Browser } from './browser.js'
import { endAccess, settle } from './person.js'
import { must, type Step } from './steps.js'
import type { World } from './world.js'

const redirect = 'com.example.pocket:/done'
const scope = 'launch/patient patient/Condition.rs offline_access'

/** One copy of an app on one device: an application of its own, whose tokens are bound to a key that never leaves it. */
interface Installation {
  readonly id: string
  readonly name: string
  readonly key: ApplicationKey
}

interface Tokens {
  readonly access: string
  readonly refresh: string
  readonly patient: string
}

/** An app for telephones: every installation registers itself, and is ended by itself. */
export async function mobileAppJourney(world: World, step: Step): Promise<void> {
  const { maker } = world
  const condition = 'Migraine'
  const who = { email: 'mo.mobile@mail.example', name: 'Mo', birthDate: '1990-05-06' }
  const { browser } = await settle(world, who, condition)

  const [phone, tablet] = await step(
    `The app of ${maker.name} registers itself on two devices, by a statement that its maker signed`,
    async (note) => {
      const made = [await install(world, 'Pocket on a telephone'), await install(world, 'Pocket on a tablet')] as const
      must(made[0].id !== made[1].id, 'both have one id')
      note('each has an id and a key of its own')
      return made
    },
  )
  await step('A statement that somebody else signed registers nothing', async () => {
    const status = await registering(world, { name: 'Pocket', by: newKey() }).then(({ status }) => status)
    must(status === 400 || status === 401, `it was answered ${status}`)
  })
  const first = await step('The telephone asks for access; the patient reads what for, and allows it', (_) =>
    connected(world, browser, phone),
  )
  const other = await step('The tablet does the same', () => connected(world, browser, tablet))
  await step('Both read the conditions; a token without the key of its device reads nothing', async (note) => {
    for (const [device, held] of [
      [phone, first],
      [tablet, other],
    ] as const)
      must((await read(world, held, device.key)).includes(condition), `${device.name} reads no condition`)
    const stolen = await call(conditions(world, first), first.access)
    must(stolen.status === 401, `a stolen token was answered ${stolen.status}`)
    const foreign = await call(conditions(world, first), first.access, { bound: tablet.key })
    must(foreign.status === 401, `a token with the key of another device was answered ${foreign.status}`)
    note(`Condition “${condition}”`)
  })
  const refreshed = await step('The telephone refreshes its tokens: each refresh token serves once', async () => {
    const next = await refresh(world, phone, first.refresh)
    must(next.status === 200, `refreshing: ${next.status} ${JSON.stringify(next.json)}`)
    must(next.json['refresh_token'] !== first.refresh, 'the refresh token is the old one')
    return tokensIn(next.json, first)
  })
  await step('The patient ends the access of the telephone alone', () => endAccess(browser, phone.name))
  await step('The telephone reads nothing any more, and gets no tokens', async () => {
    const { status } = await call(conditions(world, refreshed), refreshed.access, { bound: phone.key })
    must(status === 401 || status === 403, `reading was answered ${status}`)
    const again = await refresh(world, phone, refreshed.refresh)
    must(again.status === 400, `refreshing was answered ${again.status}`)
  })
  const alive = await step('The tablet lives on: it refreshes, and reads', async () => {
    const next = await refresh(world, tablet, other.refresh)
    must(next.status === 200, `refreshing: ${next.status} ${JSON.stringify(next.json)}`)
    const held = tokensIn(next.json, other)
    must((await read(world, held, tablet.key)).includes(condition), 'it reads no condition')
    return held
  })
  await step('Somebody who copied its used refresh token ends it all: the tablet must ask again', async () => {
    const replayed = await refresh(world, tablet, other.refresh)
    must(replayed.status === 400, `the used token was answered ${replayed.status}`)
    const after = await refresh(world, tablet, alive.refresh)
    must(after.status === 400, `the next token was answered ${after.status}`)
  })
}

/** Asks to be registered (RFC 7591) with a statement of the maker. */
async function registering(
  { origin, maker }: World,
  { name, by }: { readonly name: string; readonly by: ApplicationKey },
) {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: maker.id, aud: origin, iat: now, exp: now + 600, redirect_uris: [redirect] }
  const body = { client_name: name, software_statement: signed(claims, by, { kid: by.jwk['kid'] }) }
  const answer = await fetch(`${origin}/oauth/register`, {
    ...{ method: 'POST', body: JSON.stringify(body) },
    headers: { 'content-type': 'application/json' },
  })
  return { status: answer.status, json: (await answer.json()) as Readonly<Record<string, unknown>> }
}

async function install(world: World, name: string): Promise<Installation> {
  const { status, json } = await registering(world, { name, by: world.maker.key })
  must(status === 201, `registering: ${status} ${JSON.stringify(json)}`)
  return { id: String(json['client_id']), name, key: newKey() }
}

async function connected({ origin }: World, browser: Browser, { id, name, key }: Installation): Promise<Tokens> {
  const asked = newVerifier()
  await browser.open(authorizationUrl(origin, { id, redirect, scope }, asked))
  must(browser.text.includes('To have your conditions with you'), `the request led to ${browser.at}: ${browser.text}`)
  const { left } = await browser.press('Allow')
  must(left?.href.startsWith(`${redirect}?`) === true, `${name}: allowing led to ${left?.href ?? browser.text}`)
  const code = left.searchParams.get('code') ?? ''
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirect, client_id: id }
  const { status, json } = await tokens(origin, { ...form, code_verifier: asked.verifier }, key)
  must(
    status === 200 && json['token_type'] === 'DPoP',
    `${name}: the code was answered ${status} ${JSON.stringify(json)}`,
  )
  return tokensIn(json, { patient: '' })
}

function tokensIn(json: Readonly<Record<string, unknown>>, { patient }: Pick<Tokens, 'patient'>): Tokens {
  return {
    access: String(json['access_token']),
    refresh: String(json['refresh_token']),
    patient: String(json['patient'] ?? patient),
  }
}

function refresh({ origin }: World, { id, key }: Installation, token: string) {
  return tokens(origin, { grant_type: 'refresh_token', refresh_token: token, client_id: id }, key)
}

const conditions = ({ origin }: World, { patient }: Tokens) => `${origin}/fhir/Condition?patient=${patient}`

async function read(world: World, held: Tokens, bound: ApplicationKey): Promise<string> {
  const { status, json } = await call(conditions(world, held), held.access, { bound })
  must(status === 200, `reading was answered ${status} ${JSON.stringify(json)}`)
  return JSON.stringify(json)
}
