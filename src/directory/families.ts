import { parseAddress, parseDomain } from '../direct/address.js'
import { parseTokenUri } from '../direct/token-uri.js'
import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { readCertificate } from '../x509/certificate.js'
import { accountName } from './accounts.js'
import { edgeName } from './addresses.js'
import { bundleName, bundleQueue } from './bundle-rows.js'
import { type Proofing, proofingLevels, tokenScopes } from './directory.js'
import { readPreference } from './encryption.js'
import { privateKeyPurpose } from './keys.js'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Owner and id of a key `directory/<kind>/<owner> <id>`. */
function partsOf(key: string): { readonly owner: string; readonly id: string } {
  const [owner = '', id = ''] = key.slice(key.indexOf('/', 'directory/'.length) + 1).split(' ')
  return { owner, id }
}

/** A certificate in base64 that has this fingerprint. */
function checkCertificate(certificate: unknown, fingerprint: string | undefined): void {
  sound(typeof certificate === 'string', 'there is no certificate')
  const read = readCertificate(Buffer.from(certificate, 'base64'))
  sound(read.kind === 'certificate', 'the certificate does not read')
  sound(fingerprint === undefined || read.fingerprint === fingerprint, 'the certificate is another one')
}

function entry(name: string, form: RegExp, check: Family<'entry'>['check']): Family<'entry'> {
  return { kind: 'entry', name, form, check }
}

const domain = entry('domain', /^directory\/domain\/[^ /]+$/, ({ key, value }) => {
  const { policy, createdAt } = jsonOf(value)
  const name = partsOf(key).owner
  sound(parseDomain(name) === name, 'the key names no domain')
  sound(typeof policy === 'object' && policy !== null && isMoment(createdAt), 'there is no policy or no time')
  return []
})

function isProofing(value: unknown): boolean {
  const { level, method, by, at } = (value ?? {}) as { readonly [name in keyof Proofing]?: unknown }
  const known: readonly unknown[] = proofingLevels
  return known.includes(level) && typeof method === 'string' && typeof by === 'string' && isMoment(at)
}

const address = entry('address', /^directory\/address\/[^ /]+ [^ ]+$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const { kind, mailbox, record, disabled, createdAt, proofing, edge, activated } = jsonOf(value)
  sound(parseAddress(`${id}@${owner}`) === `${id}@${owner}`, 'the key names no address')
  sound(kind === 'patient' || kind === 'provider', 'the address is of no kind')
  sound(typeof mailbox === 'string' && uuid.test(mailbox), 'the address has no mailbox')
  sound(
    (typeof record === 'string' && uuid.test(record)) === (kind === 'patient'),
    'a patient has a record, others none',
  )
  sound(typeof disabled === 'boolean' && isMoment(createdAt), 'the value is not of an address')
  sound(proofing === undefined || isProofing(proofing), 'nobody vouched at any time, or for no level')
  sound(activated === undefined || activated === true, 'whether somebody chose it is not told')
  sound(edge === undefined || (typeof edge === 'string' && edgeName.test(edge)), 'its mail goes to no system')
  return []
})

const recordAddresses = entry('addresses of a record', /^directory\/record\/[0-9a-f-]{36}$/, ({ key, value }) => {
  const { addresses } = jsonOf(value)
  sound(uuid.test(partsOf(key).owner), 'the key names no record')
  sound(Array.isArray(addresses) && addresses.length > 0 && addresses.every(isAddress), 'it has what is no address')
  return (addresses as readonly string[]).map((address) => {
    const at = address.lastIndexOf('@')
    return { kind: 'entry', key: `directory/address/${address.slice(at + 1)} ${address.slice(0, at)}` }
  })
})

const retired = entry('retired address', /^directory\/retired\/[^ /]+ [^ ]+$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const { at, activated } = jsonOf(value)
  sound(isAddress(`${id}@${owner}`), 'the key names no address')
  sound(isMoment(at) && typeof activated === 'boolean', 'the value is not of an address that was')
  return []
})

const gathered = entry('records gathered', /^directory\/records-gathered$/, ({ value }) => {
  jsonOf(value)
  return []
})

const ownKey = entry('private key', /^directory\/key\/[^ ]+ [0-9a-f]{64}$/, ({ key, value }, { unwrap }) => {
  const { owner, id } = partsOf(key)
  const row = jsonOf(value)
  sound(row['owner'] === owner && isMoment(row['addedAt']), 'the key is of another owner, or of no time')
  checkCertificate(row['certificate'], id)
  sound(Array.isArray(row['chain']), 'there is no chain')
  for (const one of row['chain']) checkCertificate(one, undefined)
  if (row['token'] === undefined) unwrap(privateKeyPurpose, id, Buffer.from(String(row['wrapped']), 'base64')).fill(0)
  else sound(parseTokenUri(String(row['token'])).kind === 'uri', 'the key names no token')
  return []
})

const anchor = entry('anchor', /^directory\/anchor\/[^ ]+ [0-9a-f]{64}$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const row = jsonOf(value)
  sound(row['owner'] === owner && isMoment(row['addedAt']), 'the anchor is of another owner, or of no time')
  sound(['in', 'out', 'both'].includes(String(row['direction'])), 'the anchor has no direction')
  checkCertificate(row['certificate'], id)
  return []
})

const peer = entry('peer certificate', /^directory\/peer\/[^ ]+ [0-9a-f]{64}$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const row = jsonOf(value)
  sound(row['owner'] === owner && isMoment(row['addedAt']), 'the certificate is of another owner, or of no time')
  checkCertificate(row['certificate'], id)
  return []
})

const encryption = entry('encryption preference', /^directory\/encryption\/[^ ]+$/, ({ key, value }) => {
  const row = jsonOf(value)
  const name = partsOf(key).owner
  sound((parseAddress(name) ?? parseDomain(name)) === name, 'the key names neither an address nor a domain')
  sound(readPreference(row) !== undefined && isMoment(row['addedAt']), 'the value is no preference')
  return []
})

const issuer = entry('issuer', /^directory\/issuer\/[0-9a-f]{64} [0-9a-f]{64}$/, ({ key, value }) => {
  const row = jsonOf(value)
  sound(isMoment(row['addedAt']), 'the issuer has no time')
  checkCertificate(row['certificate'], partsOf(key).id)
  return []
})

const token = entry('token', /^directory\/token\/[0-9a-f]{64}$/, ({ value }) => {
  const { address, scopes, createdAt } = jsonOf(value)
  sound(address === '*' || (typeof address === 'string' && parseAddress(address) === address), 'the token is of nobody')
  const known: readonly unknown[] = tokenScopes
  sound(
    Array.isArray(scopes) && scopes.length > 0 && scopes.every((one) => known.includes(one)),
    'it has no known scope',
  )
  sound(isMoment(createdAt), 'the token has no time')
  return []
})

const account = entry('edge account', /^directory\/account\/[^ /]+$/, ({ key, value }) => {
  const { senders, reads, secret, disabled, createdAt } = jsonOf(value)
  sound(accountName.test(partsOf(key).owner), 'the key names no account')
  sound(Array.isArray(senders) && senders.every((one) => isDomain(one) || isHeld(one)), 'it sends as what cannot be')
  sound(reads === undefined || isHeld(reads), 'it reads what is no mailbox')
  sound(typeof secret === 'string' && /^[0-9a-f]{64}$/.test(secret), 'there is no digest of a secret')
  sound(typeof disabled === 'boolean' && isMoment(createdAt), 'the value is not of an account')
  return []
})

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && parseAddress(value) === value
}

function isDomain(value: unknown): boolean {
  return typeof value === 'string' && parseDomain(value) === value
}

function isHeld(value: unknown): boolean {
  const { address, mailbox } = (value ?? {}) as { readonly address?: unknown; readonly mailbox?: unknown }
  return typeof address === 'string' && parseAddress(address) === address && uuid.test(String(mailbox))
}

const bundle = entry('trust bundle', /^directory\/bundle\/[^ /]+$/, ({ key, value }) => {
  const { url, refreshMs, signer, addedAt, job, copy } = jsonOf(value)
  const name = partsOf(key).owner
  sound(bundleName.test(name) && isMoment(addedAt) && isMoment(refreshMs), 'the value is not of a bundle')
  if (signer !== undefined) checkCertificate(signer, undefined)
  sound(typeof job === 'string' && job.startsWith(`${name} `), 'the bundle has no job')
  return [
    { kind: 'entry', key: `directory/bundle-status/${name}` },
    ...(url === undefined ? [] : [{ kind: 'job' as const, queue: bundleQueue, id: job }]),
    ...(copy === undefined ? [] : [{ kind: 'some' as const, prefix: `directory/bundle-anchor/${name} ` }]),
  ]
})

const bundleStatus = entry('bundle status', /^directory\/bundle-status\/[^ /]+$/, ({ key, value }) => {
  const { failures } = jsonOf(value)
  sound(Number.isInteger(failures), 'the value is not of a status')
  return [{ kind: 'entry', key: `directory/bundle/${partsOf(key).owner}` }]
})

const bundleAnchor = entry('bundle anchor', /^directory\/bundle-anchor\/[^ /]+ [0-9a-f]{64}$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const { certificate, addedAt } = jsonOf(value)
  sound(isMoment(addedAt), 'the anchor has no time')
  checkCertificate(certificate, id)
  return [{ kind: 'entry', key: `directory/bundle/${owner}` }]
})

const bundleUse = entry('bundle use', /^directory\/bundle-use\/[^ /]+ [^ /]+$/, ({ key, value }) => {
  const { owner, id } = partsOf(key)
  const { direction, addedAt } = jsonOf(value)
  sound(parseDomain(owner) === owner && isMoment(addedAt), 'the key names no domain, or there is no time')
  sound(['in', 'out', 'both'].includes(String(direction)), 'the use has no direction')
  return [{ kind: 'entry', key: `directory/bundle/${id}` }]
})

/** What a removed bundle leaves behind goes when it is due. */
const bundleJob: Family<'job'> = {
  kind: 'job',
  name: 'bundle to load',
  form: /^bundles$/,
  check({ id, payload }) {
    sound(/^[a-z0-9][a-z0-9.-]{0,63} [0-9a-f]{16}$/.test(id), 'the job names no bundle')
    jsonOf(payload)
    return []
  },
}

const epoch = entry('directory epoch', /^directory\/epoch$/, ({ value }) => {
  sound(isMoment(Number(Buffer.from(value).toString() || Number.NaN)), 'the value is no time')
  return []
})

/** Every row that this room writes. */
export const directoryFamilies: readonly RowFamily[] = [
  domain,
  address,
  recordAddresses,
  retired,
  gathered,
  ownKey,
  anchor,
  bundle,
  bundleStatus,
  bundleAnchor,
  bundleUse,
  bundleJob,
  peer,
  encryption,
  issuer,
  token,
  account,
  epoch,
]
