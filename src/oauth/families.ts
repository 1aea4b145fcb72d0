import { type Family, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { endOf, openRow, owner } from './rows.js'
import { secretsKey } from './secrets.js'

/** Whatever ends by itself: tokens, codes, grants, requests that wait for a person, and what was seen once. */
const kept: Family<'entry'> = {
  kind: 'entry',
  name: 'authorization',
  form: /^oauth\/[A-Za-z-]{1,40}\/[0-9a-f]{64}$/,
  async check({ key, value }, { vault }) {
    sound(endOf(value) > 0, 'it never began to end')
    await openRow(vault, key, value)
    return []
  },
}

const secrets: Family<'entry'> = {
  kind: 'entry',
  name: 'keys of the authorization server',
  form: /^oauth\/secrets$/,
  async check({ key, value }, { vault }) {
    const { keys, cookies } = jsonOf(await vault.open(owner, key, value))
    sound(key === secretsKey && Array.isArray(keys) && keys.length > 0, 'there is no signing key')
    sound(Array.isArray(cookies) && cookies.length > 0, 'there is no key for cookies')
    return []
  },
}

/** Every row that this room writes. */
export const oauthFamilies: readonly RowFamily[] = [kept, secrets]
