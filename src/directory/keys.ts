import { type DirectAddress, domainOf } from '../direct/address.js'
import { type Undecided, undecided } from '../direct/refusal.js'
import { parseTokenUri, type TokenUri } from '../direct/token-uri.js'
import type { KeyPlace, OwnedKey } from '../ports/keys.js'
import { StoreFailed } from '../ports/store.js'
import type { Certificate } from '../x509/certificate.js'
import { nameText, sameName } from '../x509/name.js'
import {
  base64,
  bytes,
  checkPrivateKey,
  described,
  domainOfOwner,
  isSelfIssued,
  names,
  once,
  readNew,
  readOwner,
  stored,
  type TestOnlyPolicy,
  usesOf,
  validityWarnings,
  weakness,
} from './certificate.js'
import type { KeyRecord, KeyRegistration, KeyWarning, Owner, OwnKeys } from './directory.js'
import { domainKey } from './domains.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

/** The purpose under which private keys are wrapped; their id is the fingerprint of the certificate. */
export const privateKeyPurpose = 'private-key'

interface KeyRow {
  readonly owner: Owner
  /** Base64 of DER. */
  readonly certificate: string
  readonly chain: readonly string[]
  /** Base64; absent where the key is in a token. */
  readonly wrapped?: string
  /** The PKCS#11 URI of a key in a token. */
  readonly token?: string
  readonly retired: boolean
  readonly addedAt: number
  readonly registered?: KeyRegistration
}

/** What of a new key is the same however it came. */
interface Fitting {
  readonly kind: 'fitting'
  readonly owner: Owner
  readonly certificate: Certificate
  readonly chain: readonly Certificate[]
}

const prefix = 'directory/key/'
const ownerPrefix = (owner: Owner) => `${prefix}${owner} `

export function openKeys(rows: Rows, ports: DirectoryPorts): OwnKeys {
  const { clock, keyring } = ports
  /** A list of rows as keys: decoded once for as long as the list is remembered. */
  const decode = once((found: readonly Row<KeyRow>[]) =>
    found
      .map(({ value }) => ({ record: recordOf(value), owned: ownedKey(value) }))
      .sort((a, b) => newestFirst(a.record, b.record)),
  )

  const add: OwnKeys['add'] = async (key, by) => {
    const fitting = await fittingOf(key)
    if (fitting.kind === 'refused') return fitting
    const mismatch = checkPrivateKey(fitting.certificate, key.pkcs8)
    if (mismatch) return mismatch
    return keep(
      fitting,
      { wrapped: keyring.wrap(privateKeyPurpose, fitting.certificate.fingerprint, key.pkcs8) },
      {},
      by,
    )
  }

  const addBound: OwnKeys['addBound'] = async (key, by) => {
    const fitting = await fittingOf(key)
    if (fitting.kind === 'refused') return fitting
    return keep(fitting, { wrapped: key.wrapped }, { registered: key.registered }, by)
  }

  const addToken: OwnKeys['addToken'] = async (key, by) => {
    const uri = parseTokenUri(key.token)
    if (uri.kind === 'refused') return problem('bad-token-uri', uri.detail)
    const fitting = await fittingOf(key)
    if (fitting.kind === 'refused') return fitting
    return keep(fitting, { token: uri.uri }, {}, by)
  }

  /** Checks what does not need the private key. */
  async function fittingOf(key: {
    readonly owner: string
    readonly certificate: Uint8Array
    readonly chain?: readonly Uint8Array[]
  }) {
    const named = readOwner(key.owner)
    if (named.kind === 'refused') return named
    const { owner } = named
    if (!(await rows.get(domainKey(domainOfOwner(owner))))) return problem('domain-not-served', domainOfOwner(owner))
    const read = readNew(key.certificate, ports)
    if (read.kind === 'refused') return read
    const { certificate } = read
    if (!names(certificate, owner)) return problem('not-bound', `${owner} is not in ${nameText(certificate.subject)}`)
    const weak = weakness(certificate)
    if (weak) return problem('weak-key', weak)
    const chain = readChain(key.chain ?? [], ports)
    if (chain.kind === 'refused') return chain
    const existing = await rows.list(ownerPrefix(owner), directoryLimits.keysPerOwner)
    if (existing.length >= directoryLimits.keysPerOwner) return problem('too-many', owner)
    const fitting: Fitting = { kind: 'fitting', owner, certificate, chain: chain.certificates }
    return fitting
  }

  async function keep(
    { owner, certificate, chain }: Fitting,
    place: KeyPlace,
    registered: Pick<KeyRow, 'registered'>,
    by: string,
  ): ReturnType<OwnKeys['add']> {
    const id = certificate.fingerprint
    const row: KeyRow = {
      owner,
      certificate: base64(certificate.der),
      chain: chain.map(({ der }) => base64(der)),
      ...(place.token === undefined ? { wrapped: base64(place.wrapped) } : { token: place.token }),
      retired: false,
      addedAt: clock.now(),
      ...registered,
    }
    const storeKey = ownerPrefix(owner) + id
    const changed = await rows.change({
      require: [{ key: storeKey, version: 'absent' }],
      put: [{ key: storeKey, value: row }],
      action: 'key.added',
      by,
      subject: { owner, certificate: id },
    })
    if (!changed) return problem('already-exists', id)
    return { kind: 'added', key: recordOf(row), warnings: warningsOf(certificate, chain, clock.now()) }
  }

  const list: OwnKeys['list'] = async (owner) => {
    const found = owner
      ? await rows.list<KeyRow>(ownerPrefix(owner), directoryLimits.keysPerOwner)
      : await rows.walk<KeyRow>(prefix)
    return decode(found).map(({ record }) => record)
  }

  const asked: OwnKeys['asked'] = async (owner) =>
    decode(await rows.listAsked<KeyRow>(ownerPrefix(owner), directoryLimits.keysPerOwner)).map(({ record }) => record)

  const retire: OwnKeys['retire'] = async (owner, id, by) => {
    const row = await rows.get<KeyRow>(ownerPrefix(owner) + id)
    if (!row) return problem('not-found', id)
    if (row.value.retired) return { kind: 'done' }
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, retired: true } }],
      action: 'key.retired',
      by,
      subject: { owner, certificate: id },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', id)
  }

  /** Of the address first, then of its domain; of each the newest first. */
  async function ofAddress(address: DirectAddress) {
    const found = [address, domainOf(address)].map((owner) =>
      rows.list<KeyRow>(ownerPrefix(owner), directoryLimits.keysPerOwner),
    )
    return (await Promise.all(found)).flatMap(decode)
  }

  const rewrap: OwnKeys['rewrap'] = async (by) => {
    let count = 0
    for (const row of await rows.walk<KeyRow>(prefix)) {
      if (row.value.wrapped === undefined) continue
      const id = row.key.slice(row.key.lastIndexOf(' ') + 1)
      const fresh = keyring.rewrap(privateKeyPurpose, id, Buffer.from(row.value.wrapped, 'base64'))
      if (fresh && (await replaceWrapped(row, id, fresh, by))) count++
    }
    return count
  }

  function replaceWrapped(row: Row<KeyRow>, id: string, wrapped: Uint8Array, by: string): Promise<boolean> {
    return rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, wrapped: base64(wrapped) } }],
      action: 'key.rewrapped',
      by,
      subject: { owner: row.value.owner, certificate: id },
    })
  }

  return {
    add,
    addBound,
    addToken,
    list,
    asked,
    retire,
    rewrap,
    toDecrypt: (address) => unlessDown(async () => (await ofAddress(address)).map(({ owned }) => owned)),
    toSign: (address, at) =>
      unlessDown(async () =>
        (await ofAddress(address)).filter(({ record }) => signsAt(record, at)).map(({ owned }) => owned),
      ),
  }
}

function signsAt({ retired, maySign, notBefore, notAfter }: KeyRecord, at: number): boolean {
  return !retired && maySign && notBefore <= at && at <= notAfter
}

async function unlessDown<T>(look: () => Promise<T>): Promise<T | Undecided> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof StoreFailed) return undecided('key-store-unavailable', error.message)
    throw error
  }
}

/** Reads a chain, leaving out self-issued certificates: an anchor convinces nobody by being sent along. */
function readChain(chain: readonly Uint8Array[], policy: TestOnlyPolicy) {
  if (chain.length > directoryLimits.chain) return problem('too-many', `a chain of ${chain.length} certificates`)
  const certificates: Certificate[] = []
  for (const der of chain) {
    const read = readNew(der, policy)
    if (read.kind === 'refused') return read
    if (!isSelfIssued(read.certificate)) certificates.push(read.certificate)
  }
  return { kind: 'chain' as const, certificates }
}

function warningsOf(certificate: Certificate, chain: readonly Certificate[], at: number): KeyWarning[] {
  const { maySign, mayEncrypt } = usesOf(certificate)
  const path = [certificate, ...chain]
  const broken = chain.some((issuer, i) => !sameName((path[i] as Certificate).issuer, issuer.subject))
  return [
    ...validityWarnings(certificate, at),
    ...(maySign ? [] : ['signs-nothing' as const]),
    ...(mayEncrypt ? [] : ['encrypts-nothing' as const]),
    ...(broken ? ['broken-chain' as const] : []),
  ]
}

function recordOf(row: KeyRow): KeyRecord {
  const { certificate } = stored(row.certificate)
  return {
    ...described(certificate),
    ...usesOf(certificate),
    issuer: nameText(certificate.issuer),
    chain: row.chain.map(bytes),
    owner: row.owner,
    retired: row.retired,
    addedAt: row.addedAt,
    ...(row.registered && { registered: row.registered }),
    ...(row.token !== undefined && { token: row.token as TokenUri }),
  }
}

function ownedKey(row: KeyRow): OwnedKey {
  const { certificate } = stored(row.certificate)
  return {
    id: certificate.fingerprint,
    owner: row.owner,
    certificate: certificate.der,
    chain: row.chain.map(bytes),
    ...(row.token === undefined ? { wrapped: bytes(row.wrapped ?? '') } : { token: row.token as TokenUri }),
  }
}

function newestFirst(a: KeyRecord, b: KeyRecord): number {
  return b.notBefore - a.notBefore || b.addedAt - a.addedAt
}
