import { crc32, deflateRawSync } from 'node:zlib'
import { mutateBytes } from './mutate.mjs'
import { mutateXml } from './mutate-xml.mjs'

/**
 * Changes an archive as a list of files, and now and then as bytes.
 *
 * @typedef {{ name: string, bytes: Buffer, lies?: { size?: number, crc?: number, flags?: number, method?: number } }} Packed
 * @typedef {import('./dice.mjs').Dice} Dice
 */

const uint16 = (value) => Buffer.from([value & 0xff, (value >>> 8) & 0xff])
const uint32 = (value) => Buffer.concat([uint16(value & 0xffff), uint16(value >>> 16)])

/** A zip archive of these files (APPNOTE 6.3); `lies` stand in its directory in place of the truth. @param {readonly Packed[]} files */
export function writeArchive(files) {
  const local = []
  const central = []
  let at = 0
  for (const { name, bytes, lies = {} } of files) {
    const packed = bytes.length > 64 ? deflateRawSync(bytes) : bytes
    const told = Buffer.concat([
      uint16(20),
      uint16(lies.flags ?? 0),
      uint16(lies.method ?? (packed === bytes ? 0 : 8)),
      uint32(0),
      uint32(lies.crc ?? crc32(bytes)),
      uint32(packed.length),
      uint32(lies.size ?? bytes.length),
      uint16(Buffer.byteLength(name)),
      uint16(0),
    ])
    const entry = Buffer.concat([uint32(0x04034b50), told, Buffer.from(name), packed])
    central.push(
      Buffer.concat([
        uint32(0x02014b50),
        uint16(20),
        told,
        uint16(0),
        uint16(0),
        uint16(0),
        uint32(0),
        uint32(at),
        Buffer.from(name),
      ]),
    )
    local.push(entry)
    at += entry.length
  }
  const directory = Buffer.concat(central)
  const count = uint16(files.length)
  const end = [uint32(0x06054b50), uint32(0), count, count, uint32(directory.length), uint32(at), uint16(0)]
  return Buffer.concat([...local, directory, ...end])
}

const names = [
  '../a.xml',
  '/etc/passwd',
  'C:\\a.xml',
  'a/../../b',
  '',
  'IHE_XDM/SUBSET01/METADATA.XML',
  'ihe_xdm/subset01/metadata.xml',
  'IHE_XDM/SUBSET02/DOC1.XML',
  'x'.repeat(60_000),
  '__MACOSX/a',
  'a\u0000b.xml',
  'é.xml',
  'dir/',
  'b.zip',
]

/** @param {readonly Packed[]} seed @param {readonly (readonly Packed[])[]} corpus @param {Dice} dice */
export function mutateZip(seed, corpus, dice) {
  const files = seed.map((file) => ({ ...file }))
  for (let times = dice.pick([1, 1, 2, 3]); times > 0 && files.length > 0 && files.length < 300; times--) {
    const at = dice.below(files.length)
    const file = files[at]
    switch (dice.below(11)) {
      case 0:
        file.name = dice.pick(names)
        break
      case 1:
        files.splice(at, 1)
        break
      case 2:
        files.splice(at, 0, { ...file })
        break
      case 3:
        file.lies = { [dice.pick(['size', 'crc', 'flags', 'method'])]: dice.pick([0, 1, 8, 9, 0x800, 99, 0xffffffff]) }
        break
      case 4:
        file.bytes = Buffer.alloc(dice.pick([0, 200, 100_000]), 0x20)
        break
      case 5:
        files[at] = { ...dice.pick(dice.pick(corpus)), name: file.name }
        break
      case 6:
        files.push({ name: 'IN.ZIP', bytes: writeArchive(files.slice(0, 3)) })
        break
      case 7:
        // More than any archive may have.
        if (dice.below(8) === 0)
          files.push(...Array.from({ length: 250 }, (_, i) => ({ name: `D${i}.TXT`, bytes: Buffer.from('d') })))
        break
      default:
        file.bytes = mutateXml(file.bytes, [dice.pick(dice.pick(corpus)).bytes], dice).bytes
    }
  }
  const bytes = writeArchive(files)
  return { seed: files.length > 20 ? seed : files, bytes: dice.below(6) === 0 ? mutateBytes(bytes, dice) : bytes }
}
