import './quiet.js'

import type { FastifyInstance } from 'fastify'
import type { Provider } from 'oidc-provider'
import type { Apps, Consents } from '../consent/consent.js'
import type { Decisions } from '../consent/decisions.js'
import type { People } from '../people/people.js'
import type { ConditionalFetch } from '../ports/fetch.js'
import type { Store } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import { userCodeRow } from './adapter.js'
import { holderOf, type TokenHolder } from './authenticate.js'
import { openDecisions } from './decisions.js'
import type { Presented } from './dpop.js'
import { type OauthLimits, oauthLimits } from './limits.js'
import { smartConfiguration } from './metadata.js'
import { type Callback, mountOauth } from './mount.js'
import { openProvider, type ProviderPorts } from './provider.js'
import { openRegistration, type Registration } from './registration.js'
import { openRows } from './rows.js'
import { currentSecrets, type Secrets } from './secrets.js'

export interface OauthPorts {
  readonly store: Store
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly apps: Apps
  readonly consents: Consents
  readonly people: Pick<People, 'person' | 'sessions' | 'records'>
  /** Fetches the keys of clients that keep them at a place of their own: never from private addresses. */
  readonly fetch: ConditionalFetch
  readonly log: { error(event: string, fields: Readonly<Record<string, string>>): void }
}

export interface OauthOptions {
  /** Where clients see us: an origin, `https://gw.example`. Plain HTTP for loopback only. */
  readonly issuer: string
  /** A page for somebody at a browser whose request leads nowhere. */
  readonly errorPage?: NonNullable<ProviderPorts['errorPage']>
  readonly limits?: Partial<OauthLimits>
}

/** The authorization server: OAuth 2.1, OpenID Connect, SMART App Launch 2.2 and Backend Services. */
export interface Oauth {
  /** Its endpoints, for the server of the API. */
  readonly plugin: (app: FastifyInstance) => Promise<void>
  /** Who holds an access token now; undefined for whatever is none. `presented`: what the request says beside it. */
  authenticate(secret: string, presented?: Presented & { readonly address?: string }): Promise<TokenHolder | undefined>
  /** For the pages on which people decide. */
  readonly decisions: Decisions
  readonly registration: Registration
  readonly smartConfiguration: Readonly<Record<string, unknown>>
  /** Takes away what ended, some rows at a time; to be called now and then. */
  sweep(after?: string): Promise<{ readonly swept: number; readonly next?: string }>
}

/** Opens the authorization server. Throws where the issuer is no origin, or would send tokens over plain HTTP. */
export async function openOauth(ports: OauthPorts, options: OauthOptions): Promise<Oauth> {
  const issuer = originOf(options.issuer)
  const limits = { ...oauthLimits, ...options.limits }
  const { clock, log } = ports
  const rows = openRows(ports)
  const common = { ...ports, issuer, limits, rows }
  const failed = (name: string) => log.error('oauth.failed', { name })
  const { errorPage } = options
  const ask = () => currentSecrets(common)

  let { secrets, version } = await ask()
  let lookAt = clock.now() + limits.keyLookMs
  let callback = callbackOf(provide(secrets))

  function provide(now: Secrets): Provider {
    return openProvider({ ...common, failed, ...(errorPage && { errorPage }) }, now)
  }

  /** The provider with the keys of now: another process may have replaced them. */
  async function current(): Promise<Callback> {
    if (clock.now() < lookAt) return callback
    lookAt = clock.now() + limits.keyLookMs
    const fresh = await ask()
    if (fresh.version !== version) {
      ;({ secrets, version } = fresh)
      callback = callbackOf(provide(secrets))
    }
    return callback
  }

  const registration = openRegistration(common)
  return {
    plugin: mountOauth(issuer, current, registration),
    authenticate: (secret, presented) => holderOf(common, secret, presented),
    decisions: openDecisions({ ...common, userCodeRow: (text) => userCodeRow(secrets.userCode, text) }),
    registration,
    smartConfiguration: smartConfiguration(issuer),
    sweep: (after) => rows.sweep(limits.sweepRows, after),
  }
}

function callbackOf(provider: Provider): Callback {
  return provider.callback() as Callback
}

function originOf(text: string): string {
  const url = new URL(text)
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.origin !== text || (url.protocol !== 'https:' && !isLocal))
    throw new Error(`the issuer ${text} must be an https origin without a path`)
  return text
}
