import type { FastifyInstance } from 'fastify'
import type { App, AppChange, AppRequest, Apps, Registered } from '../../consent/consent.js'
import type { AppRefusal } from '../../consent/problem.js'
import type { Caller } from '../caller.js'
import {
  appBody,
  appChangeBody,
  appParams,
  appSchema,
  appsQuery,
  appsSchema,
  registeredSchema,
} from '../consent-schema.js'
import type { ApiPorts } from '../ports.js'
import { Problem, type ProblemCode } from '../problem.js'
import { route } from '../route.js'

/** An application as those who look after it see it. */
export function appView({ createdAt, webhook, ...app }: App) {
  return { ...app, ...(webhook && { webhookUrl: webhook.url }), createdAt: new Date(createdAt).toISOString() }
}

function registeredView({ app, webhookSecret }: Registered) {
  return { app: appView(app), ...(webhookSecret !== undefined && { webhookSecret }) }
}

/** What the caller may look after: an operator everything, a master itself and its children; for others it is not there. */
async function reachedApp(apps: Apps, { reach }: Caller, id: string): Promise<App> {
  const app = await apps.get(id)
  const mine = reach.kind === 'gateway' || (reach.kind === 'app' && [app?.id, app?.master].includes(reach.app))
  if (!app || !mine) throw new Problem('not-found')
  return app
}

/** The same without the caller itself: what an operator approved of a master is not its own to change. */
async function changeableApp(apps: Apps, caller: Caller, id: string): Promise<App> {
  const app = await reachedApp(apps, caller, id)
  if (caller.reach.kind === 'app' && app.master !== caller.reach.app) throw new Problem('access-denied')
  return app
}

const codes: Record<AppRefusal['problem'], ProblemCode> = {
  invalid: 'invalid-request',
  'not-found': 'not-found',
  'no-such-master': 'invalid-request',
  'beyond-master': 'access-denied',
  'no-webhook': 'not-possible',
  'changed-meanwhile': 'conflict',
}

function orRefuse<T extends { readonly kind: string }>(outcome: T | AppRefusal): T {
  if (outcome.kind !== 'refused') return outcome as T
  const { problem, faults } = outcome as AppRefusal
  const errors = faults.slice(0, 20).map(({ where, detail }) => ({ where: `body.${where}`, detail }))
  throw new Problem(codes[problem], {}, errors.length > 0 ? errors : undefined)
}

/** Applications: operators register them, a master its children. */
export function appRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/apps'
  const shared = { access: 'apps', tag: 'apps', activity: 'none' } as const
  const apps = (): Apps => {
    if (!ports.apps) throw new Problem('unavailable')
    return ports.apps
  }

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: base,
    action: 'apps.list',
    summary: 'Applications: all for an operator, its children for a master',
    query: appsQuery,
    answers: appsSchema,
    async handle({ caller: { reach }, query: { limit, cursor, master: wanted } }) {
      if (reach.kind !== 'gateway' && reach.kind !== 'app') return { apps: [] }
      if (reach.kind === 'app' && wanted !== undefined && wanted !== reach.app) throw new Problem('not-found')
      const master = reach.kind === 'app' ? reach.app : wanted
      const place = { ...(cursor !== undefined && { after: cursor }), ...(master !== undefined && { master }) }
      const { apps: page, next } = await apps().list({ limit, ...place })
      return { apps: page.map(appView), ...(next !== undefined && { next }) }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'POST',
    path: base,
    action: 'apps.register',
    summary: 'Register an application',
    description:
      "A master registers children within its own rules and powers; an operator registers anything. An application starts with nothing but what is said here; an installation has its master's rules.",
    body: appBody,
    bodyBytes: 256 * 1024,
    creates: true,
    answers: registeredSchema,
    async handle({ caller, body, subject }) {
      const made = orRefuse(await apps().register(await requestOf(apps(), caller, defined(body)), caller.by))
      subject['app'] = made.app.id
      return registeredView(made)
    },
  })

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: `${base}/:app`,
    action: 'apps.read',
    summary: 'One application',
    params: appParams,
    answers: appSchema,
    async handle({ caller, params, subject }) {
      subject['app'] = params.app
      return appView(await reachedApp(apps(), caller, params.app))
    },
  })

  route(app, ports, {
    ...shared,
    method: 'PATCH',
    path: `${base}/:app`,
    action: 'apps.change',
    summary: 'Change an application',
    description:
      'What is not named stays; null takes away. Rules that shrink hold at once, those that grow are asked about.',
    params: appParams,
    body: appChangeBody,
    bodyBytes: 256 * 1024,
    answers: registeredSchema,
    async handle({ caller, params, body, subject }) {
      subject['app'] = params.app
      await changeableApp(apps(), caller, params.app)
      return registeredView(orRefuse(await apps().change(params.app, defined(body), caller.by)))
    },
  })

  for (const [verb, state] of [
    ['disable', 'disabled'],
    ['enable', 'active'],
  ] as const)
    route(app, ports, {
      ...shared,
      method: 'POST',
      path: `${base}/:app/${verb}`,
      action: `apps.${verb}`,
      summary: verb === 'disable' ? 'End all access of an application, now' : 'Let an application in again',
      description: 'With a master goes every child of it.',
      params: appParams,
      completes: true,
      answers: appSchema,
      async handle({ caller, params, subject }) {
        subject['app'] = params.app
        await changeableApp(apps(), caller, params.app)
        return appView(orRefuse(await apps().setState(params.app, state, caller.by)).app)
      },
    })

  route(app, ports, {
    ...shared,
    method: 'POST',
    path: `${base}/:app/webhook-secret`,
    action: 'apps.rotate-secret',
    summary: 'Another secret for the webhook, told this once; the old one ends now',
    params: appParams,
    completes: true,
    answers: registeredSchema,
    async handle({ caller, params, subject }) {
      subject['app'] = params.app
      await reachedApp(apps(), caller, params.app)
      return registeredView(orRefuse(await apps().rotateSecret(params.app, caller.by)))
    },
  })
}

/** What a caller may register: a master with that power its own children, an operator anything, others nothing. */
async function requestOf(apps: Apps, { reach }: Caller, request: AppRequest): Promise<AppRequest> {
  if (reach.kind === 'gateway') return request
  const master = reach.kind === 'app' ? await apps.get(reach.app) : undefined
  if (!master?.may.includes('register') || (request.master ?? master.id) !== master.id)
    throw new Problem('access-denied')
  return { ...request, master: master.id }
}

/** What was left out is absent: the schema says the rest. */
function defined<T extends AppRequest | AppChange>(body: object): T {
  return JSON.parse(JSON.stringify(body)) as T
}
