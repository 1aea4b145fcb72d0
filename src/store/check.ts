import type { Batch } from '../ports/store.js'
import { checkedKey, checkedName, checkedValue, storeLimits } from './keys.js'

/** Refuses (throws RangeError) what no home could hold, before anything of the batch is judged. */
export function checkBatch(batch: Batch) {
  for (const { key } of batch.require ?? []) checkedKey(key)
  for (const key of batch.del ?? []) checkedKey(key)
  for (const { key, value } of batch.put ?? []) {
    checkedKey(key)
    checkedValue(value)
  }
  for (const { log, value } of batch.append ?? []) {
    checkedName(log)
    checkedValue(value)
  }
  for (const { queue, id, payload, dueAt } of batch.enqueue ?? []) {
    checkedName(queue)
    checkedKey(id)
    checkedValue(payload)
    if (Number.isNaN(dueAt)) throw new RangeError('A due time is not a number')
  }
  for (const { dueAt, payload } of batch.release ?? []) {
    if (payload) checkedValue(payload)
    if (Number.isNaN(dueAt)) throw new RangeError('A due time is not a number')
  }
}

/** Refuses (throws RangeError) what is not a whole number from 1 to the most a read may return. */
export function checkLimit(limit: number) {
  if (!Number.isInteger(limit) || limit < 1 || limit > storeLimits.rangeEntries)
    throw new RangeError(`A limit is a whole number from 1 to ${storeLimits.rangeEntries}`)
}
