import { type DirectDomain, domainOf, parseDomain } from '../direct/address.js'
import type { Domain, Domains } from './directory.js'
import { changedPolicy, type DomainPolicy, defaultPolicy } from './policy.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface DomainRow {
  /** Only what differs from the default, so that a better default reaches every domain that did not choose. */
  readonly policy: Partial<DomainPolicy>
  readonly createdAt: number
}

const prefix = 'directory/domain/'
export const domainKey = (domain: DirectDomain) => prefix + domain

export function openDomains(rows: Rows, { store, clock, defaults = defaultPolicy }: DirectoryPorts): Domains {
  const domainOfRow = ({ key, value }: Row<DomainRow>): Domain => ({
    domain: key.slice(prefix.length) as DirectDomain,
    policy: { ...defaults, ...value.policy },
    createdAt: value.createdAt,
  })

  const read = async (domain: DirectDomain) => {
    const row = await rows.get<DomainRow>(domainKey(domain))
    return row && { row, domain: domainOfRow(row) }
  }

  const add: Domains['add'] = async (text, by, policy = {}) => {
    const domain = parseDomain(text)
    if (!domain) return problem('bad-domain', text)
    const checked = changedPolicy(defaults, policy)
    if (checked.kind === 'bad') return problem('bad-policy', checked.setting)
    if ((await rows.list(prefix, directoryLimits.domains)).length >= directoryLimits.domains) return problem('too-many')
    const row: DomainRow = { policy, createdAt: clock.now() }
    const key = domainKey(domain)
    const changed = await rows.change({
      require: [{ key, version: 'absent' }],
      put: [{ key, value: row }],
      action: 'domain.added',
      by,
      subject: { domain },
    })
    if (!changed) return problem('already-exists', domain)
    return { kind: 'added', domain: { domain, policy: checked.policy, createdAt: row.createdAt } }
  }

  const setPolicy: Domains['setPolicy'] = async (domain, change, by) => {
    const found = await read(domain)
    if (!found) return problem('domain-not-served', domain)
    const checked = changedPolicy(found.domain.policy, change)
    if (checked.kind === 'bad') return problem('bad-policy', checked.setting)
    const { row } = found
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, policy: { ...row.value.policy, ...change } } }],
      action: 'domain.policy-changed',
      by,
      subject: { domain, ...Object.fromEntries(Object.entries(change).map(([name, value]) => [name, String(value)])) },
    })
    if (!changed) return problem('changed-meanwhile', domain)
    return { kind: 'changed', domain: { ...found.domain, policy: checked.policy } }
  }

  const remove: Domains['remove'] = async (domain, by) => {
    const found = await read(domain)
    if (!found) return problem('not-found', domain)
    // An address that is added at this very moment stays behind unserved: `isServed` asks for its domain too.
    const addresses = `directory/address/${domain} `
    const used = await store.range({ gte: addresses, lt: `${addresses}\u{10ffff}`, limit: 1 })
    if (used.length > 0) return problem('domain-in-use', domain)
    const { key, version } = found.row
    const changed = await rows.change({
      require: [{ key, version }],
      del: [key],
      action: 'domain.removed',
      by,
      subject: { domain },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', domain)
  }

  return {
    add,
    setPolicy,
    remove,
    get: async (domain) => (await read(domain))?.domain,
    list: async () => (await rows.list<DomainRow>(prefix, directoryLimits.domains)).map(domainOfRow),
    policyOf: async (address) => (await read(domainOf(address)))?.domain.policy ?? defaults,
  }
}
