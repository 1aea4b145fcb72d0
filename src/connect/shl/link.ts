import { type LinkLimits, linkLimits } from './limits.js'

/** What a SMART Health Link says (SMART Health Cards and Links 1.0.0, `shlPayload`). */
export interface HealthLink {
  readonly url: string
  /** 32 bytes. */
  readonly key: Uint8Array
  /** Unix seconds: a hint. */
  readonly exp?: number
  /** Long-term, passcode, direct file; flags that are not known are passed over. */
  readonly flags: readonly ('L' | 'P' | 'U')[]
  readonly label?: string
}

export type LinkOutcome =
  | { readonly kind: 'link'; readonly link: HealthLink }
  | { readonly kind: 'refused'; readonly detail: string }

/** Writes a link as `shlink:/…`. */
export function writeLink({ url, key, exp, flags, label }: HealthLink): string {
  const payload = {
    ...{ url, key: Buffer.from(key).toString('base64url') },
    ...(exp !== undefined && { exp }),
    ...(flags.length > 0 && { flag: flags.toSorted().join('') }),
    ...(label !== undefined && { label }),
    v: 1,
  }
  return `shlink:/${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
}

/** Reads what somebody pasted: a link, alone or behind a viewer's address. Refuses another version, and what is not as the standard says. */
export function readLink(text: string, limits: LinkLimits = linkLimits): LinkOutcome {
  const refused = (detail: string) => ({ kind: 'refused' as const, detail })
  if (text.length > limits.pastedChars) return refused('it is too long')
  const payload = /^(?:https:\/\/[^\s#]*#)?shlink:\/([A-Za-z0-9_-]+)$/.exec(text.trim())?.[1]
  if (payload === undefined) return refused('it is no SMART Health Link')
  const read = objectOf(payload)
  if (!read) return refused('what is in it does not read')
  const { url, key, exp, flag = '', label, v = 1 } = read
  if (v !== 1) return refused('it is of a version that is not known here')
  if (typeof url !== 'string' || url.length > limits.urlChars || !URL.canParse(url)) return refused('its url')
  if (new URL(url).protocol !== 'https:') return refused('its url is not of https')
  if (typeof key !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(key)) return refused('its key')
  if (exp !== undefined && !(typeof exp === 'number' && Number.isFinite(exp) && exp > 0)) return refused('its exp')
  if (typeof flag !== 'string' || flag.length > 26) return refused('its flag')
  if (label !== undefined && (typeof label !== 'string' || label.length > limits.labelChars))
    return refused('its label')
  const flags = (['L', 'P', 'U'] as const).filter((one) => flag.includes(one))
  if (flags.includes('P') && flags.includes('U')) return refused('it has both a passcode and a direct file')
  const link = {
    ...{ url, key: Buffer.from(key, 'base64url'), flags },
    ...(exp !== undefined && { exp }),
    ...(label !== undefined && { label }),
  }
  return { kind: 'link', link }
}

function objectOf(payload: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(payload, 'base64url'))
    const read: unknown = JSON.parse(text)
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? { ...read } : undefined
  } catch {
    return undefined
  }
}
