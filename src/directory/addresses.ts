import { type DirectAddress, domainOf, parseAddress } from '../direct/address.js'
import { within } from '../ports/store.js'
import type { Random } from '../ports/world.js'
import type { Address, Addresses } from './directory.js'
import { domainKey } from './domains.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Rows } from './rows.js'

type AddressRow = Omit<Address, 'address'>

const prefix = 'directory/address/'
const addressKey = (address: DirectAddress) =>
  `${prefix}${domainOf(address)} ${address.slice(0, address.lastIndexOf('@'))}`
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function openAddresses(rows: Rows, { store, clock, random }: DirectoryPorts): Addresses {
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

  const setDisabled: Addresses['setDisabled'] = async (address, disabled, by) => {
    const row = await rows.get<AddressRow>(addressKey(address))
    if (!row) return problem('address-not-served', address)
    if (row.value.disabled === disabled) return { kind: 'done' }
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, disabled } }],
      action: disabled ? 'address.disabled' : 'address.enabled',
      by,
      subject: { address },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', address)
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

  const isServed: Addresses['isServed'] = async (address) => {
    const domain = await rows.get(domainKey(domainOf(address)))
    if (!domain) return false
    const row = await rows.get<AddressRow>(addressKey(address))
    return row !== undefined && !row.value.disabled
  }

  return { add, get, list, isServed, setDisabled, remove }
}

/** A random UUID (RFC 9562 §5.4). */
function randomUuid(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
