import { type Family, type RowFamily, sound } from '../ports/rows.js'

const dataKey: Family<'entry'> = {
  kind: 'entry',
  name: 'data key',
  form: /^vault\/(?<owner>.+)$/s,
  check({ key, value }, { unwrap }) {
    sound(unwrap('data-key', key.slice('vault/'.length), value).length === 32, 'the data key has another length')
    return []
  },
}

/** Wrapped when the installation was new; shows whether a master key is the right one. */
const proof: Family<'entry'> = {
  kind: 'entry',
  name: 'proof of the master key',
  form: /^keyring\/proof$/,
  check({ value }, { unwrap }) {
    unwrap('proof', 'house', value)
    return []
  },
}

/** Every row that this room writes. */
export const keyringFamilies: readonly RowFamily[] = [dataKey, proof]
