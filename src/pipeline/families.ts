import { deliveryKey } from '../mailbox/rows.js'
import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { decodeOutbound, outboundHold } from '../spool/outbound.js'
import { stateKey } from '../spool/submission.js'
import { certificateFamilies } from './certificate-families.js'
import { outboundOwner } from './notices.js'
import { transmissionOwner } from './transmit.js'

/** Mail on its way out; what is owed is sealed, what was made is as the wire will show it. */
const outbound: Family<'job'> = {
  kind: 'job',
  name: 'outgoing mail',
  form: /^outbound$/,
  async check({ id, payload }, { vault }) {
    const job = decodeOutbound(payload)
    sound(job !== undefined, 'the payload is no outgoing mail')
    sound(job.id === id && isMoment(job.owedAt), 'the job has the id of another, or no time')
    if (job.stage === 'owed') jsonOf(await vault.open(outboundOwner, id, job.body))
    else
      sound(job.stage === 'sealed' && (job.body.length > 0 || job.blob !== undefined), 'the mail has no stage or bytes')
    const held = outboundHold(job)
    const { kind, mailbox, trail } = job
    sound(kind !== 'edge', 'the job belongs into another queue')
    return [
      ...(held === undefined ? [] : [{ kind: 'entry' as const, key: held }]),
      ...(kind === 'message' && mailbox !== undefined
        ? [{ kind: 'entry' as const, key: stateKey(mailbox, trail) }]
        : []),
    ]
  },
}

/** Mail on its way from a mailbox to a system of its owner. */
const edge: Family<'job'> = {
  kind: 'job',
  name: 'mail for an edge',
  form: /^edge$/,
  async check({ id, payload }, { vault }) {
    const job = decodeOutbound(payload)
    sound(job !== undefined, 'the payload is no outgoing mail')
    const { kind, stage, source, owedAt, body } = job
    sound(job.id === id && isMoment(owedAt), 'the job has the id of another, or no time')
    sound(kind === 'edge' && stage === 'stored' && source !== undefined, 'the job belongs into another queue')
    if (body.length > 0) jsonOf(await vault.open(outboundOwner, id, body))
    // Mailboxes know nothing of edges, and lose nothing: whether it is there is asked of them as they are now.
    return [{ kind: 'some', prefix: deliveryKey(source.mailbox, source.message) }]
  },
}

/** What a patient sent out of the record. */
const transmission: Family<'entry'> = {
  kind: 'entry',
  name: 'transmission',
  form: /^transmission\/(?<owner>[0-9a-f-]{36})\/\d{15}\/[0-9a-f]{32}$/,
  async check({ key, value }, { vault }) {
    const record = key.split('/')[1] ?? ''
    const { at, to, way } = jsonOf(await vault.open(transmissionOwner(record), key, value))
    sound(isMoment(at) && typeof to === 'string' && (way === 'direct' || way === 'e-mail'), 'it went nowhere')
    return []
  },
}

/** Every row that this room writes. */
export const pipelineFamilies: readonly RowFamily[] = [outbound, edge, transmission, ...certificateFamilies]
