import type { RefusalReason } from '../direct/refusal.js'
import { announcesEncryption } from './entity.js'
import type { SmtpLimits } from './limits.js'

const nul = 0x00
const lf = 0x0a
const cr = 0x0d

export interface WireGuard {
  /** Looks at the next bytes; the first thing wrong with them, or undefined. After a refusal it must not be asked again. */
  take(chunk: Uint8Array): RefusalReason | undefined
  /** Says what is wrong with a message that ends here, or undefined when it may be kept. */
  end(): RefusalReason | undefined
  /** Bytes seen so far. */
  sizeBytes(): number
  /** Length of the longest line, CRLF excluded: over 998 breaks RFC 5322 §2.1.1 and is counted, not refused. */
  longestLineBytes(): number
}

/** What a message must be beside well-formed. */
export interface WireRules {
  readonly encryptedOnly: boolean
  /** What speaks against a header block: Latin-1, CRLF lines, without the empty line. */
  readonly refuseHeader?: (headerBlock: string) => RefusalReason | undefined
}

/**
 * Judges the bytes of DATA as they pass, in chunks of any size: CRLF is the only line ending (RFC 5321 §2.3.8; anything
 * else has smuggled second messages past other servers), no NUL, lines, header block and message within their limits,
 * and the header block announces encryption, unless the message itself is wanted.
 */
export function wireGuard(
  limits: Pick<SmtpLimits, 'messageBytes' | 'headerBytes' | 'lineBytes'>,
  { encryptedOnly, refuseHeader }: WireRules = { encryptedOnly: true },
): WireGuard {
  let sizeBytes = 0
  let lineBytes = 0
  let longestLineBytes = 0
  let afterCr = false
  /** The header block as it grows; undefined once it was judged. */
  let header: string | undefined = ''

  /** The index just after the empty line that ends the header block, or the reason the bytes are refused. */
  function scan(chunk: Buffer): RefusalReason | number | undefined {
    let headerEnd: number | undefined
    let at = 0
    if (afterCr && chunk.length > 0) {
      if (chunk[0] !== lf) return 'bad-line-ending'
      headerEnd = endLine(1)
      at = 1
    }
    // Line by line, found by memchr: a JavaScript loop over the bytes was a quarter of all work of this listener.
    if (chunk.indexOf(nul, at) >= 0) return 'bad-line-ending'
    while (at < chunk.length) {
      const found = chunk.indexOf(cr, at)
      const end = found < 0 ? chunk.length : found
      lineBytes += end - at
      if (lineBytes > limits.lineBytes) return 'line-too-long'
      const firstLf = chunk.indexOf(lf, at)
      if (firstLf >= 0 && firstLf < end) return 'bad-line-ending'
      if (found < 0) return headerEnd
      if (end + 1 === chunk.length) {
        afterCr = true
        return headerEnd
      }
      if (firstLf !== end + 1) return 'bad-line-ending'
      at = end + 2
      const ended = endLine(at)
      headerEnd ??= ended
    }
    return headerEnd
  }

  /** A CRLF was read; answers `next` where it ends the empty line behind the header block. */
  function endLine(next: number): number | undefined {
    const endsHeader = lineBytes === 0 && header !== undefined
    if (lineBytes > longestLineBytes) longestLineBytes = lineBytes
    lineBytes = 0
    afterCr = false
    return endsHeader ? next : undefined
  }

  function judgeHeader(complete: boolean): RefusalReason | undefined {
    if (header === undefined) return undefined
    if (header.length > limits.headerBytes) return 'header-too-large'
    if (!complete) return undefined
    const block = header
    header = undefined
    if (encryptedOnly && !announcesEncryption(block)) return 'not-encrypted'
    return refuseHeader?.(block)
  }

  return {
    take(chunk) {
      sizeBytes += chunk.length
      if (sizeBytes > limits.messageBytes) return 'message-too-large'
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      const found = scan(bytes)
      if (typeof found === 'string') return found
      if (header === undefined) return undefined
      header += bytes.toString('latin1', 0, found)
      return judgeHeader(found !== undefined)
    },
    end() {
      if (afterCr) return 'bad-line-ending'
      return judgeHeader(true)
    },
    sizeBytes: () => sizeBytes,
    longestLineBytes: () => Math.max(longestLineBytes, lineBytes),
  }
}
