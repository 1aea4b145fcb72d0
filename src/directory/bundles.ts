import type { DirectDomain } from '../direct/address.js'
import { parseDomain } from '../direct/address.js'
import { type Batch, together } from '../ports/store.js'
import type { Direction } from '../ports/trust.js'
import {
  type AnchorRow,
  anchorPrefix,
  type BundleRow,
  bundleAnchor,
  bundleName,
  bundleQueue,
  changeWords,
  type Difference,
  directions,
  headKey,
  headPrefix,
  keptOf,
  noPayload,
  rowOf,
  statusKey,
  statusPut,
  type UseRow,
  useKey,
  useOf,
  usesPrefix,
  usesWords,
} from './bundle-rows.js'
import { base64, bytes, described, stored } from './certificate.js'
import type { BundleBook, BundleLoad, BundleRecord, BundleStatus } from './directory.js'
import { domainKey } from './domains.js'
import { type DirectoryRefusal, problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

/** Opens the book of bundles: changes go through the remembered rows, what decides is read from the store. */
export function openBundles(rows: Rows, ports: DirectoryPorts): BundleBook {
  const { store, clock, random } = ports

  async function readHead(name: string): Promise<Row<BundleRow> | undefined> {
    const entry = await store.get(headKey(name))
    return entry && { ...entry, value: JSON.parse(Buffer.from(entry.value).toString()) as BundleRow }
  }

  async function recordOf(row: Row<BundleRow>, uses: readonly Row<UseRow>[]): Promise<BundleRecord> {
    const name = row.key.slice(headPrefix.length)
    const status = await store.get(statusKey(name))
    const { signer, ...rest } = row.value
    return {
      name,
      ...rest,
      ...(signer !== undefined && { signer: described(stored(signer).certificate) }),
      status: status ? (JSON.parse(Buffer.from(status.value).toString()) as BundleStatus) : { failures: 0 },
      uses: uses.filter(({ key }) => key.endsWith(` ${name}`)).map(useOf),
      revision: row.version,
    }
  }

  async function get(name: string): Promise<BundleRecord | undefined> {
    const row = await readHead(name)
    return row && recordOf(row, await rows.walk<UseRow>(usesPrefix))
  }

  /** The change of anchors from what the store has now to what was loaded. */
  async function difference(name: string, { content }: BundleLoad): Promise<Difference | DirectoryRefusal> {
    const kept = keptOf(content, ports)
    if (kept.certificates.length === 0) return problem('nothing-to-trust', kept.testOnly > 0 ? 'TEST ONLY' : '')
    if (kept.certificates.length > directoryLimits.anchorsPerBundle) return problem('too-many', name)
    const prefix = anchorPrefix(name)
    const now = clock.now()
    const known = new Set((await rows.walk<AnchorRow>(prefix)).map(({ key }) => key.slice(prefix.length)))
    const added = kept.certificates.filter(({ fingerprint }) => !known.has(fingerprint))
    for (const { fingerprint } of kept.certificates) known.delete(fingerprint)
    const { certificates: _, ...words } = content
    return {
      kind: 'difference',
      put: added.map(({ fingerprint, der }) => ({
        key: prefix + fingerprint,
        value: { certificate: base64(der), addedAt: now } satisfies AnchorRow,
      })),
      del: [...known].map((id) => prefix + id),
      copy: { ...words, loadedAt: now, certificates: kept.certificates.length, testOnly: kept.testOnly },
      added: added.map(({ fingerprint }) => fingerprint),
      removed: [...known],
    }
  }

  /** Its own with every source of a bundle: a job that an earlier one left behind finds that it is not meant. */
  function newJob(name: string): string {
    return `${name} ${Buffer.from(random.bytes(8)).toString('hex')}`
  }

  function jobFor(row: BundleRow, dueAt: number): Batch {
    const { job } = row
    return row.url === undefined ? {} : { enqueue: [{ queue: bundleQueue, id: job, payload: noPayload, dueAt }] }
  }

  const add: BundleBook['add'] = async ({ name, uses = [], ...source }, load, by) => {
    if (!bundleName.test(name)) return problem('bad-bundle-name', name)
    const row = rowOf(source)
    if ('kind' in row) return row
    if ((await rows.list(headPrefix, directoryLimits.bundles)).length >= directoryLimits.bundles)
      return problem('too-many')
    for (const use of uses) {
      const refusal = await useProblem(use.domain, use.direction)
      if (refusal) return refusal
    }
    const now = clock.now()
    const job = newJob(name)
    const found = load && (await difference(name, load))
    if (found?.kind === 'refused') return found
    const head: BundleRow = { ...row, addedAt: now, job, ...(found && { copy: found.copy }) }
    const status: BundleStatus = load?.status ?? { failures: 0, ...(row.url !== undefined && { nextAt: now }) }
    const changed = await rows.change({
      require: [{ key: headKey(name), version: 'absent' }],
      put: [
        { key: headKey(name), value: head },
        ...uses.map((use) => ({
          key: useKey(use.domain, name),
          value: { direction: use.direction, addedAt: now } satisfies UseRow,
        })),
        ...(found?.put ?? []),
      ],
      ...(found && { del: found.del }),
      also: together({ put: [statusPut(name, status)] }, jobFor(head, status.nextAt ?? now)),
      action: 'bundle.added',
      by,
      subject: { bundle: name, ...(found && changeWords(found)), ...usesWords(uses) },
    })
    if (!changed) return problem('already-exists', name)
    const bundle = await get(name)
    return bundle ? { kind: 'added', bundle } : problem('changed-meanwhile', name)
  }

  const change: BundleBook['change'] = async (bundle, source, load, by) => {
    const { name } = bundle
    const row = await readHead(name)
    if (row?.version !== bundle.revision) return problem('changed-meanwhile', name)
    const { url, signer } = row.value
    const next = rowOf({
      ...(url !== undefined && { url }),
      ...(signer !== undefined && { signer: bytes(signer) }),
      refreshMs: row.value.refreshMs,
      ...source,
    })
    if ('kind' in next) return next
    const found = load && (await difference(name, load))
    if (found?.kind === 'refused') return found
    const head: BundleRow = { ...row.value, ...next, job: newJob(name), ...(found && { copy: found.copy }) }
    const { validators: _, ...status } = load?.status ?? bundle.status
    const kept: BundleStatus = load
      ? load.status
      : { ...status, ...(next.url !== undefined && { nextAt: clock.now() }) }
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: head }, ...(found?.put ?? [])],
      ...(found && { del: found.del }),
      also: together({ put: [statusPut(name, kept)] }, jobFor(head, kept.nextAt ?? clock.now())),
      action: 'bundle.changed',
      by,
      subject: { bundle: name, ...(found && changeWords(found)) },
    })
    const now = changed ? await get(name) : undefined
    return now ? { kind: 'changed', bundle: now } : problem('changed-meanwhile', name)
  }

  const replace: BundleBook['replace'] = async ({ name, revision }, load, by, also = {}) => {
    const row = await readHead(name)
    if (row?.version !== revision) return problem('changed-meanwhile', name)
    const found = await difference(name, load)
    if (found.kind === 'refused') return found
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, copy: found.copy } satisfies BundleRow }, ...found.put],
      del: found.del,
      also: together({ put: [statusPut(name, load.status)] }, also),
      action: 'bundle.replaced',
      by,
      subject: { bundle: name, ...changeWords(found) },
    })
    return changed
      ? { kind: 'replaced', added: found.added, removed: found.removed }
      : problem('changed-meanwhile', name)
  }

  const note: BundleBook['note'] = async ({ name, revision }, status, also = {}) => {
    const told: Batch = { require: [{ key: headKey(name), version: revision }], put: [statusPut(name, status)] }
    return (await store.commit(together(told, also))).kind === 'committed'
  }

  const attach: BundleBook['attach'] = async (name, text, direction, by) => {
    const refusal = await useProblem(text, direction)
    if (refusal) return refusal
    const domain = parseDomain(text) as DirectDomain
    const row = await readHead(name)
    if (!row) return problem('not-found', name)
    const key = useKey(domain, name)
    const uses = await rows.list<UseRow>(`${usesPrefix}${domain} `, directoryLimits.bundlesPerDomain)
    if (uses.length >= directoryLimits.bundlesPerDomain && !uses.some((use) => use.key === key))
      return problem('too-many', domain)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key, value: { direction, addedAt: clock.now() } satisfies UseRow }],
      action: 'bundle.attached',
      by,
      subject: { bundle: name, domain, direction },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', name)
  }

  const detach: BundleBook['detach'] = async (name, domain, by) => {
    const row = await rows.get<UseRow>(useKey(domain, name))
    if (!row) return problem('not-found', `${name} for ${domain}`)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'bundle.detached',
      by,
      subject: { bundle: name, domain },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', name)
  }

  /** The job stays behind until it is due, and then finds no bundle. */
  const remove: BundleBook['remove'] = async (name, by) => {
    const row = await readHead(name)
    if (!row) return problem('not-found', name)
    const anchors = await rows.walk<AnchorRow>(anchorPrefix(name))
    const uses = (await rows.walk<UseRow>(usesPrefix)).filter(({ key }) => key.endsWith(` ${name}`))
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key, ...anchors.map(({ key }) => key), ...uses.map(({ key }) => key)],
      also: { del: [statusKey(name)] },
      action: 'bundle.removed',
      by,
      subject: { bundle: name, anchors: String(anchors.length), ...usesWords(uses.map(useOf)) },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', name)
  }

  async function useProblem(text: string, direction: Direction): Promise<DirectoryRefusal | undefined> {
    const domain = parseDomain(text)
    if (!domain) return problem('bad-domain', text)
    if (!directions.includes(direction)) return problem('bad-direction', String(direction))
    return (await rows.get(domainKey(domain))) ? undefined : problem('domain-not-served', domain)
  }

  return {
    add,
    change,
    get,
    replace,
    note,
    attach,
    detach,
    remove,
    async list() {
      const uses = await rows.walk<UseRow>(usesPrefix)
      const heads = await rows.walk<BundleRow>(headPrefix)
      return Promise.all(heads.map((row) => recordOf(row, uses)))
    },
    anchorsOf: async (name) =>
      (await rows.walk<AnchorRow>(anchorPrefix(name))).map(({ value }) => bundleAnchor(value, clock.now())),
  }
}
