import { createPrivateKey } from 'node:crypto'
import { CommandFailed } from './operator.js'

const block = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g

/** Certificates of a file, DER: one in DER, or any number in PEM (RFC 7468). Refuses a file without one. */
export function readCertificates(bytes: Uint8Array, path: string): readonly [Uint8Array, ...Uint8Array[]] {
  const text = Buffer.from(bytes).toString('latin1')
  const found = [...text.matchAll(block)]
    .filter(([, label]) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE' || label === 'TRUSTED CERTIFICATE')
    .map(([, , base64]) => new Uint8Array(Buffer.from(base64 ?? '', 'base64')))
  const [first, ...rest] = found
  if (first) return [first, ...rest]
  if (bytes[0] === 0x30) return [bytes]
  throw new CommandFailed(`${path} holds no certificate, in PEM or DER`)
}

/** A PKCS#10 request, DER, of a file in PEM (RFC 7468 §7) or DER. */
export function readCertificateRequest(bytes: Uint8Array, path: string): Uint8Array {
  const found = [...Buffer.from(bytes).toString('latin1').matchAll(block)].find(
    ([, label]) => label === 'CERTIFICATE REQUEST' || label === 'NEW CERTIFICATE REQUEST',
  )
  if (found) return new Uint8Array(Buffer.from(found[2] ?? '', 'base64'))
  if (bytes[0] === 0x30) return bytes
  throw new CommandFailed(`${path} holds no certificate request, in PEM or DER`)
}

/** The private key of a file as PKCS#8 DER: PKCS#8, PKCS#1 or SEC 1, in PEM or DER, encrypted with a passphrase or not. */
export function readPrivateKey(bytes: Uint8Array, path: string, passphrase?: string): Uint8Array {
  const secret = passphrase === undefined ? {} : { passphrase }
  const forms =
    bytes[0] === 0x30
      ? (['pkcs8', 'pkcs1', 'sec1'] as const).map((type) => ({ format: 'der' as const, type }))
      : [{ format: 'pem' as const }]
  for (const form of forms) {
    try {
      const key = createPrivateKey({ key: Buffer.from(bytes), ...form, ...secret })
      return new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
    } catch {
      // The next form; what the platform says of a wrong passphrase depends on its version.
    }
  }
  throw new CommandFailed(
    `${path} holds no private key that can be read; an encrypted one needs the right --passphrase-file`,
  )
}

export function pem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n')
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`
}
