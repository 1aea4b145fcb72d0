import { consentLimits } from './limits.js'

/** A private-use scheme in the form of a domain name turned round, with a dot (RFC 8252 §7.1). */
const privateScheme = /^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$/
const loopbackHosts: readonly string[] = ['127.0.0.1', '[::1]']

/**
 * Why a redirect URI cannot be registered; undefined where it can. Taken are https, http on a loopback address
 * (RFC 8252 §7.3; the name `localhost` is not one, §8.3), and for native apps a private-use scheme. Refused is whatever two
 * readers could take for different places: fragments, user names, wildcards, dot segments, other than the normal form.
 */
export function faultOfRedirect(uri: string, kind: 'web' | 'native'): string | undefined {
  const url = parsed(uri)
  if (!url) return 'An absolute URI in its normal form, of printable ASCII without spaces, \\ and *'
  if (uri.includes('#')) return 'No fragment'
  if (hasUserInfo(uri, url)) return 'No user name or password'
  const scheme = url.protocol.slice(0, -1)
  if (scheme === 'https') return isNormal(uri, url) ? undefined : 'A URI in its normal form'
  if (scheme === 'http') {
    if (!loopbackHosts.includes(url.hostname)) return 'http only on 127.0.0.1 or [::1]'
    return isNormal(uri, url) ? undefined : 'A URI in its normal form'
  }
  if (kind !== 'native' || !privateScheme.test(scheme))
    return 'https; http on 127.0.0.1 or [::1]; for a native app also a scheme of its own such as com.example.app'
  return uri.startsWith(`${scheme}:/`) && !/\/\.{1,2}(\/|\?|$)/.test(uri)
    ? undefined
    : 'A path after the scheme, `com.example.app:/done`'
}

/** Why a URL of an app's pages, keys or webhook cannot be registered; undefined where it can: https, without fragment and user. */
export function faultOfUrl(text: string): string | undefined {
  const url = parsed(text)
  if (url?.protocol !== 'https:') return 'An https URL'
  return hasUserInfo(text, url) || text.includes('#') ? 'Without user name and fragment' : undefined
}

/** Whether an app may be answered there: exactly as registered, on a loopback address whatever the port (RFC 8252 §7.3). */
export function isRegisteredRedirect(registered: readonly string[], asked: string): boolean {
  if (registered.includes(asked)) return true
  const place = withoutLoopbackPort(asked)
  return place !== undefined && registered.some((one) => withoutLoopbackPort(one) === place)
}

/** Taken apart as text, so that nothing but the port can differ. */
function withoutLoopbackPort(uri: string): string | undefined {
  const parts = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]))(?::(\d{1,5}))?([/?][!-~]*)?$/.exec(uri)
  if (!parts || uri.length > consentLimits.urlCharacters || Number(parts[2] ?? 80) > 65_535) return undefined
  return (parts[1] ?? '') + (parts[3] ?? '')
}

function parsed(text: string): URL | undefined {
  if (text.length > consentLimits.urlCharacters || !/^[a-z][a-z0-9+.-]*:[!-~]*$/.test(text)) return undefined
  if (/[\\*<>"^`{|}]/.test(text)) return undefined
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

function hasUserInfo(text: string, { username, password }: URL): boolean {
  return username !== '' || password !== '' || (/^[^:]+:\/\/([^/?#]*)/.exec(text)?.[1]?.includes('@') ?? false)
}

/** Nothing that a parser would write otherwise: case of the host, a default port, dot segments. An empty path may stay so. */
function isNormal(text: string, { href }: URL): boolean {
  return href === text || href === `${text}/`
}
