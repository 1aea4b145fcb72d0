/** Where each endpoint is. */
export const routes = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  jwks: '/oauth/jwks',
  pushed_authorization_request: '/oauth/par',
  introspection: '/oauth/introspect',
  revocation: '/oauth/revoke',
  userinfo: '/oauth/userinfo',
  device_authorization: '/oauth/device-authorization',
  /** Our own page: the provider only tells devices of it. */
  code_verification: '/device',
} as const

/** Names of the provider's cookies; both are bound to the path of one request. */
export const cookieNames = { session: 'oauth-none', interaction: 'oauth-interaction', resume: 'oauth-resume' } as const

/** Where a person decides on a request. */
export function decisionPath(uid: string): string {
  return `/authorize/${uid}`
}

/** The resource that tokens are for, as SMART clients name it in `aud`. */
export function resourceOf(issuer: string): string {
  return `${issuer}/fhir`
}
