import { createHmac, randomBytes } from 'node:crypto'
import Rijndael from 'rijndael-js'
import { type LegacyEnvelope, legacyKey } from '../../../src/connect/package/legacy.js'

export const salt = '0f8fad5b-d9cb-469f-a165-70867728950e'
export const answer = 'Seeds The Parakeet'

/** An envelope as HealthVault's own library made it, written down here a second time. */
export async function envelopeOf(text: string, given = answer, iterations = 20_000): Promise<LegacyEnvelope> {
  const { key, iv } = await legacyKey(given, salt, iterations)
  const body = Buffer.from(text)
  const mac = createHmac('sha256', salt).update(body).digest()
  const short = 32 - ((mac.length + body.length) % 32)
  const padding = Buffer.concat([randomBytes(short - 1), Buffer.of(short)])
  const ciphertext = Buffer.from(new Rijndael(key, 'cbc').encrypt(Buffer.concat([mac, body, padding]), 256, iv))
  return { algorithm: 'hmac-sha256-aes256', salt, iterations, keyLength: 256, ciphertext }
}
