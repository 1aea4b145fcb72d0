import { domainOf, spellings } from '../direct/address.js'
import { undecided } from '../direct/refusal.js'
import { StoreFailed } from '../ports/store.js'
import type { DiscoveryStep } from '../ports/trust.js'
import { nameText } from '../x509/name.js'
import { base64, described, domainOfOwner, names, once, readNew, readOwner, stored } from './certificate.js'
import type { CertificateRecord, Owner, PeerBook } from './directory.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface PeerRow {
  readonly owner: Owner
  /** Base64 of DER. */
  readonly certificate: string
  readonly addedAt: number
}

const prefix = 'directory/peer/'
const ownerPrefix = (owner: Owner) => `${prefix}${owner} `

export function openPeers(rows: Rows, ports: DirectoryPorts): PeerBook {
  const { clock } = ports
  const decode = once((found: readonly Row<PeerRow>[]) => found.map(({ value }) => recordOf(value)))
  const ofOwner = async (owner: Owner) =>
    decode(await rows.list<PeerRow>(ownerPrefix(owner), directoryLimits.peersPerOwner))

  const add: PeerBook['add'] = async (peer, by) => {
    const named = readOwner(peer.owner)
    if (named.kind === 'refused') return named
    const { owner } = named
    const read = readNew(peer.certificate, ports)
    if (read.kind === 'refused') return read
    const { certificate } = read
    // A certificate of its whole domain speaks for an address, too.
    if (!names(certificate, owner) && !names(certificate, domainOfOwner(owner)))
      return problem('not-bound', `${owner} is not in ${nameText(certificate.subject)}`)
    const existing = await ofOwner(owner)
    const id = certificate.fingerprint
    if (existing.some((record) => record.id === id)) return problem('already-exists', id)
    if (existing.length >= directoryLimits.peersPerOwner) return problem('too-many', owner)
    const row: PeerRow = { owner, certificate: base64(certificate.der), addedAt: clock.now() }
    await rows.change({
      put: [{ key: ownerPrefix(owner) + id, value: row }],
      action: 'peer.added',
      by,
      subject: { owner, certificate: id },
    })
    return { kind: 'added', certificate: recordOf(row) }
  }

  const remove: PeerBook['remove'] = async (owner, id, by) => {
    const row = await rows.get<PeerRow>(ownerPrefix(owner) + id)
    if (!row) return problem('not-found', id)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'peer.removed',
      by,
      subject: { owner, certificate: id },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', id)
  }

  /** Certificates of the address; those of its domain only where it has none of its own (Applicability Statement §5.3). */
  const of: PeerBook['of'] = async (address) => {
    const steps: DiscoveryStep[] = []
    try {
      for (const owner of [...spellings(address), domainOf(address)]) {
        const binding = owner.includes('@') ? 'address' : 'domain'
        const found = await ofOwner(owner)
        const outcome = found.length > 0 ? 'found' : 'none'
        steps.push({ source: 'imported', binding, place: `imported for ${owner}`, outcome, detail: '' })
        const certificates = found.map(({ certificate }) => certificate)
        if (found.length > 0) return { kind: 'found', source: 'imported', binding, certificates, steps }
      }
      return { kind: 'none', steps }
    } catch (error) {
      if (error instanceof StoreFailed) return { ...undecided('store-unavailable', error.message), steps }
      throw error
    }
  }

  return {
    add,
    remove,
    of,
    list: async (owner) => (owner ? ofOwner(owner) : decode(await rows.walk<PeerRow>(prefix))),
  }
}

function recordOf(row: PeerRow): CertificateRecord {
  return { ...described(stored(row.certificate).certificate), owner: row.owner, addedAt: row.addedAt }
}
