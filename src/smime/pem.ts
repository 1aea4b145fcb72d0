import { createPrivateKey } from 'node:crypto'
import { Asn1Error, element, sequence, tags, whole } from '../asn1/reader.js'
import { viewOf } from '../mime/limits.js'
import { readCertificate } from '../x509/certificate.js'
import { readSignedData } from './signed.js'

/** One PEM block (RFC 7468). */
export interface PemBlock {
  /** What stands between BEGIN and the hyphens: `CERTIFICATE`, `PRIVATE KEY` … */
  readonly label: string
  readonly der: Uint8Array
}

/** Bytes that hold nothing of what was asked for, and why. */
export interface Unusable {
  readonly kind: 'unusable'
  readonly detail: string
}

export const pemLimits = {
  /** A file of certificates: the largest trust bundles are under 1 MiB. */
  fileBytes: 16 * 1024 * 1024,
  /** Blocks of one file, or certificates of one bundle. */
  blocks: 5_000,
}

const begin = '-----BEGIN '

/** The PEM blocks of a file in order, whatever text stands around them. One whose end does not follow, and those beyond the limit, are left out. */
export function pemBlocks(file: Uint8Array): PemBlock[] {
  return armours(viewOf(file).toString('latin1')).map(({ label, body }) => ({
    label,
    der: Buffer.from(body, 'base64'),
  }))
}

/** Each BEGIN with the END that follows it; looks at every character once or twice, whatever stands there. */
function armours(text: string): { label: string; body: string; whole: string }[] {
  const found: { label: string; body: string; whole: string }[] = []
  for (let at = text.indexOf(begin); at >= 0 && found.length < pemLimits.blocks; at = text.indexOf(begin, at + 1)) {
    const end = text.indexOf('-----END ', at)
    if (end < 0) break
    const first = text.lastIndexOf(begin, end) // the innermost, where a BEGIN lost its END
    const labelEnd = text.indexOf('-----', first + begin.length)
    const label = text.slice(first + begin.length, labelEnd)
    const close = `-----END ${label}-----`
    if (labelEnd < end && text.startsWith(close, end))
      found.push({ label, body: text.slice(labelEnd + 5, end), whole: text.slice(first, end + close.length) })
    at = end
  }
  return found
}

const unusable = (detail: string): Unusable => ({ kind: 'unusable', detail })

/**
 * Every certificate of a file, DER, in its order: PEM (certificates and PKCS #7 among any other blocks), one DER
 * certificate, a certs-only PKCS #7 bundle (RFC 5652 §5, RFC 8551 §3.8) in DER or BER, or the base64 of either without
 * armour. All of them parse, or the file is `unusable`. Trusts nothing: the signature of a bundle is not looked at.
 */
export function certificatesFrom(file: Uint8Array): readonly Uint8Array[] | Unusable {
  if (file.length > pemLimits.fileBytes) return unusable('the file is too large')
  const blocks = pemBlocks(file).filter(({ label }) => certificateLabels.test(label))
  const found: Uint8Array[] = []
  try {
    for (const der of blocks.length > 0 ? blocks.map((block) => block.der) : [unarmoured(file)])
      found.push(...certificatesIn(der))
  } catch (error) {
    if (error instanceof Asn1Error) return unusable(`not a certificate or a bundle: ${error.message}`)
    throw error
  }
  if (found.length === 0) return unusable('no certificate in it')
  if (found.length > pemLimits.blocks) return unusable('too many certificates')
  for (const [index, der] of found.entries()) {
    const read = readCertificate(der)
    if (read.kind === 'malformed') return unusable(`certificate ${index + 1}: ${read.detail}`)
  }
  return found
}

const certificateLabels = /^(?:(?:X509 |TRUSTED )?CERTIFICATE|PKCS ?#?7(?: SIGNED DATA)?|CMS)$/

function certificatesIn(der: Uint8Array): readonly Uint8Array[] {
  const outer = element(der)
  const [first] = sequence(outer)
  if (first?.tag !== tags.oid) return [Uint8Array.from(whole(outer))] // behind a TRUSTED CERTIFICATE stand its uses
  const limits = { certificates: pemLimits.blocks + 1, signers: pemLimits.blocks }
  return (readSignedData(der, limits)?.certificates ?? []).map((one) => Uint8Array.from(one))
}

/** The bytes, or what they are the base64 of. */
function unarmoured(file: Uint8Array): Uint8Array {
  return file[0] === tags.sequence ? file : Buffer.from(viewOf(file).toString('latin1'), 'base64')
}

const keyLabels = /^(?:(?:RSA|EC) |ENCRYPTED )?PRIVATE KEY$/

/**
 * Every private key of a file as unencrypted PKCS #8 (RFC 5958): PEM in the PKCS #8, PKCS #1 and SEC 1 forms, or DER.
 * Encrypted ones need the passphrase. Answers `unusable` where one cannot be read, with no word about its contents.
 */
export function privateKeysFrom(file: Uint8Array, passphrase?: string): readonly Uint8Array[] | Unusable {
  if (file.length > pemLimits.fileBytes) return unusable('the file is too large')
  const keys = armours(viewOf(file).toString('latin1')).filter(({ label }) => keyLabels.test(label))
  const found: Uint8Array[] = []
  try {
    for (const key of keys)
      found.push(
        pkcs8Of(createPrivateKey({ key: key.whole, format: 'pem', ...(passphrase !== undefined && { passphrase }) })),
      )
    if (keys.length === 0 && file[0] === tags.sequence)
      found.push(
        pkcs8Of(
          createPrivateKey({
            key: viewOf(file),
            format: 'der',
            type: 'pkcs8',
            ...(passphrase !== undefined && { passphrase }),
          }),
        ),
      )
  } catch {
    return unusable(`private key ${found.length + 1} cannot be read; is it encrypted, and the passphrase right?`)
  }
  return found.length > 0 ? found : unusable('no private key in it')
}

function pkcs8Of(key: ReturnType<typeof createPrivateKey>): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' })
}
