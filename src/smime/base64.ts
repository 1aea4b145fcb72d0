/** Reads base64 that comes in chunks and writes the octets into one buffer. */
export interface Base64Reader {
  push(chunk: Buffer): void
  /** The octets read; a view of the target. */
  end(): Buffer
}

const lineFeed = 10

/**
 * A base64 reader (RFC 2045 §6.8) that writes into `target`, which must hold three quarters of what is pushed; it may be
 * the memory that is read, for what is written never overtakes it. Lines of equal length go through the platform's
 * decoder a chunk at a time; anything else is freed of foreign characters first. The first padding ends the data: what
 * a list server appends after it is nothing.
 */
export function base64Reader(target: Buffer): Base64Reader {
  let written = 0
  let held = '' // the open line of the chunk before, or what a loose reading left over
  let ended = false

  const loosely = (text: string) => {
    const plain = text.replace(/[^A-Za-z0-9+/=]+/g, '')
    const padding = plain.indexOf('=')
    ended = padding >= 0
    const whole = ended ? padding : plain.length - (plain.length % 4)
    written += target.write(plain.slice(0, whole), written, 'base64')
    held = ended ? '' : plain.slice(whole)
  }
  return {
    push(chunk) {
      if (ended) return
      let start = 0
      if (held) {
        // The open line goes first, alone, so that the rest begins with a line and is one string.
        start = chunk.indexOf(lineFeed) + 1 || chunk.length
        loosely(held + chunk.toString('latin1', 0, start))
        if (ended || start === chunk.length) return
      }
      const lines = held ? undefined : equalLines(chunk, start)
      const text = chunk.toString('latin1', start) // before writing, which may overwrite the chunk
      if (lines && target.write(text.slice(0, lines.characters), written, 'base64') === lines.octets) {
        written += lines.octets
        held = text.slice(lines.characters)
      } else loosely(held + text)
    },
    end() {
      if (!ended && held) written += target.write(held.replace(/[^A-Za-z0-9+/]+/g, ''), written, 'base64')
      return target.subarray(0, written)
    },
  }
}

/** The lines from `start` on that are of one length, if each is a whole number of groups: all their characters, and the octets they hold. */
function equalLines(
  chunk: Buffer,
  start: number,
): { readonly characters: number; readonly octets: number } | undefined {
  const line = chunk.indexOf(lineFeed, start) + 1 - start
  const width = line - (chunk[start + line - 2] === 13 ? 2 : 1)
  if (width < 4 || width % 4 !== 0) return undefined
  const count = Math.floor((chunk.length - start) / line)
  const end = start + count * line
  for (let at = start + line - 1; at < end; at += line) if (chunk[at] !== lineFeed) return undefined
  return { characters: end - start, octets: (count * width * 3) / 4 }
}

/** Octets of one line of 76 characters. */
const lineOctets = 57
/** Encoded at once: a whole number of lines that stays in cache. */
export const base64BlockBytes = 1024 * lineOctets

/** How many characters `octets` take in lines of 76 with CRLF, the last line break included. */
export function base64LineBytes(octets: number): number {
  return Math.ceil(octets / 3) * 4 + Math.ceil(octets / lineOctets) * 2
}

/**
 * Writes `octets` as base64 lines of 76 characters with CRLF (RFC 2045 §6.8) and answers the offset behind them. To
 * continue in a later call, give a multiple of 57 octets.
 */
export function writeBase64Lines(octets: Buffer, into: Buffer, offset: number): number {
  let at = offset
  for (let from = 0; from < octets.length; from += base64BlockBytes) {
    const text = octets.toString('base64', from, Math.min(from + base64BlockBytes, octets.length))
    let lines = ''
    for (let i = 0; i < text.length; i += 76) lines += `${text.slice(i, i + 76)}\r\n`
    at += into.write(lines, at, 'latin1')
  }
  return at
}
