import type { Permission, RecordAccess } from '../direct/access.js'
import { permits } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import { narrowed } from '../direct/smart-scopes.js'
import { hasWhole } from '../people/people.js'
import type { Caller } from './caller.js'
import type { ApiPorts } from './ports.js'
import { Problem } from './problem.js'

type AccessPorts = Pick<ApiPorts, 'addresses' | 'people' | 'consents'>

/**
 * What the caller may do in the record that it names. The only place where requests for records are authorized: what the
 * caller does not reach is not found, exactly as what does not exist.
 */
export async function accessTo(ports: AccessPorts, caller: Caller, named: string): Promise<RecordAccess> {
  const access = await reached(ports, caller, named)
  if (access?.told !== named) throw new Problem('not-found')
  last.set(caller, access)
  return access
}

/** What each request reached: the caller of a request is an object of its own. */
const last = new WeakMap<Caller, RecordAccess>()

/** What the caller of this request reached by `accessTo`, whatever came of it: the record whose activity history tells of it. */
export function lastAccess(caller: Caller): RecordAccess | undefined {
  return last.get(caller)
}

async function reached(
  { addresses, people, consents }: AccessPorts,
  { by, reach, changes }: Caller,
  named: string,
): Promise<RecordAccess | undefined> {
  const whole = { record: named, told: named, rules: 'all' as const, custodian: true }
  switch (reach.kind) {
    case 'gateway':
      return { ...whole, actor: { by, avenue: 'operator' } }
    case 'address': {
      const own = await addresses.get(reach.address)
      return own?.record === named ? { ...whole, actor: { by, avenue: 'page' } } : undefined
    }
    case 'person': {
      const membership = await people?.records.membership(reach.person, named)
      if (!membership) return undefined
      const { rules } = membership
      // What a record says is not changed while it is read-only, whatever kind of change it is.
      if (changes && membership.record.state === 'read-only') throw new Problem('read-only')
      return { ...whole, rules, custodian: hasWhole(membership), actor: { by, avenue: 'page', person: reach.person } }
    }
    case 'grant': {
      const access = await consents?.access(reach.grant, reach.avenue)
      // A token is for no more than was asked when it was made.
      return access && reach.within ? { ...access, rules: narrowed(access.rules, reach.within) } : access
    }
    case 'app': {
      // Without a scope for it, a token is for the app's own requests alone.
      const access = reach.within && (await consents?.alone(reach.app, named))
      return access && { ...access, rules: narrowed(access.rules, reach.within ?? []) }
    }
  }
}

/** The record that a caller means who names none: that of its address or its grant. */
export async function ownRecord({ addresses, consents }: AccessPorts, { reach }: Caller): Promise<string | undefined> {
  if (reach.kind === 'address') return (await addresses.get(reach.address))?.record
  if (reach.kind === 'grant') return (await consents?.access(reach.grant, reach.avenue))?.told
  return undefined
}

/** Refuses what no rule of the caller allows. */
export function mustPermit({ rules }: RecordAccess, permission: Permission, type: RecordItemType, day?: string): void {
  if (!permits(rules, permission, type, day)) throw new Problem('access-denied')
}

/** Refuses whoever is not a custodian of the record. */
export function mustBeCustodian({ custodian }: RecordAccess): void {
  if (!custodian) throw new Problem('access-denied')
}

/** Refuses a record that nobody has: a walk over the directory, for tokens of the whole gateway and empty answers only. */
export async function mustBeKnown(ports: AccessPorts, { reach }: Caller, record: string): Promise<void> {
  if (reach.kind === 'gateway' && !(await isKnown(ports, record))) throw new Problem('not-found')
}

async function isKnown({ addresses, people }: AccessPorts, record: string): Promise<boolean> {
  if (await people?.records.get(record)) return true
  for (let after: string | undefined; ; ) {
    const { items, next } = await addresses.list({ limit: 1000, ...(after === undefined ? {} : { after }) })
    if (items.some((address) => address.record === record)) return true
    if (next === undefined) return false
    after = next
  }
}
