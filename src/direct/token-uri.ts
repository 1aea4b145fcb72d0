/** Names one private key in a PKCS#11 token, in the form of RFC 7512 §2.3, its attributes in one order. Holds no PIN. */
export type TokenUri = string & { readonly __brand: 'TokenUri' }

/** What a token and a key in it must have to be the one meant; an absent attribute matches all. */
export interface TokenKeyName {
  readonly token?: string
  readonly manufacturer?: string
  readonly model?: string
  readonly serial?: string
  readonly slotId?: number
  /** CKA_LABEL. */
  readonly object?: string
  /** CKA_ID. */
  readonly id?: Uint8Array
}

export const tokenUriLimits = {
  /** The fields of a token's own name have at most 32 octets; labels and ids of keys are short. */
  characters: 1_000,
}

export type TokenUriOutcome =
  | { readonly kind: 'uri'; readonly uri: TokenUri; readonly name: TokenKeyName }
  | { readonly kind: 'refused'; readonly detail: string }

const texts = ['token', 'manufacturer', 'model', 'serial', 'object'] as const
/** RFC 7512 §2.3: `pk11-res-avail` and the unreserved characters. */
const valueForm = /^(?:[A-Za-z0-9._~:[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*$/

/**
 * Reads a PKCS#11 URI that names a private key by `object` or `id`. Refuses a query, for there stand PINs and the module,
 * which are settings; attributes that occur twice or that no key is found by here; and what is not well formed.
 */
export function parseTokenUri(text: string): TokenUriOutcome {
  if (text.length > tokenUriLimits.characters) return refused('it is too long')
  if (!/^pkcs11:/i.test(text)) return refused('it does not begin with pkcs11:')
  if (text.includes('?')) return refused('PIN and module are settings (pkcs11.pinFile, pkcs11.module), not part of it')
  const found = new Map<string, Buffer>()
  for (const part of text.slice('pkcs11:'.length).split(';').filter(Boolean)) {
    const [name = '', value] = split(part)
    if (value === undefined || !valueForm.test(value))
      return refused(`${name} has no value, or one that is badly written`)
    if (found.has(name)) return refused(`${name} stands there twice`)
    found.set(name, octets(value))
  }
  const name: { -readonly [field in keyof TokenKeyName]: TokenKeyName[field] } = {}
  for (const [attribute, value] of found) {
    const known = texts.find((one) => one === attribute)
    if (known) {
      const decoded = utf8(value)
      if (decoded === undefined) return refused(`${attribute} is not text`)
      name[known] = decoded
    } else if (attribute === 'id') name.id = Uint8Array.from(value)
    else if (attribute === 'slot-id' && /^\d{1,15}$/.test(value.toString())) name.slotId = Number(value.toString())
    else if (attribute !== 'type' || value.toString() !== 'private')
      return refused(`${attribute} is not what a private key is found by here`)
  }
  if (!name.object && !name.id?.length) return refused('it names no key: object or id is missing')
  return { kind: 'uri', uri: written(name), name }
}

function split(part: string): [name: string, value?: string] {
  const at = part.indexOf('=')
  return at < 0 ? [part] : [part.slice(0, at), part.slice(at + 1)]
}

function octets(value: string): Buffer {
  return Buffer.from(
    value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

function utf8(value: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    return undefined
  }
}

function written(name: TokenKeyName): TokenUri {
  const parts = texts.flatMap((one) => (name[one] === undefined ? [] : [`${one}=${escaped(Buffer.from(name[one]))}`]))
  if (name.slotId !== undefined) parts.push(`slot-id=${name.slotId}`)
  // RFC 7512 §2.3: every octet of an id is escaped.
  if (name.id) parts.push(`id=${[...name.id].map(percent).join('')}`)
  return `pkcs11:${parts.join(';')}` as TokenUri
}

function escaped(value: Uint8Array): string {
  return [...value]
    .map((octet) => (/[A-Za-z0-9._~-]/.test(String.fromCharCode(octet)) ? String.fromCharCode(octet) : percent(octet)))
    .join('')
}

const percent = (octet: number) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`

function refused(detail: string): TokenUriOutcome {
  return { kind: 'refused', detail: `Not a PKCS#11 URI of a key: ${detail}` }
}
