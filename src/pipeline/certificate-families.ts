import { readRequest } from '../authority/request.js'
import { parseAddress, parseDomain } from '../direct/address.js'
import { keyUses } from '../ports/registrar.js'
import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { warningDays } from './expiry.js'
import { askedKeyPurpose, registrationPrefix } from './registration.js'

const states = ['asking', 'pending', 'refused']
const isOwner = (text: unknown) => typeof text === 'string' && (parseAddress(text) ?? parseDomain(text)) === text

const registration: Family<'entry'> = {
  kind: 'entry',
  name: 'certificate asked for',
  form: /^registration\/[^ ]+ [0-9a-f]{16}$/,
  check({ key, value }, { unwrap }) {
    const row = jsonOf(value)
    const [owner = '', id = ''] = key.slice(registrationPrefix.length).split(' ')
    const keyId = String(row['keyId'])
    sound(isOwner(owner) && keyId.startsWith(id), 'it is for no owner, or for another key')
    sound((keyUses as readonly unknown[]).includes(row['use']), 'it is for no use')
    sound(states.includes(String(row['state'])) && isMoment(row['begunAt']), 'it is in no state, or of no time')
    const request = readRequest(Buffer.from(String(row['request']), 'base64'))
    sound(request.kind === 'request', 'the request does not read')
    unwrap(askedKeyPurpose, keyId, Buffer.from(String(row['wrapped']), 'base64')).fill(0)
    return []
  },
}

const told: Family<'entry'> = {
  kind: 'entry',
  name: 'expiry warning',
  form: /^expiry\/[a-z]+\/.+$/s,
  check({ value }) {
    const { notAfter, stage } = jsonOf(value)
    sound(isMoment(notAfter) && (warningDays as readonly unknown[]).includes(stage), 'it warned of nothing')
    return []
  },
}

const job: Family<'job'> = {
  kind: 'job',
  name: 'certificate work',
  form: /^certificates$/,
  check({ id, payload }) {
    const { kind, owner, id: asked } = jsonOf(payload)
    if (kind === 'first') sound(isOwner(owner) && id === `first ${owner}`, 'it is for no owner')
    else if (kind === 'ask') sound(isOwner(owner) && id === `ask ${owner} ${asked}`, 'it asks for no owner')
    else sound((kind === 'daily' || kind === 'lists') && id === kind, 'it is no work that is known')
    return []
  },
}

/** The rows that certificates of our own leave in this room. */
export const certificateFamilies: readonly RowFamily[] = [registration, told, job]
