import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'

const begun: Family<'entry'> = {
  kind: 'entry',
  name: 'begun try',
  form: /^delivery\/begun\/.+$/s,
  check({ key, value }) {
    const { tries, nextAt } = jsonOf(value)
    sound(Number.isInteger(tries) && isMoment(nextAt), 'the value is not of a try')
    return [{ kind: 'job', queue: 'outbound', id: key.slice('delivery/begun/'.length) }]
  },
}

/** Every row that this room writes. */
export const deliveryFamilies: readonly RowFamily[] = [begun]
