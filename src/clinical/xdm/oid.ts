import { createHash } from 'node:crypto'

const oid = /^[0-2](?:\.(?:0|[1-9]\d*))+$/
const uuid = /^(?:urn:uuid:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i

/** An OID as it is, or a UUID as one (ITU-T X.667 §7: 2.25 and the number); undefined for anything else and beyond 64 characters. */
export function asOid(text: string): string | undefined {
  const plain = text.trim().replace(/^urn:oid:/i, '')
  if (oid.test(plain)) return plain.length <= 64 ? plain : undefined
  const id = uuid.exec(plain)?.[1]
  return id === undefined ? undefined : `2.25.${BigInt(`0x${id.replaceAll('-', '')}`)}`
}

/** An OID made of what is hashed: equal inputs have the same (a UUID of version 8, RFC 9562 §5.8). */
export function oidOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}\n`).update(part)
  const bytes = hash.digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return `2.25.${BigInt(`0x${bytes.toString('hex')}`)}`
}
