import { partAt, read, withPart, write } from './der.js'
import { type OpenSsl, readFile, textOf } from './openssl.js'
import type { Party } from './pki.js'

/** S/MIME by `openssl cms`, as other gateways send and read it. */
export type Cipher = 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'aes-128-gcm' | 'aes-256-gcm'
export type Transport = 'pkcs1' | 'oaep-sha1' | 'oaep-sha256'

const transportWords: Readonly<Record<Transport, readonly string[]>> = {
  pkcs1: [],
  'oaep-sha1': ['-keyopt', 'rsa_padding_mode:oaep'],
  'oaep-sha256': ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256', '-keyopt', 'rsa_mgf1_md:sha256'],
}

export interface SignOptions {
  readonly digest?: 'sha1' | 'sha256' | 'sha384' | 'sha512'
  /** Certificates that go along, beside the signers' own. */
  readonly along?: readonly Party[]
  /** Signed data around the content, instead of multipart/signed. */
  readonly opaque?: boolean
}

/** An entity signed by every signer: multipart/signed, CRLF throughout. */
export async function signed(
  openssl: OpenSsl,
  entity: string | Uint8Array,
  signers: readonly Party[],
  { digest = 'sha256', along = [], opaque = false }: SignOptions = {},
): Promise<Buffer> {
  const [input, output] = [openssl.write('entity', entity), openssl.path('signed')]
  const by = signers.flatMap(({ certificatePath, keyPath }) => ['-signer', certificatePath, '-inkey', keyPath])
  const bag = along.flatMap(({ certificatePath }) => ['-certfile', certificatePath])
  const words = ['-binary', '-crlfeol', '-md', digest, ...(opaque ? ['-nodetach'] : [])]
  await openssl('cms', '-sign', ...words, '-in', input, '-out', output, ...by, ...bag)
  return lines(await readFile(output))
}

/**
 * The same by a signer whose certificate OpenSSL cannot read: it signs with one that it can, of the same key, issuer and
 * serial number, and the certificates are exchanged in the signed data.
 */
export async function signedWith(
  openssl: OpenSsl,
  entity: string,
  signer: Party,
  certificate: Buffer,
): Promise<Buffer> {
  const whole = (await signed(openssl, entity, [signer])).toString('latin1')
  const boundary = /boundary="([^"]+)"/.exec(whole)?.[1] ?? ''
  const cut = whole.lastIndexOf(`--${boundary}\r\n`)
  const [head = '', body = ''] = whole.slice(cut).split('\r\n\r\n')
  const node = read(Buffer.from(body, 'base64'))
  // SignedData.certificates stands behind version, digest algorithms and content (RFC 5652 §5.1).
  const changed = withPart(node, [1, 0, 3], { tag: 0xa0, parts: [read(certificate)] })
  if (partAt(node, 1, 0, 3).tag !== 0xa0) throw new Error('no certificates in the signed data')
  const encoded = write(changed).toString('base64').replace(/.{64}/g, '$&\r\n')
  return Buffer.from(`${whole.slice(0, cut)}${head}\r\n\r\n${encoded}\r\n\r\n--${boundary}--\r\n\r\n`, 'latin1')
}

/** An entity encrypted to every recipient: application/pkcs7-mime with its MIME header. */
export async function encrypted(
  openssl: OpenSsl,
  entity: Uint8Array,
  recipients: readonly Party[],
  { cipher = 'aes-256-cbc', transport = 'pkcs1' }: { readonly cipher?: Cipher; readonly transport?: Transport } = {},
): Promise<Buffer> {
  const [input, output] = [openssl.write('clear', entity), openssl.path('sealed')]
  const to = recipients.flatMap(({ certificatePath }) => ['-recip', certificatePath, ...transportWords[transport]])
  await openssl('cms', '-encrypt', '-binary', '-crlfeol', `-${cipher}`, '-in', input, '-out', output, ...to)
  return lines(await readFile(output))
}

export type Opened =
  | { readonly kind: 'opened'; readonly entity: string }
  | { readonly kind: 'closed'; readonly detail: string }

/** Decrypts a message as its recipient and verifies the signature inside against an authority. */
export async function opened(
  openssl: OpenSsl,
  wire: Uint8Array,
  recipient: Party,
  authorityPath: string,
): Promise<Opened> {
  const decrypted = await decryptedFor(openssl, wire, recipient)
  if (decrypted.kind === 'closed') return decrypted
  const [input, output] = [openssl.write('inner', Buffer.from(decrypted.entity, 'latin1')), openssl.path('verified')]
  try {
    const words = ['-CAfile', authorityPath, '-purpose', 'any', '-in', input, '-out', output]
    await openssl('cms', '-verify', ...words)
    return { kind: 'opened', entity: (await readFile(output)).toString('latin1') }
  } catch (error) {
    return { kind: 'closed', detail: `the signature does not verify: ${lastLine(error)}` }
  }
}

/** Decrypts a message as its recipient; latin1, as it came. */
export async function decryptedFor(openssl: OpenSsl, wire: Uint8Array, recipient: Party): Promise<Opened> {
  const output = openssl.path('clear')
  try {
    const as = ['-recip', recipient.certificatePath, '-inkey', recipient.keyPath]
    await openssl('cms', '-decrypt', '-in', openssl.write('wire', wire), '-out', output, ...as)
    return { kind: 'opened', entity: (await readFile(output)).toString('latin1') }
  } catch (error) {
    return { kind: 'closed', detail: `does not decrypt for ${recipient.name}: ${lastLine(error)}` }
  }
}

/** What OpenSSL tells of the structure of an encrypted message. */
export async function structureOf(openssl: OpenSsl, wire: Uint8Array): Promise<string> {
  return textOf(openssl, 'cms', '-cmsout', '-print', '-noout', '-in', openssl.write('wire', wire))
}

/** Serial numbers of the recipients named by issuer and serial number, as OpenSSL prints them, upper-case hex, sorted. */
export function recipientsOf(structure: string): readonly string[] {
  const infos = structure.slice(structure.indexOf('recipientInfos:'))
  return [...infos.matchAll(/serialNumber: (?:0x)?([0-9A-Fa-f]+)/g)].map(([, serial = '']) => serialOf(serial)).sort()
}

const serialOf = (text: string) => text.toUpperCase().replace(/^0+(?=.)/, '')

/** The serial number of a certificate in the same form. */
export function serialNumberOf({ certificate }: Party): string {
  return serialOf(partAt(read(certificate), 0, 1).bytes?.toString('hex') ?? '')
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message.trim() : String(error)
  return text.split('\n').at(-1) ?? text
}

/** OpenSSL sees to CRLF in most places only. */
function lines(entity: Buffer): Buffer {
  return Buffer.from(entity.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1')
}
