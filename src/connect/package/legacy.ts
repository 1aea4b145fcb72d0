import { createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import Rijndael from 'rijndael-js'

const derive = promisify(pbkdf2)

/**
 * HealthVault's password-protected package, read only (Microsoft.Health.Package): `hmac-sha256-aes256` is neither AES nor
 * authenticated. PBKDF2 with HMAC-SHA-1 over the answer and the *text* of the salt gives 32 bytes of key and 32 of vector
 * for Rijndael with blocks of 256 bits in CBC; inside are the HMAC-SHA-256 of the things under the salt, and the things.
 */
export interface LegacyEnvelope {
  readonly algorithm: string
  readonly salt: string
  readonly iterations: number
  /** In bits. */
  readonly keyLength: number
  readonly ciphertext: Uint8Array
}

export const legacyLimits = {
  /** A package of its time held items, and files beside it. The cipher is software, and takes two seconds for a MiB. */
  ciphertextBytes: 1024 * 1024,
  /** Deciphered between two pauses: some 10 ms. */
  sliceBytes: 4 * 1024,
  saltChars: 200,
  /** Below it the answer is no secret: HealthVault's documents said at least 10,000. */
  iterationsLeast: 10_000,
  /** Above it an envelope keeps a thread for seconds. */
  iterationsMost: 200_000,
}

const blockBytes = 32
const macBytes = 32

/** Why an envelope cannot be read; undefined where it can be tried (HealthVault: INVALID_XML where parameters are unsupported). */
export function envelopeFault(envelope: LegacyEnvelope, limits = legacyLimits): string | undefined {
  const { algorithm, salt, iterations, keyLength, ciphertext } = envelope
  if (algorithm !== 'hmac-sha256-aes256') return 'its algorithm is not hmac-sha256-aes256'
  if (keyLength !== 256) return 'its key is not of 256 bits'
  if (salt.length < 8 || salt.length > limits.saltChars) return 'its salt has another length'
  if (!Number.isInteger(iterations) || iterations < limits.iterationsLeast || iterations > limits.iterationsMost)
    return 'its iterations are too few or too many'
  if (ciphertext.length > limits.ciphertextBytes) return 'it is too large'
  // The digest and one block of padding at the least.
  if (ciphertext.length < 2 * blockBytes || ciphertext.length % blockBytes !== 0) return 'it is not of whole blocks'
  return undefined
}

/** Key and vector of an envelope, for an answer in lower case (RFC 8018 §5.2). */
export async function legacyKey(answer: string, salt: string, iterations: number) {
  const stream = await derive(answer.toLowerCase(), Buffer.from(salt, 'utf8'), iterations, 64, 'sha1')
  return { key: stream.subarray(0, 32), iv: stream.subarray(32, 64) }
}

/** The things inside, as UTF-8 without an element around them; undefined for a wrong answer, which looks like damage. */
export async function openEnvelope(
  envelope: LegacyEnvelope,
  answer: string,
  pause?: () => Promise<void>,
): Promise<Uint8Array | undefined> {
  if (envelopeFault(envelope) !== undefined) return undefined
  const { key, iv } = await legacyKey(answer, envelope.salt, envelope.iterations)
  const plain = await deciphered(envelope.ciphertext, key, iv, pause)
  const padding = plain.at(-1) ?? 0 // ISO 10126: random bytes, then their number
  if (padding < 1 || padding > blockBytes || plain.length - padding < macBytes) return undefined
  const mac = plain.subarray(0, macBytes)
  const things = plain.subarray(macBytes, plain.length - padding)
  const right = createHmac('sha256', Buffer.from(envelope.salt, 'utf8')).update(things).digest()
  return timingSafeEqual(mac, right) ? things : undefined
}

/** CBC lets a later slice begin with the block before it as its vector: others get their turn in between. */
async function deciphered(
  ciphertext: Uint8Array,
  key: Uint8Array,
  iv: Uint8Array,
  pause: (() => Promise<void>) | undefined,
): Promise<Buffer> {
  const cipher = new Rijndael(key, 'cbc')
  const slices: Buffer[] = []
  for (let at = 0; at < ciphertext.length; at += legacyLimits.sliceBytes) {
    const slice = ciphertext.subarray(at, at + legacyLimits.sliceBytes)
    const before = at === 0 ? iv : ciphertext.subarray(at - blockBytes, at)
    slices.push(Buffer.from(cipher.decrypt(slice, 256, before)))
    await pause?.()
  }
  return Buffer.concat(slices)
}
