import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import yauzl from 'yauzl'
import type { Diagnostic } from '../../direct/clinical.js'
import type { ClinicalLimits } from '../limits.js'

/** One file of an archive. */
export interface ArchiveFile {
  /** Path inside the archive, with `/`. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface Archive {
  readonly files: readonly ArchiveFile[]
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Unpacks a zip archive within limits, in memory. Leaves out, each with a diagnostic: encrypted files, names that leave the
 * archive, links, names that were there before, files that grow beyond the ratio, whose size or checksum is not what the directory says, or that do not inflate.
 * Directories and the litter of desktop systems are left out silently. A damaged directory ends the reading, never throws.
 */
export async function unpack(bytes: Uint8Array, limits: ClinicalLimits): Promise<Archive> {
  const files: ArchiveFile[] = []
  const diagnostics: Diagnostic[] = []
  const tell = (code: Diagnostic['code'], where: string, detail: string): void => {
    diagnostics.push({ code, where, detail })
  }
  let total = 0
  let count = 0
  try {
    const zip = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
      lazyEntries: true,
      decodeStrings: false,
      validateEntrySizes: false,
    })
    for await (const entry of zip.eachEntry()) {
      if (++count > limits.archiveEntries) {
        tell('limit-exceeded', '', `more than ${limits.archiveEntries} files`)
        break
      }
      const name = nameOf(entry.fileName as unknown as Buffer)
      const where = name.slice(0, 200)
      if (name.endsWith('/') || isLitter(name)) continue
      if (!isSafeName(name)) tell('unsafe-entry', printable(where), 'the name leaves the archive')
      else if (isLink(entry)) tell('unsafe-entry', where, 'a link, not a file')
      else if (files.some((file) => file.name.toLowerCase() === name.toLowerCase()))
        tell('unsafe-entry', where, 'another file of this name')
      else if (entry.isEncrypted()) tell('encrypted-entry', where, 'the file is encrypted')
      else {
        const room = limits.archiveBytes - total
        const outcome = await inflate(zip, entry, room, limits.archiveRatio)
        if (outcome.kind === 'full') {
          tell('limit-exceeded', where, `more than ${limits.archiveBytes} bytes unpacked`)
          break
        }
        total += outcome.readBytes
        if (outcome.kind === 'refused') tell(outcome.code, where, outcome.detail)
        else files.push({ name, bytes: outcome.bytes })
      }
    }
  } catch {
    // The library throws for whatever it cannot read; its words may quote the archive.
    tell('unreadable-archive', '', 'the archive is damaged')
  }
  return { files, diagnostics }
}

type Inflated =
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly readBytes: number }
  | { readonly kind: 'full' }
  | {
      readonly kind: 'refused'
      readonly code: 'unsafe-entry' | 'unreadable-archive'
      readonly detail: string
      readonly readBytes: number
    }

/** The first 64 KiB are not judged by ratio: blanks pack well. */
const ratioFloorBytes = 64 * 1024

async function inflate(zip: yauzl.ZipFile, entry: yauzl.Entry, roomBytes: number, ratio: number): Promise<Inflated> {
  const mostBytes = ratioFloorBytes + ratio * entry.compressedSize
  const chunks: Buffer[] = []
  let readBytes = 0
  try {
    const stream = await zip.openReadStreamPromise(entry)
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      readBytes += chunk.length
      // Leaving the loop destroys the stream, so a bomb is never inflated further than this.
      if (readBytes > roomBytes) return { kind: 'full' }
      if (readBytes > mostBytes)
        return { kind: 'refused', code: 'unsafe-entry', detail: `grows more than ${ratio} times`, readBytes }
      if (readBytes > entry.uncompressedSize) break
      chunks.push(chunk)
    }
  } catch {
    return { kind: 'refused', code: 'unreadable-archive', detail: 'the file does not inflate', readBytes }
  }
  if (readBytes !== entry.uncompressedSize) {
    return { kind: 'refused', code: 'unsafe-entry', detail: 'the size is not what the directory says', readBytes }
  }
  const bytes = Buffer.concat(chunks, readBytes)
  if (crc32(bytes) !== entry.crc32) {
    return {
      kind: 'refused',
      code: 'unreadable-archive',
      detail: 'the checksum is not what the directory says',
      readBytes,
    }
  }
  return { kind: 'file', bytes, readBytes }
}

/** Names are ASCII by XDM and UTF-8 in practice; what is neither is read byte by byte. */
function nameOf(raw: Buffer): string {
  const text = raw.toString('utf8')
  return text.includes('\ufffd') ? raw.toString('latin1') : text
}

/** Whether a name stays inside: relative, forward slashes, no `..`, no drive, no control characters. */
function isSafeName(name: string): boolean {
  if (name === '' || name.length > 1024 || name.startsWith('/') || name.includes('\\') || /^[A-Za-z]:/.test(name))
    return false
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) return false
  return !name.split('/').includes('..')
}

/** A symbolic link of a Unix system: the high half of its attributes is its mode (APPNOTE §4.4.15). */
function isLink({ externalFileAttributes }: yauzl.Entry): boolean {
  return ((externalFileAttributes >>> 16) & 0o170000) === 0o120000
}

function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?')
}

/** Files that operating systems leave behind. */
function isLitter(name: string): boolean {
  return /(?:^|\/)(?:\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$/i.test(name) || /(?:^|\/)__MACOSX\//.test(name)
}
