/** Longer names are cut; most file systems take 255 octets. */
const nameChars = 200

/**
 * Content-Disposition that always saves and never shows: an ASCII name for old clients and the real one in UTF-8
 * (RFC 6266 §4.1, RFC 8187 §3.2). The name is a stranger's: path separators, control and direction-changing
 * characters are replaced.
 */
export function attachmentDisposition(name: string | undefined, fallback: string): string {
  const safe = safeName(name ?? '') || fallback
  const ascii = safe.replace(/[^\x20-\x7e]/g, '_').replace(/["\\%]/g, '_')
  const plain = `attachment; filename="${ascii}"`
  return ascii === safe ? plain : `${plain}; filename*=UTF-8''${encode(safe)}`
}

function safeName(name: string): string {
  return [...name.normalize('NFC').replace(/\p{Cs}/gu, '')]
    .map((char) => (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}/\\:*?<>|]/u.test(char) ? '_' : char))
    .slice(0, nameChars)
    .join('')
    .replace(/^[\s.]+|[\s.]+$/g, '')
}

/** Percent-encoding of all but attr-char (RFC 8187 §3.2.1). */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** A media type as a Content-Type we are willing to say: type/subtype in token characters, else octet-stream (RFC 9110 §8.3.1). */
export function safeMediaType(mediaType: string): string {
  const [bare = ''] = mediaType.split(';')
  const type = bare.trim().toLowerCase()
  return /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/.test(type) ? type : 'application/octet-stream'
}
