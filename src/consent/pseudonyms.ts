import { createHmac } from 'node:crypto'
import type { Pseudonyms } from './consent.js'
import { uuidOf } from './rows.js'

/**
 * Ids that no two applications share: an HMAC of the true one under a secret of the house, in the form of a UUID
 * (RFC 9562 §5.8). `key` has 32 bytes or more; with another key everybody is somebody else.
 */
export function openPseudonyms(key: Uint8Array): Pseudonyms {
  if (key.length < 32) throw new Error('The key of the pseudonyms has fewer than 32 bytes')
  const pseudonym = (kind: string, app: string, id: string) =>
    uuidOf(
      createHmac('sha256', key)
        .update(JSON.stringify([kind, app, id]))
        .digest(),
      0x80,
    )
  return {
    person: (app, person) => pseudonym('person', app, person),
    record: (app, record) => pseudonym('record', app, record),
  }
}
