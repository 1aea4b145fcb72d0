import type { OpenSsl } from './openssl.js'

/** A certificate for TLS on this machine, its own authority, as PEM files. */
export interface TlsPair {
  readonly certificatePath: string
  readonly keyPath: string
}

const keyWords = {
  p256: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['rsa:2048'],
} as const

/** Makes one for `localhost` and 127.0.0.1, which whoever is given the file can verify. */
export async function selfSigned(
  openssl: OpenSsl,
  name: string,
  key: keyof typeof keyWords = 'p256',
): Promise<TlsPair> {
  const [certificatePath, keyPath] = [openssl.path(`${name}-tls.pem`), openssl.path(`${name}-tls.key`)]
  const words = ['-newkey', ...keyWords[key], '-nodes', '-keyout', keyPath]
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  await openssl('req', '-x509', ...words, ...names, '-days', '30', '-out', certificatePath)
  return { certificatePath, keyPath }
}
