import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { viewDocument } from '../clinical/view/document.js'
import { writeDocument } from '../clinical/write/document.js'
import { type Refused, refused, type Undecided, undecided } from '../direct/refusal.js'
import { type Keyring, openKeyring } from '../keyring/keyring.js'
import { readMasterKey } from '../keyring/master-key.js'
import { framedOutside } from '../mime/direct-fields.js'
import { type Header, readHeader } from '../mime/header.js'
import { mimeLimits } from '../mime/limits.js'
import type { Writer } from '../pipeline/export.js'
import { mailOf } from '../pipeline/open.js'
import { readMail } from '../pipeline/read.js'
import type { Steps, WireBody } from '../pipeline/steps.js'
import type { Views } from '../pipeline/view.js'
import type { Tokens } from '../pkcs11/tokens.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import { KeyUnavailable, type OwnedKey, type PrivateKey } from '../ports/keys.js'
import { VaultFailed } from '../ports/vault.js'
import { privateKeyFrom } from '../smime/key.js'
import { openLarge, openMessage } from '../smime/open.js'
import { sealMessage } from '../smime/seal.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { openArithmetic } from './arithmetic.js'
import { provenKey, type TokenSettings, tokensOf } from './tokens.js'

/** Unwrapped private keys a thread keeps; beyond this the one kept longest is unwrapped again when needed. */
const keysKept = 1_000

/** A key ready for arithmetic, in every form that the steps ask for. */
interface ReadyKey {
  readonly id: string
  readonly certificate: Certificate
  readonly chain: readonly Uint8Array[]
  readonly key: PrivateKey
}

/** The keys that can be had now. */
interface ReadyKeys {
  readonly keys: readonly ReadyKey[]
  /** Some key is under a master key that is not here, or in a token that does not answer: it may be had later. */
  readonly missing?: Undecided
}

/** Unwraps keys once and keeps them, in this thread alone. */
function openKeys(keyring: Keyring, tokens: Tokens): (all: readonly OwnedKey[]) => ReadyKeys {
  const ready = new Map<string, ReadyKey>()

  function keyOf(owned: OwnedKey): ReadyKey | undefined {
    const known = ready.get(owned.id)
    if (known) return known
    const certificate = readCertificate(owned.certificate)
    if (certificate.kind === 'malformed') return undefined
    const key =
      owned.token === undefined
        ? privateKeyFrom(keyring.unwrap('private-key', owned.id, owned.wrapped))
        : provenKey(tokens, owned.token, certificate)
    if ('kind' in key) return undefined
    const [oldest] = ready.keys()
    if (ready.size >= keysKept && oldest !== undefined) ready.delete(oldest)
    const made = { id: owned.id, certificate, chain: owned.chain, key }
    ready.set(owned.id, made)
    return made
  }

  return (all) => {
    const keys: ReadyKey[] = []
    let missing: Undecided | undefined
    for (const owned of all) {
      try {
        const key = keyOf(owned)
        if (key) keys.push(key)
      } catch (error) {
        if (!(error instanceof VaultFailed || error instanceof KeyUnavailable)) throw error
        missing = undecided('key-store-unavailable', `key ${owned.id.slice(0, 16)}: ${error.message}`)
      }
    }
    return missing ? { keys, missing } : { keys }
  }
}

/** All that a worker thread does. */
export interface ThreadSteps extends Steps, KeyArithmetic, Views, Writer {}

/** The steps in this very thread: what a pool thread runs, and what tests run without a pool. Throws for a bad master key. */
export function openSteps(masterKey: Uint8Array, tokenSettings?: TokenSettings): ThreadSteps {
  const master = readMasterKey(masterKey)
  if (master.kind === 'refused') throw new Error(master.detail)
  const keyring = openKeyring({ current: master.key }, { bytes: (size) => new Uint8Array(randomBytes(size)) })
  const tokens = tokensOf(tokenSettings)
  const keysOf = openKeys(keyring, tokens)

  return {
    open: (body, owned, policy) =>
      unlessAway(async () => {
        const { keys, missing } = keysOf(owned)
        const smime = {
          ...(policy.allowSha1 && { digests: ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const }),
        }
        const head: Head = { bytes: new Uint8Array() }
        const opened =
          body.kind === 'bytes'
            ? openMessage(body.bytes, keys, smime)
            : await openLarge(
                keepingHead(createReadStream(body.path, { start: body.offset, highWaterMark: 64 * 1024 }), head),
                body.sizeBytes,
                keys,
                smime,
              )
        if (opened.kind === 'refused') return (opened.reason === 'no-key-for-recipient' && missing) || opened
        const header = envelopeHeader(body, head)
        return header.kind === 'header' ? mailOf(opened, header) : header
      }),
    read: (message, depth) => readMail(message, depth),
    view: (bytes, request) => viewDocument(bytes, request),
    write: async (request) => writeDocument(request),
    seal: ({ message, signers, recipients, encryption, outer, at, digest }) =>
      unlessAway(async () => {
        const { keys, missing } = keysOf(signers)
        if (keys.length === 0 && missing) return missing
        return sealMessage(message, {
          signers: keys,
          recipients,
          outerHeaders: [
            { name: 'From', value: `<${outer.from}>` },
            { name: 'To', value: outer.to.map((address) => `<${address}>`).join(', ') },
            { name: 'Date', value: new Date(outer.date).toUTCString().replace('GMT', '+0000') },
            { name: 'Message-ID', value: outer.messageId },
            ...framedFields(message),
          ],
          at,
          policy: { ...encryption, ...(digest && { digest }) },
        })
      }),
    ...openArithmetic(keyring, tokens),
  }
}

/** Codes of the message that gateways on the way route by. */
function framedFields(message: Uint8Array) {
  const header = readHeader(message)
  return header.kind === 'header' ? framedOutside(header).map(([name, value]) => ({ name, value })) : []
}

/** What a token did not do says nothing of the message. */
async function unlessAway<T>(work: () => Promise<T>): Promise<T | Undecided> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof KeyUnavailable) return undecided('key-store-unavailable', error.message)
    throw error
  }
}

/** The first bytes of a streamed message, which hold its header. */
interface Head {
  bytes: Uint8Array
}

async function* keepingHead(chunks: AsyncIterable<Uint8Array>, head: Head): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) {
    if (head.bytes.length < mimeLimits.headerBytes) head.bytes = Buffer.concat([head.bytes, chunk])
    yield chunk
  }
}

function envelopeHeader(body: WireBody, head: Head): Header | Refused {
  const header = readHeader(body.kind === 'bytes' ? body.bytes : head.bytes, { lineBreaks: 'any' })
  return header.kind === 'header' ? header : refused('malformed-message', header.detail)
}
