/** What a status may be folded to, by the statement that has it. */
import { moment } from './codes.mjs'
import { isPlanned, isStatus, related } from './facts.mjs'
import { attr, kid } from './tree.mjs'

/** What a statusCode may be folded to (HL7 v3 ActStatus). */
const foldsOfAct = {
  active: ['active'],
  completed: ['completed'],
  aborted: ['cancelled'],
  cancelled: ['cancelled'],
  nullified: ['cancelled'],
  suspended: ['inactive'],
  held: ['inactive'],
  new: ['planned'],
}

/** What the status observation of a problem or an allergy may be folded to (SNOMED CT; C-CDA Problem Status). */
const foldsOfValue = {
  55561003: ['active'],
  73425007: ['inactive'],
  413322009: ['resolved'],
  246455001: ['active'],
  263855007: ['active'],
  277022003: ['inactive', 'resolved'],
}

function statusFacts(out, node, id, folds, optional) {
  if (id !== '~' && folds !== undefined)
    out.put(
      'status',
      node.path,
      folds.map((one) => `status ${id} ${one}`),
      optional,
    )
}

/**
 * Status of a problem or an allergy: what its status observation says, else that its time has ended, else whether the
 * concern is tracked; the observation's own statusCode is always completed (C-CDA Problem Concern Act, 22.4.3).
 */
export function conditionStatus(out, node, around, id, optional) {
  const stated = [node, ...around].flatMap((one) => related(one)).find(isStatus)
  const code = attr(kid(stated, 'value'), 'code')
  const high = kid(kid(node, 'effectiveTime'), 'high')
  const act = attr(kid(around[0], 'statusCode'), 'code')
  const ended = high && (moment(attr(high, 'value')) !== undefined || attr(high, 'nullFlavor') === 'UNK')
  const tracked = {
    active: ['active'],
    completed: ['inactive', 'resolved', 'completed'],
    suspended: ['inactive'],
    aborted: ['inactive', 'cancelled'],
  }
  if (stated) statusFacts(out, node, id, foldsOfValue[code], optional)
  else if (ended) statusFacts(out, node, id, ['resolved', 'inactive'], optional)
  else if (act !== undefined) statusFacts(out, node, id, tracked[act], optional)
}

/** Status of something done, given or planned: its statusCode, unless a status observation says more. */
export function actStatus(out, node, id, optional) {
  const folds = foldsOfAct[attr(kid(node, 'statusCode'), 'code')]
  if (folds === undefined || related(node).some(isStatus)) return
  const open = isPlanned(node) && !['completed', 'cancelled'].includes(folds[0])
  statusFacts(out, node, id, open ? ['planned', ...folds] : folds, optional)
}
