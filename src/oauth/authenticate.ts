import type { Apps } from '../consent/consent.js'
import { isInNetworks } from '../consent/networks.js'
import type { SmartScope } from '../direct/smart-scopes.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { type BindingPorts, bindingIn, isGood } from './binding.js'
import { isProved, type Presented } from './dpop.js'
import type { OauthLimits } from './limits.js'
import { type Rows, rowKey } from './rows.js'
import { resourceScopes, wordsOf } from './scopes.js'

/** The kinds of request that a token may be for, in the words of the API. */
type HolderScope = 'record:read' | 'record:write' | 'connect' | 'drop-off'

/** Who holds a token, in the terms of the API's callers. */
export interface TokenHolder {
  /** As the audit log names it. */
  readonly by: string
  readonly scopes: readonly HolderScope[]
  readonly reach:
    | {
        readonly kind: 'grant'
        readonly grant: string
        readonly app: string
        readonly person: string
        readonly record: string
        readonly avenue: 'online' | 'offline'
        /** No more than these of what the grant allows. */
        readonly within: readonly SmartScope[]
      }
    | { readonly kind: 'app'; readonly app: string; readonly within: readonly SmartScope[] }
}

export interface AuthenticatePorts extends BindingPorts {
  readonly rows: Rows
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  readonly apps: Pick<Apps, 'get'>
  readonly limits: OauthLimits
  readonly issuer: string
}

/** 256 random bits, as the provider writes them. */
const tokenForm = /^[\w-]{43}$/

/**
 * Who holds an access token now: asked for every request, so that what was revoked ends at once. A token bound to a key
 * comes with a proof of it, and only such a one does (RFC 9449 §7). Undefined for everything else.
 */
export async function holderOf(
  ports: AuthenticatePorts,
  secret: string,
  presented?: Presented & { readonly address?: string },
): Promise<TokenHolder | undefined> {
  if (!tokenForm.test(secret)) return undefined
  const token = await tokenOf(ports, secret)
  if (!token || !(await mayCome(ports, token, presented))) return undefined
  const holder = token.grant === undefined ? backend(token) : await granted(ports, token)
  if (!holder || token.thumbprint === undefined || !presented) return holder
  const { thumbprint, client } = token
  return (await isProved(ports, presented, { secret, thumbprint, client })) ? holder : undefined
}

/** Whether the application is in force, comes from where it may, and in the way that its token is for. */
async function mayCome(
  { apps }: AuthenticatePorts,
  { client, thumbprint }: Token,
  presented: (Presented & { readonly address?: string }) | undefined,
): Promise<boolean> {
  const app = await apps.get(client)
  if (app?.state !== 'active') return false
  if (app.networks && !isInNetworks(app.networks, presented?.address ?? '')) return false
  return (thumbprint !== undefined) === (presented?.scheme === 'DPoP')
}

interface Token {
  readonly client: string
  readonly words: readonly string[]
  readonly grant?: string
  readonly thumbprint?: string
}

async function tokenOf({ rows }: AuthenticatePorts, secret: string): Promise<Token | undefined> {
  const [person, app] = await Promise.all([
    rows.get(rowKey('AccessToken', secret)),
    rows.get(rowKey('ClientCredentials', secret)),
  ])
  const { clientId, scope, grantId, jkt } = (person ?? app)?.payload ?? {}
  // A token of a person without its grant is no token of a backend.
  if (typeof clientId !== 'string' || (person && typeof grantId !== 'string')) return undefined
  return {
    client: clientId,
    words: wordsOf(scope),
    ...(typeof grantId === 'string' && { grant: grantId }),
    ...(typeof jkt === 'string' && { thumbprint: jkt }),
  }
}

/** A backend for itself. */
function backend({ client, words }: Token): TokenHolder {
  const within = resourceScopes(words).filter(({ context }) => context === 'system')
  const named = words.filter((word) => word === 'connect' || word === 'drop-off')
  return {
    by: `app:${client}`,
    scopes: [...new Set([...named, ...kindsOf(within)])],
    reach: { kind: 'app', app: client, within },
  }
}

/** An application with what a person granted it; undefined where that ended, and for one that only knows who they are. */
async function granted(
  ports: AuthenticatePorts,
  { client, words, grant = '' }: Token,
): Promise<TokenHolder | undefined> {
  const row = await ports.rows.get(rowKey('Grant', grant))
  const binding = bindingIn(row?.payload['rar'])
  if (!binding?.access || row?.payload['clientId'] !== client || !(await isGood(ports, binding))) return undefined
  const within = resourceScopes(words).filter(({ context }) => context === 'patient')
  const { person, avenue, access } = binding
  return {
    by: `app:${client}`,
    scopes: kindsOf(within),
    reach: { kind: 'grant', grant: access.grant, app: client, person, record: access.record, avenue, within },
  }
}

/** The kinds of request that scopes are for. */
function kindsOf(scopes: readonly SmartScope[]): HolderScope[] {
  const may = new Set(scopes.flatMap(({ interactions }) => interactions))
  return [
    ...(may.has('r') || may.has('s') ? ['record:read' as const] : []),
    ...(may.has('c') || may.has('u') || may.has('d') ? ['record:write' as const] : []),
  ]
}
