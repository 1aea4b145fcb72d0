import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { testOnly } from '../directory/certificate.js'

/**
 * The far side's cryptography, all of it by the `openssl` program: what the gateway reads here was not made by the
 * gateway, and what it writes is read by somebody else.
 */
const run = promisify(execFile)

export interface Credentials {
  readonly certificatePath: string
  readonly keyPath: string
  /** DER. */
  readonly certificate: Uint8Array
  /** PKCS#8, DER. */
  readonly pkcs8: Uint8Array
}

export interface OpenSsl {
  /** A certification authority of its own. */
  authority(name: string): Promise<Credentials>
  /** A certificate for one address (`email:`) or domain (`DNS:`), valid for `days` from now, or expired yesterday. */
  leaf(
    name: string,
    issuer: Credentials,
    subjectAltName: string,
    options?: { readonly expired?: boolean },
  ): Promise<Credentials>
  /** Signs an RFC 5322 message wrapped as message/rfc822 (RFC 8551 §3.1): multipart/signed, CRLF throughout. */
  sign(message: string, signer: Credentials): Promise<Buffer>
  /** Encrypts an entity to a certificate: the application/pkcs7-mime entity with its MIME header. */
  encrypt(entity: Uint8Array, recipient: Pick<Credentials, 'certificatePath'>): Promise<Buffer>
  /** Decrypts a whole message and verifies what is inside against the authority; answers the signed entity. Rejects when either fails. */
  openNotice(wire: Uint8Array, recipient: Credentials, authority: Pick<Credentials, 'certificatePath'>): Promise<string>
}

/**
 * `openssl` with a folder of its own for keys and intermediate files. Every certificate bears the organisation's name: by
 * default the mark that a gateway outside the demo refuses. Rejects where the program is missing.
 */
export async function openSsl(folder: string, organisation = testOnly): Promise<OpenSsl> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await run('openssl', ['version'])
  let files = 0
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) =>
    run('openssl', args, { cwd: folder, maxBuffer: 256 * 1024 * 1024, encoding: 'buffer' })

  async function credentials(name: string): Promise<Credentials> {
    await openssl('pkcs8', '-topk8', '-nocrypt', '-in', `${name}.key`, '-outform', 'DER', '-out', `${name}.p8`)
    await openssl('x509', '-in', `${name}.pem`, '-outform', 'DER', '-out', `${name}.der`)
    return {
      certificatePath: path(`${name}.pem`),
      keyPath: path(`${name}.key`),
      certificate: await readFile(path(`${name}.der`)),
      pkcs8: await readFile(path(`${name}.p8`)),
    }
  }

  return {
    async authority(name) {
      await openssl(
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-days',
          '30',
          '-subj',
          `/O=${organisation}/CN=${name}`,
        ],
        ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', `${name}.key`, '-out', `${name}.pem`],
      )
      return credentials(name)
    },

    async leaf(name, issuer, subjectAltName, { expired = false } = {}) {
      writeFileSync(
        path(`${name}.cnf`),
        [
          '[ca]',
          'default_ca=demo',
          '[demo]',
          `database=${name}.index`,
          'rand_serial=yes',
          'new_certs_dir=.',
          'default_md=sha256',
          'policy=any',
          'unique_subject=no',
          '[any]',
          'organizationName=supplied',
          'commonName=supplied',
          '[leaf]',
          'basicConstraints=critical,CA:FALSE',
          'keyUsage=critical,digitalSignature,keyEncipherment',
          'extendedKeyUsage=emailProtection',
          'subjectKeyIdentifier=hash',
          'authorityKeyIdentifier=keyid',
          `subjectAltName=${subjectAltName}`,
        ].join('\n'),
      )
      writeFileSync(path(`${name}.index`), '')
      const day = 86_400_000
      const stamp = (at: number) => `${new Date(at).toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`
      const [from, to] = expired ? [-30 * day, -day] : [-day, 30 * day]
      await openssl(
        'req',
        '-new',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        `/O=${organisation}/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
      )
      await openssl(
        ...[
          'ca',
          '-batch',
          '-notext',
          '-config',
          `${name}.cnf`,
          '-extensions',
          'leaf',
          '-in',
          `${name}.csr`,
          '-out',
          `${name}.pem`,
        ],
        ...['-cert', issuer.certificatePath, '-keyfile', issuer.keyPath],
        ...['-startdate', stamp(Date.now() + from), '-enddate', stamp(Date.now() + to)],
      )
      return credentials(name)
    },

    async sign(message, signer) {
      const name = `message-${++files}`
      writeFileSync(path(name), `Content-Type: message/rfc822\r\n\r\n${message}`)
      await openssl(
        'cms',
        '-sign',
        '-binary',
        '-crlfeol',
        '-md',
        'sha256',
        '-in',
        name,
        '-signer',
        signer.certificatePath,
        '-inkey',
        signer.keyPath,
        '-out',
        `${name}.signed`,
      )
      return readFile(path(`${name}.signed`))
    },

    async encrypt(entity, recipient) {
      const name = `entity-${++files}`
      writeFileSync(path(name), entity)
      await openssl(
        ...['cms', '-encrypt', '-binary', '-aes-256-cbc', '-crlfeol', '-in', name, '-out', `${name}.sealed`],
        ...['-recip', recipient.certificatePath, '-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256'],
      )
      return readFile(path(`${name}.sealed`))
    },

    async openNotice(wire, recipient, authority) {
      const name = `notice-${++files}`
      writeFileSync(path(name), wire)
      await openssl(
        'cms',
        '-decrypt',
        '-in',
        name,
        '-recip',
        recipient.certificatePath,
        '-inkey',
        recipient.keyPath,
        '-out',
        `${name}.signed`,
      )
      await openssl(
        'cms',
        '-verify',
        '-in',
        `${name}.signed`,
        '-CAfile',
        authority.certificatePath,
        '-purpose',
        'any',
        '-out',
        `${name}.txt`,
      )
      return readFile(path(`${name}.txt`), 'utf8')
    },
  }
}
