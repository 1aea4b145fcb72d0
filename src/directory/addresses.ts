import { type DirectAddress, domainOf, parseAddress } from '../direct/address.js'
import { within } from '../ports/store.js'
import type { Random } from '../ports/world.js'
import { type Address, type Addresses, proofingLevels, type Standing } from './directory.js'
import { domainKey } from './domains.js'
import { type DomainPolicy, defaultPolicy } from './policy.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Rows } from './rows.js'

type AddressRow = Omit<Address, 'address'>

const prefix = 'directory/address/'
const addressKey = (address: DirectAddress) =>
  `${prefix}${domainOf(address)} ${address.slice(0, address.lastIndexOf('@'))}`
/** As the configuration names systems. */
export const edgeName = /^[a-z0-9][a-z0-9.-]{0,63}$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function openAddresses(rows: Rows, { store, clock, random, defaults: chosen }: DirectoryPorts): Addresses {
  const defaults: DomainPolicy = { ...defaultPolicy, ...chosen }

  const add: Addresses['add'] = async (text, kind, by, options = {}) => {
    const address = parseAddress(text)
    if (!address) return problem('bad-address', text)
    if (options.record !== undefined && (kind !== 'patient' || !uuid.test(options.record)))
      return problem('not-found', `record ${options.record}`)
    const domain = await rows.get(domainKey(domainOf(address)))
    if (!domain) return problem('domain-not-served', domainOf(address))
    const row: AddressRow = {
      kind,
      mailbox: randomUuid(random),
      ...(kind === 'patient' ? { record: options.record ?? randomUuid(random) } : {}),
      disabled: false,
      createdAt: clock.now(),
    }
    const key = addressKey(address)
    const changed = await rows.change({
      require: [
        { key, version: 'absent' },
        { key: domain.key, version: domain.version },
      ],
      put: [{ key, value: row }],
      action: 'address.added',
      by,
      subject: { address, mailbox: row.mailbox, ...(row.record ? { record: row.record } : {}) },
    })
    if (changed) return { kind: 'added', address: { address, ...row } }
    return (await rows.get(key)) ? problem('already-exists', address) : problem('changed-meanwhile', address)
  }

  const get: Addresses['get'] = async (address) => {
    const row = await rows.get<AddressRow>(addressKey(address))
    return row && { address, ...row.value }
  }

  const list: Addresses['list'] = async ({ domain, after, limit = 100 } = {}) => {
    const count = Math.min(Math.max(1, Math.floor(limit) || 1), directoryLimits.addressesPerPage)
    const { gte, lt } = within(domain ? `${prefix}${domain} ` : prefix)
    const start = after === undefined ? undefined : parseAddress(after)
    const from = start ? `${addressKey(start)}\0` : gte
    const entries = await store.range({ gte: from > gte ? from : gte, lt, limit: count + 1 })
    const items = entries.slice(0, count).map(({ key, value }): Address => {
      const [of = '', local = ''] = key.slice(prefix.length).split(' ')
      const row = JSON.parse(Buffer.from(value).toString()) as AddressRow
      return { address: `${local}@${of}` as DirectAddress, ...row }
    })
    const last = items.at(-1)
    return entries.length > count && last ? { items, next: last.address } : { items }
  }

  /** Puts what `next` makes of the row in its place; nothing is written where it makes nothing. */
  async function changeRow(
    address: DirectAddress,
    by: string,
    next: (
      row: AddressRow,
    ) =>
      | { readonly row: AddressRow; readonly action: string; readonly facts?: Readonly<Record<string, string>> }
      | undefined,
  ): ReturnType<Addresses['remove']> {
    const found = await rows.get<AddressRow>(addressKey(address))
    if (!found) return problem('address-not-served', address)
    const changed = next(found.value)
    if (!changed) return { kind: 'done' }
    const done = await rows.change({
      require: [{ key: found.key, version: found.version }],
      put: [{ key: found.key, value: changed.row }],
      action: changed.action,
      by,
      subject: { address, ...changed.facts },
    })
    return done ? { kind: 'done' } : problem('changed-meanwhile', address)
  }

  const setDisabled: Addresses['setDisabled'] = (address, disabled, by) =>
    changeRow(address, by, (row) =>
      row.disabled === disabled
        ? undefined
        : { row: { ...row, disabled }, action: disabled ? 'address.disabled' : 'address.enabled' },
    )

  const prove: Addresses['prove'] = async (address, { level, method }, by) => {
    const how = method.trim()
    if (!proofingLevels.includes(level) || how === '' || how.length > directoryLimits.labelCharacters)
      return problem('bad-proofing', level)
    const proofing = { level, method: how, by, at: clock.now() }
    return changeRow(address, by, (row) => ({ row: { ...row, proofing }, action: 'address.proofed', facts: { level } }))
  }

  const unprove: Addresses['unprove'] = (address, by) =>
    changeRow(address, by, ({ proofing, ...row }) => proofing && { row, action: 'address.unproofed' })

  const setEdge: Addresses['setEdge'] = async (address, edge, by) => {
    if (edge !== undefined && !edgeName.test(edge)) return problem('bad-edge', edge)
    return changeRow(address, by, ({ edge: before, ...row }) =>
      before === edge
        ? undefined
        : {
            row: { ...row, ...(edge !== undefined && { edge }) },
            action: 'address.edge-set',
            facts: { edge: edge ?? 'none' },
          },
    )
  }

  const remove: Addresses['remove'] = async (address, by) => {
    const row = await rows.get<AddressRow>(addressKey(address))
    if (!row) return problem('address-not-served', address)
    const { mailbox, record } = row.value
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'address.removed',
      by,
      subject: { address, mailbox, ...(record ? { record } : {}) },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', address)
  }

  const standing: Addresses['standing'] = async (address) => {
    const domain = await rows.get<{ readonly policy: Partial<DomainPolicy> }>(domainKey(domainOf(address)))
    if (!domain) return undefined
    const row = await rows.get<AddressRow>(addressKey(address))
    return row && standingOf(row.value, { ...defaults, ...domain.value.policy })
  }

  return {
    add,
    get,
    list,
    isServed: async (address) => (await standing(address)) === 'live',
    standing,
    setDisabled,
    setEdge,
    prove,
    unprove,
    remove,
  }
}

function standingOf({ disabled, proofing }: AddressRow, policy: DomainPolicy): Standing {
  if (disabled) return 'disabled'
  const { identityProofing: demanded } = policy
  if (demanded === 'none') return 'live'
  const reached = proofing ? proofingLevels.indexOf(proofing.level) : -1
  return reached >= proofingLevels.indexOf(demanded) ? 'live' : 'awaiting-proofing'
}

/** A random UUID (RFC 9562 §5.4). */
function randomUuid(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
