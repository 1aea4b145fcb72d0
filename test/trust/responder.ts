import { createPublicKey, hash, sign } from 'node:crypto'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import {
  algorithmIdentifier,
  bitString,
  context,
  contextPrimitive,
  der,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
} from '../../src/asn1/writer.js'
import { extension, generalName, type Identity, makeLeaf } from '../fixtures/pki.js'

/** An OCSP responder written byte by byte, so that it can also be wrong on purpose. OpenSSL judges the honest answers. */
export interface Answer {
  /** Content octets. */
  readonly serial: Uint8Array
  readonly status?: 'good' | 'unknown' | { readonly at: number; readonly reason?: number }
  readonly thisUpdate?: number
  /** `null` leaves it out. */
  readonly nextUpdate?: number | null
  readonly digest?: 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'md5'
  /** Whose name and key the CertID has; that of the response's issuer by default. */
  readonly of?: Identity
  readonly extensions?: readonly Uint8Array[]
}

export interface ResponseOptions {
  readonly answers: readonly Answer[]
  /** Who signs; the issuer by default. */
  readonly signer?: Identity
  /** Sign with this key although the responder says to be `signer`. */
  readonly signWith?: Identity
  readonly by?: 'name' | 'key'
  readonly certificates?: readonly Uint8Array[]
  readonly producedAt?: number
  readonly extensions?: readonly Uint8Array[]
  readonly digest?: 'sha1' | 'sha256'
  /** Leaves nothing of the signature but zeros. */
  readonly unsigned?: boolean
}

export const hourMs = 3_600_000

const time = (at: number) =>
  der(asn1.tags.generalizedTime, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`, 'latin1'))

export function keyBits({ privateKey }: Identity): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return asn1.bitOctets(asn1.sequence(asn1.onlyElement(spki))[1])
}

/** A whole OCSPResponse about certificates of `issuer`, DER. */
export function respond(issuer: Identity, options: ResponseOptions): Uint8Array {
  const now = Date.now()
  const signer = options.signer ?? issuer
  const responder =
    options.by === 'key' ? context(2, octetString(hash('sha1', keyBits(signer), 'buffer'))) : context(1, signer.subject)
  const tbs = sequenceOf(
    responder,
    time(options.producedAt ?? now - hourMs),
    sequenceOf(...options.answers.map((answer) => single(issuer, answer, now))),
    ...(options.extensions ? [context(1, sequenceOf(...options.extensions))] : []),
  )
  const key = (options.signWith ?? signer).privateKey
  const digest = options.digest ?? 'sha256'
  const rsa = key.asymmetricKeyType === 'rsa'
  const algorithm = rsa
    ? algorithmIdentifier(digest === 'sha1' ? oids.sha1WithRsa : oids.sha256WithRsa, nullValue)
    : algorithmIdentifier(digest === 'sha1' ? oids.ecdsaWithSha1 : oids.ecdsaWithSha256)
  const signature = options.unsigned ? Buffer.alloc(64) : sign(digest, tbs, key)
  const basic = sequenceOf(
    tbs,
    algorithm,
    bitString(signature),
    ...(options.certificates ? [context(0, sequenceOf(...options.certificates))] : []),
  )
  return wrapped(0, basic)
}

/** An OCSPResponse with a status and, where it is zero, what it carries. */
export function wrapped(status: number, basic?: Uint8Array, type: string = oids.ocspBasic): Uint8Array {
  return sequenceOf(
    der(asn1.tags.enumerated, Uint8Array.of(status)),
    ...(basic ? [context(0, sequenceOf(objectIdentifier(type), octetString(basic)))] : []),
  )
}

function single(issuer: Identity, answer: Answer, now: number): Uint8Array {
  const { status = 'good', digest = 'sha1', of = issuer, thisUpdate = now - hourMs, nextUpdate = now + hourMs } = answer
  const id = sequenceOf(
    algorithmIdentifier(oids[digest], nullValue),
    octetString(hash(digest, of.subject, 'buffer')),
    octetString(hash(digest, keyBits(of), 'buffer')),
    integer(answer.serial),
  )
  const told =
    typeof status === 'string'
      ? contextPrimitive(status === 'good' ? 0 : 2, new Uint8Array())
      : context(
          1,
          time(status.at),
          ...(status.reason === undefined ? [] : [context(0, der(asn1.tags.enumerated, Uint8Array.of(status.reason)))]),
        )
  return sequenceOf(
    id,
    told,
    time(thisUpdate),
    ...(nextUpdate === null ? [] : [context(0, time(nextUpdate))]),
    ...(answer.extensions ? [context(1, sequenceOf(...answer.extensions))] : []),
  )
}

/** A delegate of `issuer` for OCSP signing, with id-pkix-ocsp-nocheck unless told otherwise. */
export function makeDelegate(
  issuer: Identity,
  { noCheck = true, ...options }: { readonly noCheck?: boolean } & Parameters<typeof makeLeaf>[1] = {},
): Identity {
  return makeLeaf(issuer, {
    keyType: 'p256',
    keyUsage: ['digitalSignature'],
    eku: [oids.ocspSigning],
    ...options,
    ...(noCheck ? { extensions: [{ oid: oids.ocspNoCheck, value: nullValue }, ...(options.extensions ?? [])] } : {}),
  })
}

/** authorityInfoAccess with these responders, for `extensions` of a certificate. */
export function respondersAt(...urls: readonly string[]) {
  const value = sequenceOf(...urls.map((url) => sequenceOf(objectIdentifier(oids.ocsp), generalName.uri(url))))
  return { oid: oids.authorityInfoAccess, value }
}

/** One extension of a response or an answer. */
export const noted = (oid: string, critical = false) => extension(oid, octetString(Uint8Array.of(1, 2, 3)), critical)
