import { audit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openVault } from '../../src/keyring/vault.js'
import { trackingPolicy } from '../../src/pipeline/deadlines.js'
import { type HandedIn, submitHandedIn } from '../../src/pipeline/handed-in.js'
import type { SubmissionListener, SubmissionOptions } from '../../src/smtp/options.js'
import { startSubmission } from '../../src/smtp/submission.js'
import { openSubmissions } from '../../src/spool/submission.js'
import { openTrail } from '../../src/spool/trail.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { made, random, serving, world } from '../directory/worlds.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { type Peer, peer, quiet, securePeer, uncounted } from './peer.js'

const authority = makeAuthority({ name: 'Edge Authority' })

/** A certificate for the listener, with its key. */
export function newCertificate(name = 'edge.clinic.example') {
  const { certificatePem: cert, privateKeyPem: key } = makeLeaf(authority, { name, san: { dns: [name] } })
  return { cert, key }
}
const certificate = newCertificate()

export const anna = 'anna@clinic.example' as DirectAddress
export const ben = 'ben@clinic.example' as DirectAddress
/** Served here, and of no account. */
export const other = 'other@other.example' as DirectAddress
export const far = 'doctor@far.example' as DirectAddress

/** PLAIN of RFC 4616, in base64. */
export function plain(name: string, secret: string, actsFor = ''): string {
  return Buffer.from(`${actsFor}\0${name}\0${secret}`).toString('base64')
}

export function message({ from = anna as string, to = far as string, id = '<1@ehr.example>', more = '' } = {}): string {
  return `From: ${from}\r\nTo: ${to}\r\nMessage-ID: ${id}\r\nSubject: Results\r\n${more}\r\nAll is well.\r\n`
}

/** Submission for one clinic with an account `ehr`, on free ports, over real rooms in memory. */
export async function submitting(options: Partial<SubmissionOptions> = {}) {
  const { directory, store, keyring, clock } = await world()
  await serving(directory, 'clinic.example', 'anna', 'ben')
  await serving(directory, 'other.example', 'other')
  const vault = openVault({ store, keyring, random })
  const submissions = openSubmissions({
    store,
    blobs: createMemoryBlobs(clock),
    vault,
    clock,
    audit,
    trail: openTrail({ store }),
  })
  const { secret } = made(await directory.accounts.create({ name: 'ehr', senders: ['clinic.example'] }, 'operator'))
  const handedIn: HandedIn[] = []
  const taken: HandedIn[] = []
  const listener: SubmissionListener = await startSubmission({
    host: '127.0.0.1',
    port: 0,
    implicitTlsPort: 0,
    hostname: 'edge.clinic.example',
    tls: () => certificate,
    accounts: directory.accounts,
    async submit(message) {
      const kept = { ...message, message: Buffer.from(message.message) }
      handedIn.push(kept)
      const outcome = await submitHandedIn(message, { directory, submissions, clock, random, tracking: trackingPolicy })
      if (outcome.kind === 'submitted') taken.push(kept)
      return outcome
    },
    room: async () => true,
    healthy: () => true,
    log: quiet,
    metrics: uncounted,
    clock,
    ...options,
    limits: { refusalMs: 20, ...options.limits },
  })
  const port = listener.port ?? 0
  const implicitTlsPort = listener.implicitTlsPort ?? 0

  /** A session over TLS that has said EHLO. */
  async function greeted(): Promise<Peer> {
    const client = await peer(port)
    await client.say('EHLO ehr.example')
    const reply = await client.say('STARTTLS')
    if (!reply.startsWith('220')) throw new Error(reply)
    const secured = await client.secure()
    await secured.say('EHLO ehr.example')
    return secured
  }
  /** The same with an account. */
  async function known(): Promise<Peer> {
    const client = await greeted()
    const reply = await client.say(`AUTH PLAIN ${plain('ehr', secret)}`)
    if (!reply.startsWith('235')) throw new Error(reply)
    return client
  }
  /** What became of all that the address submitted, newest first. */
  async function sentBy(address: DirectAddress) {
    const found = await directory.addresses.get(address)
    const page = await submissions.list(found?.mailbox ?? '', {})
    return page.kind === 'page' ? page.submissions : []
  }
  async function storedMessage(address: DirectAddress): Promise<string> {
    const [first] = await sentBy(address)
    const chunks = first && (await submissions.message(first.mailbox, first.id))
    const read: Uint8Array[] = []
    for await (const chunk of chunks ?? []) read.push(chunk)
    return Buffer.concat(read).toString('latin1')
  }
  return {
    ...{ listener, port, implicitTlsPort, directory, store, clock, secret, handedIn, taken, submissions },
    ...{ greeted, known, sentBy, storedMessage },
    secured: () => securePeer(implicitTlsPort),
  }
}

export type Submitting = Awaited<ReturnType<typeof submitting>>

/** MAIL, RCPT and the message; the reply to its end, or to the first command that was refused. */
export async function send(
  client: Peer,
  text = message(),
  { from = anna as string, to = [far] as readonly string[] } = {},
): Promise<string> {
  for (const line of [`MAIL FROM:<${from}>`, ...to.map((one) => `RCPT TO:<${one}>`), 'DATA']) {
    const reply = await client.say(line)
    if (!/^[23]/.test(reply)) return reply
  }
  client.write(`${text.replace(/^\./gm, '..')}.\r\n`)
  return client.reply()
}
