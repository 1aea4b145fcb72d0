/** Reads base64 that comes in chunks and writes the octets into one buffer. */
export interface Base64Reader {
  push(chunk: Buffer): void
  /** The octets read; a view of the target. */
  end(): Buffer
}

const lineEnd = 10

/**
 * A base64 reader (RFC 2045 §6.8) that writes into `target`, which must hold three quarters of what is pushed. Lines of
 * equal length go through the platform's decoder a chunk at a time; anything else is freed of foreign characters first.
 * The first padding ends the data: what a list server appends after it is nothing.
 */
export function base64Reader(target: Buffer): Base64Reader {
  let written = 0
  let held = ''
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
      const text = held + chunk.toString('latin1')
      const cut = text.lastIndexOf('\n') + 1
      const octets = equalLines(text, cut)
      if (octets > 0 && target.write(text.slice(0, cut), written, 'base64') === octets) {
        written += octets
        held = text.slice(cut)
      } else loosely(text)
    },
    end() {
      if (!ended && held) {
        const plain = held.replace(/[^A-Za-z0-9+/]+/g, '')
        written += target.write(plain, written, 'base64')
      }
      return target.subarray(0, written)
    },
  }
}

/** How many octets `text` up to `cut` holds if it is lines of one length, each a whole number of groups; 0 where it is not. */
function equalLines(text: string, cut: number): number {
  const line = text.indexOf('\n') + 1
  const characters = line - (text.charCodeAt(line - 2) === 13 ? 2 : 1)
  if (characters < 4 || characters % 4 !== 0 || cut % line !== 0) return 0
  for (let at = line - 1; at < cut; at += line) if (text.charCodeAt(at) !== lineEnd) return 0
  return ((cut / line) * characters * 3) / 4
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
