import { Buffer } from 'node:buffer'
import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipFile {
  /** With `/`; a name that ends with one is a directory, whose bytes are empty. */
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * A zip archive of a few files, deflated, directories stored (APPNOTE 6.3 §4.3). Dates are the first day that the format
 * can name, so that equal files make equal archives. A file that would pack to less than one part in `mostRatio` is
 * stored: readers take it for a bomb. For fewer than 65,536 files and 4 GiB.
 */
export function writeZip(
  files: readonly ZipFile[],
  { mostRatio = Number.POSITIVE_INFINITY }: { readonly mostRatio?: number } = {},
): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, bytes } of files) {
    const folder = name.endsWith('/')
    const deflated = deflateRawSync(bytes)
    const stored = folder || deflated.length * mostRatio < bytes.length
    const packed = stored ? bytes : deflated
    const path = Buffer.from(name, 'utf8')
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0) // version needed
    fields.writeUInt16LE(0x800, 2) // names are UTF-8
    fields.writeUInt16LE(stored ? 0 : 8, 4) // stored, deflated
    fields.writeUInt16LE(0x21, 8) // 1 January 1980
    fields.writeUInt32LE(crc32(bytes), 10)
    fields.writeUInt32LE(packed.length, 14)
    fields.writeUInt32LE(bytes.length, 18)
    fields.writeUInt16LE(path.length, 22)

    const local = Buffer.concat([signature(0x04034b50), fields, path, packed])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(folder ? 0x10 : 0, 6) // the attribute of a directory
    tail.writeUInt32LE(offset, 10)
    locals.push(local)
    directory.push(signature(0x02014b50), Buffer.from([20, 0]), fields, tail, path)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(18)
  end.writeUInt16LE(files.length, 4)
  end.writeUInt16LE(files.length, 6)
  end.writeUInt32LE(central.length, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([...locals, central, signature(0x06054b50), end])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
