/**
 * Makes keys in a token that never leave it: RSA of 2048 bits (id 01, label `mail`), P-256 (02, `curve`), RSA again
 * (03, `other`), and RSA that asks for the PIN at every use (04, `careful`). Calls the module's exported functions by their names, so that it judges the table that the gateway
 * calls them by. Run in a process of its own.
 *
 *   node test/interop/pkcs11-keys.mjs MODULE LABEL PIN
 */
import process from 'node:process'
import koffi from 'koffi'

const [module, label, pin] = process.argv.slice(2)
const library = koffi.load(module)
const call = (name, types, ...args) => {
  const code = Number(library.func(`unsigned long ${name}(${types})`)(...args))
  if (code !== 0) throw new Error(`${name}: 0x${code.toString(16)}`)
}
const ulong = (value) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
const yes = Buffer.of(1)
const no = Buffer.of(0)
const template = (...attributes) => {
  const bytes = Buffer.concat(
    attributes.map(([type, value]) => {
      const address = Buffer.alloc(8)
      address.writeBigUInt64LE(koffi.address(value))
      return Buffer.concat([ulong(type), address, ulong(value.length)])
    }),
  )
  return { bytes, count: attributes.length, attributes }
}

call('C_Initialize', 'void *', null)
const count = ulong(0)
call('C_GetSlotList', 'uint8_t, void *, void *', 1, null, count)
const slots = Buffer.alloc(8 * Number(count.readBigUInt64LE()))
call('C_GetSlotList', 'uint8_t, void *, void *', 1, slots, count)
const info = Buffer.alloc(256)
const slot = Array.from({ length: slots.length / 8 }, (_, i) => Number(slots.readBigUInt64LE(8 * i))).find((one) => {
  call('C_GetTokenInfo', 'unsigned long, void *', one, info)
  return info.toString('latin1', 0, 32).trim() === label
})
const session = ulong(0)
call('C_OpenSession', 'unsigned long, unsigned long, void *, void *, void *', slot, 6, null, null, session)
const at = Number(session.readBigUInt64LE())
call('C_Login', 'unsigned long, unsigned long, const char *, unsigned long', at, 1, pin, pin.length)

function make(mechanism, id, name, publicOnes, privateOnes) {
  const own = [
    [0x1, yes],
    [0x102, Buffer.of(id)],
    [0x3, Buffer.from(name)],
  ]
  const forPublic = template(...own, ...publicOnes)
  const forPrivate = template(...own, [0x2, yes], [0x103, yes], [0x162, no], [0x108, yes], ...privateOnes)
  const how = Buffer.concat([ulong(mechanism), ulong(0), ulong(0)])
  const types = 'unsigned long, void *, void *, unsigned long, void *, unsigned long, void *, void *'
  const handles = [ulong(0), ulong(0)]
  call(
    'C_GenerateKeyPair',
    types,
    at,
    how,
    forPublic.bytes,
    forPublic.count,
    forPrivate.bytes,
    forPrivate.count,
    ...handles,
  )
  return [forPublic.attributes, forPrivate.attributes]
}

const rsa = [
  [
    [0x121, ulong(2048)],
    [0x122, Buffer.of(1, 0, 1)],
    [0x10a, yes],
    [0x104, yes],
  ],
  [[0x105, yes]],
]
const p256 = Buffer.from('06082a8648ce3d030107', 'hex')
make(0x0, 1, 'mail', ...rsa)
make(
  0x1040,
  2,
  'curve',
  [
    [0x180, p256],
    [0x10a, yes],
  ],
  [[0x10c, yes]],
)
make(0x0, 3, 'other', ...rsa)
make(0x0, 4, 'careful', rsa[0], [...rsa[1], [0x202, yes]])
