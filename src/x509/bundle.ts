import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { type Certificate, readCertificate } from './certificate.js'

/**
 * The certificates in what servers hand out as such: one DER certificate, PEM, or certificates-only CMS (.p7c, RFC 5652
 * §5.1) in DER, BER or PEM; at most `limit`, DER, unjudged and unparsed. Answers an empty list for anything else.
 */
export function certificatesIn(bytes: Uint8Array, limit = 20): readonly Uint8Array[] {
  try {
    const found: asn1.Element[] = []
    for (const part of bytes[0] === asn1.tags.sequence ? [bytes] : armoured(textOf(bytes))) {
      found.push(...onlyPart(part).certificates)
      if (found.length >= limit) break
    }
    return found.slice(0, limit).map(asn1.whole)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return []
    throw error
  }
}

/** What the keeper of a trust bundle can make grow. */
export const bundleLimits = {
  /** Two thousand anchors of 2 KB, signed, in base64. */
  sizeBytes: 8 * 1024 * 1024,
  /** The largest bundles known have some hundreds of anchors. */
  certificates: 2_000,
}

export type BundleLimits = typeof bundleLimits

/** Certificates in their order, each once; and what the CMS structure has as content, which is where metadata stands. */
export interface Bundle {
  readonly kind: 'bundle'
  readonly certificates: readonly Certificate[]
  /** How many more there were that do not parse. */
  readonly unreadable: number
  readonly content: Uint8Array | undefined
}

/**
 * SignedData whose content is the bundle. The certificates that stand beside the content are those of whoever signed: they
 * are no part of the bundle, whether or not a signature is left.
 */
export interface WrappedBundle {
  readonly kind: 'wrapped'
  /** The ContentInfo, DER or BER. */
  readonly cms: Uint8Array
  readonly content: Uint8Array
  readonly signers: number
}

export interface NoBundle {
  readonly kind: 'no-bundle'
  readonly fault: 'unreadable' | 'too-large' | 'too-many' | 'empty'
  readonly detail: string
}

/**
 * Reads a trust bundle (Trust Bundle Distribution IG; RFC 5652 §5): certificates-only SignedData in DER, BER, PEM or bare
 * base64, with or without a MIME header, or certificates one after the other; or the SignedData around one. Verifies
 * nothing. Answers `no-bundle` for anything else, for one without a readable certificate, and beyond the limits, as half
 * a bundle would be one from which anchors were removed.
 */
export function readBundle(bytes: Uint8Array, limits: BundleLimits = bundleLimits): Bundle | WrappedBundle | NoBundle {
  if (bytes.length > limits.sizeBytes)
    return { kind: 'no-bundle', fault: 'too-large', detail: `${bytes.length} bytes, and ${limits.sizeBytes} are taken` }
  try {
    const parts = partsOf(bytes)
    const wrapped = parts.find(({ wraps }) => wraps)
    if (wrapped && parts.length > 1) return unreadable('a signed bundle beside other things')
    if (wrapped) return wrapping(wrapped)
    const found = parts.flatMap(({ certificates }) => certificates)
    if (found.length > limits.certificates)
      return {
        kind: 'no-bundle',
        fault: 'too-many',
        detail: `${found.length} certificates, and ${limits.certificates} are taken`,
      }
    return bundleOf(found, parts.length === 1 ? parts[0]?.content : undefined)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return unreadable(error.message)
    throw error
  }
}

function unreadable(detail: string): NoBundle {
  return { kind: 'no-bundle', fault: 'unreadable', detail }
}

function bundleOf(found: readonly asn1.Element[], content: Uint8Array | undefined): Bundle | NoBundle {
  const certificates = new Map<string, Certificate>()
  let damaged = 0
  for (const one of found) {
    const read = readCertificate(asn1.whole(one))
    if (read.kind === 'certificate') certificates.set(read.fingerprint, read)
    else damaged++
  }
  if (certificates.size === 0)
    return {
      kind: 'no-bundle',
      fault: 'empty',
      detail: `no certificate in it${damaged > 0 ? ' that can be read' : ''}`,
    }
  return { kind: 'bundle', certificates: [...certificates.values()], unreadable: damaged, content }
}

function wrapping({ cms, content, signers }: Part): WrappedBundle | NoBundle {
  return content ? { kind: 'wrapped', cms, content, signers } : unreadable('signed, and nothing in it that was')
}

/** One certificate, or one SignedData taken apart. */
interface Part {
  readonly cms: Uint8Array
  readonly certificates: readonly asn1.Element[]
  readonly content: Uint8Array | undefined
  readonly signers: number
  readonly wraps: boolean
}

function partsOf(bytes: Uint8Array): Part[] {
  if (bytes[0] === asn1.tags.sequence) return [firstPart(bytes)]
  const text = textOf(bytes)
  const blocks = armoured(text)
  if (blocks.length > 0) return blocks.map(firstPart)
  const header = mimeHeader.exec(text.slice(0, 4096))
  const bare = header ? text.slice(header[0].length) : text
  if (!/^[A-Za-z0-9+/=\s]+$/.test(bare)) throw new asn1.Asn1Error('neither DER, PEM nor base64')
  return [firstPart(Buffer.from(bare, 'base64'))]
}

/** As `openssl smime` writes it: fields, an empty line, base64. */
const mimeHeader = /^(?:[A-Za-z][A-Za-z-]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n/

function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  return text.replace(/^\u00ef\u00bb\u00bf/, '').trim()
}

const armour =
  /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|PKCS ?#?7(?: SIGNED DATA)?|CMS)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g

/** The PEM blocks that may hold certificates (RFC 7468 §5, §8, §9), decoded. */
function armoured(text: string): Uint8Array[] {
  return [...text.matchAll(armour)].map(([, , body = '']) => Buffer.from(body, 'base64'))
}

/** Behind a TRUSTED CERTIFICATE stand its uses, behind a file now and then a line break: not looked at. */
function firstPart(bytes: Uint8Array): Part {
  return partOf(asn1.element(bytes))
}

function onlyPart(bytes: Uint8Array): Part {
  return partOf(asn1.onlyElement(bytes))
}

function partOf(outer: asn1.Element): Part {
  const [type, wrapped] = asn1.sequence(outer, 4)
  const cms = asn1.whole(outer)
  if (type?.tag !== asn1.tags.oid) return { cms, certificates: [outer], content: undefined, signers: 0, wraps: false }
  if (asn1.oid(type) !== oids.signedData || wrapped?.tag !== 0xa0) throw new asn1.Asn1Error('CMS without certificates')
  // version, digestAlgorithms, encapContentInfo, [0] certificates, [1] crls, signerInfos
  const fields = asn1.sequence(asn1.children(wrapped, 1)[0], 8)
  const bag = fields.find(({ tag }) => tag === 0xa0)
  const infos = fields.at(-1)
  const signers = fields.length > 3 && infos?.tag === asn1.tags.set ? asn1.children(infos).length : 0
  const content = contentOf(fields[2])
  return {
    cms,
    // CertificateChoices other than a certificate are tagged and passed over.
    certificates: (bag ? asn1.children(bag) : []).filter(({ tag }) => tag === asn1.tags.sequence),
    content,
    signers,
    wraps: signers > 0 || (content !== undefined && isCms(content)),
  }
}

function contentOf(info: asn1.Element | undefined): Uint8Array | undefined {
  const [, wrapped] = asn1.sequence(info, 4)
  const inner = wrapped && asn1.children(asn1.expect(wrapped, 0xa0), 1)[0]
  if (!inner) return undefined
  if ((inner.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('content is no octet string')
  const octets = asn1.octets(inner)
  return octets.length > 0 ? octets : undefined
}

/** Whether content is a CMS structure or PEM itself; metadata begins with `<`. */
function isCms(content: Uint8Array): boolean {
  if (content[0] !== asn1.tags.sequence) return armoured(textOf(content)).length > 0
  try {
    return asn1.sequence(asn1.element(content), 4)[0]?.tag === asn1.tags.oid
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return false
    throw error
  }
}
