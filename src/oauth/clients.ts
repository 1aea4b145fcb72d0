import type { App } from '../consent/consent.js'

/** An application as a client (RFC 7591 §2). */
export interface ClientMetadata {
  readonly client_id: string
  readonly client_name: string
  readonly application_type: 'web' | 'native'
  readonly redirect_uris: string[]
  readonly response_types: 'code'[]
  readonly response_modes?: string[]
  readonly grant_types: string[]
  readonly token_endpoint_auth_method: 'private_key_jwt' | 'none'
  readonly jwks?: { keys: Record<string, unknown>[] }
  readonly jwks_uri?: string
}

export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code'

/**
 * What an application may do at the authorization server. One with keys proves with them who it is; one without is public.
 * A backend speaks for itself only, and only with a key; none has a secret that could be copied.
 */
export function clientOf(app: App): ClientMetadata | undefined {
  if (app.state !== 'active') return undefined
  const hasKeys = app.jwks !== undefined || app.jwksUri !== undefined
  const common = {
    client_id: app.id,
    client_name: app.name,
    token_endpoint_auth_method: hasKeys ? ('private_key_jwt' as const) : ('none' as const),
    ...(app.jwks
      ? { jwks: { keys: app.jwks.keys.map((key) => ({ ...key })) } }
      : app.jwksUri !== undefined && { jwks_uri: app.jwksUri }),
  }
  switch (app.kind) {
    case 'web':
    case 'native':
      return {
        ...common,
        application_type: app.kind,
        redirect_uris: [...app.redirectUris],
        ...(app.redirectUris.length > 0
          ? { response_types: ['code'], response_modes: ['query'] }
          : { response_types: [] }),
        grant_types: [
          ...(app.redirectUris.length > 0 ? ['authorization_code'] : []),
          'refresh_token',
          ...(app.kind === 'native' ? [deviceGrant] : []),
        ],
      }
    case 'clinic':
    case 'master':
      if (!hasKeys) return undefined
      return {
        ...common,
        application_type: 'web',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      }
  }
}
