import type { Random } from '../ports/world.js'
import { keyedDigest, type PeopleRoom } from './rows.js'

/** 32 letters and digits of which no two look alike (Crockford): 80 bits in four groups. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** New recovery codes, to be shown once. */
export function newRecoveryCodes(random: Random, count: number): string[] {
  return Array.from({ length: count }, () => {
    const letters = [...random.bytes(16)].map((byte) => alphabet[byte & 31])
    return [0, 4, 8, 12].map((at) => letters.slice(at, at + 4).join('')).join('-')
  })
}

/** As a code is kept: under a key outside the store, whatever spaces, hyphens and case it came with. */
export function recoveryDigest({ indexKey }: Pick<PeopleRoom, 'indexKey'>, person: string, code: string): string {
  const plain = code
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[^0-9A-Z]/g, '')
    .replaceAll('O', '0')
    .replace(/[IL]/g, '1')
  return keyedDigest(indexKey, 'recovery-code', `${person} ${plain}`)
}
