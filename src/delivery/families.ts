import { checkBody, type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { letterPurpose, lettersQueue, plainOwner, plainPrefix } from './letters.js'
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
    const { to, letter, plain, at } = jsonOf(unwrap(letterPurpose, id, payload))
    sound(typeof to === 'string' && (typeof letter === 'object' || plain === true) && isMoment(at), 'it is no letter')
    return plain === true ? [{ kind: 'entry', key: plainPrefix + id }] : []
  },
}

const plain: Family<'entry'> = {
  kind: 'entry',
  name: 'content of plain mail',
  form: /^letters\/plain\/[0-9a-f]{64}$/,
  async check(row, reader) {
    const needs = await checkBody(row, plainOwner, reader, () => undefined)
    return [...needs, { kind: 'job', queue: lettersQueue, id: row.key.slice(plainPrefix.length) }]
  },
}

/** Every row that this room writes. */
export const deliveryFamilies: readonly RowFamily[] = [
  begunIn('outbound', 'delivery/begun/', /^delivery\/begun\/.+$/s),
  begunIn('edge', 'delivery/begun-edge/', /^delivery\/begun-edge\/.+$/s),
  letter,
  plain,
  ...webhookFamilies,
]
