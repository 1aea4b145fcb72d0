import { proofAlgorithms } from './dpop.js'
import { resourceOf, routes } from './places.js'
import { appScopes, plainScopes } from './scopes.js'

/** What SMART clients read first (SMART App Launch 2.2 §7.1), at `.well-known/smart-configuration`. */
export function smartConfiguration(issuer: string): Readonly<Record<string, unknown>> {
  const at = (path: string) => `${issuer}${path}`
  return {
    issuer,
    jwks_uri: at(routes.jwks),
    authorization_endpoint: at(routes.authorization),
    token_endpoint: at(routes.token),
    token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384', 'RS256', 'ES256', 'PS256', 'PS384', 'EdDSA'],
    registration_endpoint: at('/oauth/register'),
    introspection_endpoint: at(routes.introspection),
    revocation_endpoint: at(routes.revocation),
    userinfo_endpoint: at(routes.userinfo),
    device_authorization_endpoint: at(routes.device_authorization),
    pushed_authorization_request_endpoint: at(routes.pushed_authorization_request),
    user_access_management_endpoint: at('/account/apps'),
    scopes_supported: [...plainScopes, 'patient/*.cruds', 'patient/*.rs', 'system/*.cruds', ...appScopes],
    response_types_supported: ['code'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'urn:ietf:params:oauth:grant-type:device_code',
    ],
    code_challenge_methods_supported: ['S256'],
    dpop_signing_alg_values_supported: proofAlgorithms,
    authorization_response_iss_parameter_supported: true,
    associated_endpoints: [
      { url: resourceOf(issuer), capabilities: ['permission-patient', 'context-standalone-patient'] },
    ],
    capabilities,
  }
}

/** SMART App Launch 2.2 §7.1.2. */
export const capabilities = [
  'launch-standalone',
  'authorize-post',
  'client-public',
  'client-confidential-asymmetric',
  'context-standalone-patient',
  'permission-offline',
  'permission-online',
  'permission-patient',
  'permission-v1',
  'permission-v2',
  'sso-openid-connect',
] as const
