import { fastify } from 'fastify'
import { accountPages } from '../../src/pages/account.js'
import { recordPages } from '../../src/pages/records.js'
import { recoveryPages } from '../../src/pages/recovery.js'
import { mountPages } from '../../src/pages/session.js'
import { sharingPages } from '../../src/pages/sharing.js'
import { signInPages } from '../../src/pages/sign-in.js'
import { signUpPages } from '../../src/pages/sign-up.js'
import { origin, type World } from '../people/world.js'

export async function openPages(world: World) {
  const app = fastify({ trustProxy: true })
  const errors: string[] = []
  const ports = {
    sessions: world.people.sessions,
    clock: world.clock,
    log: { error: (event: string) => void errors.push(event) },
    trace: world,
  }
  const pages = [signUpPages, signInPages, recoveryPages, accountPages, recordPages, sharingPages]
  await app.register(
    mountPages(
      ports,
      { origin, house: 'Test House' },
      pages.map((one) => one(world.people)),
    ),
  )
  await app.ready()

  /** A browser without scripts: keeps cookies, follows redirects, fills in forms as they stand. */
  function browser(address = '192.0.2.1') {
    const cookies = new Map<string, string>()
    let at = '/'
    let body = ''
    let headers: Record<string, unknown> = {}

    async function request(method: 'GET' | 'POST', url: string, payload?: string, more: Record<string, string> = {}) {
      const response = await app.inject({
        ...{ method, url, remoteAddress: address },
        headers: {
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...(payload !== undefined && {
            'content-type': 'application/x-www-form-urlencoded',
            origin,
            'sec-fetch-site': 'same-origin',
          }),
          ...more,
        },
        ...(payload !== undefined && { payload }),
      })
      for (const one of [response.headers['set-cookie'] ?? []].flat()) {
        const [pair = ''] = one.split(';')
        const [name = '', value = ''] = pair.split('=')
        if (one.includes('Max-Age=0')) cookies.delete(name)
        else cookies.set(name, value)
      }
      at = url
      body = response.body
      headers = response.headers
      return response
    }
    async function follow(method: 'GET' | 'POST', url: string, payload?: string, more?: Record<string, string>) {
      let response = await request(method, url, payload, more)
      for (let hops = 0; response.statusCode === 303 && hops < 5; hops++)
        response = await request('GET', String(response.headers.location))
      return response
    }
    return {
      cookies,
      get at() {
        return at
      },
      get body() {
        return body
      },
      get headers() {
        return headers
      },
      get: (url: string) => follow('GET', url),
      post: (url: string, fields: Record<string, string>, more?: Record<string, string>) =>
        follow('POST', url, new URLSearchParams(fields).toString(), more),
      /** Sends the form of the page that leads to `action`, with what it holds and what is filled in. */
      async send(action: string, fields: Record<string, string> = {}) {
        const form = [...body.matchAll(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)].find(
          (one) => one[1] === action,
        )
        if (!form) throw new Error(`No form to ${action} at ${at}: ${body.slice(-600)}`)
        const kept = [...(form[2] ?? '').matchAll(/<input[^>]*type="hidden"[^>]*name="([^"]*)" value="([^"]*)"/g)]
        const given = Object.fromEntries(kept.map((one) => [one[1] ?? '', one[2] ?? '']))
        return follow('POST', action, new URLSearchParams({ ...given, ...fields }).toString())
      },
    }
  }
  return { app, browser, errors }
}
