import { domainOf } from '../direct/address.js'
import { undecided } from '../direct/refusal.js'
import { StoreFailed } from '../ports/store.js'
import type { Anchor, Direction } from '../ports/trust.js'
import type { BundleAnchors } from './bundle-rows.js'
import {
  base64,
  described,
  domainOfOwner,
  isAuthority,
  once,
  readNew,
  readOwner,
  stored,
  validityWarnings,
} from './certificate.js'
import type { AnchorBook, AnchorRecord, Owner } from './directory.js'
import { domainKey } from './domains.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface AnchorRow {
  readonly owner: Owner
  readonly direction: Direction
  /** Base64 of DER. */
  readonly certificate: string
  readonly addedAt: number
}

const prefix = 'directory/anchor/'
const ownerPrefix = (owner: Owner) => `${prefix}${owner} `
const directions: readonly string[] = ['in', 'out', 'both'] satisfies Direction[]

export function openAnchors(rows: Rows, ports: DirectoryPorts, bundles: BundleAnchors): AnchorBook {
  const { clock } = ports
  const decode = once((found: readonly Row<AnchorRow>[]) => found.map(({ value }) => recordOf(value)))
  const ofOwner = async (owner: Owner) =>
    decode(await rows.list<AnchorRow>(ownerPrefix(owner), directoryLimits.anchorsPerOwner))

  const serving = (direction: Direction) =>
    once((anchors: readonly AnchorRecord[]): readonly Anchor[] =>
      anchors.filter((anchor) => anchor.direction === direction || anchor.direction === 'both'),
    )
  const servingIn = { in: serving('in'), out: serving('out') }
  const joined = joining<Anchor>()

  const add: AnchorBook['add'] = async (anchor, by) => {
    const named = readOwner(anchor.owner)
    if (named.kind === 'refused') return named
    const { owner } = named
    if (!directions.includes(anchor.direction)) return problem('bad-direction', String(anchor.direction))
    if (!(await rows.get(domainKey(domainOfOwner(owner))))) return problem('domain-not-served', domainOfOwner(owner))
    const read = readNew(anchor.certificate, ports)
    if (read.kind === 'refused') return read
    const { certificate } = read
    const id = certificate.fingerprint
    const existing = await ofOwner(owner)
    const known = existing.find((record) => record.id === id)
    if (!known && existing.length >= directoryLimits.anchorsPerOwner) return problem('too-many', owner)

    const { direction } = anchor
    const addedAt = known?.addedAt ?? clock.now()
    const row: AnchorRow = { owner, direction, certificate: base64(certificate.der), addedAt }
    await rows.change({
      put: [{ key: ownerPrefix(owner) + id, value: row }],
      action: known ? 'anchor.changed' : 'anchor.added',
      by,
      subject: { owner, certificate: id, direction },
    })
    const warnings = [
      ...validityWarnings(certificate, clock.now()),
      ...(isAuthority(certificate) ? [] : ['not-an-authority' as const]),
    ]
    return { kind: 'added', anchor: recordOf(row), warnings }
  }

  const remove: AnchorBook['remove'] = async (owner, id, by) => {
    const row = await rows.get<AnchorRow>(ownerPrefix(owner) + id)
    if (!row) return problem('not-found', id)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'anchor.removed',
      by,
      subject: { owner, certificate: id },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', id)
  }

  const of: AnchorBook['of'] = async (address, direction) => {
    try {
      const domain = domainOf(address)
      const [own, shared, bundled] = await Promise.all([
        ofOwner(address),
        ofOwner(domain),
        bundles.of(domain, direction),
      ])
      const serving = servingIn[direction]
      return joined([serving(own), serving(shared), ...bundled])
    } catch (error) {
      if (error instanceof StoreFailed) return undecided('store-unavailable', error.message)
      throw error
    }
  }

  return {
    add,
    remove,
    of,
    list: async (owner) => (owner ? ofOwner(owner) : decode(await rows.walk<AnchorRow>(prefix))),
  }
}

/**
 * Joins lists to one, and the same lists to the same one for as long as they are remembered: who makes anchors ready for a
 * search does so once for each list. A single list that is not empty is that list, which many domains may share.
 */
function joining<T>(): (lists: readonly (readonly T[])[]) => readonly T[] {
  interface Step {
    readonly next: WeakMap<readonly T[], Step>
    whole?: readonly T[]
  }
  const newStep = (): Step => ({ next: new WeakMap() })
  const start = newStep()
  const none: readonly T[] = []
  return (lists) => {
    const filled = lists.filter(({ length }) => length > 0)
    const [first = none, second] = filled
    if (!second) return first
    let step = start
    for (const list of filled) {
      const known = step.next.get(list) ?? newStep()
      step.next.set(list, known)
      step = known
    }
    step.whole ??= filled.flat()
    return step.whole
  }
}

function recordOf(row: AnchorRow): AnchorRecord {
  const { owner, direction, addedAt } = row
  return { ...described(stored(row.certificate).certificate), owner, direction, addedAt }
}
