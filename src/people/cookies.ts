import { sessionCookie } from './people.js'

/** Names of cookies: with `__Host-` no other host and no plain connection can set them (RFC 6265bis §4.1.3.2). */
export const cookieNames = {
  session: sessionCookie,
  /** Before anybody signed in: what forms are bound to. */
  visitor: { secure: '__Host-visitor', plain: 'visitor' },
  /** A browser in which somebody signed in before: its failures are counted apart from those of strangers. */
  device: { secure: '__Host-device', plain: 'device' },
} as const

export type CookieName = keyof typeof cookieNames

/** Longer Cookie headers are not read: ours have some 200 characters. */
const headerChars = 8192

/** The value of a cookie of ours in a Cookie header; the first where it comes twice. */
export function readCookie(header: string | undefined, name: CookieName, origin: string): string | undefined {
  if (header === undefined || header.length > headerChars) return undefined
  const wanted = nameOf(name, origin)
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === wanted) {
      const value = pair.slice(at + 1).trim()
      return /^[\w.-]{1,512}$/.test(value) ? value : undefined
    }
  }
  return undefined
}

/** A Set-Cookie header; without a value the cookie is taken away. `origin` decides whether it is Secure. */
export function writeCookie(name: CookieName, value: string | undefined, origin: string, maxAgeMs?: number): string {
  return [
    `${nameOf(name, origin)}=${value ?? ''}`,
    'Path=/',
    'HttpOnly',
    'SameSite=Lax',
    ...(isSecure(origin) ? ['Secure'] : []),
    ...(value === undefined ? ['Max-Age=0'] : maxAgeMs === undefined ? [] : [`Max-Age=${Math.floor(maxAgeMs / 1000)}`]),
  ].join('; ')
}

/**
 * Whether a change was asked for by a page of ours: what browsers say of where a request comes from (Fetch Metadata, and
 * RFC 6454 §7). A client that says neither is no browser, and brings no cookies by accident.
 */
export function isSameOrigin(
  headers: { readonly origin?: string | undefined; readonly 'sec-fetch-site'?: string | string[] | undefined },
  origin: string,
): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (headers.origin !== undefined) return headers.origin === origin
  return true
}

function nameOf(name: CookieName, origin: string): string {
  return cookieNames[name][isSecure(origin) ? 'secure' : 'plain']
}

function isSecure(origin: string): boolean {
  return origin.startsWith('https://')
}
