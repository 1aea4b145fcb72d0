const encryptedTypes = new Set(['application/pkcs7-mime', 'application/x-pkcs7-mime'])
const encryptedKinds = new Set(['enveloped-data', 'authenveloped-data'])

/**
 * Whether a header block (Latin-1, CRLF lines, without the empty line) announces an encrypted S/MIME entity:
 * application/pkcs7-mime whose smime-type is enveloped-data, authEnveloped-data or absent (RFC 8551 §3.2).
 * Two Content-Type fields are no announcement: each reader would choose its own. What the bytes truly are is
 * found out when they are opened.
 */
export function announcesEncryption(headerBlock: string): boolean {
  const fields = headerBlock
    .replace(/\r\n(?=[ \t])/g, '') // unfolding, RFC 5322 §2.2.3
    .split('\r\n')
    .filter((line) => /^content-type[ \t]*:/i.test(line))
  const [field] = fields
  if (field === undefined || fields.length !== 1) return false
  const type = readContentType(field.slice(field.indexOf(':') + 1))
  if (!type || !encryptedTypes.has(type.essence)) return false
  return type.smimeType === undefined || encryptedKinds.has(type.smimeType)
}

/** Reads `type/subtype` and the smime-type parameter (RFC 2045 §5.1), both lower-cased; undefined where it is neither. */
function readContentType(value: string): { essence: string; smimeType?: string } | undefined {
  const [first = '', ...parameters] = splitParameters(value)
  const essence = first.toLowerCase()
  if (!/^[!#$%&'*+.^_`{|}~0-9a-z-]+\/[!#$%&'*+.^_`{|}~0-9a-z-]+$/.test(essence)) return undefined
  const kinds = parameters
    .map((parameter) => parameter.split('='))
    .filter(([name]) => name?.toLowerCase() === 'smime-type')
    .map(([, ...rest]) => rest.join('=').toLowerCase())
  if (kinds.length > 1) return undefined
  return kinds[0] === undefined ? { essence } : { essence, smimeType: kinds[0] }
}

/** The parts between semicolons, with quotes undone and comments and white space left out (RFC 5322 §3.2.2). */
function splitParameters(value: string): string[] {
  const parts: string[] = []
  let part = ''
  let commentDepth = 0
  let quoted = false
  for (let at = 0; at < value.length; at++) {
    const char = value.charAt(at)
    if (char === '\\' && (quoted || commentDepth > 0)) {
      at++
      if (quoted) part += value.charAt(at)
    } else if (quoted) {
      if (char === '"') quoted = false
      else part += char
    } else if (char === '(') commentDepth++
    else if (char === ')' && commentDepth > 0) commentDepth--
    else if (commentDepth > 0 || char === ' ' || char === '\t') continue
    else if (char === '"') quoted = true
    else if (char === ';') {
      parts.push(part)
      part = ''
    } else part += char
  }
  return [...parts, part]
}
