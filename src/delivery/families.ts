import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { letterPurpose } from './letters.js'
import { webhookFamilies } from './webhook-state.js'

/** The row of a try that was begun, one kind for each outgoing queue. */
function begunIn(queue: string, prefix: string, form: RegExp): Family<'entry'> {
  return {
    ...{ kind: 'entry', name: queue === 'outbound' ? 'begun try' : `begun try of queue ${queue}`, form },
    check({ key, value }) {
      const { tries, nextAt } = jsonOf(value)
      sound(Number.isInteger(tries) && isMoment(nextAt), 'the value is not of a try')
      return [{ kind: 'job', queue, id: key.slice(prefix.length) }]
    },
  }
}

const letter: Family<'job'> = {
  kind: 'job',
  name: 'letter',
  form: /^letters$/,
  check({ id, payload }, { unwrap }) {
    const { to, letter, at } = jsonOf(unwrap(letterPurpose, id, payload))
    sound(typeof to === 'string' && typeof letter === 'object' && isMoment(at), 'it is no letter')
    return []
  },
}

/** Every row that this room writes. */
export const deliveryFamilies: readonly RowFamily[] = [
  begunIn('outbound', 'delivery/begun/', /^delivery\/begun\/.+$/s),
  begunIn('edge', 'delivery/begun-edge/', /^delivery\/begun-edge\/.+$/s),
  letter,
  ...webhookFamilies,
]
