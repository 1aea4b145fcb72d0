import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { partAt, read, withPart, write } from './der.js'
import { atMost, type OpenSsl } from './openssl.js'

/** Authorities and certificates of the far side, made by OpenSSL; those that OpenSSL refuses to make, byte by byte. */
export type KeyKind = 'rsa1024' | 'rsa2048' | 'rsa3072' | 'rsa4096' | 'p256' | 'p384'

export interface Party {
  readonly name: string
  /** PEM files. */
  readonly certificatePath: string
  readonly keyPath: string
  /** DER. */
  readonly certificate: Buffer
}

export interface Wanted {
  /** `email:a@b` or `DNS:b`; none leaves the extension out. */
  readonly subjectAltName?: string
  /** An emailAddress in the subject, as DCDT's certificates have one. */
  readonly emailAddress?: string
  readonly key?: KeyKind
  /** From a year ago to a year ago, as DCDT makes its invalid ones. */
  readonly expired?: boolean
  readonly keyUsage?: string
  /** URLs; those of the issuer by default, none where empty. */
  readonly crl?: string
  readonly aia?: string
  readonly digest?: 'sha1' | 'sha256' | 'sha384'
  /** An authority below this one. */
  readonly authority?: boolean
}

export interface Authority extends Party {
  issue(name: string, wanted?: Wanted): Promise<Party>
  /** Signs an authority below this one, with the same means. */
  subordinate(name: string, at: Places): Promise<Authority>
  revoke(party: Party): Promise<void>
  /** The current list, DER. */
  list(): Promise<Buffer>
  /** A DER certificate of this authority, changed and signed again: for what OpenSSL does not write. */
  resign(certificate: Uint8Array, change: (certificate: Buffer) => Buffer): Promise<Buffer>
}

/** Where an authority publishes: in its certificates' CRL distribution point and AIA. */
export interface Places {
  readonly crl: string
  readonly aia: string
}

export interface Pki {
  root(name: string, at?: Places): Promise<Authority>
}

/** Private keys cost time and prove nothing by being new: one folder keeps them for all runs of this user. */
const keyHome = join(tmpdir(), `direct-gateway-certification-keys-${process.getuid?.() ?? 0}`)
const bothCores = atMost(3)

const keyWords: Readonly<Record<KeyKind, readonly string[]>> = {
  rsa1024: ['RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
  rsa2048: ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  rsa3072: ['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  rsa4096: ['RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
  p256: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
}

/** A public key infrastructure in the folder of `openssl`. No key is given out twice in one run. */
export function openPki(openssl: OpenSsl): Pki {
  mkdirSync(keyHome, { recursive: true, mode: 0o700 })
  const given = new Map<KeyKind, number>()

  async function newKey(kind: KeyKind): Promise<string> {
    const turn = given.get(kind) ?? 0
    given.set(kind, turn + 1)
    const kept = join(keyHome, `${kind}-${turn}.pem`)
    const own = openssl.path(`${kind}.key`)
    if (!existsSync(kept)) {
      await bothCores(() => openssl('genpkey', '-algorithm', ...keyWords[kind], '-out', own))
      const half = `${kept}.${process.pid}`
      copyFileSync(own, half)
      renameSync(half, kept)
    } else copyFileSync(kept, own)
    return own
  }

  const party = async (name: string, certificatePath: string, keyPath: string): Promise<Party> => ({
    name,
    certificatePath,
    keyPath,
    certificate: await openssl('x509', '-in', certificatePath, '-outform', 'DER'),
  })

  const rootCertificate = async (name: string) => {
    const keyPath = await newKey('p256')
    const certificatePath = openssl.path(`${name}.pem`)
    const usage = 'keyUsage=critical,keyCertSign,cRLSign'
    const words = ['-subj', `/CN=${name}`, '-days', '3650', '-addext', usage, '-out', certificatePath]
    await openssl('req', '-x509', '-new', '-key', keyPath, ...words)
    return party(name, certificatePath, keyPath)
  }

  function authorityOf(self: Party, places: Places | undefined): Authority {
    const database = openssl.write('index', '')
    const config = openssl.write('ca.cnf', caConfiguration(database, self))
    const ca = (...words: readonly string[]) => openssl('ca', '-config', config, '-batch', '-notext', ...words)
    // `openssl ca` rewrites its database: one at a time.
    const turn = atMost(1)

    const issue = async (name: string, wanted: Wanted = {}): Promise<Party> => {
      const keyPath = await newKey(wanted.key ?? 'rsa2048')
      const [request, certificatePath] = [openssl.path('csr'), openssl.path(`${name}.pem`)]
      const email = wanted.emailAddress === undefined ? '' : `/emailAddress=${wanted.emailAddress}`
      await openssl('req', '-new', '-utf8', '-key', keyPath, '-subj', `/CN=${name}${email}`, '-out', request)
      const extensions = openssl.write('ext', extensionsOf(wanted, places))
      const words = ['-in', request, '-out', certificatePath, '-extfile', extensions, '-md', wanted.digest ?? 'sha256']
      const [from, to] = wanted.expired ? [-365 * day, -365 * day + 1000] : [-day, 3650 * day]
      const times = ['-startdate', stamp(Date.now() + from), '-enddate', stamp(Date.now() + to)]
      await turn(() => ca(...words, ...times))
      return party(name, certificatePath, keyPath)
    }

    return {
      ...self,
      issue,
      subordinate: async (name, at) => authorityOf(await issue(name, { key: 'p256', authority: true }), at),
      revoke: async ({ certificatePath }) => {
        await turn(() => ca('-revoke', certificatePath, '-crl_reason', 'keyCompromise'))
      },
      async list() {
        const at = openssl.path('crl')
        await turn(() => ca('-gencrl', '-crldays', '7', '-out', at))
        return openssl('crl', '-in', at, '-outform', 'DER')
      },
      async resign(certificate, change) {
        const key = createPrivateKey(await readFile(self.keyPath))
        return signedAgain(change(Buffer.from(certificate)), key)
      },
    }
  }

  return { root: async (name, at) => authorityOf(await rootCertificate(name), at) }
}

/** The party with another certificate for its key. Only for what may be broken: OpenSSL need not read it. */
export function withCertificate(openssl: OpenSsl, party: Party, certificate: Buffer): Party {
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n')
  const certificatePath = openssl.write(
    `${party.name}.pem`,
    `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  )
  return { ...party, certificatePath, certificate }
}

const day = 86_400_000
const stamp = (at: number) => `${new Date(at).toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`

function caConfiguration(database: string, { certificatePath, keyPath }: Party): string {
  writeFileSync(`${database}.attr`, 'unique_subject = no\n')
  writeFileSync(`${database}.crlnumber`, '01\n')
  return [
    '[ca]',
    'default_ca=this',
    '[this]',
    `database=${database}`,
    `certificate=${certificatePath}`,
    `private_key=${keyPath}`,
    'new_certs_dir=.',
    'rand_serial=yes',
    `crlnumber=${database}.crlnumber`,
    'default_md=sha256',
    'crl_extensions=list',
    'policy=any',
    'email_in_dn=yes',
    '[list]',
    'authorityKeyIdentifier=keyid',
    '[any]',
    'commonName=supplied',
    'emailAddress=optional',
  ].join('\n')
}

function extensionsOf(wanted: Wanted, places: Places | undefined): string {
  const { authority = false, subjectAltName, keyUsage, crl = places?.crl, aia = places?.aia } = wanted
  const leafUsage = keyUsage ?? 'digitalSignature,keyEncipherment'
  return [
    `basicConstraints=critical,CA:${authority ? 'TRUE' : 'FALSE'}`,
    `keyUsage=critical,${authority ? 'keyCertSign,cRLSign' : leafUsage}`,
    ...(authority ? [] : ['extendedKeyUsage=emailProtection']),
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
    ...(subjectAltName ? [`subjectAltName=${subjectAltName}`] : []),
    ...(crl ? [`crlDistributionPoints=URI:${crl}`] : []),
    ...(aia ? [`authorityInfoAccess=caIssuers;URI:${aia}`] : []),
  ].join('\n')
}

/** Signs the tbsCertificate of a certificate anew (ECDSA with SHA-256, as all our authorities do). */
function signedAgain(certificate: Buffer, key: KeyObject): Buffer {
  const node = read(certificate)
  const signature = sign('sha256', write(partAt(node, 0)), key)
  return write(withPart(node, [2], { tag: 0x03, bytes: Buffer.concat([Buffer.from([0]), signature]) }))
}
