import { type DirectDomain, domainOf, parseDomain } from '../direct/address.js'
import type { Domain, Domains } from './directory.js'
import { changedPolicy, type DomainPolicy, defaultPolicy, isRule, policyLimits } from './policy.js'
import { type DirectoryRefusal, problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface DomainRow {
  /** Only what differs from the default, so that a better default reaches every domain that did not choose. */
  readonly policy: Partial<DomainPolicy>
  readonly createdAt: number
}

const prefix = 'directory/domain/'
export const domainKey = (domain: DirectDomain) => prefix + domain

export function openDomains(rows: Rows, { store, clock, defaults: chosen }: DirectoryPorts): Domains {
  const defaults: DomainPolicy = { ...defaultPolicy, ...chosen }

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

  /** Changes the policy of a domain as it is now to what `work` makes of it, or nothing where it refuses. */
  async function changePolicy(
    domain: DirectDomain,
    work: (policy: DomainPolicy) => Partial<DomainPolicy> | DirectoryRefusal,
    action: string,
    by: string,
    about?: Readonly<Record<string, string>>,
  ): Promise<{ readonly kind: 'changed'; readonly domain: Domain } | DirectoryRefusal> {
    const found = await read(domain)
    if (!found) return problem('domain-not-served', domain)
    const change = work(found.domain.policy)
    if ('kind' in change) return change
    const checked = changedPolicy(found.domain.policy, change)
    if (checked.kind === 'bad') return problem('bad-policy', checked.setting)
    const { row } = found
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, policy: { ...row.value.policy, ...change } } }],
      action,
      by,
      subject: { domain, ...(about ?? subjectOf(change)) },
    })
    if (!changed) return problem('changed-meanwhile', domain)
    return { kind: 'changed', domain: { ...found.domain, policy: checked.policy } }
  }

  const setPolicy: Domains['setPolicy'] = (domain, change, by) =>
    changePolicy(domain, () => change, 'domain.policy-changed', by)

  const addRules: Domains['addRules'] = (domain, added, by) =>
    changePolicy(
      domain,
      ({ rules: known }) => {
        const bad = added.find((rule) => !isRule(rule))
        if (bad) return problem('bad-rule', bad.name)
        const names = new Set(known.map(({ name }) => name))
        const again = added.find(({ name }) => names.size === names.add(name).size)
        if (again) return problem('already-exists', again.name)
        const together = [...known, ...added]
        const characters = together.reduce((sum, { text }) => sum + text.length, 0)
        const isTooMuch = together.length > policyLimits.rules || characters > policyLimits.charactersOfRules
        return isTooMuch ? problem('too-many') : { rules: together }
      },
      'domain.rule-added',
      by,
      { rules: added.map(({ name, use, direction }) => `${name}:${use}:${direction}`).join(' ') },
    )

  const removeRule: Domains['removeRule'] = (domain, name, by) =>
    changePolicy(
      domain,
      ({ rules: known }) => {
        const rest = known.filter((rule) => rule.name !== name)
        return rest.length === known.length ? problem('not-found', name) : { rules: rest }
      },
      'domain.rule-removed',
      by,
      { rules: name },
    )

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
    addRules,
    removeRule,
    remove,
    get: async (domain) => (await read(domain))?.domain,
    list: async () => (await rows.list<DomainRow>(prefix, directoryLimits.domains)).map(domainOfRow),
    policyOf: async (address) => (await read(domainOf(address)))?.domain.policy ?? defaults,
  }
}

/** A change as the audit log names it: rules by their names. */
function subjectOf(change: Partial<DomainPolicy>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(change).map(([name, value]) => [
      name,
      name === 'rules' ? (change.rules ?? []).map((rule) => rule.name).join(' ') : String(value),
    ]),
  )
}
