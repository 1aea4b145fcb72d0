import { type DirectAddress, domainOf, parseAddress } from '../direct/address.js'
import { type Batch, together, within } from '../ports/store.js'
import type { Random } from '../ports/world.js'
import { type Address, type Addresses, proofingLevels, type Standing } from './directory.js'
import { domainKey } from './domains.js'
import { isReservedName, isWord } from './names.js'
import { type DomainPolicy, defaultPolicy } from './policy.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

type AddressRow = Omit<Address, 'address'>

/** Rounds of trying again what somebody else changed meanwhile. */
const rounds = 8

const prefix = 'directory/address/'
const addressKey = (address: DirectAddress) =>
  `${prefix}${domainOf(address)} ${address.slice(0, address.lastIndexOf('@'))}`
/** The addresses of one record; also what makes two that are activated at once wait for one another. */
const recordPrefix = 'directory/record/'
const recordKey = (record: string) => recordPrefix + record
/** What is left of an address that somebody had: its name is given to nobody again. */
const retiredKey = (address: DirectAddress) =>
  `directory/retired/${domainOf(address)} ${address.slice(0, address.lastIndexOf('@'))}`
/** There once the addresses of former versions stand in the rows of their records too. */
const gatheredKey = 'directory/records-gathered'

interface RecordRow {
  readonly addresses: readonly DirectAddress[]
}

interface RetiredRow {
  readonly at: number
  /** A person had chosen it. */
  readonly activated: boolean
}

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
    // Who chose an address may have told everybody: even an operator cannot give it to somebody else.
    const retired = await rows.get<RetiredRow>(retiredKey(address))
    if (retired?.value.activated) return problem('name-reserved', address)
    const record = kind === 'patient' ? (options.record ?? randomUuid(random)) : undefined
    return place(address, kind, record, domain, by, { action: 'address.added' })
  }

  /** Puts a new address, and where it has a record, among the addresses of that. */
  async function place(
    address: DirectAddress,
    kind: Address['kind'],
    record: string | undefined,
    domain: Row<unknown>,
    by: string,
    {
      action,
      most = directoryLimits.addressesPerRecord,
      also = {},
      activated,
    }: { readonly action: string; readonly most?: number; readonly also?: Batch; readonly activated?: true },
  ): ReturnType<Addresses['add']> {
    const row: AddressRow = {
      kind,
      mailbox: randomUuid(random),
      ...(record !== undefined && { record }),
      disabled: false,
      createdAt: clock.now(),
      ...(activated && { activated }),
    }
    const key = addressKey(address)
    if (await rows.get(key)) return problem('already-exists', address)
    const beside = record === undefined ? undefined : await rows.get<RecordRow>(recordKey(record))
    const addresses = beside?.value.addresses ?? []
    if (addresses.length >= most) return problem('too-many', `record ${record}`)
    const changed = await rows.change({
      require: [
        { key, version: 'absent' },
        { key: domain.key, version: domain.version },
        ...(record === undefined ? [] : [{ key: recordKey(record), version: beside?.version ?? ('absent' as const) }]),
      ],
      put: [
        { key, value: row },
        ...(record === undefined ? [] : [{ key: recordKey(record), value: { addresses: [...addresses, address] } }]),
      ],
      also,
      action,
      by,
      subject: { address, mailbox: row.mailbox, ...(record !== undefined && { record }) },
    })
    if (changed) return { kind: 'added', address: { address, ...row } }
    return (await rows.get(key)) ? problem('already-exists', address) : problem('changed-meanwhile', address)
  }

  const mayActivate: Addresses['mayActivate'] = async (text) => {
    const address = parseAddress(text)
    if (!address) return problem('bad-address', text)
    const domain = await rows.get<{ readonly policy: Partial<DomainPolicy> }>(domainKey(domainOf(address)))
    const { activation } = { ...defaults, ...domain?.value.policy }
    if (!domain || activation !== 'open') return problem('activation-closed', domainOf(address))
    const local = address.slice(0, address.lastIndexOf('@'))
    if (!isWord(local)) return problem('bad-local-part', address)
    if (isReservedName(local) || (await rows.get(retiredKey(address)))) return problem('name-reserved', address)
    return (await rows.get(addressKey(address))) ? problem('already-exists', address) : { kind: 'free', address }
  }

  const activate: Addresses['activate'] = async (text, record, by, { most, also = {} }) => {
    if (!uuid.test(record)) return problem('not-found', `record ${record}`)
    for (let round = 0; round < rounds; round++) {
      const may = await mayActivate(text)
      if (may.kind === 'refused') return may
      const { address } = may
      const domain = await rows.get(domainKey(domainOf(address)))
      if (!domain) continue
      const free: Batch = { require: [{ key: retiredKey(address), version: 'absent' }] }
      const options = { action: 'address.activated', most, also: together(free, also), activated: true } as const
      const placed = await place(address, 'patient', record, domain, by, options)
      if (placed.kind === 'added' || placed.problem !== 'changed-meanwhile') return placed
    }
    return problem('changed-meanwhile', text)
  }

  const ofRecord: Addresses['ofRecord'] = async (record) => {
    const row = uuid.test(record) ? await rows.get<RecordRow>(recordKey(record)) : undefined
    const found = await Promise.all((row?.value.addresses ?? []).map((address) => get(address)))
    return found.filter((one) => one !== undefined)
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
    const { mailbox, record, activated = false } = row.value
    const beside = record === undefined ? undefined : await rows.get<RecordRow>(recordKey(record))
    const rest = beside?.value.addresses.filter((one) => one !== address) ?? []
    const retired: RetiredRow = { at: clock.now(), activated }
    const changed = await rows.change({
      require: [
        { key: row.key, version: row.version },
        ...(beside ? [{ key: beside.key, version: beside.version }] : []),
      ],
      put: [
        ...(record === undefined ? [] : [{ key: retiredKey(address), value: retired }]),
        ...(beside && rest.length > 0 ? [{ key: beside.key, value: { addresses: rest } }] : []),
      ],
      del: [row.key, ...(beside && rest.length === 0 ? [beside.key] : [])],
      action: 'address.removed',
      by,
      subject: { address, mailbox, ...(record ? { record } : {}) },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', address)
  }

  const standing: Addresses['standing'] = async (address) => {
    const domain = await rows.get<{ readonly policy: Partial<DomainPolicy> }>(domainKey(domainOf(address)))
    if (!domain) return undefined
    const policy = { ...defaults, ...domain.value.policy }
    // Nobody's address, behind which mail waits for whoever proves to be meant.
    if (address === `newuser@${domainOf(address)}` && policy.activation === 'open') return 'live'
    const row = await rows.get<AddressRow>(addressKey(address))
    return row && standingOf(row.value, policy)
  }

  return {
    add,
    activate,
    mayActivate,
    ofRecord,
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

/**
 * Puts the addresses that a former version kept among those of their records, once; safe beside others who do the same, and
 * to be stopped at any line.
 */
export async function gatherRecords(rows: Rows, { store }: Pick<DirectoryPorts, 'store'>): Promise<void> {
  if (await rows.get(gatheredKey)) return
  const records = new Map<string, DirectAddress[]>()
  for (const { key, value } of await rows.walk<AddressRow>(prefix)) {
    const [of = '', local = ''] = key.slice(prefix.length).split(' ')
    if (value.record === undefined) continue
    records.set(value.record, [...(records.get(value.record) ?? []), `${local}@${of}` as DirectAddress])
  }
  for (const [record, addresses] of records) {
    const value = Buffer.from(JSON.stringify({ addresses } satisfies RecordRow))
    await store.commit({
      require: [{ key: recordKey(record), version: 'absent' }],
      put: [{ key: recordKey(record), value }],
    })
  }
  await store.commit({ put: [{ key: gatheredKey, value: Buffer.from('{}') }] })
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
