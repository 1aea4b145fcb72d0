import type { RuleSets } from '../direct/access.js'
import type { Audit } from '../ports/audit.js'
import { type Batch, type Store, together, within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import type { App, AppChange, AppPage, AppRequest, Apps } from './consent.js'
import { publicPart } from './keys.js'
import { consentLimits } from './limits.js'
import { type AppRefusal, refusal } from './problem.js'
import { faultsOfChild, faultsOfRequest } from './registration.js'
import { appKey, appOwner, appPrefix, childKey, childPrefix, isId, newId, openOwned, sealOwned } from './rows.js'
import { bounded, noRules } from './rules.js'

/** An application as it is kept: its own part, without what comes from its master. */
interface StoredApp {
  readonly id: string
  /** What it was registered with and changed to. */
  readonly request: Omit<AppRequest, 'webhookUrl'>
  readonly webhook?: { readonly url: string; readonly secret: string }
  readonly state: App['state']
  readonly createdAt: number
}

/** An application in force, with the rows that say so. */
export interface AppInForce {
  readonly app: App
  readonly own: StoredApp
  readonly rows: NonNullable<Batch['require']>
}

export interface AppPorts {
  readonly store: Store
  readonly vault: Vault
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
}

/** Reads an application with its master: what holds for it now. Undefined where there is none. */
export async function readApp(
  { store, vault }: Pick<AppPorts, 'store' | 'vault'>,
  id: string,
): Promise<AppInForce | undefined> {
  if (!isId(id)) return undefined
  const key = appKey(id)
  const row = await store.get(key)
  if (!row) return undefined
  const own = await openOwned<StoredApp>(vault, row)
  const rows = [{ key, version: row.version }]
  const { master: above } = own.request
  if (above === undefined) return { app: appOf(own), own, rows }
  const master = await readApp({ store, vault }, above)
  if (!master) return undefined
  return { app: inForce(appOf(own), own.request.rules, master.app), own, rows: [...rows, ...master.rows] }
}

/** What an application may do without a person at all: whether it is there and active is asked for every request. */
export function openApps(ports: AppPorts): Apps {
  const { store, vault, audit, clock, random } = ports

  const newSecret = () => `whsec_${Buffer.from(random.bytes(32)).toString('base64')}`

  async function rowOf(stored: StoredApp) {
    const key = appKey(stored.id)
    return { key, value: await sealOwned(vault, appOwner(stored.request.master ?? stored.id), key, stored) }
  }

  function audited(action: string, by: string, { id, request }: StoredApp): Pick<Batch, 'append'> {
    const subject = { app: id, kind: request.kind, ...(request.master !== undefined && { master: request.master }) }
    return { append: [audit.entry({ at: clock.now(), action, actor: by, subject, outcome: 'success' })] }
  }

  const masterOf = async (id: string): Promise<AppInForce | AppRefusal> => {
    const found = await readApp(ports, id)
    const fits = found?.app.kind === 'master' && found.app.state === 'active'
    return fits ? found : refusal('no-such-master', [{ where: 'master', detail: 'An active master application' }])
  }

  const registration: Apps['registration'] = async (asked, by) => {
    const { webhookUrl, ...request } = picked(asked)
    const faults = faultsOfRequest(asked)
    if (faults.length > 0) return refusal('invalid', faults)
    let above: AppInForce | undefined
    if (request.master !== undefined) {
      const master = await masterOf(request.master)
      if ('kind' in master) return master
      above = master
      const beyond = faultsOfChild({ ...request, may: request.may ?? [] }, above.app)
      if (beyond.length > 0) return refusal('beyond-master', beyond)
    }
    const webhookSecret = newSecret()
    const stored: StoredApp = {
      id: newId(random.bytes(16)),
      request,
      ...(webhookUrl !== undefined && { webhook: { url: webhookUrl, secret: webhookSecret } }),
      state: 'active',
      createdAt: clock.now(),
    }
    const row = await rowOf(stored)
    const child = request.master === undefined ? [] : [{ key: childKey(request.master, stored.id), value: none }]
    const app = above ? inForce(appOf(stored), request.rules, above.app) : appOf(stored)
    return {
      kind: 'registered',
      app,
      ...(webhookUrl !== undefined && { webhookSecret }),
      parts: together(audited('app.registered', by, stored), {
        require: [{ key: row.key, version: 'absent' }, ...(above?.rows ?? [])],
        put: [row, ...child],
      }),
    }
  }

  /** Puts what `next` makes of an app in its place, again where somebody else wrote first. */
  async function changed(
    id: string,
    by: string,
    action: string,
    next: (own: StoredApp) => { readonly stored: StoredApp; readonly webhookSecret?: string } | AppRefusal,
  ): ReturnType<Apps['change']> {
    for (let round = 0; round < consentLimits.changeRounds; round++) {
      const found = await readApp(ports, id)
      if (!found) return refusal('not-found')
      const made = next(found.own)
      if ('kind' in made) return made
      const { stored, webhookSecret } = made
      const { master: above } = stored.request
      const master = above === undefined ? undefined : await readApp(ports, above)
      const beyond = master ? faultsOfChild({ ...stored.request, may: stored.request.may ?? [] }, master.app) : []
      // What a child had before its master shrank does not stand in the way of ending it.
      if (action === 'app.changed' && beyond.length > 0) return refusal('beyond-master', beyond)
      const parts = { require: found.rows, put: [await rowOf(stored)] }
      const result = await store.commit(together(parts, audited(action, by, stored)))
      if (result.kind !== 'committed') continue
      const app = master ? inForce(appOf(stored), stored.request.rules, master.app) : appOf(stored)
      return { kind: 'changed', app, ...(webhookSecret !== undefined && { webhookSecret }) }
    }
    return refusal('changed-meanwhile')
  }

  const change: Apps['change'] = (id, wanted, by) =>
    changed(id, by, 'app.changed', (own) => {
      const { webhook, request } = own
      const merged = mergedWith(request, webhook?.url, wanted)
      const faults = faultsOfRequest(merged)
      if (faults.length > 0) return refusal('invalid', faults)
      const { webhookUrl: url, ...rest } = picked(merged)
      const { webhook: _, ...bare } = { ...own, request: rest }
      if (url === undefined) return { stored: bare }
      if (url === webhook?.url) return { stored: { ...bare, webhook } }
      const secret = newSecret()
      return { stored: { ...bare, webhook: { url, secret } }, webhookSecret: secret }
    })

  const list: Apps['list'] = async ({ limit, after, master }) => {
    const size = Math.min(Math.max(1, Math.trunc(limit)), consentLimits.page)
    const prefix = master === undefined ? appPrefix : childPrefix(master)
    const { gte, lt } = within(prefix)
    const from = after === undefined ? gte : `${prefix}${encodeURIComponent(after)}\0`
    const rows = await store.range({ gte: from < gte ? gte : from, lt, limit: size + 1 })
    const apps: App[] = []
    for (const { key } of rows.slice(0, size)) {
      const found = await readApp(ports, decodeURIComponent(key.slice(prefix.length)))
      if (found) apps.push(found.app)
    }
    const last = rows.length > size ? rows[size - 1] : undefined
    return { apps, ...(last && { next: decodeURIComponent(last.key.slice(prefix.length)) }) }
  }

  return {
    get: async (id) => (await readApp(ports, id))?.app,
    list,
    async children(master) {
      const all: App[] = []
      for (let after: string | undefined; ; ) {
        const page: AppPage = await list({ limit: consentLimits.page, master, ...(after !== undefined && { after }) })
        all.push(...page.apps)
        if (page.next === undefined) return all
        after = page.next
      }
    },
    registration,
    async register(request, by) {
      for (let round = 0; round < consentLimits.changeRounds; round++) {
        const made = await registration(request, by)
        if (made.kind === 'refused') return made
        const { parts, ...registered } = made
        if ((await store.commit(parts)).kind === 'committed') return registered
      }
      return refusal('changed-meanwhile')
    },
    change,
    setState: (id, state, by) =>
      changed(id, by, state === 'active' ? 'app.enabled' : 'app.disabled', (own) => ({ stored: { ...own, state } })),
    rotateSecret: (id, by) =>
      changed(id, by, 'app.secret-rotated', (own) => {
        if (!own.webhook) return refusal('no-webhook')
        const webhookSecret = newSecret()
        return { stored: { ...own, webhook: { ...own.webhook, secret: webhookSecret } }, webhookSecret }
      }),
    async webhook(id) {
      const found = await readApp(ports, id)
      return found?.app.state === 'active' ? found.own.webhook : undefined
    },
  }
}

const none = new Uint8Array()

/** By itself: what a child has of its master comes with `inForce`. */
function appOf({ id, request, webhook, state, createdAt }: StoredApp): App {
  const { rules = noRules, redirectUris = [], may = [], ...more } = request
  return {
    ...more,
    ...{ id, rules, redirectUris, may, state, createdAt },
    ...(webhook && { webhook: { url: webhook.url } }),
  }
}

/**
 * A child as it is under its master: an installation has the rules of its master, a clinic its own within those, or those
 * where it has none. Keys of a server are its master's where it has none of its own (one service for many practices).
 */
function inForce(app: App, own: RuleSets | undefined, master: App): App {
  const { rules: ceiling } = master
  const rules = own
    ? { online: bounded(own.online, ceiling.online), offline: bounded(own.offline, ceiling.offline) }
    : ceiling
  const ofServer = app.kind !== 'native' && app.jwks === undefined && app.jwksUri === undefined
  return {
    ...app,
    rules,
    may: app.may.filter((power) => master.may.includes(power)),
    ...(ofServer && master.jwks && { jwks: master.jwks }),
    ...(ofServer && master.jwksUri !== undefined && { jwksUri: master.jwksUri }),
    ...(app.kind !== 'native' && !app.networks && master.networks && { networks: master.networks }),
    state: master.state === 'active' ? app.state : 'disabled',
  }
}

/** What is registered and nothing else, whatever else was sent. */
function picked(request: AppRequest): AppRequest {
  const { kind, name, master, rules, redirectUris, jwks, jwksUri, url, logoUrl, privacyUrl, termsUrl } = request
  const { successMessage, may, webhookUrl, networks } = request
  return {
    ...{ kind, name },
    ...(master !== undefined && { master }),
    ...(rules && { rules: { online: rules.online, offline: rules.offline } }),
    ...(redirectUris && { redirectUris }),
    ...(jwks && { jwks: publicPart(jwks) }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(url !== undefined && { url }),
    ...(logoUrl !== undefined && { logoUrl }),
    ...(privacyUrl !== undefined && { privacyUrl }),
    ...(termsUrl !== undefined && { termsUrl }),
    ...(successMessage !== undefined && { successMessage }),
    ...(may && { may }),
    ...(webhookUrl !== undefined && { webhookUrl }),
    ...(networks && { networks }),
  }
}

/** The request that an app would be registered with after a change; `null` takes away. */
function mergedWith(request: AppRequest, webhookUrl: string | undefined, change: AppChange): AppRequest {
  const { kind, master } = request
  const before = { ...request, ...(webhookUrl !== undefined && { webhookUrl }) }
  const named = Object.entries(change).filter(([, value]) => value !== undefined)
  const merged = Object.entries({ ...before, ...Object.fromEntries(named) }).filter(([, value]) => value !== null)
  return { ...(Object.fromEntries(merged) as unknown as AppRequest), kind, ...(master !== undefined && { master }) }
}
