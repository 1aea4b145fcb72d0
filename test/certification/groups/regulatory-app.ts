import { createHash, randomBytes } from 'node:crypto'
import type { Client } from '../world/client.js'
import type { RegulatoryWorld } from './regulatory-world.js'

/** What an application has in the end: a token, and the record's name for it, which is a pseudonym. */
export interface Granted {
  readonly token: string
  readonly record: string
}

/** An application's way to a record: a browser signed in, its person's decision on our page, and back with a code. */
export async function appToken(world: RegulatoryWorld, browser: Client, record: string): Promise<Granted> {
  const { app, ports } = world
  const issuer = `https://localhost:${ports.http}`
  const verifier = randomBytes(32).toString('base64url')
  const asked = new URLSearchParams({
    ...{ response_type: 'code', client_id: app.id, redirect_uri: app.redirect, state: 'as-it-was' },
    ...{ scope: 'launch/patient patient/Condition.rs', aud: `${issuer}/fhir` },
    ...{ code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' },
  })
  const page = await stepped(browser, `/oauth/authorize?${asked}`)
  const csrf = hiddenIn((await browser.must(200, 'GET', page)).bytes.toString(), 'csrf')
  const decided = await browser.must(303, 'POST', page, {
    form: { csrf, decision: 'allow', record },
    headers: { origin: issuer, 'sec-fetch-site': 'same-origin' },
  })
  const back = new URL(await stepped(browser, localOf(decided.headers.location)))
  const exchanged = await world.fresh().must(200, 'POST', '/oauth/token', {
    form: {
      ...{ grant_type: 'authorization_code', code: back.searchParams.get('code') ?? '', client_id: app.id },
      ...{ redirect_uri: app.redirect, code_verifier: verifier },
    },
  })
  const { access_token: token, patient } = exchanged.json<{ access_token?: string; patient?: string }>()
  if (token === undefined || patient === undefined) throw new Error(`no token: ${exchanged.bytes.toString()}`)
  return { token, record: patient }
}

/** Where a request leads. */
async function stepped(browser: Client, path: string): Promise<string> {
  const { status, headers, bytes } = await browser.ask('GET', path)
  if (status !== 302 && status !== 303)
    throw new Error(`${path} leads nowhere: ${status} ${bytes.toString().slice(0, 300)}`)
  return headers.location ?? ''
}

const localOf = (location = '') => location.replace(/^https:\/\/localhost:\d+/, '')

function hiddenIn(page: string, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? ''
}
