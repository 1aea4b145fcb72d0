import { type Configuration, errors, interactionPolicy, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { Apps } from '../consent/consent.js'
import { isInNetworks } from '../consent/networks.js'
import { readScope } from '../direct/smart-scopes.js'
import type { ConditionalFetch } from '../ports/fetch.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { adapterFor } from './adapter.js'
import { type Binding, type BindingPorts, bindingIn, isGood } from './binding.js'
import { clientOf } from './clients.js'
import { proofAlgorithms } from './dpop.js'
import type { OauthLimits } from './limits.js'
import { smartConfiguration } from './metadata.js'
import { cookieNames, decisionPath, resourceOf, routes } from './places.js'
import type { Rows } from './rows.js'
import { askable, backendWords, grantedWords, plainScopes, resourceScopes, wordsOf } from './scopes.js'
import type { Secrets } from './secrets.js'

export interface ProviderPorts extends BindingPorts {
  readonly issuer: string
  readonly rows: Rows
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  readonly apps: Pick<Apps, 'get'>
  readonly fetch: ConditionalFetch
  readonly limits: OauthLimits
  /** Told of what went wrong on our side. */
  failed(name: string): void
  /** A page for somebody at a browser whose request leads nowhere. */
  errorPage?(words: { readonly error: string; readonly detail: string }): {
    readonly html: string
    readonly policy: string
  }
}

/** Whether an application that comes back to this place has pages there; one on a device has none. */
function isAt(redirectUri: string, origin: string): boolean {
  return /^https?:/.test(redirectUri) && URL.canParse(redirectUri) && new URL(redirectUri).origin === origin
}

const signatures = ['RS256', 'RS384', 'PS256', 'PS384', 'ES256', 'ES384', 'EdDSA', 'Ed25519'] as const

/**
 * The provider, configured: code with PKCE, refresh, device and client_credentials, nothing else. Everything that it keeps
 * goes through the rows; whoever asks is an application of ours, looked up at each use.
 */
export function openProvider(ports: ProviderPorts, secrets: Secrets): Provider {
  const { issuer, limits } = ports
  const secure = issuer.startsWith('https:')
  const cookie = { httpOnly: true, sameSite: 'lax', secure } as const
  const userCodeKey = secrets.userCode
  const client = async (id: string) => {
    const app = await ports.apps.get(id)
    return app && clientOf(app)
  }
  const configuration: Configuration = {
    adapter: (model) => adapterFor(model, { ...ports, client, userCodeKey }),
    routes: { ...routes },
    jwks: { keys: secrets.keys.map((key) => ({ ...key })) } as NonNullable<Configuration['jwks']>,
    cookies: { keys: [...secrets.cookies], names: { ...cookieNames }, long: cookie, short: cookie },
    scopes: [...plainScopes],
    claims: { openid: ['sub'], fhirUser: ['fhirUser'], auth_time: null },
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    subjectTypes: ['public'],
    pkce: { required: () => true },
    clientAuthMethods: ['private_key_jwt', 'none'],
    enabledJWA: {
      clientAuthSigningAlgValues: [...signatures],
      idTokenSigningAlgValues: ['RS256', 'ES256'],
      dPoPSigningAlgValues: proofAlgorithms as NonNullable<
        NonNullable<Configuration['enabledJWA']>['dPoPSigningAlgValues']
      >,
    },
    clockTolerance: limits.clockToleranceSeconds,
    allowOmittingSingleRegisteredRedirectUri: false,
    clientBasedCORS: (_, origin, { redirectUris = [] }) => redirectUris.some((uri) => isAt(uri, origin)),
    features: featuresOf(ports, secrets),
    extraParams: { aud: checkRequest(ports), launch: refuseLaunch },
    interactions: { policy: decisions(), url: (_, { uid }) => decisionPath(uid) },
    loadExistingGrant: async ({ oidc }) => {
      const id = oidc.result?.consent?.grantId
      return id === undefined ? undefined : oidc.provider.Grant.find(id)
    },
    expiresWithSession: async () => false,
    issueRefreshToken: async (_, one, source) =>
      one.grantTypeAllowed('refresh_token') &&
      (source.scopes.has('offline_access') || source.scopes.has('online_access')),
    rotateRefreshToken: () => true,
    findAccount: async (ctx, accountId, token) => {
      const binding = token ? await bindingOf(ctx, token.grantId) : undefined
      if (token && !(binding && (await isGood(ports, binding)))) return undefined
      const told = binding && { fhirUser: binding.fhirUser }
      return { accountId, claims: async () => ({ sub: accountId, ...told }) }
    },
    assertJwtClientAuthClaimsAndHeader: async (ctx, { exp }, _, { clientId }) => {
      const networks = (await ports.apps.get(clientId))?.networks
      if (networks && !isInNetworks(networks, ctx.ip)) throw new errors.InvalidClientAuth('from another network')
      const left = Number(exp) - ports.clock.now() / 1000
      if (!(left <= limits.assertionSeconds)) throw new errors.InvalidClientAuth('the assertion is good for too long')
    },
    fetch: (url) => fetched(ports.fetch, String(url)),
    fetchResponseBodyLimits: { jwks_uri: limits.jwksBytes },
    ttl: {
      AccessToken: limits.accessTokenSeconds,
      AuthorizationCode: limits.codeSeconds,
      ClientCredentials: limits.clientTokenSeconds,
      DeviceCode: limits.deviceSeconds,
      Grant: limits.grantSeconds,
      IdToken: limits.idTokenSeconds,
      Interaction: limits.interactionSeconds,
      RefreshToken: limits.refreshSeconds,
      Session: limits.interactionSeconds,
    },
    renderError: async (ctx, out) => showError(ports, ctx, out),
  }
  const provider = new Provider(issuer, configuration)
  // Headers of proxies are written by the mount, from what it knows.
  provider.proxy = true
  provider.silent = true
  provider.on('server_error', (_, error) => ports.failed(error.name))
  provider.use((ctx, next) => completed(ports, ctx as KoaContextWithOIDC, next))
  return provider
}

function featuresOf(ports: ProviderPorts, secrets: Secrets): NonNullable<Configuration['features']> {
  const resource = resourceOf(ports.issuer)
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true, charset: 'base-20', mask: '****-****', deviceInfo: () => ({}) },
    dPoP: { enabled: true, nonceSecret: Buffer.from(secrets.nonce), requireNonce: () => false },
    introspection: {
      enabled: true,
      allowedPolicy: async (ctx, client, token) => {
        if (token.clientId !== client.clientId) return false
        if (!('grantId' in token)) return true
        const binding = await bindingOf(ctx, token.grantId)
        return binding !== undefined && (await isGood(ports, binding))
      },
    },
    revocation: { enabled: true, allowedPolicy: async (_, client, token) => token.clientId === client.clientId },
    pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: { enabled: false },
    userinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, indicator, { clientId }) => {
        if (indicator !== resource) throw new errors.InvalidTarget()
        return { scope: await scopeAtHand(ports, ctx, clientId), accessTokenFormat: 'opaque' }
      },
    },
  }
}

/** Scopes that may come of a request: those that were granted, or those that could be. */
async function scopeAtHand({ apps, issuer }: ProviderPorts, ctx: KoaContextWithOIDC, id: string): Promise<string> {
  const { grant, params } = ctx.oidc
  const given = grant?.getResourceScope(resourceOf(issuer)) ?? ''
  if (given !== '') return given
  const app = await apps.get(id)
  const words = wordsOf(params?.['scope'])
  if (!app) return ''
  if (params?.['grant_type'] !== 'client_credentials') return askable(app, words).join(' ')
  // The provider keeps an asked word or drops it; one that is granted in part is put in the place of the asked one (RFC 6749 §3.3).
  const may = backendWords(app, words).join(' ')
  params['scope'] = may
  return may
}

async function bindingOf(ctx: KoaContextWithOIDC, grantId: string | undefined): Promise<Binding | undefined> {
  const { grant, provider } = ctx.oidc
  const found = grant ?? (grantId === undefined ? undefined : await provider.Grant.find(grantId))
  return bindingIn(found?.rar)
}

/** Every request is decided by a person at our page; nothing is granted without (RFC 8252 §8.6). */
function decisions() {
  const { Check, Prompt } = interactionPolicy
  const ask = (name: 'login' | 'consent') =>
    new Prompt(
      { name, requestable: true },
      new Check('undecided', 'a person has to decide', async ({ oidc }) => oidc.result?.[name] === undefined),
    )
  const selection = new Prompt({ name: 'select_account', requestable: true })
  const policy = interactionPolicy.base()
  policy.clear()
  policy.add(ask('login'))
  policy.add(ask('consent'))
  policy.add(selection)
  return policy
}

/**
 * `aud` names the server that the application means: another one is a false server that sent it here (SMART App Launch 2.2
 * §2.0.9). On the way, what the provider takes for a wish to be asked is put back where it was asked without `prompt`.
 */
function checkRequest({ issuer, apps }: ProviderPorts) {
  return async (ctx: KoaContextWithOIDC, aud: string | undefined) => {
    const own = [issuer, resourceOf(issuer)]
    if (aud !== undefined && !own.includes(aud.replace(/\/$/, '')))
      throw new errors.InvalidRequest('aud is another server')
    const { params = {}, body, client } = ctx.oidc
    const asked = wordsOf(body?.['scope'] ?? ctx.query['scope'])
    const app = client && (await apps.get(client.clientId))
    const words = wordsOf(params['scope'])
    if (app && !askable(app, words).some((word) => word === 'openid' || readScope(word)))
      throw new errors.InvalidScope('nothing that was asked can be granted', words.join(' '))
    const prompts = wordsOf(params['prompt'])
    if (!asked.includes('offline_access') || prompts.includes('none') || !client?.grantTypeAllowed('refresh_token'))
      return
    // OpenID Connect Core §11 drops offline_access without prompt=consent; here a person always decides.
    if ('response_type' in params) params['prompt'] = [...new Set([...prompts, 'consent'])].join(' ')
    params['scope'] = [...new Set([...words, 'offline_access'])].join(' ')
  }
}

/** There is no launch from within: an application that was launched elsewhere is told so. */
async function refuseLaunch(_: KoaContextWithOIDC, launch: string | undefined): Promise<void> {
  if (launch !== undefined) throw new errors.InvalidRequest('launch is not supported: only launch/patient')
}

/** What answers say beside what the provider knows: the record behind a token. */
async function completed(ports: ProviderPorts, ctx: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
  await next()
  if (!ctx.oidc || ctx.status !== 200 || typeof ctx.body !== 'object' || ctx.body === null) return
  const body = ctx.body as Record<string, unknown>
  const { grant, route } = ctx.oidc
  if (route === 'discovery') Object.assign(body, discovered(ports.issuer))
  const access = bindingIn(grant?.rar)?.access
  if (route === 'token' && access) Object.assign(body, { patient: access.told, need_patient_banner: true })
  if (route === 'introspection' && body['active'] === true) await described(ports, ctx, body)
}

/** What the provider does not know of itself (RFC 8414 §2): it is told in one place, beside what SMART clients read. */
function discovered(issuer: string): Readonly<Record<string, unknown>> {
  const { registration_endpoint, scopes_supported } = smartConfiguration(issuer)
  return { registration_endpoint, scopes_supported, response_modes_supported: ['query'] }
}

/** An introspected token says what it may now: a consent that was narrowed narrows it at once. */
async function described({ apps, consents }: ProviderPorts, ctx: KoaContextWithOIDC, body: Record<string, unknown>) {
  const binding = bindingIn(ctx.oidc.grant?.rar)
  const app = await apps.get(String(body['client_id']))
  if (!binding?.access || !app) return
  const access = await consents.access(binding.access.grant, binding.avenue)
  const rules = access?.rules === 'all' ? [] : (access?.rules ?? [])
  const words = wordsOf(body['scope'])
  const scope = resourceScopes(words).length > 0 ? grantedWords(app, words, rules).join(' ') : body['scope']
  Object.assign(body, { scope, patient: binding.access.told, fhirUser: binding.fhirUser })
}

/** Fetches keys of a client within the rules of the port; what it does not fetch is told as a failed answer. */
async function fetched(fetch: ConditionalFetch, url: string): Promise<Response> {
  if (!url.startsWith('https://')) return new Response(null, { status: 403 })
  const got = await fetch(url)
  if (got.kind !== 'fetched') return new Response(null, { status: 502 })
  return new Response(Buffer.from(got.bytes), { status: 200, headers: { 'content-type': 'application/json' } })
}

/** For programs as JSON (RFC 6749 §5.2); for somebody at a browser as a page. */
function showError(
  { errorPage }: ProviderPorts,
  ctx: KoaContextWithOIDC,
  out: { readonly error: string; readonly error_description?: string | undefined },
): void {
  const page =
    ctx.accepts('json', 'html') === 'html' && errorPage?.({ error: out.error, detail: out.error_description ?? '' })
  if (!page) {
    ctx.body = out
    return
  }
  ctx.type = 'html'
  ctx.set('content-security-policy', page.policy)
  ctx.body = page.html
}
